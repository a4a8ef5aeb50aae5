#include "store/alerts.h"

#include <assert.h>
#include <stdio.h>

#include "runtime/clock.h"

#define NUMBER_SIZE 24

static const char *string_or(struct arena *arena, struct text value, const char *otherwise)
{
    return value.bytes ? arena_string(arena, value) : otherwise;
}

enum status alerts_raise(struct db *db, const struct alert_note *note, uint32_t timeout_ms, struct problem *why)
{
    static const char upsert[] =
        "WITH judged AS MATERIALIZED (SELECT picket.exception_of($1::int, $2, $4, $5, $9::timestamptz) AS hidden_by),"
        " hidden AS (UPDATE picket.exception x SET hidden_count = x.hidden_count + 1, last_hidden_at = greatest(x.last_hidden_at, $9::timestamptz)"
        " FROM judged WHERE x.workspace_id = $1::int AND x.exception_id = hidden_by),"
        " raised AS (INSERT INTO picket.alert AS a (workspace_id, device_id, module_id, rule_id, cause, severity, title, details,"
        " first_seen_at, last_seen_at, reasons, entities, remediation, description, tactics, techniques, found_later) SELECT $1::int, $2, $3, $4,"
        " $5, $6, $7, $8::jsonb, $9::timestamptz, $9::timestamptz, $10::jsonb, $11::jsonb, $12::jsonb, $13, $14, $15, $16::boolean"
        " FROM judged WHERE hidden_by IS NULL"
        " ON CONFLICT (workspace_id, device_id, module_id, rule_id, cause) WHERE status <> 'closed' DO UPDATE SET"
        " repeat_count = a.repeat_count + 1, last_seen_at = greatest(a.last_seen_at, excluded.last_seen_at),"
        " severity = excluded.severity, details = excluded.details RETURNING a.workspace_id, a.alert_id, a.device_id)"
        " INSERT INTO picket.alert_event (workspace_id, alert_id, device_id, event_id, time_generated)"
        " SELECT r.*, $17::uuid, $18::timestamptz FROM raised r WHERE $17 IS NOT NULL ON CONFLICT DO NOTHING";
    char workspace[NUMBER_SIZE], at[CLOCK_TEXT_SIZE], received[CLOCK_TEXT_SIZE];
    struct arena arena;

    assert(note->rule && note->cause && note->severity && note->title && note->details.count);
    arena_init(&arena);
    snprintf(workspace, sizeof workspace, "%d", note->workspace);
    clock_format(note->at_us, at);
    clock_format(note->event_received_us, received);
    const char *const parameters[] = {
        workspace,
        string_or(&arena, note->device, ""),
        string_or(&arena, note->module, ""),
        note->rule, note->cause, note->severity, note->title,
        arena_string(&arena, note->details), at,
        string_or(&arena, note->reasons, "[]"),
        string_or(&arena, note->entities, "[]"),
        string_or(&arena, note->remediation, "[]"),
        string_or(&arena, note->description, ""),
        string_or(&arena, note->tactics, ""),
        string_or(&arena, note->techniques, ""),
        note->found_later ? "true" : "false",
        string_or(&arena, note->event_id, NULL),
        received,
    };
    enum status status = db_query(db, upsert, parameters, 18, timeout_ms, NULL, why);
    arena_done(&arena);
    return status;
}

enum status alerts_raise_everywhere(struct db *db, const struct alert_note *note, uint32_t timeout_ms,
                                    struct problem *why)
{
    struct db_rows *rows = NULL;
    enum status status = db_query(db, "SELECT workspace_id FROM picket.workspace ORDER BY 1", NULL, 0, timeout_ms,
                                  &rows, why);
    for (size_t i = 0; !status && i < db_rows_count(rows); i++) {
        struct alert_note each = *note;
        each.workspace = (int)db_i64(rows, i, 0);
        status = alerts_raise(db, &each, timeout_ms, why);
    }
    db_rows_free(rows);
    return status;
}

enum status alerts_judge_gaps(struct db *db, uint32_t timeout_ms, struct problem *why)
{
    /* One gap alerts once: an operator who closes the alert is not asked again until another number is missing. What
     * stands under no device is left out: a record that could not be read has the wall clock for a receipt time. */
    static const char raise_gaps[] =
        "WITH newest AS (SELECT max(last_seen_at) AS at FROM picket.device_activity WHERE device_id <> ''),"
        " old AS (UPDATE picket.ledger l SET gap_alerted = l.gap_from FROM newest"
        "  WHERE l.gap_from IS NOT NULL AND l.gap_since < newest.at - interval '1 day'"
        "  AND l.gap_alerted IS DISTINCT FROM l.gap_from"
        "  RETURNING l.*, newest.at AS newest_at)"
        " INSERT INTO picket.alert AS a (workspace_id, device_id, module_id, rule_id, cause, severity, title, details,"
        "  first_seen_at, last_seen_at)"
        " SELECT workspace_id, device_id, module_id, 'ledger.gap', epoch || '/' || stream, 'Medium',"
        "  'Events that the device numbered never arrived',"
        "  jsonb_build_object('Epoch', epoch, 'Stream', stream, 'From', gap_from, 'Highest', highest, 'Missing',"
        "   (SELECT coalesce(sum(upper(r) - lower(r)), 0) FROM unnest(int8multirange(int8range(settled_below, highest + 1))"
        "    - stored - dropped) AS r) + settled_lost),"
        "  gap_since, newest_at FROM old WHERE picket.exception_of(workspace_id, device_id, 'ledger.gap', epoch || '/' || stream, newest_at) IS NULL"
        " ON CONFLICT (workspace_id, device_id, module_id, rule_id, cause) WHERE status <> 'closed' DO UPDATE SET"
        "  repeat_count = a.repeat_count + 1, last_seen_at = excluded.last_seen_at, details = excluded.details";
    static const char close_filled[] =
        "UPDATE picket.alert a SET status = 'closed', closed_at = now() FROM picket.ledger l WHERE a.status <> 'closed'"
        " AND a.rule_id = 'ledger.gap' AND a.workspace_id = l.workspace_id AND a.device_id = l.device_id"
        " AND a.module_id = l.module_id AND a.cause = l.epoch || '/' || l.stream AND l.gap_from IS NULL"
        " AND l.settled_lost = 0";

    enum status status = db_query(db, raise_gaps, NULL, 0, timeout_ms, NULL, why);
    return status ? status : db_query(db, close_filled, NULL, 0, timeout_ms, NULL, why);
}

enum status alerts_judge_silence(struct db *db, uint32_t timeout_ms, struct problem *why)
{
    static const char raise_silence[] =
        "INSERT INTO picket.alert AS a (workspace_id, device_id, rule_id, severity, title, description, details, remediation, tactics, techniques, first_seen_at, last_seen_at)"
        " SELECT s.workspace_id, s.device_id, 'IoT_DeviceSilent', 'Low', 'A device is silent', 'No message of the device for 72 hours, while others sent.',"
        "  jsonb_build_object('LastSeen', s.last_seen_at), jsonb_build_array('See whether the device runs, and whether its agent does.',"
        "  'If it was taken out of service, disable it.'), 'Impact', 'T1489, T0814', s.last_seen_at, s.newest_at FROM picket.silent_devices() s"
        " WHERE picket.exception_of(s.workspace_id, s.device_id, 'IoT_DeviceSilent', '', s.newest_at) IS NULL"
        "  AND NOT EXISTS (SELECT 1 FROM picket.alert o WHERE o.workspace_id = s.workspace_id AND o.device_id = s.device_id AND o.rule_id = 'IoT_DeviceSilent'"
        "   AND (o.status <> 'closed' OR o.first_seen_at = s.last_seen_at))";
    static const char close_heard[] =
        "UPDATE picket.alert a SET status = 'closed', closed_at = now() FROM picket.device_activity d WHERE a.status <> 'closed' AND a.rule_id = 'IoT_DeviceSilent'"
        " AND d.workspace_id = a.workspace_id AND d.device_id = a.device_id AND d.last_seen_at > a.first_seen_at + interval '1 second'";

    enum status status = db_query(db, close_heard, NULL, 0, timeout_ms, NULL, why);
    return status ? status : db_query(db, raise_silence, NULL, 0, timeout_ms, NULL, why);
}
