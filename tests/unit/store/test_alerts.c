#include "store/alerts.h"

#include "tests/unit/store/fixture.h"

static struct alert_note note_of(const char *cause)
{
    return (struct alert_note){
        .workspace = 1,
        .device = TEXT("pump-1"),
        .rule = "test.rule",
        .cause = cause,
        .severity = "Low",
        .title = "A title",
        .details = TEXT("{\"n\":1}"),
        .at_us = fixture.now_us,
    };
}

START_TEST(the_same_cause_on_the_same_device_is_one_alert_that_repeats)
{
    struct alert_note note = note_of("a");

    must(alerts_raise(fixture.store, &note, SQL_MS, &why));
    note.severity = "High";
    note.details = TEXT("{\"n\":2}");
    note.at_us += 5000000;
    must(alerts_raise(fixture.store, &note, SQL_MS, &why));
    note.at_us -= 10000000; /* late news does not make it younger */
    must(alerts_raise(fixture.store, &note, SQL_MS, &why));
    ck_assert_str_eq(sql_text("SELECT concat_ws('|', severity, title, details, status, repeat_count,"
                              " extract(epoch FROM last_seen_at - first_seen_at)::int) FROM picket.alert"),
                     "High|A title|{\"n\": 2}|open|3|5");
}
END_TEST

START_TEST(another_cause_device_or_workspace_is_another_alert)
{
    struct alert_note notes[4];

    for (size_t i = 0; i < 4; i++)
        notes[i] = note_of("a");
    notes[1].cause = "b";
    notes[2].device = TEXT_NONE;
    notes[3].workspace = 2;
    for (size_t i = 0; i < 4; i++)
        must(alerts_raise(fixture.store, &notes[i], SQL_MS, &why));
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.alert"), 4);
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.alert WHERE device_id = ''"), 1);
}
END_TEST

START_TEST(what_an_exception_hides_is_counted_there)
{
    struct alert_note note = note_of("a");

    sql("INSERT INTO picket.exception (workspace_id, scope, cause, reason, owner) VALUES (1, 'workspace', 'a', 'r', 'o'), (1, 'workspace', 'b', 'r', 'o')");
    must(alerts_raise(fixture.store, &note, SQL_MS, &why));
    must(alerts_raise(fixture.store, &note, SQL_MS, &why));
    note.cause = "c";
    must(alerts_raise(fixture.store, &note, SQL_MS, &why));
    ck_assert_str_eq(sql_text("SELECT string_agg(cause, ',') FROM picket.alert"), "c");
    ck_assert_str_eq(sql_text("SELECT string_agg(concat_ws(' ', cause, hidden_count, last_hidden_at IS NOT NULL), ', ' ORDER BY cause) FROM picket.exception"), "a 2 t, b 0 f");
}
END_TEST

START_TEST(a_closed_alert_is_opened_as_a_new_one)
{
    const struct alert_note note = note_of("a");

    must(alerts_raise(fixture.store, &note, SQL_MS, &why));
    sql("UPDATE picket.alert SET status = 'closed'");
    must(alerts_raise(fixture.store, &note, SQL_MS, &why));
    ck_assert_str_eq(sql_text("SELECT string_agg(status, ',' ORDER BY status) FROM picket.alert"), "closed,open");
}
END_TEST

START_TEST(an_alert_for_everyone_stands_in_each_workspace)
{
    const struct alert_note note = note_of("a");

    must(alerts_raise_everywhere(fixture.store, &note, SQL_MS, &why));
    ck_assert_str_eq(sql_text("SELECT string_agg(workspace_id::text, ',' ORDER BY workspace_id) FROM picket.alert"), "1,2");
}
END_TEST

START_TEST(an_alert_goes_with_its_transaction)
{
    const struct alert_note note = note_of("a");

    must(db_begin(fixture.store, SQL_MS, &why));
    must(alerts_raise(fixture.store, &note, SQL_MS, &why));
    db_rollback(fixture.store);
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.alert"), 0);
}
END_TEST

START_TEST(a_repeat_is_news_behind_the_commit_cursor)
{
    const struct alert_note note = note_of("a");

    must(alerts_raise(fixture.store, &note, SQL_MS, &why));
    int64_t first = sql_number("SELECT commit_xid::text FROM picket.alert");
    must(alerts_raise(fixture.store, &note, SQL_MS, &why));
    ck_assert_int_gt(sql_number("SELECT commit_xid::text FROM picket.alert"), first);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        the_same_cause_on_the_same_device_is_one_alert_that_repeats,
        another_cause_device_or_workspace_is_another_alert,
        what_an_exception_hides_is_counted_there,
        a_closed_alert_is_opened_as_a_new_one,
        an_alert_for_everyone_stands_in_each_workspace,
        an_alert_goes_with_its_transaction,
        a_repeat_is_news_behind_the_commit_cursor,
    };
    return FIXTURE_MAIN("store/alerts", tests);
}
