/*
** error.c — first one wins: what is reported is the cause, not its consequences.
*/
#include "base/error.h"

int error_corrupt(struct error_context *error, uint64_t page_no, const char *reason) {
    if (error && error->code == LSM_OK) {
        error->code = LSM_CORRUPT;
        error->page_no = page_no;
        error->reason = reason;
    }
    return LSM_CORRUPT;
}

int error_note(struct error_context *error, int code, const char *reason) {
    if (error && error->code == LSM_OK && code != LSM_OK) {
        error->code = code;
        error->page_no = 0;
        error->reason = reason;
    }
    return code;
}

void error_clear(struct error_context *error) {
    *error = (struct error_context){0};
}
