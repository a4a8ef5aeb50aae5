#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/collector.h"
#include "agent/digest.h"
#include "agent/file.h"
#include "agent/process_table.h"
#include "agent/process_watch.h"

#define RECENT_MAX 2048

/* What was seen last time. The digest of the path tells an exec(): a shell seen between fork and exec is reported as the
 * shell, and then as what it became. A program replaced on disk is no exec(), and neither is the end of a process, which
 * both change the path that /proc shows. */
struct seen {
    int64_t pid;
    uint64_t started, executable;
};

struct memory {
    struct process_watch *watch; /* NULL: there is none, and processes are looked at in intervals */
    bool watch_tried;
    struct seen *recent; /* the last RECENT_MAX that the watch told of, round and round */
    size_t recent_next;
    struct seen *seen; /* by pid */
    size_t count;
    bool begun; /* the first listing was made */
};

struct listing {
    struct seen *seen;
    size_t count, room;
};

static void *open_memory(void);
static void collect(void *memory, struct collector_scope *scope);
static void list(struct memory *memory, struct collector_scope *scope);
static void close_memory(void *take_memory);
static int watch_socket(const void *memory);
static const struct seen *find_seen(const struct memory *memory, const struct seen *seen);
static void listing_add(struct listing *listing, const struct seen *seen);
static int compare_pids(const void *a, const void *b);
static void report(struct payload *payload, const struct process *process, bool snapshot);
static uint64_t executable_digest(const char *path);
static enum self_check_result check(const char *root, const struct picket_settings *settings, struct reason *out);

const struct collector collector_processes = {
    .name = "processes", .subject = PICKET_PROCESSES, .pace = COLLECT_PROCESSES, .open = open_memory, .collect = collect, .close = close_memory, .socket = watch_socket, .check = check,
};

static void *open_memory(void)
{
    struct memory *memory = calloc(1, sizeof *memory);

    if (!memory)
        abort();
    return memory;
}

static void close_memory(void *take_memory)
{
    struct memory *memory = take_memory;

    if (memory) {
        process_watch_close(memory->watch);
        free(memory->recent);
        free(memory->seen);
    }
    free(memory);
}

static int watch_socket(const void *context)
{
    const struct memory *memory = context;

    return memory->watch ? process_watch_socket(memory->watch) : -1;
}

/* By the mode that is wished for; where the kernel does not let us, in intervals, and said so once. */
static void watch_choose(struct memory *memory, const struct collector_scope *scope)
{
    bool wished = scope->settings && !scope->root[0] && scope->settings->process_mode != PICKET_PROCESS_POLLING;
    struct reason ignored; /* the check tells it */

    if (!wished) {
        process_watch_close(memory->watch);
        memory->watch = NULL;
        memory->watch_tried = false;
        return;
    }
    if (memory->watch_tried)
        return;
    memory->watch_tried = true;
    memory->watch = process_watch_open(scope->settings->packet_buffer_bytes, &ignored);
}

/* A program that was begun around the time of a listing may be in both. */
static bool told_by_watch(const struct memory *memory, const struct seen *seen)
{
    for (size_t i = 0; memory->recent && i < RECENT_MAX; i++)
        if (memcmp(&memory->recent[i], seen, sizeof *seen) == 0)
            return true;
    return false;
}

static bool told_by_listing(const struct memory *memory, const struct seen *seen)
{
    const struct seen *before = find_seen(memory, seen);
    return before && before->executable == seen->executable;
}

static void watch_report(struct memory *memory, struct payload *payload, const struct process *process, uint64_t times)
{
    const struct seen seen = {process->pid, process->started, executable_digest(process->executable)};

    if (!memory->recent && !(memory->recent = calloc(RECENT_MAX, sizeof *memory->recent)))
        abort();
    if (times == 1 && told_by_listing(memory, &seen))
        return;
    memory->recent[memory->recent_next++ % RECENT_MAX] = seen;
    payload_times(payload, times);
    report(payload, process, false);
}

static void watch_drain(struct memory *memory, struct collector_scope *scope)
{
    struct process *process = malloc(sizeof *process);
    struct payload payload;
    uint64_t times;

    if (!process)
        abort();
    payload_open_each(&payload, scope, "ProcessCreate");
    while (process_watch_next(memory->watch, process, &times))
        watch_report(memory, &payload, process, times);
    payload_close(&payload);
    picket_agent_lose(scope->agent, scope->priority, process_watch_lost(memory->watch), "watch-full");
    free(process);
}

/* What runs is listed once at the beginning, and where it is not told by the kernel. */
static void collect(void *context, struct collector_scope *scope)
{
    struct memory *memory = context;

    watch_choose(memory, scope);
    if (memory->watch)
        watch_drain(memory, scope);
    if (!memory->watch || !memory->begun || process_watch_overran(memory->watch))
        list(memory, scope);
}

static void list(struct memory *memory, struct collector_scope *scope)
{
    struct listing now = {NULL, 0, 0};
    struct payload payload;
    struct process process;
    char path[FILE_PATH_SIZE];
    const struct dirent *file;

    snprintf(path, sizeof path, "%s/proc", scope->root);
    DIR *folder = opendir(path);
    if (!folder)
        return;
    payload_open_each(&payload, scope, "ProcessCreate");
    while ((file = readdir(folder))) {
        int64_t pid = process_id_read(file->d_name);
        if (!pid || !process_read(scope->root, pid, &process) || process.kernel)
            continue;
        struct seen seen = {pid, process.started, executable_digest(process.executable)};
        const struct seen *before = find_seen(memory, &seen);
        if (before && process.ended)
            seen.executable = before->executable;
        listing_add(&now, &seen);
        if ((!before || before->executable != seen.executable) && !told_by_watch(memory, &seen))
            report(&payload, &process, !memory->begun);
    }
    closedir(folder);
    payload_close(&payload);
    if (now.count)
        qsort(now.seen, now.count, sizeof *now.seen, compare_pids);
    free(memory->seen);
    memory->seen = now.seen;
    memory->count = now.count;
    memory->begun = true;
}

/* The same process as it was last time, whatever it ran then. */
static const struct seen *find_seen(const struct memory *memory, const struct seen *seen)
{
    const struct seen *found =
        memory->count ? bsearch(seen, memory->seen, memory->count, sizeof *seen, compare_pids) : NULL;

    return found && found->started == seen->started ? found : NULL;
}

static void listing_add(struct listing *listing, const struct seen *seen)
{
    if (listing->count == listing->room) {
        listing->room = listing->room ? listing->room * 2 : 256;
        struct seen *grown = realloc(listing->seen, listing->room * sizeof *grown);
        if (!grown)
            abort();
        listing->seen = grown;
    }
    listing->seen[listing->count++] = *seen;
}

static int compare_pids(const void *a, const void *b)
{
    int64_t left = ((const struct seen *)a)->pid, right = ((const struct seen *)b)->pid;

    return (left > right) - (left < right);
}

static void report(struct payload *payload, const struct process *process, bool snapshot)
{
    struct picket_json_writer *writer = payload_begin(payload);

    member_text(writer, "Executable", process->executable);
    member_text(writer, "CommandLine", process->command_line);
    member_number_text(writer, "UserId", process->user);
    member_number(writer, "ProcessId", process->pid);
    member_number(writer, "ParentProcessId", process->parent);
    if (snapshot)
        member_snapshot(writer);
    payload_end(payload);
}

/* Without what the kernel appends when the file is no longer there. */
static uint64_t executable_digest(const char *path)
{
    static const char ending[] = " (deleted)";
    size_t count = strlen(path);

    if (count > sizeof ending - 1 && strcmp(path + count - (sizeof ending - 1), ending) == 0)
        count -= sizeof ending - 1;
    return digest(DIGEST_BEGIN, path, count);
}

static enum self_check_result check(const char *root, const struct picket_settings *settings, struct reason *out)
{
    struct reason why;
    struct process_watch *watch = process_watch_open(CHECK_BYTES, &why);

    process_watch_close(watch);
    if (!file_readable(root, "/proc/1/stat")) {
        reason_set(out, "/proc is not mounted, or hides other users' processes (hidepid)");
        return SELF_CHECK_FAILED;
    }
    if (!watch) {
        reason_set(out, "looked at in intervals of %lld s, so that one which lives shorter is missed: %s", (long long)(settings->process_polling_us / 1000000), why.text);
        return SELF_CHECK_LIMITED;
    }
    reason_set(out, "told by the kernel as they begin%s", geteuid() ? "; paths and arguments of other users may be hidden" : "");
    return SELF_CHECK_OK;
}
