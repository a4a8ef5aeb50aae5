#include "store/ledger.h"

#include "runtime/buf.h"
#include "tests/support/check_main.h"
#include "tests/unit/store/message.h"

#define DAY_US INT64_C(86400000000)

static struct arena arena;
static struct problem why;
static struct buf printed;

static void setup(void)
{
    arena_init(&arena);
    buf_init(&printed, 1 << 20);
}

static void teardown(void)
{
    buf_done(&printed);
    arena_done(&arena);
}

static const char *shown(const struct ledger_ranges *ranges)
{
    buf_clear(&printed);
    ledger_ranges_print(ranges, &printed);
    return printed.bytes;
}

static int64_t add(struct ledger_ranges *ranges, int64_t from, int64_t to)
{
    return ledger_ranges_add(ranges, from, to, &arena);
}

START_TEST(ranges_grow_join_and_overlap)
{
    struct ledger_ranges ranges = {0};

    ck_assert_str_eq(shown(&ranges), "{}");
    ck_assert_int_eq(add(&ranges, 5, 9), 5);
    ck_assert_int_eq(add(&ranges, 5, 9), 0);
    ck_assert_int_eq(add(&ranges, 20, 20), 1);
    ck_assert_str_eq(shown(&ranges), "{[5,10),[20,21)}");
    ck_assert_int_eq(add(&ranges, 10, 10), 1); /* touches */
    ck_assert_int_eq(add(&ranges, 1, 2), 2);   /* in front */
    ck_assert_str_eq(shown(&ranges), "{[1,3),[5,11),[20,21)}");
    ck_assert_int_eq(add(&ranges, 3, 4), 2); /* closes the hole */
    ck_assert_str_eq(shown(&ranges), "{[1,11),[20,21)}");
    ck_assert_int_eq(add(&ranges, 8, 25), 14); /* 11..19 and 21..25 */
    ck_assert_str_eq(shown(&ranges), "{[1,26)}");
}
END_TEST

START_TEST(ranges_agree_with_a_set_of_bits_whatever_comes)
{
    enum { NUMBERS = 200 };
    struct dice dice = {42};

    for (int round = 0; round < 200; round++) {
        struct ledger_ranges ranges = {0};
        bool bits[NUMBERS + 2] = {false};
        for (int step = 0; step < 40; step++) {
            int64_t from = 1 + dice_roll(&dice, NUMBERS), to = from + dice_roll(&dice, 9), fresh = 0;
            to = to > NUMBERS ? NUMBERS : to;
            for (int64_t i = from; i <= to; i++) {
                fresh += !bits[i];
                bits[i] = true;
            }
            ck_assert_int_eq(add(&ranges, from, to), fresh);
        }
        size_t at = 0;
        int64_t below = 0, limit = 1 + dice_roll(&dice, NUMBERS);
        for (int64_t i = 1; i <= NUMBERS; i++) {
            below += bits[i] && i < limit;
            if (bits[i] && !bits[i - 1])
                ck_assert_int_eq(ranges.items[at].from, i);
            if (bits[i] && !bits[i + 1])
                ck_assert_int_eq(ranges.items[at++].to, i);
        }
        ck_assert_uint_eq(ranges.count, at);
        ck_assert_int_eq(ledger_ranges_below(&ranges, limit), below);
    }
}
END_TEST

START_TEST(ranges_are_read_back_as_postgresql_prints_them)
{
    static const char *const good[] = {"{}", "{[1,2)}", "{[1,5),[9,10)}", "{[1,9007199254740993)}"};
    static const char *const bad[] = {"",        "{",           "[1,5)",     "{[1,5}",    "{[5,1)}",
                                      "{[1,1)}", "{[1,x)}",     "{(1,5)}",   "{[1,5),}",  "{[,5)}"};

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct ledger_ranges ranges = {0};
        ck_assert_msg(ledger_ranges_read(text_of(good[i]), &ranges, &arena), "%s", good[i]);
        ck_assert_str_eq(shown(&ranges), good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ledger_ranges ranges = {0};
        ck_assert_msg(!ledger_ranges_read(text_of(bad[i]), &ranges, &arena), "%s", bad[i]);
    }
}
END_TEST

#define EPOCH "11111111-2222-4333-8444-555555555555"

static bool report_read(const char *sequence, size_t events, struct ledger_report *out, const char **departures)
{
    struct json_node *node = NULL;
    struct departures list;

    departures_init(&list, DEPARTURES_MAX, &arena);
    ck_assert_msg(json_tree_read(text_of(sequence), 8, &arena, &node, &why) == STATUS_OK, "%s", sequence);
    bool read = ledger_report_read(node, events, &arena, out, &list);
    *departures = departures_text(&list, &arena);
    return read;
}

START_TEST(a_sequence_is_read)
{
    struct ledger_report report;
    const char *departures;

    ck_assert(report_read("{\"Epoch\":\"ABCDEF01-2222-4333-8444-555555555555\",\"Stream\":3,\"First\":7,\"Count\":2,"
                          "\"Dropped\":[{\"From\":1,\"To\":6,\"Reason\":\"policy\"}]}",
                          2, &report, &departures));
    ck_assert_str_eq(report.epoch, "abcdef01-2222-4333-8444-555555555555");
    ck_assert_int_eq(report.stream, 3);
    ck_assert_int_eq(report.first, 7);
    ck_assert_int_eq(report.count, 2);
    ck_assert_int_eq(report.last, 8);
    ck_assert_uint_eq(report.drop_count, 1);
    ck_assert_int_eq(report.drops[0].to, 6);
    ck_assert_text_eq(report.drops[0].reason, "policy");
    ck_assert_str_eq(departures, "");
}
END_TEST

START_TEST(a_malformed_sequence_says_which_member_is_wrong)
{
#define SEQUENCE(members) "{\"Epoch\":\"" EPOCH "\"," members "}"
    static const char *const cases[][2] = {
        {"[]", "type:Sequence"},
        {"7", "type:Sequence"},
        {"{\"Epoch\":\"x\",\"Stream\":0,\"First\":1,\"Count\":1}", "format:Sequence.Epoch"},
        {SEQUENCE("\"First\":1,\"Count\":1"), "format:Sequence.Stream"},
        {SEQUENCE("\"Stream\":4,\"First\":1,\"Count\":1"), "format:Sequence.Stream"},
        {SEQUENCE("\"Stream\":\"0\",\"First\":1,\"Count\":1"), "format:Sequence.Stream"},
        {SEQUENCE("\"Stream\":0,\"First\":0,\"Count\":1"), "format:Sequence.First"},
        {SEQUENCE("\"Stream\":0,\"First\":1.5,\"Count\":1"), "format:Sequence.First"},
        {SEQUENCE("\"Stream\":0,\"First\":9007199254740993,\"Count\":1"), "format:Sequence.First"},
        {SEQUENCE("\"Stream\":0,\"First\":1,\"Count\":-1"), "format:Sequence.Count"},
        {SEQUENCE("\"Stream\":0,\"First\":9007199254740992,\"Count\":2"), "format:Sequence.Count"},
        {SEQUENCE("\"Stream\":0,\"First\":1,\"Count\":1,\"Dropped\":{}"), "format:Sequence.Dropped"},
        {SEQUENCE("\"Stream\":0,\"First\":1,\"Count\":1,\"Dropped\":[{\"From\":5,\"To\":4,\"Reason\":\"x\"}]"),
         "format:Sequence.Dropped"},
        {SEQUENCE("\"Stream\":0,\"First\":1,\"Count\":1,\"Dropped\":[{\"From\":5,\"To\":6}]"), "format:Sequence.Dropped"},
        {SEQUENCE("\"Stream\":0,\"First\":1,\"Count\":1,\"Dropped\":[7]"), "format:Sequence.Dropped"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ledger_report report;
        const char *departures;
        ck_assert_msg(!report_read(cases[i][0], 1, &report, &departures), "%s", cases[i][0]);
        ck_assert_str_eq(departures, cases[i][1]);
    }
}
END_TEST

START_TEST(a_count_beyond_the_events_leaves_their_numbers_missing)
{
    struct ledger_report report;
    const char *departures;
    struct ledger_state state = {.settled_below = 1};
    int64_t lost;

    ck_assert(report_read(SEQUENCE("\"Stream\":0,\"First\":1,\"Count\":5"), 2, &report, &departures));
    ck_assert_str_eq(departures, "mismatch:Sequence.Count");
    ledger_apply(&state, &report, 1000, &arena, &lost);
    ck_assert_str_eq(shown(&state.stored), "{[1,3)}");
    ck_assert_int_eq(state.highest, 5);
    ck_assert_int_eq(state.gap_from, 3);

    ck_assert(report_read(SEQUENCE("\"Stream\":0,\"First\":6,\"Count\":1"), 3, &report, &departures));
    ck_assert_str_eq(departures, "mismatch:Sequence.Count");
    ledger_apply(&state, &report, 1000, &arena, &lost);
    ck_assert_str_eq(shown(&state.stored), "{[1,3),[6,7)}");
    ck_assert_int_eq(state.highest, 6);
}
END_TEST

static int64_t apply_at(struct ledger_state *state, int64_t first, int64_t count, int64_t at_us)
{
    const struct ledger_report report = {.epoch = EPOCH, .first = first, .count = count, .last = first + count - 1};
    int64_t lost = -1;

    ledger_apply(state, &report, at_us, &arena, &lost);
    return lost;
}

static int64_t drop(struct ledger_state *state, int64_t from, int64_t to, const char *reason)
{
    const struct ledger_drop told = {from, to, text_of(reason)};
    const struct ledger_report report = {.epoch = EPOCH, .first = to + 1, .last = to, .drops = &told, .drop_count = 1};
    int64_t lost = -1;

    ledger_apply(state, &report, 5000, &arena, &lost);
    return lost;
}

START_TEST(a_gap_is_dated_and_closed_by_late_filling)
{
    struct ledger_state state = {.settled_below = 1};

    apply_at(&state, 1, 2, 100);
    ck_assert_int_eq(state.gap_from, 0);
    apply_at(&state, 5, 1, 200); /* 3 and 4 are missing */
    ck_assert_int_eq(state.gap_from, 3);
    ck_assert_int_eq(state.gap_since_us, 200);
    apply_at(&state, 6, 1, 300); /* does not make the gap younger */
    ck_assert_int_eq(state.gap_since_us, 200);
    apply_at(&state, 3, 1, 400); /* 4 is left: a gap of its own age */
    ck_assert_int_eq(state.gap_from, 4);
    ck_assert_int_eq(state.gap_since_us, 400);
    apply_at(&state, 4, 1, 500);
    ck_assert_int_eq(state.gap_from, 0);
    ck_assert_int_eq(state.gap_since_us, 0);
    ck_assert_str_eq(shown(&state.stored), "{[1,7)}");
    ck_assert_int_eq(state.first_seen_us, 100);
    ck_assert_int_eq(state.last_seen_us, 500);
}
END_TEST

START_TEST(a_first_message_that_does_not_begin_at_one_is_a_gap)
{
    struct ledger_state state = {.settled_below = 1};

    apply_at(&state, 4, 1, 100);
    ck_assert_int_eq(state.gap_from, 1);
}
END_TEST

START_TEST(told_drops_are_no_gap_and_count_as_lost_unless_by_policy)
{
    struct ledger_state state = {.settled_below = 1};

    apply_at(&state, 1, 2, 100);
    ck_assert_int_eq(drop(&state, 3, 5, "spool-full"), 3);
    ck_assert_int_eq(drop(&state, 4, 6, "spool-full"), 1); /* 4 and 5 were told of */
    ck_assert_int_eq(drop(&state, 7, 9, "policy"), 0);
    ck_assert_int_eq(state.gap_from, 0);
    ck_assert_int_eq(state.highest, 9);
    ck_assert_uint_eq(state.reason_count, 2);
    ck_assert_text_eq(state.reasons[0].reason, "spool-full");
    ck_assert_int_eq(state.reasons[0].count, 4);
    ck_assert_int_eq(state.reasons[1].count, 3);
}
END_TEST

START_TEST(what_arrived_is_not_lost_although_its_sender_gave_it_up)
{
    struct ledger_state state = {.settled_below = 1};

    apply_at(&state, 1, 4, 100); /* stored, and the acknowledgement of 3 and 4 never arrived */
    ck_assert_int_eq(drop(&state, 3, 4, "spool-full"), 0);
    ck_assert_uint_eq(state.reason_count, 0);
    ck_assert_int_eq(drop(&state, 2, 6, "spool-full"), 2); /* 5 and 6 */
    ck_assert_int_eq(state.reasons[0].count, 2);
    ck_assert_int_eq(state.gap_from, 0);
}
END_TEST

START_TEST(more_reasons_than_are_told_apart_are_summed_as_other)
{
    struct ledger_state state = {.settled_below = 1};
    char name[32];

    for (int i = 0; i < LEDGER_REASONS_MAX + 10; i++) {
        snprintf(name, sizeof name, "reason-%d", i);
        drop(&state, i + 1, i + 1, name);
    }
    ck_assert_uint_eq(state.reason_count, LEDGER_REASONS_MAX);
    ck_assert_text_eq(state.reasons[LEDGER_REASONS_MAX - 1].reason, "other");
    ck_assert_int_eq(state.reasons[LEDGER_REASONS_MAX - 1].count, 11);
    /* The table gives them back in jsonb's order, where `other` is the first. */
    struct ledger_reason other = state.reasons[LEDGER_REASONS_MAX - 1];
    state.reasons[LEDGER_REASONS_MAX - 1] = state.reasons[0];
    state.reasons[0] = other;
    drop(&state, 1000, 1001, "one-more");
    ck_assert_uint_eq(state.reason_count, LEDGER_REASONS_MAX);
    ck_assert_int_eq(state.reasons[0].count, 13);
    ck_assert_text_eq(state.reasons[LEDGER_REASONS_MAX - 1].reason, "reason-0");
    ck_assert_int_eq(state.reasons[LEDGER_REASONS_MAX - 1].count, 1);
}
END_TEST

static int64_t stored_in_all(const struct ledger_state *state)
{
    return state->settled_stored + ledger_ranges_below(&state->stored, INT64_MAX);
}

START_TEST(beyond_the_limit_the_oldest_ranges_are_settled_and_nothing_is_miscounted)
{
    struct ledger_state state = {.settled_below = 1};
    enum { MESSAGES = 2 * LEDGER_RANGES_MAX };

    for (int64_t i = 0; i < MESSAGES; i++) {
        apply_at(&state, 1 + 2 * i, 1, 100 + i); /* every second number is missing */
        ck_assert_uint_le(state.stored.count, LEDGER_RANGES_MAX);
    }
    ck_assert_int_gt(state.settled_below, 1);
    ck_assert_int_eq(stored_in_all(&state), MESSAGES);
    ck_assert_int_eq(state.settled_stored + state.settled_lost, state.settled_below - 1);
    ck_assert_int_eq(state.gap_since_us, 101); /* the gap is as old as its first number */

    int64_t lost = state.settled_lost;
    apply_at(&state, 2, 1, 9000); /* one of the settled ones after all */
    ck_assert_int_eq(state.settled_lost, lost - 1);
    ck_assert_int_eq(stored_in_all(&state), MESSAGES + 1);
}
END_TEST

START_TEST(a_message_across_the_settled_line_counts_on_both_sides)
{
    struct ledger_state state = {.settled_below = 11, .settled_stored = 8, .settled_lost = 2, .highest = 10};

    apply_at(&state, 9, 4, 100); /* 9 and 10 were lost, 11 and 12 are new */
    ck_assert_int_eq(state.settled_stored, 10);
    ck_assert_int_eq(state.settled_lost, 0);
    ck_assert_str_eq(shown(&state.stored), "{[11,13)}");
    ck_assert_int_eq(state.highest, 12);
}
END_TEST

START_TEST(a_gap_does_not_go_away_because_it_was_settled)
{
    struct ledger_state state = {.settled_below = 1};

    apply_at(&state, 2, 1, 100); /* 1 is missing */
    for (int64_t i = 0; i < LEDGER_RANGES_MAX; i++) { /* from here on all is told: stored, dropped, stored … */
        drop(&state, 3 + 2 * i, 3 + 2 * i, "policy");
        apply_at(&state, 4 + 2 * i, 1, 6000 + i);
    }
    ck_assert_int_gt(state.settled_below, 2);
    ck_assert_int_eq(state.gap_from, 1);
    ck_assert_int_eq(state.gap_since_us, 100);
}
END_TEST

START_TEST(a_row_of_drops_and_arrivals_that_overlap_is_settled_too)
{
    struct ledger_state state = {.settled_below = 1};
    struct dice dice = {7};

    for (int round = 0; round < 5000; round++) {
        int64_t from = 1 + dice_roll(&dice, 6000), length = 1 + dice_roll(&dice, 3);
        if (dice_roll(&dice, 3))
            apply_at(&state, from, length, 100 + round);
        else
            drop(&state, from, from + length - 1, "spool-full");
        ck_assert_uint_le(state.stored.count + state.dropped.count, LEDGER_RANGES_MAX);
        ck_assert_int_eq(state.settled_stored + state.settled_lost, state.settled_below - 1);
        ck_assert_int_ge(state.settled_lost, 0);
        if (state.stored.count)
            ck_assert_int_ge(state.stored.items[0].from, state.settled_below);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        ranges_grow_join_and_overlap,
        ranges_agree_with_a_set_of_bits_whatever_comes,
        ranges_are_read_back_as_postgresql_prints_them,
        a_sequence_is_read,
        a_malformed_sequence_says_which_member_is_wrong,
        a_count_beyond_the_events_leaves_their_numbers_missing,
        a_gap_is_dated_and_closed_by_late_filling,
        a_first_message_that_does_not_begin_at_one_is_a_gap,
        told_drops_are_no_gap_and_count_as_lost_unless_by_policy,
        what_arrived_is_not_lost_although_its_sender_gave_it_up,
        more_reasons_than_are_told_apart_are_summed_as_other,
        beyond_the_limit_the_oldest_ranges_are_settled_and_nothing_is_miscounted,
        a_message_across_the_settled_line_counts_on_both_sides,
        a_gap_does_not_go_away_because_it_was_settled,
        a_row_of_drops_and_arrivals_that_overlap_is_settled_too,
    };
    return check_main(&(const struct check_suite){.name = "store/ledger",
                                                  .tests = tests,
                                                  .count = sizeof tests / sizeof *tests,
                                                  .setup = setup,
                                                  .teardown = teardown,
                                                  .timeout_seconds = 30});
}
