/*
** backend.h — what the driver asks of an engine. Each back end is one file that defines `backend`; the driver is
** linked once with each, so that a program contains one engine and nothing of the others.
**
** A back end keeps one database in variables of its own. No function returns an error: bench_fail ends the program,
** since a benchmark of failing calls says nothing.
*/
#ifndef LSM_BENCH_BACKEND_H
#define LSM_BENCH_BACKEND_H

#include <stdbool.h>
#include <stddef.h>

/* What engines with such options get for looking up: our budget of fences and filters, and a usual filter. */
#define LOOK_UP_BYTES ((size_t)64 << 20)
#define FILTER_BITS 10

struct bytes {
    const void *data;
    size_t size;
};

struct bench_options {
    const char *library;  /* shared library to load; for back ends that load one */
    const char *folder;   /* exists and is empty */
    bool defaults;        /* leave every option at the engine's own default */
    bool synced;          /* a commit returns when it is durable */
    int autoflush_kb;     /* size of the tree in memory, where there is such a thing */
    int budget_kb;        /* for what our engine keeps about its runs; 0 = leave it */
    int mmap;
    bool background;      /* a thread does the work, where our engine is measured */
    int processes;        /* 1: other processes may open the database, too */
};

struct backend {
    const char *name;
    const char *(*version)(void); /* NULL: not known here */
    void (*open)(const struct bench_options *options);
    void (*close)(void);

    /* Writing: `put` between begin and commit, or put_single by itself. */
    void (*begin)(void);
    void (*put)(struct bytes key, struct bytes value);
    void (*commit)(void);
    void (*put_single)(struct bytes key, struct bytes value);
    void (*merge_all)(void); /* all runs to one, and their space free again; NULL: has no such thing */

    /* Reading one version. `get` and the cursor need read_begin; slices are valid until the next call. */
    void (*read_begin)(void);
    void (*read_end)(void);
    bool (*get)(struct bytes key, struct bytes *value);
    bool (*seek)(struct bytes key); /* the least entry at or behind `key`; false: there is none */
    bool (*first)(void);
    bool (*last)(void);
    bool (*next)(void);
    bool (*prev)(void);
    void (*current)(struct bytes *key, struct bytes *value);
};

extern const struct backend backend;

/* End the program with a message. */
#if defined(__GNUC__)
__attribute__((noreturn))
#endif
void bench_fail(const char *what, const char *why);

#endif
