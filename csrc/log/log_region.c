/*
** log_region.c — which part of the log file is in use, and where the next transaction may write.
**
** INVARIANTS  (I1) Bytes from the newest checkpoint's position to the end of region 2, in reading
**             order, are never offered for writing.
**             (I2) At most two jumps lie between that position and the end: a wrap needs regions 0
**             and 1 empty, a skip needs region 1 empty. Readers stop at a third.
** COST        no I/O, no allocation
*/
#include "log/log_internal.h"

static bool region_is_unused(const struct log_region *region) {
    return region->end == 0;
}

static bool region_contains(const struct log_region *region, uint64_t offset) {
    return (uint64_t)region->start <= offset && offset <= (uint64_t)region->end;
}

bool log_state_is_sound(const struct log_state *state) {
    int i;

    for (i = 0; i < 3; i++) {
        const struct log_region *region = &state->regions[i];
        if (region->start < 0 || region->end < region->start) return false;
        if ((uint64_t)region->end >= LOG_OFFSET_MAX) return false;
    }
    return true;
}

/* The region with that offset; 3 = none. Offset 0 is in no unused region, though (0, 0) looks like it; region 2 may
** be empty and current. */
static int region_of(const struct log_region regions[3], uint64_t offset) {
    int owner;

    for (owner = 0; owner < 3; owner++) {
        if (owner < 2 && region_is_unused(&regions[owner])) continue;
        if (region_contains(&regions[owner], offset)) break;
    }
    return owner;
}

uint64_t log_length_since(const struct log_region regions[3], uint64_t offset) {
    int owner = region_of(regions, offset);
    int first = owner == 3 ? 0 : owner;
    uint64_t length = 0;
    int i;

    for (i = first; i < 3; i++) length += (uint64_t)(regions[i].end - regions[i].start);
    return owner == 3 ? length : length - (offset - (uint64_t)regions[owner].start);
}

void log_state_reclaim(struct log_state *state, const struct log_reclaim *reclaim) {
    int owner;
    int i;

    if (reclaim->snapshot_id <= state->reclaim_id) return;
    owner = region_of(state->regions, reclaim->offset);
    if (owner == 3) return;
    for (i = 0; i < owner; i++) state->regions[i] = (struct log_region){0, 0};
    state->regions[owner].start = (int64_t)reclaim->offset;
    state->reclaim_id = reclaim->snapshot_id;
}

/*
** A wrap pays when the space in front of region 2 is worth it. Later the writer may have to jump
** over what is now region 2, and a jump target must stay below 2^31. So a log that has grown beyond
** that wraps only when so much room lies in front that a checkpoint surely comes first.
*/
bool log_state_must_wrap(const struct log_state *state) {
    const struct log_region *current = &state->regions[2];

    if (!region_is_unused(&state->regions[0])) return false;
    if (!region_is_unused(&state->regions[1])) return false;
    if (current->start < LOG_WRAP_AFTER) return false;
    if (current->start >= LOG_WRAP_FAR) return true;
    return current->end < (int64_t)LOG_TARGET_MAX - 65536 * 2; /* a sector, at most */
}

void log_state_wrap(struct log_state *state) {
    state->regions[0] = state->regions[2];
    state->regions[0].end += LOG_WRAP_SIZE;
    state->regions[2] = (struct log_region){0, 0};
}

void log_state_skip_area(const struct log_state *state, uint64_t offset, uint32_t alignment,
                         uint64_t *from, uint64_t *to) {
    const struct log_region *obstacle = &state->regions[0];
    uint64_t start = (uint64_t)obstacle->start;
    uint64_t end = (uint64_t)obstacle->end;

    *from = 0;
    *to = 0;
    if (!region_is_unused(&state->regions[1]) || offset >= end) return;
    if (alignment == 1) {
        *from = start;
        *to = end + 1;
        return;
    }
    /* Whole sectors: a torn write must not reach synced bytes. */
    *from = start - start % alignment;
    if (*from <= offset) *from = start;
    *to = end - end % alignment + alignment;
}

void log_state_skip(struct log_state *state, uint64_t jump_end, uint64_t target) {
    state->regions[1].start = state->regions[2].start;
    state->regions[1].end = (int64_t)jump_end;
    state->regions[2].start = (int64_t)target;
}

void log_state_replay_jump(struct log_state *state, uint64_t jump_end, uint64_t target) {
    if (state->regions[2].start == 0) {
        state->regions[1] = (struct log_region){0, (int64_t)jump_end};
    } else {
        state->regions[0] = (struct log_region){state->regions[2].start, (int64_t)jump_end};
    }
    state->regions[2].start = (int64_t)target;
}

bool log_state_ahead_in_use(const struct log_state *state, uint64_t offset) {
    return (uint64_t)state->regions[0].end > offset || (uint64_t)state->regions[1].end > offset;
}
