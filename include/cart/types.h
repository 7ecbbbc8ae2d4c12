/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Kept so that programs which include it find the rank and iov types. The RPC types of this name are not offered.
 */
#ifndef CAIRN_CART_TYPES_H
#define CAIRN_CART_TYPES_H

#include <gurt/types.h>
#include <stdint.h>

#if defined(__cplusplus)
extern "C" {
#endif

typedef d_string_t crt_group_id_t;

/** Longest system or group name, with terminator. */
#define CRT_GROUP_ID_MAX_LEN (64)

/** A rank that is none. */
#define CRT_NO_RANK 0xFFFFFFFF

#if defined(__cplusplus)
}
#endif

#endif /* CAIRN_CART_TYPES_H */
