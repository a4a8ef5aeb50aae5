#include "query/routes.h"

#define LIST "tokens"

/* A token is seen by those who see every workspace that it opens. */
ROUTE_HANDLER(tokens_list)
{
    static const char list[] =
        "SELECT t.token_id, t.prefix, t.role, (SELECT json_agg(w.name ORDER BY w.workspace_id) FROM picket.workspace w"
        "  WHERE w.workspace_id = ANY(t.workspaces)), t.description, (extract(epoch FROM t.created_at) * 1000000)::bigint,"
        " (extract(epoch FROM t.revoked_at) * 1000000)::bigint FROM picket.token t WHERE t.workspaces <@ $1::int[]"
        " AND ($2::int IS NULL OR t.token_id > $2::int) ORDER BY t.token_id LIMIT $3::int + 1";
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
        reply_column_text(reply, "prefix", rows, i, 1);
        reply_column_text(reply, "role", rows, i, 2);
        reply_column_raw(reply, "workspaces", rows, i, 3);
        reply_column_text(reply, "description", rows, i, 4);
        reply_column_time(reply, "created_at", rows, i, 5);
        reply_column_time(reply, "revoked_at", rows, i, 6);
        reply_close_object(reply);
    }
    request_page_end(request, reply, LIST, &page, rows, (const int[]){0}, 1);
    db_rows_free(rows);
    return STATUS_OK;
}

ROUTE_HANDLER(tokens_create)
{
    static const char *const members[] = {"role", "workspace", "description", NULL};
    struct token_wish wish = {.actor = arena_format(request->arena, "token %lld", (long long)request->caller->token_id)};
    struct token_made made;

    enum status status = request_members(request, members, why);
    if (!status)
        status = request_string(request, "role", &wish.role, why);
    if (!status)
        status = request_string(request, "workspace", &wish.workspace, why);
    if (!status)
        status = request_string(request, "description", &wish.description, why);
    if (!status && !wish.role)
        status = problem_set(why, STATUS_REJECT, "\"role\" is missing: reader, analyst or admin");
    if (!status)
        status = token_create(request->db, query_master_of(query), &wish, request->timeout_ms, request->arena, &made, why);
    if (status)
        return status;
    reply_code(reply, 201);
    reply_open_object(reply, NULL);
    reply_number(reply, "id", made.id);
    reply_string(reply, "token", made.text);
    reply_string(reply, "role", wish.role);
    reply_raw(reply, "workspaces", made.workspaces);
    reply_close_object(reply);
    secret_wipe(made.text, sizeof made.text);
    return STATUS_OK;
}

ROUTE_HANDLER(tokens_revoke)
{
    static const char revoke[] = "UPDATE picket.token SET revoked_at = now() WHERE workspaces <@ $1::int[]"
                                 " AND token_id = $2::int AND revoked_at IS NULL RETURNING token_id, workspaces";
    static const char append[] = "SELECT picket.audit_append(w, $2, 'token.revoke', 'token ' || $3, '{}')"
                                 " FROM unnest($1::int[]) w ORDER BY w";
    const char *const parameters[] = {request->scope, request_parameter(request, "id")};
    struct db_rows *rows = NULL;

    (void)query;
    enum status status = request_query(request, revoke, parameters, 2, &rows, why);
    if (!status && db_rows_count(rows) == 0)
        status = reply_refuse(reply, why, 404, "NotFound", "There is no token %.32s that is not revoked yet.", parameters[1]);
    if (!status) {
        const char *const audited[] = {db_text(rows, 0, 1).bytes,
                                       arena_format(request->arena, "token %lld", (long long)request->caller->token_id),
                                       db_text(rows, 0, 0).bytes};
        reply->changed_token = db_i64(rows, 0, 0);
        status = request_query(request, append, audited, 3, NULL, why);
    }
    if (!status)
        reply_code(reply, 204);
    db_rows_free(rows);
    return status;
}
