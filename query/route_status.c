#include "query/routes.h"

#include "runtime/clock.h"
#include "runtime/metrics.h"
#include "runtime/process.h"

/* Counts are sums of what store keeps per device: no large table is read for them. */
ROUTE_HANDLER(status_show)
{
    static const char count[] =
        "SELECT d.devices, d.modules, a.seen, a.messages, a.events, a.resends, a.refused, a.departures, l.lost, l.missing,"
        " l.dropped,"
        " (SELECT count(*) FROM picket.alert WHERE workspace_id = ANY($1::int[]) AND status <> 'closed'),"
        " (SELECT count(*) FROM picket.dead_letter WHERE workspace_id = ANY($1::int[]) AND state <> 'replayed'),"
        " (SELECT count(*) FROM picket.bus_gap)"
        " FROM (SELECT count(*) FILTER (WHERE module_id = '') AS devices, count(*) FILTER (WHERE module_id <> '') AS modules"
        "  FROM picket.device WHERE workspace_id = ANY($1::int[]) AND status <> 'deleted') d,"
        " (SELECT count(DISTINCT (workspace_id, device_id)) FILTER (WHERE last_seen_at > now() - interval '5 minutes') AS seen,"
        "  coalesce(sum(message_count), 0)::bigint AS messages, coalesce(sum(event_count), 0)::bigint AS events,"
        "  coalesce(sum(resend_count), 0)::bigint AS resends, coalesce(sum(refused_count), 0)::bigint AS refused,"
        "  coalesce(sum(departure_count), 0)::bigint AS departures"
        "  FROM picket.device_activity WHERE workspace_id = ANY($1::int[])) a,"
        " (SELECT coalesce(sum(s.lost + s.missing), 0)::bigint AS lost, coalesce(sum(s.missing), 0)::bigint AS missing,"
        "  coalesce(sum(s.dropped), 0)::bigint AS dropped FROM (SELECT g.settled_lost AS lost, CASE WHEN g.gap_from IS NULL THEN 0 ELSE"
        "   (SELECT coalesce(sum(upper(r) - lower(r)), 0) FROM unnest(int8multirange(int8range(g.settled_below,"
        "    greatest(g.highest + 1, g.settled_below))) - g.stored - g.dropped) r) END AS missing,"
        "   CASE WHEN g.dropped = '{}' THEN 0 ELSE (SELECT coalesce(sum(upper(r) - lower(r)), 0)"
        "    FROM unnest(g.dropped - g.stored) r) END AS dropped"
        "   FROM picket.ledger g WHERE g.workspace_id = ANY($1::int[])) s) l";
    static const char *const names[] = {"devices", "modules", "devices_seen", "messages", "events", "resends", "refused",
                                        "departures", "lost", "missing", "dropped", "alerts_open", "dead_letters",
                                        "bus_gaps"};
    const char *const parameters[] = {request->scope};
    struct db_rows *rows = NULL;
    char now[CLOCK_TEXT_SIZE];
    struct buf ready;

    (void)query;
    enum status status = request_query(request, count, parameters, 1, &rows, why);
    if (status)
        return status;
    clock_format(clock_utc_us(), now);
    buf_init(&ready, 64 * 1024);
    (void)process_print_ready(&ready);
    reply_open_object(reply, NULL);
    reply_string(reply, "version", PICKET_VERSION);
    reply_string(reply, "time", now);
    for (int i = 0; i < (int)(sizeof names / sizeof names[0]); i++)
        reply_column_number(reply, names[i], rows, 0, i);
    reply_raw(reply, "readiness", buf_as_text(&ready));
    reply_close_object(reply);
    buf_done(&ready);
    db_rows_free(rows);
    return STATUS_OK;
}

ROUTE_HANDLER(health_show)
{
    (void)query;
    (void)request;
    (void)why;
    reply_open_object(reply, NULL);
    reply_string(reply, "status", "ok");
    reply_close_object(reply);
    return STATUS_OK;
}

ROUTE_HANDLER(ready_show)
{
    (void)query;
    (void)request;
    (void)why;
    if (!process_print_ready(reply->body))
        reply_code(reply, 503);
    return STATUS_OK;
}

ROUTE_HANDLER(metrics_show)
{
    (void)query;
    (void)request;
    (void)why;
    metrics_print(http_reply_body(reply->exchange, "text/plain; version=0.0.4; charset=utf-8"));
    return STATUS_OK;
}
