#include "tests/support/keeper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/clock.h"

#define LOG_TAIL_BYTES 4000
#define STOP_MS 30000 /* then SIGKILL */

struct keeper {
    struct keeper_server server;
    int command_fd;
    pid_t opener, pid;
};

enum command { COMMAND_START = 's', COMMAND_STOP = 't', COMMAND_KILL = 'k', COMMAND_ASK = 'a', COMMAND_FREEZE = 'f',
               COMMAND_THAW = 'w' };

static char command_send(struct keeper *keeper, enum command command);
_Noreturn static void keeper_serve(const struct keeper_server *server, int fd);
static pid_t server_start(const struct keeper_server *server);
static void server_stop(pid_t pid, int stop_signal);
static void children_signal(int signal_number);
static void children_kill(void);
_Noreturn static void program_exec(const char *const *argv, const char *user, const char *log_file);
static bool child_ended(pid_t pid);
static void folder_remove(const char *folder);

struct keeper *keeper_open(const struct keeper_server *server)
{
    int fds[2];
    struct keeper *keeper = calloc(1, sizeof *keeper);

    if (!keeper || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
        keeper_abort(NULL, "keeper: no socket pair: %s", strerror(errno));
    keeper->server = *server;
    keeper->opener = getpid();
    fflush(NULL);
    keeper->pid = fork();
    if (keeper->pid < 0)
        keeper_abort(NULL, "keeper: no process: %s", strerror(errno));
    if (keeper->pid == 0) {
        close(fds[0]);
        keeper_serve(server, fds[1]);
    }
    close(fds[1]);
    keeper->command_fd = fds[0];
    return keeper;
}

void keeper_start(struct keeper *keeper) { command_send(keeper, COMMAND_START); }
bool keeper_running(struct keeper *keeper) { return command_send(keeper, COMMAND_ASK) == 'y'; }
void keeper_stop(struct keeper *keeper) { command_send(keeper, COMMAND_STOP); }
void keeper_kill9(struct keeper *keeper) { command_send(keeper, COMMAND_KILL); }
void keeper_freeze(struct keeper *keeper) { command_send(keeper, COMMAND_FREEZE); }
void keeper_thaw(struct keeper *keeper) { command_send(keeper, COMMAND_THAW); }

void keeper_close(struct keeper *take_keeper)
{
    if (!take_keeper)
        return;
    close(take_keeper->command_fd);
    if (take_keeper->opener == getpid())
        waitpid(take_keeper->pid, NULL, 0);
    free(take_keeper);
}

const char *keeper_folder(const char *user)
{
    static char folder[32];

    snprintf(folder, sizeof folder, "/tmp/pk-XXXXXX");
    if (!mkdtemp(folder) || chmod(folder, 0755))
        keeper_abort(NULL, "no folder in /tmp: %s", strerror(errno));
    const struct passwd *entry = user && getuid() == 0 ? getpwnam(user) : NULL;
    if (entry && chown(folder, entry->pw_uid, entry->pw_gid))
        keeper_abort(NULL, "cannot give %s to %s: %s", folder, user, strerror(errno));
    return folder;
}

void keeper_run(const char *const *argv, const char *user, const char *log_file)
{
    int ended = 0;

    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        program_exec(argv, user, log_file);
    if (pid < 0 || waitpid(pid, &ended, 0) < 0 || !WIFEXITED(ended) || WEXITSTATUS(ended) != 0)
        keeper_abort(log_file, "%s failed", argv[0]);
}

void keeper_abort(const char *log_file, const char *format, ...)
{
    char tail[LOG_TAIL_BYTES + 1];
    va_list arguments;
    FILE *file = log_file ? fopen(log_file, "re") : NULL;

    if (file) {
        if (fseek(file, -LOG_TAIL_BYTES, SEEK_END))
            rewind(file);
        tail[fread(tail, 1, LOG_TAIL_BYTES, file)] = '\0';
        fprintf(stderr, "--- end of %s\n%s\n---\n", log_file, tail);
        fclose(file);
    }
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    abort();
}

static char command_send(struct keeper *keeper, enum command command)
{
    char byte = (char)command, answer = 'n';
    struct pollfd poll_fd = {.fd = keeper->command_fd, .events = POLLIN};

    if (send(keeper->command_fd, &byte, 1, MSG_NOSIGNAL) != 1 || poll(&poll_fd, 1, KEEPER_WAIT_MS) != 1 ||
        recv(keeper->command_fd, &answer, 1, 0) != 1)
        keeper_abort(keeper->server.log_file, "keeper: no answer to '%c' for %s", byte, keeper->server.argv[0]);
    return answer;
}

/* Orphans of the server come to this process, so that none of them outlives kill9. */
static void keeper_serve(const struct keeper_server *server, int fd)
{
    pid_t pid = 0;
    char command;

    /* A descriptor of another keeper would hold that one's end back. */
    if ((fd > 3 && close_range(3, (unsigned)fd - 1, 0)) || close_range((unsigned)fd + 1, ~0U, 0))
        _exit(1);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    setpgid(0, 0);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    while (recv(fd, &command, 1, 0) == 1) {
        char answer = 'y';
        switch ((enum command)command) {
        case COMMAND_START:
            pid = server_start(server);
            break;
        case COMMAND_STOP:
            server_stop(pid, server->stop_signal);
            pid = 0;
            break;
        case COMMAND_KILL:
            children_kill();
            pid = 0;
            break;
        case COMMAND_ASK:
            pid = pid && child_ended(pid) ? 0 : pid;
            answer = pid ? 'y' : 'n';
            break;
        case COMMAND_FREEZE:
            children_signal(SIGSTOP);
            break;
        case COMMAND_THAW:
            children_signal(SIGCONT);
            break;
        }
        if (send(fd, &answer, 1, MSG_NOSIGNAL) != 1)
            break;
    }
    children_kill();
    folder_remove(server->folder);
    _exit(0);
}

static pid_t server_start(const struct keeper_server *server)
{
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_CHILD_SUBREAPER, 0);
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        program_exec(server->argv, server->user, server->log_file);
    }
    return pid;
}

static void server_stop(pid_t pid, int stop_signal)
{
    int64_t deadline_ms = clock_monotonic_ms() + STOP_MS;

    if (pid)
        kill(pid, stop_signal);
    while (pid && !child_ended(pid) && clock_monotonic_ms() < deadline_ms)
        poll(NULL, 0, 2);
    children_kill();
}

/* Children and their children: those of a live server hang below it, those of a dead one below us. */
static void children_signal(int signal_number)
{
    pid_t known[1024] = {getpid()};
    size_t count = 1;
    bool found = true;

    while (found) {
        DIR *proc = opendir("/proc");
        found = false;
        for (struct dirent *entry; proc && (entry = readdir(proc));) {
            char path[300], line[512];
            pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10), parent = 0;
            snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
            FILE *file = pid > 0 ? fopen(path, "re") : NULL;
            if (!file)
                continue;
            char *end = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
            fclose(file);
            if (!end || strlen(end) < 5)
                continue;
            parent = (pid_t)strtol(end + 4, NULL, 10);
            bool below = false, listed = false;
            for (size_t i = 0; i < count; i++) {
                below = below || known[i] == parent;
                listed = listed || known[i] == pid;
            }
            if (!below || listed || count == sizeof known / sizeof *known)
                continue;
            known[count++] = pid;
            found = true;
            kill(pid, signal_number);
        }
        if (proc)
            closedir(proc);
    }
}

static void children_kill(void)
{
    int64_t deadline_ms = clock_monotonic_ms() + STOP_MS;
    pid_t ended = 0;

    do {
        if (ended <= 0)
            children_signal(SIGKILL);
        ended = waitpid(-1, NULL, WNOHANG);
        if (ended == 0)
            poll(NULL, 0, 2);
    } while (ended >= 0 && clock_monotonic_ms() < deadline_ms);
}

static void program_exec(const char *const *argv, const char *user, const char *log_file)
{
    const struct passwd *entry = user && getuid() == 0 ? getpwnam(user) : NULL;
    char **copy = NULL;
    size_t count = 0;

    if (entry && (initgroups(user, entry->pw_gid) || setgid(entry->pw_gid) || setuid(entry->pw_uid)))
        _exit(126);
    int log_fd = open(log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    dup2(null_fd, STDIN_FILENO);
    dup2(log_fd, STDOUT_FILENO);
    dup2(log_fd, STDERR_FILENO);
    if (chdir("/"))
        _exit(126);
    while (argv[count])
        count++;
    copy = calloc(count + 1, sizeof *copy); /* execv() wants pointers it may not change anyway */
    for (size_t i = 0; copy && i < count; i++)
        copy[i] = strdup(argv[i]);
    if (copy)
        execv(argv[0], copy);
    dprintf(STDERR_FILENO, "cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

static bool child_ended(pid_t pid)
{
    pid_t ended = waitpid(pid, NULL, WNOHANG);
    return ended == pid || (ended < 0 && errno == ECHILD);
}

static int entry_remove(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

static void folder_remove(const char *folder)
{
    nftw(folder, entry_remove, 16, FTW_DEPTH | FTW_PHYS);
}
