#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/collector.h"
#include "agent/file.h"
#include "agent/file_watch.h"
#include "agent/process_table.h"

#define WATCHES_MAX 4096 /* folders */
#define DEPTH_MAX 16

/* Folders that are watched, by the numbers that the watch gave them. */
struct watched {
    uint64_t folder;
    char *path;
};

struct memory {
    struct file_watch *watch; /* NULL: not allowed here, or nothing is to be watched */
    char paths[PICKET_SETTING_LONG];
    bool recursive, full;
    bool chosen; /* what `paths` says was tried */
    struct watched *watched; /* by folder */
    size_t count, room;
};

/* Who did what is told of. */
struct doer {
    bool known;
    struct process process;
};

static void *open_memory(void)
{
    struct memory *memory = calloc(1, sizeof *memory);

    if (!memory)
        abort();
    return memory;
}

static void forget_all(struct memory *memory)
{
    file_watch_close(memory->watch);
    memory->watch = NULL;
    for (size_t i = 0; i < memory->count; i++)
        free(memory->watched[i].path);
    memory->count = 0;
    memory->full = false;
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
    const struct memory *memory = context;

    return memory->watch ? file_watch_socket(memory->watch) : -1;
}

static size_t place_of(const struct memory *memory, uint64_t folder)
{
    size_t low = 0, high = memory->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (memory->watched[middle].folder < folder)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* False: it is none, or watched by another name already. */
static bool watch_add(struct memory *memory, const char *path, bool *unable)
{
    uint64_t folder;

    if (!file_watch_add(memory->watch, path, &folder, unable))
        return false;
    size_t at = place_of(memory, folder);
    if (at < memory->count && memory->watched[at].folder == folder)
        return false;
    if (memory->count == memory->room) {
        memory->room = memory->room ? 2 * memory->room : 64;
        memory->watched = realloc(memory->watched, memory->room * sizeof *memory->watched);
        if (!memory->watched)
            abort();
    }
    memmove(memory->watched + at + 1, memory->watched + at, (memory->count - at) * sizeof *memory->watched);
    memory->watched[at] = (struct watched){folder, strdup(path)};
    if (!memory->watched[at].path)
        abort();
    memory->count++;
    return true;
}

static void tell(struct payload *payload, const char *folder, const char *name, const char *mask, const struct doer *doer)
{
    char path[FILE_PATH_SIZE];

    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return;
    struct picket_json_writer *writer = payload_begin(payload);
    member_text(writer, "Path", path);
    member_text(writer, "Mask", mask);
    if (doer && doer->known) {
        member_number(writer, "ProcessId", doer->process.pid);
        member_text(writer, "Executable", doer->process.executable);
        member_number_text(writer, "UserId", doer->process.user);
    }
    payload_end(payload);
}

/* A folder with all below it. What lies in one that was just made may have come before it was watched: it is told with it. */
static void tree_add(struct memory *memory, const char *path, int depth, struct payload *made, struct collector_scope *scope, bool *unable)
{
    char below[FILE_PATH_SIZE];
    const struct dirent *entry;
    struct stat about;

    if (memory->count >= WATCHES_MAX) {
        if (!memory->full)
            scope_say(scope, SEVERITY_WARNING, "more than %d folders below %s: the others are not watched", WATCHES_MAX, memory->paths);
        memory->full = true;
        return;
    }
    if (!watch_add(memory, path, unable) || (!memory->recursive && !made) || depth == DEPTH_MAX)
        return;
    DIR *folder = opendir(path);
    while (folder && (entry = readdir(folder))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || snprintf(below, sizeof below, "%s/%s", path, entry->d_name) >= (int)sizeof below ||
            lstat(below, &about) != 0)
            continue;
        if (made)
            tell(made, path, entry->d_name, "Created", NULL);
        if (S_ISDIR(about.st_mode) && memory->recursive)
            tree_add(memory, below, depth + 1, made, scope, unable);
    }
    if (folder)
        closedir(folder);
}

/* False: some of them lie where this kind of watch cannot look. */
static bool paths_watch(struct memory *memory, struct collector_scope *scope, const char *paths)
{
    char path[FILE_PATH_SIZE];
    bool unable = false;

    while (*paths && !unable) {
        size_t length = strcspn(paths, ",");
        snprintf(path, sizeof path, "%s%.*s", scope->root, (int)length, paths + (*paths == ' '));
        tree_add(memory, path, 0, NULL, scope, &unable);
        paths += length + (paths[length] == ',');
    }
    return !unable;
}

/* The paths of the settings, with commas between; other ones than before begin anew. With the process where that can be had of all of them. */
static void paths_use(struct memory *memory, struct collector_scope *scope)
{
    const char *paths = scope->settings ? scope->settings->file_paths : "";
    bool recursive = scope->settings && scope->settings->files_recursive;
    struct reason ignored; /* the check tells it */

    if (memory->chosen && strcmp(memory->paths, paths) == 0 && memory->recursive == recursive)
        return;
    forget_all(memory);
    memory->chosen = true;
    snprintf(memory->paths, sizeof memory->paths, "%s", paths);
    memory->recursive = recursive;
    if (!*paths)
        return;
    memory->watch = file_watch_open(true, &ignored);
    if (memory->watch && paths_watch(memory, scope, paths))
        return;
    forget_all(memory);
    memory->watch = file_watch_open(false, &ignored);
    if (memory->watch)
        (void)paths_watch(memory, scope, paths);
}

static void names_tell(struct payload *payload, const char *folder, const struct file_event *event, const struct doer *doer)
{
    static const struct {
        enum file_mask mask;
        const char *word;
    } words[] = {
        {FILE_CREATED, "Created"},           {FILE_MOVED_IN, "Created, Moved"},   {FILE_MODIFIED, "Modified"},
        {FILE_METADATA, "Metadata changed"}, {FILE_MOVED_OUT, "Deleted, Moved"},  {FILE_DELETED, "Deleted"},
    };

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (event->mask & (unsigned)words[i].mask)
            tell(payload, folder, event->name, words[i].word, doer);
}

static void event_take(struct memory *memory, const struct file_event *event, struct payload *payload, struct doer *doer)
{
    size_t at = place_of(memory, event->folder);
    bool known = at < memory->count && memory->watched[at].folder == event->folder;
    char path[FILE_PATH_SIZE];

    if (event->mask & FILE_OVERFLOW) {
        picket_agent_lose(payload->scope->agent, payload->scope->priority, 1, "watch-full");
        return;
    }
    if (!known)
        return;
    if (event->mask & FILE_WATCH_GONE) {
        free(memory->watched[at].path);
        memmove(memory->watched + at, memory->watched + at + 1, (--memory->count - at) * sizeof *memory->watched);
        return;
    }
    if (!event->name[0])
        return; /* of the folder itself: where that matters, the one above tells it */
    if (event->pid && !(doer->known && doer->process.pid == event->pid))
        doer->known = process_read("", event->pid, &doer->process);
    names_tell(payload, memory->watched[at].path, event, event->pid ? doer : NULL);
    bool folder_came = event->is_folder && event->mask & (FILE_CREATED | FILE_MOVED_IN);
    if (folder_came && memory->recursive && snprintf(path, sizeof path, "%s/%s", memory->watched[at].path, event->name) < (int)sizeof path)
        tree_add(memory, path, 0, payload, payload->scope, NULL);
}

static void collect(void *context, struct collector_scope *scope)
{
    struct memory *memory = context;
    struct file_event event;
    struct payload payload;
    struct doer doer = {.known = false};

    paths_use(memory, scope);
    if (!memory->watch)
        return;
    payload_open_each(&payload, scope, "FileSystem");
    while (file_watch_next(memory->watch, &event))
        event_take(memory, &event, &payload, &doer);
    payload_close(&payload);
}

static enum self_check_result check(const char *root, const struct picket_settings *settings, struct reason *out)
{
    char path[FILE_PATH_SIZE], most[32] = "";
    struct reason why, ignored;
    struct file_watch *with_processes = file_watch_open(true, &why), *watch = file_watch_open(false, &ignored);
    bool tells = with_processes != NULL, any = tells || watch;

    (void)settings;
    file_watch_close(with_processes);
    file_watch_close(watch);
    snprintf(path, sizeof path, "%s/proc/sys/fs/inotify/max_user_watches", root);
    long count = file_read(path, most, sizeof most - 1);
    if (tells)
        reason_set(out, "by fanotify, with the process; on file systems that do not have it, by inotify");
    else if (any)
        reason_set(out, "by inotify, so that the process is not known (fanotify: %s); the kernel allows %.*s folders", why.text, count > 0 ? (int)strcspn(most, "\n") : 0, most);
    else
        reason_set(out, "neither fanotify nor inotify: %s", ignored.text);
    return any ? SELF_CHECK_OK : SELF_CHECK_FAILED;
}

const struct collector collector_files = {
    .name = "files", .subject = PICKET_FILES, .pace = COLLECT_CONNECTIONS, .open = open_memory, .collect = collect, .close = close_memory, .socket = memory_socket, .check = check,
};
