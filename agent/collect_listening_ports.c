#include "agent/collector.h"
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

const struct collector collector_listening_ports = {
    "listening ports", PICKET_LISTENING_PORTS, COLLECT_SNAPSHOT, NULL, collect, NULL, NULL,
};
