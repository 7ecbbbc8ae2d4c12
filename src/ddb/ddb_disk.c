/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What lies on the disks below the trees: superblocks, devices, checkpoints, slot map, log. Bytes: docs/format/bio.md. */
#include <string.h>

#include "base/codec.h"
#include "base/crc.h"
#include "base/util.h"
#include "ddb/ddb.h"

/* ---- superblocks, devices ------------------------------------------------------------------------------------------- */

static const char *
sb_state(const struct bio_sb_df *sb, enum bio_role role)
{
    if (sb->magic != BIO_SB_MAGIC)
        return "none";
    if (sb->crc != crc32c(0, sb, sizeof(*sb) - 4))
        return "damaged";
    return sb->role == (uint32_t)role ? "good" : "of another role";
}

static void
sb_tell(struct ddb *d, enum bio_role role, const struct bio_sb_df *sb)
{
    char text[DDB_TEXT_BYTES], system[CUUID_TEXT_BYTES], device[CUUID_TEXT_BYTES];
    const char *state = sb_state(sb, role);

    (void)cuuid_format(&sb->system, system);
    (void)cuuid_format(&sb->device, device);
    ddb_role_text(d, role, text, sizeof(text));
    ddb_row(d, "superblocks",
        json_pack(
            "{s:s, s:s, s:s, s:i, s:i, s:o, s:o, s:o, s:s, s:s, s:i, s:i, s:o, s:o, s:o, s:o, s:o}",
            "role", ddb_role_name(role), "place", text, "state", state, "version", (int)sb->version,
            "stored_role", (int)sb->role, "compat", ddb_hex(sb->compat), "ro_compat",
            ddb_hex(sb->ro_compat), "incompat", ddb_hex(sb->incompat), "system", system, "device",
            device, "rank", (int)sb->rank, "target", (int)sb->tgt_idx, "generation",
            ddb_u64(sb->generation), "wal_bytes", ddb_u64(sb->wal_bytes), "arena_bytes",
            ddb_u64(sb->arena_bytes), "meta_bytes", ddb_u64(sb->meta_bytes), "data_bytes",
            ddb_u64(sb->data_bytes)));
    ddb_say(d, "%s (%s): %s\n", ddb_role_name(role), text, state);
    if (strcmp(state, "none") == 0)
        return;
    ddb_say(d, "  format version %u, features %#lx %#lx %#lx, generation %lu\n", sb->version,
        (unsigned long)sb->compat, (unsigned long)sb->ro_compat, (unsigned long)sb->incompat,
        (unsigned long)sb->generation);
    ddb_say(d, "  system %s, rank %u, target %u, device %s\n", system, sb->rank, sb->tgt_idx, device);
    ddb_say(d, "  bytes: log %lu, arena %lu, metadata %lu, data %lu\n", (unsigned long)sb->wal_bytes,
        (unsigned long)sb->arena_bytes, (unsigned long)sb->meta_bytes, (unsigned long)sb->data_bytes);
}

int
ddb_cmd_superblock(struct ddb *d, uint32_t nr, char **words)
{
    (void)nr;
    (void)words;
    for (enum bio_role role = BIO_ROLE_TARGET; role < BIO_ROLE_NR; role++) {
        struct bio_sb_df sb;
        int rc;

        memset(&sb, 0, sizeof(sb));
        rc = bio_look_read(d->bio, role, 0, &sb, sizeof(sb));
        if (rc != 0) {
            ddb_found(
                d, "the superblock of %s cannot be read: %s", ddb_role_name(role), err_text(rc));
        }
        sb_tell(d, role, &sb);
        if (rc == 0 && strcmp(sb_state(&sb, role), "good") != 0) {
            ddb_found(
                d, "the superblock of %s (offset 0): %s", ddb_role_name(role), sb_state(&sb, role));
        }
    }
    return 0;
}

int
ddb_cmd_devs(struct ddb *d, uint32_t nr, char **words)
{
    char text[DDB_TEXT_BYTES], id[CUUID_TEXT_BYTES];

    (void)nr;
    (void)words;
    for (enum bio_role role = BIO_ROLE_WAL; role < BIO_ROLE_NR; role++) {
        ddb_role_text(d, role, text, sizeof(text));
        ddb_row(d, "roles",
            json_pack("{s:s, s:s, s:o, s:b, s:o}", "role", ddb_role_name(role), "path",
                d->cfg.places[role].path[0] != '\0' ? d->cfg.places[role].path : text, "offset",
                ddb_u64(d->cfg.places[role].off), "is_device", d->cfg.places[role].path[0] != '\0',
                "bytes", ddb_u64(bio_look_bytes(d->bio, role))));
        ddb_say(d, "%-5s %s, %lu bytes\n", ddb_role_name(role), text,
            (unsigned long)bio_look_bytes(d->bio, role));
    }
    ddb_set(d, "devices", json_array());
    for (uint32_t i = 0; i < d->dev_nr; i++) {
        const struct bio_look_dev *look = &d->dev_looks[i];
        json_t *regions = json_array();
        bool is_good = look->label_rc == 0 && look->tab_rc == 0;

        ddb_say(d, "%s: %lu bytes, label %s, table %s\n", d->devs[i], (unsigned long)look->bytes,
            look->label_rc == 0 ? "good" : err_name(look->label_rc),
            look->tab_rc == 0 ? "good" : err_name(look->tab_rc));
        if (look->label_rc == 0) {
            ddb_say(d, "  device %s, rank %u, %s\n", cuuid_format(&look->label.device, id),
                look->label.rank, look->label.state == BIO_DEV_READY ? "ready" : "being formatted");
        }
        for (uint32_t r = 0; is_good && r < look->label.region_nr; r++) {
            const struct bio_dev_region_df *region = &look->tab.regions[r];

            (void)json_array_append_new(regions,
                json_pack("{s:s, s:i, s:o, s:o}", "role", ddb_role_name(region->role), "target",
                    (int)region->tgt_idx, "offset", ddb_u64(region->off), "bytes",
                    ddb_u64(region->bytes)));
            ddb_say(d, "  %-6s of target %u at %lu, %lu bytes\n", ddb_role_name(region->role),
                region->tgt_idx, (unsigned long)region->off, (unsigned long)region->bytes);
        }
        ddb_row(d, "devices",
            json_pack("{s:s, s:o, s:b, s:b, s:s, s:i, s:o}", "path", d->devs[i], "bytes",
                ddb_u64(look->bytes), "label_is_good", look->label_rc == 0, "table_is_good",
                is_good, "device", cuuid_format(&look->label.device, id), "rank",
                (int)look->label.rank, "regions", regions));
    }
    return 0;
}

/* ---- checkpoints ---------------------------------------------------------------------------------------------------- */

int
ddb_cmd_ckpt(struct ddb *d, uint32_t nr, char **words)
{
    const struct bio_ckpt_df *now = bio_look_ckpt(d->bio);

    (void)nr;
    (void)words;
    for (uint32_t place = 0; place < 2; place++) {
        uint64_t off = (uint64_t)(1 + place) * BIO_BLK_BYTES;
        struct bio_ckpt_df hdr;
        json_t *segs = json_array();
        bool is_good, counts;
        int rc;

        memset(&hdr, 0, sizeof(hdr));
        rc = bio_look_read(d->bio, BIO_ROLE_META, off, &hdr, sizeof(hdr));
        if (rc != 0) {
            ddb_found(d, "meta: the header at file offset %lu cannot be read: %s",
                (unsigned long)off, err_text(rc));
        }
        is_good = rc == 0 && hdr.magic == BIO_CKPT_MAGIC &&
            hdr.crc == crc32c(0, &hdr, sizeof(hdr) - 4) && hdr.seg_nr <= BIO_CKPT_SEG_NR_MAX;
        counts = is_good && now != NULL && now->seq == hdr.seq;
        ddb_say(d, "header at %lu: %s\n", (unsigned long)off,
            !is_good     ? "not valid (never written, torn or damaged)"
                : counts ? "counts"
                         : "older");
        for (uint32_t i = 0; is_good && i < hdr.seg_nr; i++) {
            const struct bio_seg_df *s = &hdr.segs[i];

            (void)json_array_append_new(segs,
                json_pack("{s:o, s:o, s:o, s:o}", "generation", ddb_u64(s->generation), "start_pos",
                    ddb_u64(s->start_pos), "first_lsn", ddb_u64(s->first_lsn), "group",
                    ddb_u64(s->seq)));
        }
        ddb_row(d, "headers",
            json_pack("{s:o, s:b, s:b, s:o, s:o, s:o, s:o, s:o}", "offset", ddb_u64(off),
                "is_valid", is_good, "counts", counts, "number", ddb_u64(hdr.seq), "lsn",
                ddb_u64(hdr.ckpt_lsn), "map_offset", ddb_u64(hdr.map_off), "map_entries",
                ddb_u64(hdr.map_nr), "segments", segs));
        if (!is_good)
            continue;
        ddb_say(d, "  number %lu, pages hold transactions up to %lu, slot map of %lu entries\n",
            (unsigned long)hdr.seq, (unsigned long)hdr.ckpt_lsn, (unsigned long)hdr.map_nr);
        for (uint32_t i = 0; i < hdr.seg_nr; i++) {
            const struct bio_seg_df *s = &hdr.segs[i];

            ddb_say(d, "  generation %lu from block %lu on: transaction %lu, group %lu\n",
                (unsigned long)s->generation, (unsigned long)s->start_pos,
                (unsigned long)s->first_lsn, (unsigned long)s->seq);
        }
    }
    return now != NULL ? 0 : ddb_fail(d, -DER_CSUM, "no checkpoint header is valid");
}

int
ddb_cmd_map(struct ddb *d, uint32_t nr, char **words)
{
    bool only_used = nr == 2 && strcmp(words[1], "--used") == 0;
    struct bio_look_meta meta;

    if (nr == 2 && !only_used)
        return ddb_fail(d, -DER_INVAL, "usage: map_dump [--used]");
    if (bio_status(d->bio) != 0) {
        return ddb_fail(
            d, bio_status(d->bio), "the arena cannot be had: %s", err_text(bio_status(d->bio)));
    }
    bio_look_meta(d->bio, &meta);
    ddb_set(d, "leaf_bytes", ddb_u64(meta.leaf_bytes));
    ddb_set(d, "slots_offset", ddb_u64(meta.slots_off));
    ddb_set(d, "slots", ddb_u64(meta.slot_nr));
    ddb_set(d, "slots_used", ddb_u64(meta.slot_used_nr));
    ddb_say(d, "%u of %u slots used, slots from file offset %lu on; leaves of %u entries\n",
        meta.slot_used_nr, meta.slot_nr, (unsigned long)meta.slots_off, meta.leaf_entry_nr);
    for (uint32_t leaf = 0; leaf < meta.leaf_nr; leaf++) {
        uint64_t off = bio_look_leaf_off(d->bio, leaf);

        ddb_row(d, "leaves",
            json_pack("{s:i, s:o, s:o}", "leaf", (int)leaf, "offset", ddb_u64(off), "first_page",
                ddb_u64((uint64_t)leaf * meta.leaf_entry_nr)));
        ddb_say(d, "leaf %u at %lu: pages from %lu on\n", leaf, (unsigned long)off,
            (unsigned long)leaf * meta.leaf_entry_nr);
    }
    ddb_set(d, "pages", json_array());
    for (uint64_t p = 0; p < bio_look_page_nr(d->bio); p++) {
        struct bio_look_page page;

        bio_look_page(d->bio, p, &page);
        if (only_used && page.slot == BIO_SLOT_NONE)
            continue;
        ddb_row(d, "pages",
            json_pack("{s:o, s:i, s:o, s:o, s:o, s:b, s:s, s:i, s:i}", "page", ddb_u64(p), "slot",
                (int)page.slot, "offset", ddb_u64(page.file_off), "crc", ddb_hex(page.crc), "lsn",
                ddb_u64(page.lsn), "is_replayed", page.is_replayed, "kind",
                page.is_free         ? "free"
                    : page.is_system ? "system"
                                     : "blocks",
                "block_bytes", (int)page.blk_bytes, "free_blocks", (int)page.free_nr));
        ddb_say(d, "page %lu: ", (unsigned long)p);
        if (page.slot != BIO_SLOT_NONE) {
            ddb_say(d, "slot %u at %lu, crc %08x, lsn %lu, ", page.slot,
                (unsigned long)page.file_off, page.crc, (unsigned long)page.lsn);
        } else {
            ddb_say(d, "no slot, ");
        }
        if (page.blk_bytes != 0) {
            ddb_say(d, "blocks of %u, %u free", page.blk_bytes, page.free_nr);
        } else {
            ddb_say(d, "%s", page.is_free ? "free" : "system");
        }
        ddb_say(d, "%s\n", page.is_replayed ? ", changed by the log" : "");
    }
    return 0;
}

/* ---- log ------------------------------------------------------------------------------------------------------------ */

struct log_dump {
    struct ddb *d;
    bool has_ranges;
    uint64_t ring_blks;
};

static int
log_part(void *arg, const struct bio_look_log *part)
{
    struct log_dump *l = arg;
    struct ddb *d = l->d;
    const struct bio_group_df *g = part->group;
    const struct bio_rec_df *rec = part->rec;
    json_t *ranges = NULL;
    uint64_t off = (1 + g->pos % l->ring_blks) * BIO_BLK_BYTES;

    if (rec == NULL) {
        ddb_row(d, "groups",
            json_pack("{s:o, s:o, s:o, s:i, s:o, s:i, s:o, s:i}", "pos", ddb_u64(g->pos), "offset",
                ddb_u64(off), "number", ddb_u64(g->seq), "bytes", (int)g->bytes, "generation",
                ddb_u64(g->generation), "records", (int)g->rec_nr, "first_lsn",
                ddb_u64(g->first_lsn), "open", (int)g->open_nr));
        ddb_say(
            d, "group %lu at block %lu (file offset %lu): generation %lu, %u records, %u bytes, lsn from %lu\n",
            (unsigned long)g->seq, (unsigned long)g->pos, (unsigned long)off,
            (unsigned long)g->generation, g->rec_nr, g->bytes, (unsigned long)g->first_lsn);
        return 0;
    }
    ddb_say(d, "  record %lu: shard %lu, %u ranges, %u bytes\n", (unsigned long)rec->lsn,
        (unsigned long)rec->shard, rec->range_nr, rec->bytes);
    if (d->is_json && l->has_ranges)
        ranges = json_array();
    for (uint32_t i = 0; l->has_ranges && i < rec->range_nr; i++) {
        uint64_t word = le64_get(part->ranges + (size_t)i * 8);

        if (ranges != NULL) {
            (void)json_array_append_new(ranges,
                json_pack("{s:o, s:i}", "offset", ddb_hex(word >> 16), "bytes", (int)(word & 0xffff)));
        }
        ddb_say(d, "    %#lx, %lu bytes\n", (unsigned long)(word >> 16),
            (unsigned long)(word & 0xffff));
    }
    if (d->is_json) {
        json_t *row = json_pack("{s:o, s:o, s:o, s:i, s:i}", "lsn", ddb_u64(rec->lsn), "group",
            ddb_u64(g->seq), "shard", ddb_u64(rec->shard), "ranges_nr", (int)rec->range_nr, "bytes",
            (int)rec->bytes);

        if (ranges != NULL)
            (void)json_object_set_new(row, "ranges", ranges);
        ddb_row(d, "records", row);
    }
    return 0;
}

int
ddb_cmd_log(struct ddb *d, uint32_t nr, char **words)
{
    struct log_dump l = {.d = d, .has_ranges = nr == 2 && strcmp(words[1], "--ranges") == 0};
    struct bio_look_end end;
    int rc;

    if (nr == 2 && !l.has_ranges)
        return ddb_fail(d, -DER_INVAL, "usage: log_dump [--ranges]");
    if (bio_look_ckpt(d->bio) == NULL) {
        return ddb_fail(
            d, -DER_CSUM, "no checkpoint header is valid: nothing says where the log begins");
    }
    l.ring_blks = bio_look_sb(d->bio)->wal_bytes / BIO_BLK_BYTES - 1;
    ddb_set(d, "groups", json_array());
    ddb_set(d, "records", json_array());
    rc = bio_look_log(d->bio, log_part, &l, &end);
    if (rc != 0)
        return rc;
    ddb_set(d, "end",
        json_pack("{s:o, s:o, s:o, s:o, s:b, s:b}", "pos", ddb_u64(end.pos), "offset",
            ddb_u64(end.file_off), "last_lsn", ddb_u64(end.last_lsn), "generation",
            ddb_u64(end.generation), "is_torn", end.is_torn, "is_damaged", end.is_damaged));
    ddb_say(d, "end at block %lu (file offset %lu): %lu groups, %lu records, last lsn %lu%s\n",
        (unsigned long)end.pos, (unsigned long)end.file_off, (unsigned long)end.groups_nr,
        (unsigned long)end.records_nr, (unsigned long)end.last_lsn,
        end.is_damaged ? "; a group that was written whole lies there, and is damaged"
            : end.is_torn
            ? "; an incomplete group lies there: cut short when the target died, or damaged"
            : "");
    return 0;
}
