#include "query/routes.h"

#include <stdlib.h>
#include <string.h>

#include "query/twin_rules.h"

#define LIST "configurations"

/* Columns of what is shown of one. */
#define COLUMNS                                                                                                    \
    "SELECT c.workspace_id, c.name, w.name, c.module_id, c.target_tag, c.target_value, c.priority, c.desired,"     \
    " (extract(epoch FROM c.created_at) * 1000000)::bigint, (extract(epoch FROM c.changed_at) * 1000000)::bigint"  \
    " FROM picket.configuration c JOIN picket.workspace w USING (workspace_id)"

static void row_write(const struct db_rows *rows, size_t row, struct reply *reply);
static enum status find(const struct request *request, struct reply *reply, struct db_rows **out, struct problem *why);
static enum status target_read(const struct request *request, const char **tag, const char **value, struct problem *why);

ROUTE_HANDLER(configurations_list)
{
    static const char list[] = COLUMNS " WHERE c.workspace_id = ANY($1::int[]) AND ($2::int IS NULL OR"
                                       " (c.workspace_id, c.name) > ($2::int, $3::text)) ORDER BY c.workspace_id, c.name"
                                       " LIMIT $4::int + 1";
    struct db_rows *rows = NULL;
    struct page page;

    (void)query;
    enum status status = request_page(request, LIST, 2, &page, why);
    if (status)
        return status;
    const char *const parameters[] = {request->scope, page.fields[0], page.fields[1], request_decimal(request, page.limit)};
    status = request_query(request, list, parameters, 4, &rows, why);
    if (status)
        return status;
    reply_open_object(reply, NULL);
    reply_open_array(reply, LIST);
    for (size_t i = 0; i < request_page_rows(&page, rows); i++)
        row_write(rows, i, reply);
    request_page_end(request, reply, LIST, &page, rows, (const int[]){0, 1}, 2);
    db_rows_free(rows);
    return STATUS_OK;
}

ROUTE_HANDLER(configurations_show)
{
    struct db_rows *rows = NULL;

    (void)query;
    enum status status = find(request, reply, &rows, why);
    if (!status)
        row_write(rows, 0, reply);
    db_rows_free(rows);
    return status;
}

/* Makes it or replaces it: the name is in the path. */
ROUTE_HANDLER(configurations_put)
{
    static const char put[] =
        "INSERT INTO picket.configuration AS c (workspace_id, name, module_id, target_tag, target_value, priority, desired)"
        " VALUES ($1::int, $2, coalesce($3, ''), $4, $5, $6::int, $7::jsonb) ON CONFLICT (workspace_id, name) DO UPDATE SET"
        " module_id = excluded.module_id, target_tag = excluded.target_tag, target_value = excluded.target_value,"
        " priority = excluded.priority, desired = excluded.desired, changed_at = now()";
    static const char *const members[] = {"workspace", "module", "group", "firmware", "priority", "desired", NULL};
    const char *name = request_parameter(request, "name"), *module = NULL, *tag = NULL, *value = NULL, *desired = "{}";
    const char *workspace_name;
    const json_t *priority = json_object_get(request->body, "priority");
    struct db_rows *rows = NULL;
    int64_t workspace;

    (void)query;
    enum status status = request_members(request, members, why);
    if (!status)
        status = request_string(request, "module", &module, why);
    if (!status)
        status = target_read(request, &tag, &value, why);
    if (!status && priority && (!json_is_integer(priority) || llabs(json_integer_value(priority)) > 1000000))
        status = problem_set(why, STATUS_REJECT, "\"priority\" has to be a whole number from -1000000 to 1000000");
    if (!status && !json_object_get(request->body, "desired"))
        status = problem_set(why, STATUS_REJECT, "\"desired\" is missing: the properties that devices get");
    if (!status)
        status = twin_rules_check(request->arena, "desired", json_object_get(request->body, "desired"), TWIN_DESIRED_MAX,
                                  &desired, why);
    if (!status)
        status = request_workspace(request, &workspace, &workspace_name, why);
    if (status)
        return status;
    const char *const parameters[] = {request_decimal(request, workspace), name, module, tag, value,
                                      request_decimal(request, json_integer_value(priority)), desired};
    status = request_query(request, put, parameters, 7, NULL, why);
    if (!status)
        status = request_audit(request, workspace, "configuration.put", name, NULL, why);
    if (!status)
        status = find(request, reply, &rows, why);
    if (!status)
        row_write(rows, 0, reply);
    db_rows_free(rows);
    return status;
}

ROUTE_HANDLER(configurations_delete)
{
    static const char remove[] = "DELETE FROM picket.configuration WHERE workspace_id = $1::int AND name = $2";
    const char *name = request_parameter(request, "name");
    struct db_rows *rows = NULL;

    (void)query;
    enum status status = find(request, reply, &rows, why);
    int64_t workspace = status ? 0 : db_i64(rows, 0, 0);
    const char *const parameters[] = {request_decimal(request, workspace), name};
    if (!status)
        status = request_query(request, remove, parameters, 2, NULL, why);
    if (!status)
        status = request_audit(request, workspace, "configuration.delete", name, NULL, why);
    if (!status)
        reply_code(reply, 204);
    db_rows_free(rows);
    return status;
}

/* A device has applied it when it reports all of it. The micro agent says so, or which names it could not read. */
ROUTE_HANDLER(configurations_devices)
{
    static const char list[] =
        "SELECT d.device_id, d.module_id, CASE WHEN t.reported @> c.desired THEN 'applied'"
        " WHEN t.reported_at >= t.desired_changed_at AND t.reported ->> 'latest_state' = 'success' THEN 'applied'"
        " WHEN t.reported_at >= t.desired_changed_at AND t.reported ->> 'latest_state' = 'failed' THEN 'failed'"
        " ELSE 'pending' END, t.reported -> 'latest_invalid_fields', (extract(epoch FROM t.reported_at) * 1000000)::bigint"
        " FROM picket.configuration c JOIN picket.device d ON d.workspace_id = c.workspace_id AND d.module_id = c.module_id"
        " AND d.status <> 'deleted' JOIN picket.device p ON p.workspace_id = d.workspace_id AND p.device_id = d.device_id"
        " AND p.module_id = '' LEFT JOIN picket.twin t ON t.workspace_id = d.workspace_id AND t.device_id = d.device_id"
        " AND t.module_id = d.module_id WHERE c.workspace_id = $1::int AND c.name = $2"
        " AND (c.target_tag IS NULL OR p.tags ->> c.target_tag = c.target_value)"
        " AND ($3::text IS NULL OR d.device_id > $3) ORDER BY d.device_id LIMIT $4::int + 1";
    struct db_rows *found = NULL, *rows = NULL;
    struct page page;

    (void)query;
    enum status status = request_page(request, "devices", 1, &page, why);
    if (!status)
        status = find(request, reply, &found, why);
    if (status)
        return status;
    const char *const parameters[] = {request_decimal(request, db_i64(found, 0, 0)), request_parameter(request, "name"),
                                      page.fields[0], request_decimal(request, page.limit)};
    db_rows_free(found);
    status = request_query(request, list, parameters, 4, &rows, why);
    if (status)
        return status;
    reply_open_object(reply, NULL);
    reply_open_array(reply, "devices");
    for (size_t i = 0; i < request_page_rows(&page, rows); i++) {
        reply_open_object(reply, NULL);
        reply_identity(reply, "id", db_text(rows, i, 0), db_text(rows, i, 1));
        reply_column_text(reply, "state", rows, i, 2);
        reply_column_raw(reply, "invalid", rows, i, 3);
        reply_column_time(reply, "reported_at", rows, i, 4);
        reply_close_object(reply);
    }
    request_page_end(request, reply, "devices", &page, rows, (const int[]){0}, 1);
    db_rows_free(rows);
    return STATUS_OK;
}

static void row_write(const struct db_rows *rows, size_t row, struct reply *reply)
{
    bool group = !db_is_null(rows, row, 4) && text_equal(db_text(rows, row, 4), TEXT("group"));
    bool firmware = !db_is_null(rows, row, 4) && !group;

    reply_open_object(reply, NULL);
    reply_column_text(reply, "name", rows, row, 1);
    reply_column_text(reply, "workspace", rows, row, 2);
    reply_column_text(reply, "module", rows, row, 3);
    reply_text(reply, "group", group ? db_text(rows, row, 5) : TEXT_NONE);
    reply_text(reply, "firmware", firmware ? db_text(rows, row, 5) : TEXT_NONE);
    reply_column_number(reply, "priority", rows, row, 6);
    reply_column_raw(reply, "desired", rows, row, 7);
    reply_column_time(reply, "created_at", rows, row, 8);
    reply_column_time(reply, "changed_at", rows, row, 9);
    reply_close_object(reply);
}

static enum status find(const struct request *request, struct reply *reply, struct db_rows **out, struct problem *why)
{
    static const char one[] = COLUMNS " WHERE c.workspace_id = ANY($1::int[]) AND c.name = $2 ORDER BY 1 LIMIT 2";
    const char *name = request_parameter(request, "name");
    const char *const parameters[] = {request->scope, name};

    enum status status = request_query(request, one, parameters, 2, out, why);
    if (!status && !db_rows_count(*out))
        return reply_refuse(reply, why, 404, "NotFound", "There is no configuration %.128s.", name);
    if (!status && db_rows_count(*out) > 1)
        return problem_set(why, STATUS_REJECT, "several workspaces have a configuration %.128s: name one with workspace", name);
    return status;
}

static enum status target_read(const struct request *request, const char **tag, const char **value, struct problem *why)
{
    const char *group = NULL, *firmware = NULL;

    enum status status = request_string(request, "group", &group, why);
    if (!status)
        status = request_string(request, "firmware", &firmware, why);
    if (!status && group && firmware)
        status = problem_set(why, STATUS_REJECT, "\"group\" and \"firmware\" are both there: a configuration has one target");
    *tag = group ? "group" : firmware ? "firmware" : NULL;
    *value = group ? group : firmware;
    return status;
}
