#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/collector.h"
#include "agent/file.h"

#define WATCHES_MAX 4096 /* folders */
#define DEPTH_MAX 16
#define EVENTS_BYTES 16384
#define LOOKED_FOR (IN_CREATE | IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_EXCL_UNLINK)

/* Folders that are watched, by the numbers that inotify gave them. */
struct watched {
    int number;
    char *path;
};

struct memory {
    int inotify; /* -1: not allowed here */
    char paths[PICKET_SETTING_LONG];
    bool recursive, full;
    struct watched *watched; /* by number */
    size_t count, room;
};

static void *open_memory(void)
{
    struct memory *memory = calloc(1, sizeof *memory);

    if (!memory)
        abort();
    memory->inotify = -1;
    return memory;
}

static void forget_all(struct memory *memory)
{
    if (memory->inotify >= 0)
        close(memory->inotify);
    memory->inotify = -1;
    for (size_t i = 0; i < memory->count; i++)
        free(memory->watched[i].path);
    memory->count = 0;
}

static void close_memory(void *take_memory)
{
    struct memory *memory = take_memory;

    forget_all(memory);
    free(memory->watched);
    free(memory);
}

static int memory_socket(const void *context)
{
    return ((const struct memory *)context)->inotify;
}

static size_t place_of(const struct memory *memory, int number)
{
    size_t low = 0, high = memory->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (memory->watched[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool watch_add(struct memory *memory, const char *path)
{
    int number = inotify_add_watch(memory->inotify, path, LOOKED_FOR);
    size_t at = number < 0 ? 0 : place_of(memory, number);

    if (number < 0)
        return false;
    if (at < memory->count && memory->watched[at].number == number)
        return false; /* by another name already */
    if (memory->count == memory->room) {
        memory->room = memory->room ? 2 * memory->room : 64;
        memory->watched = realloc(memory->watched, memory->room * sizeof *memory->watched);
        if (!memory->watched)
            abort();
    }
    memmove(memory->watched + at + 1, memory->watched + at, (memory->count - at) * sizeof *memory->watched);
    memory->watched[at] = (struct watched){number, strdup(path)};
    if (!memory->watched[at].path)
        abort();
    memory->count++;
    return true;
}

static void tell(struct payload *payload, const char *folder, const char *name, const char *mask)
{
    char path[FILE_PATH_SIZE];

    if (snprintf(path, sizeof path, "%s%s%s", folder, name ? "/" : "", name ? name : "") >= (int)sizeof path)
        return;
    struct picket_json_writer *writer = payload_begin(payload);
    member_text(writer, "Path", path);
    member_text(writer, "Mask", mask);
    payload_end(payload);
}

/* A folder with all below it. What lies in one that was just made may have come before it was watched: it is told with it. */
static void tree_add(struct memory *memory, const char *path, int depth, struct payload *made)
{
    char below[FILE_PATH_SIZE];
    const struct dirent *entry;
    struct stat about;

    if (memory->count >= WATCHES_MAX) {
        if (!memory->full)
            fprintf(stderr, "picket-agent: more than %d folders below %s: the others are not watched\n", WATCHES_MAX, memory->paths);
        memory->full = true;
        return;
    }
    if (!watch_add(memory, path) || (!memory->recursive && !made) || depth == DEPTH_MAX)
        return;
    DIR *folder = opendir(path);
    while (folder && (entry = readdir(folder))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || snprintf(below, sizeof below, "%s/%s", path, entry->d_name) >= (int)sizeof below ||
            lstat(below, &about) != 0)
            continue;
        if (made)
            tell(made, path, entry->d_name, "Created");
        if (S_ISDIR(about.st_mode) && memory->recursive)
            tree_add(memory, below, depth + 1, made);
    }
    if (folder)
        closedir(folder);
}

/* The paths of the settings, with commas between; other ones than before begin anew. */
static void paths_use(struct memory *memory, const struct collector_scope *scope)
{
    const char *paths = scope->settings ? scope->settings->file_paths : "";
    bool recursive = scope->settings && scope->settings->files_recursive;
    char path[FILE_PATH_SIZE];

    if (memory->inotify >= 0 && strcmp(memory->paths, paths) == 0 && memory->recursive == recursive)
        return;
    forget_all(memory);
    snprintf(memory->paths, sizeof memory->paths, "%s", paths);
    memory->recursive = recursive;
    memory->full = false;
    if (!*paths)
        return;
    memory->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (memory->inotify < 0)
        fprintf(stderr, "picket-agent: files are not watched: %s\n", strerror(errno));
    while (memory->inotify >= 0 && *paths) {
        size_t length = strcspn(paths, ",");
        snprintf(path, sizeof path, "%s%.*s", scope->root, (int)length, paths + (*paths == ' '));
        tree_add(memory, path, 0, NULL);
        paths += length + (paths[length] == ',');
    }
}

static const char *mask_text(uint32_t mask)
{
    if (mask & IN_CREATE)
        return "Created";
    if (mask & IN_MOVED_TO)
        return "Created, Moved";
    if (mask & IN_CLOSE_WRITE)
        return "Modified";
    if (mask & (IN_DELETE | IN_DELETE_SELF))
        return "Deleted";
    if (mask & IN_MOVED_FROM)
        return "Deleted, Moved";
    return "Metadata changed";
}

static void event_take(struct memory *memory, const struct inotify_event *event, struct payload *payload)
{
    size_t at = place_of(memory, event->wd);
    bool known = at < memory->count && memory->watched[at].number == event->wd;
    char path[FILE_PATH_SIZE];

    if (event->mask & IN_Q_OVERFLOW) {
        picket_agent_lose(payload->scope->agent, payload->scope->priority, 1, "watch-full");
        return;
    }
    if (!known)
        return;
    if (event->mask & IN_IGNORED) {
        free(memory->watched[at].path);
        memmove(memory->watched + at, memory->watched + at + 1, (--memory->count - at) * sizeof *memory->watched);
        return;
    }
    if (event->mask & (IN_CREATE | IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB) && event->len)
        tell(payload, memory->watched[at].path, event->name, mask_text(event->mask));
    bool folder_came = event->mask & IN_ISDIR && event->mask & (IN_CREATE | IN_MOVED_TO);
    if (folder_came && memory->recursive && snprintf(path, sizeof path, "%s/%s", memory->watched[at].path, event->name) < (int)sizeof path)
        tree_add(memory, path, 0, payload);
}

static void collect(void *context, struct collector_scope *scope)
{
    struct memory *memory = context;
    char bytes[EVENTS_BYTES] __attribute__((aligned(__alignof__(struct inotify_event))));
    struct payload payload;
    ssize_t got;

    paths_use(memory, scope);
    if (memory->inotify < 0)
        return;
    payload_open_each(&payload, scope, "FileSystem");
    while ((got = read(memory->inotify, bytes, sizeof bytes)) > 0) {
        for (const char *at = bytes; at < bytes + got;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)at;
            event_take(memory, event, &payload);
            at += sizeof *event + event->len;
        }
    }
    payload_close(&payload);
}

const struct collector collector_files = {
    "files", PICKET_FILES, COLLECT_CONNECTIONS, open_memory, collect, close_memory, memory_socket,
};
