#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/collector.h"
#include "agent/connection_watch.h"
#include "agent/file.h"
#include "agent/monotonic.h"
#include "agent/process_table.h"
#include "agent/rest.h"

/* A connection that was told. It stays known for one look after it was last there, since the word of its end comes later. */
struct known {
    struct socket_row row;
    bool missed; /* at the last look */
};

struct memory {
    struct connection_watch *watch; /* NULL: not allowed here, or not wished */
    bool watch_tried;
    struct rest rest;
    struct known *known; /* by socket_compare */
    size_t count;
    bool begun;
    int64_t looked_ms; /* when it was looked at the tables */
};

/* One look: what there is, what was told of meanwhile, and what is known when it is over. */
struct look {
    struct memory *memory;
    const char *root;
    struct socket_rows now, told; /* now: by socket_compare */
    struct socket_owners owners;
    struct known *known;
    size_t count, room;
    struct payload payload;
};

static void *open_memory(void)
{
    struct memory *memory = calloc(1, sizeof *memory);

    if (!memory || !rest_open(&memory->rest))
        abort();
    return memory;
}

static void close_memory(void *take_memory)
{
    struct memory *memory = take_memory;

    connection_watch_close(memory->watch);
    rest_close(&memory->rest);
    free(memory->known);
    free(memory);
}

static int memory_socket(const void *context)
{
    const struct memory *memory = context;

    return memory->watch ? rest_socket(&memory->rest, connection_watch_socket(memory->watch)) : -1;
}

/* ---- telling ---- */

static void report(struct payload *payload, const struct socket_row *row, const struct process *process, bool incoming, bool snapshot)
{
    struct picket_json_writer *writer = payload_begin(payload);
    char address[SOCKET_ADDRESS_SIZE];

    member_text(writer, "Protocol", socket_protocol(row));
    member_text(writer, "Direction", incoming ? "In" : "Out");
    socket_address_print(row->local, address);
    member_text(writer, "LocalAddress", address);
    member_number_text(writer, "LocalPort", row->local_port);
    socket_address_print(row->remote, address);
    member_text(writer, "RemoteAddress", address);
    member_number_text(writer, "RemotePort", row->remote_port);
    member_number(writer, "ProcessId", process ? process->pid : 0);
    member_text(writer, "Executable", process ? process->executable : "");
    if (process)
        member_text(writer, "CommandLine", process->command_line);
    if (row->state) /* it is in a table, which knows */
        member_number_text(writer, "UserId", row->user);
    if (snapshot)
        member_snapshot(writer);
    payload_end(payload);
}

/* Where nobody told, a connection came from outside when somebody listens on its port here. */
static bool port_listens(const struct look *look, const struct socket_row *row)
{
    for (size_t i = 0; i < look->now.count; i++) {
        const struct socket_row *other = &look->now.rows[i];
        if (other->local_port == row->local_port && socket_is_udp(other) == socket_is_udp(row) && socket_listens(other))
            return true;
    }
    return false;
}

static void known_add(struct look *look, const struct socket_row *row, bool missed)
{
    if (look->count == look->room) {
        look->room = look->room ? look->room * 2 : 64;
        look->known = realloc(look->known, look->room * sizeof *look->known);
        if (!look->known)
            abort();
    }
    look->known[look->count++] = (struct known){*row, missed};
}

/* Who owns sockets is a walk through every process, so it is made only when there is something new to say. */
static void tell(struct look *look, const struct socket_row *row)
{
    struct process process;

    if (!look->owners.room)
        socket_owners_read(look->root, &look->owners);
    int64_t pid = socket_owner_of(&look->owners, row->inode);
    bool found = pid && process_read(look->root, pid, &process);
    bool incoming = row->begun ? row->begun == SOCKET_BEGUN_THERE : port_listens(look, row);
    report(&look->payload, row, found ? &process : NULL, incoming, !look->memory->begun);
}

/* ---- looking ---- */

static const struct known *known_find(const struct memory *memory, const struct socket_row *row)
{
    return memory->count ? bsearch(row, memory->known, memory->count, sizeof *memory->known, socket_compare) : NULL;
}

/* The same addresses and ports with another inode are another connection; one that the other side began gets its inode when it is accepted. */
static bool is_same(const struct known *before, const struct socket_row *row)
{
    return before->row.inode == row->inode || (before->row.inode == 0 && before->row.begun == SOCKET_BEGUN_THERE);
}

/* What is there now, and was not told. */
static void look_at_tables(struct look *look)
{
    for (size_t i = 0; i < look->now.count; i++) {
        const struct socket_row *row = &look->now.rows[i];
        const struct known *before = known_find(look->memory, row);
        if (socket_connected(row) && (!before || !is_same(before, row)))
            tell(look, row);
        if (row->remote_port && row->inode && (before || socket_connected(row)))
            known_add(look, row, false);
    }
}

/* The socket of a connection that was told of: in whatever state, or the one that sends from that port to anybody. */
static const struct socket_row *row_behind(const struct look *look, const struct socket_row *told)
{
    const struct socket_row *row = look->now.count ? bsearch(told, look->now.rows, look->now.count, sizeof *told, socket_compare) : NULL;

    for (size_t i = 0; !row && socket_is_udp(told) && i < look->now.count; i++)
        if (look->now.rows[i].local_port == told->local_port && socket_listens(&look->now.rows[i]) && socket_is_udp(&look->now.rows[i]))
            row = &look->now.rows[i];
    return row;
}

/* What says who began comes first. */
static int compare_told(const void *a, const void *b)
{
    int order = socket_compare(a, b);

    return order ? order : ((const struct socket_row *)b)->begun - ((const struct socket_row *)a)->begun;
}

/* What was told of one pair of addresses and ports: how many began and how many ended, as far as that could be heard. One that is known already, or is
 * in the tables, is among either. */
static void look_at_one(struct look *look, const struct socket_row *told, size_t begun, size_t ended)
{
    const struct socket_row *behind = row_behind(look, told);
    bool there = behind && socket_connected(behind) && socket_compare(behind, told) == 0, known = known_find(look->memory, told);
    size_t times = begun > ended ? begun : ended;
    struct socket_row row = *told;

    times -= there || known;
    if (!times || (told->begun == SOCKET_BEGUN_THERE && !port_listens(look, told))) /* where nobody listens, what comes in is no connection */
        return;
    if (behind) {
        row.table = behind->table;
        row.state = behind->state;
        row.user = behind->user;
        row.inode = behind->inode;
    }
    payload_times(&look->payload, times);
    tell(look, &row);
    if (begun && !known)
        known_add(look, &row, false); /* the word of its end may be on its way */
}

/* What the kernel told of. */
static void look_at_told(struct look *look)
{
    const struct socket_row *rows = look->told.rows;

    if (look->told.count)
        qsort(look->told.rows, look->told.count, sizeof *look->told.rows, compare_told);
    for (size_t i = 0, next; i < look->told.count; i = next) {
        size_t begun = 0;
        for (next = i; next < look->told.count && socket_compare(&rows[i], &rows[next]) == 0; next++)
            begun += rows[next].begun != SOCKET_BEGUN_UNKNOWN;
        look_at_one(look, &rows[i], begun, next - i - begun);
    }
}

/* What was told before and is in no table any more. */
static void look_back(struct look *look)
{
    const struct memory *memory = look->memory;
    size_t looked = look->count;

    if (looked)
        qsort(look->known, looked, sizeof *look->known, socket_compare);
    for (size_t i = 0; i < memory->count; i++)
        if (!memory->known[i].missed && !(looked && bsearch(&memory->known[i], look->known, looked, sizeof *look->known, socket_compare)))
            known_add(look, &memory->known[i].row, true);
    if (look->count > looked)
        qsort(look->known, look->count, sizeof *look->known, socket_compare);
}

static void watch_choose(struct memory *memory, const struct collector_scope *scope)
{
    struct reason ignored; /* the check tells it */

    if (memory->watch_tried || *scope->root || !scope->settings)
        return;
    memory->watch_tried = true;
    memory->watch = connection_watch_open(scope->settings->packet_buffer_bytes, &ignored);
}

/* Takes what the kernel told. False: a rest is over, nothing came in it, and the tables may wait for their time. */
static bool watch_take(struct memory *memory, struct collector_scope *scope, struct look *look)
{
    bool rested = rest_end(&memory->rest);

    if (!memory->watch)
        return true;
    uint64_t lost = connection_watch_take(memory->watch, &look->told);
    picket_agent_lose(scope->agent, scope->priority, lost, "watch-full");
    return !rested || look->told.count || monotonic_now_ms() - memory->looked_ms >= scope->settings->connection_polling_s * INT64_C(1000);
}

static void collect(void *context, struct collector_scope *scope)
{
    struct memory *memory = context;
    struct look look = {.memory = memory, .root = scope->root};

    watch_choose(memory, scope);
    if (!watch_take(memory, scope, &look))
        return;
    memory->looked_ms = monotonic_now_ms();
    socket_rows_read(scope->root, NULL, &look.now);
    if (look.now.count)
        qsort(look.now.rows, look.now.count, sizeof *look.now.rows, socket_compare);
    payload_open_each(&look.payload, scope, "ConnectionCreate");
    look_at_tables(&look);
    look_at_told(&look);
    look_back(&look);
    payload_close(&look.payload);
    free(memory->known);
    memory->known = look.known;
    memory->count = look.count;
    memory->begun = true;
    socket_owners_done(&look.owners);
    socket_rows_done(&look.told);
    socket_rows_done(&look.now);
    if (memory->watch)
        rest_begin(&memory->rest);
}

static enum self_check_result check(const char *root, const struct picket_settings *settings, struct reason *out)
{
    struct reason why;

    (void)settings;
    if (!file_readable(root, "/proc/net/tcp")) {
        reason_set(out, "/proc/net/tcp cannot be read: %s", strerror(errno));
        return SELF_CHECK_FAILED;
    }
    struct connection_watch *watch = connection_watch_open(CHECK_BYTES, &why);
    bool told = watch != NULL, tracks = told && connection_watch_tracks(watch);
    connection_watch_close(watch);
    if (geteuid() != 0 && !file_readable(root, "/proc/1/fd")) {
        reason_set(out, "whose sockets of other users are is not known without root or CAP_SYS_PTRACE%s%s", told ? "" : "; connections are looked at in intervals: ", told ? "" : why.text);
        return SELF_CHECK_LIMITED;
    }
    if (!told) {
        reason_set(out, "looked at in intervals, so that one which lives shorter is missed: %s", why.text);
        return SELF_CHECK_LIMITED;
    }
    reason_set(out, "IPv4%s, with the program of each; those that live short are told by the kernel%s", file_readable(root, "/proc/net/tcp6") ? " and IPv6" : "; this kernel has no IPv6",
               tracks ? "" : ", but for datagrams, since nothing is heard of connection tracking");
    return SELF_CHECK_OK;
}

const struct collector collector_connections = {
    .name = "connections", .subject = PICKET_CONNECTIONS, .pace = COLLECT_CONNECTIONS, .open = open_memory, .collect = collect, .close = close_memory, .socket = memory_socket, .check = check,
};
