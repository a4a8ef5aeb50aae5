#include "query/saved.h"

#include <ctype.h>

#include "query/catalogs.h"

static enum status name_check(const char *what, const char *name, struct problem *why)
{
    size_t count = strlen(name);
    bool plain = count && count <= SAVED_NAME_MAX && !isdigit((unsigned char)*name);

    for (size_t i = 0; i < count; i++)
        plain = plain && (isalnum((unsigned char)name[i]) || name[i] == '_');
    return plain ? STATUS_OK
                 : problem_set(why, STATUS_REJECT,
                               "a %s is called by up to %d letters, digits and underscores, not a digit first, and not \"%.60s\"",
                               what, SAVED_NAME_MAX, name);
}

/* Whether it is a function's text at all. What it names is looked for when it is called. */
static enum status function_check(const struct saved_function *function, struct problem *why)
{
    struct catalog *catalog = catalog_new();
    struct kql_diagnostic wrong;
    unsigned line, column;

    enum status status = catalog_add_function(catalog, text_of(function->name), text_of(function->parameters),
                                              text_of(function->body), &wrong);
    if (status) {
        kql_position(text_of(function->body), wrong.place.at, &line, &column);
        status = problem_set(why, STATUS_REJECT, "the function %s is no KQL: %s", function->name, wrong.message);
    }
    catalog_free(catalog);
    return status;
}

enum status saved_function_put(const struct request *request, int64_t workspace, const struct saved_function *function,
                               enum saved_mode mode, struct problem *why)
{
    static const char put[] =
        "INSERT INTO picket.saved_function AS f (workspace_id, name, parameters, body, folder, description)"
        " VALUES ($1::int, $2, $3, $4, $5, $6) ON CONFLICT (workspace_id, name) DO UPDATE SET parameters = excluded.parameters,"
        " body = excluded.body, folder = excluded.folder, description = excluded.description, changed_at = clock_timestamp()"
        " WHERE $7 <> 'create' RETURNING 1";
    static const char alter[] =
        "UPDATE picket.saved_function SET parameters = $3, body = $4, folder = $5, description = $6, changed_at = clock_timestamp()"
        " WHERE workspace_id = $1::int AND name = $2 RETURNING 1";
    const char *const parameters[] = {request_decimal(request, workspace), function->name, function->parameters, function->body,
                                      function->folder ? function->folder : "",
                                      function->description ? function->description : "", mode == SAVED_CREATE ? "create" : "put"};
    struct db_rows *rows = NULL;

    enum status status = name_check("function", function->name, why);
    if (!status)
        status = function_check(function, why);
    if (!status)
        status = request_query(request, mode == SAVED_ALTER ? alter : put, parameters, mode == SAVED_ALTER ? 6 : 7, &rows, why);
    if (status)
        return status;
    bool done = db_rows_count(rows) > 0;
    db_rows_free(rows);
    if (!done)
        return problem_set(why, STATUS_REJECT,
                           mode == SAVED_CREATE ? "there is a function %s already" : "there is no function %s", function->name);
    return request_audit(request, workspace, "function.put", function->name, NULL, why);
}

enum status saved_query_put(const struct request *request, int64_t workspace, const char *name, const char *kql,
                            const char *description, struct problem *why)
{
    static const char put[] =
        "INSERT INTO picket.saved_query (workspace_id, name, query, description) VALUES ($1::int, $2, $3, $4)"
        " ON CONFLICT (workspace_id, name) DO UPDATE SET query = excluded.query, description = excluded.description,"
        " changed_at = clock_timestamp()";
    const char *const parameters[] = {request_decimal(request, workspace), name, kql, description ? description : ""};
    struct kql_statement *statements;
    struct kql_diagnostic wrong;
    unsigned line, column;

    if (!*name || strlen(name) > SAVED_NAME_MAX || strchr(name, '/'))
        return problem_set(why, STATUS_REJECT, "a query has a name of up to %d bytes without slashes", SAVED_NAME_MAX);
    if (kql_parse(text_of(kql), request->arena, &statements, &wrong)) {
        kql_position(text_of(kql), wrong.place.at, &line, &column);
        return problem_set(why, STATUS_REJECT, "the query is no KQL: %s (line %u, column %u)", wrong.message, line, column);
    }
    enum status status = request_query(request, put, parameters, 4, NULL, why);
    return status ? status : request_audit(request, workspace, "query.put", name, NULL, why);
}

/* Those that `known` has, and behind them those that it lacks. A column keeps its type. */
static enum status columns_merge(const struct request *request, const char *known, const char *wanted, const char **out,
                                 struct problem *why)
{
    struct text rest = text_of(wanted), one, name, other;
    const char *merged = known;

    while (rest.bytes) {
        struct text of = text_of(known), there = TEXT_NONE;
        rest = text_cut(rest, ',', &one);
        struct text type = text_trim(text_cut(one, ':', &name));
        while (of.bytes) {
            of = text_cut(of, ',', &other);
            struct text other_name, other_type = text_trim(text_cut(other, ':', &other_name));
            if (text_equal(text_trim(other_name), text_trim(name)))
                there = other_type;
        }
        if (there.bytes && !text_equal(there, type))
            return problem_set(why, STATUS_REJECT, "the column %.*s is a %.*s already", TEXT_ARGS(name), TEXT_ARGS(there));
        if (!there.bytes)
            merged = arena_format(request->arena, "%s,%.*s", merged, TEXT_ARGS(text_trim(one)));
    }
    *out = merged;
    return STATUS_OK;
}

enum status saved_table_put(const struct request *request, int64_t workspace, const char *name, const char *columns,
                            const char *description, struct problem *why)
{
    static const char find[] = "SELECT columns FROM picket.custom_table WHERE workspace_id = $1::int AND name = $2";
    static const char put[] =
        "INSERT INTO picket.custom_table (workspace_id, name, columns, description) VALUES ($1::int, $2, $3, $4)"
        " ON CONFLICT (workspace_id, name) DO UPDATE SET columns = excluded.columns, description = excluded.description,"
        " changed_at = clock_timestamp()";
    const char *parameters[] = {request_decimal(request, workspace), name, columns, description ? description : ""};
    struct db_rows *rows = NULL;

    enum status status = name_check("table", name, why);
    if (!status && (!text_ends(text_of(name), TEXT("_CL")) || strlen(name) > 63))
        status = problem_set(why, STATUS_REJECT, "a table of a workspace's own ends in _CL and has at most 63 characters: %.60s", name);
    if (!status)
        status = catalogs_columns_check(text_of(columns), why);
    if (!status)
        status = request_query(request, find, parameters, 2, &rows, why);
    if (!status && db_rows_count(rows))
        status = columns_merge(request, arena_string(request->arena, db_text(rows, 0, 0)), columns, &parameters[2], why);
    db_rows_free(rows);
    if (!status)
        status = request_query(request, put, parameters, 4, NULL, why);
    return status ? status : request_audit(request, workspace, "table.put", name, NULL, why);
}

enum status saved_drop(const struct request *request, int64_t workspace, const char *kind, const char *name, bool *found,
                       struct problem *why)
{
    static const struct {
        const char *kind, *sql, *action;
    } kinds[] = {
        {"function", "DELETE FROM picket.saved_function WHERE workspace_id = $1::int AND name = $2 RETURNING 1", "function.drop"},
        {"query", "DELETE FROM picket.saved_query WHERE workspace_id = $1::int AND name = $2 RETURNING 1", "query.drop"},
        {"table", "DELETE FROM picket.custom_table WHERE workspace_id = $1::int AND name = $2 RETURNING 1", "table.drop"},
    };
    const char *const parameters[] = {request_decimal(request, workspace), name};
    struct db_rows *rows = NULL;
    size_t i = 0;

    while (strcmp(kinds[i].kind, kind) != 0)
        i++;
    enum status status = request_query(request, kinds[i].sql, parameters, 2, &rows, why);
    *found = !status && db_rows_count(rows) > 0;
    db_rows_free(rows);
    return status || !*found ? status : request_audit(request, workspace, kinds[i].action, name, NULL, why);
}
