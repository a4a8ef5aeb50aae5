#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/collector.h"
#include "agent/file.h"
#include "agent/socket_table.h"

static void report(struct payload *payload, const struct socket_row *row, int64_t pid)
{
    struct picket_json_writer *writer = payload_begin(payload);
    char address[SOCKET_ADDRESS_SIZE];

    member_text(writer, "Protocol", socket_protocol(row));
    socket_address_print(row->local, address);
    member_text(writer, "LocalAddress", address);
    member_number_text(writer, "LocalPort", row->local_port);
    socket_address_print(row->remote, address);
    member_text(writer, "RemoteAddress", address);
    member_text(writer, "RemotePort", "*");
    if (pid) {
        picket_json_write_name(writer, "ExtraDetails");
        picket_json_open_object(writer);
        member_number_text(writer, "Pid", (uint64_t)pid);
        picket_json_close_object(writer);
    }
    payload_end(payload);
}

static void collect(void *memory, struct collector_scope *scope)
{
    struct socket_owners owners;
    struct socket_rows rows;
    struct payload payload;

    (void)memory;
    socket_rows_read(scope->root, socket_listens, &rows);
    socket_owners_read(scope->root, &owners);
    payload_open_list(&payload, scope, "ListeningPorts");
    for (size_t i = 0; i < rows.count; i++)
        report(&payload, &rows.rows[i], socket_owner_of(&owners, rows.rows[i].inode));
    payload_close(&payload);
    socket_owners_done(&owners);
    socket_rows_done(&rows);
}

static enum self_check_result check(const char *root, const struct picket_settings *settings, struct reason *out)
{
    (void)settings;
    if (!file_readable(root, "/proc/net/tcp")) {
        reason_set(out, "/proc/net/tcp cannot be read: %s", strerror(errno));
        return SELF_CHECK_FAILED;
    }
    if (geteuid() != 0 && !file_readable(root, "/proc/1/fd")) {
        reason_set(out, "whose sockets of other users are is not known without root or CAP_SYS_PTRACE");
        return SELF_CHECK_LIMITED;
    }
    reason_set(out, "IPv4%s, with the program of each", file_readable(root, "/proc/net/tcp6") ? " and IPv6" : "; this kernel has no IPv6");
    return SELF_CHECK_OK;
}

const struct collector collector_listening_ports = {
    .name = "listening ports", .subject = PICKET_LISTENING_PORTS, .pace = COLLECT_SNAPSHOT, .collect = collect, .check = check,
};
