#include "store/messages.h"

#include "tests/unit/store/fixture.h"

#define WEEK_US (7 * DAY_US)
#define BODY PROCESS_CREATE(PROCESS_ELEMENT)

static int64_t messages(void)
{
    return sql_number("SELECT count(*) FROM picket.message");
}

static int64_t events(void)
{
    return sql_number("SELECT count(*) FROM picket.raw_event");
}

START_TEST(a_resend_in_one_batch_is_stored_once)
{
    const struct record_wish wish = {.identity = "m1"};
    const struct bus_record records[] = {record_make(&wish, TEXT(BODY)), record_make(&wish, TEXT(BODY)),
                                         record_make(&(struct record_wish){.identity = "m2"}, TEXT(BODY))};
    struct batch batch = batch_store(records, 3);

    ck_assert_int_eq(messages(), 2);
    ck_assert_int_eq(events(), 2);
    ck_assert_int_eq(batch.events, 2);
    ck_assert_int_eq(batch.duplicates, 1);
    ck_assert(batch.messages[0].fresh && !batch.messages[1].fresh && batch.messages[2].fresh);
    ck_assert_int_eq(sql_number("SELECT min(bus_offset) FROM picket.message"), 0); /* the first counts */
}
END_TEST

START_TEST(a_resend_in_a_later_batch_is_stored_once)
{
    const struct record_wish wish = {.identity = "m1"};

    ck_assert_int_eq(store_one(&wish, BODY).events, 1);
    struct batch again = store_one(&wish, BODY);
    ck_assert_int_eq(again.events, 0);
    ck_assert_int_eq(again.duplicates, 1);
    ck_assert_int_eq(messages(), 1);
    ck_assert_int_eq(events(), 1);
}
END_TEST

START_TEST(a_resend_in_a_later_week_is_stored_once)
{
    struct record_wish wish = {.identity = "m1", .received_at_us = fixture.now_us - WEEK_US};

    store_one(&wish, BODY);
    wish.received_at_us = fixture.now_us;
    ck_assert_int_eq(store_one(&wish, BODY).duplicates, 1);
    ck_assert_int_eq(messages(), 1);
    ck_assert_int_eq(events(), 1);
    ck_assert_int_ge(sql_number("SELECT count(*) FROM pg_inherits WHERE inhparent = 'picket.message'::regclass"), 2);
}
END_TEST

START_TEST(the_same_message_of_another_device_is_another)
{
    struct record_wish wish = {.identity = "m1"};

    store_one(&wish, BODY);
    wish.device = "pump-2";
    store_one(&wish, BODY); /* ingest's key holds the device: this one is made the same on purpose */
    ck_assert_int_eq(messages(), 2);
}
END_TEST

START_TEST(a_body_without_identity_sent_twice_is_two)
{
    store_one(&(struct record_wish){0}, "{\"t\":1}");
    store_one(&(struct record_wish){0}, "{\"t\":1}");
    ck_assert_int_eq(messages(), 2);
    ck_assert_int_eq(events(), 2);
    ck_assert_int_eq(sql_number("SELECT count(DISTINCT event_id) FROM picket.raw_event"), 2);
}
END_TEST

START_TEST(the_same_record_read_again_is_one)
{
    const struct bus_record record = record_of("{\"t\":1}");

    batch_store(&record, 1);
    ck_assert_int_eq(batch_store(&record, 1).duplicates, 1);
    ck_assert_int_eq(messages(), 1);
}
END_TEST

START_TEST(a_key_without_identity_depends_on_all_that_makes_the_place)
{
    struct device_message base = message_of(TEXT("body")), other;
    struct { struct text cluster, topic; int32_t partition; int64_t offset; uint32_t workspace; const char *device, *module, *body; }
    cases[] = {
        {TEXT("c2"), TEXT("t"), 1, 2, 1, "d", "m", "b"}, {TEXT("c"), TEXT("t2"), 1, 2, 1, "d", "m", "b"},
        {TEXT("c"), TEXT("t"), 2, 2, 1, "d", "m", "b"},  {TEXT("c"), TEXT("t"), 1, 3, 1, "d", "m", "b"},
        {TEXT("c"), TEXT("t"), 1, 2, 2, "d", "m", "b"},  {TEXT("c"), TEXT("t"), 1, 2, 1, "dm", "", "b"},
        {TEXT("c"), TEXT("t"), 1, 2, 1, "d", "m", "b2"},
    };

    base.partition = 1;
    base.offset = 2;
    base.record.device = span_of("d");
    base.record.module = span_of("m");
    base.body = TEXT("b");
    messages_key(&base, TEXT("c"), TEXT("t"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        other = base;
        other.partition = cases[i].partition;
        other.offset = cases[i].offset;
        other.record.workspace = cases[i].workspace;
        other.record.device = span_of(cases[i].device);
        other.record.module = span_of(cases[i].module);
        other.body = text_of(cases[i].body);
        messages_key(&other, cases[i].cluster, cases[i].topic);
        ck_assert_msg(memcmp(base.key, other.key, sizeof base.key) != 0, "case %zu", i);
    }
    other = base;
    messages_key(&other, TEXT("c"), TEXT("t"));
    ck_assert_mem_eq(base.key, other.key, sizeof base.key);
    other.record.has_identity = true;
    memset(other.record.message_key, 7, sizeof other.record.message_key);
    messages_key(&other, TEXT("c"), TEXT("t"));
    ck_assert_mem_eq(other.key, other.record.message_key, sizeof other.key);
}
END_TEST

START_TEST(what_stands_around_the_events_is_kept_with_the_message)
{
    store_one(&(struct record_wish){.module = "m"}, "{\"Site\":{\"a\":\"x\\\"y\"},\"AgentId\":\"short\",\"Events\":[{}]}");
    ck_assert_str_eq(sql_text("SELECT extra FROM picket.message"), "{\"Site\": {\"a\": \"x\\\"y\"}, \"AgentId\": \"short\"}");
    ck_assert_str_eq(sql_text("SELECT departures::text FROM picket.message"),
                     "{unknown:Site,format:AgentId,missing:AgentVersion,missing:MessageSchemaVersion}");
    ck_assert_str_eq(sql_text("SELECT concat_ws('|', workspace_id, device_id, module_id, bus_topic_id, bus_partition,"
                              " bus_offset, event_count) FROM picket.message"),
                     arena_format(&fixture.arena, "1|pump-1|m|%d|0|0|1", fixture.bus_topic_id));
    ck_assert_int_eq(sql_number("SELECT (extract(epoch FROM received_at) * 1000000)::bigint FROM picket.message"),
                     fixture.now_us);
    store_one(&(struct record_wish){.identity = "x"}, BODY);
    ck_assert_str_eq(sql_text("SELECT extra FROM picket.message WHERE bus_offset = 1"), "NULL");
    ck_assert_str_eq(sql_text("SELECT departures FROM picket.message WHERE bus_offset = 1"), "NULL");
}
END_TEST

START_TEST(properties_are_kept_with_the_message_whatever_they_hold)
{
    store_one(&(struct record_wish){.properties = "{\"$.mid\":\"7\",\"site\":\"a\\u0000b\"}"}, "{}");
    ck_assert_str_eq(sql_text("SELECT properties FROM picket.message"), "{\"site\": \"a\xEF\xBF\xBD" "b\", \"$.mid\": \"7\"}");
    store_one(&(struct record_wish){.properties = "{\"site\""}, "{}");
    ck_assert_str_eq(sql_text("SELECT properties FROM picket.message WHERE bus_offset = 1"), "NULL");
    ck_assert_str_eq(sql_text("SELECT departures::text FROM picket.message WHERE bus_offset = 1"), "{properties-unreadable}");
}
END_TEST

START_TEST(a_thousand_messages_are_told_apart_from_their_resends)
{
    enum { COUNT = 1000 };
    struct bus_record *records = ARENA_ARRAY(&fixture.arena, struct bus_record, 2 * COUNT);
    size_t count = 0;

    for (int i = 0; i < COUNT; i++) {
        struct record_wish wish = {.identity = arena_format(&fixture.arena, "m%d", i)};
        records[count++] = record_make(&wish, TEXT("{}"));
        if (i % 3 == 0)
            records[count++] = record_make(&wish, TEXT("{}"));
    }
    struct batch batch = batch_store(records, count);
    ck_assert_int_eq(batch.duplicates, (int64_t)count - COUNT);
    ck_assert_int_eq(messages(), COUNT);
    ck_assert_int_eq(batch_store(records, count).duplicates, (int64_t)count);
    ck_assert_int_eq(messages(), COUNT);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_resend_in_one_batch_is_stored_once,
        a_resend_in_a_later_batch_is_stored_once,
        a_resend_in_a_later_week_is_stored_once,
        the_same_message_of_another_device_is_another,
        a_body_without_identity_sent_twice_is_two,
        the_same_record_read_again_is_one,
        a_key_without_identity_depends_on_all_that_makes_the_place,
        what_stands_around_the_events_is_kept_with_the_message,
        properties_are_kept_with_the_message_whatever_they_hold,
        a_thousand_messages_are_told_apart_from_their_resends,
    };
    return FIXTURE_MAIN("store/messages", tests);
}
