/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Global handles (client_glob.h). */
#include "client/core/client_glob.h"

#include "base/codec.h"
#include "base/crc.h"
#include "base/util.h"

#include <stdlib.h>

enum { GLOB_MAGIC = 0x43674c42, GLOB_VERSION = 1, CRC_BYTES = 4 };
enum glob_kind { GLOB_POOL = 1, GLOB_CONT = 2, GLOB_ARRAY = 3 };

static void
head_put(struct enc *enc, enum glob_kind kind, const struct client_pool *pool)
{
    enc_u32(enc, GLOB_MAGIC);
    enc_u16(enc, GLOB_VERSION);
    enc_u16(enc, (uint16_t)kind);
    enc_str(enc, pool->client->sys.name);
    enc_uuid(enc, &pool->client->sys.uuid);
    enc_uuid(enc, &pool->uuid);
    enc_uuid(enc, &pool->hdl);
}

/* Both passes of writing: enc without memory measures. */
static void
glob_begin(struct enc *enc, d_iov_t *glob)
{
    if (glob->iov_buf == NULL) {
        enc_init(enc, NULL, SIZE_MAX);
    } else {
        enc_init(enc, glob->iov_buf, glob->iov_buf_len);
    }
}

static int
glob_end(struct enc *enc, d_iov_t *glob)
{
    if (glob->iov_buf == NULL) {
        glob->iov_buf_len = enc->len + CRC_BYTES;
        return 0;
    }
    if (enc_check(enc) == 0)
        enc_u32(enc, crc32c(0, glob->iov_buf, enc->len));
    if (enc_check(enc) != 0)
        return CAIRN_ERR(TRUNC);
    glob->iov_len = enc->len;
    return 0;
}

int
client_glob_pool(const struct client_pool *pool, d_iov_t *glob)
{
    size_t map_bytes = poolmap_encoded_bytes(pool->map);
    struct enc enc;

    glob_begin(&enc, glob);
    head_put(&enc, GLOB_POOL, pool);
    enc_u64(&enc, pool->flags);
    enc_u32(&enc, pool->leader);
    enc_u32(&enc, (uint32_t)map_bytes);
    if (glob->iov_buf == NULL) {
        enc.len += map_bytes;
    } else {
        poolmap_encode(pool->map, &enc);
    }
    return glob_end(&enc, glob);
}

int
client_glob_cont(const struct client_cont *cont, d_iov_t *glob)
{
    struct enc enc;

    if (cont->origin != NULL)
        return CAIRN_ERR(NOTSUPPORTED); /* others would read another epoch with it */
    glob_begin(&enc, glob);
    head_put(&enc, GLOB_CONT, cont->pool);
    enc_uuid(&enc, &cont->uuid);
    enc_uuid(&enc, &cont->hdl);
    enc_u64(&enc, cont->flags);
    enc_u32(&enc, cont->layout_ver);
    enc_u32(&enc, cont->rd_fac);
    enc_u32(&enc, cont->csum_type);
    return glob_end(&enc, glob);
}

int
client_glob_array(const struct client_cont *cont, const struct client_glob_array *array, d_iov_t *glob)
{
    struct enc enc;

    glob_begin(&enc, glob);
    head_put(&enc, GLOB_ARRAY, cont->pool);
    enc_uuid(&enc, &cont->uuid);
    enc_oid(&enc, array->oid);
    enc_u32(&enc, array->mode);
    enc_u64(&enc, array->cell_bytes);
    enc_u64(&enc, array->chunk_nr);
    return glob_end(&enc, glob);
}

struct glob_head {
    enum glob_kind kind;
    char sys[CLIENT_SYS_NAME_BYTES_MAX];
    struct uuid sys_uuid, pool, pool_hdl;
};

/* Verify and read the head; `dec` then stands behind it and ends before the checksum. */
static int
head_get(const d_iov_t *glob, struct dec *dec, struct glob_head *head)
{
    size_t len = glob->iov_len;

    if (glob->iov_buf == NULL || len <= CRC_BYTES || len > glob->iov_buf_len)
        return CAIRN_ERR(INVAL);
    len -= CRC_BYTES;
    if (le32_get((const uint8_t *)glob->iov_buf + len) != crc32c(0, glob->iov_buf, len))
        return CAIRN_ERR(INVAL);
    dec_init(dec, glob->iov_buf, len);
    if (dec_u32(dec) != GLOB_MAGIC || dec_u16(dec) != GLOB_VERSION)
        return CAIRN_ERR(INVAL);
    head->kind = dec_u16(dec);
    dec_str(dec, head->sys, sizeof(head->sys));
    head->sys_uuid = dec_uuid(dec);
    head->pool = dec_uuid(dec);
    head->pool_hdl = dec_uuid(dec);
    return dec_check(dec) == 0 ? 0 : CAIRN_ERR(INVAL);
}

int
client_glob_sys(const d_iov_t *glob, char *ret_name)
{
    struct glob_head head;
    struct dec dec;
    int rc = head_get(glob, &dec, &head);

    if (rc == 0)
        memcpy(ret_name, head.sys, sizeof(head.sys));
    return rc;
}

int
client_glob_pool_open(struct daos_client *client, const d_iov_t *glob, struct client_pool **ret_pool)
{
    struct poolmap *map = NULL;
    struct glob_head head;
    struct dec dec;
    uint64_t flags;
    uint32_t leader;
    const void *map_buf;
    size_t map_len;
    int rc = head_get(glob, &dec, &head);

    if (rc != 0)
        return rc;
    if (cuuid_cmp(&head.sys_uuid, &client->sys.uuid) != 0)
        return CAIRN_ERR(MISMATCH);
    flags = dec_u64(&dec);
    leader = dec_u32(&dec);
    map_buf = dec_blob(&dec, glob->iov_len, &map_len);
    if (head.kind != GLOB_POOL || dec_end(&dec) != 0)
        return CAIRN_ERR(INVAL);
    rc = poolmap_decode(map_buf, map_len, &map);
    if (rc != 0)
        return rc == -DER_NOMEM ? rc : CAIRN_ERR(INVAL);
    rc = client_pool_new(client, head.pool, head.pool_hdl, flags, leader, map, ret_pool);
    if (rc != 0) {
        poolmap_destroy(map);
    } else {
        (*ret_pool)->is_slave = true;
    }
    return rc;
}

int
client_glob_cont_open(struct client_pool *pool, const d_iov_t *glob, struct client_cont **ret_cont)
{
    uint32_t layout_ver, rd_fac, csum_type;
    struct glob_head head;
    struct uuid uuid, hdl;
    struct dec dec;
    uint64_t flags;
    int rc = head_get(glob, &dec, &head);

    if (rc != 0)
        return rc;
    uuid = dec_uuid(&dec);
    hdl = dec_uuid(&dec);
    flags = dec_u64(&dec);
    layout_ver = dec_u32(&dec);
    rd_fac = dec_u32(&dec);
    csum_type = dec_u32(&dec);
    if (head.kind != GLOB_CONT || dec_end(&dec) != 0 || cuuid_cmp(&head.pool, &pool->uuid) != 0)
        return CAIRN_ERR(INVAL);
    rc = client_cont_new(pool, uuid, hdl, flags, ret_cont);
    if (rc != 0)
        return rc;
    (*ret_cont)->layout_ver = layout_ver;
    (*ret_cont)->rd_fac = rd_fac;
    (*ret_cont)->csum_type = csum_type;
    (*ret_cont)->is_slave = true;
    return 0;
}

int
client_glob_array_open(
    const struct client_cont *cont, const d_iov_t *glob, struct client_glob_array *ret_array)
{
    struct client_glob_array array;
    struct glob_head head;
    struct uuid uuid;
    struct dec dec;
    int rc = head_get(glob, &dec, &head);

    if (rc != 0)
        return rc;
    uuid = dec_uuid(&dec);
    array.oid = dec_oid(&dec);
    array.mode = dec_u32(&dec);
    array.cell_bytes = dec_u64(&dec);
    array.chunk_nr = dec_u64(&dec);
    if (head.kind != GLOB_ARRAY || dec_end(&dec) != 0 || cuuid_cmp(&uuid, &cont->uuid) != 0)
        return CAIRN_ERR(INVAL);
    *ret_array = array;
    return 0;
}
