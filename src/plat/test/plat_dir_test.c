/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Goal: directories, locks and small files behave the same on each backend. Method: one script of calls, each answer checked. */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plat/test/plat_test_fix.h"

static void
name_add(void *arg, const char *name)
{
    size_t len = strlen(arg);

    snprintf((char *)arg + len, 256 - len, "%s ", name);
}

TEST_ON(plat_dir, files, BACKEND_LINUX | BACKEND_SIM)
{
    struct fix f;
    const struct plat_ops *ops;
    char path[256], file[300], names[256] = "";
    char buf[64];
    size_t len = 0;

    if (!fix_init(&f))
        return;
    ops = f.plat->ops;
    snprintf(path, sizeof(path), "%s/a/b", fix_dir(&f));
    EXPECT_ERR(ops->dir_list(f.plat, path, name_add, names), NONEXIST);
    EXPECT_OK(ops->dir_create(f.plat, path));
    EXPECT_OK(ops->dir_create(f.plat, path)); /* present is no error */
    EXPECT_ERR(ops->dir_create(f.plat, "relative/path"), BADPATH);
    snprintf(file, sizeof(file), "%s/two", path);
    EXPECT_ERR(ops->file_read(f.plat, file, buf, sizeof(buf), &len), NONEXIST);
    EXPECT_ERR(ops->file_remove(f.plat, file), NONEXIST);
    EXPECT_OK(ops->file_write(f.plat, file, "hello", 5));
    EXPECT_OK(ops->file_read(f.plat, file, buf, sizeof(buf), &len));
    EXPECT_EQ(len, 5);
    EXPECT_MEM_EQ(buf, "hello", 5);
    EXPECT_OK(ops->file_write(f.plat, file, "hi", 2)); /* replaced whole */
    EXPECT_OK(ops->file_read(f.plat, file, buf, 2, &len));
    EXPECT_EQ(len, 2);
    EXPECT_ERR(ops->file_read(f.plat, file, buf, 1, &len), TRUNC);
    EXPECT_OK(ops->file_write(f.plat, file, "hey", 3)); /* and again, longer */
    EXPECT_OK(ops->file_read(f.plat, file, buf, sizeof(buf), &len));
    EXPECT_EQ(len, 3);
    EXPECT_MEM_EQ(buf, "hey", 3);
    EXPECT_ERR(ops->dir_create(f.plat, file), NOTDIR);
    snprintf(file, sizeof(file), "%s/one", path);
    EXPECT_OK(ops->file_write(f.plat, file, "", 0));
    EXPECT_OK(ops->file_read(f.plat, file, buf, sizeof(buf), &len));
    EXPECT_EQ(len, 0);
    snprintf(file, sizeof(file), "%s/three/x", path);
    EXPECT_ERR(ops->file_write(f.plat, file, "a", 1), NONEXIST); /* no directory */
    snprintf(file, sizeof(file), "%s/sub", path);
    EXPECT_OK(ops->dir_create(f.plat, file));
    EXPECT_OK(ops->dir_list(f.plat, path, name_add, names));
    EXPECT_STR_EQ(names, "one sub two ");
    snprintf(file, sizeof(file), "%s/one", path);
    EXPECT_OK(ops->file_remove(f.plat, file));
    names[0] = '\0';
    EXPECT_OK(ops->dir_list(f.plat, path, name_add, names));
    EXPECT_STR_EQ(names, "sub two ");
    fix_fini(&f);
}

TEST_ON(plat_dir, lock, BACKEND_LINUX | BACKEND_SIM)
{
    struct fix f;
    struct plat_dirlock *lock = NULL, *other = NULL;
    const char *dir;

    if (!fix_init(&f))
        return;
    dir = fix_dir(&f);
    EXPECT_OK(f.plat->ops->dir_lock(f.plat, dir, &lock));
    EXPECT_ERR(f.plat->ops->dir_lock(f.plat, dir, &other), BUSY);
    f.plat->ops->dir_unlock(lock);
    EXPECT_OK(f.plat->ops->dir_lock(f.plat, dir, &other));
    f.plat->ops->dir_unlock(other);
    EXPECT_ERR(f.plat->ops->dir_lock(f.plat, "/no/such/dir", &lock), NONEXIST);
    f.plat->ops->dir_unlock(NULL);
    fix_fini(&f);
}

/* Goal: the lock ends with its owner although a forked child lives on (TH-4). */
TEST_LINUX(plat_dir, lock_and_fork, "fork is Linux's")
{
    struct fix f;
    struct plat_dirlock *lock = NULL, *other = NULL;
    const char *dir;
    int hold[2], ready[2];
    pid_t child;
    char c;

    if (!fix_init(&f))
        return;
    dir = fix_dir(&f);
    EXPECT_EQ(pipe(hold), 0);
    EXPECT_EQ(pipe(ready), 0);
    EXPECT_OK(f.plat->ops->dir_lock(f.plat, dir, &lock));
    child = fork();
    if (child == 0) {
        close(hold[1]);
        plat_linux_forked(f.plat);
        if (write(ready[1], "r", 1) == 1 && read(hold[0], &c, 1) == 0)
            _exit(0);
        _exit(1);
    }
    EXPECT_EQ(read(ready[0], &c, 1), 1);
    EXPECT_ERR(f.plat->ops->dir_lock(f.plat, dir, &other), BUSY); /* the parent still owns it */
    f.plat->ops->dir_unlock(lock);
    EXPECT_OK(f.plat->ops->dir_lock(f.plat, dir, &other));
    f.plat->ops->dir_unlock(other);
    close(hold[1]);
    EXPECT_EQ(waitpid(child, NULL, 0), child);
    close(hold[0]);
    close(ready[0]);
    close(ready[1]);
    fix_fini(&f);
}
