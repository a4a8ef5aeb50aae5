#include "agent/process_table.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/file.h"
#include "agent/stamp.h"

#define STAT_TEXT_MAX 1024
#define STAT_STATE 0   /* fields after the name, from 0 */
#define STAT_PARENT 1
#define STAT_FLAGS 6
#define STAT_STARTED 19
#define PF_KTHREAD 0x00200000u

/* The link is hidden from other users; then the first argument or the kernel's name says it. */
static void read_executable(const char *folder, struct process *out)
{
    char path[FILE_PATH_SIZE];

    snprintf(path, sizeof path, "%s/exe", folder);
    ssize_t count = readlink(path, out->executable, sizeof out->executable - 1);
    if (count > 0) {
        out->executable[count] = '\0';
        return;
    }
    size_t first = strcspn(out->command_line, " ");
    const char *said = first ? out->command_line : out->name;
    first = first ? first : strlen(said);
    first = first < sizeof out->executable ? first : sizeof out->executable - 1;
    memcpy(out->executable, said, first);
    out->executable[first] = '\0';
}

static void read_command_line(const char *folder, struct process *out)
{
    char path[FILE_PATH_SIZE];

    snprintf(path, sizeof path, "%s/cmdline", folder);
    long count = file_read(path, out->command_line, sizeof out->command_line - 1);
    count = count < 0 ? 0 : count;
    while (count > 0 && (out->command_line[count - 1] == '\0' || out->command_line[count - 1] == ' '))
        count--;
    for (long i = 0; i < count; i++) {
        if (out->command_line[i] == '\0')
            out->command_line[i] = ' ';
    }
    out->command_line[count] = '\0';
}

bool process_stat_read(const char *text, size_t count, struct process *out)
{
    const char *open = memchr(text, '(', count), *close = memrchr(text, ')', count), *end = text + count;
    uint64_t fields[STAT_STARTED + 1] = {0}, pid;

    /* The name may hold blanks and brackets: the last bracket ends it. */
    if (!open || !close || close < open || open - text < 2 || !picket_number_read(text, (size_t)(open - text - 1), &pid))
        return false;
    size_t name_count = (size_t)(close - open - 1);
    const char *at = close + 1;
    for (int field = 0; field <= STAT_STARTED; field++) {
        while (at < end && *at == ' ')
            at++;
        const char *from = at;
        while (at < end && *at != ' ' && *at != '\n')
            at++;
        if (at == from)
            return false;
        (void)picket_number_read(from, (size_t)(at - from), &fields[field]); /* some are negative, none of ours */
        if (field == STAT_STATE)
            out->ended = *from == 'Z' || *from == 'X';
    }
    name_count = name_count < sizeof out->name ? name_count : sizeof out->name - 1;
    memcpy(out->name, open + 1, name_count);
    out->name[name_count] = '\0';
    out->pid = (int64_t)pid;
    out->parent = (int64_t)fields[STAT_PARENT];
    out->started = fields[STAT_STARTED];
    out->kernel = fields[STAT_FLAGS] & PF_KTHREAD;
    return true;
}

bool process_read(const char *root, int64_t pid, struct process *out)
{
    char folder[FILE_PATH_SIZE / 2], path[FILE_PATH_SIZE], text[STAT_TEXT_MAX];
    struct stat about;

    snprintf(folder, sizeof folder, "%s/proc/%lld", root, (long long)pid);
    snprintf(path, sizeof path, "%s/stat", folder);
    long count = file_read(path, text, sizeof text);
    if (count <= 0 || !process_stat_read(text, (size_t)count, out) || stat(folder, &about) != 0)
        return false;
    out->user = about.st_uid;
    read_command_line(folder, out);
    read_executable(folder, out);
    return true;
}

int64_t process_id_read(const char *name)
{
    uint64_t pid;

    return picket_number_read(name, strlen(name), &pid) && pid <= INT32_MAX ? (int64_t)pid : 0;
}
