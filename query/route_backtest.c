#include "query/routes.h"

#include <stdio.h>
#include <stdlib.h>

#include "detect/engine.h"
#include "detect/sigma_parse.h"
#include "runtime/clock.h"

#define DAY_US INT64_C(86400000000)
#define SINCE_DEFAULT_US (30 * DAY_US)
#define ROWS_MAX 10000   /* of the answer: devices times days */
#define DOCUMENTS_MAX 50 /* of one text */
#define ALERTS_MAX 5000  /* different causes of one device that are told apart */
#define HELD_MAX 1000    /* elements of one event that are judged together */
#define HITS_MAX 200000  /* of a day, of correlations over all devices */
#define SPARE_MS 3000    /* kept of the request's time for the answer */

/* What a rule would have found: the same engine, over stored events, device by device and day by day. Its memory of each device goes on
 * from day to day, as it does on the stream. */
#define ALL_DEVICES TEXT("") /* no device is called so */
struct device_memory {
    char *name;
    struct memory *memory;
};

struct day_row {
    char *device;
    int64_t day_us;
    uint64_t findings, alerts;
};

struct backtest {
    struct engine *engine;
    struct engine_scratch *scratch;
    struct arena memories[2]; /* they are written into the other one at each day's end, without what is forgotten */
    int in_use;
    struct device_memory *devices; /* by their names */
    size_t device_count, device_room;
    struct arena arena; /* of the events that are held: elements of one event of a device, which are judged together */
    struct event *held;
    size_t held_count;
    struct text held_device;
    int64_t day_us;
    uint64_t events, findings;
    struct day_row *rows;
    size_t row_count;
    bool complete;
    uint64_t *causes; /* of the row that is being filled */
    size_t cause_count;
    struct arena hits_arena; /* of a day */
    struct sigma_hit *hits;
    size_t hit_count;
};

/* ---- devices ---- */

static size_t device_place(const struct backtest *backtest, struct text name)
{
    size_t low = 0, high = backtest->device_count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (text_compare(text_of(backtest->devices[middle].name), name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct memory *memory_of(struct backtest *backtest, struct text name)
{
    size_t at = device_place(backtest, name);

    if (at < backtest->device_count && text_equal(text_of(backtest->devices[at].name), name))
        return backtest->devices[at].memory;
    if (backtest->device_count == backtest->device_room) {
        backtest->device_room = 2 * backtest->device_room + 256;
        backtest->devices = realloc(backtest->devices, backtest->device_room * sizeof *backtest->devices);
        if (!backtest->devices)
            abort();
    }
    memmove(backtest->devices + at + 1, backtest->devices + at, (backtest->device_count - at) * sizeof *backtest->devices);
    backtest->devices[at] = (struct device_memory){strndup(name.bytes, name.count), memory_new(&backtest->memories[backtest->in_use])};
    if (!backtest->devices[at].name)
        abort();
    backtest->device_count++;
    return backtest->devices[at].memory;
}

static void memories_compact(struct backtest *backtest)
{
    struct arena *next = &backtest->memories[!backtest->in_use];
    struct buf written;

    arena_clear(next);
    buf_init(&written, MEMORY_BYTES_MAX);
    for (size_t i = 0; i < backtest->device_count; i++) {
        buf_clear(&written);
        memory_write(backtest->devices[i].memory, &written);
        backtest->devices[i].memory = memory_read(buf_as_text(&written), next);
    }
    buf_done(&written);
    arena_clear(&backtest->memories[backtest->in_use]);
    backtest->in_use = !backtest->in_use;
}

/* ---- findings ---- */

static uint64_t cause_sum(const struct finding *finding)
{
    uint64_t sum = UINT64_C(0xCBF29CE484222325); /* FNV-1a */

    for (size_t i = 0; i < finding->cause.count; i++)
        sum = (sum ^ (unsigned char)finding->cause.bytes[i]) * UINT64_C(0x100000001B3);
    return sum;
}

static void finding_count(struct backtest *backtest, struct text device, const struct finding *finding)
{
    struct day_row *row = backtest->row_count ? &backtest->rows[backtest->row_count - 1] : NULL;
    uint64_t cause = cause_sum(finding);
    size_t i = 0;

    backtest->findings++;
    if (!row || row->day_us != backtest->day_us || !text_equal(text_of(row->device), device)) {
        if (backtest->row_count == ROWS_MAX) {
            backtest->complete = false;
            return;
        }
        row = &backtest->rows[backtest->row_count++];
        *row = (struct day_row){.device = strndup(device.bytes, device.count), .day_us = backtest->day_us};
        backtest->cause_count = 0;
    }
    row->findings++;
    while (i < backtest->cause_count && backtest->causes[i] != cause)
        i++;
    if (i < backtest->cause_count || i == ALERTS_MAX)
        return;
    backtest->causes[backtest->cause_count++] = cause;
    row->alerts++;
}

/* They are judged in the order of all devices, so when the day was read. */
static void hit_keep(struct backtest *backtest, const struct sigma_hit *hit)
{
    if (backtest->hit_count == HITS_MAX) {
        backtest->complete = false;
        return;
    }
    struct sigma_hit *kept = &backtest->hits[backtest->hit_count++];
    *kept = *hit;
    kept->key = arena_text(&backtest->hits_arena, hit->key);
    kept->value = arena_text(&backtest->hits_arena, hit->value);
}

static int hit_compare(const void *left, const void *right)
{
    const struct sigma_hit *a = left, *b = right;
    int order = (a->at_us > b->at_us) - (a->at_us < b->at_us);

    order = order ? order : text_compare(a->key, b->key);
    return order ? order : text_compare(a->value, b->value);
}

static void hits_judge(struct backtest *backtest)
{
    if (backtest->hit_count)
        qsort(backtest->hits, backtest->hit_count, sizeof *backtest->hits, hit_compare);
    for (size_t i = 0; i < backtest->hit_count; i++)
        if (engine_hit_completes(backtest->engine, &backtest->hits[i], memory_of(backtest, ALL_DEVICES), &backtest->hits_arena))
            finding_count(backtest, ALL_DEVICES, &(struct finding){.cause = backtest->hits[i].key});
    backtest->hit_count = 0;
    arena_clear(&backtest->hits_arena);
}

static void held_judge(struct backtest *backtest)
{
    struct findings findings = {.count = 0};

    if (backtest->held_count)
        engine_judge(backtest->engine, backtest->scratch, backtest->held, backtest->held_count, memory_of(backtest, backtest->held_device), &backtest->arena, &findings);
    for (const struct finding *finding = findings.first; finding; finding = finding->next)
        finding_count(backtest, backtest->held_device, finding);
    for (const struct finding_hit *hit = findings.first_hit; hit; hit = hit->next)
        hit_keep(backtest, &hit->hit);
    backtest->held_count = 0;
    arena_clear(&backtest->arena);
}

static bool held_goes_on(const struct backtest *backtest, struct text device, struct text group, struct text name)
{
    const struct event *last = backtest->held_count ? &backtest->held[backtest->held_count - 1] : NULL;

    return last && backtest->held_count < HELD_MAX && group.bytes && text_equal(last->group, group) && text_equal(last->name, name) &&
           text_equal(backtest->held_device, device);
}

/* Rows come device by device, and in them as they came. */
static enum status event_take(void *context, const struct db_rows *row, struct problem *why)
{
    struct backtest *backtest = context;
    struct text device = db_text(row, 0, 0), group = db_text(row, 0, 6), name = db_text(row, 0, 2);

    (void)why;
    if (!held_goes_on(backtest, device, group, name))
        held_judge(backtest);
    if (!backtest->held_count)
        backtest->held_device = arena_text(&backtest->arena, device);
    const struct event_source source = {
        .id = arena_text(&backtest->arena, db_text(row, 0, 1)),
        .group = arena_text(&backtest->arena, group),
        .name = arena_text(&backtest->arena, name),
        .details = arena_text(&backtest->arena, db_text(row, 0, 3)),
        .at_us = db_i64(row, 0, 4),
        .hits = db_i64(row, 0, 5) > 0 ? (uint64_t)db_i64(row, 0, 5) : 1,
    };
    backtest->events++;
    backtest->held_count += event_read(&source, &backtest->arena, &backtest->held[backtest->held_count]);
    return STATUS_OK;
}

static enum status day_run(const struct request *request, struct backtest *backtest, const char *workspace, const char *names, int64_t from_us, int64_t to_us,
                           struct problem *why)
{
    static const char select[] =
        "SELECT device_id, event_id, name, details::text, (extract(epoch FROM time_stamp) * 1000000)::bigint, hit_count,"
        " sender_event_id FROM picket.raw_event"
        " WHERE workspace_id = $1::int AND time_generated >= $2::timestamptz AND time_generated < $3::timestamptz"
        " AND ($4::text[] IS NULL OR translate(lower(name), '_ ', '') = ANY($4::text[])) ORDER BY device_id, time_generated, bus_offset, element";
    char from[CLOCK_TEXT_SIZE], to[CLOCK_TEXT_SIZE];

    clock_format(from_us, from);
    clock_format(to_us, to);
    const char *const parameters[] = {workspace, from, to, names};
    enum status status = db_each(request->db, select, parameters, 4, request->timeout_ms, event_take, backtest, why);
    if (!status)
        held_judge(backtest);
    hits_judge(backtest);
    return status;
}

/* ---- the rule ---- */

struct wanted {
    const struct rule *builtin;
    const struct sigma_rule *sigma[DOCUMENTS_MAX]; /* a correlation comes with the rules that it names */
    size_t sigma_count;
    char reason[256];
    bool *off;
    struct sigma_mapping *mapping;
};

static void rules_done(struct wanted *wanted)
{
    for (size_t i = 0; i < wanted->sigma_count; i++)
        sigma_rule_done(wanted->sigma[i]);
}

static void sigma_take(void *context, const struct sigma_rule *rule, struct text id, const char *reason)
{
    struct wanted *wanted = context;

    (void)id;
    if (rule && wanted->sigma_count < DOCUMENTS_MAX)
        wanted->sigma[wanted->sigma_count++] = rule;
    else if (rule)
        sigma_rule_done(rule);
    else
        snprintf(wanted->reason, sizeof wanted->reason, "%s", reason);
}

static enum status stored_source(const struct request *request, struct reply *reply, const char *workspace, const char *rule, const char **source, struct problem *why)
{
    const char *const parameters[] = {workspace, rule};
    struct db_rows *rows = NULL;
    enum status status = request_query(request, "SELECT source FROM picket.rule WHERE workspace_id = $1::int AND rule_id = $2 AND source IS NOT NULL", parameters, 2, &rows, why);

    if (!status && !db_rows_count(rows))
        status = reply_refuse(reply, why, 404, "NotFound", "There is no rule %.200s.", rule);
    if (!status)
        *source = arena_string(request->arena, db_text(rows, 0, 0));
    db_rows_free(rows);
    return status;
}

static enum status rule_read(const struct request *request, struct reply *reply, const char *workspace, struct wanted *wanted, struct problem *why)
{
    const char *rule = NULL, *source = NULL;

    enum status status = request_string(request, "rule", &rule, why);
    if (!status)
        status = request_string(request, "source", &source, why);
    if (!status && !rule == !source)
        status = problem_set(why, STATUS_REJECT, "which rule? \"rule\" names one, or \"source\" is the text of one");
    if (!status && rule)
        wanted->builtin = builtin_rule_find(text_of(rule));
    if (!status && rule && !wanted->builtin)
        status = stored_source(request, reply, workspace, rule, &source, why);
    if (status || wanted->builtin)
        return status;
    status = sigma_mapping_read(sigma_mapping_builtin(), request->arena, &wanted->mapping, why);
    if (!status)
        status = sigma_parse(text_of(source), request->arena, sigma_take, wanted, why);
    if (!status && (!wanted->sigma_count || wanted->reason[0]))
        status = problem_set(why, STATUS_REJECT, "%s", wanted->reason[0] ? wanted->reason : "there is no rule in it");
    if (!status && wanted->sigma_count == 1 && wanted->sigma[0]->correlation)
        status = problem_set(why, STATUS_REJECT, "a correlation is tested together with the rules that it names: put them into one file");
    for (size_t i = 0; !status && i < wanted->sigma_count; i++) {
        const char *never = sigma_mapping_never(wanted->mapping, wanted->sigma[i], request->arena);
        if (never)
            status = problem_set(why, STATUS_REJECT, "%s", never);
    }
    return status;
}

static unsigned kinds_of(const struct wanted *wanted)
{
    unsigned kinds = wanted->builtin ? wanted->builtin->kinds : 0;

    for (size_t i = 0; wanted->sigma_count && i < sigma_mapping_count(wanted->mapping); i++)
        for (size_t k = 0; k < wanted->sigma_count; k++)
            if (sigma_source_covers(sigma_mapping_source(wanted->mapping, i), wanted->sigma[k]))
                kinds |= sigma_source_kinds(sigma_mapping_source(wanted->mapping, i));
    return kinds;
}

static void backtest_open(struct backtest *backtest, struct wanted *wanted)
{
    wanted->off = calloc(builtin_rules_count, sizeof *wanted->off);
    backtest->rows = calloc(ROWS_MAX, sizeof *backtest->rows);
    backtest->causes = calloc(ALERTS_MAX, sizeof *backtest->causes);
    backtest->held = calloc(HELD_MAX, sizeof *backtest->held);
    backtest->hits = calloc(HITS_MAX, sizeof *backtest->hits);
    if (!backtest->held || !backtest->hits || !wanted->off || !backtest->rows || !backtest->causes)
        abort();
    for (size_t i = 0; i < builtin_rules_count; i++)
        wanted->off[i] = builtin_rules[i] != wanted->builtin;
    backtest->engine = engine_new(&(struct engine_content){.off = wanted->off, .mapping = wanted->mapping, .sigma = wanted->sigma, .sigma_count = wanted->sigma_count});
    backtest->scratch = engine_scratch_new(backtest->engine);
    backtest->complete = true;
    arena_init(&backtest->arena);
    arena_init(&backtest->hits_arena);
    arena_init(&backtest->memories[0]);
    arena_init(&backtest->memories[1]);
}

static void backtest_close(struct backtest *backtest, struct wanted *wanted)
{
    engine_scratch_free(backtest->scratch);
    engine_free(backtest->engine);
    rules_done(wanted);
    for (size_t i = 0; i < backtest->device_count; i++)
        free(backtest->devices[i].name);
    for (size_t i = 0; i < backtest->row_count; i++)
        free(backtest->rows[i].device);
    free(backtest->devices);
    free(backtest->rows);
    free(backtest->causes);
    free(backtest->held);
    free(backtest->hits);
    arena_done(&backtest->hits_arena);
    free(wanted->off);
    arena_done(&backtest->arena);
    arena_done(&backtest->memories[0]);
    arena_done(&backtest->memories[1]);
}

static void answer_write(const struct backtest *backtest, int64_t since_us, int64_t until_us, struct reply *reply)
{
    char time[CLOCK_TEXT_SIZE];

    reply_open_object(reply, NULL);
    clock_format(since_us, time);
    reply_string(reply, "since", time);
    clock_format(until_us, time);
    reply_string(reply, "until", time);
    reply_number(reply, "events", (int64_t)backtest->events);
    reply_number(reply, "findings", (int64_t)backtest->findings);
    reply_flag(reply, "complete", backtest->complete);
    reply_open_array(reply, "days");
    for (size_t i = 0; i < backtest->row_count; i++) {
        const struct day_row *row = &backtest->rows[i];
        reply_open_object(reply, NULL);
        reply_string(reply, "device", row->device);
        clock_format(row->day_us, time);
        time[10] = '\0';
        reply_string(reply, "day", time);
        reply_number(reply, "findings", (int64_t)row->findings);
        reply_number(reply, "alerts", (int64_t)row->alerts);
        reply_close_object(reply);
    }
    reply_close_array(reply);
    reply_close_object(reply);
}

ROUTE_HANDLER(rules_backtest)
{
    static const char *const members[] = {"rule", "source", "since", "workspace", NULL};
    const char *since = NULL, *workspace_name, *names[EVENT_NAMES_MAX];
    int64_t now_us = clock_utc_us(), deadline_ms = clock_monotonic_ms() + query_settings_of(query)->kql_timeout_ms - SPARE_MS, since_us = 0, workspace = 0, at_us;
    struct backtest backtest = {.events = 0};
    struct wanted wanted = {.builtin = NULL};
    struct buf list;

    enum status status = request_members(request, members, why);
    if (!status)
        status = request_string(request, "since", &since, why);
    if (!status)
        status = request_time(since, "since", now_us, now_us - SINCE_DEFAULT_US, &since_us, why);
    if (!status)
        status = request_workspace(request, &workspace, &workspace_name, why);
    const char *number = status ? NULL : request_decimal(request, workspace);
    if (!status)
        status = rule_read(request, reply, number, &wanted, why);
    if (status) {
        rules_done(&wanted);
        return status;
    }
    since_us = since_us > now_us - 3660 * DAY_US ? since_us : now_us - 3660 * DAY_US;
    buf_init(&list, 4096);
    db_array_open(&list);
    for (size_t i = 0, count = event_names(kinds_of(&wanted), names); i < count; i++)
        db_array_text(&list, text_of(names[i]));
    db_array_close(&list);
    backtest_open(&backtest, &wanted);
    for (at_us = since_us; !status && at_us < now_us; at_us = backtest.day_us + DAY_US) {
        backtest.day_us = at_us - at_us % DAY_US;
        if (clock_monotonic_ms() > deadline_ms) {
            backtest.complete = false;
            break;
        }
        status = day_run(request, &backtest, number, list.bytes, at_us, backtest.day_us + DAY_US, why);
        memories_compact(&backtest);
    }
    buf_done(&list);
    if (!status)
        answer_write(&backtest, since_us, at_us < now_us ? at_us : now_us, reply);
    backtest_close(&backtest, &wanted);
    return status;
}
