/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Single entries of access control lists: memory, checks, text (daos_security.h). */
#include <daos_security.h>

#include <errno.h>
#include <gurt/common.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "base/util.h"

#define ACE_ALIGN 8

struct ace_letter {
    char letter;
    uint32_t bit;
    const char *words;
};

/* In the order in which texts show them. */
static const struct ace_letter access_letters[] = {
    {'A', DAOS_ACL_ACCESS_ALLOW, "Allow"},
    {'U', DAOS_ACL_ACCESS_AUDIT, "Audit"},
    {'L', DAOS_ACL_ACCESS_ALARM, "Alarm"},
};

static const struct ace_letter flag_letters[] = {
    {'G', DAOS_ACL_FLAG_GROUP, "Group"},
    {'S', DAOS_ACL_FLAG_ACCESS_SUCCESS, "Access-Success"},
    {'F', DAOS_ACL_FLAG_ACCESS_FAIL, "Access-Failure"},
    {'P', DAOS_ACL_FLAG_POOL_INHERIT, "Pool-Inherit"},
};

static const struct ace_letter perm_letters[] = {
    {'r', DAOS_ACL_PERM_READ, "Read"},
    {'w', DAOS_ACL_PERM_WRITE, "Write"},
    {'c', DAOS_ACL_PERM_CREATE_CONT, "Create-Container"},
    {'d', DAOS_ACL_PERM_DEL_CONT, "Delete-Container"},
    {'t', DAOS_ACL_PERM_GET_PROP, "Get-Prop"},
    {'T', DAOS_ACL_PERM_SET_PROP, "Set-Prop"},
    {'a', DAOS_ACL_PERM_GET_ACL, "Get-ACL"},
    {'A', DAOS_ACL_PERM_SET_ACL, "Set-ACL"},
    {'o', DAOS_ACL_PERM_SET_OWNER, "Set-Owner"},
};

static bool
type_has_name(uint32_t type)
{
    return type == DAOS_ACL_USER || type == DAOS_ACL_GROUP;
}

static bool
type_is_group(uint32_t type)
{
    return type == DAOS_ACL_GROUP || type == DAOS_ACL_OWNER_GROUP;
}

bool
daos_acl_principal_is_valid(const char *name)
{
    const char *at;

    if (name == NULL)
        return false;
    if (strnlen(name, DAOS_ACL_MAX_PRINCIPAL_BUF_LEN) > DAOS_ACL_MAX_PRINCIPAL_LEN)
        return false;
    at = strchr(name, '@');
    return at != NULL && at != name && strchr(at + 1, '@') == NULL && strchr(name, ':') == NULL;
}

struct daos_ace *
daos_ace_create(enum daos_acl_principal_type type, const char *principal_name)
{
    struct daos_ace *ace;
    size_t name_bytes = 0;

    if ((uint32_t)type >= NUM_DAOS_ACL_TYPES)
        return NULL;
    if (type_has_name(type)) {
        if (!daos_acl_principal_is_valid(principal_name))
            return NULL;
        name_bytes = ALIGN_UP(strlen(principal_name) + 1, ACE_ALIGN);
    }
    ace = calloc(1, sizeof(*ace) + name_bytes);
    if (ace == NULL)
        return NULL;
    ace->dae_principal_type = (uint8_t)type;
    ace->dae_principal_len = (uint16_t)name_bytes;
    if (type_is_group(type))
        ace->dae_access_flags = DAOS_ACL_FLAG_GROUP;
    if (name_bytes > 0)
        memcpy(ace->dae_principal, principal_name, strlen(principal_name));
    return ace;
}

void
daos_ace_free(struct daos_ace *ace)
{
    free(ace);
}

ssize_t
daos_ace_get_size(struct daos_ace *ace)
{
    if (ace == NULL || ace->dae_principal_type >= NUM_DAOS_ACL_TYPES)
        return -DER_INVAL;
    if (ace->dae_principal_len % ACE_ALIGN != 0 ||
        (ace->dae_principal_len != 0) != type_has_name(ace->dae_principal_type))
        return -DER_INVAL;
    return (ssize_t)(sizeof(*ace) + ace->dae_principal_len);
}

/* Permissions only where the access type is on. */
static bool
perms_are_valid(const struct daos_ace *ace, uint32_t access, uint64_t perms)
{
    if ((perms & ~(uint64_t)DAOS_ACL_PERM_ALL) != 0)
        return false;
    return perms == 0 || (ace->dae_access_types & access) != 0;
}

static bool
flags_are_valid(const struct daos_ace *ace)
{
    uint32_t flags = ace->dae_access_flags;
    bool notes = (ace->dae_access_types & (DAOS_ACL_ACCESS_AUDIT | DAOS_ACL_ACCESS_ALARM)) != 0;
    bool when = (flags & (DAOS_ACL_FLAG_ACCESS_FAIL | DAOS_ACL_FLAG_ACCESS_SUCCESS)) != 0;

    if ((flags & ~(uint32_t)DAOS_ACL_FLAG_ALL) != 0)
        return false;
    if (((flags & DAOS_ACL_FLAG_GROUP) != 0) != type_is_group(ace->dae_principal_type))
        return false;
    return notes == when;
}

bool
daos_ace_is_valid(struct daos_ace *ace)
{
    if (daos_ace_get_size(ace) < 0)
        return false;
    if (ace->dae_access_types == 0 || (ace->dae_access_types & ~DAOS_ACL_ACCESS_ALL) != 0)
        return false;
    if (!flags_are_valid(ace))
        return false;
    if (ace->dae_principal_len > 0 &&
        (memchr(ace->dae_principal, '\0', ace->dae_principal_len) == NULL ||
            !daos_acl_principal_is_valid(ace->dae_principal)))
        return false;
    return perms_are_valid(ace, DAOS_ACL_ACCESS_ALLOW, ace->dae_allow_perms) &&
        perms_are_valid(ace, DAOS_ACL_ACCESS_AUDIT, ace->dae_audit_perms) &&
        perms_are_valid(ace, DAOS_ACL_ACCESS_ALARM, ace->dae_alarm_perms);
}

const char *
daos_ace_get_principal_str(struct daos_ace *ace)
{
    if (daos_ace_get_size(ace) < 0)
        return NULL;
    switch (ace->dae_principal_type) {
    case DAOS_ACL_OWNER:
        return DAOS_ACL_PRINCIPAL_OWNER;
    case DAOS_ACL_OWNER_GROUP:
        return DAOS_ACL_PRINCIPAL_OWNER_GRP;
    case DAOS_ACL_EVERYONE:
        return DAOS_ACL_PRINCIPAL_EVERYONE;
    default:
        return ace->dae_principal;
    }
}

/* Bits of letters; false when one is unknown. */
static bool
letters_parse(const char *text, const struct ace_letter *letters, size_t nr, uint32_t *ret_bits)
{
    uint32_t bits = 0;

    for (; *text != '\0'; text++) {
        size_t i = 0;

        while (i < nr && letters[i].letter != *text) {
            i++;
        }
        if (i == nr)
            return false;
        bits |= letters[i].bit;
    }
    *ret_bits = bits;
    return true;
}

static enum daos_acl_principal_type
principal_type(const char *principal, bool is_group)
{
    if (strcmp(principal, DAOS_ACL_PRINCIPAL_OWNER) == 0)
        return DAOS_ACL_OWNER;
    if (strcmp(principal, DAOS_ACL_PRINCIPAL_OWNER_GRP) == 0)
        return DAOS_ACL_OWNER_GROUP;
    if (strcmp(principal, DAOS_ACL_PRINCIPAL_EVERYONE) == 0)
        return DAOS_ACL_EVERYONE;
    return is_group ? DAOS_ACL_GROUP : DAOS_ACL_USER;
}

/* Build an entry from its four fields. */
static int
ace_from_fields(char *const fields[4], struct daos_ace **ret_ace)
{
    struct daos_ace *ace;
    uint32_t access;
    uint32_t flags;
    uint32_t perms;

    if (!letters_parse(fields[0], access_letters, ARRAY_SIZE(access_letters), &access) ||
        !letters_parse(fields[1], flag_letters, ARRAY_SIZE(flag_letters), &flags) ||
        !letters_parse(fields[3], perm_letters, ARRAY_SIZE(perm_letters), &perms))
        return -DER_INVAL;
    ace = daos_ace_create(principal_type(fields[2], (flags & DAOS_ACL_FLAG_GROUP) != 0), fields[2]);
    if (ace == NULL)
        return -DER_INVAL;
    ace->dae_access_types = (uint8_t)access;
    ace->dae_access_flags = (uint16_t)flags;
    ace->dae_allow_perms = (access & DAOS_ACL_ACCESS_ALLOW) != 0 ? perms : 0;
    ace->dae_audit_perms = (access & DAOS_ACL_ACCESS_AUDIT) != 0 ? perms : 0;
    ace->dae_alarm_perms = (access & DAOS_ACL_ACCESS_ALARM) != 0 ? perms : 0;
    if (!daos_ace_is_valid(ace)) {
        daos_ace_free(ace);
        return -DER_INVAL;
    }
    *ret_ace = ace;
    return 0;
}

int
daos_ace_from_str(const char *str, struct daos_ace **ace)
{
    char text[DAOS_ACL_MAX_ACE_STR_LEN + 1];
    char *fields[4] = {text};
    size_t nr = 1;
    size_t len;

    if (str == NULL || ace == NULL)
        return -DER_INVAL;
    len = strnlen(str, sizeof(text));
    if (len == sizeof(text))
        return -DER_INVAL;
    memcpy(text, str, len + 1);
    for (size_t i = 0; i < len; i++) {
        if (text[i] != ':')
            continue;
        if (nr == ARRAY_SIZE(fields))
            return -DER_INVAL;
        text[i] = '\0';
        fields[nr++] = &text[i + 1];
    }
    return nr == ARRAY_SIZE(fields) ? ace_from_fields(fields, ace) : -DER_INVAL;
}

static void
letters_add(struct strbuf *sb, const struct ace_letter *letters, size_t nr, uint64_t bits)
{
    for (size_t i = 0; i < nr; i++) {
        if ((bits & letters[i].bit) != 0)
            strbuf_add_char(sb, letters[i].letter);
    }
}

static void
words_add(struct strbuf *sb, const struct ace_letter *letters, size_t nr, uint64_t bits)
{
    const char *sep = "";

    for (size_t i = 0; i < nr; i++) {
        if ((bits & letters[i].bit) == 0)
            continue;
        strbuf_add(sb, "%s%s", sep, letters[i].words);
        sep = "/";
    }
}

/* The permissions of all access types of an entry; false when they differ, for which there is no text. */
static bool
common_perms(const struct daos_ace *ace, uint64_t *ret_perms)
{
    const uint64_t perms[] = {ace->dae_allow_perms, ace->dae_audit_perms, ace->dae_alarm_perms};
    bool found = false;

    *ret_perms = 0;
    for (size_t i = 0; i < ARRAY_SIZE(perms); i++) {
        if ((ace->dae_access_types & access_letters[i].bit) == 0)
            continue;
        if (found && perms[i] != *ret_perms)
            return false;
        *ret_perms = perms[i];
        found = true;
    }
    return true;
}

int
daos_ace_to_str(struct daos_ace *ace, char *buf, size_t buf_len)
{
    struct strbuf sb;
    uint64_t perms;

    if (ace == NULL || buf == NULL || buf_len == 0)
        return -DER_INVAL;
    if (!daos_ace_is_valid(ace) || !common_perms(ace, &perms))
        return -DER_INVAL;
    strbuf_init(&sb, buf, buf_len);
    letters_add(&sb, access_letters, ARRAY_SIZE(access_letters), ace->dae_access_types);
    strbuf_add_char(&sb, ':');
    letters_add(&sb, flag_letters, ARRAY_SIZE(flag_letters), ace->dae_access_flags);
    strbuf_add(&sb, ":%s:", daos_ace_get_principal_str(ace));
    letters_add(&sb, perm_letters, ARRAY_SIZE(perm_letters), perms);
    return sb.cut ? -DER_TRUNC : 0;
}

int
daos_ace_str_get_verbose(const char *ace_str, char *buf, size_t buf_len)
{
    struct daos_ace *ace = NULL;
    struct strbuf sb;
    uint64_t perms = 0;
    int rc;

    if (ace_str == NULL || buf == NULL || buf_len == 0)
        return -DER_INVAL;
    rc = daos_ace_from_str(ace_str, &ace);
    if (rc != 0)
        return rc;
    (void)common_perms(ace, &perms); /* An entry from text has the same for all. */
    strbuf_init(&sb, buf, buf_len);
    words_add(&sb, access_letters, ARRAY_SIZE(access_letters), ace->dae_access_types);
    strbuf_add_char(&sb, ':');
    words_add(&sb, flag_letters, ARRAY_SIZE(flag_letters), ace->dae_access_flags);
    strbuf_add(&sb, ":%s:", daos_ace_get_principal_str(ace));
    if (perms == 0)
        strbuf_add_str(&sb, "No-Access");
    words_add(&sb, perm_letters, ARRAY_SIZE(perm_letters), perms);
    daos_ace_free(ace);
    return sb.cut ? -DER_TRUNC : 0;
}

void
daos_ace_dump(struct daos_ace *ace, uint32_t tabs)
{
    if (ace == NULL) {
        printf("%*sAccess control entry: none\n", (int)MIN(tabs, 16u) * 4, "");
        return;
    }
    printf("%*sAccess control entry: types 0x%x, principal %s, flags 0x%x, allow 0x%llx, audit "
           "0x%llx, alarm 0x%llx\n",
        (int)MIN(tabs, 16u) * 4, "", ace->dae_access_types,
        daos_ace_is_valid(ace) ? daos_ace_get_principal_str(ace) : "(not valid)",
        ace->dae_access_flags, (unsigned long long)ace->dae_allow_perms,
        (unsigned long long)ace->dae_audit_perms, (unsigned long long)ace->dae_alarm_perms);
}

int
daos_acl_principal_from_str(const char *principal_str, enum daos_acl_principal_type *type, char **name)
{
    enum daos_acl_principal_type found;

    if (principal_str == NULL || type == NULL || name == NULL)
        return -DER_INVAL;
    found = principal_type(principal_str, false);
    if (!type_has_name(found)) {
        *type = found;
        *name = NULL;
        return 0;
    }
    if (strncmp(principal_str, "u:", 2) == 0) {
        found = DAOS_ACL_USER;
    } else if (strncmp(principal_str, "g:", 2) == 0) {
        found = DAOS_ACL_GROUP;
    } else {
        return -DER_INVAL;
    }
    if (!daos_acl_principal_is_valid(principal_str + 2))
        return -DER_INVAL;
    *name = strdup(principal_str + 2);
    if (*name == NULL)
        return -DER_NOMEM;
    *type = found;
    return 0;
}
