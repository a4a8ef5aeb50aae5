#include "store/ledger.h"

#include "store/alerts.h"
#include "tests/unit/store/fixture.h"

#define EPOCH "11111111-2222-4333-8444-555555555555"
#define OTHER_EPOCH "11111111-2222-4333-8444-666666666666"

static const char *message_body(const char *epoch, int stream, int64_t first, int64_t count, const char *dropped)
{
    const char *body = arena_format(&fixture.arena,
                                    "{\"Sequence\":{\"Epoch\":\"%s\",\"Stream\":%d,\"First\":%lld,\"Count\":%lld,\"Dropped\":[%s]},"
                                    "\"Events\":[",
                                    epoch, stream, (long long)first, (long long)count, dropped);
    for (int64_t i = 0; i < count; i++)
        body = arena_format(&fixture.arena, "%s%s{\"Name\":\"Login\",\"Payload\":[{}]}", body, i ? "," : "");
    return arena_format(&fixture.arena, "%s]}", body);
}

/* Each is another message: its identity is its text and its number. */
static struct bus_record numbered(int64_t at_us, const char *body)
{
    return record_make(&(struct record_wish){.identity = arena_format(&fixture.arena, "%s@%lld", body, (long long)at_us),
                                             .received_at_us = at_us},
                       text_of(body));
}

static void send_at(int64_t at_us, int64_t first, int64_t count, const char *dropped)
{
    const struct bus_record record = numbered(at_us, message_body(EPOCH, 0, first, count, dropped));
    batch_store(&record, 1);
}

static void send(int64_t first, int64_t count)
{
    send_at(fixture.now_us, first, count, "");
}

#define DROP(from, to, reason) "{\"From\":" #from ",\"To\":" #to ",\"Reason\":\"" reason "\"}"

static const char *ledger(const char *what)
{
    return sql_text(arena_format(&fixture.arena, "SELECT %s FROM picket.ledger", what));
}

START_TEST(numbers_that_arrive_are_in_the_ledger)
{
    send(1, 3);
    send(4, 2);
    ck_assert_str_eq(ledger("concat_ws('|', workspace_id, device_id, module_id, epoch, stream, highest, stored, dropped)"),
                     "1|pump-1||" EPOCH "|0|5|{[1,6)}|{}");
    ck_assert_str_eq(ledger("concat_ws('|', gap_from, gap_since)"), "");
    ck_assert_int_eq(sql_number("SELECT (extract(epoch FROM last_seen_at) * 1000000)::bigint FROM picket.ledger"),
                     fixture.now_us);
}
END_TEST

START_TEST(each_epoch_stream_and_device_has_its_own_row)
{
    const struct bus_record records[] = {
        numbered(fixture.now_us, message_body(EPOCH, 0, 1, 1, "")),
        numbered(fixture.now_us, message_body(EPOCH, 3, 1, 2, "")),
        numbered(fixture.now_us, message_body(OTHER_EPOCH, 0, 1, 3, "")),
        record_make(&(struct record_wish){.device = "pump-2", .identity = "a"}, text_of(message_body(EPOCH, 0, 1, 4, ""))),
        record_make(&(struct record_wish){.module = "m", .identity = "b"}, text_of(message_body(EPOCH, 0, 1, 5, ""))),
        record_make(&(struct record_wish){.workspace = 2, .identity = "c"}, text_of(message_body(EPOCH, 0, 1, 6, ""))),
    };
    static const char list[] =
        "SELECT string_agg(highest::text, ',' ORDER BY highest) FROM picket.ledger WHERE stored ="
        " int8multirange(int8range(1, highest + 1))";

    batch_store(records, 6);
    ck_assert_str_eq(sql_text(list), "1,2,3,4,5,6");
}
END_TEST

START_TEST(late_filling_closes_the_gap)
{
    send(1, 1);
    send_at(fixture.now_us + 1000000, 4, 1, "");
    ck_assert_str_eq(ledger("gap_from"), "2");
    ck_assert_int_eq(sql_number("SELECT (extract(epoch FROM gap_since) * 1000000)::bigint FROM picket.ledger"),
                     fixture.now_us + 1000000);
    send(2, 2);
    ck_assert_str_eq(ledger("concat_ws('|', stored, gap_from, gap_since)"), "{[1,5)}");
}
END_TEST

START_TEST(one_batch_may_hold_the_numbers_in_any_order)
{
    const struct bus_record records[] = {
        numbered(fixture.now_us + 2, message_body(EPOCH, 0, 5, 2, "")),
        numbered(fixture.now_us + 1, message_body(EPOCH, 0, 3, 2, "")),
        numbered(fixture.now_us + 3, message_body(EPOCH, 0, 1, 2, "")),
    };

    batch_store(records, 3);
    ck_assert_str_eq(ledger("concat_ws('|', stored, gap_from)"), "{[1,7)}");
}
END_TEST

START_TEST(a_resend_changes_nothing)
{
    const struct bus_record record = numbered(fixture.now_us, message_body(EPOCH, 0, 1, 1, DROP(2, 3, "spool-full")));

    batch_store(&record, 1);
    const char *before = ledger("ledger::text");
    batch_store(&record, 1);
    ck_assert_str_eq(ledger("ledger::text"), before);
    ck_assert_int_eq(sql_number("SELECT sum(repeat_count) FROM picket.alert"), 1);
}
END_TEST

START_TEST(told_losses_are_an_alert_at_once_unless_by_policy)
{
    send_at(fixture.now_us, 1, 1, DROP(2, 4, "policy"));
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.alert"), 0);
    send_at(fixture.now_us, 5, 1, DROP(6, 7, "spool-full"));
    ck_assert_str_eq(sql_text("SELECT concat_ws('|', workspace_id, device_id, rule_id, cause, severity, status, repeat_count)"
                              " FROM picket.alert"),
                     "1|pump-1|ledger.dropped|" EPOCH "/0|Medium|open|1");
    ck_assert_str_eq(sql_text("SELECT details::text FROM picket.alert"),
                     "{\"Lost\": 2, \"Epoch\": \"" EPOCH "\", \"Stream\": 0, \"Reasons\": {\"policy\": 3, \"spool-full\": 2}}");
    send_at(fixture.now_us, 8, 1, DROP(9, 9, "spool-full"));
    ck_assert_str_eq(sql_text("SELECT concat_ws('|', count(*), sum(repeat_count)) FROM picket.alert"), "1|2");
    ck_assert_str_eq(ledger("concat_ws('|', stored, dropped, drop_reasons, highest)"),
                     "{[1,2),[5,6),[8,9)}|{[2,5),[6,8),[9,10)}|{\"policy\": 3, \"spool-full\": 3}|9");
}
END_TEST

START_TEST(reasons_of_any_text_are_kept)
{
    send_at(fixture.now_us, 1, 1, DROP(2, 2, "a\\\"b\\\\c\\u0000\xc3\xa9"));
    ck_assert_str_eq(sql_text("SELECT key FROM picket.ledger, jsonb_each(drop_reasons)"), "a\"b\\c\xef\xbf\xbd\xc3\xa9");
    send_at(fixture.now_us, 3, 1, DROP(4, 4, "a\\\"b\\\\c\\u0000\xc3\xa9"));
    ck_assert_str_eq(sql_text("SELECT value FROM picket.ledger, jsonb_each(drop_reasons)"), "2");
}
END_TEST

START_TEST(more_reasons_than_are_told_apart_survive_the_table)
{
    for (int i = 0; i < LEDGER_REASONS_MAX + 5; i++)
        send_at(fixture.now_us, 2 * i + 1, 1,
                arena_format(&fixture.arena, "{\"From\":%d,\"To\":%d,\"Reason\":\"reason-%02d\"}", 2 * i + 2, 2 * i + 2, i));
    ck_assert_str_eq(ledger("(SELECT concat_ws('|', count(*), sum(value::int), max(value::int)) FROM jsonb_each_text(drop_reasons))"),
                     "32|37|6");
    ck_assert_str_eq(ledger("drop_reasons ->> 'other'"), "6");
}
END_TEST

START_TEST(a_ledger_of_many_gaps_is_settled_and_read_back)
{
    enum { MESSAGES = LEDGER_RANGES_MAX + 50 };
    struct bus_record *records = ARENA_ARRAY(&fixture.arena, struct bus_record, MESSAGES);

    for (int i = 0; i < MESSAGES; i++)
        records[i] = numbered(fixture.now_us + i, message_body(EPOCH, 0, 1 + 2 * i, 1, ""));
    batch_store(records, MESSAGES / 2);
    batch_store(records + MESSAGES / 2, MESSAGES - MESSAGES / 2);
    ck_assert_int_le(sql_number("SELECT count(*) FROM picket.ledger, unnest(stored)"), LEDGER_RANGES_MAX);
    ck_assert_int_eq(sql_number("SELECT settled_stored + (SELECT sum(upper(r) - lower(r)) FROM unnest(stored) r)::bigint"
                                " FROM picket.ledger"),
                     MESSAGES);
    ck_assert_int_eq(sql_number("SELECT settled_stored + settled_lost - settled_below + 1 FROM picket.ledger"), 0);
    ck_assert_int_gt(sql_number("SELECT settled_below FROM picket.ledger"), 1);
}
END_TEST

START_TEST(numbers_as_large_as_json_holds_are_kept)
{
    send(INT64_C(9007199254740992), 1);
    ck_assert_str_eq(ledger("concat_ws('|', highest, stored, gap_from)"),
                     "9007199254740992|{[9007199254740992,9007199254740993)}|1");
}
END_TEST

static void judge(void)
{
    must(alerts_judge_gaps(fixture.store, SQL_MS, &why));
}

static int64_t gap_alerts(void)
{
    return sql_number("SELECT count(*) FROM picket.alert WHERE rule_id = 'ledger.gap' AND status = 'open'");
}

static void heard_from_another_device(int64_t at_us)
{
    store_one(&(struct record_wish){.device = "pump-2", .received_at_us = at_us}, "{}");
}

START_TEST(a_gap_becomes_an_alert_after_a_day_of_receipts)
{
    int64_t start_us = fixture.now_us - 5 * DAY_US;

    send_at(start_us, 1, 1, "");
    send_at(start_us, 5, 1, "");
    judge(); /* the wall clock is five days on, and says nothing */
    ck_assert_int_eq(gap_alerts(), 0);
    heard_from_another_device(start_us + DAY_US);
    judge();
    ck_assert_int_eq(gap_alerts(), 0);
    heard_from_another_device(start_us + DAY_US + 1);
    judge();
    ck_assert_int_eq(gap_alerts(), 1);
    ck_assert_str_eq(sql_text("SELECT concat_ws('|', device_id, cause, severity, details ->> 'From', details ->> 'Missing',"
                              " details ->> 'Highest') FROM picket.alert"),
                     "pump-1|" EPOCH "/0|Medium|2|3|5");
    judge();
    ck_assert_int_eq(sql_number("SELECT repeat_count FROM picket.alert"), 1); /* one gap alerts once */
}
END_TEST

START_TEST(a_gap_that_is_filled_closes_its_alert)
{
    int64_t start_us = fixture.now_us - 5 * DAY_US;

    send_at(start_us, 1, 1, "");
    send_at(start_us, 3, 1, "");
    heard_from_another_device(start_us + 2 * DAY_US);
    judge();
    ck_assert_int_eq(gap_alerts(), 1);
    send_at(start_us + 2 * DAY_US, 2, 1, "");
    judge();
    ck_assert_int_eq(gap_alerts(), 0);
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.alert"), 1);
}
END_TEST

START_TEST(a_closed_alert_comes_back_only_with_another_gap)
{
    int64_t start_us = fixture.now_us - 6 * DAY_US;

    send_at(start_us, 1, 1, "");
    send_at(start_us, 3, 1, "");
    heard_from_another_device(start_us + 2 * DAY_US);
    judge();
    sql("UPDATE picket.alert SET status = 'closed'");
    judge();
    ck_assert_int_eq(gap_alerts(), 0);
    send_at(start_us + 2 * DAY_US, 2, 1, "");
    send_at(start_us + 2 * DAY_US, 5, 1, "");
    heard_from_another_device(start_us + 4 * DAY_US);
    judge();
    ck_assert_int_eq(gap_alerts(), 1);
}
END_TEST

START_TEST(a_record_that_cannot_be_read_makes_no_gap_older)
{
    int64_t start_us = fixture.now_us - 5 * DAY_US;
    const struct bus_record nonsense = {.value = TEXT("x"), .offset = 77};

    send_at(start_us, 1, 1, "");
    send_at(start_us, 3, 1, "");
    ck_assert_uint_eq(batch_store(&nonsense, 1).dead_count, 1); /* its receipt time is the wall clock */
    judge();
    ck_assert_int_eq(gap_alerts(), 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        numbers_that_arrive_are_in_the_ledger,
        each_epoch_stream_and_device_has_its_own_row,
        late_filling_closes_the_gap,
        one_batch_may_hold_the_numbers_in_any_order,
        a_resend_changes_nothing,
        told_losses_are_an_alert_at_once_unless_by_policy,
        reasons_of_any_text_are_kept,
        more_reasons_than_are_told_apart_survive_the_table,
        a_ledger_of_many_gaps_is_settled_and_read_back,
        numbers_as_large_as_json_holds_are_kept,
        a_gap_becomes_an_alert_after_a_day_of_receipts,
        a_gap_that_is_filled_closes_its_alert,
        a_closed_alert_comes_back_only_with_another_gap,
        a_record_that_cannot_be_read_makes_no_gap_older,
    };
    return FIXTURE_MAIN("store/ledger_write", tests);
}
