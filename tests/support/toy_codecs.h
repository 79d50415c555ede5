/*
** toy_codecs.h — two sets of compression hooks for tests: run lengths, and plain copies.
**
** FORMAT      run lengths: pairs of count (1..255) and byte. copy: the bytes themselves.
*/
#ifndef LSM_SUPPORT_TOY_CODECS_H
#define LSM_SUPPORT_TOY_CODECS_H

#include <stdint.h>
#include <string.h>

#include "lsm.h"
#include "support/test.h"

TEST_HELPER int rle_bound(void *context, int size) {
    (void)context;
    return 2 * size;
}
TEST_HELPER int rle_compress(void *context, char *out, int *out_size, const char *in, int size) {
    int used = 0;
    (void)context;
    for (int i = 0; i < size;) {
        int run = 1;
        while (i + run < size && run < 255 && in[i + run] == in[i]) run++;
        if (used + 2 > *out_size) return LSM_FULL;
        out[used++] = (char)(unsigned char)run;
        out[used++] = in[i];
        i += run;
    }
    *out_size = used;
    return LSM_OK;
}
TEST_HELPER int rle_uncompress(void *context, char *out, int *out_size, const char *in, int size) {
    int used = 0;
    (void)context;
    if (size % 2) return LSM_CORRUPT;
    for (int i = 0; i < size; i += 2) {
        int run = (unsigned char)in[i];
        if (run > *out_size - used) return LSM_CORRUPT;
        memset(out + used, in[i + 1], (size_t)run);
        used += run;
    }
    *out_size = used;
    return LSM_OK;
}
TEST_HELPER int copy_bound(void *context, int size) {
    (void)context;
    return size;
}
TEST_HELPER int copy_either_way(void *context, char *out, int *out_size, const char *in, int size) {
    (void)context;
    if (size > *out_size) return LSM_FULL;
    memcpy(out, in, (size_t)size);
    *out_size = size;
    return LSM_OK;
}

static const lsm_compress rle_codec __attribute__((unused)) = {
    NULL, 10001, rle_bound, rle_compress, rle_uncompress, NULL};
static const lsm_compress copy_codec __attribute__((unused)) = {
    NULL, 10002, copy_bound, copy_either_way, copy_either_way, NULL};

#endif
