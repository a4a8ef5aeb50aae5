#include "query/routes.h"
#include "runtime/metrics.h"
#include "runtime/process.h"

#define SILENT_MAX 1000
#define MS_MAX (24 * 3600 * 1000)

static struct metric metrics[] = {
    METRIC_GAUGE_INIT("picket_canary_tried", "Detections that the last round of canaries tried."),
    METRIC_GAUGE_INIT("picket_canary_silent", "Of these, those of which no alert came."),
    METRIC_GAUGE_INIT("picket_canary_latency_p50_milliseconds", "From a canary's message to its alert: the median of the last round."),
    METRIC_GAUGE_INIT("picket_canary_latency_p99_milliseconds", "From a canary's message to its alert: 99 of 100 in the last round."),
};

void route_canary_register(void)
{
    metric_register(metrics, sizeof metrics / sizeof *metrics);
}

static enum status count_read(const struct request *request, const char *name, int64_t most, int64_t *out, struct problem *why)
{
    const json_t *value = json_object_get(request->body, name);

    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > most)
        return problem_set(why, STATUS_REJECT, "\"%s\" is a whole number from 0 to %lld", name, (long long)most);
    *out = json_integer_value(value);
    return STATUS_OK;
}

/* The names as the database reads an array. */
static enum status silent_read(const struct request *request, struct buf *out, struct problem *why)
{
    const json_t *silent = json_object_get(request->body, "silent"), *name;
    size_t i;

    if (!json_is_array(silent) || json_array_size(silent) > SILENT_MAX)
        return problem_set(why, STATUS_REJECT, "\"silent\" is a list of at most %d detections", SILENT_MAX);
    db_array_open(out);
    json_array_foreach(silent, i, name) {
        if (!json_is_string(name) || !json_string_length(name) || json_string_length(name) > 200)
            return problem_set(why, STATUS_REJECT, "\"silent\" has the ids of detections, of 1 to 200 bytes");
        db_array_text(out, text_of(json_string_value(name)));
    }
    db_array_close(out);
    return STATUS_OK;
}

/* Keeps what a round of canaries found: see picket.canary_keep(). */
ROUTE_HANDLER(canary_keep)
{
    static const char *const members[] = {"device", "tried", "silent", "p50_ms", "p99_ms", "longest_ms", "workspace", NULL};
    int64_t workspace = 0, tried = 0, p50 = 0, p99 = 0, longest = 0;
    const char *name, *device = NULL;
    struct buf silent;

    (void)query;
    buf_init(&silent, 1024 * 1024);
    enum status status = request_members(request, members, why);
    if (!status)
        status = request_workspace(request, &workspace, &name, why);
    if (!status)
        status = request_string(request, "device", &device, why);
    if (!status)
        status = count_read(request, "tried", SILENT_MAX, &tried, why);
    if (!status)
        status = silent_read(request, &silent, why);
    if (!status)
        status = count_read(request, "p50_ms", MS_MAX, &p50, why);
    if (!status)
        status = count_read(request, "p99_ms", MS_MAX, &p99, why);
    if (!status)
        status = count_read(request, "longest_ms", MS_MAX, &longest, why);
    if (!status) {
        const char *const parameters[] = {request_decimal(request, workspace), device ? device : "", request_decimal(request, tried), silent.bytes,
                                          request_decimal(request, p50), request_decimal(request, p99), request_decimal(request, longest)};
        status = request_query(request, "SELECT picket.canary_keep($1::int, $2, $3::int, $4::text[], $5::int, $6::int, $7::int)", parameters, 7, NULL, why);
    }
    buf_done(&silent);
    if (status)
        return status;
    metric_set(&metrics[0], tried);
    metric_set(&metrics[1], (int64_t)json_array_size(json_object_get(request->body, "silent")));
    metric_set(&metrics[2], p50);
    metric_set(&metrics[3], p99);
    reply_code(reply, 204);
    return STATUS_OK;
}

/* What operators look at first: is all ready, and does detection find what it must, how soon. */
ROUTE_HANDLER(health_report)
{
    static const char select[] = "SELECT w.name, (extract(epoch FROM c.at) * 1000000)::bigint, c.tried, to_json(c.silent), c.p50_ms, c.p99_ms, c.longest_ms,"
                                 " cardinality(c.silent) FROM picket.canary c JOIN picket.workspace w USING (workspace_id) WHERE c.workspace_id = ANY($1::int[]) ORDER BY w.name";
    const char *const parameters[] = {request->scope};
    struct db_rows *rows = NULL;
    struct buf ready;

    (void)query;
    enum status status = request_query(request, select, parameters, 1, &rows, why);
    if (status)
        return status;
    buf_init(&ready, 64 * 1024);
    bool well = process_print_ready(&ready);
    for (size_t i = 0; i < db_rows_count(rows); i++)
        well = well && !db_i64(rows, i, 7);
    reply_open_object(reply, NULL);
    reply_string(reply, "status", well ? "ok" : "degraded");
    reply_raw(reply, "readiness", buf_as_text(&ready));
    reply_open_array(reply, "canaries");
    for (size_t i = 0; i < db_rows_count(rows); i++) {
        reply_open_object(reply, NULL);
        reply_column_text(reply, "workspace", rows, i, 0);
        reply_column_time(reply, "at", rows, i, 1);
        reply_column_number(reply, "tried", rows, i, 2);
        reply_column_raw(reply, "silent", rows, i, 3);
        reply_column_number(reply, "latency_p50_ms", rows, i, 4);
        reply_column_number(reply, "latency_p99_ms", rows, i, 5);
        reply_column_number(reply, "latency_longest_ms", rows, i, 6);
        reply_close_object(reply);
    }
    reply_close_array(reply);
    reply_close_object(reply);
    buf_done(&ready);
    db_rows_free(rows);
    return STATUS_OK;
}
