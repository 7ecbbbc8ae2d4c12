/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "vos/vos_rec.h"

#include "base/codec.h"
#include "base/hash.h"
#include "vos/vos_csum.h"

#include <string.h>

/* ---- records -------------------------------------------------------------------------------------------------------- */

#define REC_GET(name_, type_, magic_) \
    int vos_##name_##_get(struct vos_op *op, uint64_t off, struct type_ **ret_rec) \
    { \
        struct type_ *rec; \
        int rc = vos_ptr(op, off, sizeof(*rec), &rec); \
        if (CAIRN_UNLIKELY(rc != 0)) \
            return rc; \
        if (CAIRN_UNLIKELY(rec->magic != (magic_))) \
            return vos_bad(off, #name_ " record"); \
        *ret_rec = rec; \
        return 0; \
    }

REC_GET(pool, vos_pool_df, VOS_POOL_MAGIC)
REC_GET(cont, vos_cont_df, VOS_CONT_MAGIC)
REC_GET(obj, vos_obj_df, VOS_OBJ_MAGIC)
REC_GET(client, vos_client_df, VOS_CLIENT_MAGIC)
REC_GET(slots, vos_slots_df, VOS_SLOTS_MAGIC)

static bool
key_fits(const struct vos_key_df *rec, uint64_t off)
{
    uint32_t len = (uint32_t)sizeof(*rec) + rec->key_len;

    if (rec->magic == VOS_DKEY_MAGIC) {
        if (rec->flags != 0 || rec->room % 8 != 0 ||
            rec->room > vos_key_room_for(VOS_KEY_INSIDE_BYTES_MAX))
            return false;
        len = rec->room == 0 ? len : vos_key_block_bytes(rec);
    } else if ((rec->flags & ~(uint32_t)(VOS_KEY_INSIDE | VOS_KEY_HOLES)) != 0) {
        return false;
    }
    return (off & (UMEM_PAGE_BYTES - 1)) + len <= UMEM_PAGE_BYTES;
}

int
vos_key_get(struct vos_op *op, uint64_t off, struct vos_key_df **ret_rec)
{
    struct vos_key_df *rec;
    int rc = vos_ptr(op, off, sizeof(*rec), &rec);

    if (CAIRN_UNLIKELY(rc != 0))
        return rc;
    if (CAIRN_UNLIKELY((rec->magic != VOS_DKEY_MAGIC && rec->magic != VOS_AKEY_MAGIC) ||
            rec->key_len == 0 || rec->key_len > VOS_KEY_BYTES_MAX || !key_fits(rec, off)))
        return vos_bad(off, "key record");
    *ret_rec = rec;
    return 0;
}

int
vos_key_free(struct vos_op *op, uint64_t off)
{
    struct vos_key_df *rec;
    int rc = vos_key_get(op, off, &rec);

    if (rc != 0)
        return rc;
    op->is_key_gone = true;
    if ((rec->flags & VOS_KEY_INSIDE) == 0)
        return vos_free(op, off, vos_key_block_bytes(rec));
    rc = vos_range(op, off, sizeof(rec->magic)); /* the room is free */
    if (rc == 0)
        rec->magic = 0;
    return rc;
}

/* ---- versions ------------------------------------------------------------------------------------------------------- */

enum { MORE_BYTES = 16 };

static inline uint32_t
ver_csum_nr(const struct vos_ver *ver)
{
    return ver->stored_len == 0 ? 0 : ((ver->stored_len - 1) >> ver->csum.chunk_bits) + 1;
}

/* Of what lies before the checksums. */
static inline uint32_t
ver_fixed_bytes(uint32_t flags, bool is_ext)
{
    return (uint32_t)sizeof(struct vos_ver_df) + (is_ext ? 16 : 0) +
        ((flags & (VOS_VER_HOLE | VOS_VER_INLINE)) == 0 || (flags & VOS_VER_APART) != 0 ? 8 : 0) +
        ((flags & VOS_VER_DTX) != 0 ? 4 : 0) + ((flags & VOS_VER_KIND) != 0 ? 4 : 0) +
        ((flags & VOS_VER_MORE) != 0 ? MORE_BYTES : 0);
}

static bool
kind_is_plausible(struct vos_csum csum)
{
    return csum.codec == 0 && csum_bytes(csum.type) != 0 && csum.len == csum_bytes(csum.type) &&
        csum.chunk_bits >= VOS_CSUM_CHUNK_BITS_MIN &&
        csum.chunk_bits <= VOS_CSUM_CHUNK_BITS_STORED_MAX;
}

static inline uint64_t
take64(const uint8_t **p)
{
    uint64_t v = le64_get(*p);

    *p += 8;
    return v;
}

static inline uint32_t
take32(const uint8_t **p)
{
    uint32_t v = le32_get(*p);

    *p += 4;
    return v;
}

/* What few have. */
static bool
decode_rare(const uint8_t **p, struct vos_ver *v)
{
    if ((v->flags & VOS_VER_DTX) != 0)
        v->dtx = take32(p);
    if ((v->flags & VOS_VER_KIND) != 0) {
        memcpy(&v->csum, *p, sizeof(v->csum));
        *p += sizeof(v->csum);
        if (!kind_is_plausible(v->csum))
            return false;
    }
    if ((v->flags & VOS_VER_MORE) != 0) {
        v->logical_len = take32(p);
        v->key_id = take32(p);
        v->gsize = take64(p);
    }
    return true;
}

bool
vos_ver_decode(const void *rec, uint32_t room, struct vos_ver *v)
{
    const uint32_t known =
        VOS_VER_HOLE | VOS_VER_INLINE | VOS_VER_DTX | VOS_VER_KIND | VOS_VER_MORE | VOS_VER_APART;
    const struct vos_ver_df *df = rec;
    const uint8_t *p = (const uint8_t *)(df + 1);
    uint32_t csums_len;

    if (room < sizeof(*df) || (df->magic != VOS_VAL_MAGIC && df->magic != VOS_EXT_MAGIC) ||
        (df->flags & ~known) != 0)
        return false;
    v->is_ext = df->magic == VOS_EXT_MAGIC;
    v->flags = df->flags;
    if (ver_fixed_bytes(df->flags, v->is_ext) > room)
        return false;
    v->epoch = df->epoch;
    v->minor = df->minor;
    v->pm_ver = df->pm_ver;
    v->stored_len = v->logical_len = df->stored_len;
    v->dtx = v->key_id = 0;
    v->csum = vos_csum_default();
    v->gsize = v->addr = v->apart = v->lo = v->hi = 0;
    if (v->is_ext) {
        v->lo = take64(&p);
        v->hi = take64(&p);
        if (v->lo > v->hi || (v->hi >> 63) != 0 ||
            (v->stored_len != 0 && v->stored_len % (v->hi - v->lo + 1) != 0))
            return false;
    }
    if ((df->flags & (VOS_VER_HOLE | VOS_VER_INLINE)) == 0) {
        v->addr = take64(&p);
        if (v->addr == 0 || v->addr % BIO_BLK_BYTES != 0)
            return false;
    }
    if ((df->flags & VOS_VER_APART) != 0) {
        v->apart = take64(&p);
        if (v->apart == 0 || v->apart % 8 != 0 ||
            (df->flags & (VOS_VER_HOLE | VOS_VER_INLINE)) != VOS_VER_INLINE)
            return false;
    }
    if (CAIRN_UNLIKELY((df->flags & (VOS_VER_DTX | VOS_VER_KIND | VOS_VER_MORE)) != 0) &&
        !decode_rare(&p, v))
        return false;
    v->csums = p;
    v->csum_nr = ver_csum_nr(v);
    if ((df->flags & VOS_VER_HOLE) != 0) {
        v->data = NULL;
        v->bytes = (uint32_t)(p - (const uint8_t *)rec);
        return v->stored_len == 0 && (df->flags & VOS_VER_INLINE) == 0;
    }
    if (v->stored_len - 1 >= VOS_VALUE_BYTES_MAX || v->key_id != 0 || v->logical_len != v->stored_len)
        return false;
    csums_len = v->csum_nr * v->csum.len;
    v->bytes = (uint32_t)(p - (const uint8_t *)rec) + csums_len;
    v->data = NULL;
    if ((df->flags & VOS_VER_INLINE) != 0) {
        if (v->stored_len > VOS_INLINE_BYTES_MAX)
            return false;
        if (v->apart == 0) {
            v->data = p + csums_len;
            v->bytes += v->stored_len;
        }
    }
    return v->bytes <= room;
}

int
vos_ver_get(struct vos_op *op, uint64_t off, struct vos_ver *ret_ver)
{
    const uint8_t *p;
    int rc = vos_ptr(op, off, sizeof(struct vos_ver_df), &p);

    if (CAIRN_UNLIKELY(rc != 0))
        return rc;
    if (CAIRN_UNLIKELY(
            !vos_ver_decode(p, UMEM_PAGE_BYTES - (uint32_t)(off & (UMEM_PAGE_BYTES - 1)), ret_ver)))
        return vos_bad(off, "version record");
    return 0;
}

int
vos_ext_get(struct vos_op *op, uint64_t off, struct vos_ver *ret_ver)
{
    int rc = vos_ver_get(op, off, ret_ver);

    if (CAIRN_UNLIKELY(rc == 0 && !ret_ver->is_ext))
        return vos_bad(off, "extent record");
    return rc;
}

int
vos_ver_free(struct vos_op *op, uint64_t off, const struct vos_ver *ver)
{
    int rc = ver->apart != 0 ? vos_free(op, ver->apart, ver->stored_len) : 0;

    return rc != 0 ? rc : vos_free(op, off, ver->bytes);
}

static uint32_t
ver_flags(const struct vos_ver *v)
{
    uint32_t flags = v->flags & (VOS_VER_HOLE | VOS_VER_INLINE);

    if (v->dtx != 0)
        flags |= VOS_VER_DTX;
    if ((flags & VOS_VER_HOLE) == 0 && !vos_csum_is_default(v->csum))
        flags |= VOS_VER_KIND;
    if (v->logical_len != v->stored_len || v->key_id != 0 || v->gsize != 0)
        flags |= VOS_VER_MORE;
    return flags;
}

static inline void
put64(uint8_t **p, uint64_t v)
{
    le64_put(*p, v);
    *p += 8;
}

static inline void
put32(uint8_t **p, uint32_t v)
{
    le32_put(*p, v);
    *p += 4;
}

/* The value of a version, in a block of its own. */
static int
apart_create(struct vos_op *op, const struct vos_ver *v, uint64_t *ret_apart)
{
    uint8_t *to;
    int rc = vos_alloc_part(op, v->stored_len, v->data == NULL ? v->stored_len : 0, ret_apart, &to);

    if (rc == 0 && v->data != NULL)
        memcpy(to, v->data, v->stored_len);
    return rc;
}

int
vos_ver_create(struct vos_op *op, const struct vos_ver *v, uint64_t *ret_off)
{
    uint32_t flags = ver_flags(v), fixed = ver_fixed_bytes(flags, v->is_ext);
    uint32_t csums_len = (flags & VOS_VER_HOLE) != 0 ? 0 : ver_csum_nr(v) * v->csum.len;
    uint32_t data_len = (flags & VOS_VER_INLINE) != 0 ? v->stored_len : 0, bytes;
    struct vos_ver_df *df;
    uint64_t apart = 0;
    uint8_t *p;
    int rc = 0;

    if (fixed + csums_len + data_len > VOS_REC_BYTES_MAX) {
        rc = apart_create(op, v, &apart);
        flags |= VOS_VER_APART;
        fixed += 8;
        data_len = 0;
    }
    bytes = fixed + csums_len + data_len;
    if (rc == 0)
        rc = vos_alloc_part(op, bytes, v->data == NULL ? bytes : fixed + csums_len, ret_off, &df);
    if (rc != 0)
        return rc;
    *df = (struct vos_ver_df){.magic = v->is_ext ? VOS_EXT_MAGIC : VOS_VAL_MAGIC,
        .flags = (uint8_t)flags,
        .minor = v->minor,
        .pm_ver = v->pm_ver,
        .epoch = v->epoch,
        .stored_len = v->stored_len};
    p = (uint8_t *)(df + 1);
    if (v->is_ext) {
        put64(&p, v->lo);
        put64(&p, v->hi);
    }
    if ((flags & (VOS_VER_HOLE | VOS_VER_INLINE)) == 0)
        put64(&p, v->addr);
    if (apart != 0)
        put64(&p, apart);
    if ((flags & VOS_VER_DTX) != 0)
        put32(&p, v->dtx);
    if ((flags & VOS_VER_KIND) != 0) {
        memcpy(p, &v->csum, sizeof(v->csum));
        p += sizeof(v->csum);
    }
    if ((flags & VOS_VER_MORE) != 0) {
        put32(&p, v->logical_len);
        put32(&p, v->key_id);
        put64(&p, v->gsize);
    }
    if (csums_len > 0 && v->csums != NULL)
        memcpy(p, v->csums, csums_len);
    if (data_len > 0 && v->data != NULL)
        memcpy(p + csums_len, v->data, data_len);
    return 0;
}

int
vos_ver_dtx_set(struct vos_op *op, uint64_t off, uint32_t dtx)
{
    struct vos_ver v;
    uint64_t at = off + sizeof(struct vos_ver_df);
    void *p;
    int rc = vos_ver_get(op, off, &v);

    if (rc != 0 || v.dtx == dtx)
        return rc;
    if ((v.flags & VOS_VER_DTX) == 0)
        return vos_bad(off, "version record without DTX id");
    at += v.is_ext ? 16 : 0;
    at += v.addr != 0 || v.apart != 0 ? 8 : 0;
    rc = vos_range(op, at, sizeof(dtx));
    p = umem_ptr(op->um, at);
    if (rc == 0 && p == NULL)
        rc = -DER_AGAIN;
    if (rc == 0)
        le32_put(p, dtx);
    return rc;
}

/* ---- keys ----------------------------------------------------------------------------------------------------------- */

struct vos_btr_key
vos_key_uuid(const struct uuid *id)
{
    return (struct vos_btr_key){.hkey = be64_get(id->b), .buf = id->b, .len = sizeof(id->b)};
}

static void
oid_bytes(const struct vos_obj_df *rec, struct vos_oid_bytes *ret_bytes)
{
    *ret_bytes = (struct vos_oid_bytes){
        .hi = rec->oid_hi, .lo = rec->oid_lo, .shard = rec->shard, .layout_ver = rec->layout_ver};
}

struct vos_btr_key
vos_key_oid(const struct vos_op *op, const struct vos_oid *oid, struct vos_oid_bytes *ret_bytes)
{
    *ret_bytes = (struct vos_oid_bytes){
        .hi = oid->oid.hi, .lo = oid->oid.lo, .shard = oid->shard, .layout_ver = oid->layout_ver};
    return (struct vos_btr_key){.hkey = hash_bytes64(ret_bytes, sizeof(*ret_bytes), 0) & op->hash_mask,
        .buf = ret_bytes,
        .len = sizeof(*ret_bytes)};
}

static uint64_t
lex_prefix(const uint8_t *buf, size_t len)
{
    uint8_t b[8] = {0};

    memcpy(b, buf, MIN(len, sizeof(b)));
    return be64_get(b);
}

struct vos_btr_key
vos_key_bytes(const struct vos_op *op, const struct vos_btr_kind *kind, const struct iov *key)
{
    struct vos_btr_key k = {.buf = key->buf, .len = (uint32_t)key->len};

    switch (kind->id) {
    case VOS_TREE_KEY_UINT:
        k.hkey = le64_get(key->buf);
        break;
    case VOS_TREE_KEY_LEX:
        k.hkey = lex_prefix(key->buf, key->len);
        break;
    default:
        k.hkey = vos_key_hash(key->buf, key->len) & op->hash_mask;
    }
    return k;
}

struct vos_btr_key
vos_key_epoch(const struct vos_epoch *ver)
{
    return (struct vos_btr_key){.hkey = ver->epoch, .buf = ver, .len = sizeof(*ver)};
}

/* Object types whose dkeys or akeys are not hashed (api: OID type codes). */
enum { OTYPE_NR = 15, IS_UINT = 1, IS_LEX = 2 };
static const struct {
    uint8_t dkey, akey;
} otypes[OTYPE_NR] = {
    [2] = {IS_UINT, 0}, /* DKEY_UINT64 */
    [3] = {0, IS_UINT}, /* AKEY_UINT64 */
    [4] = {IS_UINT, IS_UINT}, /* MULTI_UINT64 */
    [5] = {IS_LEX, 0}, /* DKEY_LEXICAL */
    [6] = {0, IS_LEX}, /* AKEY_LEXICAL */
    [7] = {IS_LEX, IS_LEX}, /* MULTI_LEXICAL */
    [9] = {IS_UINT, 0}, /* KV_UINT64 */
    [10] = {IS_LEX, 0}, /* KV_LEXICAL */
    [11] = {IS_UINT, 0}, /* ARRAY */
    [12] = {IS_UINT, 0}, /* ARRAY_ATTR */
    [13] = {IS_UINT, 0}, /* ARRAY_BYTE */
};

static int
kind_of(struct oid oid, bool is_dkey, const struct vos_btr_kind **ret_kind)
{
    uint32_t type = (uint32_t)(oid.hi >> 56);
    uint32_t k;

    if (type >= OTYPE_NR)
        return CAIRN_ERR(INVAL);
    k = is_dkey ? otypes[type].dkey : otypes[type].akey;
    *ret_kind = k == IS_UINT ? &vos_kind_key_uint
        : k == IS_LEX        ? &vos_kind_key_lex
                             : &vos_kind_key_hashed;
    return 0;
}

int
vos_kind_of_dkey(struct oid oid, const struct vos_btr_kind **ret_kind)
{
    return kind_of(oid, true, ret_kind);
}

int
vos_kind_of_akey(struct oid oid, const struct vos_btr_kind **ret_kind)
{
    return kind_of(oid, false, ret_kind);
}

int
vos_key_check(const struct vos_btr_kind *kind, const struct iov *key)
{
    if (key == NULL || key->buf == NULL || key->len == 0)
        return CAIRN_ERR(INVAL);
    if (kind->id == VOS_TREE_KEY_UINT)
        return key->len == 8 ? 0 : CAIRN_ERR(INVAL);
    if (key->len > (kind->id == VOS_TREE_KEY_LEX ? VOS_KEY_LEXICAL_BYTES_MAX : VOS_KEY_BYTES_MAX))
        return CAIRN_ERR(KEY2BIG);
    return 0;
}

int
vos_rec_find(struct vos_btr *t, const struct vos_btr_key *key, uint64_t *ret_off)
{
    bool exact;
    int rc = vos_btr_search(t, key, &exact);

    if (rc == 0)
        *ret_off = exact ? vos_btr_rec(t) : 0;
    return rc;
}

int
vos_key_plain_set(struct vos_op *op, const struct vos_btr_kind *kind, struct vos_tree_df *df,
    uint64_t df_off, uint64_t rec, bool is_plain)
{
    struct vos_btr_key k;
    struct vos_key_df *key;
    struct vos_btr t;
    struct iov iov;
    uint64_t bits;
    bool exact;
    int rc;

    if (!kind->has_plain || df->depth == 0)
        return 0;
    rc = vos_key_get(op, rec, &key);
    if (rc != 0)
        return rc;
    bits = vos_key_plain_bits(op, kind, key->key_len);
    if (bits == 0)
        return 0;
    iov = vos_key_iov(key);
    k = vos_key_bytes(op, kind, &iov);
    rc = vos_btr_init(&t, op, kind, df, df_off);
    if (rc == 0)
        rc = vos_btr_search(&t, &k, &exact);
    if (rc == 0 && (!exact || vos_btr_rec(&t) != rec))
        rc = vos_bad(rec, "entry of a key");
    bits = is_plain ? bits : 0;
    if (rc != 0 || vos_btr_plain_bits(&t) == bits)
        return rc;
    return vos_btr_set(&t, rec | bits);
}

enum { LINE_BYTES = 64 };

static inline int
key_order(const struct vos_btr_key *key, const struct vos_key_df *k)
{
    int cmp = key->len == 0 ? 0 : memcmp(key->buf, k + 1, MIN(key->len, (uint32_t)k->key_len));

    return cmp != 0 ? cmp : key->len < k->key_len ? -1 : key->len > k->key_len ? 1 : 0;
}

static inline __attribute__((always_inline)) int
key_at(struct vos_op *op, uint64_t off, const struct vos_btr_key *key, uint64_t *ret_off,
    struct vos_key_df **ret_rec)
{
    int rc = vos_key_get(op, off, ret_rec);

    if (CAIRN_UNLIKELY(rc != 0))
        return rc;
    /* Of a dkey: there its akey lies, which is wanted next. The processor asks for it while it waits for the key. */
    __builtin_prefetch((const uint8_t *)*ret_rec + LINE_BYTES);
    if (key_order(key, *ret_rec) == 0)
        *ret_off = off;
    return 0;
}

int
vos_key_find_at(struct vos_op *op, uint64_t off, const struct vos_btr_key *key, uint64_t *ret_off,
    struct vos_key_df **ret_rec)
{
    *ret_off = 0;
    return key_at(op, off, key, ret_off, ret_rec);
}

int
vos_key_find(struct vos_op *op, const struct vos_btr_kind *kind, struct vos_tree_df *df,
    uint64_t df_off, const struct vos_btr_key *key, uint64_t *ret_off, struct vos_key_df **ret_rec)
{
    struct vos_btr t;
    uint64_t off;
    bool is_tie;
    int rc = vos_btr_look(op, kind, df, df_off, key->hkey, &off, &is_tie);

    if (CAIRN_UNLIKELY(rc == 0 && is_tie)) {
        rc = vos_btr_init(&t, op, kind, df, df_off);
        if (rc == 0)
            rc = vos_rec_find(&t, key, &off);
    }
    *ret_off = 0;
    return rc != 0 || off == 0 ? rc : key_at(op, off, key, ret_off, ret_rec);
}

/* ---- kinds ---------------------------------------------------------------------------------------------------------- */

static int
uuid_of(struct vos_op *op, uint64_t rec, uint32_t magic, const uint8_t **ret_uuid)
{
    const uint8_t *p;
    int rc = vos_ptr(op, rec, 24, &p);

    if (rc != 0)
        return rc;
    if (p[0] != magic)
        return vos_bad(rec, "record with a uuid");
    *ret_uuid = p + 8;
    return 0;
}

#define UUID_KIND(name_, magic_) \
    static int name_##_cmp( \
        struct vos_op *op, const struct vos_btr_key *key, uint64_t rec, int *ret_cmp) \
    { \
        const uint8_t *uuid; \
        int rc = uuid_of(op, rec, (magic_), &uuid); \
        if (rc == 0) \
            *ret_cmp = memcmp(key->buf, uuid, 16); \
        return rc; \
    } \
    static int name_##_ent(struct vos_op *op, uint64_t rec, struct vos_ent_df *ret_ent) \
    { \
        const uint8_t *uuid; \
        int rc = uuid_of(op, rec, (magic_), &uuid); \
        if (rc == 0) \
            *ret_ent = (struct vos_ent_df){.hkey = be64_get(uuid), .off = rec}; \
        return rc; \
    }

UUID_KIND(pool, VOS_POOL_MAGIC)
UUID_KIND(cont, VOS_CONT_MAGIC)
UUID_KIND(client, VOS_CLIENT_MAGIC)

static int
obj_cmp(struct vos_op *op, const struct vos_btr_key *key, uint64_t rec, int *ret_cmp)
{
    struct vos_oid_bytes b;
    struct vos_obj_df *obj;
    int rc = vos_obj_get(op, rec, &obj);

    if (rc != 0)
        return rc;
    oid_bytes(obj, &b);
    *ret_cmp = memcmp(key->buf, &b, sizeof(b));
    return 0;
}

static int
obj_ent(struct vos_op *op, uint64_t rec, struct vos_ent_df *ret_ent)
{
    struct vos_oid_bytes b;
    struct vos_obj_df *obj;
    int rc = vos_obj_get(op, rec, &obj);

    if (rc != 0)
        return rc;
    oid_bytes(obj, &b);
    *ret_ent =
        (struct vos_ent_df){.hkey = hash_bytes64(&b, sizeof(b), 0) & op->hash_mask, .off = rec};
    return 0;
}

static int
key_cmp(struct vos_op *op, const struct vos_btr_key *key, uint64_t rec, int *ret_cmp)
{
    struct vos_key_df *k;
    int rc = vos_key_get(op, rec, &k);

    if (rc == 0)
        *ret_cmp = key_order(key, k);
    return rc;
}

static int
key_ent(struct vos_op *op, const struct vos_btr_kind *kind, uint64_t rec, struct vos_ent_df *ret_ent)
{
    struct vos_key_df *k;
    struct iov key;
    int rc = vos_key_get(op, rec, &k);

    if (rc != 0)
        return rc;
    key = vos_key_iov(k);
    if (kind->id == VOS_TREE_KEY_UINT && key.len != 8)
        return vos_bad(rec, "integer key");
    *ret_ent = (struct vos_ent_df){.hkey = vos_key_bytes(op, kind, &key).hkey, .off = rec};
    return 0;
}

static int
key_hashed_ent(struct vos_op *op, uint64_t rec, struct vos_ent_df *ret_ent)
{
    return key_ent(op, &vos_kind_key_hashed, rec, ret_ent);
}

static int
key_uint_ent(struct vos_op *op, uint64_t rec, struct vos_ent_df *ret_ent)
{
    return key_ent(op, &vos_kind_key_uint, rec, ret_ent);
}

static int
key_lex_ent(struct vos_op *op, uint64_t rec, struct vos_ent_df *ret_ent)
{
    return key_ent(op, &vos_kind_key_lex, rec, ret_ent);
}

/* What orders versions lies in the part that all have: the rest is checked by who reads it. */
static int
ver_head(struct vos_op *op, uint64_t rec, const struct vos_ver_df **ret_df)
{
    int rc = vos_ptr(op, rec, sizeof(**ret_df), ret_df);

    if (CAIRN_UNLIKELY(
            rc == 0 && (*ret_df)->magic != VOS_VAL_MAGIC && (*ret_df)->magic != VOS_EXT_MAGIC))
        return vos_bad(rec, "version record");
    return rc;
}

static int
ver_cmp(struct vos_op *op, const struct vos_btr_key *key, uint64_t rec, int *ret_cmp)
{
    const struct vos_epoch *want = key->buf;
    const struct vos_ver_df *ver;
    int rc = ver_head(op, rec, &ver);

    if (rc != 0)
        return rc;
    /* Extents with the same first index are ordered by epoch; single values got here with equal epochs. */
    *ret_cmp = want->epoch != ver->epoch ? (want->epoch < ver->epoch ? -1 : 1)
        : want->minor != ver->minor      ? (want->minor < ver->minor ? -1 : 1)
                                         : 0;
    return 0;
}

static int
single_ent(struct vos_op *op, uint64_t rec, struct vos_ent_df *ret_ent)
{
    const struct vos_ver_df *ver;
    int rc = ver_head(op, rec, &ver);

    if (rc != 0)
        return rc;
    if (ver->magic != VOS_VAL_MAGIC)
        return vos_bad(rec, "single value");
    *ret_ent = (struct vos_ent_df){.hkey = ver->epoch, .off = rec};
    return 0;
}

static int
ext_ent(struct vos_op *op, uint64_t rec, struct vos_ent_df *ret_ent)
{
    struct vos_ver ext;
    int rc = vos_ext_get(op, rec, &ext);

    if (rc != 0)
        return rc;
    *ret_ent = vos_ext_ent(&ext, rec);
    return 0;
}

enum { ORDER = 31, ORDER_EXT = 15 };
CAIRN_STATIC_ASSERT(sizeof(struct vos_node_df) + ORDER * 16 <= VOS_BTR_NODE_BYTES, "order");
CAIRN_STATIC_ASSERT(sizeof(struct vos_node_df) + ORDER_EXT * 40 <= VOS_BTR_NODE_EXT_BYTES, "order");

const struct vos_btr_kind vos_kind_pool = {
    VOS_TREE_POOL, 16, ORDER, false, false, true, false, pool_cmp, pool_ent};
const struct vos_btr_kind vos_kind_cont = {
    VOS_TREE_CONT, 16, ORDER, false, false, true, false, cont_cmp, cont_ent};
const struct vos_btr_kind vos_kind_client = {
    VOS_TREE_CLIENT, 16, ORDER, false, false, true, false, client_cmp, client_ent};
const struct vos_btr_kind vos_kind_obj = {
    VOS_TREE_OBJ, 16, ORDER, false, false, true, false, obj_cmp, obj_ent};
const struct vos_btr_kind vos_kind_key_hashed = {
    VOS_TREE_KEY_HASHED, 16, ORDER, false, false, true, true, key_cmp, key_hashed_ent};
const struct vos_btr_kind vos_kind_key_uint = {
    VOS_TREE_KEY_UINT, 16, ORDER, true, false, true, true, key_cmp, key_uint_ent};
const struct vos_btr_kind vos_kind_key_lex = {
    VOS_TREE_KEY_LEX, 16, ORDER, false, false, true, true, key_cmp, key_lex_ent};
const struct vos_btr_kind vos_kind_single = {
    VOS_TREE_SINGLE, 16, ORDER, false, false, true, false, ver_cmp, single_ent};
const struct vos_btr_kind vos_kind_ext = {
    VOS_TREE_EXT, 40, ORDER_EXT, false, false, false, false, ver_cmp, ext_ent};
const struct vos_btr_kind vos_kind_ilog = {
    VOS_TREE_ILOG, 16, ORDER, true, true, false, false, NULL, NULL};
