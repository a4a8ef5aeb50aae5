#include "runtime/process.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/buf.h"

#define PART_NAME_SIZE 64
#define PART_NOTE_SIZE 256
#define READ_CHUNK 16384

struct part {
    char name[PART_NAME_SIZE];
    char note[PART_NOTE_SIZE];
    bool ready;
};

/* Stopping. A semaphore and not a descriptor, since a descriptor is shared with children between fork and exec, and one
 * of them being stopped must not wake the parent for nothing. */
static pthread_once_t stop_once = PTHREAD_ONCE_INIT;
static sem_t stop_told;
static _Atomic bool stop_wanted, stop_signalled, gave_up;

static pthread_once_t paths_once = PTHREAD_ONCE_INIT;
static char program_path[PATH_MAX], share_path[PATH_MAX];

static pthread_mutex_t parts_lock = PTHREAD_MUTEX_INITIALIZER;
static struct part parts[PROCESS_PARTS_MAX];
static size_t part_count;

static void stop_init(void);
static void stop_on_signal(int signal_number);
static void paths_find(void);
static bool share_in_build_tree(void);
static bool share_beside_bin(void);
static bool is_folder(const char *path);
static struct part *part_find(const char *name);
static void copy_cut(char *out, size_t size, const char *string);
static enum status read_whole(int fd, const char *path, size_t bytes_max, struct buf *out,
                              struct problem *why);
static bool write_whole(int fd, struct text content);
static bool sync_folder_of(const char *path);

void process_catch_stop(void)
{
    struct sigaction stop = {.sa_handler = stop_on_signal, .sa_flags = SA_RESTART};
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    pthread_once(&stop_once, stop_init);
    sigemptyset(&stop.sa_mask);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
}

bool process_stopping(void)
{
    return atomic_load(&stop_wanted);
}

void process_stop(void)
{
    pthread_once(&stop_once, stop_init);
    atomic_store(&stop_wanted, true);
    sem_post(&stop_told);
}

void process_give_up(void)
{
    atomic_store(&gave_up, true);
    process_stop();
}

bool process_gave_up(void)
{
    return atomic_load(&gave_up);
}

bool process_wait_stop(uint32_t timeout_ms)
{
    struct timespec deadline;

    pthread_once(&stop_once, stop_init);
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += (time_t)(timeout_ms / 1000);
    deadline.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (deadline.tv_nsec >= 1000000000) {
        deadline.tv_sec++;
        deadline.tv_nsec -= 1000000000;
    }
    while (!process_stopping()) {
        if (sem_clockwait(&stop_told, CLOCK_MONOTONIC, &deadline) == 0)
            sem_post(&stop_told); /* other threads wait as well */
        else if (errno != EINTR)
            break;
    }
    return process_stopping();
}

const char *process_share_path(void)
{
    pthread_once(&paths_once, paths_find);
    return share_path;
}

const char *process_program_path(void)
{
    pthread_once(&paths_once, paths_find);
    return program_path;
}

void process_set_ready(const char *part, bool ready, const char *note)
{
    assert(part && strlen(part) < PART_NAME_SIZE);

    pthread_mutex_lock(&parts_lock);
    struct part *found = part_find(part);
    found->ready = ready;
    copy_cut(found->note, sizeof found->note, note ? note : "");
    pthread_mutex_unlock(&parts_lock);
}

bool process_print_ready(struct buf *out)
{
    bool ready = true;

    pthread_mutex_lock(&parts_lock);
    for (size_t i = 0; i < part_count; i++)
        ready = ready && parts[i].ready;
    buf_format(out, "{\"ready\":%s,\"parts\":{", ready ? "true" : "false");
    for (size_t i = 0; i < part_count; i++) {
        if (i)
            buf_byte(out, ',');
        buf_json_string(out, text_of(parts[i].name));
        buf_format(out, ":{\"ready\":%s,\"note\":", parts[i].ready ? "true" : "false");
        buf_json_string(out, text_of(parts[i].note));
        buf_byte(out, '}');
    }
    buf_string(out, "}}");
    pthread_mutex_unlock(&parts_lock);
    return ready;
}

enum status process_read_file(const char *path, size_t bytes_max, struct buf *out, struct problem *why)
{
    assert(path && out);

    /* Without O_NONBLOCK a pipe put in place of the file would hold up the start for ever. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return problem_set(why, STATUS_REJECT, "%s cannot be opened: %s", path, strerror(errno));
    size_t count_before = out->count;
    enum status status = read_whole(fd, path, bytes_max, out, why);
    close(fd);
    if (status && out->bytes) {
        out->count = count_before;
        out->bytes[count_before] = '\0';
    }
    return status;
}

/* A reader sees the old file or the new one, also after a power cut: hence both fsync() calls. */
enum status process_write_file(const char *path, struct text content, unsigned mode, struct problem *why)
{
    char temporary[PATH_MAX];

    assert(path);

    if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) >= (int)sizeof temporary)
        return problem_set(why, STATUS_REJECT, "%.100s... is too long for a path", path);
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return problem_set(why, STATUS_REJECT, "%s cannot be created: %s", path, strerror(errno));
    bool written = fchmod(fd, (mode_t)mode) == 0 && write_whole(fd, content) && fsync(fd) == 0;
    int saved_errno = errno;
    if (close(fd) && written) {
        written = false;
        saved_errno = errno;
    }
    if (written && rename(temporary, path) == 0 && sync_folder_of(path))
        return STATUS_OK;
    if (written)
        saved_errno = errno;
    unlink(temporary); /* gone already where only the folder's fsync failed */
    return problem_set(why, STATUS_FAULT, "%s cannot be written: %s", path, strerror(saved_errno));
}

static void stop_init(void)
{
    sem_init(&stop_told, 0, 0);
}

/* Only calls that a signal handler may make. Returning from the second one leaves the default action pending, which
 * ends the process with the signal as its reason. */
static void stop_on_signal(int signal_number)
{
    int saved_errno = errno;

    if (atomic_exchange(&stop_signalled, true)) {
        signal(signal_number, SIG_DFL);
        raise(signal_number);
    } else {
        atomic_store(&stop_wanted, true);
        sem_post(&stop_told);
    }
    errno = saved_errno;
}

static void paths_find(void)
{
    const char *given = getenv("PICKET_SHARE");
    ssize_t count = readlink("/proc/self/exe", program_path, sizeof program_path - 1);

    program_path[count > 0 ? count : 0] = '\0';
    char *slash = strrchr(program_path, '/');
    if (slash)
        slash[slash == program_path] = '\0'; /* "/" stays */
    else
        copy_cut(program_path, sizeof program_path, ".");
    if (given && *given)
        copy_cut(share_path, sizeof share_path, given);
    else if (!share_in_build_tree() && !share_beside_bin())
        copy_cut(share_path, sizeof share_path, PICKET_PREFIX "/share/picket");
}

/* The folder that `build` lies in, when it has what we look for. Tests lie deeper in `build` than programs do, so every
 * folder above the executable is asked for its name. */
static bool share_in_build_tree(void)
{
    char migrations[PATH_MAX + 16];

    copy_cut(share_path, sizeof share_path, program_path);
    for (char *slash; (slash = strrchr(share_path, '/')) && slash != share_path;) {
        bool build = strcmp(slash, "/build") == 0;
        *slash = '\0';
        if (!build)
            continue;
        snprintf(migrations, sizeof migrations, "%s/migrations", share_path);
        if (is_folder(migrations))
            return true;
    }
    return false;
}

static bool share_beside_bin(void)
{
    struct text above = text_of(program_path);

    if (!text_ends(above, TEXT("/bin")))
        return false;
    above.count -= strlen("/bin");
    int count = snprintf(share_path, sizeof share_path, "%.*s/share/picket", TEXT_ARGS(above));
    return count < (int)sizeof share_path && is_folder(share_path);
}

static bool is_folder(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static struct part *part_find(const char *name)
{
    for (size_t i = 0; i < part_count; i++)
        if (strcmp(parts[i].name, name) == 0)
            return &parts[i];
    assert(part_count < PROCESS_PARTS_MAX);
    struct part *added = &parts[part_count++];
    copy_cut(added->name, sizeof added->name, name);
    return added;
}

static void copy_cut(char *out, size_t size, const char *string)
{
    size_t count = strnlen(string, size - 1);

    memcpy(out, string, count);
    out[count] = '\0';
}

static enum status read_whole(int fd, const char *path, size_t bytes_max, struct buf *out,
                              struct problem *why)
{
    char chunk[READ_CHUNK];
    size_t total = 0;

    for (;;) {
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return problem_set(why, STATUS_REJECT, "%s cannot be read: %s", path, strerror(errno));
        if (got == 0)
            return STATUS_OK;
        total += (size_t)got;
        if (total <= bytes_max)
            buf_append(out, chunk, (size_t)got);
        if (total > bytes_max || buf_failed(out))
            return problem_set(why, STATUS_REJECT, "%s is longer than %zu bytes", path,
                               bytes_max < out->count_max ? bytes_max : out->count_max);
    }
}

static bool write_whole(int fd, struct text content)
{
    while (content.count) {
        ssize_t written = write(fd, content.bytes, content.count);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        content = (struct text){content.bytes + written, content.count - (size_t)written};
    }
    return true;
}

static bool sync_folder_of(const char *path)
{
    char folder[PATH_MAX];

    copy_cut(folder, sizeof folder, path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool synced = fsync(fd) == 0;
    close(fd);
    return synced;
}
