#include "query/routes.h"

#include <string.h>

#include "runtime/buf.h"
#include "wire/limits.h"

#define LIST "workspaces"
#define NAME_MAX_COUNT 63
#define HOSTS_MAX 64
#define HOSTS_BYTES_MAX (HOSTS_MAX * (PICKET_HOST_MAX + 8))

static bool name_valid(struct text name);
static enum status hosts_read(const struct request *request, const char **out, struct problem *why);
static bool host_valid(struct text host);
static enum status taken(const struct request *request, enum status status, struct reply *reply, struct problem *why,
                         const char *sentence);

ROUTE_HANDLER(workspaces_list)
{
    static const char list[] =
        "SELECT workspace_id, name, guid, to_json(host_names), messages_per_second, bytes_per_second,"
        " (extract(epoch FROM created_at) * 1000000)::bigint, id_scope FROM picket.workspace WHERE workspace_id = ANY($1::int[])"
        " AND ($2::int IS NULL OR workspace_id > $2::int) ORDER BY workspace_id LIMIT $3::int + 1";
    struct db_rows *rows = NULL;
    struct page page;

    (void)query;
    enum status status = request_page(request, LIST, 1, &page, why);
    if (status)
        return status;
    const char *const parameters[] = {request->scope, page.fields[0], request_decimal(request, page.limit)};
    status = request_query(request, list, parameters, 3, &rows, why);
    if (status)
        return status;
    reply_open_object(reply, NULL);
    reply_open_array(reply, LIST);
    for (size_t i = 0; i < request_page_rows(&page, rows); i++) {
        reply_open_object(reply, NULL);
        reply_column_number(reply, "id", rows, i, 0);
        reply_column_text(reply, "name", rows, i, 1);
        reply_column_text(reply, "guid", rows, i, 2);
        reply_column_text(reply, "id_scope", rows, i, 7);
        reply_column_raw(reply, "host_names", rows, i, 3);
        reply_column_number(reply, "messages_per_second", rows, i, 4);
        reply_column_number(reply, "bytes_per_second", rows, i, 5);
        reply_column_time(reply, "created_at", rows, i, 6);
        reply_close_object(reply);
    }
    request_page_end(request, reply, LIST, &page, rows, (const int[]){0}, 1);
    db_rows_free(rows);
    return STATUS_OK;
}

ROUTE_HANDLER(workspaces_create)
{
    static const char create[] = "SELECT picket.workspace_create($1, $2::text[], $3::int)";
    static const char *const members[] = {"name", "host_names", NULL};
    const char *name = NULL, *hosts = NULL;
    struct db_rows *rows = NULL;

    (void)query;
    enum status status = request_members(request, members, why);
    if (!status)
        status = request_string(request, "name", &name, why);
    if (!status && (!name || !name_valid(text_of(name))))
        status = problem_set(why, STATUS_REJECT, "\"name\" has 1 to %d characters: lower-case letters, digits and, but not "
                                                 "first, -", NAME_MAX_COUNT);
    if (!status)
        status = hosts_read(request, &hosts, why);
    if (status)
        return status;
    const char *const parameters[] = {name, hosts ? hosts : "{}", request_decimal(request, request->caller->token_id)};
    status = taken(request, request_query(request, create, parameters, 3, &rows, why), reply, why,
                   "There is a workspace with this name, or with one of these host names, already.");
    if (!status && db_is_null(rows, 0, 0))
        status = reply_refuse(reply, why, 403, "Forbidden", "Only a token for every workspace can make another one.");
    if (!status)
        status = request_audit(request, db_i64(rows, 0, 0), "workspace.create", name, NULL, why);
    if (!status) {
        const json_t *given = json_object_get(request->body, "host_names");
        char *text = given ? json_dumps(given, JSON_COMPACT) : NULL;
        reply->changed_token = request->caller->token_id;
        reply_code(reply, 201);
        reply_open_object(reply, NULL);
        reply_number(reply, "id", db_i64(rows, 0, 0));
        reply_string(reply, "name", name);
        reply_raw(reply, "host_names", text ? text_of(text) : TEXT("[]"));
        reply_close_object(reply);
        free(text);
    }
    db_rows_free(rows);
    return status;
}

/* Members that are absent stay as they are; a limit of null is the server's default again. */
ROUTE_HANDLER(workspaces_change)
{
    static const char change[] =
        "UPDATE picket.workspace SET host_names = coalesce($3::text[], host_names),"
        " messages_per_second = CASE WHEN $4::boolean THEN $5::int ELSE messages_per_second END,"
        " bytes_per_second = CASE WHEN $6::boolean THEN $7::bigint ELSE bytes_per_second END"
        " WHERE workspace_id = ANY($1::int[]) AND name = $2"
        " RETURNING workspace_id, name, to_json(host_names), messages_per_second, bytes_per_second";
    static const char *const members[] = {"host_names", "messages_per_second", "bytes_per_second", NULL};
    const char *hosts = NULL, *messages = NULL, *bytes = NULL;
    struct db_rows *rows = NULL;

    (void)query;
    enum status status = request_members(request, members, why);
    if (!status)
        status = hosts_read(request, &hosts, why);
    if (!status)
        status = request_rate(request, "messages_per_second", INT32_MAX, &messages, why);
    if (!status)
        status = request_rate(request, "bytes_per_second", INT64_MAX, &bytes, why);
    if (status)
        return status;
    const char *const parameters[] = {request->scope,
                                      request_parameter(request, "name"),
                                      hosts,
                                      json_object_get(request->body, "messages_per_second") ? "true" : "false",
                                      messages,
                                      json_object_get(request->body, "bytes_per_second") ? "true" : "false",
                                      bytes};
    status = taken(request, request_query(request, change, parameters, 7, &rows, why), reply, why,
                   "One of these host names leads to another workspace already.");
    if (!status && db_rows_count(rows) == 0)
        status = reply_refuse(reply, why, 404, "NotFound", "There is no workspace \"%.64s\" for this token.", parameters[1]);
    if (!status)
        status = request_audit(request, db_i64(rows, 0, 0), "workspace.change", parameters[1], json_incref(request->body), why);
    if (!status) {
        reply_open_object(reply, NULL);
        reply_column_number(reply, "id", rows, 0, 0);
        reply_column_text(reply, "name", rows, 0, 1);
        reply_column_raw(reply, "host_names", rows, 0, 2);
        reply_column_number(reply, "messages_per_second", rows, 0, 3);
        reply_column_number(reply, "bytes_per_second", rows, 0, 4);
        reply_close_object(reply);
    }
    db_rows_free(rows);
    return status;
}

static bool name_valid(struct text name)
{
    bool valid = name.count >= 1 && name.count <= NAME_MAX_COUNT && name.bytes[0] != '-';

    for (size_t i = 0; valid && i < name.count; i++) {
        char c = name.bytes[i];
        valid = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    }
    return valid;
}

/* An array literal of "host_names" in lower case; NULL when the body has none. */
static enum status hosts_read(const struct request *request, const char **out, struct problem *why)
{
    const json_t *hosts = json_object_get(request->body, "host_names");
    enum status status = STATUS_OK;
    struct buf literal;

    *out = NULL;
    if (!hosts)
        return STATUS_OK;
    if (!json_is_array(hosts) || json_array_size(hosts) > HOSTS_MAX)
        return problem_set(why, STATUS_REJECT, "\"host_names\" has to be a list of at most %d host names", HOSTS_MAX);
    buf_init(&literal, HOSTS_BYTES_MAX);
    db_array_open(&literal);
    for (size_t i = 0; !status && i < json_array_size(hosts); i++) {
        struct text host = text_of(json_string_value(json_array_get(hosts, i)));
        if (host_valid(host))
            db_array_text(&literal, host);
        else
            status = problem_set(why, STATUS_REJECT, "\"host_names\" has an element that is no host name in lower case");
    }
    db_array_close(&literal);
    if (!status)
        *out = arena_string(request->arena, buf_as_text(&literal));
    buf_done(&literal);
    return status;
}

static bool host_valid(struct text host)
{
    bool valid = host.count >= 1 && host.count <= PICKET_HOST_MAX;

    for (size_t i = 0; valid && i < host.count; i++) {
        char c = host.bytes[i];
        valid = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == ':';
    }
    return valid;
}

/* Another workspace may hold what was asked for, seen or unseen. */
static enum status taken(const struct request *request, enum status status, struct reply *reply, struct problem *why,
                         const char *sentence)
{
    if (status == STATUS_REJECT && strcmp(db_sqlstate(request->db), "23505") == 0)
        return reply_refuse(reply, why, 409, "Exists", "%s", sentence);
    return status;
}
