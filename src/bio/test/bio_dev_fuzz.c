/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Fuzz target: label and table of a device (bio_dev.c, pure). The input is written over a good pair, at the given places; checksums are made right unless it says
 * otherwise. What passes the checks must lie inside of the device, off its ends, apart from each other. Input: flags (1: wrong checksums), then,
 * repeated: offset (2 bytes; from 512 on the table), n, n bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/crc.h"
#include "base/util.h"
#include "bio/bio_dev.h"
#include "bio/bio_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { BYTES = 1 << 30, STORE_NR = 3 };

struct both {
    struct bio_dev_label_df label;
    struct bio_dev_tab_df tab;
};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const struct bio_dev_store stores[STORE_NR] = {{.tgt_idx = 0, .roles = 14, .weight = 3},
        {.tgt_idx = 1, .roles = 8, .weight = 3}, {.tgt_idx = 9, .roles = 6, .weight = 1}};
    struct both *b = calloc(1, sizeof(*b));
    const uint8_t *end = data + len;
    uint8_t flags = len > 0 ? *data++ : 0;
    uint64_t least, last;

    b->label = (struct bio_dev_label_df){.magic = BIO_DEV_MAGIC,
        .version = BIO_DEV_VERSION,
        .state = BIO_DEV_READY,
        .dev_bytes = BYTES};
    b->tab.magic = BIO_DEV_TAB_MAGIC;
    if (bio_dev_plan(stores, STORE_NR, BYTES, b->tab.regions, &b->label.region_nr, &least) != 0)
        abort();
    while (end - data >= 3) {
        uint32_t off = le16_get(data) % sizeof(*b);
        size_t n = MIN(data[2], (size_t)(end - data - 3));

        memcpy((uint8_t *)b + off, data + 3, MIN(n, sizeof(*b) - off));
        data += 3 + n;
    }
    if ((flags & 1) == 0) {
        b->label.tab_crc = crc32c(0, &b->tab, sizeof(b->tab));
        b->label.crc = crc32c(0, &b->label, sizeof(b->label) - 4);
    }
    if (bio_dev_label_check(&b->label) == 0 && bio_dev_tab_check(&b->label, &b->tab) == 0) {
        last = BIO_DEV_EDGE_BYTES;
        for (uint32_t i = 0; i < b->label.region_nr; i++) {
            const struct bio_dev_region_df *region = &b->tab.regions[i];

            if (region->off < last || region->bytes == 0 ||
                region->off + region->bytes < region->off ||
                region->off + region->bytes > b->label.dev_bytes - BIO_DEV_EDGE_BYTES)
                abort();
            last = region->off + region->bytes;
        }
    }
    free(b);
    return 0;
}
