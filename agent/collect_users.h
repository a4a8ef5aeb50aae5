#ifndef PICKET_AGENT_COLLECT_USERS_H
#define PICKET_AGENT_COLLECT_USERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One line of /etc/passwd. */
#define USER_NAME_SIZE 257 /* what useradd lets pass, and more; a longer one is no user's */
struct user {
    char name[USER_NAME_SIZE];
    uint64_t id, group;
};
bool user_read(const char *line, size_t count, struct user *out);

/* The user's groups, its own first, from the text of /etc/group: names and ids, each joined with ";". A group without an
 * entry bears its id as its name. Cut at a whole group when they do not fit. */
#define USER_GROUPS_SIZE 4096
void user_groups(const struct user *user, const char *groups, size_t count, char names[USER_GROUPS_SIZE],
                 char ids[USER_GROUPS_SIZE]);

#endif
