/*
** format_log.h — records of the log file. See log.h for regions and recovery.
**
**     00 EOF · 01 PAD1 · 02 PAD2 n, n bytes · 03 COMMIT sum · 04 JUMP offset
**     06 WRITE nKey nVal key value · 08 DELETE nKey key · 0A RANGE DELETE nKey1 nKey2 key1 key2
**     07, 09, 0B: the same with an 8-byte sum between the lengths and the key.  Anything else ends the log.
*/
#ifndef LSM_FORMAT_LOG_H
#define LSM_FORMAT_LOG_H

#include "base/types.h"
#include "base/varint.h"

enum log_record_type {
    LOG_EOF = 0x00,
    LOG_PAD1 = 0x01,
    LOG_PAD2 = 0x02,
    LOG_COMMIT = 0x03,
    LOG_JUMP = 0x04,
    LOG_WRITE = 0x06,
    LOG_WRITE_SUM = 0x07,
    LOG_DELETE = 0x08,
    LOG_DELETE_SUM = 0x09,
    LOG_DELETE_RANGE = 0x0A,
    LOG_DELETE_RANGE_SUM = 0x0B
};

#define LOG_SUM_SIZE 8
#define LOG_UNSUMMED_MAX 32768  /* bytes a record without sum may end after the last sum */
#define LOG_WRAP_AFTER 131072   /* wrap when region 2 starts at or after this offset */
#define LOG_SECTOR 512

#endif
