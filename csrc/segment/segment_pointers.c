/*
** segment_pointers.c — do the cascade pointers of a segment lead to the right pages of the next
** older one?
**
**     upper    b>1  d>1  m>3  [p>3  ]s>7  t>7        > page of lower
**     lower    1: a c   3: k n   5: q   7: r s       indexable pages and their keys
**
** A pointer leads to the last indexable page whose first key is <= the record's key, and to the
** first one if there is none. That of a record which begins a range delete may lead to an earlier
** page: the separators inside the range were dropped. Pointers never go back.
**
** ERRORS      Wrong pointers and damage are reported; returned: LSM_NOMEM, LSM_IOERR. After a
**             number of wrong pointers the pair is left: they are wrong as a whole.
** COST        Every record of `upper`, the first record of every page of `lower`; 8 bytes for each
**             such page.
*/
#include "segment/segment_internal.h"

#define WRONG_MAX 20u

/* The indexable pages of a segment in order, one ahead of the present one. */
struct leaf_walk {
    struct segment_view view;
    struct segment_page at;   /* the next one, or none */
    uint64_t budget;
    bool more;                /* `at` is there, and `key` its first key */
    struct buffer key;
    enum topic topic;
    struct buffer passed;     /* uint64_t: the pages up to the present one */
};

static uint64_t leaf_passed(const struct leaf_walk *walk, size_t index) {
    uint64_t page_no;
    memcpy(&page_no, walk->passed.data + index * sizeof page_no, sizeof page_no);
    return page_no;
}

static size_t leaf_count(const struct leaf_walk *walk) {
    return walk->passed.size / sizeof(uint64_t);
}

/* Go over pages that no index leads to, and read the key of the one found. */
static int leaf_settle(struct leaf_walk *walk) {
    int rc = LSM_OK;

    while (rc == LSM_OK && walk->more && (walk->at.footer.flags & PAGE_FLAG_SKIP_THIS)) {
        rc = segment_page_next_start(&walk->view, &walk->at, &walk->budget, &walk->more);
    }
    if (rc == LSM_OK && walk->more) {
        rc = segment_first_key(&walk->view, walk->at.page.page_no, &walk->key, &walk->topic);
    }
    return rc;
}

/* The next one becomes the present one. Requires `more`. */
static int leaf_next(struct leaf_walk *walk) {
    int rc;

    buffer_append(&walk->passed, &walk->at.page.page_no, sizeof walk->at.page.page_no);
    rc = walk->passed.rc;
    if (rc == LSM_OK) {
        rc = segment_page_next_start(&walk->view, &walk->at, &walk->budget, &walk->more);
    }
    return rc == LSM_OK ? leaf_settle(walk) : rc;
}

static int leaf_first(struct leaf_walk *walk) {
    int rc;

    walk->budget = pager_segment_pages_max(walk->view.pager, walk->view.segment);
    rc = segment_page_first_start(&walk->view, &walk->at, &walk->more);
    if (rc == LSM_OK) rc = leaf_settle(walk);
    return rc == LSM_OK && walk->more ? leaf_next(walk) : rc;
}

/* `*rank`: place of the last pointer, which later ones do not go behind. */
static bool pointer_is_right(const struct leaf_walk *walk, uint64_t pointer, bool may_lag,
                             size_t *rank) {
    size_t here = leaf_count(walk) - 1;
    size_t i = may_lag ? *rank : here;

    for (; i <= here; i++) {
        if (leaf_passed(walk, i) == pointer) {
            *rank = i;
            return true;
        }
    }
    return false;
}

static int compare(struct segment_cursor *upper, struct leaf_walk *lower,
                   const struct segment_report *report) {
    size_t rank = 0;
    uint64_t page_no = 0;
    uint32_t wrong = 0;
    int rc = segment_first(upper);

    while (rc == LSM_OK && upper->valid && wrong < WRONG_MAX) {
        uint64_t pointer = pager_redirect(lower->view.pager, lower->view.redirects, upper->pointer);
        while (rc == LSM_OK && lower->more &&
               topic_key_compare(lower->topic, buffer_slice(&lower->key),
                                 record_topic(upper->flags), upper->key) <= 0) {
            rc = leaf_next(lower);
        }
        if (rc != LSM_OK) break;
        if (!pointer_is_right(lower, pointer, (upper->flags & RECORD_START_DELETE) != 0, &rank)) {
            report->problem(report->context, upper->page.page_no,
                            pointer == 0
                                ? "a record has no pointer into the next older segment"
                                : "a pointer leads to the wrong page of the next older segment");
            wrong++;
        }
        if (report->page && upper->page.page_no != page_no) {
            rc = report->page(report->context, PASS_LINKS);
        }
        page_no = upper->page.page_no;
        if (rc == LSM_OK) rc = segment_next(upper);
    }
    return rc;
}

int segment_check_pointers(const struct segment_view *upper, const struct segment_view *lower,
                           lsm_env *env, const struct segment_report *report) {
    struct error_context error = {0};
    struct segment_view upper_view = *upper;
    struct segment_cursor cursor;
    struct leaf_walk walk = {.view = *lower};
    int rc;

    upper_view.error = &error;
    walk.view.error = &error;
    buffer_init(&walk.key, env);
    buffer_init(&walk.passed, env);
    segment_cursor_init(&cursor, env, &upper_view);
    rc = leaf_first(&walk);
    if (rc == LSM_OK && walk.more) rc = compare(&cursor, &walk, report);
    if (error_is_damage(&error, rc)) {
        report->problem(report->context, error.page_no, error.reason ? error.reason : "damaged");
        rc = LSM_OK;
    }
    segment_cursor_release(&cursor);
    segment_page_put(&walk.view, &walk.at);
    buffer_release(&walk.key);
    buffer_release(&walk.passed);
    return rc;
}
