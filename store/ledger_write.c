#include "store/ledger.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/alerts.h"
#include "store/columns.h"

/* One row of the table that the batch touches: its reports are one run of the sorted entries. */
struct touched {
    const struct ledger_entry *key;
    struct ledger_state state;
    int64_t lost;
    bool known; /* was in the table */
};

static int entry_compare(const void *left, const void *right);
static bool entry_same(const struct ledger_entry *a, const struct ledger_entry *b);
static enum status rows_read(struct db *db, struct touched *touched, size_t count, struct arena *arena,
                             uint32_t timeout_ms, struct problem *why);
static enum status row_read(const struct db_rows *rows, size_t row, struct touched *out, struct arena *arena,
                            struct problem *why);
static bool reasons_read(struct text json, struct ledger_state *state, struct arena *arena);
static void reasons_print(const struct ledger_state *state, struct buf *out);
static enum status rows_make(struct db *db, const struct touched *touched, size_t count, uint32_t timeout_ms,
                             struct problem *why);
static enum status rows_update(struct db *db, const struct touched *touched, size_t count, uint32_t timeout_ms,
                               struct problem *why);
static enum status loss_raise(struct db *db, const struct touched *touched, uint32_t timeout_ms, struct problem *why);
static void key_columns(struct columns *columns, const struct touched *touched);

/* Rows are read, changed here and written back. Rows that are new are made empty first, so that all of them are locked
 * before any is read: a replayed dead letter may touch the same device from another connection. */
enum status ledger_write(struct db *db, const struct ledger_entry *entries, size_t count, struct arena *arena,
                         uint32_t timeout_ms, struct problem *why)
{
    if (count == 0)
        return STATUS_OK;
    struct ledger_entry *sorted = ARENA_ARRAY(arena, struct ledger_entry, count);
    struct touched *touched = ARENA_ARRAY(arena, struct touched, count);
    size_t rows = 0;
    memcpy(sorted, entries, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, entry_compare);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || !entry_same(&sorted[i - 1], &sorted[i]))
            touched[rows++] = (struct touched){.key = &sorted[i], .state = {.settled_below = 1}};

    enum status status = rows_read(db, touched, rows, arena, timeout_ms, why);
    bool missing = false;
    for (size_t i = 0; i < rows; i++)
        missing = missing || !touched[i].known;
    if (!status && missing) {
        status = rows_make(db, touched, rows, timeout_ms, why);
        if (!status)
            status = rows_read(db, touched, rows, arena, timeout_ms, why);
    }
    if (status)
        return status;
    size_t row = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t lost;
        if (i > 0 && !entry_same(&sorted[i - 1], &sorted[i]))
            row++;
        ledger_apply(&touched[row].state, sorted[i].report, sorted[i].received_at_us, arena, &lost);
        touched[row].lost += lost;
    }
    status = rows_update(db, touched, rows, timeout_ms, why);
    for (size_t i = 0; !status && i < rows; i++)
        if (touched[i].lost)
            status = loss_raise(db, &touched[i], timeout_ms, why);
    return status;
}

static int entry_compare(const void *left, const void *right)
{
    const struct ledger_entry *a = left, *b = right;
    int order = (a->workspace > b->workspace) - (a->workspace < b->workspace);

    order = order ? order : text_compare(a->device, b->device);
    order = order ? order : text_compare(a->module, b->module);
    order = order ? order : memcmp(a->report->epoch, b->report->epoch, sizeof a->report->epoch);
    order = order ? order : a->report->stream - b->report->stream;
    return order ? order : (a->received_at_us > b->received_at_us) - (a->received_at_us < b->received_at_us);
}

static bool entry_same(const struct ledger_entry *a, const struct ledger_entry *b)
{
    return a->workspace == b->workspace && text_equal(a->device, b->device) && text_equal(a->module, b->module) &&
           memcmp(a->report->epoch, b->report->epoch, sizeof a->report->epoch) == 0 &&
           a->report->stream == b->report->stream;
}

static void key_columns(struct columns *columns, const struct touched *touched)
{
    const struct ledger_entry *key = touched->key;

    columns_i64(columns, 0, key->workspace);
    columns_text(columns, 1, key->device);
    columns_text(columns, 2, key->module);
    columns_text(columns, 3, text_of(key->report->epoch));
    columns_i64(columns, 4, key->report->stream);
}

static enum status rows_read(struct db *db, struct touched *touched, size_t count, struct arena *arena,
                             uint32_t timeout_ms, struct problem *why)
{
    static const char select_rows[] =
        "SELECT k.n, l.stored, l.dropped, l.drop_reasons, l.highest, l.settled_below, l.settled_stored, l.settled_lost,"
        " coalesce(l.gap_from, 0), coalesce((extract(epoch FROM l.gap_since) * 1000000)::bigint, 0),"
        " (extract(epoch FROM l.first_seen_at) * 1000000)::bigint,"
        " (extract(epoch FROM l.last_seen_at) * 1000000)::bigint"
        " FROM unnest($1::int[], $2::text[], $3::text[], $4::uuid[], $5::smallint[])"
        " WITH ORDINALITY AS k (workspace_id, device_id, module_id, epoch, stream, n)"
        " JOIN picket.ledger l ON l.workspace_id = k.workspace_id AND l.device_id = k.device_id COLLATE \"C\""
        " AND l.module_id = k.module_id COLLATE \"C\" AND l.epoch = k.epoch AND l.stream = k.stream FOR UPDATE OF l";
    struct columns columns;
    struct db_rows *rows = NULL;

    columns_open(&columns, 5);
    for (size_t i = 0; i < count; i++)
        key_columns(&columns, &touched[i]);
    enum status status = columns_query(&columns, db, select_rows, timeout_ms, &rows, why);
    for (size_t i = 0; !status && i < db_rows_count(rows); i++) {
        int64_t number = db_i64(rows, i, 0);
        assert(number >= 1 && (size_t)number <= count);
        status = row_read(rows, i, &touched[number - 1], arena, why);
    }
    db_rows_free(rows);
    return status;
}

static enum status row_read(const struct db_rows *rows, size_t row, struct touched *out, struct arena *arena,
                            struct problem *why)
{
    struct ledger_state *state = &out->state;

    *state = (struct ledger_state){
        .highest = db_i64(rows, row, 4),
        .settled_below = db_i64(rows, row, 5),
        .settled_stored = db_i64(rows, row, 6),
        .settled_lost = db_i64(rows, row, 7),
        .gap_from = db_i64(rows, row, 8),
        .gap_since_us = db_i64(rows, row, 9),
        .first_seen_us = db_i64(rows, row, 10),
        .last_seen_us = db_i64(rows, row, 11),
    };
    out->known = true;
    if (!ledger_ranges_read(db_text(rows, row, 1), &state->stored, arena) ||
        !ledger_ranges_read(db_text(rows, row, 2), &state->dropped, arena) ||
        !reasons_read(db_text(rows, row, 3), state, arena))
        return problem_set(why, STATUS_FAULT, "the ledger row of device %.*s cannot be read back",
                           TEXT_ARGS(out->key->device));
    return STATUS_OK;
}

static bool reasons_read(struct text json, struct ledger_state *state, struct arena *arena)
{
    struct json_node *reasons = NULL;
    struct problem ignored;
    struct text copy = arena_text(arena, json); /* the rows go before the reasons do */

    if (json_tree_read(copy, 2, arena, &reasons, &ignored))
        return false;
    for (const struct json_node *node = reasons->first; node && state->reason_count < LEDGER_REASONS_MAX;
         node = node->next) {
        struct ledger_reason *reason = &state->reasons[state->reason_count++];
        reason->reason = node->name;
        if (!node_integer(node, &reason->count))
            return false;
    }
    return true;
}

static void reasons_print(const struct ledger_state *state, struct buf *out)
{
    buf_clear(out);
    buf_byte(out, '{');
    for (size_t i = 0; i < state->reason_count; i++) {
        if (i > 0)
            buf_byte(out, ',');
        buf_json_string(out, state->reasons[i].reason);
        buf_byte(out, ':');
        buf_i64(out, state->reasons[i].count);
    }
    buf_byte(out, '}');
}

static enum status rows_make(struct db *db, const struct touched *touched, size_t count, uint32_t timeout_ms,
                             struct problem *why)
{
    static const char insert_rows[] =
        "INSERT INTO picket.ledger (workspace_id, device_id, module_id, epoch, stream, highest, first_seen_at,"
        " last_seen_at) SELECT w, d, m, e, s, 0, at, at"
        " FROM unnest($1::int[], $2::text[], $3::text[], $4::uuid[], $5::smallint[], $6::timestamptz[])"
        " AS k (w, d, m, e, s, at) ON CONFLICT DO NOTHING";
    struct columns columns;

    columns_open(&columns, 6);
    for (size_t i = 0; i < count; i++) {
        if (touched[i].known)
            continue;
        key_columns(&columns, &touched[i]);
        columns_time(&columns, 5, touched[i].key->received_at_us);
    }
    return columns_query(&columns, db, insert_rows, timeout_ms, NULL, why);
}

static enum status rows_update(struct db *db, const struct touched *touched, size_t count, uint32_t timeout_ms,
                               struct problem *why)
{
    static const char update_rows[] =
        "UPDATE picket.ledger l SET stored = k.stored, dropped = k.dropped, drop_reasons = k.reasons,"
        " highest = k.highest, settled_below = k.below, settled_stored = k.settled_stored,"
        " settled_lost = k.settled_lost, gap_from = nullif(k.gap_from, 0), gap_since = k.gap_since,"
        " first_seen_at = k.first_seen, last_seen_at = k.last_seen"
        " FROM unnest($1::int[], $2::text[], $3::text[], $4::uuid[], $5::smallint[], $6::int8multirange[],"
        " $7::int8multirange[], $8::jsonb[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],"
        " $14::timestamptz[], $15::timestamptz[], $16::timestamptz[])"
        " AS k (workspace_id, device_id, module_id, epoch, stream, stored, dropped, reasons, highest, below,"
        " settled_stored, settled_lost, gap_from, gap_since, first_seen, last_seen)"
        " WHERE l.workspace_id = k.workspace_id AND l.device_id = k.device_id COLLATE \"C\""
        " AND l.module_id = k.module_id COLLATE \"C\" AND l.epoch = k.epoch AND l.stream = k.stream";
    struct columns columns;
    struct buf scratch;

    buf_init(&scratch, COLUMN_BYTES_MAX);
    columns_open(&columns, 16);
    for (size_t i = 0; i < count; i++) {
        const struct ledger_state *state = &touched[i].state;
        key_columns(&columns, &touched[i]);
        buf_clear(&scratch);
        ledger_ranges_print(&state->stored, &scratch);
        columns_text(&columns, 5, buf_as_text(&scratch));
        buf_clear(&scratch);
        ledger_ranges_print(&state->dropped, &scratch);
        columns_text(&columns, 6, buf_as_text(&scratch));
        reasons_print(state, &scratch);
        columns_text(&columns, 7, buf_as_text(&scratch));
        columns_i64(&columns, 8, state->highest);
        columns_i64(&columns, 9, state->settled_below);
        columns_i64(&columns, 10, state->settled_stored);
        columns_i64(&columns, 11, state->settled_lost);
        columns_i64(&columns, 12, state->gap_from);
        columns_time(&columns, 13, state->gap_since_us);
        columns_time(&columns, 14, state->first_seen_us);
        columns_time(&columns, 15, state->last_seen_us);
    }
    buf_done(&scratch);
    return columns_query(&columns, db, update_rows, timeout_ms, NULL, why);
}

static enum status loss_raise(struct db *db, const struct touched *touched, uint32_t timeout_ms, struct problem *why)
{
    const struct ledger_entry *key = touched->key;
    char cause[64];
    struct buf details, reasons;

    snprintf(cause, sizeof cause, "%s/%d", key->report->epoch, key->report->stream);
    buf_init(&details, 64 * 1024);
    buf_init(&reasons, 64 * 1024);
    reasons_print(&touched->state, &reasons);
    buf_format(&details, "{\"Epoch\":\"%s\",\"Stream\":%d,\"Lost\":%lld,\"Reasons\":", key->report->epoch,
               key->report->stream, (long long)touched->lost);
    buf_text(&details, buf_as_text(&reasons));
    buf_byte(&details, '}');
    const struct alert_note note = {
        .workspace = key->workspace,
        .device = key->device,
        .module = key->module,
        .rule = "ledger.dropped",
        .cause = cause,
        .severity = "Medium",
        .title = "The device dropped events before it could send them",
        .details = buf_as_text(&details),
        .at_us = touched->state.last_seen_us,
    };
    enum status status = alerts_raise(db, &note, timeout_ms, why);
    buf_done(&reasons);
    buf_done(&details);
    return status;
}
