/*
** verify_internal.h — what the two halves of a verification share: verify.c looks at runs,
** verify_blocks.c at where they lie.
*/
#ifndef LSM_VERIFY_INTERNAL_H
#define LSM_VERIFY_INTERNAL_H

#include "db/db_internal.h"

#define VERIFY_PLACE_MAX 48
#define VERIFY_TEXT_MAX 200

/* A stretch of pages of one run inside one block. */
struct verify_extent {
    uint64_t first;
    uint64_t last;
    uint32_t run;
    uint32_t block_no;
};

/* A run of the snapshot under examination. */
struct verify_run {
    uint32_t level_index;
    uint32_t run_index;   /* 0 = left, 1 + i = right[i] */
    struct segment_view view;
    bool is_chain;        /* its blocks lead from its first page to its last */
    bool is_sound;        /* nothing was found in it */
};

/* Block numbers; takes memory where members are. */
struct block_set {
    lsm_env *env;
    uint32_t block_count;
    uint8_t **chunks;
};

struct verify {
    lsm_db *db;
    lsm_env *env;
    struct pager *pager;
    const struct snapshot *snapshot;
    struct read_view view;        /* its segments only; errors go to `error` */
    struct error_context error;
    const struct verify_report *report;
    struct verify_totals totals;
    uint64_t steps;               /* pages read, each twice */
    uint64_t size;                /* of all runs, in bytes */
    char place[VERIFY_PLACE_MAX]; /* what is being looked at: in front of each text */
    struct verify_run *runs;
    uint32_t run_count;
    struct verify_extent *extents;
    size_t extent_count;
    size_t extent_capacity;
    struct block_set used;
    struct block_set free;
};

/* --- verify.c --- */
void verify_problem(struct verify *verify, uint64_t page_no, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;
/* Damage becomes a report: LSM_CORRUPT becomes LSM_OK. *damaged (may be NULL) is set then. */
LSM_MUST_USE int verify_absorb(struct verify *verify, int rc, bool *damaged);
/* `run` NULL = the whole file. */
void verify_set_place(struct verify *verify, const struct verify_run *run);

/* --- verify_blocks.c --- */
/* Follow the block links of a run, note its extents, set run->is_chain. */
LSM_MUST_USE int verify_chain(struct verify *verify, uint32_t run_no);
/* Is a page part of a run whose extents were noted? */
bool verify_run_has_page(const struct verify *verify, uint32_t run_no, uint64_t page_no);
/* No page in two runs; every block used or free, never both; append points lead to unused pages. */
LSM_MUST_USE int verify_space(struct verify *verify);
void verify_space_release(struct verify *verify);

#endif
