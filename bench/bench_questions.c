#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kql/kql.h"
#include "query/catalogs.h"
#include "runtime/clock.h"
#include "runtime/process.h"
#include "tests/support/database.h"
#include "tests/support/migrate.h"

/* What KQL costs beside SQL that a person writes for the same answer: ten questions about events of 1,000 devices over 30
 * days, both as picket_query, under the same policy and on one connection, in turns; the time in the middle of five counts.
 * And the questions whose time is promised as such.
 *
 *   bench_questions [events [conninfo]]     conninfo: of a database that was filled so already */

#define RATIO_MAX 1.25
#define TRIES 5
#define QUERY_MS 600000
#define DEVICES 1000
#define DAYS 30

/* The same question twice, of the moment that is now for both; it is $1 in SQL. */
struct pair {
    const char *name, *kql, *sql;
    double limit_ms; /* of the compiled one; 0: none */
};

static const struct pair pairs[] = {
    {"fleet overview, 30 days",
     "SecurityIoTRawEvent | where TimeGenerated > ago(30d) | summarize count() by RawEventName, bin(TimeGenerated, 1h)",
     "SELECT name, h, sum(n)::bigint FROM (SELECT name, hour AS h, event_count AS n FROM picket.event_hour"
     " WHERE workspace_id = 1 AND hour >= date_trunc('hour', $1::timestamptz - interval '30 days') + interval '1 hour'"
     " UNION ALL SELECT name, date_trunc('hour', time_generated), 1 FROM picket.raw_event WHERE workspace_id = 1"
     " AND time_generated > $1::timestamptz - interval '30 days'"
     " AND time_generated < date_trunc('hour', $1::timestamptz - interval '30 days') + interval '1 hour') a GROUP BY 1, 2",
     300},
    {"one device, 24 hours",
     "SecurityIoTRawEvent | where DeviceId == 'device-0042' and TimeGenerated > ago(24h) | order by TimeGenerated desc"
     " | project TimeGenerated, RawEventName, RawEventCategory, HitCount",
     "SELECT time_generated, name, category, hit_count FROM picket.raw_event WHERE workspace_id = 1 AND device_id = 'device-0042'"
     " AND time_generated > $1::timestamptz - interval '24 hours' ORDER BY time_generated DESC",
     100},
    {"who speaks to an address, a day",
     "SecurityIoTRawEvent | where TimeGenerated > ago(1d) and RawEventName == 'ConnectionCreate' | extend d = parse_json(EventDetails)"
     " | where d.RemoteAddress == '10.4.18.9' | summarize count() by DeviceId",
     "SELECT device_id, count(*) FROM picket.raw_event WHERE workspace_id = 1 AND time_generated > $1::timestamptz - interval '1 day'"
     " AND name = 'ConnectionCreate' AND details ->> 'RemoteAddress' = '10.4.18.9' GROUP BY device_id",
     0},
    {"ten busiest addresses, a day",
     "DeviceNetworkEvents | where TimeGenerated > ago(1d) | summarize c = count() by RemoteIP | top 10 by c | project c",
     "SELECT count(*) AS c FROM picket.raw_event WHERE workspace_id = 1 AND time_generated > $1::timestamptz - interval '1 day'"
     " AND name IN ('ConnectionCreate', 'NetworkActivity', 'ListeningPorts') GROUP BY remote_address ORDER BY c DESC LIMIT 10",
     0},
    {"programs by device, a week",
     "DeviceProcessEvents | where TimeGenerated > ago(7d) | summarize n = dcount(FileName) by DeviceId",
     "SELECT device_id, count(*) FROM (SELECT device_id, substring(executable FROM '[^/\\\\]*$') FROM picket.raw_event WHERE workspace_id = 1"
     " AND time_generated > $1::timestamptz - interval '7 days' AND name IN ('ProcessCreate', 'ProcessTerminate', 'Process')"
     " GROUP BY 1, 2) p GROUP BY device_id",
     0},
    {"each device's last event, a week",
     "SecurityIoTRawEvent | where TimeGenerated > ago(7d) | summarize arg_max(TimeGenerated, RawEventName) by DeviceId",
     /* Of the events alone, as KQL has it: one whose device was deleted meanwhile counts. */
     "SELECT DISTINCT ON (r.device_id) r.device_id, r.time_generated, r.name FROM (SELECT device_id, max(time_generated) AS t FROM picket.raw_event"
     " WHERE workspace_id = 1 AND time_generated > $1::timestamptz - interval '7 days' GROUP BY device_id) l"
     " JOIN picket.raw_event r ON r.device_id = l.device_id AND r.time_generated = l.t WHERE r.workspace_id = 1"
     " AND r.time_generated > $1::timestamptz - interval '7 days' ORDER BY r.device_id, r.time_generated DESC",
     0},
    {"logons by account and day, a week",
     "DeviceLogonEvents | where TimeGenerated > ago(7d) | summarize count() by AccountName, bin(TimeGenerated, 1d)",
     "SELECT user_name, date_trunc('day', time_generated), count(*) FROM picket.raw_event WHERE workspace_id = 1"
     " AND time_generated > $1::timestamptz - interval '7 days' AND name = 'Login' GROUP BY 1, 2",
     0},
    {"devices by kind of event, 30 days",
     "SecurityIoTRawEvent | where TimeGenerated > ago(30d) | summarize dcount(DeviceId) by RawEventName",
     "SELECT name, count(*) FROM (SELECT name, device_id FROM picket.raw_event WHERE workspace_id = 1"
     " AND time_generated > $1::timestamptz - interval '30 days' GROUP BY name, device_id) d GROUP BY name",
     0},
    {"programs of today that were not there in the week",
     "DeviceProcessEvents | where TimeGenerated > ago(1d) | distinct FolderPath"
     " | join kind=leftanti (DeviceProcessEvents | where TimeGenerated between (ago(8d) .. ago(1d)) | distinct FolderPath) on FolderPath | count",
     "SELECT count(*) FROM (SELECT DISTINCT coalesce(executable, '') FROM picket.raw_event WHERE workspace_id = 1"
     " AND time_generated > $1::timestamptz - interval '1 day' AND name IN ('ProcessCreate', 'ProcessTerminate', 'Process')"
     " EXCEPT SELECT DISTINCT coalesce(executable, '') FROM picket.raw_event WHERE workspace_id = 1"
     " AND time_generated >= $1::timestamptz - interval '8 days' AND time_generated <= $1::timestamptz - interval '1 day'"
     " AND name IN ('ProcessCreate', 'ProcessTerminate', 'Process')) n",
     0},
    {"a word in the details, a day",
     "SecurityIoTRawEvent | where TimeGenerated > ago(1d) and EventDetails has 'nosuchword' | count",
     "SELECT count(*) FROM picket.raw_event WHERE workspace_id = 1 AND time_generated > $1::timestamptz - interval '1 day'"
     " AND details::text ILIKE '%nosuchword%'",
     0},
};

/* These have no peer: SQL has no words for terms. */
static const struct pair alone[] = {
    {"search for a common word, 24 hours", "search in (SecurityIoTRawEvent) 'happened' | where TimeGenerated > ago(24h) | count", NULL, 2000},
    {"search for a rare word, 24 hours", "search in (SecurityIoTRawEvent) 'nosuchword' | where TimeGenerated > ago(24h) | count", NULL, 2000},
};

struct bench {
    struct db *owner, *db;
    struct catalogs *catalogs;
    const struct catalog *catalog;
    struct kql_named workspace;
    struct arena arena;
    char now[CLOCK_TEXT_SIZE];
    int64_t now_us;
    bool missed;
};

static struct problem why;

static void check(enum status status, const char *what)
{
    if (!status)
        return;
    fprintf(stderr, "bench_questions: %s: %s\n", what, why.text);
    exit(1);
}

/* ---- events ---- */

/* $1: now, $2 and $3: the numbers of events, $4: of all of them. */
static const char events_put[] =
    "INSERT INTO picket.raw_event (workspace_id, device_id, time_generated, time_stamp, event_id, element, type, category, name, agent_version,"
    " remote_address, remote_port, local_port, executable, process_id, user_name, details, bus_topic_id, bus_partition, bus_offset)"
    " SELECT 1, 'device-' || lpad((i::bigint * 7919 % 1000)::text, 4, '0'), t, t - interval '2 s', gen_random_uuid(), 0, 'Security',"
    "  CASE WHEN k < 7 THEN 'Triggered' ELSE 'Periodic' END,"
    "  (ARRAY['ProcessCreate','ProcessTerminate','ConnectionCreate','ConnectionCreate','ListeningPorts','Login','FileSystem','SystemInformation',"
    "         'Log','Heartbeat'])[k + 1], '4.6.2',"
    "  CASE WHEN k IN (2, 3, 5) THEN ('10.' || (i % 200) || '.' || (i / 3 % 250) || '.9')::inet END, CASE WHEN k IN (2, 3) THEN 443 END,"
    "  CASE WHEN k IN (2, 3) THEN 40000 + i % 20000 END, CASE WHEN k < 6 THEN '/usr/bin/tool-' || (i % 50) END, CASE WHEN k < 6 THEN i % 30000 END,"
    "  CASE WHEN k IN (0, 5) THEN 'user-' || (i % 20) END,"
    "  CASE WHEN k < 2 THEN jsonb_build_object('Executable', '/usr/bin/tool-' || (i % 50), 'CommandLine', 'tool -x ' || i, 'ProcessId', i % 30000,"
    "                                          'ParentProcessId', 1, 'UserId', '0')"
    "       WHEN k < 4 THEN jsonb_build_object('Direction', 'Out', 'Protocol', 'TCP', 'RemoteAddress', '10.' || (i % 200) || '.' || (i / 3 % 250) || '.9',"
    "                                          'RemotePort', 443, 'BytesOut', i % 9999)"
    "       ELSE jsonb_build_object('Message', 'something happened number ' || i, 'Level', 'Information') END,"
    "  1, i % 8, i"
    " FROM (SELECT i, i * 3 % 10 AS k, $1::timestamptz - interval '30 days' + i * (interval '30 days' / $4::int) AS t"
    "         FROM generate_series($2::int, $3::int) i) g";

static void run(struct bench *bench, const char *sql, const char *const *parameters, size_t count)
{
    check(db_query(bench->owner, sql, parameters, count, QUERY_MS, NULL, &why), sql);
}

static void events_make(struct bench *bench, long events)
{
    char from[24], to[24], all[24];
    const char *const parameters[] = {bench->now, from, to, all};

    check(migrate_all(database_conninfo(), &why), "migrate");
    check(db_open(database_conninfo(), NULL, "bench", &bench->owner, &why), "open");
    run(bench, "INSERT INTO picket.bus_topic (cluster, topic) VALUES ('bench', 'bench')", NULL, 0);
    run(bench, "INSERT INTO picket.device (workspace_id, device_id) SELECT 1, 'device-' || lpad(n::text, 4, '0') FROM generate_series(0, 999) n",
        NULL, 0);
    run(bench, "SELECT picket.partitions_make($1::timestamptz - interval '30 days', $1::timestamptz + interval '1 day')", parameters, 1);
    snprintf(all, sizeof all, "%ld", events);
    for (int day = 0; day < DAYS; day++) {
        snprintf(from, sizeof from, "%ld", events * day / DAYS + 1);
        snprintf(to, sizeof to, "%ld", events * (day + 1) / DAYS);
        run(bench, events_put, parameters, 4);
        fprintf(stderr, "\r%ld of %ld events", events * (day + 1) / DAYS, events);
    }
    fprintf(stderr, "\r%40s\r", "");
    run(bench, "VACUUM ANALYZE picket.raw_event", NULL, 0);
    run(bench, "VACUUM ANALYZE picket.event_hour", NULL, 0);
    run(bench, "ANALYZE picket.device", NULL, 0);
    run(bench, "CHECKPOINT", NULL, 0);
}

/* ---- asking ---- */

/* As query/question.c has it. */
static void transaction_open(struct bench *bench)
{
    check(db_begin(bench->db, QUERY_MS, &why), "begin");
    check(db_query(bench->db, "SELECT set_config('picket.workspaces', '{1}', true), set_config('transaction_read_only', 'on', true),"
                              " set_config('jit', 'off', true)", NULL, 0, QUERY_MS, NULL, &why), "scope");
}

static const struct kql_sql *compiled(struct bench *bench, const struct pair *pair)
{
    const struct kql_options options = {
        .now_ticks = KQL_TICKS_OF_EPOCH + bench->now_us * 10, .workspaces = &bench->workspace, .workspace_count = 1};
    struct kql_diagnostic wrong;
    struct bound_query *query;
    struct kql_sql *sql = NULL;

    if (kql_bind(text_of(pair->kql), bench->catalog, &options, &bench->arena, &query, &wrong) ||
        kql_emit(query, "kql", &bench->arena, &sql, &wrong)) {
        fprintf(stderr, "bench_questions: %s: %s\n", pair->name, wrong.message);
        exit(1);
    }
    return sql;
}

static struct db_rows *answer(struct bench *bench, const struct pair *pair, const struct kql_sql *sql, double *ms)
{
    const char *const by_hand[] = {bench->now}, *const *parameters = by_hand;
    struct db_rows *rows = NULL;
    struct timespec begun, ended;
    size_t count = 1;

    if (sql) {
        const char **own = ARENA_ARRAY(&bench->arena, const char *, sql->parameter_count + 1);
        for (unsigned i = 0; i < sql->parameter_count; i++)
            own[i] = arena_string(&bench->arena, sql->parameters[i].text);
        parameters = own;
        count = sql->parameter_count;
    }
    transaction_open(bench);
    clock_gettime(CLOCK_MONOTONIC, &begun);
    check(db_query(bench->db, sql ? arena_string(&bench->arena, sql->sql) : pair->sql, parameters, count, QUERY_MS, &rows, &why), pair->name);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    db_rollback(bench->db);
    *ms = (double)(ended.tv_sec - begun.tv_sec) * 1e3 + (double)(ended.tv_nsec - begun.tv_nsec) / 1e6;
    return rows;
}

/* ---- whether both answer alike ---- */

/* A time as PostgreSQL prints it in UTC. */
static const char *moment(struct bench *bench, struct text ticks)
{
    char text[CLOCK_TEXT_SIZE];
    int64_t number = 0;

    (void)text_to_i64(ticks, &number);
    clock_format((number - KQL_TICKS_OF_EPOCH) / 10, text);
    char *out = arena_string(&bench->arena, text_of(text));
    out[10] = ' ';
    size_t end = strlen(out) - 1; /* the Z */
    while (strchr(out, '.') && (out[end - 1] == '0' || out[end - 1] == '.'))
        if (out[--end] == '.')
            break;
    out[end] = '\0';
    return arena_format(&bench->arena, "%s+00", out);
}

static int compare_lines(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static const char **lines(struct bench *bench, const struct db_rows *rows, unsigned columns, const struct kql_sql *sql)
{
    const char **out = ARENA_ARRAY(&bench->arena, const char *, db_rows_count(rows) + 1);

    for (size_t i = 0; i < db_rows_count(rows); i++) {
        out[i] = "";
        for (unsigned k = 0; k < columns; k++) {
            struct text cell = db_text(rows, i, (int)k);
            bool time = sql && sql->columns[k]->type == TYPE_DATETIME;
            out[i] = arena_format(&bench->arena, "%s|%s", out[i], time ? moment(bench, cell) : cell.bytes ? cell.bytes : "");
        }
    }
    qsort(out, db_rows_count(rows), sizeof *out, compare_lines);
    return out;
}

static void check_alike(struct bench *bench, const struct pair *pair, const struct kql_sql *sql, const struct db_rows *ours,
                        const struct db_rows *theirs)
{
    const char **left = lines(bench, ours, sql->column_count, sql), **right = lines(bench, theirs, sql->column_count, NULL);
    size_t count = db_rows_count(ours);
    bool alike = count == db_rows_count(theirs);

    for (size_t i = 0; alike && i < count; i++) {
        alike = strcmp(left[i], right[i]) == 0;
        if (!alike)
            fprintf(stderr, "bench_questions: %s and not %s\n", left[i], right[i]);
    }
    if (alike && count)
        return;
    fprintf(stderr, "bench_questions: %s: the two answers differ (%zu and %zu rows)\n", pair->name, count, db_rows_count(theirs));
    exit(1);
}

/* ---- figures ---- */

static int compare_times(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

static double middle(double *times)
{
    qsort(times, TRIES, sizeof *times, compare_times);
    return times[TRIES / 2];
}

static void measure(struct bench *bench, const struct pair *pair)
{
    const struct kql_sql *sql = compiled(bench, pair);
    double ours[TRIES], theirs[TRIES], ignored, hand = 0;
    struct db_rows *left = answer(bench, pair, sql, &ignored), *right = pair->sql ? answer(bench, pair, NULL, &ignored) : NULL;

    if (right)
        check_alike(bench, pair, sql, left, right);
    size_t rows = db_rows_count(left);
    db_rows_free(left);
    db_rows_free(right);
    for (int i = 0; i < TRIES; i++) {
        db_rows_free(answer(bench, pair, sql, &ours[i]));
        if (pair->sql)
            db_rows_free(answer(bench, pair, NULL, &theirs[i]));
    }
    double kql = middle(ours);
    bool met = !pair->limit_ms || kql < pair->limit_ms;
    printf("question   rows=%zu kql_ms=%.1f", rows, kql);
    if (pair->limit_ms)
        printf(" limit_ms=%.0f", pair->limit_ms);
    if (pair->sql) {
        hand = middle(theirs);
        met &= kql <= hand * RATIO_MAX;
        printf(" sql_ms=%.1f ratio=%.2f limit=%.2f", hand, kql / hand, RATIO_MAX);
    }
    printf(" %s  %s\n", met ? "met" : "MISSED", pair->name);
    fflush(stdout);
    bench->missed |= !met;
    arena_clear(&bench->arena);
}

int main(int count, char **arguments)
{
    const char *conninfo = count > 2 ? arguments[2] : NULL;
    struct bench bench = {.now_us = clock_utc_us()};
    struct db_rows *rows = NULL;
    struct arena arena;

    arena_init(&arena);
    arena_init(&bench.arena);
    clock_format(bench.now_us, bench.now);
    if (!conninfo) {
        database_start(DATABASE_FAST);
        events_make(&bench, count > 1 ? strtol(arguments[1], NULL, 10) : 10000000);
        conninfo = database_conninfo_for(NULL, NULL);
    }
    check(db_open(conninfo, "picket_query", "bench", &bench.db, &why), "open");
    const struct request request = {.db = bench.db, .arena = &arena, .timeout_ms = QUERY_MS};
    bench.catalogs = catalogs_new(process_share_path());
    transaction_open(&bench);
    check(db_query(bench.db, "SELECT guid FROM picket.workspace", NULL, 0, QUERY_MS, &rows, &why), "workspace");
    bench.workspace = (struct kql_named){TEXT("default"), db_text(rows, 0, 0)};
    check(catalogs_take(bench.catalogs, &request, "{1}", &bench.catalog, &why), "catalog");
    db_rollback(bench.db);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        measure(&bench, &pairs[i]);
    for (size_t i = 0; i < sizeof alone / sizeof *alone; i++)
        measure(&bench, &alone[i]);
    db_rows_free(rows);
    catalogs_give_back(bench.catalogs, bench.catalog);
    catalogs_free(bench.catalogs);
    db_close(bench.db);
    db_close(bench.owner);
    arena_done(&bench.arena);
    arena_done(&arena);
    return bench.missed ? 1 : 0;
}
