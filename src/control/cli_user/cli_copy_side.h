/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The few operations that copying needs, the same for the host's file system and a container. Answers are 0 or a positive errno. Names are relative to an open directory, so that
 * no path is resolved twice; links are not followed, but in the paths of side_dir_open().
 */
#ifndef CAIRN_CLI_COPY_SIDE_H
#define CAIRN_CLI_COPY_SIDE_H

#include "control/cli_user/cli_copy.h"

/* A directory held open; may be used by many threads at once. */
struct side_dir;

int side_dir_open(const struct copy_side *side, const char *path, struct side_dir **ret_dir);
int side_dir_open_at(struct side_dir *dir, const char *name, struct side_dir **ret_dir);
/** EEXIST: there is something. Mode 0700 until CPY-3. */
int side_dir_make(struct side_dir *dir, const char *name);
void side_dir_close(struct side_dir *dir); /* NULL-safe */
/** Call fn for each name; its non-zero answer ends the listing. */
int side_dir_list(struct side_dir *dir, int (*fn)(void *arg, const char *name), void *arg);
/*
 * What an attribute may end as: set, or left as it is because the destination does not let us (an owner without the right to give things away, an extended
 * attribute that its file system does not have or finds too large): `*ret_left` is then set, and it is no error.
 */

/** Mode and mtime of the directory itself; with_owner: its owner and group, too. */
int side_dir_attr_set(struct side_dir *dir, const struct stat *st, bool with_owner, bool *ret_left);
/** Extended attributes "user.*"; those that the copy has besides stay. */
int side_dir_xattrs_copy(struct side_dir *src, struct side_dir *dst, bool *ret_left);

/* Something in a directory that was looked at, and in a container opened by that. */
struct side_node {
    struct stat st;
    dfs_t *dfs; /* NULL: the host */
    dfs_obj_t *obj;
    int fd;
};

/** side_node_close() it, also after an error. */
int side_node_open(struct side_dir *dir, const char *name, struct side_node *ret_node);
void side_node_close(struct side_node *node);
int side_node_link_read(
    struct side_dir *dir, const char *name, struct side_node *node, char *buf, size_t buf_bytes);
/** Before the first read of a file. */
int side_node_file_open(struct side_dir *dir, const char *name, struct side_node *node);
int side_node_read(
    struct side_node *node, uint64_t off, void *buf, size_t len, size_t *ret_len); /* 0: the end */

/** A link with its mtime, and owner; one that is there is replaced. */
int side_link_make(struct side_dir *dir, const char *name, const char *value, const struct stat *st,
    bool with_owner, bool *ret_left);

/* A file being written. */
struct side_file;

int side_file_make(struct side_dir *dir, const char *name, struct side_file **ret_file); /* empty */
int side_file_write(struct side_file *file, uint64_t off, const void *buf, size_t len);
/** The size, for a file that ends in a hole. */
int side_file_size_set(struct side_file *file, uint64_t size);
int
side_file_attr_set(struct side_file *file, const struct stat *st, bool with_owner, bool *ret_left);
/** As side_dir_xattrs_copy(), from a node whose file is open. */
int side_file_xattrs_copy(struct side_node *src, struct side_file *dst, bool *ret_left);
int side_file_close(struct side_file *file); /* NULL-safe */

#endif
