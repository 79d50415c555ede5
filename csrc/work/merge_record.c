/*
** merge_record.c — many records of one key become one, or none.
**
** INVARIANTS  For each input think of the stretch of keys just before and just after the key: it is
**             covered when a range tombstone of that input hides it. Covered before: the input's
**             current record (at the key or beyond) has END. Covered after: at the key, the record
**             has START; beyond it, END.
**             (I1) the output is covered where any input is; so its marks alternate as they must.
**             (I2) an input that is beyond the key and covers it hides everything older at the key.
**
**             newest  ....[a .............. m]....       key c lies inside: c of older inputs
**             older   ..........c=1....[f ...... z]      is dropped; START f and END m are inside
**             output  ....[a ...................... z]   the union: one range a..z remains
*/
#include "work/work_internal.h"

uint8_t merge_record_flags(const struct key_vote *votes, uint32_t count, bool oldest,
                           uint32_t *owner) {
    bool covered_before = false;
    bool covered_after = false;
    bool hidden = false;   /* by an input newer than the one looked at */
    bool inside = false;   /* some input covers the key itself */
    bool separator = false;
    uint8_t system = 0;
    uint8_t flags = 0;
    uint32_t i;

    *owner = VOTE_NONE;
    for (i = 0; i < count; i++) {
        uint8_t f = votes[i].flags;
        if (f & RECORD_END_DELETE) covered_before = true;
        if (!votes[i].at_key) {
            if (f & RECORD_END_DELETE) {
                covered_after = true;
                hidden = true; /* (I2) */
                inside = true;
            }
            continue;
        }
        system |= f & RECORD_SYSTEM;
        if (f & RECORD_START_DELETE) covered_after = true;
        if (f & RECORD_SEPARATOR) separator = true;
        if (!hidden && *owner == VOTE_NONE && (f & (RECORD_INSERT | RECORD_POINT_DELETE))) {
            *owner = i;
            flags = f & (RECORD_INSERT | RECORD_POINT_DELETE);
        }
    }
    if (oldest) {
        /* Nothing is left to be hidden: what remains is what is there. */
        if (!(flags & RECORD_INSERT)) {
            *owner = VOTE_NONE;
            return 0;
        }
        return RECORD_INSERT | system;
    }
    if (covered_before && covered_after) {
        if (flags & RECORD_POINT_DELETE) { /* says what the surrounding range says */
            *owner = VOTE_NONE;
            return 0;
        }
        if (flags == 0 && inside) return 0; /* a mere boundary, or hidden */
    }
    if (covered_before) flags |= RECORD_END_DELETE;
    if (covered_after) flags |= RECORD_START_DELETE;
    if (flags == 0 && separator) flags = RECORD_SEPARATOR;
    return flags ? flags | system : 0;
}
