#include "store/judge.h"

#include <stdlib.h>
#include <time.h>

#include "detect/finding_json.h"
#include "runtime/log.h"
#include "store/columns.h"
#include "store/copy.h"
#include "store/correlations.h"
#include "store/custom.h"
#include "store/observables.h"
#include "store/store_metrics.h"

#define FINDINGS_MAX 20000        /* of one batch; what is beyond is counted and not told */
#define FINDINGS_OF_DEVICE_MAX 500 /* one device does not use up the others' share */
#define HITS_OF_DEVICE_MAX 500     /* of correlations over all devices */
#define ALERT_EVENTS_MAX 100      /* events kept beside one alert */
#define JSON_BYTES_MAX (1 << 20)  /* of one alert's parts */

struct judge {
    struct ruleset *ruleset;
    struct observables *observables;
    struct engine_scratch *scratch; /* for `engine` alone */
    const struct engine *engine;
};

/* A device of the batch, and what is remembered of it. */
struct known_device {
    int workspace;
    struct text device;
    const struct engine *engine;
    struct memory *memory; /* NULL: nothing of the batch asks for it */
    size_t findings, hits;
};

/* The events of one message, read. */
struct judged_message {
    const struct device_message *message;
    struct event *events;
    size_t count;
    struct known_device *device;
};

/* Findings of one cause on one device: what becomes one alert. */
struct raised {
    const struct judged_message *of;
    const struct finding *finding; /* the newest */
    int64_t first_us, last_us;
    uint64_t times, hits;
    struct evidence *evidence;
    size_t evidence_count;
};

struct evidence {
    struct evidence *next;
    struct text event;
    int64_t received_at_us;
};

struct batch_judging {
    struct judge *judge;
    const struct ruleset_view *rules;
    struct db *db;
    struct arena *arena;
    uint32_t timeout_ms;
    struct judged_message *messages;
    size_t count;
    struct known_device *devices;
    size_t device_count;
    struct raised *raised;
    size_t raised_count, raised_room;
    struct custom_types custom;
    struct correlation_hits hits;
};

struct judge *judge_new(struct ruleset *ruleset)
{
    struct judge *judge = calloc(1, sizeof *judge);

    if (!judge)
        abort();
    judge->ruleset = ruleset;
    judge->observables = observables_new();
    return judge;
}

static void engine_use(struct judge *judge, const struct engine *engine)
{
    if (judge->engine == engine)
        return;
    engine_scratch_free(judge->scratch);
    judge->scratch = engine ? engine_scratch_new(engine) : NULL;
    judge->engine = engine;
}

void judge_free(struct judge *judge)
{
    if (!judge)
        return;
    engine_use(judge, NULL);
    observables_free(judge->observables);
    free(judge);
}

/* ---- reading ---- */

static struct text event_id_text(const struct device_message *message, uint32_t row, struct arena *arena)
{
    uint8_t id[SECRET_DIGEST_BYTES];
    char hex[2 * SECRET_DIGEST_BYTES + 1];

    copy_event_id(message->key, row, id);
    text_hex_encode(id, sizeof id, hex);
    return text_of(arena_format(arena, "%.8s-%.4s-%.4s-%.4s-%s", hex, hex + 8, hex + 12, hex + 16, hex + 20));
}

/* An event whose clock cannot be is judged by when it came. */
static int64_t event_time(const struct device_message *message, const struct event_row *row)
{
    int64_t received_us = message->record.received_at_us;
    return device_message_time_plausible(row->time_stamp_us, received_us) ? row->time_stamp_us : received_us;
}

static void message_read(struct batch_judging *judging, const struct device_message *message)
{
    struct judged_message *out = &judging->messages[judging->count];
    struct event *events = ARENA_ARRAY(judging->arena, struct event, message->row_count);

    *out = (struct judged_message){.message = message, .events = events};
    for (uint32_t i = 0; i < message->row_count; i++) {
        const struct event_row *row = &message->rows[i];
        const struct event_source source = {
            .id = event_id_text(message, i, judging->arena),
            .group = row->sender_event_id,
            .name = row->name.bytes ? row->name : TEXT(""),
            .details = row->details.text,
            .at_us = event_time(message, row),
            .hits = row->hit_count > 0 ? (uint64_t)row->hit_count : 1,
        };
        if (event_read(&source, judging->arena, &events[out->count]))
            observables_note(judging->judge->observables, message, &events[out->count++]);
    }
    judging->count++;
}

static int device_compare(const void *left, const void *right)
{
    const struct known_device *a = left, *b = right;
    int order = (a->workspace > b->workspace) - (a->workspace < b->workspace);

    return order ? order : text_compare(a->device, b->device);
}

static struct known_device device_of(const struct device_message *message)
{
    return (struct known_device){.workspace = (int)message->record.workspace, .device = device_message_text(message->record.device)};
}

/* Each device once, in order; and each message's. */
static void devices_gather(struct batch_judging *judging)
{
    size_t kept = 0;

    judging->devices = ARENA_ARRAY(judging->arena, struct known_device, judging->count);
    for (size_t i = 0; i < judging->count; i++)
        judging->devices[i] = device_of(judging->messages[i].message);
    qsort(judging->devices, judging->count, sizeof *judging->devices, device_compare);
    for (size_t i = 0; i < judging->count; i++)
        if (!kept || device_compare(&judging->devices[kept - 1], &judging->devices[i]) != 0)
            judging->devices[kept++] = judging->devices[i];
    judging->device_count = kept;
    for (size_t i = 0; i < kept; i++)
        judging->devices[i].engine = ruleset_engine(judging->rules, judging->devices[i].workspace);
    for (size_t i = 0; i < judging->count; i++) {
        struct known_device wanted = device_of(judging->messages[i].message);
        judging->messages[i].device = bsearch(&wanted, judging->devices, kept, sizeof wanted, device_compare);
    }
}

/* Locked until the transaction ends, since a dead letter that is stored again may be of the same device; in one order, so that no two wait for each other. */
static enum status memories_load(struct batch_judging *judging, struct problem *why)
{
    static const char select[] = "SELECT d.workspace_id, d.device_id, d.state FROM unnest($1::int[], $2::text[]) AS w (workspace_id, device_id)"
                                 " JOIN picket.detect_state d ON d.workspace_id = w.workspace_id AND d.device_id = w.device_id ORDER BY 1, 2 FOR UPDATE OF d";
    struct db_rows *rows = NULL;
    struct columns columns;
    size_t wanted = 0;

    for (size_t i = 0; i < judging->count; i++) {
        struct judged_message *message = &judging->messages[i];
        for (size_t k = 0; k < message->count && !message->device->memory; k++)
            if (engine_remembers(message->device->engine, &message->events[k])) {
                message->device->memory = memory_new(judging->arena);
                wanted++;
            }
    }
    if (!wanted)
        return STATUS_OK;
    columns_open(&columns, 2);
    for (size_t i = 0; i < judging->device_count; i++) {
        if (!judging->devices[i].memory)
            continue;
        columns_i64(&columns, 0, judging->devices[i].workspace);
        columns_text(&columns, 1, judging->devices[i].device);
    }
    enum status status = columns_query(&columns, judging->db, select, judging->timeout_ms, &rows, why);
    for (size_t i = 0; !status && i < db_rows_count(rows); i++) {
        struct known_device key = {.workspace = (int)db_i64(rows, i, 0), .device = db_text(rows, i, 1)};
        struct known_device *found = bsearch(&key, judging->devices, judging->device_count, sizeof key, device_compare);
        if (found)
            found->memory = memory_read(db_text(rows, i, 2), judging->arena);
    }
    db_rows_free(rows);
    return status;
}

/* ---- judging ---- */

static bool raised_same(const struct raised *raised, const struct judged_message *message, const struct finding *finding)
{
    return raised->of->device == message->device && raised->finding->about == finding->about && text_equal(raised->finding->cause, finding->cause) &&
           text_equal(device_message_text(raised->of->message->record.module), device_message_text(message->message->record.module));
}

static void finding_raise(struct batch_judging *judging, const struct judged_message *message, const struct finding *finding)
{
    struct raised *raised = NULL;

    /* Findings of one device stand together, so the search is short. */
    for (size_t i = judging->raised_count; i-- > 0 && !raised && judging->raised[i].of->device == message->device;)
        if (raised_same(&judging->raised[i], message, finding))
            raised = &judging->raised[i];
    if (!raised) {
        if (judging->raised_count == FINDINGS_MAX || message->device->findings == FINDINGS_OF_DEVICE_MAX) {
            metric_add(&store_metrics.findings_dropped, 1);
            return;
        }
        if (judging->raised_count == judging->raised_room) {
            size_t room = 2 * judging->raised_room + 64;
            struct raised *grown = ARENA_ARRAY(judging->arena, struct raised, room);
            if (judging->raised_count)
                memcpy(grown, judging->raised, judging->raised_count * sizeof *grown);
            judging->raised = grown;
            judging->raised_room = room;
        }
        raised = &judging->raised[judging->raised_count++];
        *raised = (struct raised){.of = message, .first_us = finding->event->at_us, .last_us = finding->event->at_us};
        message->device->findings++;
    }
    raised->of = message;
    raised->finding = finding;
    raised->times++;
    raised->hits += finding->event->hits;
    raised->first_us = finding->event->at_us < raised->first_us ? finding->event->at_us : raised->first_us;
    raised->last_us = finding->event->at_us > raised->last_us ? finding->event->at_us : raised->last_us;
    if (raised->evidence_count == ALERT_EVENTS_MAX || (raised->evidence && text_equal(raised->evidence->event, finding->event->id)))
        return;
    struct evidence *evidence = ARENA_NEW(judging->arena, struct evidence);
    *evidence = (struct evidence){raised->evidence, finding->event->id, message->message->record.received_at_us};
    raised->evidence = evidence;
    raised->evidence_count++;
}

/* Messages of a device may stand apart in the batch; in the order of the devices they stand together, each device's as they came. */
static int message_compare(const void *left, const void *right)
{
    const struct judged_message *a = left, *b = right;
    int order = (a->device > b->device) - (a->device < b->device);

    return order ? order : (a->message > b->message) - (a->message < b->message);
}

static void messages_judge(struct batch_judging *judging)
{
    qsort(judging->messages, judging->count, sizeof *judging->messages, message_compare);
    for (size_t i = 0; i < judging->count; i++) {
        const struct judged_message *message = &judging->messages[i];
        struct findings findings = {.count = 0};
        engine_use(judging->judge, message->device->engine);
        engine_judge(message->device->engine, judging->judge->scratch, message->events, message->count, message->device->memory, judging->arena, &findings);
        for (const struct finding *finding = findings.first; finding; finding = finding->next)
            finding_raise(judging, message, finding);
        for (const struct finding_hit *hit = findings.first_hit; hit; hit = hit->next) {
            if (message->device->hits++ < HITS_OF_DEVICE_MAX)
                correlations_note(&judging->hits, message->message, hit);
            else
                metric_add(&store_metrics.findings_dropped, 1);
        }
    }
}

/* ---- writing ---- */

static enum status memories_save(struct batch_judging *judging, struct problem *why)
{
    static const char upsert[] = "INSERT INTO picket.detect_state AS s (workspace_id, device_id, state) SELECT * FROM unnest($1::int[], $2::text[], $3::text[])"
                                 " ON CONFLICT (workspace_id, device_id) DO UPDATE SET state = excluded.state";
    struct columns columns;
    struct buf out;
    size_t changed = 0;

    columns_open(&columns, 3);
    buf_init(&out, MEMORY_BYTES_MAX);
    for (size_t i = 0; i < judging->device_count; i++) {
        const struct known_device *device = &judging->devices[i];
        if (!device->memory || !memory_changed(device->memory))
            continue;
        buf_clear(&out);
        memory_write(device->memory, &out);
        columns_i64(&columns, 0, device->workspace);
        columns_text(&columns, 1, device->device);
        columns_text(&columns, 2, buf_as_text(&out));
        changed++;
    }
    buf_done(&out);
    if (changed)
        return columns_query(&columns, judging->db, upsert, judging->timeout_ms, NULL, why);
    columns_done(&columns);
    return STATUS_OK;
}

static void steps_write(const char *const *steps, struct buf *out)
{
    buf_byte(out, '[');
    for (size_t i = 0; steps && steps[i]; i++) {
        buf_string(out, i ? "," : "");
        buf_json_string(out, text_of(steps[i]));
    }
    buf_byte(out, ']');
}

static void raised_put(struct columns *columns, const struct raised *raised, struct buf *scratch)
{
    const struct finding_about *about = raised->finding->about;
    size_t column = 0;

    columns_i64(columns, column++, (int64_t)raised->of->message->record.workspace);
    columns_text(columns, column++, device_message_text(raised->of->message->record.device));
    columns_text(columns, column++, device_message_text(raised->of->message->record.module));
    columns_text(columns, column++, about->id);
    columns_text(columns, column++, raised->finding->cause);
    columns_text(columns, column++, about->severity);
    columns_text(columns, column++, about->title);
    columns_text(columns, column++, about->description);
    buf_clear(scratch);
    finding_write_properties(raised->finding, scratch);
    columns_text(columns, column++, buf_as_text(scratch));
    buf_clear(scratch);
    finding_write_reasons(raised->finding, scratch);
    columns_text(columns, column++, buf_as_text(scratch));
    buf_clear(scratch);
    finding_write_entities(raised->finding, scratch);
    columns_text(columns, column++, buf_as_text(scratch));
    buf_clear(scratch);
    steps_write(about->remediation, scratch);
    columns_text(columns, column++, buf_as_text(scratch));
    columns_text(columns, column++, about->tactics);
    columns_text(columns, column++, about->techniques);
    columns_i64(columns, column++, (int64_t)raised->times);
    columns_i64(columns, column++, raised->hits < INT32_MAX ? (int64_t)raised->hits : INT32_MAX);
    columns_time(columns, column++, raised->first_us);
    columns_time(columns, column++, raised->last_us);
}

static int raised_compare(const void *left, const void *right)
{
    const struct raised *a = left, *b = right;
    int order = (a->of->device > b->of->device) - (a->of->device < b->of->device);

    order = order ? order : text_compare(device_message_text(a->of->message->record.module), device_message_text(b->of->message->record.module));
    order = order ? order : text_compare(a->finding->about->id, b->finding->about->id);
    return order ? order : text_compare(a->finding->cause, b->finding->cause);
}

/* Which row is which alert comes back by its number. */
static enum status alerts_write(struct batch_judging *judging, struct text *ids, struct problem *why)
{
    static const char upsert[] =
        "WITH raised AS (SELECT * FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::jsonb[],"
        " $10::jsonb[], $11::jsonb[], $12::jsonb[], $13::text[], $14::text[], $15::bigint[], $16::bigint[], $17::timestamptz[], $18::timestamptz[])"
        " WITH ORDINALITY AS r (workspace_id, device_id, module_id, rule_id, cause, severity, title, description, details, reasons, entities, remediation,"
        " tactics, techniques, times, hits, first_at, last_at, number)),"
        " judged AS MATERIALIZED (SELECT r.*, picket.exception_of(workspace_id, device_id, rule_id, cause, last_at) AS hidden_by,"
        "  EXISTS (SELECT 1 FROM picket.device d WHERE d.workspace_id = r.workspace_id AND d.device_id = r.device_id AND d.module_id = '' AND d.tags ->> 'simulated' = 'true')"
        "  AS simulated FROM raised r),"
        " hidden AS (UPDATE picket.exception x SET hidden_count = x.hidden_count + h.times, last_hidden_at = greatest(x.last_hidden_at, h.last_at)"
        "  FROM (SELECT workspace_id, hidden_by, sum(times) AS times, max(last_at) AS last_at FROM judged WHERE hidden_by IS NOT NULL GROUP BY 1, 2) h"
        "  WHERE x.workspace_id = h.workspace_id AND x.exception_id = h.hidden_by),"
        " written AS (INSERT INTO picket.alert AS a (workspace_id, device_id, module_id, rule_id, cause, severity, title, description, details, reasons, entities,"
        " remediation, tactics, techniques, repeat_count, hit_count, first_seen_at, last_seen_at, simulated)"
        " SELECT workspace_id, device_id, module_id, rule_id, cause, severity, CASE WHEN simulated THEN '[simulated] ' || title ELSE title END, description, details, reasons, entities, remediation, tactics, techniques,"
        " times, hits, first_at, last_at, simulated FROM judged WHERE hidden_by IS NULL ORDER BY number"
        " ON CONFLICT (workspace_id, device_id, module_id, rule_id, cause) WHERE status <> 'closed' DO UPDATE SET"
        " repeat_count = a.repeat_count + excluded.repeat_count, hit_count = a.hit_count + excluded.hit_count,"
        " first_seen_at = least(a.first_seen_at, excluded.first_seen_at), last_seen_at = greatest(a.last_seen_at, excluded.last_seen_at),"
        " severity = excluded.severity, details = excluded.details, reasons = excluded.reasons, entities = excluded.entities"
        " RETURNING a.alert_id, a.workspace_id, a.device_id, a.module_id, a.rule_id, a.cause, a.repeat_count)"
        " SELECT r.number, w.alert_id, w.repeat_count - r.times FROM written w JOIN raised r ON r.workspace_id = w.workspace_id AND r.device_id = w.device_id"
        " AND r.module_id = w.module_id AND r.rule_id = w.rule_id AND r.cause = w.cause";
    struct db_rows *rows = NULL;
    struct columns columns;
    struct buf scratch;

    qsort(judging->raised, judging->raised_count, sizeof *judging->raised, raised_compare); /* one order everywhere: see activity.c */
    buf_init(&scratch, JSON_BYTES_MAX);
    columns_open(&columns, 18);
    for (size_t i = 0; i < judging->raised_count; i++)
        raised_put(&columns, &judging->raised[i], &scratch);
    buf_done(&scratch);
    enum status status = columns_query(&columns, judging->db, upsert, judging->timeout_ms, &rows, why);
    for (size_t i = 0; !status && i < db_rows_count(rows); i++) {
        size_t number = (size_t)db_i64(rows, i, 0) - 1;
        bool full = db_i64(rows, i, 2) >= ALERT_EVENTS_MAX;
        if (number < judging->raised_count && !full)
            ids[number] = arena_text(judging->arena, db_text(rows, i, 1));
        metric_add(db_i64(rows, i, 2) ? &store_metrics.alerts_repeated : &store_metrics.alerts_opened, 1);
    }
    db_rows_free(rows);
    return status;
}

static enum status evidence_write(struct batch_judging *judging, const struct text *ids, struct problem *why)
{
    static const char insert[] = "INSERT INTO picket.alert_event (workspace_id, alert_id, time_generated, event_id, device_id)"
                                 " SELECT * FROM unnest($1::int[], $2::uuid[], $3::timestamptz[], $4::uuid[], $5::text[]) ON CONFLICT DO NOTHING";
    struct columns columns;
    size_t count = 0;

    columns_open(&columns, 5);
    for (size_t i = 0; i < judging->raised_count; i++) {
        const struct raised *raised = &judging->raised[i];
        for (const struct evidence *evidence = raised->evidence; ids[i].bytes && evidence; evidence = evidence->next) {
            columns_i64(&columns, 0, (int64_t)raised->of->message->record.workspace);
            columns_text(&columns, 1, ids[i]);
            columns_time(&columns, 2, evidence->received_at_us);
            columns_text(&columns, 3, evidence->event);
            columns_text(&columns, 4, device_message_text(raised->of->message->record.device));
            count++;
        }
    }
    if (count)
        return columns_query(&columns, judging->db, insert, judging->timeout_ms, NULL, why);
    columns_done(&columns);
    return STATUS_OK;
}

static void customs_note(struct batch_judging *judging)
{
    for (size_t i = 0; judging->custom.wanted && i < judging->count; i++) {
        custom_note_message(&judging->custom, judging->messages[i].message);
        for (size_t k = 0; k < judging->messages[i].count; k++)
            custom_note_event(&judging->custom, judging->messages[i].message, &judging->messages[i].events[k]);
    }
}

static enum status everything_write(struct batch_judging *judging, struct problem *why)
{
    enum status status = observables_write(judging->judge->observables, judging->db, judging->timeout_ms, why);

    if (!status)
        status = memories_save(judging, why);
    if (!status)
        status = custom_judge(&judging->custom, judging->db, judging->timeout_ms, why);
    if (!status)
        status = correlations_write(&judging->hits, judging->db, judging->timeout_ms, why);
    if (status || !judging->raised_count)
        return status;
    struct text *ids = ARENA_ARRAY(judging->arena, struct text, judging->raised_count);
    status = alerts_write(judging, ids, why);
    return status ? status : evidence_write(judging, ids, why);
}

static bool anything_to_write(const struct batch_judging *judging)
{
    for (size_t i = 0; i < judging->device_count; i++)
        if (judging->devices[i].memory && memory_changed(judging->devices[i].memory))
            return true;
    return judging->raised_count > 0 || judging->custom.count > 0 || judging->hits.count > 0 || observables_any(judging->judge->observables);
}

static enum status batch_judge(struct batch_judging *judging, struct problem *why)
{
    static struct log_rate rate;

    devices_gather(judging);
    enum status status = memories_load(judging, why);
    if (!status)
        status = custom_open(&judging->custom, judging->db, judging->timeout_ms, why);
    if (status)
        return status;
    customs_note(judging);
    messages_judge(judging);
    if (!anything_to_write(judging)) {
        custom_done(&judging->custom);
        return STATUS_OK;
    }
    status = db_query(judging->db, "SAVEPOINT judging", NULL, 0, judging->timeout_ms, NULL, why);
    if (!status)
        status = everything_write(judging, why);
    custom_done(&judging->custom);
    correlations_done(&judging->hits);
    if (status != STATUS_REJECT)
        return status;
    log_rated(&rate, LOG_ERROR, "store.judging_failed", "messages=%zu reason=\"%s\"", judging->count, why->text);
    metric_add(&store_metrics.judging_failed, 1);
    observables_begin(judging->judge->observables, judging->arena); /* none of it is known now */
    return db_query(judging->db, "ROLLBACK TO SAVEPOINT judging", NULL, 0, judging->timeout_ms, NULL, why);
}

static int64_t cpu_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

enum status judge_messages(struct judge *judge, struct db *db, const struct device_message *messages, size_t count, struct arena *arena, uint32_t timeout_ms,
                           struct problem *why)
{
    struct ruleset_view *view = ruleset_take(judge->ruleset);
    struct batch_judging judging = {.judge = judge, .rules = view, .db = db, .arena = arena, .timeout_ms = timeout_ms};

    if (!view)
        return STATUS_OK;
    int64_t from_us = cpu_us();
    observables_begin(judge->observables, arena);
    judging.messages = ARENA_ARRAY(arena, struct judged_message, count);
    for (size_t i = 0; i < count; i++)
        if (messages[i].fresh && messages[i].record.device.count)
            message_read(&judging, &messages[i]);
    enum status status = judging.count ? batch_judge(&judging, why) : STATUS_OK;
    engine_use(judge, NULL); /* it goes with its view */
    ruleset_give(judge->ruleset, view);
    metric_add(&store_metrics.judging_microseconds, cpu_us() - from_us);
    return status;
}

void judge_committed(struct judge *judge)
{
    observables_committed(judge->observables);
}
