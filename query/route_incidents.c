#include "query/routes.h"

#define LIST "incidents"

static const char select_incidents[] =
    "SELECT i.workspace_id, w.name, i.incident_id, i.title, i.severity, i.status, i.assignee, i.closed_as, i.alert_count, i.device_count, i.simulated,"
    " (extract(epoch FROM i.first_seen_at) * 1000000)::bigint, (extract(epoch FROM i.last_seen_at) * 1000000)::bigint, (extract(epoch FROM i.closed_at) * 1000000)::bigint"
    " FROM picket.incident i JOIN picket.workspace w USING (workspace_id) WHERE i.workspace_id = ANY($1::int[]) AND ($2::text IS NULL OR i.status = $2)"
    " AND ($3::bigint IS NULL OR i.incident_id < $3::bigint) AND ($4::bigint IS NULL OR i.incident_id = $4::bigint) ORDER BY i.incident_id DESC LIMIT $5::int + 1";

static void incident_write(const struct db_rows *rows, size_t i, struct reply *reply)
{
    reply_column_number(reply, "id", rows, i, 2);
    reply_column_text(reply, "workspace", rows, i, 1);
    reply_column_text(reply, "title", rows, i, 3);
    reply_column_text(reply, "severity", rows, i, 4);
    reply_column_text(reply, "status", rows, i, 5);
    reply_column_text(reply, "assignee", rows, i, 6);
    reply_column_text(reply, "closed_as", rows, i, 7);
    reply_column_number(reply, "alerts", rows, i, 8);
    reply_column_number(reply, "devices", rows, i, 9);
    reply_flag(reply, "simulated", db_bool(rows, i, 10));
    reply_column_time(reply, "first_seen_at", rows, i, 11);
    reply_column_time(reply, "last_seen_at", rows, i, 12);
    reply_column_time(reply, "closed_at", rows, i, 13);
}

ROUTE_HANDLER(incidents_list)
{
    static const char *const states[] = {"open", "in_progress", "closed", NULL};
    struct db_rows *rows = NULL;
    const char *state = NULL;
    struct page page;

    (void)query;
    enum status status = request_page(request, LIST, 1, &page, why);
    if (!status)
        status = request_word(request, "status", states, &state, why);
    if (status)
        return status;
    const char *const parameters[] = {request->scope, state, page.fields[0], NULL, request_decimal(request, page.limit)};
    status = request_query(request, select_incidents, parameters, 5, &rows, why);
    if (status)
        return status;
    request_page_write(request, reply, LIST, &page, rows, incident_write, (const int[]){2}, 1);
    db_rows_free(rows);
    return STATUS_OK;
}

static enum status incident_find(const struct request *request, struct reply *reply, struct db_rows **rows, struct problem *why)
{
    const char *const parameters[] = {request->scope, NULL, NULL, request_parameter(request, "id"), "1"};
    enum status status = request_query(request, select_incidents, parameters, 5, rows, why);

    if (!status && !db_rows_count(*rows))
        status = reply_refuse(reply, why, 404, "NotFound", "There is no incident %.40s.", parameters[3]);
    return status;
}

static enum status alerts_write(const struct request *request, const struct db_rows *incident, struct reply *reply, struct problem *why)
{
    static const char select[] =
        "SELECT alert_id, device_id, rule_id, cause, severity, title, status, incident_reason, repeat_count, (extract(epoch FROM first_seen_at) * 1000000)::bigint,"
        " (extract(epoch FROM last_seen_at) * 1000000)::bigint FROM picket.alert WHERE workspace_id = $1::int AND incident_id = $2::bigint ORDER BY first_seen_at, alert_id LIMIT 1000";
    const char *const parameters[] = {db_text(incident, 0, 0).bytes, request_parameter(request, "id")};
    struct db_rows *rows = NULL;
    enum status status = request_query(request, select, parameters, 2, &rows, why);

    reply_open_array(reply, "members");
    for (size_t i = 0; !status && i < db_rows_count(rows); i++) {
        reply_open_object(reply, NULL);
        reply_column_text(reply, "alert", rows, i, 0);
        reply_column_text(reply, "device", rows, i, 1);
        reply_column_text(reply, "rule", rows, i, 2);
        reply_column_text(reply, "cause", rows, i, 3);
        reply_column_text(reply, "severity", rows, i, 4);
        reply_column_text(reply, "title", rows, i, 5);
        reply_column_text(reply, "status", rows, i, 6);
        reply_column_text(reply, "reason", rows, i, 7);
        reply_column_number(reply, "repeats", rows, i, 8);
        reply_column_time(reply, "first_seen_at", rows, i, 9);
        reply_column_time(reply, "last_seen_at", rows, i, 10);
        reply_close_object(reply);
    }
    reply_close_array(reply);
    db_rows_free(rows);
    return status;
}

ROUTE_HANDLER(incidents_show)
{
    struct db_rows *rows = NULL;

    (void)query;
    enum status status = incident_find(request, reply, &rows, why);
    if (!status) {
        reply_open_object(reply, NULL);
        incident_write(rows, 0, reply);
        status = alerts_write(request, rows, reply, why);
        reply_close_object(reply);
    }
    db_rows_free(rows);
    return status;
}

/* Closing an incident closes its alerts as the same; opening it again leaves them closed. */
ROUTE_HANDLER(incidents_change)
{
    static const char change[] =
        "UPDATE picket.incident SET status = coalesce($3, status), assignee = CASE WHEN $4::text IS NULL THEN assignee ELSE nullif($4, '') END, changed_at = now(),"
        " closed_at = CASE WHEN coalesce($3, status) = 'closed' THEN coalesce(closed_at, now()) END,"
        " closed_as = CASE WHEN coalesce($3, status) = 'closed' THEN coalesce($5, closed_as, 'undetermined') END WHERE workspace_id = $1::int AND incident_id = $2::bigint";
    static const char close_alerts[] = "UPDATE picket.alert SET status = 'closed', closed_at = now(), closed_as = coalesce($3, 'undetermined')"
                                       " WHERE workspace_id = $1::int AND incident_id = $2::bigint AND status <> 'closed'";
    static const char *const members[] = {"status", "assignee", "closed_as", NULL};
    static const char *const states[] = {"open", "in_progress", "closed", NULL};
    static const char *const verdicts[] = {"true_positive", "false_positive", "benign", "undetermined", NULL};
    const char *state = NULL, *assignee = NULL, *verdict = NULL;
    struct db_rows *rows = NULL;

    enum status status = request_members(request, members, why);
    if (!status)
        status = request_string(request, "status", &state, why);
    if (!status && state && !text_among(text_of(state), states))
        status = problem_set(why, STATUS_REJECT, "\"status\" is open, in_progress or closed");
    if (!status)
        status = request_string(request, "closed_as", &verdict, why);
    if (!status && verdict && !text_among(text_of(verdict), verdicts))
        status = problem_set(why, STATUS_REJECT, "\"closed_as\" is true_positive, false_positive, benign or undetermined");
    if (!status)
        status = request_string(request, "assignee", &assignee, why);
    if (!status)
        status = incident_find(request, reply, &rows, why);
    if (!status) {
        const char *const parameters[] = {db_text(rows, 0, 0).bytes, request_parameter(request, "id"), state, assignee, verdict};
        const char *const closing[] = {parameters[0], parameters[1], verdict};
        status = request_query(request, change, parameters, 5, NULL, why);
        if (!status && state && strcmp(state, "closed") == 0)
            status = request_query(request, close_alerts, closing, 3, NULL, why);
        if (!status)
            status = request_audit(request, db_i64(rows, 0, 0), "incident.change", parameters[1], json_incref(request->body), why);
    }
    db_rows_free(rows);
    return status ? status : incidents_show(query, request, reply, why);
}
