#include "agent/socket_table.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/file.h"
#include "agent/process_table.h"
#include "agent/stamp.h"

#define STATE_ESTABLISHED 1
#define STATE_CLOSE 7 /* what the kernel shows for udp without a peer */
#define STATE_LISTEN 10
#define ROWS_MAX 65536 /* of one look: a table longer than this is cut */
#define FIELDS 10      /* sl local remote st queues timer retransmits uid timeout inode */

static const struct {
    const char *path, *protocol;
} tables[SOCKET_TABLES] = {
    {"/proc/net/tcp", "tcp"}, {"/proc/net/tcp6", "tcp6"}, {"/proc/net/udp", "udp"}, {"/proc/net/udp6", "udp6"},
};
static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* ---- rows ---- */

static bool read_hex(const char *text, size_t count, uint32_t *out)
{
    uint32_t value = 0;

    if (count == 0 || count > 8)
        return false;
    for (size_t i = 0; i < count; i++) {
        char c = text[i];
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                                                : 16;
        if (digit == 16)
            return false;
        value = value << 4 | digit;
    }
    *out = value;
    return true;
}

/* "0100007F:0016": words of 32 bits in the host's order, then the port. */
static bool read_address(const char *text, size_t count, uint8_t out[SOCKET_ADDRESS_BYTES], uint16_t *port)
{
    const char *colon = memchr(text, ':', count);
    size_t digits = colon ? (size_t)(colon - text) : 0;
    uint32_t words[4] = {0}, number;

    if ((digits != 8 && digits != 32) || !read_hex(colon + 1, count - digits - 1, &number) || number > 65535)
        return false;
    for (size_t i = 0; i < digits / 8; i++) {
        if (!read_hex(text + i * 8, 8, &words[i]))
            return false;
    }
    *port = (uint16_t)number;
    if (digits == 8)
        socket_address_of_ipv4(words, out);
    else
        memcpy(out, words, sizeof words);
    return true;
}

bool socket_row_read(enum socket_table table, const char *line, size_t count, struct socket_row *out)
{
    const char *fields[FIELDS], *at = line, *end = line + count;
    size_t lengths[FIELDS];
    uint64_t user;
    uint32_t state;

    for (int i = 0; i < FIELDS; i++) {
        while (at < end && *at == ' ')
            at++;
        fields[i] = at;
        while (at < end && *at != ' ' && *at != '\n')
            at++;
        lengths[i] = (size_t)(at - fields[i]);
    }
    memset(out, 0, sizeof *out);
    out->table = (uint8_t)table;
    if (!read_address(fields[1], lengths[1], out->local, &out->local_port) ||
        !read_address(fields[2], lengths[2], out->remote, &out->remote_port) ||
        !read_hex(fields[3], lengths[3], &state) || state > UINT8_MAX || !picket_number_read(fields[7], lengths[7], &user) ||
        !picket_number_read(fields[9], lengths[9], &out->inode))
        return false;
    out->state = (uint8_t)state;
    out->user = (uint32_t)user;
    return true;
}

bool socket_is_udp(const struct socket_row *row)
{
    return row->table == SOCKET_UDP || row->table == SOCKET_UDP6;
}

bool socket_listens(const struct socket_row *row)
{
    return socket_is_udp(row) ? row->state == STATE_CLOSE && row->remote_port == 0 : row->state == STATE_LISTEN;
}

bool socket_connected(const struct socket_row *row)
{
    return row->state == STATE_ESTABLISHED && row->remote_port != 0 && row->inode != 0;
}

int socket_compare(const void *a, const void *b)
{
    const struct socket_row *left = a, *right = b;
    int order = memcmp(left->local, right->local, sizeof left->local);

    order = order ? order : memcmp(left->remote, right->remote, sizeof left->remote);
    order = order ? order : left->local_port - right->local_port;
    order = order ? order : left->remote_port - right->remote_port;
    return order ? order : (int)socket_is_udp(left) - (int)socket_is_udp(right);
}

bool socket_rows_add(struct socket_rows *rows, const struct socket_row *row, size_t most)
{
    if (rows->count >= most)
        return false;
    if (rows->count == rows->room) {
        rows->room = rows->room ? rows->room * 2 : 64;
        struct socket_row *grown = realloc(rows->rows, rows->room * sizeof *grown);
        if (!grown)
            abort();
        rows->rows = grown;
    }
    rows->rows[rows->count++] = *row;
    return true;
}

void socket_rows_done(struct socket_rows *rows)
{
    free(rows->rows);
    *rows = (struct socket_rows){NULL, 0, 0};
}

static void read_table(FILE *file, enum socket_table table, bool (*wanted)(const struct socket_row *), struct socket_rows *out)
{
    char line[512];
    struct socket_row row;

    while (fgets(line, sizeof line, file)) {
        if (socket_row_read(table, line, strlen(line), &row) && (!wanted || wanted(&row)) && !socket_rows_add(out, &row, ROWS_MAX))
            return;
    }
}

void socket_rows_read(const char *root, bool (*wanted)(const struct socket_row *), struct socket_rows *out)
{
    char path[FILE_PATH_SIZE];

    *out = (struct socket_rows){NULL, 0, 0};
    for (int table = 0; table < SOCKET_TABLES; table++) {
        snprintf(path, sizeof path, "%s%s", root, tables[table].path);
        FILE *file = fopen(path, "re");
        if (!file)
            continue; /* a kernel without IPv6 has no such table */
        read_table(file, (enum socket_table)table, wanted, out);
        fclose(file);
    }
}

/* ---- words ---- */

const char *socket_protocol(const struct socket_row *row)
{
    return tables[row->table].protocol;
}

void socket_address_print(const uint8_t address[SOCKET_ADDRESS_BYTES], char out[SOCKET_ADDRESS_SIZE])
{
    bool ipv4 = memcmp(address, mapped, sizeof mapped) == 0;

    (void)inet_ntop(ipv4 ? AF_INET : AF_INET6, ipv4 ? address + sizeof mapped : address, out, SOCKET_ADDRESS_SIZE);
}

void socket_address_of_ipv4(const void *address, uint8_t out[SOCKET_ADDRESS_BYTES])
{
    memcpy(out, mapped, sizeof mapped);
    memcpy(out + sizeof mapped, address, 4);
}

/* ---- owners ---- */

static int compare_owners(const void *a, const void *b)
{
    uint64_t left = ((const struct socket_owner *)a)->inode, right = ((const struct socket_owner *)b)->inode;

    return (left > right) - (left < right);
}

/* The sockets among one process's open files; those of other users are hidden from us. */
static void read_owner(const char *root, int64_t pid, struct socket_owners *out)
{
    static const char start[] = "socket:[";
    char path[FILE_PATH_SIZE], target[64];
    const struct dirent *file;
    uint64_t inode;

    snprintf(path, sizeof path, "%s/proc/%lld/fd", root, (long long)pid);
    DIR *folder = opendir(path);
    if (!folder)
        return;
    while ((file = readdir(folder))) {
        ssize_t count = readlinkat(dirfd(folder), file->d_name, target, sizeof target);
        if (count <= (ssize_t)sizeof start || memcmp(target, start, sizeof start - 1) != 0 ||
            !picket_number_read(target + sizeof start - 1, (size_t)count - sizeof start, &inode))
            continue;
        if (out->count == out->room) {
            struct socket_owner *grown = realloc(out->owners, 2 * out->room * sizeof *grown);
            if (!grown)
                abort();
            out->owners = grown;
            out->room *= 2;
        }
        out->owners[out->count++] = (struct socket_owner){inode, pid};
    }
    closedir(folder);
}

void socket_owners_read(const char *root, struct socket_owners *out)
{
    char path[FILE_PATH_SIZE];
    const struct dirent *file;

    out->count = 0;
    out->room = 256;
    out->owners = malloc(out->room * sizeof *out->owners);
    if (!out->owners)
        abort();
    snprintf(path, sizeof path, "%s/proc", root);
    DIR *folder = opendir(path);
    if (!folder)
        return;
    while ((file = readdir(folder))) {
        int64_t pid = process_id_read(file->d_name);
        if (pid)
            read_owner(root, pid, out);
    }
    closedir(folder);
    qsort(out->owners, out->count, sizeof *out->owners, compare_owners);
}

void socket_owners_done(struct socket_owners *owners)
{
    free(owners->owners);
    *owners = (struct socket_owners){NULL, 0, 0};
}

int64_t socket_owner_of(const struct socket_owners *owners, uint64_t inode)
{
    const struct socket_owner wanted = {.inode = inode};
    const struct socket_owner *found = inode && owners->count ? bsearch(&wanted, owners->owners, owners->count, sizeof wanted, compare_owners) : NULL;

    return found ? found->pid : 0;
}
