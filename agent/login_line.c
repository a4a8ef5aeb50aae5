#include "agent/login_line.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How a program says it: what the message begins with, and what stands before the user and the address. Facts: dropbear's
 * src/svr-auth*.c, OpenSSH's auth.c (whose program is sshd-session since 9.8), BusyBox' loginutils/login.c, util-linux' login.c. */
struct form {
    const char *program, *begin;
    bool failed;
    const char *user, *from; /* after these words; NULL: it is root, or not said from where */
};

static const struct form forms[] = {
    {"dropbear", "Password auth succeeded for ", false, " for ", " from "},
    {"dropbear", "Pubkey auth succeeded for ", false, " for ", " from "},
    {"dropbear", "PAM password auth succeeded for ", false, " for ", " from "},
    {"dropbear", "Bad password attempt for ", true, " for ", " from "},
    {"dropbear", "Bad PAM password attempt for ", true, " for ", " from "},
    {"dropbear", "Login attempt for nonexistent user", true, " user ", " from "},
    {"dropbear", "Login attempt with wrong user", true, " user ", " from "},
    {"sshd", "Accepted ", false, " for ", " from "},
    {"sshd", "Failed password for invalid user ", true, " user ", " from "},
    {"sshd", "Failed ", true, " for ", " from "},
    {"login", "invalid password for ", true, " for ", " from "},
    {"login", "LOGIN ON ", false, " BY ", " FROM "},
    {"login", "ROOT LOGIN ", false, NULL, " FROM "},
    {"login", "FAILED LOGIN ", true, " FOR ", " FROM "},
};

/* A word, in quotes or not; ends at a blank, with a comma before it or not. */
static void word_copy(const char *from, char *out, size_t size)
{
    char quote = *from == '\'' ? '\'' : ' ';
    size_t count = 0;

    from += quote == '\'';
    while (from[count] && from[count] != quote && from[count] != '\n' && count + 1 < size)
        count++;
    count -= count && quote == ' ' && from[count - 1] == ',';
    memcpy(out, from, count);
    out[count] = '\0';
}

static const char *after(const char *text, const char *words)
{
    const char *found = words ? strstr(text, words) : NULL;

    return found ? found + strlen(words) : NULL;
}

static bool is_address(const char *text)
{
    struct in6_addr address;

    return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1;
}

/* "192.0.2.7:50312", "[2001:db8::1]:22", "192.0.2.7 port 22 ssh2", "2001:db8::1 port 22". */
static void address_take(const char *from, struct login_line *out)
{
    char word[64];
    const char *port = after(from, " port ");

    word_copy(from, word, sizeof word);
    char *colon = strrchr(word, ':');
    if (port) {
        word_copy(port, out->port, sizeof out->port);
    } else if (colon && (strcmp(out->program, "dropbear") == 0 || !is_address(word))) { /* which always has a port, and no brackets around IPv6 */
        *colon = '\0';
        word_copy(colon + 1, out->port, sizeof out->port);
    }
    char *bare = word[0] == '[' ? word + 1 : word;
    bare[strcspn(bare, "]")] = '\0';
    if (is_address(bare))
        snprintf(out->address, sizeof out->address, "%s", bare);
    if (out->port[strspn(out->port, "0123456789")] || !out->address[0])
        out->port[0] = '\0';
}

/* "root login on 'pts/0'" */
static bool busybox_success(const char *message, struct login_line *out)
{
    const char *login = strstr(message, " login on ");

    if (strcmp(out->program, "login") != 0 || !login || memchr(message, ' ', (size_t)(login - message)))
        return false;
    snprintf(out->user, sizeof out->user, "%.*s", (int)(login - message), message);
    out->failed = false;
    const char *from = after(message, " from ");
    if (from)
        address_take(from, out);
    return true;
}

bool login_line_read(const char *line, struct login_line *out)
{
    const char *bracket = strstr(line, "]: "), *open = bracket, *name;

    memset(out, 0, sizeof *out);
    while (open && open > line && *open != '[')
        open--;
    if (!open || *open != '[')
        return false;
    for (name = open; name > line && !strchr(" />", name[-1]); name--)
        ;
    snprintf(out->program, sizeof out->program, "%.*s", (int)(open - name), name);
    if (strcmp(out->program, "sshd-session") == 0)
        out->program[strlen("sshd")] = '\0';
    out->pid = strtol(open + 1, NULL, 10);
    const char *message = bracket + 3;
    if (busybox_success(message, out))
        return true;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        const struct form *form = &forms[i];
        if (strcmp(out->program, form->program) != 0 || strncmp(message, form->begin, strlen(form->begin)) != 0)
            continue;
        const char *user = after(message, form->user), *from = after(message, form->from);
        out->failed = form->failed;
        if (!form->user)
            memcpy(out->user, "root", sizeof "root");
        if (user && !(from && user == from))
            word_copy(user, out->user, sizeof out->user);
        if (from)
            address_take(from, out);
        if (!out->user[0] || strcmp(out->user, "from") == 0)
            snprintf(out->user, sizeof out->user, "(unknown)");
        return true;
    }
    return false;
}
