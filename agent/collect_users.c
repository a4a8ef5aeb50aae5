#include "agent/collect_users.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/collector.h"
#include "agent/file.h"
#include "agent/stamp.h"

#define DATABASE_MAX (1024 * 1024) /* of passwd or group: a longer one is cut */

struct field {
    const char *text;
    size_t count;
};

/* One line of /etc/group. */
struct group {
    struct field name, id, members;
};

static void collect(void *memory, struct collector_scope *scope);
static char *read_database(const struct collector_scope *scope, const char *path, size_t *count);
static bool next_line(const char **at, const char *end, struct field *out);
static size_t split(struct field line, struct field *out, size_t fields);
static bool group_read(struct field line, struct group *out);
static bool is_member(struct field members, const char *user);
static void join(char *list, struct field item);
static enum self_check_result check(const char *root, const struct picket_settings *settings, struct reason *out);

const struct collector collector_users = {
    .name = "local users", .subject = PICKET_USERS, .pace = COLLECT_SNAPSHOT, .collect = collect, .check = check,
};

bool user_read(const char *line, size_t count, struct user *out)
{
    struct field fields[4];

    if (split((struct field){line, count}, fields, 4) < 4 || !fields[0].count || fields[0].count >= sizeof out->name ||
        !picket_number_read(fields[2].text, fields[2].count, &out->id) ||
        !picket_number_read(fields[3].text, fields[3].count, &out->group))
        return false;
    memcpy(out->name, fields[0].text, fields[0].count);
    out->name[fields[0].count] = '\0';
    return true;
}

void user_groups(const struct user *user, const char *groups, size_t count, char names[USER_GROUPS_SIZE],
                 char ids[USER_GROUPS_SIZE])
{
    char own[PICKET_NUMBER_SIZE];
    const struct field own_id = {own, picket_number_print(user->group, own)};
    struct field own_name = own_id, line;
    struct group group;
    const char *at = groups, *end = groups + count;

    while (next_line(&at, end, &line)) {
        if (group_read(line, &group) && group.id.count == own_id.count && memcmp(group.id.text, own, own_id.count) == 0) {
            own_name = group.name;
            break;
        }
    }
    names[0] = ids[0] = '\0';
    join(names, own_name);
    join(ids, own_id);
    at = groups;
    while (next_line(&at, end, &line)) {
        if (!group_read(line, &group) || !is_member(group.members, user->name) ||
            (group.id.count == own_id.count && memcmp(group.id.text, own, own_id.count) == 0))
            continue;
        if (strlen(names) + group.name.count + 2 > USER_GROUPS_SIZE || strlen(ids) + group.id.count + 2 > USER_GROUPS_SIZE)
            return;
        join(names, group.name);
        join(ids, group.id);
    }
}

static void collect(void *memory, struct collector_scope *scope)
{
    char names[USER_GROUPS_SIZE], ids[USER_GROUPS_SIZE];
    size_t user_count, group_count;
    char *users = read_database(scope, "/etc/passwd", &user_count);
    char *groups = read_database(scope, "/etc/group", &group_count);
    const char *at = users;
    struct payload payload;
    struct field line;
    struct user user;

    (void)memory;
    payload_open_list(&payload, scope, "LocalUsers");
    while (next_line(&at, users + user_count, &line)) {
        if (!user_read(line.text, line.count, &user))
            continue;
        user_groups(&user, groups, group_count, names, ids);
        struct picket_json_writer *writer = payload_begin(&payload);
        member_text(writer, "UserName", user.name);
        member_number_text(writer, "UserId", user.id);
        member_text(writer, "GroupNames", names);
        member_text(writer, "GroupIds", ids);
        payload_end(&payload);
    }
    payload_close(&payload);
    free(groups);
    free(users);
}

static char *read_database(const struct collector_scope *scope, const char *path, size_t *count)
{
    char whole[FILE_PATH_SIZE];
    char *text = malloc(DATABASE_MAX);

    if (!text)
        abort();
    snprintf(whole, sizeof whole, "%s%s", scope->root, path);
    long got = file_read(whole, text, DATABASE_MAX);
    *count = got < 0 ? 0 : (size_t)got;
    return text;
}

static bool next_line(const char **at, const char *end, struct field *out)
{
    if (*at >= end)
        return false;
    const char *newline = memchr(*at, '\n', (size_t)(end - *at));
    out->text = *at;
    out->count = (size_t)((newline ? newline : end) - *at);
    *at += out->count + 1;
    return true;
}

/* At ':'; returns how many of the `fields` there are. The last holds only itself, not what follows. */
static size_t split(struct field line, struct field *out, size_t fields)
{
    const char *at = line.text, *end = line.text + line.count;
    size_t count = 0;

    while (count < fields) {
        const char *colon = memchr(at, ':', (size_t)(end - at));
        out[count].text = at;
        out[count++].count = (size_t)((colon ? colon : end) - at);
        if (!colon)
            break;
        at = colon + 1;
    }
    return count;
}

static bool group_read(struct field line, struct group *out)
{
    struct field fields[4];
    uint64_t id;

    if (split(line, fields, 4) < 4 || !fields[0].count || !picket_number_read(fields[2].text, fields[2].count, &id))
        return false;
    *out = (struct group){fields[0], fields[2], fields[3]};
    return true;
}

/* Of a list joined with ','. */
static bool is_member(struct field members, const char *user)
{
    size_t length = strlen(user);
    const char *at = members.text, *end = at + members.count;

    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        size_t count = (size_t)((comma ? comma : end) - at);
        if (count == length && memcmp(at, user, length) == 0)
            return true;
        at += count + 1;
    }
    return false;
}

/* Room was checked; a name that alone is too long is cut. */
static void join(char *list, struct field item)
{
    size_t used = strlen(list);

    if (used)
        list[used++] = ';';
    size_t room = USER_GROUPS_SIZE - 1 - used;
    item.count = item.count < room ? item.count : room;
    memcpy(list + used, item.text, item.count);
    list[used + item.count] = '\0';
}

static enum self_check_result check(const char *root, const struct picket_settings *settings, struct reason *out)
{
    bool there = file_readable(root, "/etc/passwd");

    (void)settings;
    reason_set(out, there ? "by /etc/passwd and /etc/group; users of a directory service are not looked for" : "/etc/passwd cannot be read");
    return there ? SELF_CHECK_OK : SELF_CHECK_FAILED;
}
