#ifndef PICKET_QUERY_QUERY_H
#define PICKET_QUERY_QUERY_H

#include "runtime/settings.h"
#include "runtime/status.h"

/* Database to answers: people, console, programs that ask. */
struct query_settings {
    const char *database;            /* conninfo for reading; without a user it is picket_query */
    const char *admin_database;      /* for operators' changes; "" is `database`; without a user it is picket_admin */
    const char *master_key_file;
    const char *query_address;
    int64_t query_port;              /* TLS; 0: closed */
    const char *tls_certificate_file, *tls_key_file;
    int64_t query_workers;           /* requests answered side by side, one database connection each */
    int64_t query_connections_max;
    int64_t query_timeout_ms;
    int64_t kql_timeout_ms, kql_rows_max, kql_bytes_max, kql_cost_max; /* of one question */
    int64_t kql_per_token;           /* questions of one token side by side */
    const char *device_host_name;    /* what connection strings name: host[:port] */
};
extern const struct setting query_settings_table[];
extern const size_t query_settings_count;

struct query;

/* STATUS_REJECT: port or certificate unusable. The database may be away: answers are 503 until it is back. */
MUST_CHECK enum status query_open(const struct query_settings *settings, struct query **out, struct problem *why);
uint16_t query_port(const struct query *query);
void query_close(struct query *take_query);

#endif
