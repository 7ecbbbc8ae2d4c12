/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Golden images of a store: the blocks of the target's files that are not zero (bio_test_img.h). Each image's test has a body that makes its contents and one that checks them. */
#ifndef CAIRN_VOS_COMPAT_IMG_H
#define CAIRN_VOS_COMPAT_IMG_H

#include "bio/test/bio_test_img.h"
#include "vos_test_fix.h"

enum { IMG_MAGIC = 0x474d4956 /* "VIMG" */ };

static inline void
img_write(struct fix *f)
{
    img_save(f->xs, f->cfg.dir, IMG_MAGIC, f->arg);
}

static inline void
img_load(struct fix *f)
{
    img_restore(f->xs, f->cfg.dir, IMG_MAGIC, f->cfg.meta_bytes, f->arg);
}

static inline bool
img_up(struct fix *f)
{
    struct sim_opts opts = {.seed = 4711, .disk_lat_lo_ns = 10000, .disk_lat_hi_ns = 200000};

    fix_prepare(f);
    f->cfg.meta_bytes = 4 << 20;
    f->cfg.data_bytes = 8 << 20;
    f->cfg.ckpt_interval_ns = UINT64_C(1000) * 1000000000;
    f->meta_quota = 2 << 20;
    f->data_quota = 6 << 20;
    return fix_up(f, &opts);
}

static inline void
img_load_and_run(const char *path, void (*fn)(struct fix *f))
{
    FILE *in = fopen(path, "rb");
    struct fix f;

    if (!EXPECT(in != NULL))
        return;
    if (img_up(&f)) {
        f.arg = in;
        EXPECT(fix_run(&f, img_load));
        EXPECT(fix_run(&f, fn));
    }
    fclose(in);
    fix_down(&f);
}

/* Make it anew, write it to the file that the environment names (else to none that stays), and check it. */
static inline void
img_current(const char *env, void (*make)(struct fix *f), void (*check)(struct fix *f))
{
    const char *path = getenv(env);
    struct fix f;
    FILE *img = path != NULL ? fopen(path, "wb") : tmpfile();

    if (!EXPECT(img != NULL))
        return;
    if (img_up(&f)) {
        EXPECT(fix_run(&f, make));
        EXPECT(fix_crash(&f, false));
        f.arg = img;
        EXPECT(fix_run(&f, img_write));
        EXPECT(fix_run(&f, check));
    }
    fclose(img);
    fix_down(&f);
}

#endif
