#include "agent/collect_login_lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/collector.h"
#include "agent/login_line.h"
#include "agent/stamp.h"

#define STATE_NAME "login-lines"
#define LINES_MAX 5000 /* of one round, so that a flood waits its turn */
#define LINE_BYTES 1024

/* Where systems keep no wtmp, their log is read: the first of these that is there. Where there is one, what sshd says in both is told once, by
 * that. */
static const char *const logs[] = {"/var/log/auth.log", "/var/log/secure", "/var/log/messages", "/var/log/syslog"};

struct memory {
    uint64_t inode, offset;
    bool loaded;
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

static void collect(void *context, struct collector_scope *scope)
{
    struct memory *memory = context;
    struct memory before = *memory;
    char path[FILE_PATH_SIZE];
    struct payload payload;
    struct stat about;

    if (!login_log_find(scope->root, path) || stat(path, &about))
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

const struct collector collector_login_lines = {
    "login lines", PICKET_LOGINS, COLLECT_LOGINS, open_memory, collect, free, NULL,
};
