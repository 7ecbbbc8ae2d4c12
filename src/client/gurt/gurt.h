/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the helpers behind gurt/ and the property and ACL headers offer to the rest of the client, beyond the public interface. */
#ifndef CAIRN_CLIENT_GURT_H
#define CAIRN_CLIENT_GURT_H

#include <daos_prop.h>

#include "base/err.h"

/** A copy with all values; *ret_prop returns owned: free with daos_prop_free(). NULL gives NULL. Errors: INVAL, NOMEM. */
CAIRN_MUST_CHECK int gurt_prop_dup(const daos_prop_t *prop, daos_prop_t **ret_prop);

/** Copy type, flags and value of an entry; *dst* is cleared or unset. Errors: INVAL a value that is NULL or malformed, NOMEM. */
CAIRN_MUST_CHECK int
gurt_prop_entry_copy(struct daos_prop_entry *dst, const struct daos_prop_entry *src);

/** Free the value of an entry and make it unset. */
void gurt_prop_entry_clear(struct daos_prop_entry *entry);

/** Name of a container property in texts ("rd_fac"), NULL when it has none; id of a name, 0 when unknown. */
const char *gurt_prop_name(uint32_t type);
uint32_t gurt_prop_from_name(const char *name);

/** Set one container property from its name and its value as text. Errors: INVAL unknown name or value, read only; NOMEM. */
CAIRN_MUST_CHECK int
gurt_prop_entry_parse(struct daos_prop_entry *entry, const char *name, const char *value);

#endif
