/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Encoded pool map, in messages and in the pool service's database. Byte by byte in docs/format/poolmap.md; little-endian.
 * A format version that is not known is refused. Golden bytes: test/poolmap_test.c.
 */
#ifndef CAIRN_POOLMAP_FORMAT_H
#define CAIRN_POOLMAP_FORMAT_H

#define POOLMAP_DF_MAGIC 0x504d5043u /* "CPMP" */
#define POOLMAP_DF_VERSION 2u

#define POOLMAP_DF_HEAD_BYTES 40u
#define POOLMAP_DF_DOM_BYTES 12u
#define POOLMAP_DF_RANK_BYTES 12u
#define POOLMAP_DF_RUN_BYTES 28u
#define POOLMAP_DF_CSUM_BYTES 4u

#endif
