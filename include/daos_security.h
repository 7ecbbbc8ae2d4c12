/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Access control lists: entries (ACEs) that say what a principal may do with a pool or container.
 * Text form: "A:G:readers@:r" is types, flags, principal, permissions.
 */
#ifndef CAIRN_DAOS_SECURITY_H
#define CAIRN_DAOS_SECURITY_H

#include <daos_prop.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#if defined(__cplusplus)
extern "C" {
#endif

#pragma GCC visibility push(default)

#define DAOS_ACL_VERSION (1)
/** Longest principal, without terminator. */
#define DAOS_ACL_MAX_PRINCIPAL_LEN (255)
#define DAOS_ACL_MAX_PRINCIPAL_BUF_LEN (DAOS_ACL_MAX_PRINCIPAL_LEN + 1)

/** Special principals. */
#define DAOS_ACL_PRINCIPAL_OWNER "OWNER@"
#define DAOS_ACL_PRINCIPAL_OWNER_GRP "GROUP@"
#define DAOS_ACL_PRINCIPAL_EVERYONE "EVERYONE@"

/** Most bytes of all entries of a list, and of an entry as text. */
#define DAOS_ACL_MAX_ACE_LEN (65536)
#define DAOS_ACL_MAX_ACE_STR_LEN (DAOS_ACL_MAX_PRINCIPAL_LEN + 64)

/** A list: dal_len bytes of entries, each a multiple of 8 bytes, in the order of their principal types. */
struct daos_acl {
    uint16_t dal_ver;
    uint16_t dal_reserv;
    uint32_t dal_len;
    uint8_t dal_ace[];
};

enum daos_acl_principal_type {
    DAOS_ACL_OWNER = 0,
    DAOS_ACL_USER = 1,
    DAOS_ACL_OWNER_GROUP = 2,
    DAOS_ACL_GROUP = 3,
    DAOS_ACL_EVERYONE = 4,
    NUM_DAOS_ACL_TYPES
};

enum daos_acl_access_type {
    DAOS_ACL_ACCESS_ALLOW = (1U << 0),
    DAOS_ACL_ACCESS_AUDIT = (1U << 1),
    DAOS_ACL_ACCESS_ALARM = (1U << 2)
};

#define DAOS_ACL_ACCESS_ALL (DAOS_ACL_ACCESS_ALLOW | DAOS_ACL_ACCESS_AUDIT | DAOS_ACL_ACCESS_ALARM)

enum daos_acl_flags {
    /** The principal is a group. */
    DAOS_ACL_FLAG_GROUP = (1U << 0),
    /** Containers of the pool inherit the entry. */
    DAOS_ACL_FLAG_POOL_INHERIT = (1U << 1),
    /** Audit and alarm: on refusal, on success. */
    DAOS_ACL_FLAG_ACCESS_FAIL = (1U << 2),
    DAOS_ACL_FLAG_ACCESS_SUCCESS = (1U << 3)
};

#define DAOS_ACL_FLAG_ALL \
    (DAOS_ACL_FLAG_GROUP | DAOS_ACL_FLAG_POOL_INHERIT | DAOS_ACL_FLAG_ACCESS_FAIL | \
        DAOS_ACL_FLAG_ACCESS_SUCCESS)

enum daos_acl_perm {
    DAOS_ACL_PERM_READ = (1U << 0),
    DAOS_ACL_PERM_WRITE = (1U << 1),
    DAOS_ACL_PERM_CREATE_CONT = (1U << 2),
    DAOS_ACL_PERM_DEL_CONT = (1U << 3),
    DAOS_ACL_PERM_GET_PROP = (1U << 4),
    DAOS_ACL_PERM_SET_PROP = (1U << 5),
    DAOS_ACL_PERM_GET_ACL = (1U << 6),
    DAOS_ACL_PERM_SET_ACL = (1U << 7),
    DAOS_ACL_PERM_SET_OWNER = (1U << 8)
};

/** Permissions that mean something for pools, and for containers. */
#define DAOS_ACL_PERM_POOL_ALL \
    (DAOS_ACL_PERM_READ | DAOS_ACL_PERM_GET_PROP | DAOS_ACL_PERM_WRITE | \
        DAOS_ACL_PERM_CREATE_CONT | DAOS_ACL_PERM_DEL_CONT)
#define DAOS_ACL_PERM_CONT_ALL \
    (DAOS_ACL_PERM_READ | DAOS_ACL_PERM_WRITE | DAOS_ACL_PERM_DEL_CONT | DAOS_ACL_PERM_GET_PROP | \
        DAOS_ACL_PERM_SET_PROP | DAOS_ACL_PERM_GET_ACL | DAOS_ACL_PERM_SET_ACL | \
        DAOS_ACL_PERM_SET_OWNER)
#define DAOS_ACL_PERM_ALL (DAOS_ACL_PERM_POOL_ALL | DAOS_ACL_PERM_CONT_ALL)

/** One entry. The principal's length includes terminator and padding to 8 bytes, and is 0 for special principals. */
struct daos_ace {
    uint8_t dae_access_types;
    uint8_t dae_principal_type;
    uint16_t dae_principal_len;
    uint16_t dae_access_flags;
    uint16_t dae_reserv;
    uint64_t dae_allow_perms;
    uint64_t dae_audit_perms;
    uint64_t dae_alarm_perms;
    char dae_principal[];
};

/** A list of copies of entries, sorted; NULL when one is not valid or memory is out. */
struct daos_acl *daos_acl_create(struct daos_ace *aces[], uint16_t num_aces);
struct daos_acl *daos_acl_dup(struct daos_acl *acl);
void daos_acl_free(struct daos_acl *acl);

/** Bytes of the list; -DER_INVAL for NULL. */
ssize_t daos_acl_get_size(struct daos_acl *acl);

/** The entry after *current_ace* (NULL: the first); NULL at the end. */
struct daos_ace *daos_acl_get_next_ace(struct daos_acl *acl, struct daos_ace *current_ace);

/** The entry of a principal; -DER_NONEXIST. */
int daos_acl_get_ace_for_principal(struct daos_acl *acl, enum daos_acl_principal_type type,
    const char *principal, struct daos_ace **ace);

/** Add a copy of an entry, in the place of one of the same principal; remove an entry. The list is replaced by a new one. */
int daos_acl_add_ace(struct daos_acl **acl, struct daos_ace *new_ace);
int daos_acl_remove_ace(
    struct daos_acl **acl, enum daos_acl_principal_type type, const char *principal_name);

/** Print to standard output, for people who debug. */
void daos_acl_dump(struct daos_acl *acl);

/** 0 when version, sizes, entries, order and uniqueness are right, else -DER_INVAL. */
int daos_acl_validate(struct daos_acl *acl);

/** An entry without permissions; *principal_name* for USER and GROUP. NULL when it is not valid. */
struct daos_ace *daos_ace_create(enum daos_acl_principal_type type, const char *principal_name);
void daos_ace_free(struct daos_ace *ace);
ssize_t daos_ace_get_size(struct daos_ace *ace);
void daos_ace_dump(struct daos_ace *ace, uint32_t tabs);
bool daos_ace_is_valid(struct daos_ace *ace);

/** True for 1 to 255 characters with one "@", not at an end of the user part. */
bool daos_acl_principal_is_valid(const char *name);

/** Principal "name@" of a user or group of this machine (freed by the caller), and back. -DER_NONEXIST. */
int daos_acl_uid_to_principal(uid_t uid, char **name);
int daos_acl_gid_to_principal(gid_t gid, char **name);
int daos_acl_principal_to_uid(const char *principal, uid_t *uid);
int daos_acl_principal_to_gid(const char *principal, gid_t *gid);

/** Principal of an entry, the special name for special ones; NULL when it is not valid. */
const char *daos_ace_get_principal_str(struct daos_ace *ace);

/** An entry from its text (freed by the caller); -DER_INVAL. */
int daos_ace_from_str(const char *str, struct daos_ace **ace);

/** Its text; -DER_TRUNC when it does not fit. */
int daos_ace_to_str(struct daos_ace *ace, char *buf, size_t buf_len);

/** The text of an entry in words. */
int daos_ace_str_get_verbose(const char *ace_str, char *buf, size_t buf_len);

/** A list from texts, and back (the array and each text are freed by the caller). */
int daos_acl_from_strs(const char **ace_strs, size_t ace_nr, struct daos_acl **acl);
int daos_acl_to_strs(struct daos_acl *acl, char ***ace_strs, size_t *ace_nr);

/** Type and name of "u:name@", "g:name@" or a special principal; *name* is freed by the caller, NULL for special ones. */
int daos_acl_principal_from_str(
    const char *principal_str, enum daos_acl_principal_type *type, char **name);

/** Print one entry a line, with its meaning when *verbose*. */
int daos_acl_to_stream(FILE *stream, struct daos_acl *acl, bool verbose);

#pragma GCC visibility pop

#if defined(__cplusplus)
}
#endif

#endif /* CAIRN_DAOS_SECURITY_H */
