/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * ddb: looks into the storage of a stopped target. What its files share: the opened target, output, paths into the tree.
 *
 *   DDB-1  Nothing is written: files and devices are opened for reading, the log is replayed in memory.
 *   DDB-2  An engine that runs keeps ddb out, and ddb keeps an engine from starting (a shared lock on what the engine locks).
 *   DDB-3  Whatever is damaged, each command ends, with what could be shown and a line for each damaged place that it met.
 *   DDB-4  `check` says "sound" only when every byte that is referenced was read and agrees with its checksum, every tree, table and counter with the others.
 *
 * Owner: the main thread, which drives the only xstream; every command is one ULT. Tested by test/ddb_test.py.
 */
#ifndef CAIRN_DDB_H
#define CAIRN_DDB_H

#include <jansson.h>
#include <stdio.h>

#include "base/ids.h"
#include "base/log.h"
#include "bio/bio_look.h"
#include "vos/vos.h"

enum {
    DDB_TEXT_BYTES = 512,
    DDB_DEVS_NR_MAX = 16,
    DDB_WORDS_NR_MAX = 16,
    DDB_LINE_BYTES_MAX = 8192,
    DDB_FINDINGS_NR_MAX = 1000, /* later ones are counted only */
    DDB_MEM_BYTES = 1 << 30, /* of metadata in memory, and what the log changed */
    DDB_NAME_BYTES = 2 * VOS_KEY_BYTES_MAX + 64, /* a key as text */
    DDB_SYS_IDX = 0xffff, /* the engine's own store */
};

/* What the program ends with. */
enum ddb_exit { DDB_OK = 0, DDB_DAMAGED = 1, DDB_FAILED = 2 };

/* A line about something damaged. */
struct ddb_finding {
    struct ddb_finding *next;
    char text[];
};

struct ddb {
    bool is_json;
    FILE *out; /* for text */
    /* what to open */
    const char *path;
    char path_mem[DDB_TEXT_BYTES]; /* of the command open */
    const char *tgt_text; /* --target */
    const char *devs[DDB_DEVS_NR_MAX];
    uint32_t dev_nr;

    struct plat *plat;
    struct xstream *xs;
    struct bio_tgt *bio;
    struct vos_tgt *vos; /* NULL: no store can be had: vos_rc says why */
    int vos_rc;
    struct bio_cfg cfg; /* as opened: where the roles are */
    int lock_fds[DDB_DEVS_NR_MAX + 1];
    uint32_t lock_nr;
    struct bio_look_dev *dev_looks; /* dev_nr of them */

    /* of the command at work */
    char err[DDB_TEXT_BYTES];
    json_t *response;
    struct ddb_finding *findings, **findings_end;
    uint32_t finding_nr, unsaid_nr;
    bool is_fresh; /* the findings are those of the opening, so far */
    bool has_verdict; /* `check` has told: the exit code is its own */
    enum ddb_exit verdict;
    bool is_done;
};

/** Fill d->err. Returns rc. */
int ddb_fail(struct ddb *d, int rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/** A damaged place. The same text is told once. */
void ddb_found(struct ddb *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void ddb_findings_clear(struct ddb *d);
/** Text for people; nothing with --json. */
void ddb_say(const struct ddb *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** Append to a list; takes `row`. Nothing without --json. */
void ddb_row(struct ddb *d, const char *list, json_t *row);
/** Set a member of the response; takes `value`. */
void ddb_set(struct ddb *d, const char *name, json_t *value);
/** uint64 as JSON: a number while it fits. */
json_t *ddb_u64(uint64_t v);
json_t *ddb_hex(uint64_t v);

/** What the components below log, as a finding: for log_sink_set(). */
void ddb_log_line(void *arg, enum log_level level, const char *file, int line, const char *text);

/* ddb_open.c */
CAIRN_YIELDS CAIRN_MUST_CHECK int ddb_open(struct ddb *d);
/** The second half of it: cfg says where the roles are. */
CAIRN_YIELDS CAIRN_MUST_CHECK int ddb_open_at(struct ddb *d);
CAIRN_YIELDS void ddb_close(struct ddb *d);
void ddb_unlock(struct ddb *d);
const char *ddb_role_name(enum bio_role role);
/** The file or the region of a role, for people. */
void ddb_role_text(const struct ddb *d, enum bio_role role, char *buf, size_t bytes);
/** Is it persistent memory, which may tear within a sector? */
bool ddb_is_dax(const struct ddb *d, enum bio_role role);

/* A place in the tree: pool, container, object, dkey, akey, version, as far as nr says. */
enum ddb_level { DDB_ROOT, DDB_POOL, DDB_CONT, DDB_OBJ, DDB_DKEY, DDB_AKEY, DDB_VER, DDB_LEVEL_NR };
struct ddb_place {
    enum ddb_level level;
    struct uuid pool, cont_id;
    struct vos_cont *cont; /* from DDB_CONT on; open */
    struct vos_oid oid;
    uint8_t dkey_buf[VOS_KEY_BYTES_MAX], akey_buf[VOS_KEY_BYTES_MAX];
    struct iov dkey, akey;
    bool is_array; /* DDB_VER */
    struct recx recx;
    uint64_t epoch;
    uint16_t minor;
};
/* ddb_path.c */
/** Find what a path names; end with ddb_place_end() in any case. Errors: NONEXIST, INVAL; those of vos_iter(). */
CAIRN_YIELDS CAIRN_MUST_CHECK int
ddb_place_find(struct ddb *d, const char *path, struct ddb_place *place);
void ddb_place_end(struct ddb_place *place);
/** Go down to an entry of the level below: its part of the place, and the level. */
void ddb_place_set(struct ddb_place *p, const struct vos_iter_ent *ent);
/** A key as a path has it: text, {uint64: N}, {bin: 0x...}. */
void ddb_key_text(const struct iov *key, bool is_int, char *buf, size_t bytes);
bool ddb_oid_has_int_dkey(const struct vos_oid *oid);
bool ddb_oid_has_int_akey(const struct vos_oid *oid);
void ddb_oid_text(const struct vos_oid *oid, char *buf, size_t bytes);
void ddb_place_text(const struct ddb_place *place, char *buf, size_t bytes);

/* Commands: words[0] is the name. */
typedef int (*ddb_cmd_fn)(struct ddb *d, uint32_t nr, char **words);
CAIRN_YIELDS int ddb_cmd_superblock(struct ddb *d, uint32_t nr, char **words); /* ddb_disk.c */
CAIRN_YIELDS int ddb_cmd_devs(struct ddb *d, uint32_t nr, char **words);
CAIRN_YIELDS int ddb_cmd_ckpt(struct ddb *d, uint32_t nr, char **words);
CAIRN_YIELDS int ddb_cmd_map(struct ddb *d, uint32_t nr, char **words);
CAIRN_YIELDS int ddb_cmd_log(struct ddb *d, uint32_t nr, char **words);
CAIRN_YIELDS int ddb_cmd_arena(struct ddb *d, uint32_t nr, char **words); /* ddb_space.c */
CAIRN_YIELDS int ddb_cmd_vea(struct ddb *d, uint32_t nr, char **words);
CAIRN_YIELDS int ddb_cmd_stat(struct ddb *d, uint32_t nr, char **words); /* ddb_stat.c */
CAIRN_YIELDS int ddb_cmd_reqs(struct ddb *d, uint32_t nr, char **words);
CAIRN_YIELDS int ddb_cmd_gc(struct ddb *d, uint32_t nr, char **words);
CAIRN_YIELDS int ddb_cmd_ls(struct ddb *d, uint32_t nr, char **words); /* ddb_ls.c */
CAIRN_YIELDS int ddb_cmd_dtx(struct ddb *d, uint32_t nr, char **words);
CAIRN_YIELDS int ddb_cmd_ilog(struct ddb *d, uint32_t nr, char **words);
CAIRN_YIELDS int ddb_cmd_value(struct ddb *d, uint32_t nr, char **words); /* ddb_value.c */
CAIRN_YIELDS int ddb_cmd_check(struct ddb *d, uint32_t nr, char **words); /* ddb_check.c */

#endif
