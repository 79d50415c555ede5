/*
** log_internal.h — regions of the log file, shared by the writer and recovery.
**
**     A  |......[ 2 ===>                 only region 2; it starts at the newest log pointer
**     B  |[ 2 ===>......[ 0 ]            after a wrap: writing goes on at offset 0
**     C  |[ 1 ]..[ 0 ]..[ 2 ===>         region 2 would have run into region 0 and jumped over it
**
** Recovery reads 0, 1, 2 in this order; new records go to region 2. An unused region is (0, 0). All
** functions here are pure.
*/
#ifndef LSM_LOG_INTERNAL_H
#define LSM_LOG_INTERNAL_H

#include "log/log.h"

#define LOG_WRAP_SIZE 8                 /* of the record that leads back to offset 0 */
#define LOG_JUMP_ROOM 17                /* kept free for padding and a JUMP in front of region 0 */
#define LOG_TARGET_MAX 0x7fffffffu      /* largest jump target that every reader understands */
#define LOG_WRAP_FAR (1u << 30)         /* see log_state_must_wrap */
#define LOG_OFFSET_MAX (1ull << 62)     /* no file is that long; keeps sums below 2^63 */

/* Are the regions possible? Requires nothing: they come from shared memory. */
bool log_state_is_sound(const struct log_state *state);

/* Give up what lies before the checkpoint's position, if the checkpoint is newer than the last one
** used. A position in no region changes nothing. */
void log_state_reclaim(struct log_state *state, const struct log_reclaim *reclaim);

/* Should writing go back to offset 0? */
bool log_state_must_wrap(const struct log_state *state);

/* Region 2, longer by the wrap record, becomes region 0. */
void log_state_wrap(struct log_state *state);

/* The area that region 2, written from `offset` on, must jump over: first byte to spare and first
** byte behind. Both 0 if there is none. */
void log_state_skip_area(const struct log_state *state, uint64_t offset, uint32_t alignment,
                         uint64_t *from, uint64_t *to);

/* A skip jump ended at `jump_end` and led to `target`: region 2 becomes region 1, starts anew. */
void log_state_skip(struct log_state *state, uint64_t jump_end, uint64_t target);

/* The same as recovery meets it: whether it was a wrap or a skip shows in where region 2 began. */
void log_state_replay_jump(struct log_state *state, uint64_t jump_end, uint64_t target);

/* Does region 0 or 1 have bytes at or after `offset`? Then nothing may be written ahead. */
bool log_state_ahead_in_use(const struct log_state *state, uint64_t offset);

/* --- log_map.c --- */
/* Put the bytes into the file through memory; false: nothing was done, write them. */
bool log_map_store(struct log_map *map, struct os_file *file, uint64_t offset, const void *data, size_t size);
/* Zeroed objects are accepted. */
void log_map_release(struct log_map *map, struct os_file *file);

#endif
