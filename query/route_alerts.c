#include "query/routes.h"

#define LIST "alerts"
#define COMMENT_BYTES_MAX 10000
#define NAME_BYTES_MAX 200

/* What lists and details of an alert have in common. */
#define ALERT_COLUMNS                                                                                                    \
    "SELECT (extract(epoch FROM a.first_seen_at) * 1000000)::bigint, a.alert_id, w.name, a.device_id, a.module_id,"       \
    " a.rule_id, a.cause, a.severity, a.title, a.details, a.status, a.repeat_count,"                                      \
    " (extract(epoch FROM a.last_seen_at) * 1000000)::bigint, a.first_seen_at::text, a.hit_count, a.assignee, a.tactics," \
    " a.techniques, a.found_later, a.simulated, a.closed_as, (extract(epoch FROM a.closed_at) * 1000000)::bigint,"        \
    " a.description, a.reasons, a.entities, a.remediation, a.workspace_id, a.incident_id, a.incident_reason"                \
    " FROM picket.alert a JOIN picket.workspace w ON w.workspace_id = a.workspace_id WHERE a.workspace_id = ANY($1::int[])"
enum { COLUMN_WORKSPACE_ID = 26 };

static void alert_write(const struct db_rows *rows, size_t i, struct reply *reply)
{
    reply_column_text(reply, "id", rows, i, 1);
    reply_column_text(reply, "workspace", rows, i, 2);
    reply_column_text(reply, "device", rows, i, 3);
    reply_column_text(reply, "module", rows, i, 4);
    reply_column_text(reply, "rule", rows, i, 5);
    reply_column_text(reply, "cause", rows, i, 6);
    reply_column_text(reply, "severity", rows, i, 7);
    reply_column_text(reply, "title", rows, i, 8);
    reply_column_text(reply, "status", rows, i, 10);
    reply_column_text(reply, "assignee", rows, i, 15);
    reply_column_number(reply, "repeats", rows, i, 11);
    reply_column_number(reply, "hits", rows, i, 14);
    reply_column_time(reply, "first_seen_at", rows, i, 0);
    reply_column_time(reply, "last_seen_at", rows, i, 12);
    reply_column_time(reply, "closed_at", rows, i, 21);
    reply_column_text(reply, "closed_as", rows, i, 20);
    reply_column_text(reply, "tactics", rows, i, 16);
    reply_column_text(reply, "techniques", rows, i, 17);
    reply_flag(reply, "found_later", db_bool(rows, i, 18));
    reply_flag(reply, "simulated", db_bool(rows, i, 19));
    reply_column_number(reply, "incident", rows, i, 27);
    reply_column_raw(reply, "details", rows, i, 9);
}

/* Ordered by when an alert was first seen, which never changes: by its last repetition, it would move between pages. */
ROUTE_HANDLER(alerts_list)
{
    static const char list[] =
        ALERT_COLUMNS
        " AND ($2::text IS NULL OR a.status = $2) AND ($9::text IS DISTINCT FROM 'true' OR a.status <> 'closed')"
        " AND ($3::text IS NULL OR a.severity = $3) AND ($4::text IS NULL OR a.device_id = $4)"
        " AND ($5::text IS NULL OR a.rule_id = $5)"
        " AND ($6::timestamptz IS NULL OR (a.first_seen_at, a.alert_id) < ($6::timestamptz, $7::uuid))"
        " ORDER BY a.first_seen_at DESC, a.alert_id DESC LIMIT $8::int + 1";
    static const char *const states[] = {"open", "in_progress", "closed", NULL};
    static const char *const severities[] = {"Informational", "Low", "Medium", "High", NULL};
    static const char *const flags[] = {"true", "false", NULL};
    const char *state = NULL, *severity = NULL, *active = NULL;
    struct db_rows *rows = NULL;
    struct page page;

    (void)query;
    enum status status = request_page(request, LIST, 2, &page, why);
    if (!status)
        status = request_word(request, "status", states, &state, why);
    if (!status)
        status = request_word(request, "severity", severities, &severity, why);
    if (!status)
        status = request_word(request, "active", flags, &active, why);
    if (status)
        return status;
    const char *const parameters[] = {request->scope, state,          severity,       request_argument(request, "device"),
                                      request_argument(request, "rule"), page.fields[0], page.fields[1],
                                      request_decimal(request, page.limit), active};
    status = request_query(request, list, parameters, 9, &rows, why);
    if (status)
        return status;
    request_page_write(request, reply, LIST, &page, rows, alert_write, (const int[]){13, 1}, 2);
    db_rows_free(rows);
    return STATUS_OK;
}

/* The alert of the path. `rows` is the caller's also where it is refused. */
static enum status alert_find(const struct request *request, struct reply *reply, struct db_rows **rows, struct problem *why)
{
    const char *const parameters[] = {request->scope, request_parameter(request, "id")};
    enum status status = request_query(request, ALERT_COLUMNS " AND a.alert_id = $2::uuid", parameters, 2, rows, why);

    if (!status && db_rows_count(*rows) == 0)
        status = reply_refuse(reply, why, 404, "NotFound", "There is no alert %.64s.", parameters[1]);
    return status;
}

static enum status events_write(const struct request *request, struct reply *reply, struct problem *why)
{
    /* What was dropped with its day is still named. */
    static const char list[] =
        "SELECT e.event_id, (extract(epoch FROM e.time_generated) * 1000000)::bigint, r.name, r.details::text"
        " FROM picket.alert_event e LEFT JOIN picket.raw_event r ON r.workspace_id = e.workspace_id AND r.device_id = e.device_id"
        " AND r.time_generated = e.time_generated AND r.event_id = e.event_id"
        " WHERE e.workspace_id = ANY($1::int[]) AND e.alert_id = $2::uuid ORDER BY e.time_generated, e.event_id";
    const char *const parameters[] = {request->scope, request_parameter(request, "id")};
    struct db_rows *rows = NULL;

    enum status status = request_query(request, list, parameters, 2, &rows, why);
    reply_open_array(reply, "events");
    for (size_t i = 0; !status && i < db_rows_count(rows); i++) {
        reply_open_object(reply, NULL);
        reply_column_text(reply, "id", rows, i, 0);
        reply_column_time(reply, "time_generated", rows, i, 1);
        reply_column_text(reply, "name", rows, i, 2);
        reply_column_raw(reply, "details", rows, i, 3);
        reply_close_object(reply);
    }
    reply_close_array(reply);
    db_rows_free(rows);
    return status;
}

static enum status comments_write(const struct request *request, struct reply *reply, struct problem *why)
{
    static const char list[] =
        "SELECT author, (extract(epoch FROM said_at) * 1000000)::bigint, body FROM picket.alert_comment"
        " WHERE workspace_id = ANY($1::int[]) AND alert_id = $2::uuid ORDER BY comment_id";
    const char *const parameters[] = {request->scope, request_parameter(request, "id")};
    struct db_rows *rows = NULL;

    enum status status = request_query(request, list, parameters, 2, &rows, why);
    reply_open_array(reply, "comments");
    for (size_t i = 0; !status && i < db_rows_count(rows); i++) {
        reply_open_object(reply, NULL);
        reply_column_text(reply, "author", rows, i, 0);
        reply_column_time(reply, "at", rows, i, 1);
        reply_column_text(reply, "body", rows, i, 2);
        reply_close_object(reply);
    }
    reply_close_array(reply);
    db_rows_free(rows);
    return status;
}

static enum status whole_write(const struct request *request, const struct db_rows *rows, struct reply *reply, struct problem *why)
{
    reply_open_object(reply, NULL);
    alert_write(rows, 0, reply);
    reply_column_text(reply, "incident_reason", rows, 0, 28);
    reply_column_text(reply, "description", rows, 0, 22);
    reply_column_raw(reply, "reasons", rows, 0, 23);
    reply_column_raw(reply, "entities", rows, 0, 24);
    reply_column_raw(reply, "remediation", rows, 0, 25);
    enum status status = events_write(request, reply, why);
    if (!status)
        status = comments_write(request, reply, why);
    reply_close_object(reply);
    return status;
}

ROUTE_HANDLER(alerts_show)
{
    struct db_rows *rows = NULL;

    (void)query;
    enum status status = alert_find(request, reply, &rows, why);
    if (!status)
        status = whole_write(request, rows, reply, why);
    db_rows_free(rows);
    return status;
}

/* One of `words`, NULL when the member is absent. */
static enum status member_word(const struct request *request, const char *name, const char *const *words, const char **out, struct problem *why)
{
    enum status status = request_string(request, name, out, why);

    if (!status && *out && !text_among(text_of(*out), words))
        status = problem_set(why, STATUS_REJECT, "\"%s\" is %s … or %s", name, words[0], words[1]);
    return status;
}

/* What is absent stays; an assignee of "" is nobody. What is closed says as what; what is opened again no longer does. */
ROUTE_HANDLER(alerts_change)
{
    static const char change[] =
        "UPDATE picket.alert SET status = coalesce($3, status), assignee = CASE WHEN $4::text IS NULL THEN assignee ELSE nullif($4, '') END,"
        " closed_at = CASE WHEN coalesce($3, status) = 'closed' THEN coalesce(closed_at, now()) END,"
        " closed_as = CASE WHEN coalesce($3, status) = 'closed' THEN coalesce($5, closed_as, 'undetermined') END"
        " WHERE workspace_id = ANY($1::int[]) AND alert_id = $2::uuid";
    static const char other[] =
        "SELECT o.alert_id FROM picket.alert a JOIN picket.alert o USING (workspace_id, device_id, module_id, rule_id, cause)"
        " WHERE a.workspace_id = ANY($1::int[]) AND a.alert_id = $2::uuid AND o.alert_id <> a.alert_id AND o.status <> 'closed'";
    static const char *const members[] = {"status", "assignee", "closed_as", NULL};
    static const char *const states[] = {"open", "in_progress", "closed", NULL};
    static const char *const verdicts[] = {"true_positive", "false_positive", "benign", "undetermined", NULL};
    const char *state = NULL, *assignee = NULL, *verdict = NULL;
    struct db_rows *rows = NULL, *others = NULL;

    (void)query;
    enum status status = request_members(request, members, why);
    if (!status)
        status = member_word(request, "status", states, &state, why);
    if (!status)
        status = member_word(request, "closed_as", verdicts, &verdict, why);
    if (!status)
        status = request_string(request, "assignee", &assignee, why);
    if (!status && assignee && strlen(assignee) > NAME_BYTES_MAX)
        status = problem_set(why, STATUS_REJECT, "\"assignee\" is at most %d bytes", NAME_BYTES_MAX);
    if (!status)
        status = alert_find(request, reply, &rows, why);
    const char *const parameters[] = {request->scope, request_parameter(request, "id"), state, assignee, verdict};
    bool reopens = !status && state && strcmp(state, "closed") != 0 && text_equal(db_text(rows, 0, 10), TEXT("closed"));
    if (reopens)
        status = request_query(request, other, parameters, 2, &others, why);
    if (!status && reopens && db_rows_count(others))
        status = reply_refuse(reply, why, 409, "Conflict", "Its cause came back meanwhile and has an alert of its own: %.*s.", TEXT_ARGS(db_text(others, 0, 0)));
    if (!status)
        status = request_query(request, change, parameters, 5, NULL, why);
    if (!status)
        status = request_audit(request, db_i64(rows, 0, COLUMN_WORKSPACE_ID), "alert.change", parameters[1], json_incref(request->body), why);
    db_rows_free(others);
    db_rows_free(rows);
    return status ? status : alerts_show(query, request, reply, why);
}

ROUTE_HANDLER(alerts_comment)
{
    static const char add[] = "INSERT INTO picket.alert_comment (workspace_id, alert_id, author, body)"
                              " VALUES ($1::int, $2::uuid, $3, $4)";
    static const char *const members[] = {"body", NULL};
    const char *body = NULL;
    struct db_rows *rows = NULL;

    (void)query;
    enum status status = request_members(request, members, why);
    if (!status)
        status = request_string(request, "body", &body, why);
    if (!status && (!body || !*body || strlen(body) > COMMENT_BYTES_MAX))
        status = problem_set(why, STATUS_REJECT, "\"body\" is a text of 1 to %d bytes", COMMENT_BYTES_MAX);
    if (!status)
        status = alert_find(request, reply, &rows, why);
    if (!status) {
        const char *const parameters[] = {request_decimal(request, db_i64(rows, 0, COLUMN_WORKSPACE_ID)), request_parameter(request, "id"),
                                          arena_format(request->arena, "token %lld", (long long)request->caller->token_id), body};
        status = request_query(request, add, parameters, 4, NULL, why);
    }
    db_rows_free(rows);
    return status ? status : alerts_show(query, request, reply, why);
}

/* Closing a closed one changes nothing and is no error: two people may press the same button. */
ROUTE_HANDLER(alerts_close)
{
    static const char find[] = "SELECT workspace_id, status FROM picket.alert WHERE workspace_id = ANY($1::int[])"
                               " AND alert_id = $2::uuid FOR UPDATE";
    static const char change[] = "UPDATE picket.alert SET status = 'closed', closed_at = now(),"
                                 " closed_as = 'undetermined' WHERE workspace_id = ANY($1::int[])"
                                 " AND alert_id = $2::uuid";
    const char *const parameters[] = {request->scope, request_parameter(request, "id")};
    struct db_rows *rows = NULL;

    (void)query;
    enum status status = request_query(request, find, parameters, 2, &rows, why);
    if (!status && db_rows_count(rows) == 0)
        status = reply_refuse(reply, why, 404, "NotFound", "There is no alert %.64s.", parameters[1]);
    if (!status && !text_equal(db_text(rows, 0, 1), TEXT("closed"))) {
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
