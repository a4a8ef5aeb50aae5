#include "query/query.h"

const struct setting query_settings_table[] = {
    SETTING_STRING(struct query_settings, database, "",
                   "PostgreSQL as a libpq connection string; each role adds its own user when none is named."),
    SETTING_STRING(struct query_settings, admin_database, "",
                   "The same for operators' changes, as picket_admin; empty: the one of database."),
    SETTING_FILE(struct query_settings, master_key_file, SETTING_NEEDED,
                 "File with the master key, 64 hex digits, that opens the devices' stored keys."),
    SETTING_STRING(struct query_settings, query_address, "0.0.0.0", "Address that the port for people listens on."),
    SETTING_PORT(struct query_settings, query_port, 8440, "TLS port for people, console and programs; 0 closes it."),
    SETTING_FILE(struct query_settings, tls_certificate_file, "",
                 "Certificate chain (PEM); needed unless query_address is a loopback one."),
    SETTING_FILE(struct query_settings, tls_key_file, "", "Private key (PEM) of that certificate."),
    SETTING_INT(struct query_settings, query_workers, 4, 1, 256,
                "Requests answered side by side; each takes two database connections."),
    SETTING_INT(struct query_settings, query_connections_max, 1000, 16, 100000, "Connections of clients held open at most."),
    SETTING_INT(struct query_settings, query_timeout_ms, 30000, 100, 3600000,
                "Time for a request to be answered before its statement is cancelled."),
    SETTING_INT(struct query_settings, kql_timeout_ms, 600000, 1000, 3600000,
                "Longest time that a KQL query may run, whatever its client asks for."),
    SETTING_INT(struct query_settings, kql_rows_max, 100000, 1, 500000,
                "Rows that a KQL query may give; what is beyond is cut off, and the answer says so."),
    SETTING_INT(struct query_settings, kql_bytes_max, 33554432, 1024, 67108864,
                "Bytes of values that a KQL query may give; likewise."),
    SETTING_INT(struct query_settings, kql_cost_max, 100000000, 0, 1000000000000000,
                "Cost by PostgreSQL's own estimate beyond which a KQL query is refused before it runs; 0 is no limit."),
    SETTING_INT(struct query_settings, kql_per_token, 3, 1, 256,
                "KQL queries of one token answered side by side; others wait their turn."),
    SETTING_STRING(struct query_settings, device_host_name, "localhost",
                   "Host name, host or host:port, that devices' connection strings name."),
};

const size_t query_settings_count = sizeof query_settings_table / sizeof query_settings_table[0];
