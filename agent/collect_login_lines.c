#include "agent/collect_login_lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/collector.h"
#include "agent/login_line.h"
#include "agent/program_lines.h"
#include "agent/stamp.h"

#define STATE_NAME "login-lines"
#define LINES_MAX 5000 /* of one round, so that a flood waits its turn */
#define LINE_BYTES 1024

#define JOURNAL_PLACE "login-journal"
#define JOURNALCTL "/usr/bin/journalctl"
#define CURSOR_SIZE 256
#define CURSOR_WORDS "-- cursor: "

/* Where systems keep no wtmp, their log is read: the first of these that is there, or else the journal. Where there is a wtmp, what sshd says in both
 * is told once, by that. */
static const char *const logs[] = {"/var/log/auth.log", "/var/log/secure", "/var/log/messages", "/var/log/syslog"};
static const char *const journals[] = {"/var/log/journal", "/run/log/journal"};

struct memory {
    uint64_t inode, offset;
    bool loaded;
    bool journal_loaded, journal_trouble;
    int64_t journal_from_s;           /* while there is no cursor: when it was looked first */
    char journal_cursor[CURSOR_SIZE]; /* the last entry that was read */
};

static void *open_memory(void)
{
    struct memory *memory = calloc(1, sizeof *memory);

    if (!memory)
        abort();
    return memory;
}

bool login_log_find(const char *root, char path[FILE_PATH_SIZE])
{
    struct stat about;

    snprintf(path, FILE_PATH_SIZE, "%s/var/log/wtmp", root);
    if (access(path, F_OK) == 0)
        return false;
    for (size_t i = 0; i < sizeof logs / sizeof *logs; i++) {
        snprintf(path, FILE_PATH_SIZE, "%s%s", root, logs[i]);
        if (stat(path, &about) == 0 && S_ISREG(about.st_mode))
            return true;
    }
    return false;
}

bool login_journal_find(const char *root, char path[FILE_PATH_SIZE])
{
    char log[FILE_PATH_SIZE];

    snprintf(log, sizeof log, "%s/var/log/wtmp", root);
    if (access(log, F_OK) == 0 || login_log_find(root, log) || access(JOURNALCTL, X_OK) != 0)
        return false;
    for (size_t i = 0; i < sizeof journals / sizeof *journals; i++) {
        snprintf(path, FILE_PATH_SIZE, "%s%s", root, journals[i]);
        if (access(path, F_OK) == 0)
            return true;
    }
    return false;
}

/* Two numbers; a first look begins at the log's end, since its lines do not say of which year they are. */
static void place_load(struct memory *memory, const struct collector_scope *scope, const struct stat *about)
{
    char path[FILE_PATH_SIZE], text[64] = "";
    unsigned long long inode = 0, offset = 0;

    memory->loaded = true;
    if (scope->state_folder) {
        snprintf(path, sizeof path, "%s/" STATE_NAME, scope->state_folder);
        long count = file_read(path, text, sizeof text - 1);
        text[count > 0 ? count : 0] = '\0';
    }
    if (sscanf(text, "%llu %llu", &inode, &offset) != 2) {
        inode = about->st_ino;
        offset = (unsigned long long)about->st_size;
    }
    memory->inode = inode;
    memory->offset = offset;
}

static void place_save(const struct memory *memory, const struct collector_scope *scope)
{
    char text[64];
    struct reason ignored;
    int count = snprintf(text, sizeof text, "%llu %llu\n", (unsigned long long)memory->inode, (unsigned long long)memory->offset);
    const struct iovec part = {text, (size_t)count};

    if (scope->state_folder)
        (void)file_write(scope->state_folder, STATE_NAME, &part, 1, &ignored);
}

static void report(struct payload *payload, const struct login_line *login)
{
    struct picket_json_writer *writer = payload_begin(payload);

    member_number(writer, "ProcessId", login->pid);
    member_text(writer, "Operation", "login");
    member_text(writer, "Executable", login->program);
    member_text(writer, "Result", login->failed ? "Fail" : "Success");
    member_text(writer, "UserName", login->user);
    if (login->address[0])
        member_text(writer, "RemoteAddress", login->address);
    if (login->port[0])
        member_text(writer, "RemotePort", login->port);
    payload_end(payload);
}

/* A line that is only half written is read when it is whole. */
static void lines_read(struct memory *memory, const char *path, struct payload *payload)
{
    char line[LINE_BYTES];
    struct login_line login;
    FILE *file = fopen(path, "re");

    if (!file || fseeko(file, (off_t)memory->offset, SEEK_SET) != 0) {
        if (file)
            fclose(file);
        return;
    }
    for (int i = 0; i < LINES_MAX && fgets(line, sizeof line, file); i++) {
        size_t count = strlen(line);
        bool whole = count && line[count - 1] == '\n';
        if (!whole && count + 1 < sizeof line)
            break;
        memory->offset += count;
        if (login_line_read(line, &login))
            report(payload, &login);
    }
    fclose(file);
}

static void log_collect(struct memory *memory, struct collector_scope *scope, const char *path)
{
    struct memory before = *memory;
    struct payload payload;
    struct stat about;

    if (stat(path, &about))
        return;
    if (!memory->loaded)
        place_load(memory, scope, &about);
    if (memory->inode != about.st_ino || memory->offset > (uint64_t)about.st_size) { /* rotated away, or emptied */
        memory->inode = about.st_ino;
        memory->offset = 0;
    }
    payload_open_each(&payload, scope, "Login");
    lines_read(memory, path, &payload);
    payload_close(&payload);
    if (before.inode != memory->inode || before.offset != memory->offset || !before.loaded)
        place_save(memory, scope);
}

/* ---- the journal ---- */

struct journal_reading {
    struct memory *memory;
    struct payload payload;
};

/* "1764369700.250000 host sshd[77]: …", and at the end "-- cursor: …". */
static void journal_take(void *context, const char *line)
{
    struct journal_reading *reading = context;
    struct login_line login;

    if (strncmp(line, CURSOR_WORDS, strlen(CURSOR_WORDS)) == 0) {
        snprintf(reading->memory->journal_cursor, CURSOR_SIZE, "%.255s", line + strlen(CURSOR_WORDS));
        return;
    }
    reading->payload.utc_ms = (int64_t)(strtod(line, NULL) * 1000);
    if (login_line_read(line, &login))
        report(&reading->payload, &login);
}

static void cursor_load(struct memory *memory, const struct collector_scope *scope)
{
    char path[FILE_PATH_SIZE];

    memory->journal_loaded = true;
    memory->journal_from_s = scope->utc_ms / 1000;
    if (!scope->state_folder)
        return;
    snprintf(path, sizeof path, "%s/" JOURNAL_PLACE, scope->state_folder);
    long count = file_read(path, memory->journal_cursor, CURSOR_SIZE - 1);
    memory->journal_cursor[count > 0 ? count : 0] = '\0';
}

static void cursor_save(const struct memory *memory, const struct collector_scope *scope)
{
    const struct iovec part = {(char *)(uintptr_t)memory->journal_cursor, strlen(memory->journal_cursor)};
    struct reason ignored;

    if (scope->state_folder)
        (void)file_write(scope->state_folder, JOURNAL_PLACE, &part, 1, &ignored);
}

/* Its form is systemd's own, so journalctl reads it. */
static void journal_collect(struct memory *memory, struct collector_scope *scope, const char *folder)
{
    struct journal_reading reading = {.memory = memory};
    char from[CURSOR_SIZE + 32], before[CURSOR_SIZE];
    struct reason why;

    if (!memory->journal_loaded)
        cursor_load(memory, scope);
    memcpy(before, memory->journal_cursor, sizeof before);
    if (*memory->journal_cursor)
        snprintf(from, sizeof from, "--after-cursor=%s", memory->journal_cursor);
    else
        snprintf(from, sizeof from, "--since=@%lld", (long long)memory->journal_from_s);
    const char *const arguments[] = {JOURNALCTL, "--quiet", "--no-pager", "--output=short-unix", "--show-cursor", from, "-t", "sshd", "-t", "sshd-session", "-t", "dropbear", "-t", "login",
                                     *scope->root ? "-D" : NULL, folder, NULL};
    payload_open_each(&reading.payload, scope, "Login");
    int code = program_lines(arguments, journal_take, &reading, &why);
    if ((code < 0 || code > 1) && !memory->journal_trouble) /* it ends with 1 when there is nothing new */
        scope_say(scope, SEVERITY_WARNING, "logins are not read from the journal: %s", why.text);
    memory->journal_trouble = code < 0 || code > 1;
    payload_close(&reading.payload);
    if (strcmp(before, memory->journal_cursor) != 0)
        cursor_save(memory, scope);
}

static void collect(void *context, struct collector_scope *scope)
{
    char path[FILE_PATH_SIZE];

    if (login_log_find(scope->root, path))
        log_collect(context, scope, path);
    else if (login_journal_find(scope->root, path))
        journal_collect(context, scope, path);
}

const struct collector collector_login_lines = {
    .name = "login lines", .subject = PICKET_LOGINS, .pace = COLLECT_LOGINS, .open = open_memory, .collect = collect, .close = free,
};
