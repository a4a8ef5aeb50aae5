#include "agent/spool.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/digest.h"
#include "agent/monotonic.h"
#include "agent/stamp.h"

#define LOCK_NAME "lock"
#define ENDING ".message"
#define MAGIC "picket spool 1 "
#define HEAD_SIZE (sizeof MAGIC - 1 + 16 + 1) /* the digest in hex, and a newline */
#define ORDER_DIGITS 20
#define NAME_SIZE 128

struct entry {
    uint64_t order;
    uint32_t bytes, count;
    uint32_t since_s; /* by the monotonic clock */
    char id[PICKET_AGENT_MESSAGE_ID_SIZE];
};

struct spool {
    char folder[FILE_PATH_SIZE];
    int lock;
    uint64_t bytes_max, bytes;
    uint64_t disk_max; /* what has room while the disk is full; UINT64_MAX: it is not */
    uint64_t next_order;
    struct entry *entries; /* oldest first, from `first` */
    size_t first, end, room;
};

static bool take_folder(struct spool *spool, struct reason *why);
static bool take_up(struct spool *spool, struct reason *why);
static void take_up_file(struct spool *spool, int folder, const char *name);
static bool read_name(const char *name, struct entry *out);
static void print_name(const struct entry *entry, char out[NAME_SIZE]);
static void add_entry(struct spool *spool, const struct entry *entry);
static int compare_entries(const void *a, const void *b);
static void describe(const struct entry *entry, struct picket_message *out);
static bool read_body(const struct spool *spool, const struct entry *entry, char *buffer, size_t size,
                      struct picket_message *out);
static void print_head(const struct picket_message *message, char out[HEAD_SIZE + 1]);

struct spool *spool_open(const char *folder, uint64_t bytes_max, struct reason *why)
{
    struct spool *spool = calloc(1, sizeof *spool);

    if (!spool)
        abort();
    spool->lock = -1;
    spool->bytes_max = bytes_max;
    spool->disk_max = UINT64_MAX;
    spool->next_order = 1;
    if (strlen(folder) >= sizeof spool->folder - NAME_SIZE) {
        reason_set(why, "the path of the spool folder is too long");
        spool_close(spool);
        return NULL;
    }
    memcpy(spool->folder, folder, strlen(folder) + 1);
    if (!take_folder(spool, why) || !take_up(spool, why)) {
        spool_close(spool);
        return NULL;
    }
    return spool;
}

void spool_close(struct spool *take_spool)
{
    if (!take_spool)
        return;
    if (take_spool->lock >= 0)
        close(take_spool->lock);
    free(take_spool->entries);
    free(take_spool);
}

void spool_limit(struct spool *spool, uint64_t bytes_max)
{
    spool->bytes_max = bytes_max;
}

enum picket_keep_status spool_keep(struct spool *spool, const struct picket_message *message, struct reason *why)
{
    struct entry entry = {.order = spool->next_order, .count = message->count};
    char head[HEAD_SIZE + 1], name[NAME_SIZE];
    uint64_t bytes = HEAD_SIZE + message->body_count;

    assert(message->count > 0 && message->body_count > 0);

    if (bytes > spool->bytes_max || bytes > UINT32_MAX) {
        reason_set(why, "a message of %zu bytes never fits into spool_bytes", message->body_count);
        return PICKET_KEEP_FAILED;
    }
    bool disk_full = spool_count(spool) && spool->bytes + bytes > spool->disk_max;
    if (disk_full || spool->bytes + bytes > spool->bytes_max || spool_count(spool) >= SPOOL_COUNT_MAX) {
        reason_set(why, disk_full ? "the disk is full" : "the spool is full");
        return PICKET_KEEP_FULL;
    }
    memcpy(entry.id, message->id, sizeof entry.id);
    entry.bytes = (uint32_t)bytes;
    print_head(message, head);
    print_name(&entry, name);
    const struct iovec parts[] = {{head, HEAD_SIZE}, {(void *)(uintptr_t)message->body, message->body_count}};
    if (!file_write(spool->folder, name, parts, 2, why)) {
        /* As many bytes may go as would have room then, and no more: when that does not help, something else fills the disk. */
        bool again = spool->disk_max == UINT64_MAX && (errno == ENOSPC || errno == EDQUOT) && spool_count(spool) > 0;
        spool->disk_max = again ? spool->bytes : UINT64_MAX;
        return again ? PICKET_KEEP_FULL : PICKET_KEEP_FAILED;
    }
    spool->disk_max = UINT64_MAX;
    add_entry(spool, &entry);
    return PICKET_KEEP_DONE;
}

enum picket_kept_status spool_oldest(struct spool *spool, char *buffer, size_t size, struct picket_message *out)
{
    if (!spool_count(spool))
        return PICKET_KEPT_NONE;
    const struct entry *entry = &spool->entries[spool->first];
    describe(entry, out);
    if (buffer && !read_body(spool, entry, buffer, size, out))
        return PICKET_KEPT_DAMAGED;
    return PICKET_KEPT_FOUND;
}

enum picket_kept_status spool_newest(const struct spool *spool, struct picket_message *out)
{
    if (!spool_count(spool))
        return PICKET_KEPT_NONE;
    describe(&spool->entries[spool->end - 1], out);
    return PICKET_KEPT_FOUND;
}

void spool_forget(struct spool *spool)
{
    char path[FILE_PATH_SIZE], name[NAME_SIZE];

    if (!spool_count(spool))
        return;
    const struct entry *entry = &spool->entries[spool->first++];
    print_name(entry, name);
    int length = snprintf(path, sizeof path, "%s/%s", spool->folder, name);
    assert(length > 0 && (size_t)length < sizeof path);
    (void)length;
    /* One that stays is sent again after a restart, and the server knows it by its id. */
    (void)unlink(path);
    spool->bytes -= entry->bytes;
}

int64_t spool_oldest_since_s(const struct spool *spool)
{
    return spool_count(spool) ? spool->entries[spool->first].since_s : 0;
}

size_t spool_count(const struct spool *spool)
{
    return spool->end - spool->first;
}

uint64_t spool_bytes(const struct spool *spool)
{
    return spool->bytes;
}

static bool take_folder(struct spool *spool, struct reason *why)
{
    char path[FILE_PATH_SIZE + sizeof LOCK_NAME];

    if (!file_folder_make(spool->folder))
        return reason_set(why, "the spool folder %s cannot be made: %s", spool->folder, strerror(errno));
    snprintf(path, sizeof path, "%s/%s", spool->folder, LOCK_NAME);
    spool->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (spool->lock < 0)
        return reason_set(why, "%s cannot be opened: %s", path, strerror(errno));
    if (flock(spool->lock, LOCK_EX | LOCK_NB) != 0)
        return reason_set(why, "the spool folder %s is in use by another picket-agent", spool->folder);
    return true;
}

static bool take_up(struct spool *spool, struct reason *why)
{
    DIR *folder = opendir(spool->folder);
    const struct dirent *file;

    if (!folder)
        return reason_set(why, "the spool folder %s cannot be read: %s", spool->folder, strerror(errno));
    while ((file = readdir(folder)))
        take_up_file(spool, dirfd(folder), file->d_name);
    closedir(folder);
    if (spool->end)
        qsort(spool->entries, spool->end, sizeof *spool->entries, compare_entries);
    return true;
}

static void take_up_file(struct spool *spool, int folder, const char *name)
{
    size_t length = strlen(name), unfinished = sizeof FILE_UNFINISHED - 1;
    struct entry entry;
    struct stat about;

    if (length > unfinished && strcmp(name + length - unfinished, FILE_UNFINISHED) == 0) {
        (void)unlinkat(folder, name, 0);
        return;
    }
    if (!read_name(name, &entry) || fstatat(folder, name, &about, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(about.st_mode))
        return; /* not ours */
    entry.bytes = about.st_size > (off_t)UINT32_MAX ? UINT32_MAX : (uint32_t)about.st_size;
    add_entry(spool, &entry);
}

/* "00000000000000000007.EPOCH-FIRST.COUNT.message" */
static bool read_name(const char *name, struct entry *out)
{
    size_t length = strlen(name), ending = sizeof ENDING - 1;
    uint64_t count;

    memset(out, 0, sizeof *out);
    if (length < ORDER_DIGITS + 4 + ending || strcmp(name + length - ending, ENDING) != 0 || name[ORDER_DIGITS] != '.' ||
        !picket_number_read(name, ORDER_DIGITS, &out->order) || out->order == UINT64_MAX)
        return false;
    const char *id = name + ORDER_DIGITS + 1, *end = name + length - ending;
    const char *dot = memchr(id, '.', (size_t)(end - id));
    if (!dot || dot == id || (size_t)(dot - id) >= sizeof out->id ||
        !picket_number_read(dot + 1, (size_t)(end - dot - 1), &count) || count == 0 || count > UINT32_MAX)
        return false;
    memcpy(out->id, id, (size_t)(dot - id));
    out->count = (uint32_t)count;
    return true;
}

static void print_name(const struct entry *entry, char out[NAME_SIZE])
{
    snprintf(out, NAME_SIZE, "%020llu.%s.%u%s", (unsigned long long)entry->order, entry->id, entry->count, ENDING);
}

static void add_entry(struct spool *spool, const struct entry *entry)
{
    if (spool->end == spool->room && spool->first > spool->room / 2) {
        memmove(spool->entries, spool->entries + spool->first, spool_count(spool) * sizeof *spool->entries);
        spool->end -= spool->first;
        spool->first = 0;
    }
    if (spool->end == spool->room) {
        spool->room = spool->room ? spool->room * 2 : 64;
        struct entry *entries = realloc(spool->entries, spool->room * sizeof *entries);
        if (!entries)
            abort();
        spool->entries = entries;
    }
    spool->entries[spool->end] = *entry;
    spool->entries[spool->end++].since_s = (uint32_t)(monotonic_now_ms() / 1000);
    spool->bytes += entry->bytes;
    if (entry->order >= spool->next_order)
        spool->next_order = entry->order + 1;
}

static int compare_entries(const void *a, const void *b)
{
    uint64_t left = ((const struct entry *)a)->order, right = ((const struct entry *)b)->order;

    return (left > right) - (left < right);
}

static void describe(const struct entry *entry, struct picket_message *out)
{
    memset(out, 0, sizeof *out);
    memcpy(out->id, entry->id, sizeof out->id);
    out->count = entry->count;
}

static bool read_body(const struct spool *spool, const struct entry *entry, char *buffer, size_t size,
                      struct picket_message *out)
{
    char path[FILE_PATH_SIZE], name[NAME_SIZE], head[HEAD_SIZE], expected[HEAD_SIZE + 1];

    print_name(entry, name);
    snprintf(path, sizeof path, "%.*s/%s", (int)(sizeof path - NAME_SIZE - 1), spool->folder, name);
    if (entry->bytes <= HEAD_SIZE || entry->bytes - HEAD_SIZE > size)
        return false;
    int file = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0)
        return false;
    const struct iovec parts[] = {{head, HEAD_SIZE}, {buffer, entry->bytes - HEAD_SIZE}};
    ssize_t got = readv(file, parts, 2);
    close(file);
    out->body = buffer;
    out->body_count = entry->bytes - HEAD_SIZE;
    if (got != (ssize_t)entry->bytes)
        return false;
    print_head(out, expected);
    return memcmp(head, expected, HEAD_SIZE) == 0;
}

static void print_head(const struct picket_message *message, char out[HEAD_SIZE + 1])
{
    uint64_t value = digest(digest(DIGEST_BEGIN, message->id, strlen(message->id)), message->body, message->body_count);

    snprintf(out, HEAD_SIZE + 1, "%s%016llx\n", MAGIC, (unsigned long long)value);
}
