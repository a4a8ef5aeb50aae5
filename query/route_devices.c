#include "query/routes.h"

#include "query/device_credential.h"

#define LIST_FIELDS 3
#define LEDGER_ROWS_MAX 200

/* A ledger row in numbers that add up: sent = stored + dropped + lost. What was settled long ago is no longer told apart,
 * so it counts as lost. `missing` are the numbers that may still come. */
#define LEDGER_COUNTS                                                                                                  \
    "l.settled_stored + (SELECT coalesce(sum(upper(r) - lower(r)), 0) FROM unnest(l.stored) r)::bigint AS stored,"     \
    " (SELECT coalesce(sum(upper(r) - lower(r)), 0) FROM unnest(l.dropped - l.stored) r)::bigint AS dropped,"          \
    " int8multirange(int8range(l.settled_below, greatest(l.highest + 1, l.settled_below))) - l.stored - l.dropped"     \
    " AS missing"

static enum status activity_write(const struct request *request, const struct device_path *path, struct reply *reply,
                                  struct problem *why);
static enum status connection_write(const struct request *request, const struct device_path *path, struct reply *reply,
                                    struct problem *why);
static enum status ledger_write_rows(const struct request *request, const struct device_path *path, struct reply *reply,
                                     struct problem *why);
static enum status modules_write(const struct request *request, const struct device_path *path, struct reply *reply,
                                 struct problem *why);

ROUTE_HANDLER(devices_list)
{
    static const char list[] =
        "SELECT w.name, d.workspace_id, d.device_id, d.module_id, d.status,"
        " (extract(epoch FROM d.created_at) * 1000000)::bigint, (extract(epoch FROM a.last_seen_at) * 1000000)::bigint,"
        " coalesce(a.message_count, 0), coalesce(a.event_count, 0), coalesce(a.refused_count, 0)"
        " FROM picket.device d JOIN picket.workspace w ON w.workspace_id = d.workspace_id"
        " LEFT JOIN picket.device_activity a ON a.workspace_id = d.workspace_id AND a.device_id = d.device_id"
        "  AND a.module_id = d.module_id"
        " WHERE d.workspace_id = ANY($1::int[]) AND d.status = ANY(CASE WHEN $2::text IS NULL"
        "  THEN ARRAY['enabled', 'disabled'] ELSE ARRAY[$2::text] END)"
        " AND ($3::text IS NULL OR strpos(lower(d.device_id || '/' || d.module_id), lower($3)) > 0)"
        " AND ($4::int IS NULL OR (d.workspace_id, d.device_id, d.module_id) > ($4::int, $5::text, $6::text))"
        " ORDER BY d.workspace_id, d.device_id, d.module_id LIMIT $7::int + 1";
    static const char *const statuses[] = {"enabled", "disabled", "deleted", NULL};
    const char *wanted = NULL;
    struct db_rows *rows = NULL;
    struct page page;

    (void)query;
    enum status status = request_page(request, "devices", LIST_FIELDS, &page, why);
    if (!status)
        status = request_word(request, "status", statuses, &wanted, why);
    if (status)
        return status;
    const char *const parameters[] = {request->scope,  wanted,         request_argument(request, "search"),
                                      page.fields[0],  page.fields[1], page.fields[2],
                                      request_decimal(request, page.limit)};
    status = request_query(request, list, parameters, 7, &rows, why);
    if (status)
        return status;
    reply_open_object(reply, NULL);
    reply_open_array(reply, "devices");
    for (size_t i = 0; i < request_page_rows(&page, rows); i++) {
        reply_open_object(reply, NULL);
        reply_identity(reply, "id", db_text(rows, i, 2), db_text(rows, i, 3));
        reply_column_text(reply, "workspace", rows, i, 0);
        reply_column_text(reply, "status", rows, i, 4);
        reply_column_time(reply, "created_at", rows, i, 5);
        reply_column_time(reply, "last_seen_at", rows, i, 6);
        reply_column_number(reply, "message_count", rows, i, 7);
        reply_column_number(reply, "event_count", rows, i, 8);
        reply_column_number(reply, "refused_count", rows, i, 9);
        reply_close_object(reply);
    }
    request_page_end(request, reply, "devices", &page, rows, (const int[]){1, 2, 3}, LIST_FIELDS);
    db_rows_free(rows);
    return STATUS_OK;
}

ROUTE_HANDLER(devices_show)
{
    struct device_path path;

    (void)query;
    enum status status = device_path_find(request, &path, reply, why);
    if (status)
        return status;
    reply_open_object(reply, NULL);
    reply_identity(reply, "id", text_of(path.device), text_of(path.module));
    reply_string(reply, "workspace", path.workspace_name);
    reply_string(reply, "status", path.status);
    status = device_credential_show(request, &path, reply, why);
    if (!status)
        status = activity_write(request, &path, reply, why);
    if (!status)
        status = connection_write(request, &path, reply, why);
    if (!status)
        status = modules_write(request, &path, reply, why);
    if (!status)
        status = ledger_write_rows(request, &path, reply, why);
    reply_close_object(reply);
    return status;
}

static enum status activity_write(const struct request *request, const struct device_path *path, struct reply *reply,
                                  struct problem *why)
{
    static const char find[] =
        "SELECT (extract(epoch FROM d.created_at) * 1000000)::bigint, (extract(epoch FROM d.changed_at) * 1000000)::bigint,"
        " (extract(epoch FROM a.first_seen_at) * 1000000)::bigint, (extract(epoch FROM a.last_seen_at) * 1000000)::bigint,"
        " coalesce(a.message_count, 0), coalesce(a.resend_count, 0), coalesce(a.event_count, 0),"
        " coalesce(a.departure_count, 0), coalesce(a.refused_count, 0), coalesce(a.dead_count, 0),"
        " coalesce(a.refused_reasons, '{}'), a.agent_version, d.messages_per_second, d.bytes_per_second,"
        " w.messages_per_second, w.bytes_per_second"
        " FROM picket.device d JOIN picket.workspace w USING (workspace_id) LEFT JOIN picket.device_activity a ON a.workspace_id = d.workspace_id"
        "  AND a.device_id = d.device_id AND a.module_id = d.module_id"
        " WHERE d.workspace_id = $1::int AND d.device_id = $2 AND d.module_id = $3";
    static const char *const counts[] = {"message_count",   "resend_count",  "event_count",
                                         "departure_count", "refused_count", "dead_count"};
    const char *const parameters[] = {path->workspace, path->device, path->module};
    struct db_rows *rows = NULL;

    enum status status = request_query(request, find, parameters, 3, &rows, why);
    if (status)
        return status;
    reply_column_time(reply, "created_at", rows, 0, 0);
    reply_column_time(reply, "changed_at", rows, 0, 1);
    reply_column_time(reply, "first_seen_at", rows, 0, 2);
    reply_column_time(reply, "last_seen_at", rows, 0, 3);
    for (int i = 0; i < 6; i++)
        reply_column_number(reply, counts[i], rows, 0, 4 + i);
    reply_column_raw(reply, "refused", rows, 0, 10);
    reply_column_text(reply, "agent_version", rows, 0, 11);
    reply_column_number(reply, "messages_per_second", rows, 0, 12);
    reply_column_number(reply, "bytes_per_second", rows, 0, 13);
    reply_column_number(reply, "workspace_messages_per_second", rows, 0, 14);
    reply_column_number(reply, "workspace_bytes_per_second", rows, 0, 15);
    db_rows_free(rows);
    return STATUS_OK;
}

/* Of MQTT: over HTTPS there is none. It counts as long as the server that has it was seen lately. */
static enum status connection_write(const struct request *request, const struct device_path *path, struct reply *reply,
                                    struct problem *why)
{
    static const char find[] =
        "SELECT c.connected AND r.seen_at > now() - interval '30 seconds', c.transport, c.peer,"
        " (extract(epoch FROM c.connected_at) * 1000000)::bigint, (extract(epoch FROM c.disconnected_at) * 1000000)::bigint"
        " FROM picket.device_connection c LEFT JOIN picket.ingest_replica r USING (replica)"
        " WHERE c.workspace_id = $1::int AND c.device_id = $2 AND c.module_id = $3";
    const char *const parameters[] = {path->workspace, path->device, path->module};
    struct db_rows *rows = NULL;

    enum status status = request_query(request, find, parameters, 3, &rows, why);
    if (status)
        return status;
    if (!db_rows_count(rows)) {
        reply_null(reply, "connection");
        db_rows_free(rows);
        return STATUS_OK;
    }
    reply_open_object(reply, "connection");
    reply_flag(reply, "connected", db_bool(rows, 0, 0));
    reply_column_text(reply, "transport", rows, 0, 1);
    reply_column_text(reply, "peer", rows, 0, 2);
    reply_column_time(reply, "connected_at", rows, 0, 3);
    reply_column_time(reply, "disconnected_at", rows, 0, 4);
    reply_close_object(reply);
    db_rows_free(rows);
    return STATUS_OK;
}

static enum status modules_write(const struct request *request, const struct device_path *path, struct reply *reply,
                                 struct problem *why)
{
    static const char find[] = "SELECT module_id FROM picket.device WHERE workspace_id = $1::int AND device_id = $2"
                               " AND module_id <> '' AND status <> 'deleted' ORDER BY module_id LIMIT 1000";
    const char *const parameters[] = {path->workspace, path->device};
    struct db_rows *rows = NULL;

    if (*path->module)
        return STATUS_OK;
    enum status status = request_query(request, find, parameters, 2, &rows, why);
    if (status)
        return status;
    reply_open_array(reply, "modules");
    for (size_t i = 0; i < db_rows_count(rows); i++)
        reply_column_text(reply, NULL, rows, i, 0);
    reply_close_array(reply);
    db_rows_free(rows);
    return STATUS_OK;
}

static enum status ledger_write_rows(const struct request *request, const struct device_path *path, struct reply *reply,
                                     struct problem *why)
{
    static const char find[] =
        "SELECT c.epoch, c.stream, c.highest, c.stored, c.highest - c.stored - c.dropped, c.dropped,"
        " (SELECT coalesce(json_agg(json_build_array(lower(r), upper(r) - 1) ORDER BY lower(r)), '[]')"
        "   FROM (SELECT r FROM unnest(c.missing) r ORDER BY lower(r) LIMIT 20) m), c.drop_reasons,"
        " (SELECT coalesce(sum(upper(r) - lower(r)), 0) FROM unnest(c.missing) r)::bigint,"
        " (extract(epoch FROM c.first_seen_at) * 1000000)::bigint, (extract(epoch FROM c.last_seen_at) * 1000000)::bigint"
        " FROM (SELECT l.epoch, l.stream, l.highest, l.drop_reasons, l.first_seen_at, l.last_seen_at, " LEDGER_COUNTS
        "  FROM picket.ledger l WHERE l.workspace_id = $1::int AND l.device_id = $2 AND l.module_id = $3) c"
        " ORDER BY c.last_seen_at DESC, c.epoch, c.stream LIMIT $4::int";
    const char *const parameters[] = {path->workspace, path->device, path->module,
                                      request_decimal(request, LEDGER_ROWS_MAX)};
    struct db_rows *rows = NULL;

    enum status status = request_query(request, find, parameters, 4, &rows, why);
    if (status)
        return status;
    reply_open_array(reply, "ledger");
    for (size_t i = 0; i < db_rows_count(rows); i++) {
        reply_open_object(reply, NULL);
        reply_column_text(reply, "epoch", rows, i, 0);
        reply_column_number(reply, "stream", rows, i, 1);
        reply_column_number(reply, "sent", rows, i, 2);
        reply_column_number(reply, "stored", rows, i, 3);
        reply_column_number(reply, "lost", rows, i, 4);
        reply_column_number(reply, "dropped", rows, i, 5);
        reply_column_raw(reply, "missing", rows, i, 6);
        reply_column_number(reply, "missing_count", rows, i, 8);
        reply_column_raw(reply, "drop_reasons", rows, i, 7);
        reply_column_time(reply, "first_seen_at", rows, i, 9);
        reply_column_time(reply, "last_seen_at", rows, i, 10);
        reply_close_object(reply);
    }
    reply_close_array(reply);
    db_rows_free(rows);
    return STATUS_OK;
}
