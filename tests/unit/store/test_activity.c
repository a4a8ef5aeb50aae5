#include "store/activity.h"

#include "store/columns.h"
#include "tests/unit/store/fixture.h"

static struct activity_note note_at(const char *device, int64_t at_us)
{
    return (struct activity_note){
        .workspace = 1, .device = text_of(device), .module = TEXT(""), .received_at_us = at_us, .agent_version = TEXT_NONE};
}

static void note(struct activity_note *notes, size_t count)
{
    must(activity_write(fixture.store, notes, count, SQL_MS, &why));
}

static const char *activity(const char *what, const char *device)
{
    return sql_text(arena_format(&fixture.arena, "SELECT %s FROM picket.device_activity WHERE device_id = '%s'", what, device));
}

#define COUNTS "concat_ws('|', message_count, resend_count, event_count, departure_count, refused_count, dead_count)"

START_TEST(the_notes_of_a_batch_are_added_up_by_identity)
{
    struct activity_note notes[4];

    for (size_t i = 0; i < 4; i++)
        notes[i] = note_at(i == 2 ? "b" : "a", fixture.now_us + (int64_t)i);
    notes[0].messages = notes[1].messages = 1;
    notes[0].events = 10;
    notes[1].events = 5;
    notes[1].departures = 2;
    notes[2].resends = 1;
    notes[3].dead = 1;
    note(notes, 4);
    ck_assert_str_eq(activity(COUNTS, "a"), "2|0|15|2|0|1");
    ck_assert_str_eq(activity(COUNTS, "b"), "0|1|0|0|0|0");
    struct activity_note more = note_at("a", fixture.now_us);
    more.messages = 1;
    more.events = 1;
    note(&more, 1);
    ck_assert_str_eq(activity(COUNTS, "a"), "3|0|16|2|0|1");
}
END_TEST

START_TEST(first_and_last_seen_are_receipts_in_whatever_order_they_come)
{
    struct activity_note notes[] = {note_at("a", fixture.now_us), note_at("a", fixture.now_us - DAY_US),
                                    note_at("a", fixture.now_us - 2 * DAY_US)};

    note(notes, 2);
    ck_assert_str_eq(activity("last_seen_at - first_seen_at", "a"), "1 day");
    notes[0] = note_at("a", fixture.now_us - 3 * DAY_US);
    note(notes, 1);
    ck_assert_str_eq(activity("last_seen_at - first_seen_at", "a"), "3 days");
}
END_TEST

START_TEST(the_newest_agent_version_stays)
{
    struct activity_note notes[] = {note_at("a", fixture.now_us + 2), note_at("a", fixture.now_us + 1),
                                    note_at("a", fixture.now_us + 3)};

    notes[0].agent_version = TEXT("2.0");
    notes[1].agent_version = TEXT("1.0");
    note(notes, 3);
    ck_assert_str_eq(activity("agent_version", "a"), "2.0");
    notes[0] = note_at("a", fixture.now_us + 4); /* says nothing */
    note(notes, 1);
    ck_assert_str_eq(activity("agent_version", "a"), "2.0");
}
END_TEST

static const struct json_node *refusals(const char *source)
{
    struct json_node *node = NULL;

    must(json_tree_read(text_of(source), 4, &fixture.arena, &node, &why));
    return node;
}

START_TEST(refusals_are_counted_by_reason)
{
    struct activity_note notes[] = {note_at("a", fixture.now_us), note_at("a", fixture.now_us)};

    notes[0].refused = refusals("{\"400\":2,\"429\":1}");
    notes[1].refused = refusals("{\"400\":1,\"x\":-1,\"y\":\"no\",\"z\":99999999999}");
    note(notes, 2);
    ck_assert_str_eq(activity("concat_ws('|', refused_count, refused_reasons)", "a"), "4|{\"400\": 3, \"429\": 1}");
    notes[0] = note_at("a", fixture.now_us);
    notes[0].refused = refusals("{\"401\":5}");
    notes[1] = note_at("a", fixture.now_us);
    note(notes, 2);
    ck_assert_str_eq(activity("concat_ws('|', refused_count, refused_reasons)", "a"),
                     "9|{\"400\": 3, \"401\": 5, \"429\": 1}");
    notes[0] = note_at("a", fixture.now_us);
    note(notes, 1);
    ck_assert_str_eq(activity("refused_reasons", "a"), "{\"400\": 3, \"401\": 5, \"429\": 1}");
}
END_TEST

START_TEST(more_reasons_than_are_told_apart_are_summed_as_other)
{
    struct activity_note one = note_at("a", fixture.now_us);
    struct buf source;

    buf_init(&source, 65536);
    buf_string(&source, "{\"a reason with a name that is far too long for a table\":1");
    for (int i = 0; i < 3 * ACTIVITY_REASONS_MAX; i++)
        buf_format(&source, ",\"r%d\":1", i);
    buf_byte(&source, '}');
    one.refused = refusals(source.bytes);
    note(&one, 1);
    ck_assert_str_eq(activity("concat_ws('|', refused_count, (SELECT count(*) FROM jsonb_object_keys(refused_reasons)),"
                              " refused_reasons ->> 'other')", "a"),
                     arena_format(&fixture.arena, "%d|%d|%d", 3 * ACTIVITY_REASONS_MAX + 1, ACTIVITY_REASONS_MAX - 1,
                                  2 * ACTIVITY_REASONS_MAX + 3));
    buf_done(&source);
}
END_TEST

START_TEST(nothing_to_note_needs_no_database)
{
    ck_assert_int_eq(activity_write(NULL, NULL, 0, SQL_MS, &why), STATUS_OK);
}
END_TEST

START_TEST(columns_carry_any_text_number_time_and_key)
{
    static const uint8_t key[16] = {0xab, 1};
    struct columns columns;
    struct db_rows *rows = NULL;

    columns_open(&columns, 4);
    for (int i = 0; i < 2; i++) {
        columns_text(&columns, 0, i ? TEXT_NONE : TEXT("a\"b\\c,{}\nNULL"));
        columns_i64(&columns, 1, i ? INT64_MIN : INT64_MAX);
        columns_time(&columns, 2, i ? 0 : MESSAGE_RECEIVED_US);
        columns_key(&columns, 3, key);
    }
    must(columns_query(&columns, fixture.store,
                       "SELECT t, n, at AT TIME ZONE 'UTC', k FROM unnest($1::text[], $2::bigint[], $3::timestamptz[],"
                       " $4::uuid[]) AS r (t, n, at, k)",
                       SQL_MS, &rows, &why));
    ck_assert_uint_eq(db_rows_count(rows), 2);
    ck_assert_text_eq(db_text(rows, 0, 0), "a\"b\\c,{}\nNULL");
    ck_assert(db_is_null(rows, 1, 0));
    ck_assert_int_eq(db_i64(rows, 0, 1), INT64_MAX);
    ck_assert_int_eq(db_i64(rows, 1, 1), INT64_MIN);
    ck_assert_text_eq(db_text(rows, 0, 2), "2026-01-02 10:00:00");
    ck_assert(db_is_null(rows, 1, 2));
    ck_assert_text_eq(db_text(rows, 1, 3), "ab010000-0000-0000-0000-000000000000");
    db_rows_free(rows);
}
END_TEST

START_TEST(two_writers_that_meet_on_the_same_devices_wait_for_each_other)
{
    struct db *other = NULL;
    struct activity_note ours[] = {note_at("a", fixture.now_us), note_at("b", fixture.now_us)};
    struct activity_note theirs[] = {note_at("b", fixture.now_us), note_at("a", fixture.now_us)};

    store_connect(&other);
    ours[0].messages = ours[1].messages = theirs[0].messages = theirs[1].messages = 1;
    must(db_begin(fixture.store, SQL_MS, &why));
    note(ours, 2);
    must(db_begin(other, SQL_MS, &why));
    ck_assert_int_eq(activity_write(other, theirs, 2, 100, &why), STATUS_RETRY); /* waits until its time is over */
    db_rollback(other);
    must(db_commit(fixture.store, SQL_MS, &why));
    must(activity_write(other, theirs, 2, SQL_MS, &why));
    ck_assert_str_eq(activity("message_count", "a"), "2");
    db_close(other);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        the_notes_of_a_batch_are_added_up_by_identity,
        first_and_last_seen_are_receipts_in_whatever_order_they_come,
        the_newest_agent_version_stays,
        refusals_are_counted_by_reason,
        more_reasons_than_are_told_apart_are_summed_as_other,
        nothing_to_note_needs_no_database,
        columns_carry_any_text_number_time_and_key,
        two_writers_that_meet_on_the_same_devices_wait_for_each_other,
    };
    return FIXTURE_MAIN("store/activity", tests);
}
