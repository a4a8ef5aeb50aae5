#include "query/routes.h"

#include "runtime/clock.h"

#define LIST "exceptions"
#define PREVIEW_ROWS_MAX 200
#define TEXT_BYTES_MAX 2000

static const char select_exceptions[] =
    "SELECT x.workspace_id, w.name, x.exception_id, x.subject, x.rule_id, x.cause, x.scope, x.scope_value, x.reason, x.owner, (extract(epoch FROM x.expires_at) * 1000000)::bigint,"
    " (extract(epoch FROM x.created_at) * 1000000)::bigint, x.hidden_count, (extract(epoch FROM x.last_hidden_at) * 1000000)::bigint, coalesce(x.expires_at <= now(), false)"
    " FROM picket.exception x JOIN picket.workspace w USING (workspace_id) WHERE x.workspace_id = ANY($1::int[])"
    " AND ($2::int IS NULL OR (x.workspace_id, x.exception_id) > ($2::int, $3::uuid)) AND ($4::uuid IS NULL OR x.exception_id = $4::uuid)"
    " ORDER BY x.workspace_id, x.exception_id LIMIT $5::int + 1";

static void exception_write(const struct db_rows *rows, size_t i, struct reply *reply)
{
    reply_column_text(reply, "id", rows, i, 2);
    reply_column_text(reply, "workspace", rows, i, 1);
    reply_column_text(reply, "subject", rows, i, 3);
    reply_column_text(reply, "rule", rows, i, 4);
    reply_column_text(reply, "cause", rows, i, 5);
    reply_column_text(reply, "scope", rows, i, 6);
    reply_column_text(reply, "scope_value", rows, i, 7);
    reply_column_text(reply, "reason", rows, i, 8);
    reply_column_text(reply, "owner", rows, i, 9);
    reply_column_time(reply, "expires_at", rows, i, 10);
    reply_flag(reply, "expired", db_bool(rows, i, 14));
    reply_column_time(reply, "created_at", rows, i, 11);
    reply_column_number(reply, "hidden", rows, i, 12);
    reply_column_time(reply, "last_hidden_at", rows, i, 13);
}

ROUTE_HANDLER(exceptions_list)
{
    struct db_rows *rows = NULL;
    struct page page;

    (void)query;
    enum status status = request_page(request, LIST, 2, &page, why);
    if (status)
        return status;
    const char *const parameters[] = {request->scope, page.fields[0], page.fields[1], NULL, request_decimal(request, page.limit)};
    status = request_query(request, select_exceptions, parameters, 5, &rows, why);
    if (status)
        return status;
    request_page_write(request, reply, LIST, &page, rows, exception_write, (const int[]){0, 2}, 2);
    db_rows_free(rows);
    return STATUS_OK;
}

/* ---- making one ---- */

struct wish {
    const char *workspace; /* its number */
    const char *rule, *cause, *scope, *value, *reason, *owner, *expires;
    bool preview;
};

static enum status wish_read(const struct request *request, struct wish *out, struct problem *why)
{
    static const char *const members[] = {"rule", "cause", "scope", "scope_value", "reason", "owner", "expires_at", "preview", "workspace", NULL};
    static const char *const scopes[] = {"workspace", "group", "firmware", "device", NULL};
    const struct {
        const char *name, **into;
    } texts[] = {{"rule", &out->rule},   {"cause", &out->cause}, {"scope", &out->scope},       {"scope_value", &out->value},
                 {"reason", &out->reason}, {"owner", &out->owner}, {"expires_at", &out->expires}};
    const char *workspace_name;
    int64_t workspace = 0, expires_us;

    enum status status = request_members(request, members, why);
    for (size_t i = 0; !status && i < sizeof texts / sizeof *texts; i++) {
        status = request_string(request, texts[i].name, texts[i].into, why);
        if (!status && *texts[i].into && (!**texts[i].into || strlen(*texts[i].into) > TEXT_BYTES_MAX))
            status = problem_set(why, STATUS_REJECT, "\"%s\" is a text of 1 to %d bytes", texts[i].name, TEXT_BYTES_MAX);
    }
    if (!status)
        status = request_workspace(request, &workspace, &workspace_name, why);
    if (status)
        return status;
    out->workspace = request_decimal(request, workspace);
    out->preview = json_is_true(json_object_get(request->body, "preview"));
    if (!out->scope || !text_among(text_of(out->scope), scopes))
        return problem_set(why, STATUS_REJECT, "\"scope\" is workspace, group, firmware or device");
    if ((strcmp(out->scope, "workspace") == 0) != !out->value)
        return problem_set(why, STATUS_REJECT, "\"scope_value\" names the group, the firmware or the device, and is absent for a workspace");
    if (out->expires && !clock_parse(text_of(out->expires), &expires_us))
        return problem_set(why, STATUS_REJECT, "\"expires_at\" is a time: 2027-01-31T00:00:00Z");
    if (!out->preview && (!out->reason || !out->owner))
        return problem_set(why, STATUS_REJECT, "\"reason\" and \"owner\" say why, and who answers for it");
    return STATUS_OK;
}

/* What of the last 30 days it would have hidden. */
static enum status preview_write(const struct request *request, const struct wish *wish, struct reply *reply, struct problem *why)
{
    static const char select[] =
        "SELECT alert_id, device_id, rule_id, cause, severity, repeat_count, (extract(epoch FROM last_seen_at) * 1000000)::bigint, status, count(*) OVER (), sum(repeat_count) OVER ()"
        " FROM picket.alert a WHERE a.workspace_id = $1::int AND a.last_seen_at > now() - interval '30 days'"
        " AND picket.exception_covers($2, $3, $4, $5, a.workspace_id, a.device_id, a.rule_id, a.cause) ORDER BY last_seen_at DESC, alert_id LIMIT $6::int";
    const char *const parameters[] = {wish->workspace, wish->rule, wish->cause, wish->scope, wish->value, request_decimal(request, PREVIEW_ROWS_MAX)};
    struct db_rows *rows = NULL;
    enum status status = request_query(request, select, parameters, 6, &rows, why);

    if (!status) {
        size_t count = db_rows_count(rows);
        reply_number(reply, "would_hide_alerts", count ? db_i64(rows, 0, 8) : 0);
        reply_number(reply, "would_hide_findings", count ? db_i64(rows, 0, 9) : 0);
        reply_open_array(reply, "alerts");
        for (size_t i = 0; i < count; i++) {
            reply_open_object(reply, NULL);
            reply_column_text(reply, "id", rows, i, 0);
            reply_column_text(reply, "device", rows, i, 1);
            reply_column_text(reply, "rule", rows, i, 2);
            reply_column_text(reply, "cause", rows, i, 3);
            reply_column_text(reply, "severity", rows, i, 4);
            reply_column_number(reply, "repeats", rows, i, 5);
            reply_column_time(reply, "last_seen_at", rows, i, 6);
            reply_column_text(reply, "status", rows, i, 7);
            reply_close_object(reply);
        }
        reply_close_array(reply);
    }
    db_rows_free(rows);
    return status;
}

ROUTE_HANDLER(exceptions_create)
{
    static const char insert[] = "INSERT INTO picket.exception (workspace_id, rule_id, cause, scope, scope_value, reason, owner, expires_at)"
                                 " VALUES ($1::int, $2, $3, $4, $5, $6, $7, $8::timestamptz) RETURNING exception_id";
    struct wish wish = {.workspace = NULL};
    struct db_rows *rows = NULL, *made = NULL;

    (void)query;
    enum status status = wish_read(request, &wish, why);
    if (status)
        return status;
    reply_open_object(reply, NULL);
    if (!wish.preview) {
        const char *const parameters[] = {wish.workspace, wish.rule, wish.cause, wish.scope, wish.value, wish.reason, wish.owner, wish.expires};
        int64_t workspace = 0;
        (void)text_to_i64(text_of(wish.workspace), &workspace);
        status = request_query(request, insert, parameters, 8, &made, why);
        const char *const one[] = {request->scope, NULL, NULL, status ? NULL : db_text(made, 0, 0).bytes, "1"};
        if (!status)
            status = request_query(request, select_exceptions, one, 5, &rows, why);
        if (!status)
            status = request_audit(request, workspace, "exception.create", one[3], json_incref(request->body), why);
        if (!status) {
            reply_code(reply, 201);
            exception_write(rows, 0, reply);
        }
        db_rows_free(rows);
        db_rows_free(made);
    }
    if (!status)
        status = preview_write(request, &wish, reply, why);
    reply_close_object(reply);
    return status;
}

ROUTE_HANDLER(exceptions_remove)
{
    const char *const parameters[] = {request->scope, request_parameter(request, "id")};
    struct db_rows *rows = NULL;

    (void)query;
    enum status status = request_query(request, "DELETE FROM picket.exception WHERE workspace_id = ANY($1::int[]) AND exception_id = $2::uuid RETURNING workspace_id", parameters, 2,
                                       &rows, why);
    if (!status && !db_rows_count(rows))
        status = reply_refuse(reply, why, 404, "NotFound", "There is no exception %.64s.", parameters[1]);
    if (!status)
        status = request_audit(request, db_i64(rows, 0, 0), "exception.remove", parameters[1], NULL, why);
    db_rows_free(rows);
    return status;
}
