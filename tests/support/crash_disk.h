/*
** crash_disk.h — a disk in memory that forgets, at a power cut, what was not synced.
**
** A crash test of the engine looks like this:
**
**     disk = crash_disk_new();
**     steps = run(crash_disk_env(disk)); // open, write, commit, close: count the steps
**     for (n = 1; n <= steps; n++) { // then each step in turn, on a fresh disk
**         disk = crash_disk_new();
**         crash_disk_stop_at(disk, n); // calls return errors from step n on
**         run(crash_disk_env(disk)); // note what was acknowledged before
**         after = crash_disk_power_cut(disk, CRASH_RANDOM, seed);
**         check(crash_disk_env(after)); // recover; compare with what was acknowledged
**         crash_disk_free(after);
**         crash_disk_free(disk);
**     }
**
** MODEL       Each file has two images, volatile (what reads see) and durable, and the list of the
**             writes and size changes between them. xSync makes one file's content and size
**             durable. Names are durable only after sync_directory of their folder: a file that was
**             synced but whose creation was not is gone after a power cut; one that was deleted may
**             be back. A *step* is a call that changes something on the disk: creation of a file,
**             write, truncate, sync, unlink, reserve, sync_directory.
** DYING       At the step chosen by crash_disk_stop_at the disk dies: that step is still *in
**             flight* (a write, size change or name change has happened in the volatile image; a
**             sync has promised nothing) and returns LSM_IOERR, as do all later calls; closing and
**             unlocking still succeed, so that the engine can be unwound without leaks.
** POWER CUT   Any number of surviving disks can be made from one disk, dead or alive:
**             CRASH_LOSE_ALL    only what was made durable
**             CRASH_KEEP_ALL    everything: a dead process on a running system
**             CRASH_RANDOM      per sector of 512 bytes: the durable state, or that after any
**                               number of the unsynced writes to it in their order, possibly torn
**                               inside the sector; file sizes: any since the last sync; names: per
**                               name, any prefix of the unsynced changes to it
** FAILURES    crash_disk_fail_at makes the n-th call of a kind fail with a code and no effect, once
**             or from then on. A failed sync has a nasty effect, as on real systems: what it should
**             have written counts as clean, and later syncs write it only where its 4096-byte page
**             changes again.
** LIMITS      One thread at a time. Locks always succeed: there is one process. No mapping, no
**             shared region. Folders are not files: every path is legal.
** OWNERSHIP   The disk owns its environment; free the disk last. Memory of the disk itself is
**             libc's; memory of the environment is counted (crash_disk_live_blocks) and can be made
**             to fail.
*/
#ifndef LSM_SUPPORT_CRASH_DISK_H
#define LSM_SUPPORT_CRASH_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "lsm.h"

struct crash_disk;

/* Kinds of calls, for counting and failing. */
enum crash_call {
    CRASH_CALL_CREATE, /* xOpen that makes a new file */
    CRASH_CALL_OPEN,   /* every xOpen, those included */
    CRASH_CALL_READ,
    CRASH_CALL_WRITE,
    CRASH_CALL_TRUNCATE,
    CRASH_CALL_SYNC,
    CRASH_CALL_UNLINK,
    CRASH_CALL_RESERVE,
    CRASH_CALL_SYNC_DIRECTORY,
    CRASH_CALL_LOCK,   /* xLock and xTestLock; unlocking never fails and is not counted */
    CRASH_CALL_MALLOC, /* xMalloc, and xRealloc unless it frees */
    CRASH_CALL_KINDS
};

enum crash_policy { CRASH_LOSE_ALL, CRASH_KEEP_ALL, CRASH_RANDOM };

/* An empty disk. Ends the process when there is no memory, as all of this file does. */
struct crash_disk *crash_disk_new(void);
void crash_disk_free(struct crash_disk *disk); /* NULL is accepted */

/* Belongs to the disk. A file callback on a freed disk is a crash of the test. */
lsm_env *crash_disk_env(struct crash_disk *disk);

/* --- counting --- */
uint64_t crash_disk_steps(const struct crash_disk *disk);
uint64_t crash_disk_calls(const struct crash_disk *disk, enum crash_call kind);
/* Blocks of the environment's memory not yet freed; open files of the disk are not among them. */
uint64_t crash_disk_live_blocks(const struct crash_disk *disk);
uint64_t crash_disk_open_files(const struct crash_disk *disk);

/* --- dying --- */
/* Die at the n-th step from now (1 = the next one); 0 = never. */
void crash_disk_stop_at(struct crash_disk *disk, uint64_t step);
/* Die now, between two steps. */
void crash_disk_stop(struct crash_disk *disk);
/* Only the process died: the next one goes on with what the system holds, unsynced writes included. */
void crash_disk_restart(struct crash_disk *disk);
bool crash_disk_is_stopped(const struct crash_disk *disk);

/* --- failing --- */
/* The n-th call of `kind` from now returns `code` (CRASH_CALL_MALLOC: NULL); 0 = none. With
** `for_ever` all later ones too. One setting for each kind. */
void crash_disk_fail_at(struct crash_disk *disk, enum crash_call kind, uint64_t n, int code,
                        bool for_ever);
/* The n-th write from now stores only the first half and returns LSM_IOERR; 0 = none. */
void crash_disk_half_write_at(struct crash_disk *disk, uint64_t n);
/* How often something was made to fail so far, half writes included. */
uint64_t crash_disk_failures(const struct crash_disk *disk);

/* --- after --- */
/* What a new start of the machine finds: an independent disk on which all is durable. `disk` stays
** as it is. */
struct crash_disk *crash_disk_power_cut(struct crash_disk *disk, enum crash_policy policy,
                                        uint64_t seed);

/* --- looking and placing, for tests --- */
/* Bytes of the volatile image, NULL if there is no such file. Valid until the file changes. */
const uint8_t *crash_disk_content(struct crash_disk *disk, const char *path, size_t *size);
/* Create or replace a file, durably; no step, no call. */
void crash_disk_put(struct crash_disk *disk, const char *path, const void *data, size_t size);
/* Change bytes of an existing file in both images. */
void crash_disk_damage(struct crash_disk *disk, const char *path, size_t offset, const void *data,
                       size_t size);
/* Remove a file, durably. */
void crash_disk_remove(struct crash_disk *disk, const char *path);
/* Write the volatile image of a file to a real path, for outside tools. False when that fails. */
bool crash_disk_export(struct crash_disk *disk, const char *path, const char *real_path);
/* Size that xSectorSize reports; 512 unless set. */
void crash_disk_set_sector_size(struct crash_disk *disk, int size);
/* Print each step to `out` as it happens; NULL = stop. */
void crash_disk_trace(struct crash_disk *disk, FILE *out);

#endif
