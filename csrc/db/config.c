/*
** config.c — parameters of a connection: range, when they may change, what is read back.
**
** A value out of range or at the wrong time is ignored; the value in force is always written back.
*/
#include "db/db_internal.h"
#include "lsm_bulk.h"

#define TREE_UNIT_MIN (64u << 10) /* AUTOFLUSH 0 does not mean that there may be nothing in memory */
#define TREE_UNITS 8
#define TREE_LIMIT_MAX (512u << 20) /* two trees and a transaction share 2 GiB, and records are not all of it */
#define LOG_UNITS 4
#define LOG_LIMIT_MIN (16u << 20) /* what is written in the ordinary way stays below, and pays for pages only */

static bool power_of_two(int value) {
    return value > 0 && (value & (value - 1)) == 0;
}

/* In an uncompressed database a block has at least four pages: raised where it would not. */
int db_block_size_kb(const lsm_db *db) {
    int pages_min = db->compress.xBound ? 2 : 4;
    int block_size_kb = db->config.block_size_kb;

    while (block_size_kb * 1024 < pages_min * db->config.page_size) block_size_kb *= 2;
    return block_size_kb;
}

static uint64_t larger(uint64_t left, uint64_t right) {
    return left > right ? left : right;
}

uint64_t db_tree_limit(const lsm_db *db) {
    uint64_t limit = larger((uint64_t)db->config.autoflush_kb * 1024, TREE_UNIT_MIN) * TREE_UNITS;
    return limit < TREE_LIMIT_MAX ? limit : TREE_LIMIT_MAX;
}

uint64_t db_log_limit(const lsm_db *db) {
    uint64_t unit = larger((uint64_t)db->config.autoflush_kb, (uint64_t)db->config.autocheckpoint_kb) * 1024;
    if (db->config.autocheckpoint_kb == 0) return UINT64_MAX;
    return larger(unit * LOG_UNITS, LOG_LIMIT_MIN);
}

static void set_if(bool allowed, int *field, int value) {
    if (allowed) *field = value;
}

/* The worker writes for this connection, too. */
static void set_safety(lsm_db *db, int value) {
    int before = db->config.safety;

    set_if(value >= LSM_SAFETY_OFF && value <= LSM_SAFETY_FULL, &db->config.safety, value);
    if (db->background && db->config.safety != before) background_safety_changed(db, before);
}

int db_config_integer(lsm_db *db, int verb, int *value) {
    struct db_config *config = &db->config;
    bool closed = db->database == NULL;
    int v = *value;

    switch (verb) {
        case LSM_CONFIG_AUTOFLUSH:
            set_if(v >= 0 && v <= 1048576, &config->autoflush_kb, v);
            *value = config->autoflush_kb;
            break;
        case LSM_CONFIG_PAGE_SIZE:
            set_if(closed && power_of_two(v) && v >= PAGE_SIZE_MIN && v <= PAGE_SIZE_MAX,
                   &config->page_size, v);
            *value = closed ? config->page_size : (int)db->page_size;
            break;
        case LSM_CONFIG_BLOCK_SIZE:
            set_if(closed && power_of_two(v) && v >= 64 && v <= 65536, &config->block_size_kb, v);
            *value = closed ? db_block_size_kb(db) : (int)(db->block_size / 1024);
            break;
        case LSM_CONFIG_SAFETY:
            set_safety(db, v);
            *value = config->safety;
            break;
        case LSM_CONFIG_AUTOWORK:
            set_if(v >= 0, &config->autowork, v);
            *value = config->autowork;
            break;
        case LSM_CONFIG_MMAP:
            /* The pager is shared: what it maps is decided by the connection that opened it first. */
            set_if(v >= 0 && (closed || !read_txn_is_open(db)), &config->mmap, v);
            *value = config->mmap;
            break;
        case LSM_CONFIG_USE_LOG:
            set_if((v == 0 || v == 1) && db->level_count == 0, &config->use_log, v);
            *value = config->use_log;
            break;
        case LSM_CONFIG_AUTOMERGE:
            set_if(v >= 2, &config->automerge, v);
            *value = config->automerge;
            break;
        case LSM_CONFIG_MAX_FREELIST:
            set_if(v >= 2 && v <= FREELIST_ENTRIES_MAX, &config->max_freelist, v);
            *value = config->max_freelist;
            break;
        case LSM_CONFIG_MULTIPLE_PROCESSES:
            if (closed) config->multiple_processes = v != 0;
            /* Every database is owned by one process until sharing the region is there. */
            *value = closed ? config->multiple_processes : 0;
            break;
        case LSM_CONFIG_AUTOCHECKPOINT:
            set_if(v >= 0, &config->autocheckpoint_kb, v);
            *value = config->autocheckpoint_kb;
            break;
        case LSM_CONFIG_READONLY:
            if (closed && v >= 0) config->read_only = v != 0;
            *value = config->read_only;
            break;
        case LSM_BULK_CONFIG_MEMORY_BUDGET_KB:
            /* One budget for all connections of the database: the last word counts. */
            set_if(v >= 0, &config->memory_budget_kb, v);
            if (v >= 0 && db->store) store_set_budget(db->store, (uint64_t)v * 1024);
            if (db->store) config->memory_budget_kb = (int)(store_budget(db->store) / 1024);
            *value = config->memory_budget_kb;
            break;
        case LSM_BULK_CONFIG_BACKGROUND:
            set_if(closed && (v == 0 || v == 1), &config->background, v);
            *value = config->background;
            break;
        default:
            return LSM_MISUSE;
    }
    return LSM_OK;
}

int db_config_compression(lsm_db *db, const lsm_compress *compress) {
    if (db->database && !db->in_factory &&
        (read_txn_is_open(db) || db->level_count > 0 || db_in_callback(db))) {
        return LSM_MISUSE;
    }
    if (db->database) compression_leave(db);
    if (db->compress.xFree) db->compress.xFree(db->compress.pCtx);
    if (compress->xBound == NULL) {
        db->compress = (lsm_compress){.iId = LSM_COMPRESSION_NONE};
    } else {
        db->compress = *compress;
    }
    return LSM_OK;
}

void db_config_get_compression(lsm_db *db, lsm_compress *out) {
    *out = db->compress;
}

void db_config_factory(lsm_db *db, const lsm_compress_factory *factory) {
    if (db->factory.xFree) db->factory.xFree(db->factory.pCtx);
    db->factory = *factory;
}
