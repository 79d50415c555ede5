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

int error_note_page(struct error_context *error, int code, uint64_t page_no, const char *reason) {
    if (error && error->code == LSM_OK && code != LSM_OK) {
        error->code = code;
        error->page_no = page_no;
        error->reason = reason;
    }
    return code;
}

int error_note(struct error_context *error, int code, const char *reason) {
    return error_note_page(error, code, 0, reason);
}

bool error_is_damage(const struct error_context *error, int rc) {
    return rc == LSM_CORRUPT || (rc != LSM_OK && error->code == rc && error->page_no != 0);
}

void error_clear(struct error_context *error) {
    *error = (struct error_context){0};
}
