/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The YAML file of daos_server, in the original's shape (api.md 6). What Cairn has no use for is accepted when the original knows it; a key that nobody knows is a
 * mistake and is named with its line.
 *
 *      name: daos_server              system name, at most 15 characters
 *      socket_dir: /run/user/0/cairn  runtime directory; default: $CAIRN_RUNTIME_DIR, $XDG_RUNTIME_DIR/cairn, /run/cairn
 *      provider: unix                 unix (default, this host only), tcp, or a libfabric provider as the original names it: "ofi+tcp;ofi_rxm",
 *                                     "ofi+verbs;ofi_rxm"
 *      engines:
 *      - targets: 2                   1..64
 *        fabric_iface: lo             an interface's IPv4 address or lo; not with unix
 *        fabric_iface_port: 31316     not with unix: this port for services, the following ones for the targets
 *        storage:
 *        - class: file                file: ordinary files; ram: the same on a tmpfs
 *          scm_mount: /var/lib/cairn/0   directory of this engine; with devices, too, on a file system that lasts
 *          scm_size: 2                largest size of the metadata, GiB, over all targets; default 1 for each target
 *          scm_memory: 512            memory for the metadata, MiB, over all targets (not a key of the original); default a quarter of the machine's; without limit
 *                                     where the metadata lies on a tmpfs and nothing is said
 *          bdev_size: 16              size of the data, GB, over all targets; default 16 for each target
 *        - class: kdev                devices, shared by the targets: kdev: block devices; file: files that stand for such
 *          bdev_list: [/dev/sdb]      target i lies on device i modulo their number
 *          bdev_size: 16              of class file: size of each file, GB
 *          bdev_roles: [wal, meta, data]   what lies there, default all; the rest is in files in scm_mount
 */
#ifndef CAIRN_SERVER_CFG_H
#define CAIRN_SERVER_CFG_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SERVER_ENGINES_NR_MAX = 64,
    SERVER_TAGS_NR_MAX = 280, /* engines and targets of a host: their URIs fit one control message */
    SERVER_PATH_BYTES = 192,
    SERVER_NAME_BYTES = 16,
    SERVER_DEVS_NR_MAX = 16, /* of an engine */
    SERVER_ERR_BYTES = 512
};

/* A device of an engine, as daos_engine --dev takes it. */
struct server_dev_cfg {
    char path[SERVER_PATH_BYTES];
    char roles[16]; /* "wal,meta,data" */
    uint64_t bytes; /* not 0: a file, made with that size */
};

struct server_engine_cfg {
    uint32_t targets;
    char dir[SERVER_PATH_BYTES];
    bool is_ram; /* class ram: dir lies on a tmpfs */
    bool is_pmem; /* class dcpm: dir lies on persistent memory */
    uint32_t dev_nr;
    struct server_dev_cfg devs[SERVER_DEVS_NR_MAX];
    uint64_t meta_bytes, data_bytes; /* of one target; 0: default */
    uint64_t wal_bytes;
    uint64_t mem_bytes; /* of one target; 0: default */
    char iface[64];
    uint32_t port;
    char log_file[SERVER_PATH_BYTES];
};

struct server_cfg {
    char name[SERVER_NAME_BYTES];
    char runtime_dir[SERVER_PATH_BYTES];
    char provider[32]; /* "tcp" or "ofi+..."; empty: unix */
    uint32_t engine_nr;
    struct server_engine_cfg engines[SERVER_ENGINES_NR_MAX];
};

/** Errors: NONEXIST no such file; INVAL with one line in `err`: file, line, what is wrong, what is right. */
CAIRN_MUST_CHECK int
server_cfg_load(const char *path, struct server_cfg *ret_cfg, char *err, size_t err_bytes);

/** The runtime directory of this user without a file: where clients and dmg look. */
CAIRN_MUST_CHECK int server_runtime_dir(char *buf, size_t buf_bytes);

#endif
