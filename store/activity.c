#include "store/activity.h"

#include <stdlib.h>

#include "store/columns.h"

#define REASON_TEXT_MAX 32

struct reason {
    struct text name;
    int64_t count;
};

/* The notes of one identity, added up. */
struct sum {
    struct activity_note note;
    int64_t first_seen_us, last_seen_us, refused;
    struct reason reasons[ACTIVITY_REASONS_MAX];
    size_t reason_count;
};

static int note_compare(const void *left, const void *right);
static bool note_same(const struct activity_note *a, const struct activity_note *b);
static void sum_add(struct sum *sum, const struct activity_note *note);
static void refusals_add(struct sum *sum, const struct json_node *refused);
static size_t reason_find(const struct sum *sum, struct text name);
static void row_add(struct columns *columns, const struct sum *sum, struct buf *scratch);

enum status activity_write(struct db *db, struct activity_note *notes, size_t count, uint32_t timeout_ms,
                           struct problem *why)
{
    static const char upsert[] =
        "INSERT INTO picket.device_activity AS a (workspace_id, device_id, module_id, first_seen_at, last_seen_at,"
        " message_count, resend_count, event_count, departure_count, refused_count, refused_reasons, dead_count,"
        " agent_version)"
        " SELECT * FROM unnest($1::int[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::bigint[],"
        " $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::jsonb[], $12::bigint[], $13::text[])"
        " ON CONFLICT (workspace_id, device_id, module_id) DO UPDATE SET"
        " first_seen_at = least(a.first_seen_at, excluded.first_seen_at),"
        " last_seen_at = greatest(a.last_seen_at, excluded.last_seen_at),"
        " message_count = a.message_count + excluded.message_count,"
        " resend_count = a.resend_count + excluded.resend_count,"
        " event_count = a.event_count + excluded.event_count,"
        " departure_count = a.departure_count + excluded.departure_count,"
        " refused_count = a.refused_count + excluded.refused_count,"
        " refused_reasons = CASE WHEN excluded.refused_reasons = '{}' THEN a.refused_reasons ELSE"
        "  (SELECT jsonb_object_agg(k, coalesce((a.refused_reasons ->> k)::bigint, 0)"
        "    + coalesce((excluded.refused_reasons ->> k)::bigint, 0))"
        "   FROM (SELECT jsonb_object_keys(a.refused_reasons) UNION SELECT jsonb_object_keys(excluded.refused_reasons))"
        "   AS keys (k)) END,"
        " dead_count = a.dead_count + excluded.dead_count,"
        " agent_version = coalesce(excluded.agent_version, a.agent_version)";
    struct columns columns;
    struct buf scratch;
    struct sum sum;

    if (count == 0)
        return STATUS_OK;
    /* In one order everywhere, so that two writers that meet on the same rows wait instead of locking each other out. */
    qsort(notes, count, sizeof *notes, note_compare);
    buf_init(&scratch, COLUMN_BYTES_MAX);
    columns_open(&columns, 13);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || !note_same(&notes[i - 1], &notes[i])) {
            if (i > 0)
                row_add(&columns, &sum, &scratch);
            sum = (struct sum){.note = {.workspace = notes[i].workspace,
                                        .device = notes[i].device,
                                        .module = notes[i].module,
                                        .agent_version = TEXT_NONE},
                               .first_seen_us = notes[i].received_at_us};
        }
        sum_add(&sum, &notes[i]);
    }
    row_add(&columns, &sum, &scratch);
    buf_done(&scratch);
    return columns_query(&columns, db, upsert, timeout_ms, NULL, why);
}

static int note_compare(const void *left, const void *right)
{
    const struct activity_note *a = left, *b = right;
    int order = (a->workspace > b->workspace) - (a->workspace < b->workspace);

    order = order ? order : text_compare(a->device, b->device);
    order = order ? order : text_compare(a->module, b->module);
    return order ? order : (a->received_at_us > b->received_at_us) - (a->received_at_us < b->received_at_us);
}

static bool note_same(const struct activity_note *a, const struct activity_note *b)
{
    return a->workspace == b->workspace && text_equal(a->device, b->device) && text_equal(a->module, b->module);
}

/* Notes come in order of receipt, so the last agent version told is the newest. */
static void sum_add(struct sum *sum, const struct activity_note *note)
{
    sum->last_seen_us = note->received_at_us;
    sum->note.messages += note->messages;
    sum->note.resends += note->resends;
    sum->note.events += note->events;
    sum->note.departures += note->departures;
    sum->note.dead += note->dead;
    if (note->agent_version.bytes)
        sum->note.agent_version = note->agent_version;
    if (note->refused)
        refusals_add(sum, note->refused);
}

static void refusals_add(struct sum *sum, const struct json_node *refused)
{
    int64_t count;

    for (const struct json_node *node = refused->first; node; node = node->next) {
        if (!node_integer(node, &count) || count <= 0 || count > UINT32_MAX)
            continue;
        struct text name = node->name.count <= REASON_TEXT_MAX ? node->name : TEXT("other");
        size_t at = reason_find(sum, name);
        if (at == sum->reason_count && at >= ACTIVITY_REASONS_MAX - 1) { /* the last place is for all others */
            name = TEXT("other");
            at = reason_find(sum, name);
        }
        if (at == sum->reason_count)
            sum->reasons[sum->reason_count++] = (struct reason){name, 0};
        sum->reasons[at].count += count;
        sum->refused += count;
    }
}

/* Where the reason stands, or would be put. */
static size_t reason_find(const struct sum *sum, struct text name)
{
    size_t at = 0;

    while (at < sum->reason_count && !text_equal(sum->reasons[at].name, name))
        at++;
    return at;
}

static void row_add(struct columns *columns, const struct sum *sum, struct buf *scratch)
{
    buf_clear(scratch);
    buf_byte(scratch, '{');
    for (size_t i = 0; i < sum->reason_count; i++) {
        if (i > 0)
            buf_byte(scratch, ',');
        buf_json_string(scratch, sum->reasons[i].name);
        buf_byte(scratch, ':');
        buf_i64(scratch, sum->reasons[i].count);
    }
    buf_byte(scratch, '}');
    columns_i64(columns, 0, sum->note.workspace);
    columns_text(columns, 1, sum->note.device);
    columns_text(columns, 2, sum->note.module);
    columns_time(columns, 3, sum->first_seen_us);
    columns_time(columns, 4, sum->last_seen_us);
    columns_i64(columns, 5, sum->note.messages);
    columns_i64(columns, 6, sum->note.resends);
    columns_i64(columns, 7, sum->note.events);
    columns_i64(columns, 8, sum->note.departures);
    columns_i64(columns, 9, sum->refused);
    columns_text(columns, 10, buf_as_text(scratch));
    columns_i64(columns, 11, sum->note.dead);
    columns_text(columns, 12, sum->note.agent_version);
}
