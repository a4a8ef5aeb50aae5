#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "programs/up.h"
#include "runtime/clock.h"
#include "runtime/process.h"

#define LOG_BYTES_MAX (10 * 1024 * 1024)
#define LOG_TAIL_BYTES 4096
#define REASON_LINES 4 /* of a log's end that are looked at for a reason */
#define ENVIRONMENT_MAX 1024
#define POLL_MS 20

static char **environment_make(enum up_environment kind);
static bool environment_passes(enum up_environment kind, const char *variable);
static _Noreturn void child_run(const struct up_command *command, char **environment, int log);
static void child_become(const struct up_user *user);
static void tail_read(const char *log_file, char *out, size_t size);

enum status up_start(const struct up_command *command, struct data_process *out, struct problem *why)
{
    int log = open(command->log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (log < 0)
        return problem_set(why, STATUS_REJECT, "%s cannot be written: %s", command->log_file, strerror(errno));
    /* Made before the fork: afterwards only a few calls are allowed. */
    char **environment = environment_make(command->environment);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        child_run(command, environment, log);
    int error = errno;
    close(log);
    free(environment);
    if (pid < 0)
        return problem_set(why, STATUS_RETRY, "%s cannot be started: %s", command->argv[0], strerror(error));
    *out = data_process_of(pid);
    return STATUS_OK;
}

enum status up_run(const struct up_command *command, int *code, struct problem *why)
{
    struct data_process process;
    int outcome = 0;

    enum status status = up_start(command, &process, why);
    if (status)
        return status;
    while (waitpid(process.pid, &outcome, 0) < 0 && errno == EINTR)
        ;
    int exit_code = WIFEXITED(outcome) ? WEXITSTATUS(outcome) : 128;
    if (code)
        *code = exit_code;
    if (exit_code == 0)
        return STATUS_OK;
    const char *name = strrchr(command->argv[0], '/');
    return problem_set(why, STATUS_REJECT, "%s failed: %.300s", name ? name + 1 : command->argv[0],
                       up_reason_line(command->log_file));
}

bool up_ended(struct data_process process, int *code)
{
    int outcome;

    if (process.pid <= 0)
        return false;
    pid_t ended = waitpid(process.pid, &outcome, WNOHANG);
    if (ended == 0)
        return false;
    if (ended < 0) { /* not our child */
        *code = 0;
        return !data_process_alive(process);
    }
    *code = WIFEXITED(outcome) ? WEXITSTATUS(outcome) : -WTERMSIG(outcome);
    return true;
}

void up_reap(const struct up *up)
{
    siginfo_t info;

    for (;;) {
        info.si_pid = 0;
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
            return;
        if (info.si_pid == up->state.picketd.pid || info.si_pid == up->state.agent.pid || info.si_pid == up->state.simulation.pid)
            return; /* whoever watches these waits for them */
        waitpid(info.si_pid, NULL, 0);
    }
}

void up_stop(struct data_process process, uint32_t timeout_ms)
{
    const struct timespec pause = {0, POLL_MS * 1000000L};
    int64_t deadline = clock_monotonic_ms() + timeout_ms;
    int code;

    if (process.pid <= 0 || up_ended(process, &code) || !data_process_alive(process))
        return;
    kill(process.pid, SIGTERM);
    while (!up_ended(process, &code)) {
        if (clock_monotonic_ms() > deadline)
            kill(process.pid, SIGKILL);
        nanosleep(&pause, NULL);
    }
}

/* PostgreSQL's last word is that it is shut down, and ours that the program ends: the reason stands a line or two above. */
const char *up_reason_line(const char *log_file)
{
    static const char *const marks[] = {"FATAL:", "PANIC:", " error "};
    static char tail[LOG_TAIL_BYTES];
    const char *last = NULL;

    tail_read(log_file, tail, sizeof tail);
    for (unsigned back = 0; back < REASON_LINES; back++) {
        size_t count = strlen(tail);
        while (count && (unsigned char)tail[count - 1] <= ' ')
            tail[--count] = '\0';
        char *start = strrchr(tail, '\n');
        const char *line = start ? start + 1 : tail;
        for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
            if (strstr(line, marks[i]))
                return line;
        last = last ? last : line;
        if (!start)
            break;
        *start = '\0';
    }
    return last;
}

void up_log_rotate(const char *log_file, const struct up_user *user)
{
    char old[DATA_PATH_SIZE + 8];
    struct stat facts;

    if (stat(log_file, &facts) == 0 && facts.st_size > LOG_BYTES_MAX) {
        snprintf(old, sizeof old, "%s.old", log_file);
        if (rename(log_file, old) != 0)
            return; /* it goes on growing; the next start tries again */
    }
    int fd = open(log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd >= 0 && geteuid() == 0 && fchown(fd, user->uid, user->gid) != 0)
        fprintf(stderr, "picket: %s keeps its owner: %s\n", log_file, strerror(errno));
    if (fd >= 0)
        close(fd);
}

static char **environment_make(enum up_environment kind)
{
    char **made = calloc(ENVIRONMENT_MAX + 1, sizeof *made);
    size_t count = 0;

    if (!made)
        abort();
    for (char **at = environ; *at && count < ENVIRONMENT_MAX; at++) {
        if (environment_passes(kind, *at))
            made[count++] = *at;
    }
    return made;
}

/* What picketd.yaml sets must not be overruled by what this shell happens to have. */
static bool environment_passes(enum up_environment kind, const char *variable)
{
    static const char *const not_for_server[] = {
        "SERVER",        "TOKEN",           "CA",          "DATABASE",   "ADMIN_DATABASE", "INGEST_PASSWORD",
        "STORE_PASSWORD", "QUERY_PASSWORD", "ADMIN_PASSWORD", "BUS",     "MASTER_KEY_FILE", "HTTPS_PORT",
        "HTTP_PORT",     "QUERY_PORT",      "TLS_CERTIFICATE_FILE", "TLS_KEY_FILE", "DEVICE_HOST_NAME",
    };
    struct text name;
    text_cut(text_of(variable), '=', &name);
    bool ours = text_starts(name, TEXT("PICKET_"));

    if (kind == UP_ENVIRONMENT_BARE)
        return text_equal(name, TEXT("PATH"));
    if (!ours || kind == UP_ENVIRONMENT_AGENT)
        return !ours;
    name = (struct text){name.bytes + 7, name.count - 7};
    for (size_t i = 0; i < sizeof not_for_server / sizeof not_for_server[0]; i++) {
        if (text_equal(name, text_of(not_for_server[i])))
            return false;
    }
    return true;
}

/* A session of its own, so that Ctrl-C reaches us alone and things end in order. */
static _Noreturn void child_run(const struct up_command *command, char **environment, int log)
{
    static const char sentence[] = "cannot be executed\n";
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    sigset_t none;

    setsid();
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    dup2(null, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    child_become(command->user);
    execve(command->argv[0], (char *const *)(uintptr_t)command->argv, environment);
    ssize_t ignored = write(STDERR_FILENO, command->argv[0], strlen(command->argv[0]));
    ignored = write(STDERR_FILENO, " ", 1);
    ignored = write(STDERR_FILENO, sentence, sizeof sentence - 1);
    (void)ignored;
    _exit(127);
}

static void child_become(const struct up_user *user)
{
    if (user->uid == geteuid())
        return;
    /* PostgreSQL's programs look where they are; our own folder may be closed to the user. */
    if (initgroups(user->name, user->gid) != 0 || setgid(user->gid) != 0 || setuid(user->uid) != 0 || chdir("/") != 0)
        _exit(126);
}

static void tail_read(const char *log_file, char *out, size_t size)
{
    int fd = open(log_file, O_RDONLY | O_CLOEXEC);
    ssize_t count = 0;

    if (fd >= 0) {
        off_t end = lseek(fd, 0, SEEK_END);
        count = pread(fd, out, size - 1, end > (off_t)size - 1 ? end - (off_t)size + 1 : 0);
        close(fd);
    }
    out[count > 0 ? count : 0] = '\0';
}
