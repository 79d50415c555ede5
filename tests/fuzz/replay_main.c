/*
** replay_main.c — runs one fuzz target on the files named, without a fuzzer: for a debugger, or where there is
** no clang.
**
**     cc ... tests/fuzz/log_fuzz.c tests/fuzz/replay_main.c <engine> -o replay && ./replay crash-1 crash-2
*/
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        FILE *in = fopen(argv[i], "rb");
        uint8_t *bytes;
        long size;

        if (in == NULL || fseek(in, 0, SEEK_END) != 0 || (size = ftell(in)) < 0) {
            fprintf(stderr, "cannot read %s\n", argv[i]);
            return 1;
        }
        rewind(in);
        bytes = malloc(size > 0 ? (size_t)size : 1); /* exact: reads behind it are seen */
        if (bytes == NULL || fread(bytes, 1, (size_t)size, in) != (size_t)size) {
            fprintf(stderr, "cannot read %s\n", argv[i]);
            return 1;
        }
        fclose(in);
        printf("%s: %ld bytes\n", argv[i], size);
        fflush(stdout);
        (void)LLVMFuzzerTestOneInput(bytes, (size_t)size);
        free(bytes);
    }
    return 0;
}
