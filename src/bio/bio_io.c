/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Disk operations that a ULT waits for, and the pool of I/O buffers. Buffers come in powers of two from 4 KiB to 16 MiB; those that
 * nobody uses are kept up to a limit, those in use are bounded by a budget, at which bio_buf_get() waits (rule 9).
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bitmap.h"
#include "base/probe.h"
#include "base/util.h"
#include "bio/bio_priv.h"

CAIRN_STATIC_ASSERT((int)BIO_BLK_BYTES == (int)PLAT_SECTOR_BYTES, "I/O unit");

static void
req_done(struct plat_io *io, int rc)
{
    struct bio_req *req = io->arg;

    if (req->watch != NULL)
        bio_watch_end(req);
    ult_eventual_set(&req->ev, rc);
}

void
bio_req_startv(struct bio_disk *disk, struct bio_req *req, enum plat_io_op op, uint32_t flags,
    uint64_t off, const struct iov *iovs, uint32_t iov_nr)
{
    uint64_t bytes = 0;

    ult_eventual_init(&req->ev);
    for (uint32_t i = 0; i < iov_nr; i++) {
        bytes += iovs[i].len;
    }
    if (disk->disk == NULL) { /* a role that a tolerant look did not find */
        ult_eventual_set(&req->ev, CAIRN_ERR(NVME_IO));
        return;
    }
    if (off > disk->bytes || bytes > disk->bytes - off) { /* a neighbour's */
        ult_eventual_set(&req->ev, CAIRN_ERR(INVAL));
        return;
    }
    memset(&req->io, 0, sizeof(req->io));
    req->io.op = op;
    req->io.flags = flags;
    req->io.off = disk->base + off;
    req->io.iovs = iovs;
    req->io.iov_nr = iov_nr;
    req->io.done = req_done;
    req->io.arg = req;
    req->watch = NULL;
    if (disk->watch != NULL)
        bio_watch_begin(disk->watch, req, disk->role);
    disk->plat->ops->disk_submit(disk->disk, &req->io);
}

void
bio_req_start(struct bio_disk *disk, struct bio_req *req, enum plat_io_op op, uint32_t flags,
    uint64_t off, void *buf, size_t len)
{
    req->iov = (struct iov){.buf = buf, .len = len};
    bio_req_startv(disk, req, op, flags, off, &req->iov, op == PLAT_IO_SYNC ? 0 : 1);
}

int
bio_req_wait(struct bio_req *req)
{
    return ult_eventual_wait(&req->ev);
}

int
bio_disk_rw(
    struct bio_disk *disk, enum plat_io_op op, uint32_t flags, uint64_t off, void *buf, size_t len)
{
    struct bio_req req;

    bio_req_start(disk, &req, op, flags, off, buf, len);
    return bio_req_wait(&req);
}

/* ---- memory ------------------------------------------------------------------------------------------------- */

/* One place for all of it, so that a sweep can make each allocation fail. */
void *
bio_mem_get_aligned(size_t bytes, size_t align)
{
    void *mem = NULL;

    if (CAIRN_FAULT("bio.mem.none"))
        return NULL;
    return posix_memalign(&mem, align, bytes) == 0 ? mem : NULL;
}

void *
bio_mem_get(size_t bytes)
{
    return bio_mem_get_aligned(bytes, BIO_BLK_BYTES);
}

void *
bio_mem_zeroed(size_t nr, size_t bytes)
{
    return CAIRN_FAULT("bio.mem.none_zeroed") ? NULL : calloc(nr, bytes);
}

void *
bio_mem_resize(void *mem, size_t bytes)
{
    return CAIRN_FAULT("bio.mem.none_more") ? NULL : realloc(mem, bytes);
}

/* ---- buffers ---------------------------------------------------------------------------------------------------------- */

/*
 * Behind the bytes of each buffer, so that a target that is abandoned (a simulated kill) finds what its ULTs held. An aligned block and
 * the allocator's own header take the same space with it.
 */
struct bio_buf_tail {
    struct list_head link; /* pool->live or pool->cached[] */
    void *mem;
    bool is_more;
};

CAIRN_STATIC_ASSERT(
    (int)BIO_BLK_BYTES << (BIO_BUF_CLS_NR - 1) == (int)BIO_BUF_BYTES_MAX, "buffer classes");

static struct bio_buf_tail *
tail_of(void *buf, uint64_t bytes)
{
    return (struct bio_buf_tail *)(void *)((uint8_t *)buf + bytes);
}

static uint64_t
cls_bytes(uint32_t c)
{
    return (uint64_t)BIO_BLK_BYTES << c;
}

void
bio_buf_pool_init(struct bio_buf_pool *pool)
{
    memset(pool, 0, sizeof(*pool));
    list_init(&pool->live);
    for (uint32_t c = 0; c < BIO_BUF_CLS_NR; c++) {
        list_init(&pool->cached[c]);
    }
    ult_cond_init(&pool->room);
}

static void
pool_trim(struct bio_buf_pool *pool, uint64_t keep_bytes)
{
    for (uint32_t c = BIO_BUF_CLS_NR; c > 0 && pool->cached_bytes > keep_bytes; c--) {
        while (!list_empty(&pool->cached[c - 1]) && pool->cached_bytes > keep_bytes) {
            struct bio_buf_tail *tail = LIST_FIRST(&pool->cached[c - 1], struct bio_buf_tail, link);

            list_del(&tail->link);
            pool->cached_bytes -= cls_bytes(c - 1);
            free(tail->mem);
        }
    }
}

static void
list_free(struct list_head *list)
{
    while (!list_empty(list)) {
        struct bio_buf_tail *tail = LIST_FIRST(list, struct bio_buf_tail, link);

        list_del(&tail->link);
        free(tail->mem);
    }
}

void
bio_buf_pool_fini(struct bio_buf_pool *pool)
{
    pool_trim(pool, 0);
    list_free(&pool->live);
}

static int
buf_new(struct bio_buf_pool *pool, uint64_t bytes, void **ret_buf)
{
    struct bio_buf_tail *tail;
    void *buf = bio_mem_get(bytes + sizeof(*tail));

    if (buf == NULL)
        return CAIRN_ERR(NOMEM);
    tail = tail_of(buf, bytes);
    tail->mem = buf;
    list_init(&tail->link);
    list_add_tail(&tail->link, &pool->live);
    *ret_buf = buf;
    return 0;
}

static uint32_t
buf_cls(size_t len)
{
    return len <= BIO_BLK_BYTES ? 0 : log2_floor_u64((len - 1) / BIO_BLK_BYTES) + 1;
}

static int
buf_get(struct bio_tgt *tgt, size_t len, bool is_more, void **ret_buf)
{
    const uint64_t budget = is_more ? BIO_BUF_MORE_BYTES : BIO_BUF_BUDGET_BYTES;
    struct bio_buf_pool *pool = &tgt->bufs;
    struct bio_buf_tail *tail;
    uint64_t bytes;
    uint32_t c;
    int rc = 0;

    if (len == 0 || len > BIO_BUF_BYTES_MAX)
        return CAIRN_ERR(INVAL);
    c = buf_cls(len);
    bytes = cls_bytes(c);
    while (pool->used_bytes[is_more] + bytes > budget) {
        ult_cond_wait(&pool->room, NULL);
    }
    tail = LIST_FIRST(&pool->cached[c], struct bio_buf_tail, link);
    if (tail != NULL) {
        list_move_tail(&tail->link, &pool->live);
        pool->cached_bytes -= bytes;
        *ret_buf = tail->mem;
    } else {
        rc = buf_new(pool, bytes, ret_buf);
    }
    if (rc == 0) {
        tail_of(*ret_buf, bytes)->is_more = is_more;
        pool->used_bytes[is_more] += bytes;
    }
    return rc;
}

int
bio_buf_get(struct bio_tgt *tgt, size_t len, void **ret_buf)
{
    return buf_get(tgt, len, false, ret_buf);
}

int
bio_buf_get_more(struct bio_tgt *tgt, size_t len, void **ret_buf)
{
    return buf_get(tgt, len, true, ret_buf);
}

void
bio_buf_put(struct bio_tgt *tgt, void *buf, size_t len)
{
    struct bio_buf_pool *pool = &tgt->bufs;
    struct bio_buf_tail *tail;
    uint64_t bytes;
    uint32_t c;

    if (buf == NULL)
        return;
    c = buf_cls(len);
    bytes = cls_bytes(c);
    tail = tail_of(buf, bytes);
    CAIRN_ASSERT(tail->mem == buf); /* the length of bio_buf_get() */
    CAIRN_ASSERT(pool->used_bytes[tail->is_more] >= bytes);
    pool->used_bytes[tail->is_more] -= bytes;
    list_move(&tail->link, &pool->cached[c]);
    pool->cached_bytes += bytes;
    pool_trim(pool, BIO_BUF_CACHE_BYTES);
    ult_cond_broadcast(&pool->room);
}

void *
bio_tmp_get(struct bio_tgt *tgt, size_t len)
{
    void *buf = NULL;

    return buf_new(&tgt->bufs, ALIGN_UP(len, (size_t)BIO_BLK_BYTES), &buf) == 0 ? buf : NULL;
}

void
bio_tmp_put(struct bio_tgt *tgt, void *buf, size_t len)
{
    struct bio_buf_tail *tail;

    (void)tgt;
    if (buf == NULL)
        return;
    tail = tail_of(buf, ALIGN_UP(len, (size_t)BIO_BLK_BYTES));
    CAIRN_ASSERT(tail->mem == buf);
    list_del(&tail->link);
    free(buf);
}

/* ---- data role -------------------------------------------------------------------------------------------------------- */

static bool
data_range_is_valid(const struct bio_tgt *tgt, uint64_t addr, size_t len)
{
    uint64_t end;

    return len > 0 && len <= BIO_BUF_BYTES_MAX && IS_ALIGNED(addr, (uint64_t)BIO_BLK_BYTES) &&
        addr != 0 && add_u64(addr, ALIGN_UP((uint64_t)len, BIO_BLK_BYTES), &end) &&
        end <= tgt->sb.data_bytes;
}

int
bio_data_write(struct bio_tgt *tgt, uint64_t addr, void *buf, size_t len)
{
    size_t full = ALIGN_UP(len, (size_t)BIO_BLK_BYTES);
    int rc;

    if (tgt->stop_rc != 0)
        return tgt->stop_rc;
    if (!data_range_is_valid(tgt, addr, len))
        return CAIRN_ERR(INVAL);
    memset((uint8_t *)buf + len, 0, full - len);
    rc = bio_disk_rw(&tgt->data, PLAT_IO_WRITE, 0, addr, buf, full);
    if (rc != 0)
        return rc;
    tgt->data_written++;
    if (tgt->data_map != NULL)
        bitmap_set_range(tgt->data_filled, addr / BIO_BLK_BYTES, full / BIO_BLK_BYTES);
    return 0;
}

void
bio_data_read_start(struct bio_tgt *tgt, struct bio_req *req, uint64_t addr, void *buf, size_t len)
{
    int rc = tgt->stop_rc;

    if (rc == 0 && !data_range_is_valid(tgt, addr, len))
        rc = CAIRN_ERR(DF_INVAL); /* the address came from an index */
    if (rc == 0) {
        bio_req_start(
            &tgt->data, req, PLAT_IO_READ, 0, addr, buf, ALIGN_UP(len, (size_t)BIO_BLK_BYTES));
        return;
    }
    ult_eventual_init(&req->ev);
    ult_eventual_set(&req->ev, rc);
}

int
bio_data_read_wait(struct bio_req *req)
{
    return bio_req_wait(req);
}

int
bio_data_read(struct bio_tgt *tgt, uint64_t addr, void *buf, size_t len)
{
    struct bio_req req;

    bio_data_read_start(tgt, &req, addr, buf, len);
    return bio_req_wait(&req);
}

/* ---- data role as memory ---------------------------------------------------------------------------------------------- */

void
bio_data_map_init(struct bio_tgt *tgt)
{
    const struct plat_ops *ops = tgt->plat->ops;
    void *mem;

    if (ops->disk_map == NULL || CAIRN_FAULT("bio.map.none") ||
        ops->disk_map(tgt->data.disk, &mem) != 0)
        return;
    tgt->data_filled = bio_mem_zeroed(BITMAP_WORDS(tgt->sb.data_bytes / BIO_BLK_BYTES), 8);
    if (tgt->data_filled != NULL)
        tgt->data_map = (uint8_t *)mem + tgt->data.base;
}

void
bio_data_map_fini(struct bio_tgt *tgt)
{
    free(tgt->data_filled);
}

/* Put memory behind a block and its neighbours. The mapping ends with the role: a last unit may be short. */
static int
unit_fill(struct bio_tgt *tgt, uint64_t blk)
{
    uint64_t off = ALIGN_DOWN(blk * BIO_BLK_BYTES, (uint64_t)BIO_MAP_UNIT_BYTES);
    uint64_t len = MIN((uint64_t)BIO_MAP_UNIT_BYTES, tgt->sb.data_bytes - off);
    int rc = CAIRN_FAULT("bio.map.fill")
        ? CAIRN_ERR(NOSPACE)
        : tgt->plat->ops->disk_map_fill(tgt->data.disk, tgt->data.base + off, len);

    if (rc == 0)
        bitmap_set_range(tgt->data_filled, off / BIO_BLK_BYTES, len / BIO_BLK_BYTES);
    return rc;
}

bool
bio_data_is_mapped(const struct bio_tgt *tgt)
{
    return tgt->data_map != NULL;
}

bool
bio_data_is_cold(const struct bio_tgt *tgt, uint64_t addr, size_t len)
{
    CAIRN_ASSERT(data_range_is_valid(tgt, addr, len));
    return tgt->data_map != NULL &&
        bitmap_find_clear_run(tgt->data_filled, (addr + len) / BIO_BLK_BYTES, addr / BIO_BLK_BYTES,
            BIO_MAP_UNIT_BYTES / BIO_BLK_BYTES) != BITMAP_NONE;
}

void *
bio_data_map(struct bio_tgt *tgt, uint64_t addr, size_t len)
{
    uint64_t end;
    size_t blk;

    if (tgt->data_map == NULL || tgt->stop_rc != 0 || addr < BIO_BLK_BYTES ||
        !data_range_is_valid(
            tgt, ALIGN_DOWN(addr, (uint64_t)BIO_BLK_BYTES), len + addr % BIO_BLK_BYTES))
        return NULL;
    end = DIV_UP(addr + len, (uint64_t)BIO_BLK_BYTES);
    for (blk = addr / BIO_BLK_BYTES;
         (blk = bitmap_find_clear(tgt->data_filled, end, blk)) != BITMAP_NONE; blk++) {
        if (unit_fill(tgt, blk) != 0) {
            CAIRN_PROBE("bio.map.no_memory");
            return NULL;
        }
    }
    return tgt->data_map + addr;
}

void
bio_data_written(struct bio_tgt *tgt, uint64_t addr, size_t len)
{
    CAIRN_ASSERT(data_range_is_valid(tgt, addr, len));
    memset(tgt->data_map + addr + len, 0, ALIGN_UP(len, (size_t)BIO_BLK_BYTES) - len);
    tgt->data_written++;
}
