#include "agent/collect_logins.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/collect_login_lines.h"
#include "agent/collector.h"
#include "agent/file.h"
#include "agent/process_table.h"
#include "agent/stamp.h"

#define STATE_NAME "logins"
#define STATE_TEXT_MAX 256
#define FIRST_LOOK_MS (INT64_C(86400) * 1000) /* how far back the first look of an agent's life goes */
#define RECORDS_MAX 1000                      /* of one log and round, so that a flood waits its turn */

/* How far a log was read. Its inode tells a log that was rotated away. */
struct place {
    uint64_t inode, offset;
};

enum log { LOG_WTMP, LOG_BTMP, LOGS };

struct memory {
    struct place places[LOGS];
    bool loaded; /* places are set, from the state file or for the first time */
};

static const struct {
    const char *path, *rotated;
    bool failed;
} logs[LOGS] = {
    {"/var/log/wtmp", "/var/log/wtmp.1", false},
    {"/var/log/btmp", "/var/log/btmp.1", true},
};

static void *open_memory(void);
static void collect(void *memory, struct collector_scope *scope);
static void load_places(struct memory *memory, struct collector_scope *scope, bool *first_look);
static bool read_places(const char *text, size_t count, struct memory *out);
static void save_places(const struct memory *memory, const struct collector_scope *scope);
static void report_present(struct collector_scope *scope, struct payload *payload, int64_t before_ms);
static void read_log(struct memory *memory, struct collector_scope *scope, enum log log, int64_t since_ms,
                     struct payload *payload);
static void read_records(const char *path, struct place *place, bool failed, int64_t since_ms,
                         struct payload *payload);
static void report(struct payload *payload, const struct login *login, bool failed, bool snapshot);
static enum self_check_result check(const char *root, const struct picket_settings *settings, struct reason *out);

const struct collector collector_logins = {
    .name = "logins", .subject = PICKET_LOGINS, .pace = COLLECT_LOGINS, .open = open_memory, .collect = collect, .close = free, .check = check,
};

bool login_read(const struct utmp *record, bool failed, struct login *out)
{
    const int32_t *words = record->ut_addr_v6;

    if (record->ut_type != USER_PROCESS && !(failed && record->ut_type == LOGIN_PROCESS))
        return false;
    memset(out, 0, sizeof *out);
    memcpy(out->user, record->ut_user, strnlen(record->ut_user, sizeof record->ut_user));
    memcpy(out->line, record->ut_line, strnlen(record->ut_line, sizeof record->ut_line));
    if (!out->user[0])
        return false;
    out->utc_ms = (int64_t)record->ut_tv.tv_sec * 1000 + record->ut_tv.tv_usec / 1000;
    out->pid = record->ut_pid > 0 ? record->ut_pid : 0;
    if (words[1] || words[2] || words[3])
        (void)inet_ntop(AF_INET6, words, out->address, sizeof out->address);
    else if (words[0])
        (void)inet_ntop(AF_INET, words, out->address, sizeof out->address);
    return true;
}

static void *open_memory(void)
{
    struct memory *memory = calloc(1, sizeof *memory);

    if (!memory)
        abort();
    return memory;
}

static void collect(void *context, struct collector_scope *scope)
{
    struct memory *memory = context;
    struct memory before = *memory;
    struct payload payload;
    bool first_look = false;
    int64_t since_ms = INT64_MIN;

    if (!memory->loaded)
        load_places(memory, scope, &first_look);
    payload_open_each(&payload, scope, "Login");
    if (first_look) {
        since_ms = scope->utc_ms - FIRST_LOOK_MS;
        report_present(scope, &payload, since_ms);
    }
    for (int log = 0; log < LOGS; log++)
        read_log(memory, scope, (enum log)log, since_ms, &payload);
    payload_close(&payload);
    if (first_look || memcmp(before.places, memory->places, sizeof before.places) != 0)
        save_places(memory, scope);
}

static void load_places(struct memory *memory, struct collector_scope *scope, bool *first_look)
{
    char path[FILE_PATH_SIZE], text[STATE_TEXT_MAX];
    long count = -1;

    if (scope->state_folder) {
        snprintf(path, sizeof path, "%s/" STATE_NAME, scope->state_folder);
        count = file_read(path, text, sizeof text);
    }
    *first_look = count < 0 || !read_places(text, (size_t)count, memory);
    memory->loaded = true;
}

/* Four numbers: inode and offset of wtmp, then of btmp. */
static bool read_places(const char *text, size_t count, struct memory *out)
{
    uint64_t numbers[2 * LOGS];
    const char *at = text, *end = text + count;

    for (size_t i = 0; i < 2 * LOGS; i++) {
        const char *from = at;
        while (at < end && *at != ' ' && *at != '\n')
            at++;
        if (!picket_number_read(from, (size_t)(at - from), &numbers[i]))
            return false;
        at += at < end;
    }
    for (size_t log = 0; log < LOGS; log++)
        out->places[log] = (struct place){numbers[2 * log], numbers[2 * log + 1]};
    return true;
}

static void save_places(const struct memory *memory, const struct collector_scope *scope)
{
    char text[STATE_TEXT_MAX];
    struct reason ignored; /* logins are then reported again after a restart, which is better than not at all */
    int count = snprintf(text, sizeof text, "%llu %llu %llu %llu\n", (unsigned long long)memory->places[LOG_WTMP].inode,
                         (unsigned long long)memory->places[LOG_WTMP].offset,
                         (unsigned long long)memory->places[LOG_BTMP].inode,
                         (unsigned long long)memory->places[LOG_BTMP].offset);
    const struct iovec part = {text, (size_t)count};

    if (scope->state_folder)
        (void)file_write(scope->state_folder, STATE_NAME, &part, 1, &ignored);
}

/* Who is logged in since before the first look: wtmp's records of later ones are read below. */
static void report_present(struct collector_scope *scope, struct payload *payload, int64_t before_ms)
{
    char path[FILE_PATH_SIZE];
    struct utmp record;
    struct login login;

    snprintf(path, sizeof path, "%s/run/utmp", scope->root);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return;
    while (read(file, &record, sizeof record) == (ssize_t)sizeof record) {
        if (login_read(&record, false, &login) && login.utc_ms < before_ms)
            report(payload, &login, false, true);
    }
    close(file);
}

/* A log that was rotated away since is finished first, if it is still beside the new one. */
static void read_log(struct memory *memory, struct collector_scope *scope, enum log log, int64_t since_ms,
                     struct payload *payload)
{
    struct place *place = &memory->places[log];
    char path[FILE_PATH_SIZE], rotated[FILE_PATH_SIZE];
    struct stat about;

    snprintf(path, sizeof path, "%s%s", scope->root, logs[log].path);
    snprintf(rotated, sizeof rotated, "%s%s", scope->root, logs[log].rotated);
    if (stat(path, &about) != 0)
        return;
    if (place->inode != about.st_ino) {
        struct stat old;
        if (place->inode && stat(rotated, &old) == 0 && old.st_ino == place->inode) {
            read_records(rotated, place, logs[log].failed, since_ms, payload);
            if (place->offset + sizeof(struct utmp) <= (uint64_t)old.st_size)
                return; /* the rest of it next time */
        }
        *place = (struct place){about.st_ino, 0};
    }
    if (place->offset > (uint64_t)about.st_size)
        place->offset = 0; /* emptied in place */
    read_records(path, place, logs[log].failed, since_ms, payload);
}

/* A record that is only half written is read when it is whole. */
static void read_records(const char *path, struct place *place, bool failed, int64_t since_ms,
                         struct payload *payload)
{
    struct utmp record;
    struct login login;
    int reported = 0, file = open(path, O_RDONLY | O_CLOEXEC);

    if (file < 0)
        return;
    while (reported < RECORDS_MAX &&
           pread(file, &record, sizeof record, (off_t)place->offset) == (ssize_t)sizeof record) {
        place->offset += sizeof record;
        if (!login_read(&record, failed, &login) || login.utc_ms < since_ms)
            continue;
        report(payload, &login, failed, false);
        reported++;
    }
    close(file);
}

static void report(struct payload *payload, const struct login *login, bool failed, bool snapshot)
{
    payload->utc_ms = login->utc_ms;
    struct picket_json_writer *writer = payload_begin(payload);
    member_number(writer, "ProcessId", login->pid);
    member_text(writer, "Operation", "login");
    member_text(writer, "Executable", login->line);
    member_text(writer, "Result", failed ? "Fail" : "Success");
    member_text(writer, "UserName", login->user);
    if (login->address[0])
        member_text(writer, "RemoteAddress", login->address);
    if (snapshot)
        member_snapshot(writer);
    payload_end(payload);
}

static enum self_check_result check(const char *root, const struct picket_settings *settings, struct reason *out)
{
    bool good = file_readable(root, "/var/log/wtmp"), failed = file_readable(root, "/var/log/btmp");
    char log[FILE_PATH_SIZE];

    (void)settings;
    if (login_log_find(root, log)) {
        bool fine = access(log, R_OK) == 0;
        reason_set(out, fine ? "there is no wtmp: those that sshd, dropbear and login log in %s" : "there is no wtmp, and %s cannot be read", log + strlen(root));
        return fine ? SELF_CHECK_OK : SELF_CHECK_FAILED;
    }
    if (!good && !failed && login_journal_find(root, log)) {
        reason_set(out, "there is no wtmp: those that sshd, dropbear and login log in the journal");
        return SELF_CHECK_OK;
    }
    reason_set(out, "%s; %s", good ? "successful ones by /var/log/wtmp" : "/var/log/wtmp is not there or cannot be read",
               failed ? "failed ones by /var/log/btmp" : "/var/log/btmp is not there or cannot be read");
    return good && failed ? SELF_CHECK_OK : good || failed ? SELF_CHECK_LIMITED : SELF_CHECK_FAILED;
}
