#ifndef PICKET_QUERY_ROUTES_H
#define PICKET_QUERY_ROUTES_H

#include "query/request.h"

enum route_access {
    ROUTE_PLAIN, /* no transaction */
    ROUTE_READ,  /* read only, as picket_query */
    ROUTE_WRITE, /* as picket_admin */
    /* Questions: the handler makes its own transactions, errors have the shape of the API that it speaks, and of one token
     * only so many are answered side by side. */
    ROUTE_LOG_ANALYTICS,
    ROUTE_KUSTO,
};

/* One row per method and path: what it needs, who answers, and what /openapi.json says of it. */
struct route {
    const char *method, *path;
    enum query_role role;
    enum route_access access;
    enum status (*handle)(struct query *query, const struct request *request, struct reply *reply, struct problem *why);
    const char *summary;   /* one sentence */
    const char *arguments; /* of the query, blanks between; described in route_openapi.c */
    const char *body;      /* schema of the request's body, or NULL */
    const char *answer;    /* schema of the answer; NULL: 204; with a slash: a content type */
};

extern const struct route query_routes[];
extern const size_t query_route_count;

/* route_<resource>.c */
#define ROUTE_HANDLER(name) \
    enum status name(struct query *query, const struct request *request, struct reply *reply, struct problem *why)
ROUTE_HANDLER(moving_import);
ROUTE_HANDLER(moving_export);
ROUTE_HANDLER(devices_list);
ROUTE_HANDLER(devices_create);
ROUTE_HANDLER(devices_change);
ROUTE_HANDLER(devices_show);
ROUTE_HANDLER(devices_delete);
ROUTE_HANDLER(devices_disable);
ROUTE_HANDLER(devices_enable);
ROUTE_HANDLER(devices_rotate_key);
ROUTE_HANDLER(devices_connection_string);
ROUTE_HANDLER(devices_authenticate);
ROUTE_HANDLER(authorities_list);
ROUTE_HANDLER(authorities_create);
ROUTE_HANDLER(authorities_show);
ROUTE_HANDLER(authorities_prove);
ROUTE_HANDLER(authorities_revoke);
ROUTE_HANDLER(authorities_disable);
ROUTE_HANDLER(authorities_enable);
ROUTE_HANDLER(authorities_delete);
ROUTE_HANDLER(twins_show);
ROUTE_HANDLER(twins_patch);
ROUTE_HANDLER(twins_put);
ROUTE_HANDLER(configurations_list);
ROUTE_HANDLER(configurations_show);
ROUTE_HANDLER(configurations_put);
ROUTE_HANDLER(configurations_delete);
ROUTE_HANDLER(configurations_devices);
ROUTE_HANDLER(methods_call);
ROUTE_HANDLER(methods_list);
ROUTE_HANDLER(messages_send);
ROUTE_HANDLER(messages_list);
ROUTE_HANDLER(messages_cancel);
ROUTE_HANDLER(messages_purge);
ROUTE_HANDLER(groups_list);
ROUTE_HANDLER(groups_show);
ROUTE_HANDLER(groups_create);
ROUTE_HANDLER(groups_disable);
ROUTE_HANDLER(groups_enable);
ROUTE_HANDLER(groups_delete);
ROUTE_HANDLER(groups_derive_key);
ROUTE_HANDLER(enrollments_list);
ROUTE_HANDLER(enrollments_show);
ROUTE_HANDLER(enrollments_create);
ROUTE_HANDLER(enrollments_disable);
ROUTE_HANDLER(enrollments_enable);
ROUTE_HANDLER(enrollments_delete);
ROUTE_HANDLER(events_list);
ROUTE_HANDLER(dead_letters_list);
ROUTE_HANDLER(dead_letters_show);
ROUTE_HANDLER(dead_letters_replay);
ROUTE_HANDLER(alerts_list);
ROUTE_HANDLER(alerts_close);
ROUTE_HANDLER(alerts_show);
ROUTE_HANDLER(rules_list);
ROUTE_HANDLER(rules_show);
ROUTE_HANDLER(rules_add);
ROUTE_HANDLER(rules_disable);
ROUTE_HANDLER(rules_enable);
ROUTE_HANDLER(rules_remove);
ROUTE_HANDLER(rules_backtest);
ROUTE_HANDLER(feeds_list);
ROUTE_HANDLER(feeds_show);
ROUTE_HANDLER(feeds_put);
ROUTE_HANDLER(feeds_remove);
ROUTE_HANDLER(feeds_pull);
ROUTE_HANDLER(simulation_remove);
ROUTE_HANDLER(canary_keep);
ROUTE_HANDLER(custom_rules_list);
ROUTE_HANDLER(custom_rules_put);
ROUTE_HANDLER(custom_rules_remove);
ROUTE_HANDLER(health_report);
void route_canary_register(void); /* gauges of the last round of canaries that this process was told; start-up only */
ROUTE_HANDLER(exceptions_list);
ROUTE_HANDLER(exceptions_create);
ROUTE_HANDLER(exceptions_remove);
ROUTE_HANDLER(incidents_list);
ROUTE_HANDLER(incidents_show);
ROUTE_HANDLER(incidents_change);
ROUTE_HANDLER(feeds_begin);
ROUTE_HANDLER(feeds_fill);
ROUTE_HANDLER(feeds_finish);
ROUTE_HANDLER(alerts_change);
ROUTE_HANDLER(alerts_comment);
ROUTE_HANDLER(tokens_list);
ROUTE_HANDLER(tokens_create);
ROUTE_HANDLER(tokens_revoke);
ROUTE_HANDLER(workspaces_list);
ROUTE_HANDLER(workspaces_create);
ROUTE_HANDLER(workspaces_change);
ROUTE_HANDLER(audit_list);
ROUTE_HANDLER(log_analytics_query);
ROUTE_HANDLER(log_analytics_batch);
ROUTE_HANDLER(log_analytics_metadata);
ROUTE_HANDLER(kusto_query_v1);
ROUTE_HANDLER(kusto_query_v2);
ROUTE_HANDLER(kusto_command);
ROUTE_HANDLER(kusto_authority);
ROUTE_HANDLER(functions_list);
ROUTE_HANDLER(functions_show);
ROUTE_HANDLER(functions_put);
ROUTE_HANDLER(functions_delete);
ROUTE_HANDLER(queries_list);
ROUTE_HANDLER(queries_show);
ROUTE_HANDLER(queries_put);
ROUTE_HANDLER(queries_delete);
ROUTE_HANDLER(tables_list);
ROUTE_HANDLER(tables_put);
ROUTE_HANDLER(tables_delete);
ROUTE_HANDLER(tables_import);
ROUTE_HANDLER(status_show);
ROUTE_HANDLER(health_show);
ROUTE_HANDLER(ready_show);
ROUTE_HANDLER(metrics_show);
ROUTE_HANDLER(openapi_show);
ROUTE_HANDLER(console_index);
ROUTE_HANDLER(console_file);
ROUTE_HANDLER(session_create);
ROUTE_HANDLER(session_end);

/* The document of /openapi.json for these routes, appended to `out`. */
void openapi_print(const struct route *routes, size_t count, struct buf *out);

/* The console's files, read at start: nothing else can ever be asked for. Empty when there are none. */
struct console *console_load(const char *share_path);
void console_free(struct console *take_console);

#endif
