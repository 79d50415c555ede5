/*
** merge_rules.c — which version of a key counts.
**
**     newest   tree      b   [c        f]     "[c" starts, "f]" ends a deleted range, both stay
**              level 0       c    -e          "-e" point tombstone
**     oldest   level 1   b   c d  e   f
**
** Going forward at d, the tree stands on "f]": something newer than level 1 is beyond d and ends a
** range, so d lies inside it and is hidden. At c the tree stands on c itself: a bound does not
** concern its own key, and level 0 owns it. Going backward the same is seen from the other end: the
** tree stands on "[c" below d.
**
** INVARIANTS  (I1) within one source marks alternate, so the mark of the next record beyond a key
**             tells whether the key lies inside a range of that source; nothing else needs to be
**             remembered.
*/
#include "cursor/source.h"

uint32_t merge_rule_owner(const struct source_head *heads, const uint32_t *order,
                          uint32_t group_count) {
    uint32_t i;
    for (i = 0; i < group_count; i++) {
        if (heads[order[i]].flags & (RECORD_INSERT | RECORD_POINT_DELETE)) return order[i];
    }
    return SOURCE_NONE;
}

static bool is_member(const uint32_t *order, uint32_t group_count, uint32_t source) {
    uint32_t i;
    for (i = 0; i < group_count; i++) {
        if (order[i] == source) return true;
    }
    return false;
}

uint32_t merge_rule_hider(const struct source_head *heads, const uint32_t *order,
                          uint32_t group_count, uint32_t owner, uint8_t mark) {
    uint32_t i;
    for (i = 0; i < owner; i++) {
        if (!heads[i].live || !(heads[i].flags & mark)) continue;
        /* A bound leaves its own key alone, but the split key inside a range is no bound. */
        if (heads[i].stand_in || !is_member(order, group_count, i)) return i;
    }
    return SOURCE_NONE;
}
