#include "agent/collect_sockets.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/collect_processes.h"
#include "agent/collector.h"
#include "agent/file.h"
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

struct rows {
    struct socket_row *rows;
    size_t count, room;
};

/* Whose a socket is. */
struct owner {
    uint64_t inode;
    int64_t pid;
};
struct owners {
    struct owner *owners; /* by inode */
    size_t count, room;
};

struct connections {
    struct socket_row *rows; /* seen last time, sorted */
    size_t count;
    bool begun;
};

static void collect_listening(void *memory, struct collector_scope *scope);
static void *open_connections(void);
static void collect_connections(void *memory, struct collector_scope *scope);
static void close_connections(void *take_memory);
static void read_tables(const char *root, bool (*wanted)(const struct socket_row *), struct rows *out);
static void read_table(FILE *file, enum socket_table table, bool (*wanted)(const struct socket_row *),
                       struct rows *out);
static bool read_address(const char *text, size_t count, char out[SOCKET_ADDRESS_SIZE], uint16_t *port);
static bool read_hex(const char *text, size_t count, uint32_t *out);
static int compare_rows(const void *a, const void *b);
static void read_owners(const char *root, struct owners *out);
static void read_owner(const char *root, int64_t pid, struct owners *out);
static int64_t owner_of(const struct owners *owners, uint64_t inode);
static int compare_owners(const void *a, const void *b);
static void report_listening(struct payload *payload, const struct socket_row *row, int64_t pid);
static void report_connection(struct payload *payload, const struct socket_row *row, const struct process *process,
                              bool incoming, bool snapshot);
static bool port_listens(const struct rows *listening, const struct socket_row *row);

const struct collector collector_listening_ports = {
    "listening ports", PICKET_LISTENING_PORTS, COLLECT_SNAPSHOT, NULL, collect_listening, NULL, NULL,
};
const struct collector collector_connections = {
    "connections", PICKET_CONNECTIONS, COLLECT_CONNECTIONS, open_connections, collect_connections,
    close_connections, NULL,
};

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
    out->table = table;
    if (!read_address(fields[1], lengths[1], out->local, &out->local_port) ||
        !read_address(fields[2], lengths[2], out->remote, &out->remote_port) ||
        !read_hex(fields[3], lengths[3], &state) || !picket_number_read(fields[7], lengths[7], &user) ||
        !picket_number_read(fields[9], lengths[9], &out->inode))
        return false;
    out->state = state;
    out->user = (uint32_t)user;
    return true;
}

bool socket_listens(const struct socket_row *row)
{
    bool udp = row->table == SOCKET_UDP || row->table == SOCKET_UDP6;

    return udp ? row->state == STATE_CLOSE && row->remote_port == 0 : row->state == STATE_LISTEN;
}

bool socket_connected(const struct socket_row *row)
{
    return row->state == STATE_ESTABLISHED && row->remote_port != 0 && row->inode != 0;
}

static void collect_listening(void *memory, struct collector_scope *scope)
{
    struct rows rows = {NULL, 0, 0};
    struct owners owners = {NULL, 0, 0};
    struct payload payload;

    (void)memory;
    read_tables(scope->root, socket_listens, &rows);
    read_owners(scope->root, &owners);
    payload_open_list(&payload, scope, "ListeningPorts");
    for (size_t i = 0; i < rows.count; i++)
        report_listening(&payload, &rows.rows[i], owner_of(&owners, rows.rows[i].inode));
    payload_close(&payload);
    free(owners.owners);
    free(rows.rows);
}

static void *open_connections(void)
{
    struct connections *memory = calloc(1, sizeof *memory);

    if (!memory)
        abort();
    return memory;
}

static void close_connections(void *take_memory)
{
    struct connections *memory = take_memory;

    if (memory)
        free(memory->rows);
    free(memory);
}

/* Who owns sockets is a walk through every process, so it is made only when there is something new to say. */
static void collect_connections(void *context, struct collector_scope *scope)
{
    struct connections *memory = context;
    struct rows rows = {NULL, 0, 0}, listening = {NULL, 0, 0};
    struct owners owners = {NULL, 0, 0};
    struct payload payload;
    struct process process;

    read_tables(scope->root, socket_connected, &rows);
    payload_open_each(&payload, scope, "ConnectionCreate");
    for (size_t i = 0; i < rows.count; i++) {
        const struct socket_row *row = &rows.rows[i];
        if (memory->count && bsearch(row, memory->rows, memory->count, sizeof *row, compare_rows))
            continue;
        if (!owners.room) {
            read_owners(scope->root, &owners);
            read_tables(scope->root, socket_listens, &listening);
        }
        int64_t pid = owner_of(&owners, row->inode);
        bool found = pid && process_read(scope->root, pid, &process);
        report_connection(&payload, row, found ? &process : NULL, port_listens(&listening, row), !memory->begun);
    }
    payload_close(&payload);
    if (rows.count)
        qsort(rows.rows, rows.count, sizeof *rows.rows, compare_rows);
    free(memory->rows);
    memory->rows = rows.rows;
    memory->count = rows.count;
    memory->begun = true;
    free(owners.owners);
    free(listening.rows);
}

static void read_tables(const char *root, bool (*wanted)(const struct socket_row *), struct rows *out)
{
    char path[FILE_PATH_SIZE];

    for (int table = 0; table < SOCKET_TABLES; table++) {
        snprintf(path, sizeof path, "%s%s", root, tables[table].path);
        FILE *file = fopen(path, "re");
        if (!file)
            continue; /* a kernel without IPv6 has no such table */
        read_table(file, (enum socket_table)table, wanted, out);
        fclose(file);
    }
}

static void read_table(FILE *file, enum socket_table table, bool (*wanted)(const struct socket_row *),
                       struct rows *out)
{
    char line[512];
    struct socket_row row;

    while (fgets(line, sizeof line, file) && out->count < ROWS_MAX) {
        if (!socket_row_read(table, line, strlen(line), &row) || !wanted(&row))
            continue;
        if (out->count == out->room) {
            out->room = out->room ? out->room * 2 : 64;
            struct socket_row *grown = realloc(out->rows, out->room * sizeof *grown);
            if (!grown)
                abort();
            out->rows = grown;
        }
        memcpy(&out->rows[out->count++], &row, sizeof row); /* with what lies between its members */
    }
}

/* "0100007F:0016": words of 32 bits in the host's order, then the port. */
static bool read_address(const char *text, size_t count, char out[SOCKET_ADDRESS_SIZE], uint16_t *port)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
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
        return inet_ntop(AF_INET, &words[0], out, SOCKET_ADDRESS_SIZE) != NULL;
    if (memcmp(words, mapped, sizeof mapped) == 0)
        return inet_ntop(AF_INET, &words[3], out, SOCKET_ADDRESS_SIZE) != NULL;
    return inet_ntop(AF_INET6, words, out, SOCKET_ADDRESS_SIZE) != NULL;
}

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

/* Rows are zeroed before they are filled, so their bytes can be compared. */
static int compare_rows(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct socket_row));
}

static void read_owners(const char *root, struct owners *out)
{
    char path[FILE_PATH_SIZE];
    const struct dirent *file;

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

/* The sockets among one process's open files; those of other users are hidden from us. */
static void read_owner(const char *root, int64_t pid, struct owners *out)
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
            struct owner *grown = realloc(out->owners, 2 * out->room * sizeof *grown);
            if (!grown)
                abort();
            out->owners = grown;
            out->room *= 2;
        }
        out->owners[out->count++] = (struct owner){inode, pid};
    }
    closedir(folder);
}

/* 0 when it is hidden, or gone. */
static int64_t owner_of(const struct owners *owners, uint64_t inode)
{
    const struct owner wanted = {.inode = inode};
    const struct owner *found =
        inode && owners->count ? bsearch(&wanted, owners->owners, owners->count, sizeof wanted, compare_owners) : NULL;

    return found ? found->pid : 0;
}

static int compare_owners(const void *a, const void *b)
{
    uint64_t left = ((const struct owner *)a)->inode, right = ((const struct owner *)b)->inode;

    return (left > right) - (left < right);
}

static void report_listening(struct payload *payload, const struct socket_row *row, int64_t pid)
{
    struct picket_json_writer *writer = payload_begin(payload);

    member_text(writer, "Protocol", tables[row->table].protocol);
    member_text(writer, "LocalAddress", row->local);
    member_number_text(writer, "LocalPort", row->local_port);
    member_text(writer, "RemoteAddress", row->remote);
    member_text(writer, "RemotePort", "*");
    if (pid) {
        picket_json_write_name(writer, "ExtraDetails");
        picket_json_open_object(writer);
        member_number_text(writer, "Pid", (uint64_t)pid);
        picket_json_close_object(writer);
    }
    payload_end(payload);
}

static void report_connection(struct payload *payload, const struct socket_row *row, const struct process *process,
                              bool incoming, bool snapshot)
{
    struct picket_json_writer *writer = payload_begin(payload);

    member_text(writer, "Protocol", tables[row->table].protocol);
    member_text(writer, "Direction", incoming ? "In" : "Out");
    member_text(writer, "LocalAddress", row->local);
    member_number_text(writer, "LocalPort", row->local_port);
    member_text(writer, "RemoteAddress", row->remote);
    member_number_text(writer, "RemotePort", row->remote_port);
    member_number(writer, "ProcessId", process ? process->pid : 0);
    member_text(writer, "Executable", process ? process->executable : "");
    if (process)
        member_text(writer, "CommandLine", process->command_line);
    member_number_text(writer, "UserId", row->user);
    if (snapshot) {
        picket_json_write_name(writer, "ExtraDetails");
        picket_json_open_object(writer);
        member_text(writer, "Snapshot", "true");
        picket_json_close_object(writer);
    }
    payload_end(payload);
}

/* A connection came from outside when somebody listens on its port here. */
static bool port_listens(const struct rows *listening, const struct socket_row *row)
{
    bool udp = row->table == SOCKET_UDP || row->table == SOCKET_UDP6;

    for (size_t i = 0; i < listening->count; i++) {
        const struct socket_row *other = &listening->rows[i];
        bool other_udp = other->table == SOCKET_UDP || other->table == SOCKET_UDP6;
        if (other->local_port == row->local_port && other_udp == udp)
            return true;
    }
    return false;
}
