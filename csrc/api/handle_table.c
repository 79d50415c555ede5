/*
** handle_table.c — u32 handles: slot in the low half, generation in the high half.
**
** INVARIANTS  (I1) a slot is reused first in, first out, with the next generation. One that has had all of them is
**             worn, and rests until all are, or are in use. So an old id names a new object after 65,534 reuses
**             of its slot at the earliest, with few handles open after a thousand million others.
**             (I2) one thread at a time is between enter and leave.
** LOCKING     static mutex 1. Thread ends close what their thread owns (see close_owned).
*/
#include "api/bulk_internal.h"
#include "base/memory.h"

#define TABLE_MUTEX 1
#ifndef SLOTS /* a test has fewer of each */
#define SLOTS 65535u
#define SLOTS_ENOUGH 1024u /* from then on rested slots are reused before there are more */
#define GENERATION_MAX 0xffffu
#endif

struct slot {
    struct handle *handle;
    uint32_t generation;
    uint32_t next_free; /* slot + 1, 0 = end */
};

struct slot_queue {
    uint32_t first; /* slot + 1, 0 = none */
    uint32_t last;
};

/* What one thread owns; its destructor runs when the thread ends. */
struct handle_owner {
    struct handle *handles; /* databases */
};

static struct slot *table;
static uint32_t table_capacity;
static uint32_t table_used; /* slots ever used */
static struct slot_queue free_slots;
static struct slot_queue worn_slots;
static _Thread_local struct handle_owner *this_owner;

static bool grow(void) {
    uint32_t capacity = table_capacity ? table_capacity * 2 : 64;
    struct slot *bigger;

    if (capacity > SLOTS) capacity = SLOTS;
    if (capacity == table_capacity) return false;
    bigger = memory_reallocate(lsm_default_env(), table, capacity * sizeof *table);
    if (bigger == NULL) return false;
    memset(bigger + table_capacity, 0, (capacity - table_capacity) * sizeof *table);
    table = bigger;
    table_capacity = capacity;
    return true;
}

static void put_last(struct slot_queue *queue, uint32_t index) {
    table[index].next_free = 0;
    if (queue->last) {
        table[queue->last - 1].next_free = index + 1;
    } else {
        queue->first = index + 1;
    }
    queue->last = index + 1;
}

static uint32_t take_first(struct slot_queue *queue) {
    uint32_t index = queue->first - 1;

    queue->first = table[index].next_free;
    if (queue->first == 0) queue->last = 0;
    return index;
}

static bool take_slot(uint32_t *out) {
    /* Fresh slots first: they keep old generations resting longest. */
    if (table_used == table_capacity && !(free_slots.first && table_capacity >= SLOTS_ENOUGH)) (void)grow();
    if (table_used < table_capacity) {
        *out = table_used++;
        table[*out].generation = 1;
        return true;
    }
    if (free_slots.first == 0) {
        free_slots = worn_slots;
        worn_slots = (struct slot_queue){0, 0};
    }
    if (free_slots.first == 0) return false;
    *out = take_first(&free_slots);
    return true;
}

static void give_slot(uint32_t index) {
    struct slot *slot = &table[index];
    bool worn = slot->generation == GENERATION_MAX;

    slot->handle = NULL;
    slot->generation = worn ? 1 : slot->generation + 1;
    put_last(worn ? &worn_slots : &free_slots, index);
}

/* The thread ends: what it owned is rolled back and closed, once calls in flight on other threads ended. */
static void close_owned(void *value) {
    struct handle_owner *owner = value;
    lsm_env *env = lsm_default_env();

    for (;;) {
        struct handle *handle;
        bool busy;
        os_static_enter(TABLE_MUTEX);
        handle = owner->handles;
        busy = handle != NULL && handle->in_use;
        if (handle != NULL && !busy) handle->in_use = true;
        os_static_leave(TABLE_MUTEX);
        if (handle == NULL) break;
        if (busy) {
            os_sleep(env, 1000);
            continue;
        }
        bulk_close_database(handle, true);
    }
    this_owner = NULL;
    memory_free(env, owner);
}

static struct handle_owner *owner_of_this_thread(void) {
    if (this_owner == NULL) {
        struct handle_owner *owner = memory_allocate_zero(lsm_default_env(), sizeof *owner);
        if (owner == NULL) return NULL;
        if (os_thread_exit_register(close_owned, owner) != LSM_OK) {
            memory_free(lsm_default_env(), owner);
            return NULL;
        }
        this_owner = owner;
    }
    return this_owner;
}

struct handle *handle_new(enum handle_kind kind, struct handle *parent) {
    lsm_env *env = lsm_default_env();
    struct handle *handle = memory_allocate_zero(env, sizeof *handle);
    struct handle_owner *owner = NULL;
    uint32_t index;

    if (handle == NULL) return NULL;
    if (kind == HANDLE_DATABASE) {
        owner = owner_of_this_thread();
        if (owner == NULL) goto fail;
    }
    buffer_init(&handle->pending, env);
    buffer_init(&handle->scan.bounds, env);
    handle->kind = kind;
    handle->in_use = true;
    handle->parent = parent;
    os_static_enter(TABLE_MUTEX);
    if (!take_slot(&index)) {
        os_static_leave(TABLE_MUTEX);
        goto fail;
    }
    table[index].handle = handle;
    handle->id = index | (table[index].generation << 16);
    if (owner) {
        handle->owner = owner;
        handle->next_owned = owner->handles;
        owner->handles = handle;
    }
    if (parent) {
        handle->next_child = parent->children;
        handle->child_link = &parent->children;
        if (parent->children) parent->children->child_link = &handle->next_child;
        parent->children = handle;
    }
    os_static_leave(TABLE_MUTEX);
    return handle;
fail:
    memory_free(env, handle);
    return NULL;
}

int32_t handle_enter(uint32_t id, unsigned kinds, struct handle **out) {
    struct handle *handle = NULL;
    uint32_t index = id & 0xffffu;
    int32_t result = LSM_BULK_CLOSED;

    os_static_enter(TABLE_MUTEX);
    if (index < table_used && table[index].generation == id >> 16) handle = table[index].handle;
    if (handle && (handle->kind & kinds)) {
        if (handle->ending) {
            result = LSM_BULK_CLOSED;
        } else if (handle->in_use) {
            result = LSM_BULK_IN_USE;
        } else {
            handle->in_use = true;
            *out = handle;
            result = LSM_OK;
        }
    }
    os_static_leave(TABLE_MUTEX);
    return result;
}

void handle_leave(struct handle *handle) {
    os_static_enter(TABLE_MUTEX);
    handle->in_use = false;
    os_static_leave(TABLE_MUTEX);
}

/* Requires the table mutex. */
static void unlink_owned(struct handle *handle) {
    struct handle **link;

    for (link = &handle->owner->handles; *link; link = &(*link)->next_owned) {
        if (*link == handle) {
            *link = handle->next_owned;
            return;
        }
    }
}

bool handle_table_is_full(void) {
    bool full;

    os_static_enter(TABLE_MUTEX);
    full = table_used == SLOTS && free_slots.first == 0 && worn_slots.first == 0;
    os_static_leave(TABLE_MUTEX);
    return full;
}

/* A child of `database` that nobody is inside, entered; NULL: none left, or (*busy) all in use. */
struct handle *handle_enter_child(struct handle *database, uint32_t above_level, bool live_only,
                                  bool *busy) {
    struct handle *child;

    *busy = false;
    os_static_enter(TABLE_MUTEX);
    for (child = database->children; child; child = child->next_child) {
        if (live_only && !(child->live && child->level > above_level)) continue;
        child->ending = true; /* who comes back for one call after the other could keep it for ever */
        if (child->in_use) {
            *busy = true;
            continue;
        }
        child->in_use = true;
        break;
    }
    os_static_leave(TABLE_MUTEX);
    return child;
}

void handle_remove(struct handle *handle) {
    os_static_enter(TABLE_MUTEX);
    give_slot(handle->id & 0xffffu);
    if (handle->parent) {
        *handle->child_link = handle->next_child;
        if (handle->next_child) handle->next_child->child_link = handle->child_link;
    } else {
        unlink_owned(handle);
    }
    os_static_leave(TABLE_MUTEX);
}

void handle_free(struct handle *handle) {
    buffer_release(&handle->pending);
    buffer_release(&handle->scan.bounds);
    memory_free(lsm_default_env(), handle);
}

uint32_t handle_next_database(uint32_t after) {
    uint32_t index;
    uint32_t id = 0;

    os_static_enter(TABLE_MUTEX);
    for (index = after; index < table_used; index++) {
        struct handle *handle = table[index].handle;
        if (handle && handle->kind == HANDLE_DATABASE) {
            id = handle->id;
            break;
        }
    }
    os_static_leave(TABLE_MUTEX);
    return id;
}
