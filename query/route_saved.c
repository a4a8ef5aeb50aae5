#include "query/routes.h"

#include <stdlib.h>

#include "query/saved.h"
#include "runtime/clock.h"

/* What a workspace keeps for its questions. The three nouns are listed, shown and removed in the same way. */

#define ROWS_MAX 1000 /* of one import */

struct noun {
    const char *kind, *list, *columns[4]; /* as the answer calls them, in the order of the statement */
    const char *select;                   /* workspace_id, its name, changed_at, and then `columns` */
};

#define SELECT_PAGE(table, columns)                                                                                   \
    "SELECT s.workspace_id, w.name, (extract(epoch FROM s.changed_at) * 1000000)::bigint, s.name, " columns            \
    " FROM picket." table " s JOIN picket.workspace w USING (workspace_id) WHERE s.workspace_id = ANY($1::int[])"      \
    " AND ($2::int IS NULL OR (s.workspace_id, s.name) > ($2::int, $3::text)) AND ($4::text IS NULL OR s.name = $4)"   \
    " ORDER BY s.workspace_id, s.name LIMIT $5::int + 1"

static const struct noun functions = {"function", "functions", {"parameters", "body", "folder", "description"},
                                      SELECT_PAGE("saved_function", "s.parameters, s.body, s.folder, s.description")};
static const struct noun queries = {"query", "queries", {"query", "description"}, SELECT_PAGE("saved_query", "s.query, s.description")};
static const struct noun tables = {"table", "tables", {"columns", "description"}, SELECT_PAGE("custom_table", "s.columns, s.description")};

static void row_write(const struct noun *noun, const struct db_rows *rows, size_t row, struct reply *reply)
{
    reply_open_object(reply, NULL);
    reply_column_text(reply, "name", rows, row, 3);
    reply_column_text(reply, "workspace", rows, row, 1);
    for (int i = 0; i < 4 && noun->columns[i]; i++)
        reply_column_text(reply, noun->columns[i], rows, row, 4 + i);
    reply_column_time(reply, "changed_at", rows, row, 2);
    reply_close_object(reply);
}

static enum status listed(const struct noun *noun, const struct request *request, struct reply *reply, struct problem *why)
{
    struct db_rows *rows = NULL;
    struct page page;

    enum status status = request_page(request, noun->list, 2, &page, why);
    if (status)
        return status;
    const char *const parameters[] = {request->scope, page.fields[0], page.fields[1], NULL, request_decimal(request, page.limit)};
    status = request_query(request, noun->select, parameters, 5, &rows, why);
    if (status)
        return status;
    reply_open_object(reply, NULL);
    reply_open_array(reply, noun->list);
    for (size_t i = 0; i < request_page_rows(&page, rows); i++)
        row_write(noun, rows, i, reply);
    request_page_end(request, reply, noun->list, &page, rows, (const int[]){0, 3}, 2);
    db_rows_free(rows);
    return STATUS_OK;
}

static enum status found(const struct noun *noun, const struct request *request, struct reply *reply, struct db_rows **out,
                         struct problem *why)
{
    const char *name = request_parameter(request, "name");
    const char *const parameters[] = {request->scope, NULL, NULL, name, "1"};

    enum status status = request_query(request, noun->select, parameters, 5, out, why);
    if (!status && db_rows_count(*out) == 0)
        status = reply_refuse(reply, why, 404, "NotFound", "There is no %s \"%.100s\".", noun->kind, name);
    return status;
}

static enum status shown(const struct noun *noun, const struct request *request, struct reply *reply, struct problem *why)
{
    struct db_rows *rows = NULL;

    enum status status = found(noun, request, reply, &rows, why);
    if (!status)
        row_write(noun, rows, 0, reply);
    db_rows_free(rows);
    return status;
}

static enum status removed(const struct noun *noun, const struct request *request, struct reply *reply, struct problem *why)
{
    struct db_rows *rows = NULL;
    bool gone;

    enum status status = found(noun, request, reply, &rows, why);
    if (!status)
        status = saved_drop(request, db_i64(rows, 0, 0), noun->kind, request_parameter(request, "name"), &gone, why);
    db_rows_free(rows);
    return status;
}

/* A member that has to be there. */
static enum status wanted(const struct request *request, const char *name, const char **out, struct problem *why)
{
    enum status status = request_string(request, name, out, why);

    return status || *out ? status : problem_set(why, STATUS_REJECT, "\"%s\" is missing", name);
}

ROUTE_HANDLER(functions_list)
{
    (void)query;
    return listed(&functions, request, reply, why);
}

ROUTE_HANDLER(functions_show)
{
    (void)query;
    return shown(&functions, request, reply, why);
}

ROUTE_HANDLER(functions_put)
{
    static const char *const members[] = {"workspace", "parameters", "body", "folder", "description", NULL};
    struct saved_function function = {.name = request_parameter(request, "name")};
    const char *workspace_name;
    int64_t workspace;

    (void)query;
    enum status status = request_members(request, members, why);
    if (!status)
        status = wanted(request, "body", &function.body, why);
    if (!status)
        status = request_string(request, "parameters", &function.parameters, why);
    if (!status)
        status = request_string(request, "folder", &function.folder, why);
    if (!status)
        status = request_string(request, "description", &function.description, why);
    if (!status)
        status = request_workspace(request, &workspace, &workspace_name, why);
    if (status)
        return status;
    if (!function.parameters || !*function.parameters)
        function.parameters = "()";
    status = saved_function_put(request, workspace, &function, SAVED_EITHER, why);
    return status ? status : shown(&functions, request, reply, why);
}

ROUTE_HANDLER(functions_delete)
{
    (void)query;
    return removed(&functions, request, reply, why);
}

ROUTE_HANDLER(queries_list)
{
    (void)query;
    return listed(&queries, request, reply, why);
}

ROUTE_HANDLER(queries_show)
{
    (void)query;
    return shown(&queries, request, reply, why);
}

ROUTE_HANDLER(queries_put)
{
    static const char *const members[] = {"workspace", "query", "description", NULL};
    const char *kql, *description, *workspace_name;
    int64_t workspace;

    (void)query;
    enum status status = request_members(request, members, why);
    if (!status)
        status = wanted(request, "query", &kql, why);
    if (!status)
        status = request_string(request, "description", &description, why);
    if (!status)
        status = request_workspace(request, &workspace, &workspace_name, why);
    if (!status)
        status = saved_query_put(request, workspace, request_parameter(request, "name"), kql, description, why);
    return status ? status : shown(&queries, request, reply, why);
}

ROUTE_HANDLER(queries_delete)
{
    (void)query;
    return removed(&queries, request, reply, why);
}

ROUTE_HANDLER(tables_list)
{
    (void)query;
    return listed(&tables, request, reply, why);
}

ROUTE_HANDLER(tables_put)
{
    static const char *const members[] = {"workspace", "columns", "description", NULL};
    const char *columns, *description, *workspace_name;
    int64_t workspace;

    (void)query;
    enum status status = request_members(request, members, why);
    if (!status)
        status = wanted(request, "columns", &columns, why);
    if (!status)
        status = request_string(request, "description", &description, why);
    if (!status)
        status = request_workspace(request, &workspace, &workspace_name, why);
    if (!status)
        status = saved_table_put(request, workspace, request_parameter(request, "name"), columns, description, why);
    return status ? status : shown(&tables, request, reply, why);
}

ROUTE_HANDLER(tables_delete)
{
    (void)query;
    return removed(&tables, request, reply, why);
}

/* TimeGenerated of a row where it has one that can be read, otherwise now. */
static const char *row_time(const struct request *request, const json_t *row)
{
    const char *time = json_string_value(json_object_get(row, "TimeGenerated"));
    char text[CLOCK_TEXT_SIZE];
    int64_t utc_us;

    if (!time || !clock_parse(text_of(time), &utc_us))
        utc_us = clock_utc_us();
    clock_format(utc_us, text);
    return arena_string(request->arena, text_of(text));
}

static enum status row_insert(const struct request *request, const char *workspace, const char *name, const json_t *row,
                              struct problem *why)
{
    static const char insert[] = "INSERT INTO picket.custom_row (workspace_id, table_name, time_generated, row)"
                                 " VALUES ($1::int, $2, $3::timestamptz, $4::jsonb)";
    char *text = json_dumps(row, JSON_COMPACT);
    const char *const parameters[] = {workspace, name, row_time(request, row), text};

    enum status status = request_query(request, insert, parameters, 4, NULL, why);
    free(text);
    return status;
}

ROUTE_HANDLER(tables_import)
{
    static const char *const members[] = {"rows", NULL};
    const json_t *rows = json_object_get(request->body, "rows"), *row;
    const char *name = request_parameter(request, "name");
    struct db_rows *table = NULL;
    size_t i;

    (void)query;
    enum status status = request_members(request, members, why);
    if (!status && (!json_is_array(rows) || json_array_size(rows) > ROWS_MAX))
        status = problem_set(why, STATUS_REJECT, "\"rows\" has to be a list of at most %d objects", ROWS_MAX);
    if (!status)
        status = found(&tables, request, reply, &table, why);
    const char *workspace = status ? NULL : request_decimal(request, db_i64(table, 0, 0));
    db_rows_free(table);
    json_array_foreach(rows, i, row) {
        if (!status && !json_is_object(row))
            status = problem_set(why, STATUS_REJECT, "row %zu is no object", i);
        if (!status)
            status = row_insert(request, workspace, name, row, why);
    }
    if (status)
        return status;
    reply_open_object(reply, NULL);
    reply_string(reply, "name", name);
    reply_number(reply, "rows", (int64_t)json_array_size(rows));
    reply_close_object(reply);
    return STATUS_OK;
}
