#include "query/routes.h"

#define LIST "alerts"

/* Ordered by when an alert was first seen, which never changes: by its last repetition, it would move between pages. */
ROUTE_HANDLER(alerts_list)
{
    static const char list[] =
        "SELECT (extract(epoch FROM a.first_seen_at) * 1000000)::bigint, a.alert_id, w.name, a.device_id, a.module_id,"
        " a.rule_id, a.cause, a.severity, a.title, a.details, a.status, a.repeat_count,"
        " (extract(epoch FROM a.last_seen_at) * 1000000)::bigint, a.first_seen_at::text"
        " FROM picket.alert a JOIN picket.workspace w ON w.workspace_id = a.workspace_id"
        " WHERE a.workspace_id = ANY($1::int[]) AND ($2::text IS NULL OR a.status = $2)"
        " AND ($3::text IS NULL OR a.severity = $3) AND ($4::text IS NULL OR a.device_id = $4)"
        " AND ($5::text IS NULL OR a.rule_id = $5)"
        " AND ($6::timestamptz IS NULL OR (a.first_seen_at, a.alert_id) < ($6::timestamptz, $7::uuid))"
        " ORDER BY a.first_seen_at DESC, a.alert_id DESC LIMIT $8::int + 1";
    static const char *const states[] = {"open", "closed", NULL};
    static const char *const severities[] = {"Informational", "Low", "Medium", "High", NULL};
    const char *state = NULL, *severity = NULL;
    struct db_rows *rows = NULL;
    struct page page;

    (void)query;
    enum status status = request_page(request, LIST, 2, &page, why);
    if (!status)
        status = request_word(request, "status", states, &state, why);
    if (!status)
        status = request_word(request, "severity", severities, &severity, why);
    if (status)
        return status;
    const char *const parameters[] = {request->scope, state,          severity,       request_argument(request, "device"),
                                      request_argument(request, "rule"), page.fields[0], page.fields[1],
                                      request_decimal(request, page.limit)};
    status = request_query(request, list, parameters, 8, &rows, why);
    if (status)
        return status;
    reply_open_object(reply, NULL);
    reply_open_array(reply, LIST);
    for (size_t i = 0; i < request_page_rows(&page, rows); i++) {
        reply_open_object(reply, NULL);
        reply_column_text(reply, "id", rows, i, 1);
        reply_column_text(reply, "workspace", rows, i, 2);
        reply_column_text(reply, "device", rows, i, 3);
        reply_column_text(reply, "module", rows, i, 4);
        reply_column_text(reply, "rule", rows, i, 5);
        reply_column_text(reply, "cause", rows, i, 6);
        reply_column_text(reply, "severity", rows, i, 7);
        reply_column_text(reply, "title", rows, i, 8);
        reply_column_text(reply, "status", rows, i, 10);
        reply_column_number(reply, "repeats", rows, i, 11);
        reply_column_time(reply, "first_seen_at", rows, i, 0);
        reply_column_time(reply, "last_seen_at", rows, i, 12);
        reply_column_raw(reply, "details", rows, i, 9);
        reply_close_object(reply);
    }
    request_page_end(request, reply, LIST, &page, rows, (const int[]){13, 1}, 2);
    db_rows_free(rows);
    return STATUS_OK;
}

/* Closing a closed one changes nothing and is no error: two people may press the same button. */
ROUTE_HANDLER(alerts_close)
{
    static const char find[] = "SELECT workspace_id, status FROM picket.alert WHERE workspace_id = ANY($1::int[])"
                               " AND alert_id = $2::uuid FOR UPDATE";
    static const char change[] = "UPDATE picket.alert SET status = 'closed' WHERE workspace_id = ANY($1::int[])"
                                 " AND alert_id = $2::uuid";
    const char *const parameters[] = {request->scope, request_parameter(request, "id")};
    struct db_rows *rows = NULL;

    (void)query;
    enum status status = request_query(request, find, parameters, 2, &rows, why);
    if (!status && db_rows_count(rows) == 0)
        status = reply_refuse(reply, why, 404, "NotFound", "There is no alert %.64s.", parameters[1]);
    if (!status && text_equal(db_text(rows, 0, 1), TEXT("open"))) {
        status = request_query(request, change, parameters, 2, NULL, why);
        if (!status)
            status = request_audit(request, db_i64(rows, 0, 0), "alert.close", parameters[1], NULL, why);
    }
    db_rows_free(rows);
    if (status)
        return status;
    reply_open_object(reply, NULL);
    reply_string(reply, "id", parameters[1]);
    reply_string(reply, "status", "closed");
    reply_close_object(reply);
    return STATUS_OK;
}
