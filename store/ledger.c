#include "store/ledger.h"

#include <assert.h>
#include <stdio.h>

#include "runtime/buf.h"

#define RANGES_ROOM_MIN 8

static bool guid_read(struct text text, char out[37]);
static bool number_read(const struct json_node *node, int64_t min, int64_t max, int64_t *out);
static bool drops_read(const struct json_node *list, struct arena *arena, struct ledger_report *out);
static int64_t below_settled(struct ledger_state *state, int64_t from, int64_t to);
static void reason_count_add(struct ledger_state *state, struct text reason, int64_t count, struct arena *arena);
static size_t reason_find(const struct ledger_state *state, struct text reason);
static void settle(struct ledger_state *state);
static void ranges_trim(struct ledger_ranges *ranges, int64_t below);
static int64_t missing_within(const struct ledger_state *state, int64_t from, int64_t to);
static int64_t lowest_missing(const struct ledger_state *state);
static void gap_judge(struct ledger_state *state, int64_t received_at_us);

int64_t ledger_ranges_add(struct ledger_ranges *ranges, int64_t from, int64_t to, struct arena *arena)
{
    size_t at = ranges->count, end;
    int64_t known = 0;

    assert(from <= to);
    /* Numbers mostly grow, so the place is near the end. */
    while (at > 0 && ranges->items[at - 1].to >= from - 1)
        at--;
    int64_t low = from, high = to;
    for (end = at; end < ranges->count && ranges->items[end].from <= to + 1; end++) {
        const struct ledger_range *met = &ranges->items[end];
        int64_t shared_from = met->from > from ? met->from : from, shared_to = met->to < to ? met->to : to;
        known += shared_to >= shared_from ? shared_to - shared_from + 1 : 0;
        low = met->from < low ? met->from : low;
        high = met->to > high ? met->to : high;
    }
    if (ranges->count + 1 > ranges->room) {
        size_t room = ranges->room ? 2 * ranges->room : RANGES_ROOM_MIN;
        struct ledger_range *items = ARENA_ARRAY(arena, struct ledger_range, room);
        if (ranges->count)
            memcpy(items, ranges->items, ranges->count * sizeof *items);
        ranges->items = items;
        ranges->room = room;
    }
    memmove(&ranges->items[at + 1], &ranges->items[end], (ranges->count - end) * sizeof *ranges->items);
    ranges->items[at] = (struct ledger_range){low, high};
    ranges->count = ranges->count - (end - at) + 1;
    return to - from + 1 - known;
}

int64_t ledger_ranges_below(const struct ledger_ranges *ranges, int64_t limit)
{
    int64_t sum = 0;

    for (size_t i = 0; i < ranges->count && ranges->items[i].from < limit; i++) {
        int64_t to = ranges->items[i].to < limit - 1 ? ranges->items[i].to : limit - 1;
        sum += to - ranges->items[i].from + 1;
    }
    return sum;
}

bool ledger_ranges_read(struct text literal, struct ledger_ranges *out, struct arena *arena)
{
    struct text rest = text_trim(literal), head;
    int64_t from, until;

    if (rest.count < 2 || rest.bytes[0] != '{' || rest.bytes[rest.count - 1] != '}')
        return false;
    rest = (struct text){rest.bytes + 1, rest.count - 2};
    while (rest.count) {
        if (*rest.bytes == ',')
            rest = (struct text){rest.bytes + 1, rest.count - 1};
        if (!rest.count || *rest.bytes != '[')
            return false;
        rest = text_cut((struct text){rest.bytes + 1, rest.count - 1}, ',', &head);
        if (!text_to_i64(head, &from))
            return false;
        bool closed = text_find(rest, ')') < rest.count;
        rest = text_cut(rest, ')', &head);
        if (!closed || !text_to_i64(head, &until) || until <= from)
            return false;
        (void)ledger_ranges_add(out, from, until - 1, arena);
    }
    return true;
}

void ledger_ranges_print(const struct ledger_ranges *ranges, struct buf *out)
{
    buf_byte(out, '{');
    for (size_t i = 0; i < ranges->count; i++) {
        buf_string(out, i ? ",[" : "[");
        buf_i64(out, ranges->items[i].from);
        buf_byte(out, ',');
        buf_i64(out, ranges->items[i].to + 1);
        buf_byte(out, ')');
    }
    buf_byte(out, '}');
}

bool ledger_report_read(const struct json_node *sequence, size_t events, struct arena *arena, struct ledger_report *out,
                        struct departures *departures)
{
    int64_t stream, count = 0;
    const char *wrong = NULL;

    *out = (struct ledger_report){.stream = 0};
    if (!node_is(sequence, PICKET_JSON_OBJECT_OPEN))
        wrong = "type:Sequence";
    else if (!guid_read(node_string(node_member(sequence, "Epoch")), out->epoch))
        wrong = "format:Sequence.Epoch";
    else if (!number_read(node_member(sequence, "Stream"), 0, 3, &stream))
        wrong = "format:Sequence.Stream";
    else if (!number_read(node_member(sequence, "First"), 1, LEDGER_NUMBER_MAX, &out->first))
        wrong = "format:Sequence.First";
    else if (!number_read(node_member(sequence, "Count"), 0, LEDGER_NUMBER_MAX - out->first + 1, &count))
        wrong = "format:Sequence.Count";
    else if (!drops_read(node_member(sequence, "Dropped"), arena, out))
        wrong = "format:Sequence.Dropped";
    if (wrong) {
        departures_add(departures, text_of(wrong));
        return false;
    }
    out->stream = (int)stream;
    out->last = out->first + count - 1;
    out->count = count < (int64_t)events ? count : (int64_t)events;
    if (count != (int64_t)events)
        departures_add(departures, TEXT("mismatch:Sequence.Count"));
    return true;
}

void ledger_apply(struct ledger_state *state, const struct ledger_report *report, int64_t received_at_us,
                  struct arena *arena, int64_t *lost)
{
    int64_t last = report->first + report->count - 1;

    *lost = 0;
    if (report->count > 0 && last >= state->settled_below) {
        int64_t late = below_settled(state, report->first, last);
        (void)ledger_ranges_add(&state->stored, report->first + late, last, arena);
    } else if (report->count > 0) {
        (void)below_settled(state, report->first, last);
    }
    state->highest = report->last > state->highest ? report->last : state->highest;
    for (size_t i = 0; i < report->drop_count; i++) {
        const struct ledger_drop *drop = &report->drops[i];
        int64_t from = drop->from > state->settled_below ? drop->from : state->settled_below;
        if (from > drop->to)
            continue;
        int64_t fresh = missing_within(state, from, drop->to);
        (void)ledger_ranges_add(&state->dropped, from, drop->to, arena);
        if (fresh)
            reason_count_add(state, drop->reason, fresh, arena);
        if (!text_equal(drop->reason, TEXT("policy")))
            *lost += fresh;
        state->highest = drop->to > state->highest ? drop->to : state->highest;
    }
    if (state->stored.count + state->dropped.count > LEDGER_RANGES_MAX)
        settle(state);
    gap_judge(state, received_at_us);
    if (!state->first_seen_us || received_at_us < state->first_seen_us)
        state->first_seen_us = received_at_us;
    if (received_at_us > state->last_seen_us)
        state->last_seen_us = received_at_us;
}

static bool guid_read(struct text text, char out[37])
{
    if (text.count != 36)
        return false;
    for (size_t i = 0; i < 36; i++) {
        char byte = text.bytes[i];
        bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
        if (byte >= 'A' && byte <= 'F')
            byte = (char)(byte - 'A' + 'a');
        if (hyphen ? byte != '-' : !((byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f')))
            return false;
        out[i] = byte;
    }
    out[36] = '\0';
    return true;
}

static bool number_read(const struct json_node *node, int64_t min, int64_t max, int64_t *out)
{
    return node_is(node, PICKET_JSON_NUMBER) && text_to_i64(node->text, out) && *out >= min && *out <= max;
}

static bool drops_read(const struct json_node *list, struct arena *arena, struct ledger_report *out)
{
    if (!list || list->kind == PICKET_JSON_NULL)
        return true;
    if (list->kind != PICKET_JSON_ARRAY_OPEN || list->count > LEDGER_DROPS_MAX)
        return false;
    struct ledger_drop *drops = ARENA_ARRAY(arena, struct ledger_drop, list->count);
    size_t count = 0;
    for (const struct json_node *node = list->first; node; node = node->next) {
        struct ledger_drop *drop = &drops[count++];
        if (!number_read(node_member(node, "From"), 1, LEDGER_NUMBER_MAX, &drop->from) ||
            !number_read(node_member(node, "To"), drop->from, LEDGER_NUMBER_MAX, &drop->to))
            return false;
        drop->reason = node_string(node_member(node, "Reason"));
        if (!drop->reason.bytes || !drop->reason.count || drop->reason.count > LEDGER_REASON_TEXT_MAX)
            return false;
    }
    out->drops = drops;
    out->drop_count = count;
    return true;
}

/* Late filling of what was settled already: those numbers were counted as lost, and are stored after all. Returns how
 * many of `from`..`to` these are. */
static int64_t below_settled(struct ledger_state *state, int64_t from, int64_t to)
{
    int64_t end = to < state->settled_below - 1 ? to : state->settled_below - 1;
    int64_t late = end >= from ? end - from + 1 : 0;
    int64_t filled = late < state->settled_lost ? late : state->settled_lost;

    state->settled_lost -= filled;
    state->settled_stored += filled;
    return late;
}

static void reason_count_add(struct ledger_state *state, struct text reason, int64_t count, struct arena *arena)
{
    size_t at = reason_find(state, reason);

    if (at == state->reason_count && at >= LEDGER_REASONS_MAX - 1) { /* the last place is for all others */
        reason = TEXT("other");
        at = reason_find(state, reason); /* the table gives them back in an order of its own */
    }
    if (at == state->reason_count)
        state->reasons[state->reason_count++] = (struct ledger_reason){arena_text(arena, reason), 0};
    state->reasons[at].count += count;
}

/* Where the reason stands, or would be put. */
static size_t reason_find(const struct ledger_state *state, struct text reason)
{
    size_t at = 0;

    while (at < state->reason_count && !text_equal(state->reasons[at].reason, reason))
        at++;
    return at;
}

/* Everything below the range that becomes the oldest kept is folded into two counts; what was dropped counts as lost. */
static void settle(struct ledger_state *state)
{
    size_t fold = state->stored.count + state->dropped.count - LEDGER_RANGES_KEPT, s = 0, d = 0;

    while (s + d < fold) {
        bool stored_next = d == state->dropped.count ||
                           (s < state->stored.count && state->stored.items[s].from <= state->dropped.items[d].from);
        if (stored_next)
            s++;
        else
            d++;
    }
    int64_t below = INT64_MAX;
    if (s < state->stored.count)
        below = state->stored.items[s].from;
    if (d < state->dropped.count && state->dropped.items[d].from < below)
        below = state->dropped.items[d].from;
    assert(below != INT64_MAX && below > state->settled_below);
    int64_t stored = ledger_ranges_below(&state->stored, below);
    state->settled_stored += stored;
    state->settled_lost += below - state->settled_below - stored;
    state->settled_below = below;
    ranges_trim(&state->stored, below);
    ranges_trim(&state->dropped, below);
}

static void ranges_trim(struct ledger_ranges *ranges, int64_t below)
{
    size_t gone = 0;

    while (gone < ranges->count && ranges->items[gone].to < below)
        gone++;
    ranges->count -= gone;
    for (size_t i = 0; gone && i < ranges->count; i++)
        ranges->items[i] = ranges->items[i + gone];
    if (ranges->count && ranges->items[0].from < below)
        ranges->items[0].from = below;
}

/* How many of `from`..`to` are neither stored nor told as dropped. */
static int64_t missing_within(const struct ledger_state *state, int64_t from, int64_t to)
{
    const struct ledger_ranges *sets[] = {&state->stored, &state->dropped};
    size_t at[] = {0, 0};
    int64_t missing = 0, next = from;

    while (next <= to) {
        int64_t until = to;
        bool known = false;
        for (size_t i = 0; i < 2 && !known; i++) {
            while (at[i] < sets[i]->count && sets[i]->items[at[i]].to < next)
                at[i]++;
            if (at[i] == sets[i]->count)
                continue;
            const struct ledger_range *range = &sets[i]->items[at[i]];
            known = range->from <= next;
            if (known)
                next = range->to + 1;
            else if (range->from - 1 < until)
                until = range->from - 1;
        }
        if (!known) {
            missing += until - next + 1;
            next = until + 1;
        }
    }
    return missing;
}

/* 0 when every number up to the highest is either stored or told as dropped. */
static int64_t lowest_missing(const struct ledger_state *state)
{
    int64_t next = state->settled_below;
    size_t s = 0, d = 0;

    for (;;) {
        while (s < state->stored.count && state->stored.items[s].to < next)
            s++;
        while (d < state->dropped.count && state->dropped.items[d].to < next)
            d++;
        if (s < state->stored.count && state->stored.items[s].from <= next)
            next = state->stored.items[s].to + 1;
        else if (d < state->dropped.count && state->dropped.items[d].from <= next)
            next = state->dropped.items[d].to + 1;
        else
            return next <= state->highest ? next : 0;
    }
}

/* The clock of a gap starts anew when its lowest number arrived, and runs on when it was only settled: a gap that nobody
 * was told of must not go away because its number was folded into a count. */
static void gap_judge(struct ledger_state *state, int64_t received_at_us)
{
    int64_t missing = lowest_missing(state);
    bool settled = state->gap_from && state->gap_from < state->settled_below && state->settled_lost > 0;

    if (settled && !missing)
        return;
    if (missing && missing != state->gap_from && !(settled && state->gap_since_us))
        state->gap_since_us = received_at_us;
    if (!missing)
        state->gap_since_us = 0;
    state->gap_from = missing;
}
