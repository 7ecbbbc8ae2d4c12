/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* See vos_fuzz_img.h. */
#include "vos/test/vos_fuzz_img.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/crc.h"
#include "base/util.h"
#include "bio/bio_priv.h"

enum {
    WAL_BYTES = 16 << 20,
    ARENA_BYTES = 4 << 20,
    DATA_BYTES = 8 << 20,
    FILE_NR = 4,
    GROUP_NR_MAX = 256,
    PAGE_NR_MAX = 512,
    OPS_NR_MAX = 32,
    LEAF_ENTRY_NR = ARENA_BYTES >> UMEM_PAGE_BITS,
    LEAF_BYTES = LEAF_ENTRY_NR * 16
};
CAIRN_STATIC_ASSERT((int)LEAF_ENTRY_NR == (int)BIO_LEAF_ENTRY_NR_MIN, "one leaf");

struct file {
    const char *name;
    uint64_t bytes;
    uint8_t *mem, *base;
    uint8_t *dirty; /* a byte for each block that differs from base */
};

struct group {
    uint64_t blk; /* of the file */
    uint32_t blks;
};

struct image {
    const char *path;
    struct file files[FILE_NR]; /* wal, meta, data, target */
    struct group groups[GROUP_NR_MAX];
    uint32_t group_nr;
    uint32_t hdr_place; /* of the newest checkpoint header */
    uint64_t slots_off;
    bool is_loaded;
};

#define FILES \
    { \
        {.name = "wal"}, {.name = "meta"}, {.name = "data"}, \
        { \
            .name = "target" \
        } \
    }
static struct image images[] = {{.path = VOS_COMPAT_DIR "/v5.img", .files = FILES},
    {.path = VOS_COMPAT_DIR "/v5_dtx.img", .files = FILES}};

/* Of one run. */
static struct {
    struct image *im;
    struct plat_ops ops;
    bool is_mapped; /* the data role is memory, as in class ram */
    bool is_rdonly;
} st;

/* ---- disks in memory ------------------------------------------------------------------------------------------------ */

struct mdisk {
    struct plat_loop *loop;
    struct file *file;
};

struct mio {
    struct plat_post post;
    struct plat_io *io;
    int rc;
};
_Static_assert(sizeof(struct mio) <= sizeof(((struct plat_io *)0)->priv), "mio fits");

static struct file *
file_of(const char *path)
{
    const char *name = strrchr(path, '/') + 1;

    for (uint32_t i = 0; i < FILE_NR; i++) {
        if (strcmp(st.im->files[i].name, name) == 0)
            return &st.im->files[i];
    }
    abort();
}

static int
mdisk_open(struct plat *plat, struct plat_loop *loop, const char *path, uint32_t flags,
    uint64_t size_bytes, struct plat_disk **ret_disk)
{
    struct mdisk *disk = calloc(1, sizeof(*disk));

    (void)plat;
    (void)flags;
    (void)size_bytes;
    disk->loop = loop;
    disk->file = file_of(path);
    *ret_disk = (struct plat_disk *)(void *)disk;
    return 0;
}

static void
mdisk_close(struct plat_disk *disk)
{
    free(disk);
}

static uint64_t
mdisk_size(struct plat_disk *disk)
{
    return ((struct mdisk *)(void *)disk)->file->bytes;
}

static bool
mdisk_volatile(struct plat_disk *disk)
{
    (void)disk;
    return false;
}

static int
mdisk_map(struct plat_disk *disk, void **ret_mem)
{
    if (!st.is_mapped)
        return -DER_NOSYS;
    *ret_mem = ((struct mdisk *)(void *)disk)->file->mem;
    return 0;
}

static int
mdisk_map_fill(struct plat_disk *disk, uint64_t off, uint64_t len)
{
    struct file *file = ((struct mdisk *)(void *)disk)->file;

    if (!IS_ALIGNED(off | len, 4096UL) || off > file->bytes || len > file->bytes - off)
        return -DER_INVAL;
    memset(file->dirty + off / 4096, 1, len / 4096);
    return 0;
}

static void
mio_done(struct plat_post *post)
{
    struct mio *mio = CAIRN_CONTAINER_OF(post, struct mio, post);

    mio->io->done(mio->io, mio->rc);
}

static void
mdisk_submit(struct plat_disk *plat_disk, struct plat_io *io)
{
    struct mdisk *disk = (struct mdisk *)(void *)plat_disk;
    struct mio *mio = (struct mio *)(void *)io->priv;
    struct file *file = disk->file;
    uint64_t off = io->off;

    memset(mio, 0, sizeof(*mio));
    mio->io = io;
    mio->post.fn = mio_done;
    for (uint32_t i = 0; i < io->iov_nr && io->op != PLAT_IO_SYNC && mio->rc == 0; i++) {
        const struct iov *iov = &io->iovs[i];

        if (!IS_ALIGNED(off | iov->len | (uintptr_t)iov->buf, 4096UL) || off > file->bytes ||
            iov->len > file->bytes - off) {
            mio->rc = -DER_INVAL;
        } else if (io->op == PLAT_IO_READ) {
            memcpy(iov->buf, file->mem + off, iov->len);
        } else if (st.is_rdonly) {
            abort(); /* nothing is written */
        } else {
            memcpy(file->mem + off, iov->buf, iov->len);
            memset(file->dirty + off / 4096, 1, iov->len / 4096);
        }
        off += iov->len;
    }
    st.ops.loop_post(disk->loop, &mio->post);
}

static int
mfile_read(struct plat *plat, const char *path, void *buf, size_t buf_len, size_t *ret_len)
{
    struct file *file = file_of(path);

    (void)plat;
    *ret_len = MIN(buf_len, file->bytes);
    memcpy(buf, file->mem, *ret_len);
    return 0;
}

/* ---- the image ------------------------------------------------------------------------------------------------------ */

static struct bio_ckpt_df *
ckpt_hdr(uint32_t place)
{
    return (struct bio_ckpt_df *)(void *)(st.im->files[1].mem + (1 + place) * UINT64_C(4096));
}

/* The map of such a small arena is one leaf. */
static struct bio_slot_df *
slot_map(uint64_t *ret_nr)
{
    const struct bio_ckpt_df *hdr = ckpt_hdr(st.im->hdr_place);
    uint64_t off = hdr->map_off + (uint64_t)(hdr->places[0] & 1) * LEAF_BYTES;

    *ret_nr = MIN(hdr->map_nr, (uint64_t)LEAF_ENTRY_NR);
    if (!IS_ALIGNED(off, UINT64_C(4096)) || off > st.im->slots_off ||
        LEAF_BYTES > st.im->slots_off - off)
        *ret_nr = 0;
    return (struct bio_slot_df *)(void *)(st.im->files[1].mem + (*ret_nr == 0 ? 0 : off));
}

/* The image of a page that has a slot; NULL: none. */
static uint8_t *
page_mem(const struct bio_slot_df *slot)
{
    uint64_t off = st.im->slots_off + (slot->slot - UINT64_C(1)) * UMEM_PAGE_BYTES;

    if (slot->slot == BIO_SLOT_NONE || off + UMEM_PAGE_BYTES > st.im->files[1].bytes)
        return NULL;
    return st.im->files[1].mem + off;
}

/* The checksum of a group as it is now. */
static uint32_t
group_crc(const uint8_t *mem)
{
    const struct bio_sb_df *sb = (const void *)st.im->files[0].mem;
    struct bio_group_df hdr;
    uint32_t crc;

    memcpy(&hdr, mem, sizeof(hdr));
    hdr.crc = 0;
    crc = crc32c(crc32c(0, &sb->salt, sizeof(sb->salt)), &hdr, sizeof(hdr));
    return crc32c(crc, mem + sizeof(hdr), hdr.bytes - sizeof(hdr));
}

/* What lies behind the end of the log, or was torn there, is not made a part of it. */
static void
groups_find(void)
{
    const struct bio_seg_df *seg = &ckpt_hdr(st.im->hdr_place)->segs[0];
    uint64_t ring = WAL_BYTES / 4096 - 1, pos = seg->start_pos;
    uint32_t prev_crc = seg->prev_crc;

    while (st.im->group_nr < GROUP_NR_MAX) {
        uint64_t blk = 1 + pos % ring;
        const struct bio_group_df *hdr = (void *)(st.im->files[0].mem + blk * 4096);
        uint32_t blks = DIV_UP(hdr->bytes, 4096U);

        /* Nor what goes over the end of the ring: not changed here. */
        if (hdr->magic != BIO_GROUP_MAGIC || hdr->pos != pos || hdr->prev_crc != prev_crc ||
            blk + blks > 1 + ring || group_crc((const void *)hdr) != hdr->crc)
            break;
        prev_crc = hdr->crc;
        st.im->groups[st.im->group_nr++] = (struct group){blk, blks};
        pos += blks;
    }
}

static bool
image_load(void)
{
    static const uint64_t sizes[FILE_NR] = {WAL_BYTES, 0, DATA_BYTES, 4096};
    FILE *in = fopen(st.im->path, "rb");
    uint8_t num[16];

    if (in == NULL) {
        perror(st.im->path);
        return false;
    }
    for (uint32_t i = 0; i < FILE_NR; i++) {
        struct file *file = &st.im->files[i];

        file->bytes = i == 1 ? bio_ckpt_file_bytes(ARENA_BYTES) : sizes[i];
        file->mem = calloc(1, file->bytes);
        file->base = calloc(1, file->bytes);
        file->dirty = calloc(1, file->bytes / 4096);
    }
    while (fread(num, 1, sizeof(num), in) == sizeof(num)) {
        struct file *file = &st.im->files[le32_get(num + 4) % FILE_NR];

        if (fread(file->base + le64_get(num + 8) % file->bytes, 1, 4096, in) != 4096)
            break;
    }
    fclose(in);
    for (uint32_t i = 0; i < FILE_NR; i++) {
        memcpy(st.im->files[i].mem, st.im->files[i].base, st.im->files[i].bytes);
    }
    st.im->slots_off = bio_ckpt_file_bytes(ARENA_BYTES) -
        (UINT64_C(2) * (ARENA_BYTES >> UMEM_PAGE_BITS) + BIO_CKPT_BATCH_NR) * UMEM_PAGE_BYTES;
    st.im->hdr_place = ckpt_hdr(1)->seq > ckpt_hdr(0)->seq;
    groups_find();
    return true;
}

static void
image_restore(void)
{
    for (uint32_t i = 0; i < FILE_NR; i++) {
        struct file *file = &st.im->files[i];

        for (uint64_t blk = 0; blk < file->bytes / 4096; blk++) {
            if (!file->dirty[blk])
                continue;
            memcpy(file->mem + blk * 4096, file->base + blk * 4096, 4096);
            file->dirty[blk] = 0;
        }
    }
}

/* ---- changes -------------------------------------------------------------------------------------------------------- */

static void
bytes_put(
    struct file *file, uint64_t start, uint64_t span, uint64_t off, const uint8_t *bytes, size_t n)
{
    off %= span;
    n = MIN(n, span - off);
    memcpy(file->mem + start + off, bytes, n);
    memset(file->dirty + start / 4096, 1, DIV_UP(span, UINT64_C(4096)));
}

static void
op_apply(uint8_t kind, uint32_t which, uint32_t off, const uint8_t *bytes, size_t n)
{
    struct bio_slot_df *map;
    uint64_t nr;

    switch (kind % 6) {
    case 0: /* the same in all four, but not their roles */
        for (uint32_t i = 0; i < FILE_NR && (off < 12 || off >= 16); i++) {
            bytes_put(&st.im->files[i], 0, 4096, off, bytes, n);
        }
        break;
    case 1:
        bytes_put(&st.im->files[1], (1 + which % 2) * UINT64_C(4096), 4096, off, bytes, n);
        break;
    case 2:
        map = slot_map(&nr);
        for (uint64_t i = 0; i < nr; i++) { /* the next page that has an image */
            uint8_t *page = page_mem(&map[(which + i) % nr]);

            if (page == NULL)
                continue;
            bytes_put(&st.im->files[1], (uint64_t)(page - st.im->files[1].mem), UMEM_PAGE_BYTES,
                off, bytes, n);
            break;
        }
        break;
    case 3:
        if (st.im->group_nr > 0) {
            const struct group *group = &st.im->groups[which % st.im->group_nr];

            bytes_put(
                &st.im->files[0], group->blk * 4096, group->blks * UINT64_C(4096), off, bytes, n);
        }
        break;
    case 4:
        map = slot_map(&nr);
        if (nr > 0) {
            bytes_put(&st.im->files[1],
                ALIGN_DOWN((uint64_t)((uint8_t *)map - st.im->files[1].mem), UINT64_C(4096)), 4096,
                off, bytes, n);
        }
        break;
    default:
        bytes_put(
            &st.im->files[2], (which % (DATA_BYTES / 4096)) * UINT64_C(4096), 4096, off, bytes, n);
        break;
    }
}

/* All checksums right again, from the pages up. */
static void
image_seal(void)
{
    uint64_t nr;
    struct bio_slot_df *map = slot_map(&nr);
    uint32_t prev_crc = ckpt_hdr(st.im->hdr_place)->segs[0].prev_crc;

    for (uint64_t i = 0; i < nr; i++) {
        const uint8_t *page = page_mem(&map[i]);

        if (page != NULL)
            map[i].crc = crc32c(0, page, UMEM_PAGE_BYTES);
    }
    if (nr > 0) {
        uint32_t leaf_crc = crc32c(0, map, LEAF_BYTES);

        ckpt_hdr(st.im->hdr_place)->map_crc = crc32c(0, &leaf_crc, sizeof(leaf_crc));
        st.im->files[1].dirty[((uint8_t *)map - st.im->files[1].mem) / 4096] = 1;
    }
    for (uint32_t i = 0; i < 2; i++) {
        ckpt_hdr(i)->crc = crc32c(0, ckpt_hdr(i), 4092);
        st.im->files[1].dirty[1 + i] = 1;
    }
    for (uint32_t i = 0; i < st.im->group_nr; i++) {
        uint8_t *mem = st.im->files[0].mem + st.im->groups[i].blk * 4096;
        struct bio_group_df hdr;

        memcpy(&hdr, mem, sizeof(hdr));
        hdr.prev_crc = prev_crc;
        memcpy(mem, &hdr, sizeof(hdr));
        if (hdr.bytes >= sizeof(hdr) && hdr.bytes <= st.im->groups[i].blks * 4096)
            hdr.crc = group_crc(mem);
        memcpy(mem, &hdr, sizeof(hdr));
        prev_crc = hdr.crc;
        memset(st.im->files[0].dirty + st.im->groups[i].blk, 1, st.im->groups[i].blks);
    }
    for (uint32_t i = 0; i < FILE_NR; i++) {
        le32_put(st.im->files[i].mem + 4092, crc32c(0, st.im->files[i].mem, 4092));
        st.im->files[i].dirty[0] = 1;
    }
}

/* ---- what the targets call ------------------------------------------------------------------------------------------ */

void
vos_fuzz_change(const uint8_t *data, size_t len)
{
    const uint8_t *end = data + len;
    bool seals = len == 0 || (data[0] & 1) == 0;

    st.is_mapped = len > 0 && (data[0] & 2) != 0;
    st.im = &images[len > 0 && (data[0] & 8) != 0];
    if (!st.im->is_loaded && !image_load())
        abort();
    st.im->is_loaded = true;
    if (len > 0)
        data++;
    for (uint32_t i = 0; i < OPS_NR_MAX && end - data >= 6; i++) {
        size_t n = MIN(data[5], (size_t)(end - data - 6));

        op_apply(data[0], le16_get(data + 1), le16_get(data + 3), data + 6, n);
        data += 6 + n;
    }
    if (seals)
        image_seal();
}

void
vos_fuzz_disks(struct plat *plat, bool is_rdonly)
{
    st.is_rdonly = is_rdonly;
    st.ops = *plat->ops;
    st.ops.disk_is_memory = NULL; /* these are none */
    st.ops.disk_open = mdisk_open;
    st.ops.disk_close = mdisk_close;
    st.ops.disk_size = mdisk_size;
    st.ops.disk_submit = mdisk_submit;
    st.ops.disk_volatile = mdisk_volatile;
    st.ops.disk_map = mdisk_map;
    st.ops.disk_map_fill = mdisk_map_fill;
    st.ops.file_read = mfile_read;
    plat->ops = &st.ops;
}

const struct bio_sb_df *
vos_fuzz_sb(void)
{
    return (void *)st.im->files[3].mem;
}

void
vos_fuzz_restore(void)
{
    image_restore();
}
