/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * libcart and libdaos_common: names that programs and their build scripts link with beside libdaos and libgurt, where everything is. Each holds one symbol, that of its
 * version, and needs the other two, so that a lookup in it finds theirs.
 */
const char *cairn_alias_version(void);

__attribute__((visibility("default"))) const char *
cairn_alias_version(void)
{
    return "2.8.0";
}
