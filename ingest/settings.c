#include "ingest/ingest.h"

#include "wire/limits.h"

#define MIB (1024 * 1024)

const struct setting ingest_settings_table[] = {
    SETTING_STRING(struct ingest_settings, database, "",
                   "PostgreSQL as a libpq connection string; each role adds its own user when none is named."),
    SETTING_FILE(struct ingest_settings, master_key_file, SETTING_NEEDED,
                 "File with the master key, 64 hex digits, that opens the devices' stored keys."),
    SETTING_STRING(struct ingest_settings, ingest_address, "0.0.0.0", "Address that the device ports listen on."),
    SETTING_PORT(struct ingest_settings, https_port, 8443, "TLS port devices send to; 0 closes it."),
    SETTING_PORT(struct ingest_settings, http_port, 0,
                 "Plain HTTP port for devices, on 127.0.0.1 only; 0 closes it."),
    SETTING_FILE(struct ingest_settings, tls_certificate_file, "",
                 "Certificate chain (PEM) of the device port; needed when https_port is open."),
    SETTING_FILE(struct ingest_settings, tls_key_file, "",
                 "Private key (PEM) of the device port; needed when https_port is open."),
    SETTING_INT(struct ingest_settings, ingest_threads, 4, 1, 64, "Threads that serve devices, per port."),
    SETTING_INT(struct ingest_settings, connections_max, 10000, 16, 1000000,
                "Connections of devices held open at most, per port."),
    SETTING_INT(struct ingest_settings, connections_per_address_max, 0, 0, 1000000,
                "Connections from one address at most; 0 sets no limit (many devices may share a gateway's)."),
    SETTING_INT(struct ingest_settings, request_timeout_ms, 60000, 1000, 3600000,
                "Time for a device to deliver a whole request before it is cut."),
    SETTING_INT(struct ingest_settings, answer_timeout_ms, 20000, 100, 600000,
                "Time for a message to become durable before its device is told to send it again."),
    SETTING_INT(struct ingest_settings, body_bytes_max, PICKET_BODY_MAX, 1024, PICKET_BODY_HARD_MAX,
                "Longest body of a message, also after decompression."),
    SETTING_INT(struct ingest_settings, body_budget_bytes, 64 * MIB, MIB, 64LL * 1024 * MIB,
                "Memory for all bodies that are under way at once, on all ports together."),
    SETTING_INT(struct ingest_settings, json_depth_max, PICKET_JSON_DEPTH_MAX, 8, 256,
                "Deepest nesting of objects and arrays in a JSON body."),
    SETTING_INT(struct ingest_settings, messages_per_second, 100, 0, 1000000,
                "Messages a second that one device may send, unless its own limit says otherwise; 0 sets no limit."),
    SETTING_INT(struct ingest_settings, bytes_per_second, 4 * MIB, 0, 1024LL * MIB,
                "Bytes a second that one device may send, unless its own limit says otherwise; 0 sets no limit."),
    SETTING_INT(struct ingest_settings, workspace_messages_per_second, 0, 0, 100000000,
                "Messages a second of all devices of a workspace, unless it has a limit of its own; 0 sets no limit."),
    SETTING_INT(struct ingest_settings, workspace_bytes_per_second, 0, 0, 1024LL * 1024 * MIB,
                "Bytes a second of all devices of a workspace, unless it has a limit of its own; 0 sets no limit."),
    SETTING_INT(struct ingest_settings, roster_max, 2000000, 1, 20000000,
                "Identities kept in memory at most; each takes up to about 300 bytes."),
};

const size_t ingest_settings_count = sizeof ingest_settings_table / sizeof ingest_settings_table[0];
