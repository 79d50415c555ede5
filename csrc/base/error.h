/*
** error.h — where and why something was found damaged.
**
** OWNERSHIP   `reason` is a string literal. A context belongs to the connection (or job) on whose behalf
**             pages are read; the boundary of the API delivers it to the log hook and clears it.
*/
#ifndef LSM_BASE_ERROR_H
#define LSM_BASE_ERROR_H

#include "base/types.h"

struct error_context {
    int code;            /* first code noted, LSM_OK = nothing noted */
    uint64_t page_no;    /* page (or log offset, see reason), 0 = none */
    const char *reason;  /* first reason */
    int system_error;    /* errno or GetLastError of the first failing call, 0 = none */
};

/* Note place and reason unless something is noted already. `error` may be NULL. Return LSM_CORRUPT:
** this is the only maker of that code. */
int error_corrupt(struct error_context *error, uint64_t page_no, const char *reason);

/* Note a failure of another kind; returns `code`. */
int error_note(struct error_context *error, int code, const char *reason);

/* The same, of a page: its content, not a file, was the cause. */
int error_note_page(struct error_context *error, int code, uint64_t page_no, const char *reason);

/* Did `rc` come of what stands on a page: LSM_CORRUPT, or a code of error_note_page? */
bool error_is_damage(const struct error_context *error, int rc);

void error_clear(struct error_context *error);

#endif
