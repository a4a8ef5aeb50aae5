#include "agent/file_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fanotify.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "agent/digest.h"

#define EVENTS_BYTES 16384
#define HANDLE_MAX 128 /* MAX_HANDLE_SZ */
#define INOTIFY_MASK (IN_CREATE | IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_EXCL_UNLINK)
#define FANOTIFY_MASK (FAN_CREATE | FAN_CLOSE_WRITE | FAN_DELETE | FAN_MOVED_FROM | FAN_MOVED_TO | FAN_ATTRIB | FAN_DELETE_SELF | FAN_EVENT_ON_CHILD | FAN_ONDIR)

/* As in sys/fanotify.h, which some systems have older than their kernel. */
int fanotify_init(unsigned flags, unsigned event_flags);
int fanotify_mark(int group, unsigned flags, uint64_t mask, int folder, const char *path);

struct file_watch {
    int socket;
    bool fanotify;
    size_t at, count; /* of what was read */
    char bytes[EVENTS_BYTES] __attribute__((aligned(8)));
};

/* What each of the two has a bit for. */
static const struct {
    uint64_t inotify, fanotify;
    enum file_mask mask;
} masks[] = {
    {IN_CREATE, FAN_CREATE, FILE_CREATED},        {IN_MOVED_TO, FAN_MOVED_TO, FILE_MOVED_IN},      {IN_CLOSE_WRITE, FAN_CLOSE_WRITE, FILE_MODIFIED},
    {IN_ATTRIB, FAN_ATTRIB, FILE_METADATA},       {IN_MOVED_FROM, FAN_MOVED_FROM, FILE_MOVED_OUT}, {IN_DELETE, FAN_DELETE, FILE_DELETED},
    {IN_IGNORED, FAN_DELETE_SELF, FILE_WATCH_GONE}, {IN_Q_OVERFLOW, FAN_Q_OVERFLOW, FILE_OVERFLOW},
};

static unsigned mask_of(const struct file_watch *watch, uint64_t bits)
{
    unsigned mask = 0;

    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++)
        mask |= bits & (watch->fanotify ? masks[i].fanotify : masks[i].inotify) ? (unsigned)masks[i].mask : 0;
    return mask;
}

/* A folder by its file system and its handle there, which is how fanotify calls it. */
static uint64_t folder_digest(const void *file_system, size_t file_system_count, const void *handle, size_t handle_count)
{
    return digest(digest(DIGEST_BEGIN, file_system, file_system_count), handle, handle_count);
}

struct file_watch *file_watch_open(bool processes, struct reason *why)
{
    struct file_watch *watch = calloc(1, sizeof *watch);

    if (!watch)
        abort();
    watch->fanotify = processes;
    /* The rights that unlimited marks ask for are those that it takes to be told the process. */
    watch->socket = processes ? fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_MARKS | FAN_REPORT_DFID_NAME, O_RDONLY)
                              : inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (watch->socket >= 0)
        return watch;
    (void)reason_set(why, "%s", strerror(errno));
    free(watch);
    return NULL;
}

void file_watch_close(struct file_watch *take_watch)
{
    if (!take_watch)
        return;
    close(take_watch->socket);
    free(take_watch);
}

int file_watch_socket(const struct file_watch *watch)
{
    return watch->socket;
}

static bool fanotify_add(const struct file_watch *watch, const char *path, uint64_t *folder)
{
    union {
        struct file_handle handle;
        char room[sizeof(struct file_handle) + HANDLE_MAX];
    } at = {.handle = {.handle_bytes = HANDLE_MAX}};
    struct statfs about;
    int mount;

    if (statfs(path, &about) != 0 || name_to_handle_at(AT_FDCWD, path, &at.handle, &mount, 0) != 0 ||
        fanotify_mark(watch->socket, FAN_MARK_ADD | FAN_MARK_ONLYDIR, FANOTIFY_MASK, AT_FDCWD, path) != 0)
        return false;
    *folder = folder_digest(&about.f_fsid, sizeof about.f_fsid, at.room, sizeof at.handle + at.handle.handle_bytes);
    return true;
}

bool file_watch_add(struct file_watch *watch, const char *path, uint64_t *folder, bool *unable)
{
    int number = 0;
    bool added;

    if (watch->fanotify) {
        added = fanotify_add(watch, path, folder);
    } else {
        number = inotify_add_watch(watch->socket, path, INOTIFY_MASK);
        added = number >= 0;
        *folder = (uint64_t)number;
    }
    if (!added && unable)
        *unable = errno == EOPNOTSUPP || errno == ENODEV || errno == EXDEV || errno == EINVAL || errno == ENOSYS;
    return added;
}

/* An event of fanotify is followed by what it is about: the folder's handle, and behind that the name. */
static void fanotify_take(const struct file_watch *watch, const char *from, const struct fanotify_event_metadata *about, struct file_event *out)
{
    struct fanotify_event_info_fid info;
    struct file_handle handle;
    size_t head = sizeof info + sizeof handle, handle_size;

    out->pid = about->pid;
    out->mask = mask_of(watch, about->mask);
    out->is_folder = about->mask & FAN_ONDIR;
    if (about->event_len < about->metadata_len + head)
        return;
    from += about->metadata_len;
    memcpy(&info, from, sizeof info);
    memcpy(&handle, from + sizeof info, sizeof handle);
    handle_size = sizeof handle + handle.handle_bytes;
    if (info.hdr.len < sizeof info + handle_size || about->event_len < about->metadata_len + info.hdr.len)
        return;
    out->folder = folder_digest(&info.fsid, sizeof info.fsid, from + sizeof info, handle_size);
    if (info.hdr.info_type != FAN_EVENT_INFO_TYPE_DFID_NAME)
        return;
    const char *name = from + sizeof info + handle_size;
    size_t length = strnlen(name, info.hdr.len - sizeof info - handle_size);
    if (length <= NAME_MAX && !(length == 1 && *name == '.')) /* "." is the folder itself */
        memcpy(out->name, name, length);
}

static size_t fanotify_next(struct file_watch *watch, struct file_event *out)
{
    struct fanotify_event_metadata about;

    if (watch->count - watch->at < sizeof about)
        return 0;
    memcpy(&about, watch->bytes + watch->at, sizeof about);
    if (about.vers != FANOTIFY_METADATA_VERSION || about.event_len < sizeof about || about.event_len > watch->count - watch->at)
        return 0;
    if (about.fd >= 0)
        close(about.fd);
    fanotify_take(watch, watch->bytes + watch->at, &about, out);
    return about.event_len;
}

static size_t inotify_next(struct file_watch *watch, struct file_event *out)
{
    struct inotify_event about;

    if (watch->count - watch->at < sizeof about)
        return 0;
    memcpy(&about, watch->bytes + watch->at, sizeof about);
    if (about.len > watch->count - watch->at - sizeof about)
        return 0;
    out->folder = (uint64_t)about.wd;
    out->mask = mask_of(watch, about.mask);
    out->is_folder = about.mask & IN_ISDIR;
    size_t length = strnlen(watch->bytes + watch->at + sizeof about, about.len);
    memcpy(out->name, watch->bytes + watch->at + sizeof about, length <= NAME_MAX ? length : 0);
    return sizeof about + about.len;
}

bool file_watch_next(struct file_watch *watch, struct file_event *out)
{
    if (watch->at == watch->count) {
        ssize_t got = read(watch->socket, watch->bytes, sizeof watch->bytes);
        watch->at = 0;
        watch->count = got > 0 ? (size_t)got : 0;
    }
    memset(out, 0, sizeof *out);
    size_t size = watch->fanotify ? fanotify_next(watch, out) : inotify_next(watch, out);
    watch->at = size ? watch->at + size : watch->count;
    return size > 0;
}
