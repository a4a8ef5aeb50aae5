#include "tests/support/program.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/clock.h"
#include "tests/support/keeper.h"

#define WORDS_MAX 64
#define LOG_BYTES_MAX (64 << 20)
#define LOOK_MS 5

struct program {
    pid_t pid;
    int log_fd; /* a file without a name, so nothing is left behind */
    int code;   /* -1: still running */
};

_Noreturn static void child_exec(const char *path, const char *const *arguments, const char *const *environment,
                                 int log_fd, pid_t parent);
static size_t environment_keep(char **out, size_t room);

struct program *program_start(const char *name, const char *const *arguments, const char *const *environment)
{
    char *path = NULL;
    struct program *program = calloc(1, sizeof *program);

    if (!program)
        abort();
    bool beside = !strchr(name, '/');
    if (asprintf(&path, "%s%s%s", beside ? program_build_path() : "", beside ? "/" : "", name) < 0)
        abort();
    program->code = -1;
    program->log_fd = memfd_create("log", MFD_CLOEXEC);
    if (program->log_fd < 0)
        keeper_abort(NULL, "no file for the output of %s: %s", path, strerror(errno));
    fflush(NULL);
    pid_t parent = getpid();
    program->pid = fork();
    if (program->pid == 0)
        child_exec(path, arguments, environment, program->log_fd, parent);
    if (program->pid < 0)
        keeper_abort(NULL, "no process for %s: %s", path, strerror(errno));
    free(path);
    return program;
}

int program_pid(const struct program *program)
{
    return program->pid;
}

bool program_running(struct program *program)
{
    return program_wait(program, 0) == -1;
}

void program_kill(struct program *program, int signal_number)
{
    if (program->code == -1)
        kill(program->pid, signal_number);
}

int program_wait(struct program *program, uint32_t timeout_ms)
{
    int64_t deadline_ms = clock_monotonic_ms() + timeout_ms;
    int ended = 0;

    while (program->code == -1) {
        pid_t pid = waitpid(program->pid, &ended, WNOHANG);
        if (pid == program->pid)
            program->code = WIFEXITED(ended) ? WEXITSTATUS(ended) : 128 + WTERMSIG(ended);
        else if (clock_monotonic_ms() >= deadline_ms)
            break;
        else
            poll(NULL, 0, LOOK_MS);
    }
    return program->code;
}

int program_stop(struct program *program)
{
    program_kill(program, SIGTERM);
    return program_wait(program, PROGRAM_WAIT_MS);
}

void program_log(const struct program *program, struct buf *out)
{
    struct stat info;

    if (fstat(program->log_fd, &info) || info.st_size == 0)
        return;
    char *room = buf_room(out, (size_t)info.st_size);
    ssize_t got = room ? pread(program->log_fd, room, (size_t)info.st_size, 0) : 0;
    if (got > 0)
        buf_grown(out, (size_t)got);
}

bool program_log_wait(struct program *program, const char *text, uint32_t timeout_ms)
{
    int64_t deadline_ms = clock_monotonic_ms() + timeout_ms;
    bool found = false, last = false;

    while (!found && !last) {
        struct buf log;
        last = clock_monotonic_ms() >= deadline_ms || !program_running(program);
        buf_init(&log, LOG_BYTES_MAX);
        program_log(program, &log);
        found = log.count && memmem(log.bytes, log.count, text, strlen(text));
        buf_done(&log);
        if (!found && !last)
            poll(NULL, 0, LOOK_MS);
    }
    return found;
}

void program_close(struct program *take_program)
{
    struct buf log;

    if (!take_program)
        return;
    program_kill(take_program, SIGKILL);
    program_wait(take_program, PROGRAM_WAIT_MS);
    if (getenv("PICKET_TEST_LOGS")) {
        buf_init(&log, LOG_BYTES_MAX);
        program_log(take_program, &log);
        fwrite(log.bytes, 1, log.count, stderr);
        buf_done(&log);
    }
    close(take_program->log_fd);
    free(take_program);
}

int program_run(const char *name, const char *const *arguments, const char *const *environment, struct buf *out)
{
    struct program *program = program_start(name, arguments, environment);
    int code = program_wait(program, PROGRAM_RUN_MS);

    if (out)
        program_log(program, out);
    program_close(program);
    return code;
}

uint16_t program_free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) || getsockname(fd, (struct sockaddr *)&address, &size))
        keeper_abort(NULL, "no free port: %s", strerror(errno));
    close(fd);
    return ntohs(address.sin_port);
}

const char *program_build_path(void)
{
    static char path[PATH_MAX];

    if (*path)
        return path;
    ssize_t count = readlink("/proc/self/exe", path, sizeof path - 1);
    char *end = count > 0 ? strstr(path, "/tests/") : NULL;
    if (!end && count > 0)
        end = strstr(path, "/bench/");
    if (!end)
        keeper_abort(NULL, "%s does not lie in a build folder", count > 0 ? path : "this program");
    *end = '\0';
    return path;
}

const char *program_build_root(void)
{
    static char root[PATH_MAX];

    if (!*root) {
        const char *path = program_build_path();
        snprintf(root, sizeof root, "%.*s", (int)(strrchr(path, '/') - path), path);
    }
    return root;
}

static void child_exec(const char *path, const char *const *arguments, const char *const *environment, int log_fd,
                       pid_t parent)
{
    char *words[WORDS_MAX + 1] = {strdup(path)}, *values[WORDS_MAX + 1] = {NULL};
    size_t word_count = 1, value_count = environment_keep(values, WORDS_MAX);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* which died before that */
        _exit(127);
    for (; arguments && *arguments && word_count < WORDS_MAX; arguments++)
        words[word_count++] = strdup(*arguments);
    for (; environment && *environment && value_count < WORDS_MAX; environment++)
        values[value_count++] = strdup(*environment);
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    /* Appending, so that two descriptors of one file do not overwrite each other. */
    fcntl(log_fd, F_SETFL, O_APPEND);
    dup2(null_fd, STDIN_FILENO);
    dup2(log_fd, STDOUT_FILENO);
    dup2(log_fd, STDERR_FILENO);
    execve(path, words, values);
    dprintf(STDERR_FILENO, "cannot run %s: %s\n", path, strerror(errno));
    _exit(127);
}

static size_t environment_keep(char **out, size_t room)
{
    static const char *const names[] = {"PATH", "HOME", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS",
                                        "LSAN_OPTIONS"};
    size_t count = 0;

    for (size_t i = 0; i < sizeof names / sizeof *names && count < room; i++) {
        const char *value = getenv(names[i]);
        if (value && asprintf(&out[count], "%s=%s", names[i], value) > 0)
            count++;
    }
    return count;
}
