#include "store/correlations.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/log.h"
#include "store/alerts.h"
#include "store/store_metrics.h"

#define HITS_MAX 50000      /* of one batch */
#define GROUPS_PER_ROUND 200
#define ROUNDS_MAX 50
#define GROUP_HITS_MAX 2000 /* its newest */
#define NUMBER_SIZE 24

/* ---- gathering ---- */

enum { HIT_WORKSPACE, HIT_RULE, HIT_KEY, HIT_VALUE, HIT_DEVICE, HIT_MODULE, HIT_EVENT, HIT_RECEIVED, HIT_AT, HIT_HITS, HIT_SPAN, HIT_COLUMNS };

void correlations_note(struct correlation_hits *hits, const struct device_message *message, const struct finding_hit *hit)
{
    struct columns *columns = &hits->columns;

    if (hits->count == HITS_MAX) {
        metric_add(&store_metrics.findings_dropped, 1);
        return;
    }
    if (!hits->count++)
        columns_open(columns, HIT_COLUMNS);
    columns_i64(columns, HIT_WORKSPACE, (int64_t)message->record.workspace);
    columns_text(columns, HIT_RULE, hit->about->id);
    columns_text(columns, HIT_KEY, hit->hit.key);
    columns_text(columns, HIT_VALUE, hit->hit.value);
    columns_text(columns, HIT_DEVICE, device_message_text(message->record.device));
    columns_text(columns, HIT_MODULE, device_message_text(message->record.module));
    columns_text(columns, HIT_EVENT, hit->event->id);
    columns_time(columns, HIT_RECEIVED, message->record.received_at_us);
    columns_time(columns, HIT_AT, hit->hit.at_us);
    columns_i64(columns, HIT_HITS, hit->hit.hits < INT32_MAX ? (int64_t)hit->hit.hits : INT32_MAX);
    columns_i64(columns, HIT_SPAN, hit->timespan_us / 1000000 + 1);
}

enum status correlations_write(struct correlation_hits *hits, struct db *db, uint32_t timeout_ms, struct problem *why)
{
    /* Kept an hour longer than it counts, for what other devices tell late. */
    static const char insert[] =
        "INSERT INTO picket.correlation_hit (workspace_id, rule_id, group_key, value, device_id, module_id, event_id, received_at, at, hits, keep_until)"
        " SELECT workspace, rule, left(key, 400), left(value, 400), device, module, event, received, at, hits, greatest(at, received) + make_interval(secs => span, hours => 1)"
        " FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::timestamptz[], $9::timestamptz[], $10::bigint[], $11::bigint[])"
        " AS h (workspace, rule, key, value, device, module, event, received, at, hits, span)";

    if (!hits->count)
        return STATUS_OK;
    hits->count = 0;
    return columns_query(&hits->columns, db, insert, timeout_ms, NULL, why);
}

void correlations_done(struct correlation_hits *hits)
{
    if (hits->count)
        columns_done(&hits->columns);
    hits->count = 0;
}

/* ---- judging ---- */

/* A hit of the group that is walked, until the correlation begins anew. */
struct held {
    int64_t id, at_us;
};

struct completed {
    struct completed *next;
    int workspace;
    struct engine_spanning rule;
    struct text key;
    const char *hits; /* '{1,2}': those of its window */
    int64_t at_us;
};

struct round {
    const struct ruleset_view *rules;
    struct arena arena, group_arena; /* of the round; of the group that is walked */
    struct completed *first, **last;
    struct buf spent; /* ids of hits */
    size_t groups;
    /* The group. */
    int workspace;
    struct text id, key;
    const struct engine *engine;
    struct engine_spanning rule;
    bool known; /* and not gone meanwhile */
    struct memory *memory;
    struct held held[GROUP_HITS_MAX];
    size_t held_count;
};

static void group_begin(struct round *round, const struct db_rows *row)
{
    arena_clear(&round->group_arena);
    round->groups++;
    round->workspace = (int)db_i64(row, 0, 1);
    round->id = arena_text(&round->group_arena, db_text(row, 0, 2));
    round->key = arena_text(&round->group_arena, db_text(row, 0, 3));
    round->engine = ruleset_engine(round->rules, round->workspace);
    round->known = engine_spanning(round->engine, round->id, &round->rule);
    round->memory = memory_new(&round->group_arena);
    round->held_count = 0;
}

static void group_complete(struct round *round, int64_t at_us)
{
    struct completed *out = ARENA_NEW(&round->arena, struct completed);
    struct buf ids;

    buf_init(&ids, COLUMN_BYTES_MAX);
    db_array_open(&ids);
    for (size_t i = 0; i < round->held_count; i++) {
        db_array_i64(&round->spent, round->held[i].id);
        if (round->held[i].at_us > at_us - round->rule.correlation->timespan_us)
            db_array_i64(&ids, round->held[i].id);
    }
    db_array_close(&ids);
    *out = (struct completed){NULL, round->workspace, round->rule, arena_text(&round->arena, round->key), arena_string(&round->arena, buf_as_text(&ids)), at_us};
    buf_done(&ids);
    *round->last = out;
    round->last = &out->next;
    round->held_count = 0;
}

/* hit_id, workspace_id, rule_id, group_key, value, at, hits */
static enum status hit_take(void *context, const struct db_rows *row, struct problem *why)
{
    struct round *round = context;
    struct sigma_hit hit = {.key = db_text(row, 0, 3), .value = db_text(row, 0, 4), .at_us = db_i64(row, 0, 5), .hits = (uint64_t)db_i64(row, 0, 6)};

    (void)why;
    if (!round->memory || round->workspace != (int)db_i64(row, 0, 1) || !text_equal(round->id, db_text(row, 0, 2)) || !text_equal(round->key, hit.key))
        group_begin(round, row);
    if (!round->known)
        return STATUS_OK;
    hit.by = round->rule.by;
    round->held[round->held_count++] = (struct held){db_i64(row, 0, 0), hit.at_us};
    if (engine_hit_completes(round->engine, &hit, round->memory, &round->group_arena))
        group_complete(round, hit.at_us);
    return STATUS_OK;
}

static const char *const steps[] = {"See what the events have in common, and on which devices they happened: the alert names them.",
                              "If this is expected, write an exception for its cause, or narrow the rules that the correlation counts."};

static void text_list_write(struct buf *out, const char *const *texts, size_t count)
{
    buf_byte(out, '[');
    for (size_t i = 0; i < count; i++) {
        buf_string(out, i ? "," : "");
        buf_json_string(out, text_of(texts[i]));
    }
    buf_byte(out, ']');
}

static bool is_address(struct text value)
{
    char address[INET6_ADDRSTRLEN];
    struct in6_addr parsed;

    if (!value.count || value.count >= sizeof address)
        return false;
    snprintf(address, sizeof address, "%.*s", TEXT_ARGS(value));
    return inet_pton(AF_INET, address, &parsed) == 1 || inet_pton(AF_INET6, address, &parsed) == 1;
}

/* The group's fields with their values: as details, as reasons, and addresses as entities; beside each other in one string. */
static void alert_describe(const struct completed *completed, struct buf *cause, struct buf *details, struct buf *reasons, struct buf *entities)
{
    const struct sigma_correlation *correlation = completed->rule.correlation;
    struct text rest = completed->key, value;

    buf_string(details, "{");
    buf_string(reasons, "[");
    buf_string(entities, "[");
    for (size_t i = 0; i < correlation->group_count; i++) {
        rest = text_cut(rest, *SIGMA_KEY_PART, &value);
        buf_string(cause, i ? ", " : "");
        buf_text(cause, value);
        buf_string(details, i ? "," : "");
        buf_json_string(details, correlation->group_by[i]);
        buf_string(details, ":");
        buf_json_string(details, value);
        buf_string(reasons, i ? ",{\"field\":" : "{\"field\":");
        buf_json_string(reasons, correlation->group_by[i]);
        buf_format(reasons, ",\"clause\":\"the group, within %lld s\",\"value\":", (long long)(correlation->timespan_us / 1000000));
        buf_json_string(reasons, value);
        buf_string(reasons, "}");
        if (is_address(value)) {
            buf_string(entities, entities->count > 1 ? ",{\"Type\":\"ip\",\"Address\":" : "{\"Type\":\"ip\",\"Address\":");
            buf_json_string(entities, value);
            buf_string(entities, "}");
        }
    }
    if (!correlation->group_count)
        buf_format(reasons, "{\"field\":\"\",\"clause\":\"any device, within %lld s\"}", (long long)(correlation->timespan_us / 1000000));
    buf_string(details, "}");
    buf_string(reasons, "]");
    buf_string(entities, "]");
}

/* Which events of which devices it was, to the alert that was raised; by now it may be hidden by an exception. */
static enum status evidence_add(struct db *db, const struct completed *completed, const char *rule, const char *cause, uint32_t timeout_ms, struct problem *why)
{
    static const char add[] =
        "WITH h AS (SELECT * FROM picket.correlation_hit WHERE hit_id = ANY ($4::bigint[])),"
        " s AS (SELECT min(h.at) AS first_at, count(DISTINCT h.device_id) AS devices, sum(h.hits) AS hits,"
        "  jsonb_path_query_array(to_jsonb(array_agg(DISTINCT h.device_id)), '$[0 to 99]') AS names, bool_and(coalesce(d.tags ->> 'simulated', '') = 'true') AS simulated"
        "  FROM h LEFT JOIN picket.device d ON d.workspace_id = h.workspace_id AND d.device_id = h.device_id AND d.module_id = ''),"
        " told AS (UPDATE picket.alert a SET details = a.details || jsonb_build_object('Devices', s.devices, 'DeviceIds', s.names, 'Matches', s.hits),"
        "  first_seen_at = least(a.first_seen_at, s.first_at), simulated = a.simulated OR s.simulated,"
        "  title = CASE WHEN s.simulated AND NOT a.simulated THEN '[simulated] ' || a.title ELSE a.title END FROM s"
        "  WHERE a.workspace_id = $1::int AND a.device_id = '' AND a.module_id = '' AND a.rule_id = $2 AND a.cause = $3 AND a.status <> 'closed'"
        "  RETURNING a.workspace_id, a.alert_id)"
        " INSERT INTO picket.alert_event (workspace_id, alert_id, time_generated, event_id, device_id)"
        " SELECT told.workspace_id, told.alert_id, h.received_at, h.event_id, h.device_id FROM told, h ORDER BY h.at LIMIT 100 ON CONFLICT DO NOTHING";
    char workspace[NUMBER_SIZE];

    snprintf(workspace, sizeof workspace, "%d", completed->workspace);
    const char *const parameters[] = {workspace, rule, cause, completed->hits};
    return db_query(db, add, parameters, 4, timeout_ms, NULL, why);
}

static enum status alert_raise(struct db *db, struct arena *arena, const struct completed *completed, uint32_t timeout_ms, struct problem *why)
{
    const struct finding_about *about = completed->rule.about;
    struct buf cause, details, reasons, entities, remediation, *const all[] = {&cause, &details, &reasons, &entities, &remediation};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        buf_init(all[i], 1 << 20);
    alert_describe(completed, &cause, &details, &reasons, &entities);
    text_list_write(&remediation, steps, sizeof steps / sizeof *steps);
    const struct alert_note note = {
        .workspace = completed->workspace,
        .device = TEXT(""),
        .module = TEXT(""),
        .rule = arena_string(arena, about->id),
        .cause = arena_string(arena, buf_as_text(&cause)),
        .severity = arena_string(arena, about->severity),
        .title = arena_string(arena, about->title),
        .details = buf_as_text(&details),
        .at_us = completed->at_us,
        .reasons = buf_as_text(&reasons),
        .entities = buf_as_text(&entities),
        .remediation = buf_as_text(&remediation),
        .description = about->description,
        .tactics = about->tactics,
        .techniques = about->techniques,
    };
    enum status status = alerts_raise(db, &note, timeout_ms, why);
    if (!status)
        status = evidence_add(db, completed, note.rule, note.cause, timeout_ms, why);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        buf_done(all[i]);
    return status;
}

/* One that the database refuses is rolled back by itself, counted and logged; the others stand. */
static enum status alert_try(struct db *db, struct arena *arena, const struct completed *completed, uint32_t timeout_ms, struct problem *why)
{
    static struct log_rate rate;
    enum status status = db_query(db, "SAVEPOINT correlation", NULL, 0, timeout_ms, NULL, why);

    if (!status)
        status = alert_raise(db, arena, completed, timeout_ms, why);
    if (status != STATUS_REJECT)
        return status;
    log_rated(&rate, LOG_ERROR, "store.judging_failed", "rule=\"%.*s\" reason=\"%s\"", TEXT_ARGS(completed->rule.about->id), why->text);
    metric_add(&store_metrics.judging_failed, 1);
    return db_query(db, "ROLLBACK TO SAVEPOINT correlation", NULL, 0, timeout_ms, NULL, why);
}

static enum status round_write(struct round *round, struct db *db, uint32_t timeout_ms, struct problem *why)
{
    enum status status = STATUS_OK;

    for (const struct completed *completed = round->first; !status && completed; completed = completed->next)
        status = alert_try(db, &round->arena, completed, timeout_ms, why);
    db_array_close(&round->spent);
    const char *const parameters[] = {round->spent.bytes};
    return status || !round->first ? status : db_query(db, "DELETE FROM picket.correlation_hit WHERE hit_id = ANY ($1::bigint[])", parameters, 1, timeout_ms, NULL, why);
}

/* Marks and reads in one statement, so by one snapshot: a hit that is committed meanwhile waits for the next round. */
static enum status round_run(struct round *round, struct db *db, uint32_t timeout_ms, struct problem *why)
{
    static const char take[] =
        "WITH f AS MATERIALIZED (SELECT DISTINCT workspace_id, rule_id, group_key FROM picket.correlation_hit WHERE NOT judged ORDER BY 1, 2, 3 LIMIT $1::int),"
        " marked AS (UPDATE picket.correlation_hit h SET judged = true FROM f WHERE NOT h.judged AND h.workspace_id = f.workspace_id AND h.rule_id = f.rule_id"
        "  AND h.group_key = f.group_key)"
        " SELECT h.hit_id, h.workspace_id, h.rule_id, h.group_key, h.value, (extract(epoch FROM h.at) * 1000000)::bigint, h.hits"
        " FROM f CROSS JOIN LATERAL (SELECT * FROM picket.correlation_hit o WHERE o.workspace_id = f.workspace_id AND o.rule_id = f.rule_id AND o.group_key = f.group_key"
        "  ORDER BY o.at DESC, o.hit_id DESC LIMIT $2::int) h ORDER BY h.workspace_id, h.rule_id, h.group_key, h.at, h.hit_id";
    char groups[NUMBER_SIZE], hits[NUMBER_SIZE];

    snprintf(groups, sizeof groups, "%d", GROUPS_PER_ROUND);
    snprintf(hits, sizeof hits, "%d", GROUP_HITS_MAX);
    const char *const parameters[] = {groups, hits};
    round->memory = NULL;
    round->groups = 0;
    round->first = NULL;
    round->last = &round->first;
    buf_clear(&round->spent);
    db_array_open(&round->spent);
    enum status status = db_each(db, take, parameters, 2, timeout_ms, hit_take, round, why);
    return status ? status : round_write(round, db, timeout_ms, why);
}

static enum status rounds_run(struct round *round, struct db *db, uint32_t timeout_ms, struct problem *why)
{
    struct db_rows *rows = NULL;
    bool ours = false;
    enum status status = db_query(db, "SELECT pg_try_advisory_xact_lock(hashtext('picket.correlations'))", NULL, 0, timeout_ms, &rows, why);

    if (!status)
        ours = db_bool(rows, 0, 0);
    db_rows_free(rows);
    if (status || !ours)
        return status;
    status = db_query(db, "SELECT picket.correlation_hits_trim()", NULL, 0, timeout_ms, NULL, why);
    for (size_t i = 0; !status && i < ROUNDS_MAX; i++) {
        status = round_run(round, db, timeout_ms, why);
        if (round->groups < GROUPS_PER_ROUND)
            break;
        arena_clear(&round->arena);
    }
    return status;
}

enum status correlations_judge(struct ruleset *ruleset, struct db *db, uint32_t timeout_ms, struct problem *why)
{
    struct ruleset_view *view = ruleset_take(ruleset);
    struct round *round = view ? calloc(1, sizeof *round) : NULL;

    if (!view)
        return STATUS_OK;
    if (!round)
        abort();
    round->rules = view;
    arena_init(&round->arena);
    arena_init(&round->group_arena);
    buf_init(&round->spent, COLUMN_BYTES_MAX);
    enum status status = db_begin(db, timeout_ms, why);
    if (!status)
        status = rounds_run(round, db, timeout_ms, why);
    if (!status)
        status = db_commit(db, timeout_ms, why);
    else
        db_rollback(db);
    buf_done(&round->spent);
    arena_done(&round->group_arena);
    arena_done(&round->arena);
    free(round);
    ruleset_give(ruleset, view);
    return status;
}
