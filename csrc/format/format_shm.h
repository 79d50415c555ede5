/*
** format_shm.h — layout of the shared region: header chunk, tree header, nodes, entries.
**
** In the machine's own byte order; offsets are those of a 64-bit machine. While a single process owns the
** database the same layout lives in private memory.
**
**     CHUNK 0: OFFSET  SIZE  FIELD                             CHANGED BY
**              0       4096  snapshot copy 1 (u32 words)       holder of WORKER
**              4096    4096  snapshot copy 2
**              8192    4     writer flag                       holder of WRITER
**              8196    4     meta page of the newest checkpoint  holder of CHECKPOINTER
**              8200    152   tree header copy 1                holder of WRITER
**              8352    152   tree header copy 2
**              8504    6*16  reader slots                      exclusive holder of the slot's lock
*/
#ifndef LSM_FORMAT_SHM_H
#define LSM_FORMAT_SHM_H

#include "base/types.h"

#define SHM_CHUNK_SIZE 32768u
#define SHM_CHUNK_SHIFT 15
#define SHM_CHUNKS_MAX 65535u /* 2 GiB - 32 KiB: offsets are compared in 32 bits by others */
#define SHM_READER_SLOTS 6
#define SHM_HEADER_SIZE 8600

/* Byte 4096 - n of the database file. */
enum lock_no {
    LOCK_DMS1 = 1,
    LOCK_DMS2 = 2,
    LOCK_DMS3 = 3,
    LOCK_WRITER = 4,
    LOCK_WORKER = 5,
    LOCK_CHECKPOINTER = 6,
    LOCK_ROTRANS = 7,
    LOCK_READER0 = 8,
    LOCK_RWCLIENT0 = 14,
    LOCK_COUNT = 30
};
#define RWCLIENT_COUNT 16

struct tree_root {
    uint32_t root;      /* offset of the root node, 0 = empty */
    uint32_t height;    /* 0 = empty, 1 = the root is a leaf */
    uint32_t byte_count;
    uint32_t txn_id;
};

struct log_region {
    int64_t start;
    int64_t end;
};

struct tree_header {
    uint32_t used_id;
    uint32_t next_id;
    uint32_t first_chunk;
    uint32_t chunk_count;
    struct tree_root live;
    uint32_t write_offset;
    struct tree_root old;
    uint32_t old_id; /* 0 = no old tree */
    uint32_t user_version;
    uint32_t padding; /* zero */
    int64_t old_log_field;
    uint32_t old_sum0;
    uint32_t old_sum1;
    uint32_t log_sum0;
    uint32_t log_sum1;
    int64_t log_reclaim_id;
    struct log_region log_regions[3];
    uint32_t checksum0;
    uint32_t checksum1;
};

struct reader_slot {
    uint32_t tree_id;
    uint32_t padding;
    int64_t snapshot_id; /* 0 = void */
};

struct shm_header {
    uint32_t snapshot1[1024];
    uint32_t snapshot2[1024];
    uint32_t writer_flag;
    uint32_t meta_page;
    struct tree_header tree1;
    struct tree_header tree2;
    struct reader_slot readers[SHM_READER_SLOTS];
};

struct chunk_head {
    uint32_t id;
    uint32_t next;
};

struct tree_leaf {
    uint32_t entries[3];
};

struct tree_node {
    uint32_t entries[3];
    uint32_t children[4];
    uint32_t version_id;    /* second version, 0 = none */
    uint8_t version_index;  /* child replaced */
    uint8_t padding[3];
    uint32_t version_child; /* its replacement */
};

struct tree_entry {
    int32_t key_size;
    int32_t value_size; /* -1 = no value */
    uint8_t flags;      /* RECORD_ flags; ENTRY_CONTIGUOUS */
    uint8_t padding[3];
};
#define ENTRY_CONTIGUOUS 0x40u

static_assert(sizeof(struct tree_root) == 16, "tree root");
static_assert(sizeof(struct tree_header) == 152, "tree header");
static_assert(offsetof(struct tree_header, old_log_field) == 64, "old log");
static_assert(offsetof(struct tree_header, log_reclaim_id) == 88, "reclaim id");
static_assert(offsetof(struct tree_header, log_regions) == 96, "log regions");
static_assert(offsetof(struct tree_header, checksum0) == 144, "checksum");
static_assert(offsetof(struct shm_header, tree1) == 8200, "tree header 1");
static_assert(offsetof(struct shm_header, readers) == 8504, "reader slots");
static_assert(sizeof(struct shm_header) == SHM_HEADER_SIZE, "shm header");
static_assert(sizeof(struct tree_node) == 40, "node");
static_assert(sizeof(struct tree_entry) == 12, "entry");

/* Sequence numbers modulo 2^32: is a at or after b? */
static inline bool chunk_id_at_or_after(uint32_t a, uint32_t b) {
    return (uint32_t)(a - b) < (1u << 30);
}

#endif
