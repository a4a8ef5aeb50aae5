#include "forward/alert_topic.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "forward/forward_metrics.h"

#define ROUND_ALERTS "500"
#define SEND_MS 60000 /* above bus_send_timeout_ms: whatever becomes of a record is known by then */

#define ISO(column) "to_char(" column " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"

/* Records on their way. It outlives the round where Kafka answers later. */
struct sending {
    _Atomic size_t held; /* by the round, and by each record */
    _Atomic size_t failed;
};

static void sending_give(struct sending *sending)
{
    if (atomic_fetch_sub(&sending->held, 1) == 1)
        free(sending);
}

static void alert_sent(void *context, enum status status, const struct bus_receipt *receipt, const struct problem *why)
{
    struct sending *sending = context;

    (void)receipt, (void)why;
    if (status)
        atomic_fetch_add(&sending->failed, 1);
    sending_give(sending);
}

/* commit_xid, id, workspace, severity, status, rule, json */
static enum status alert_send(struct bus *bus, const struct db_rows *rows, size_t row, struct sending *sending, struct problem *why)
{
    const struct bus_header headers[] = {
        {TEXT("version"), TEXT("1")},
        {TEXT("workspace"), db_text(rows, row, 2)},
        {TEXT("severity"), db_text(rows, row, 3)},
        {TEXT("status"), db_text(rows, row, 4)},
        {TEXT("rule"), db_text(rows, row, 5)},
    };
    const struct bus_record record = {.key = db_text(rows, row, 1), .value = db_text(rows, row, 6), .headers = headers, .header_count = sizeof headers / sizeof *headers};

    atomic_fetch_add(&sending->held, 1);
    enum status status = bus_send(bus, &record, alert_sent, sending, why);
    if (status)
        sending_give(sending);
    return status;
}

static enum status alerts_send(struct bus *bus, const struct db_rows *rows, struct problem *why)
{
    struct sending *sending = calloc(1, sizeof *sending);
    enum status status = STATUS_OK;

    if (!sending)
        abort();
    sending->held = 1;
    for (size_t i = 0; !status && i < db_rows_count(rows); i++)
        status = alert_send(bus, rows, i, sending, why);
    if (!bus_flush(bus, SEND_MS) && !status)
        status = problem_set(why, STATUS_RETRY, "kafka: %s: no acknowledgement within %d s", bus_topic(bus), SEND_MS / 1000);
    if (!status && sending->failed)
        status = problem_set(why, STATUS_RETRY, "kafka: %s: %zu alerts were not taken", bus_topic(bus), (size_t)sending->failed);
    sending_give(sending);
    return status;
}

static enum status cursor_move(struct db *db, const struct db_rows *rows, struct problem *why)
{
    size_t last = db_rows_count(rows) - 1;
    const char *const parameters[] = {db_text(rows, last, 0).bytes, db_text(rows, last, 1).bytes};

    return db_query(db, "UPDATE picket.forward_cursor SET commit_xid = $1::xid8, id = $2::uuid WHERE sink = 'alerts'", parameters, 2, ALERT_TOPIC_STATEMENT_MS, NULL, why);
}

/* In the transaction that holds the cursor's row. */
static enum status changes_send(struct db *db, struct bus *bus, const struct db_rows *cursor, bool *more, struct problem *why)
{
    static const char select[] =
        "SELECT a.commit_xid, a.alert_id, w.name, a.severity, a.status, a.rule_id, json_build_object('version', 1, 'id', a.alert_id, 'workspace', w.name, 'device', a.device_id,"
        " 'module', a.module_id, 'rule', a.rule_id, 'cause', a.cause, 'severity', a.severity, 'title', a.title, 'description', a.description, 'status', a.status,"
        " 'assignee', a.assignee, 'repeats', a.repeat_count, 'hits', a.hit_count, 'first_seen_at', " ISO("a.first_seen_at") ", 'last_seen_at', " ISO("a.last_seen_at") ","
        " 'closed_at', " ISO("a.closed_at") ", 'closed_as', a.closed_as, 'tactics', a.tactics, 'techniques', a.techniques, 'found_later', a.found_later, 'simulated', a.simulated,"
        " 'incident', a.incident_id, 'details', a.details, 'reasons', a.reasons, 'entities', a.entities, 'remediation', a.remediation,"
        " 'events', (SELECT coalesce(json_agg(e.event_id ORDER BY e.time_generated, e.event_id), '[]') FROM picket.alert_event e"
        "  WHERE e.workspace_id = a.workspace_id AND e.alert_id = a.alert_id))::text"
        " FROM picket.alert a JOIN picket.workspace w USING (workspace_id)"
        " WHERE (a.commit_xid, a.alert_id) > ($1::xid8, $2::uuid) AND a.commit_xid < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY a.commit_xid, a.alert_id LIMIT $3::int";
    const char *const parameters[] = {db_text(cursor, 0, 0).bytes, db_text(cursor, 0, 1).bytes, ROUND_ALERTS};
    struct db_rows *rows = NULL;

    enum status status = db_query(db, select, parameters, 3, ALERT_TOPIC_STATEMENT_MS, &rows, why);
    size_t count = status ? 0 : db_rows_count(rows);
    if (count)
        status = alerts_send(bus, rows, why);
    if (count && !status)
        status = cursor_move(db, rows, why);
    if (!status)
        metric_add(&forward_metrics.alerts, (int64_t)count);
    *more = count > 0;
    db_rows_free(rows);
    return status;
}

enum status alert_topic_round(struct db *db, struct bus *bus, bool *more, struct problem *why)
{
    /* A cursor of another cluster, which is ahead of this one after a restore, begins anew. */
    static const char take[] = "SELECT CASE WHEN commit_xid >= pg_snapshot_xmax(pg_current_snapshot()) THEN '0' ELSE commit_xid END, id FROM picket.forward_cursor"
                               " WHERE sink = 'alerts' FOR UPDATE SKIP LOCKED";
    struct db_rows *cursor = NULL;

    *more = false;
    enum status status = db_begin(db, ALERT_TOPIC_STATEMENT_MS, why);
    if (!status)
        status = db_query(db, take, NULL, 0, ALERT_TOPIC_STATEMENT_MS, &cursor, why);
    if (!status && db_rows_count(cursor))
        status = changes_send(db, bus, cursor, more, why);
    db_rows_free(cursor);
    if (!status)
        return db_commit(db, ALERT_TOPIC_STATEMENT_MS, why);
    db_rollback(db);
    return status;
}
