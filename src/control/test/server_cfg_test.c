/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: a good file is read as it says; each kind of mistake is refused with the file, the line and the key (Bad input: a YAML mistake).
 * Method: small files written to a scratch directory.
 */
#include "control/server/server_cfg.h"
#include "harness/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
load(const char *text, struct server_cfg *ret_cfg, char *err)
{
    char path[512];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/server.yml", test_tmpdir());
    file = fopen(path, "w");
    EXPECT(file != NULL);
    if (file == NULL)
        return -1;
    EXPECT_EQ(fputs(text, file) >= 0, true);
    EXPECT_EQ(fclose(file), 0);
    return server_cfg_load(path, ret_cfg, err, SERVER_ERR_BYTES);
}

TEST_LINUX(server_cfg, good_file, "reads a file")
{
    static const char text[] =
        "name: lab\nport: 10001\nsocket_dir: /srv/run\nprovider: "
        "ofi+tcp;ofi_rxm\ncontrol_log_file: /var/log/x\n"
        "engines:\n- targets: 4\n  first_core: 0\n  fabric_iface: lo\n  fabric_iface_port: 31316\n"
        "  storage:\n  - class: ram\n    scm_mount: /mnt/a\n    scm_size: 8\n"
        "    scm_memory: 1024\n"
        "  - class: file\n    bdev_list: [/mnt/b, /mnt/e]\n    bdev_size: 40\n    bdev_roles: "
        "[data, wal]\n"
        "  - class: kdev\n    bdev_list: [/dev/sdx]\n    bdev_roles: [meta]\n"
        "- targets: 1\n  fabric_iface_port: 31416\n  storage:\n  - class: dcpm\n    scm_mount: "
        "/mnt/c\n    bdev_size: 7\n  - {class: kdev, bdev_list: [/dev/sdy]}\n";
    struct server_cfg *cfg = calloc(1, sizeof(*cfg));
    char err[SERVER_ERR_BYTES];

    EXPECT_OK(load(text, cfg, err));
    EXPECT_STR_EQ(err, "");
    EXPECT_STR_EQ(cfg->name, "lab");
    EXPECT_STR_EQ(cfg->runtime_dir, "/srv/run");
    EXPECT_STR_EQ(cfg->provider, "ofi+tcp;ofi_rxm");
    EXPECT_EQ(cfg->engine_nr, 2);
    EXPECT_EQ(cfg->engines[0].targets, 4);
    EXPECT_STR_EQ(cfg->engines[0].dir, "/mnt/a");
    EXPECT_EQ(cfg->engines[0].meta_bytes, UINT64_C(2) << 30); /* of one target */
    EXPECT_EQ(cfg->engines[0].mem_bytes, UINT64_C(256) << 20);
    EXPECT_EQ(cfg->engines[0].data_bytes, 0);
    EXPECT_EQ(cfg->engines[0].dev_nr, 3);
    EXPECT_STR_EQ(cfg->engines[0].devs[0].path, "/mnt/b");
    EXPECT_STR_EQ(cfg->engines[0].devs[1].path, "/mnt/e");
    EXPECT_STR_EQ(cfg->engines[0].devs[1].roles, "wal,data");
    EXPECT_EQ(cfg->engines[0].devs[1].bytes, UINT64_C(40000000000)); /* of each file */
    EXPECT_STR_EQ(cfg->engines[0].devs[2].path, "/dev/sdx");
    EXPECT_STR_EQ(cfg->engines[0].devs[2].roles, "meta");
    EXPECT_EQ(cfg->engines[0].devs[2].bytes, 0);
    EXPECT_EQ(cfg->engines[0].port, 31316);
    EXPECT(cfg->engines[0].is_ram && !cfg->engines[0].is_pmem);
    EXPECT(!cfg->engines[1].is_ram && cfg->engines[1].is_pmem);
    EXPECT_STR_EQ(cfg->engines[1].dir, "/mnt/c");
    EXPECT_EQ(cfg->engines[1].data_bytes, UINT64_C(7000000000));
    EXPECT_EQ(cfg->engines[1].dev_nr, 1);
    EXPECT_STR_EQ(cfg->engines[1].devs[0].roles, "wal,meta,data");
    free(cfg);
}

static const struct {
    const char *text;
    const char *says; /* part of the line */
} mistakes[] = {
    {"", ":1: the file"},
    {"name: [a", "server.yml:"},
    {"name: a\n", "engines: expected a list"},
    {"name: averyverylongname\nengines: []\n", ":1: name: longer than 15"},
    {"name: a/b\nengines: []\n", ":1: name: expected"},
    {"name: a\nengines: []\n", ":2: engines: expected a list"},
    {"nmae: a\n", ":1: nmae: no such key"},
    {"engines:\n- targets: two\n", ":2: targets: expected a number from 1 to 64, found two"},
    {"engines:\n- targets: 0\n", ":2: targets: expected a number"},
    {"engines:\n- targets: 65\n", ":2: targets: expected a number"},
    {"engines:\n- targets: 2\n", "`storage` with `scm_mount`"},
    {"engines:\n- storage:\n  - class: file\n    scm_mount: /a\n", "`targets` is missing"},
    {"engines:\n- targets: 1\n  storage:\n  - class: nvme\n    scm_mount: /a\n",
        ":4: class: nvme is still to come"},
    {"engines:\n- targets: 1\n  storage:\n  - {class: kdev, scm_mount: /a}\n",
        ":4: storage: class kdev needs bdev_list"},
    {"engines:\n- targets: 1\n  storage:\n  - {class: kdev, bdev_list: []}\n",
        ":4: bdev_list: expected a list of devices"},
    {"engines:\n- targets: 1\n  storage:\n  - {class: kdev, bdev_list: [sdb]}\n",
        ":4: bdev_list: sdb: expected an absolute path"},
    {"engines:\n- targets: 1\n  storage:\n  - {class: kdev, bdev_list: [/b, /b]}\n",
        ":4: bdev_list: /b is there twice"},
    {"engines:\n- targets: 1\n  storage:\n  - {class: kdev, bdev_list: [/b], bdev_size: 3}\n",
        ":4: storage: bdev_size is for class file"},
    {"engines:\n- targets: 1\n  storage:\n  - {class: file, bdev_list: [/b]}\n",
        ":4: storage: class file with bdev_list needs bdev_size"},
    {"engines:\n- targets: 1\n  storage:\n  - {class: ram, bdev_list: [/b]}\n",
        ":4: storage: class ram has no bdev_list"},
    {"engines:\n- targets: 1\n  storage:\n  - {class: dcpm, bdev_list: [/b]}\n",
        ":4: storage: class dcpm has no bdev_list"},
    {"engines:\n- targets: 1\n  storage:\n  - {class: dcpm, scm_mount: /a}\n  - {class: ram}\n",
        ":5: storage: one engine has class ram or dcpm"},
    {"engines:\n- targets: 1\n  storage:\n  - {class: file, scm_mount: /a, bdev_roles: [wal]}\n",
        ":4: storage: bdev_roles without bdev_list"},
    {"engines:\n- targets: 1\n  storage:\n  - {class: kdev, bdev_list: [/b], bdev_roles: [log]}\n",
        ":4: bdev_roles: log: expected each of wal, meta, data"},
    {"engines:\n- targets: 1\n  storage:\n  - {class: kdev, bdev_list: [/b]}\n",
        "`storage` with `scm_mount`"},
    {"engines:\n- targets: 1\n  storage:\n  - {scm_mount: /a}\n  - {class: kdev, bdev_list: [/b]}\n"
     "- targets: 1\n  storage:\n  - {scm_mount: /c}\n  - {class: kdev, bdev_list: [/b]}\n",
        "two engines have the device /b"},
    {"engines:\n- targets: 1\n  storage:\n  - class: file\n    scm_mount: a\n",
        ":5: scm_mount: a: expected an absolute path"},
    {"engines:\n- targets: 1\n  storage:\n  - class: file\n    scm_mnt: /a\n",
        ":5: scm_mnt: no such key in a storage tier"},
    {"engines:\n- targets: 1\n  storage: /a\n", ":3: storage: expected a list"},
    {"engines:\n- tragets: 1\n", ":2: tragets: no such key in an engine"},
    {"provider: verbs\nengines: []\n", ":1: provider: verbs: expected unix"},
    {"provider: tcp\nengines:\n- targets: 1\n  storage:\n  - scm_mount: /a\n",
        "needs a fabric_iface_port"},
    {"engines:\n- targets: 1\n  storage:\n  - scm_mount: /a\n- targets: 1\n  storage:\n  - "
     "scm_mount: /a\n",
        "two engines have the directory /a"},
    {"provider: tcp\nengines:\n- targets: 4\n  fabric_iface_port: 31316\n  storage:\n  - "
     "scm_mount: /a\n"
     "- targets: 1\n  fabric_iface_port: 31320\n  storage:\n  - scm_mount: /b\n",
        "engine 0 takes the ports 31316 to 31320, engine 1 31320 to 31321"},
    {"provider: tcp\nengines:\n- targets: 36\n  fabric_iface_port: 65500\n  storage:\n  - "
     "scm_mount: /a\n",
        "takes the ports 65500 to 65536: they end at 65535"},
    {"engines:\n- {targets: 64, storage: [{scm_mount: /a}]}\n- {targets: 64, storage: [{scm_mount: "
     "/b}]}\n"
     "- {targets: 64, storage: [{scm_mount: /c}]}\n- {targets: 64, storage: [{scm_mount: /d}]}\n"
     "- {targets: 32, storage: [{scm_mount: /e}]}\n",
        ":6: engines: more than 280 engines and targets"},
    {"engines:\n- targets: 1\n  fabric_iface_port: 70000\n",
        ":3: fabric_iface_port: expected a number"},
};

TEST_LINUX(server_cfg, every_mistake_is_named, "reads a file")
{
    struct server_cfg *cfg = calloc(1, sizeof(*cfg));

    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        char err[SERVER_ERR_BYTES];

        EXPECT_ERR(load(mistakes[i].text, cfg, err), INVAL);
        if (!EXPECT(strstr(err, mistakes[i].says) != NULL)) {
            (void)fprintf(
                stderr, "case %zu: said \"%s\", expected \"%s\"\n", i, err, mistakes[i].says);
        }
        EXPECT_EQ(strchr(err, '\n') == NULL, true); /* one line */
        EXPECT_EQ(cfg->engine_nr, 0); /* written only on success */
    }
    free(cfg);
}

TEST_LINUX(server_cfg, no_file, "reads a file")
{
    struct server_cfg *cfg = calloc(1, sizeof(*cfg));
    char err[SERVER_ERR_BYTES];

    EXPECT_ERR(server_cfg_load("/nonexistent/x.yml", cfg, err, sizeof(err)), NONEXIST);
    EXPECT_STR_EQ(err, "/nonexistent/x.yml: No such file or directory");
    free(cfg);
}
