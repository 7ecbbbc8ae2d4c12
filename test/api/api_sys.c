/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "api/api_sys.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

bool
api_sys_start(struct api_sys *sys, const char *net)
{
    static int started_nr;
    char dir[300], uri[320], line[16] = "";
    int in[2], out[2], pid;
    size_t len = 0;

    memset(sys, 0, sizeof(*sys));
    setenv("CAIRN_RUNTIME_DIR", test_tmpdir(), 1);
    snprintf(dir, sizeof(dir), "%s/store%d", test_tmpdir(), started_nr++);
    if (strcmp(net, "tcp") == 0) {
        snprintf(uri, sizeof(uri), "tcp://127.0.0.1:0");
    } else if (strcmp(net, "ofi") == 0) {
        snprintf(uri, sizeof(uri), "ofi+tcp;ofi_rxm://127.0.0.1:0");
    } else {
        snprintf(uri, sizeof(uri), "unix://%s", test_tmpdir());
    }
    if (!EXPECT_EQ(pipe(in), 0) || !EXPECT_EQ(pipe(out), 0))
        return false;
    pid = fork();
    if (pid == 0) {
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        for (int fd = 3; fd < 256; fd++) {
            close(fd);
        }
        execl(API_ENGINE, API_ENGINE, dir, uri, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    sys->pid = pid;
    sys->fd = in[1];
    while (len < sizeof(line) - 1 && read(out[0], line + len, 1) == 1 && line[len] != '\n') {
        len++;
    }
    close(out[0]);
    return EXPECT_EQ(strncmp(line, "ready", 5), 0);
}

void
api_sys_stop(struct api_sys *sys)
{
    int status = -1;

    if (sys->pid == 0)
        return;
    close(sys->fd);
    EXPECT_EQ(waitpid(sys->pid, &status, 0), sys->pid);
    EXPECT_EQ(status, 0);
    sys->pid = 0;
}

void
api_sys_kill(struct api_sys *sys)
{
    int status;

    kill(sys->pid, SIGKILL);
    EXPECT_EQ(waitpid(sys->pid, &status, 0), sys->pid);
    close(sys->fd);
    sys->pid = 0;
}

int
api_child(int (*fn)(void *arg), void *arg)
{
    int pid = fork();

    if (pid == 0)
        _exit(fn(arg));
    return pid;
}

bool
api_child_wait(int pid)
{
    int status = -1;

    return EXPECT_EQ(waitpid(pid, &status, 0), pid) && EXPECT(WIFEXITED(status)) &&
        EXPECT_EQ(WEXITSTATUS(status), 0);
}

bool
api_put(int fd, const void *buf, size_t len)
{
    return write(fd, buf, len) == (ssize_t)len;
}

bool
api_get(int fd, void *buf, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t got = read(fd, (char *)buf + done, len - done);

        if (got <= 0)
            return false;
        done += (size_t)got;
    }
    return true;
}
