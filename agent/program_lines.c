#include "agent/program_lines.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/monotonic.h"

#define LINE_SIZE 4096
#define PATIENCE_S 30

struct lines {
    char line[LINE_SIZE];
    size_t count;
    program_line *take;
    void *context;
};

static void lines_add(struct lines *lines, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] != '\n') {
            if (lines->count + 1 < LINE_SIZE && bytes[i] != '\0')
                lines->line[lines->count++] = bytes[i];
            continue;
        }
        lines->line[lines->count] = '\0';
        lines->count = 0;
        lines->take(lines->context, lines->line);
    }
}

/* False: it took too long. */
static bool output_read(int output, struct lines *lines)
{
    struct pollfd readable = {.fd = output, .events = POLLIN};
    int64_t until_ms = monotonic_now_ms() + PATIENCE_S * 1000;
    char bytes[4096];

    for (;;) {
        int64_t left_ms = until_ms - monotonic_now_ms();
        if (left_ms <= 0)
            return false;
        if (poll(&readable, 1, (int)left_ms) <= 0)
            continue;
        ssize_t got = read(output, bytes, sizeof bytes);
        if (got == 0 || (got < 0 && errno != EINTR))
            return true;
        lines_add(lines, bytes, got > 0 ? (size_t)got : 0);
    }
}

/* Signals are as they are by default there, whatever we block. */
static int start(const char *const *arguments, int output, pid_t *child)
{
    static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", language[] = "LC_ALL=C";
    char *const environment[] = {path, language, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;

    sigemptyset(&none);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    int error = posix_spawn(child, arguments[0], &actions, &attributes, (char *const *)(uintptr_t)arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return error;
}

static int fail(struct reason *why, const char *program, const char *what)
{
    (void)reason_set(why, "%s: %s", program, what);
    return -1;
}

int program_lines(const char *const *arguments, program_line *take, void *context, struct reason *why)
{
    struct lines lines = {.take = take, .context = context};
    int ends[2], status = 0;
    pid_t child;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return fail(why, arguments[0], strerror(errno));
    int error = start(arguments, ends[1], &child);
    close(ends[1]);
    if (error) {
        close(ends[0]);
        return fail(why, arguments[0], strerror(error));
    }
    bool ended = output_read(ends[0], &lines);
    close(ends[0]);
    if (!ended)
        (void)kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (!ended || !WIFEXITED(status))
        return fail(why, arguments[0], ended ? "ended by a signal" : "took longer than 30 s");
    if (WEXITSTATUS(status))
        (void)reason_set(why, "%s ended with %d", arguments[0], WEXITSTATUS(status));
    return WEXITSTATUS(status);
}
