#include "store/copy.h"

#include "store/messages.h"
#include "tests/unit/store/fixture.h"

#define ROUNDS 30
#define MESSAGES_EACH 200
#define NASTY "tab\\there\\nline\\r\\\\N \\\\. \\b\\f\\u000b\\u0000\\ud800 \\\"q\\\" {a,b} \xc3\xa9\xf0\x9f\x98\x80\x7f'"
#define NASTY_TEXT "tab\there\nline\r\\N \\. \b\f\v\xef\xbf\xbd\xef\xbf\xbd \"q\" {a,b} \xc3\xa9\xf0\x9f\x98\x80\x7f'"

static const char *column(const char *name)
{
    return sql_text(arena_format(&fixture.arena, "SELECT %s FROM picket.raw_event", name));
}

START_TEST(every_column_of_an_event_is_read_back)
{
    store_one(&(struct record_wish){.module = "m", .workspace = 2},
              ENVELOPE_OPEN EVENT_OPEN("Triggered", "ConnectionCreate", "Security", "false")
              "[{\"RemoteAddress\":\"2001:db8::1\",\"RemotePort\":443,\"LocalPort\":\"22\",\"UserName\":\"root\","
              "\"Executable\":\"/bin/x\",\"ProcessId\":9,\"Aa\":1,\"B\":2,\"ExtraDetails\":{\"HitCount\":3}}],\"Hint\":1}"
              ENVELOPE_CLOSE);
    ck_assert_str_eq(column("concat_ws('|', workspace_id, device_id, module_id, element, type, category, name, is_empty,"
                            " hit_count, agent_version, agent_id, firmware)"),
                     "2|pump-1|m|0|Security|Triggered|ConnectionCreate|f|3|0.0.6|5aebd46d-3a56-4d4f-9f6b-9d5e2a4b6c70");
    ck_assert_str_eq(column("concat_ws('|', remote_address, remote_port, local_port, executable, process_id, user_name)"),
                     "2001:db8::1|443|22|/bin/x|9|root");
    ck_assert_str_eq(column("concat_ws('|', time_stamp AT TIME ZONE 'UTC', time_local, sender_event_id)"),
                     "2026-01-02 10:00:00|2026-01-02T11:00:00+01:00|072f3eca-3db0-45ba-8174-fa383bc93caf");
    ck_assert_int_eq(sql_number("SELECT (extract(epoch FROM time_generated) * 1000000)::bigint FROM picket.raw_event"),
                     fixture.now_us);
    ck_assert_str_eq(column("picket.json_text(details, key_order)"),
                     "{\"RemoteAddress\":\"2001:db8::1\",\"RemotePort\":443,\"LocalPort\":\"22\",\"UserName\":\"root\","
                     "\"Executable\":\"/bin/x\",\"ProcessId\":9,\"Aa\":1,\"B\":2,\"ExtraDetails\":{\"HitCount\":3}}");
    ck_assert_str_eq(column("extra"), "{\"Hint\": 1}");
    ck_assert_str_eq(column("concat_ws('|', bus_topic_id, bus_partition, bus_offset)"),
                     arena_format(&fixture.arena, "%d|0|0", fixture.bus_topic_id));
    ck_assert_str_eq(column("departures[1:2]::text"), "{type:Payload.RemotePort,unknown:Payload.UserName}");
}
END_TEST

START_TEST(what_is_absent_is_null)
{
    store_one(&(struct record_wish){0}, "{}");
    ck_assert_str_eq(column("coalesce(time_local, sender_event_id, agent_version, agent_id::text, remote_address::text,"
                            " remote_port::text, local_port::text, executable, process_id::text, user_name, key_order::text,"
                            " extra::text, departures::text)"),
                     "NULL");
}
END_TEST

START_TEST(text_that_copy_could_mistake_comes_back_as_it_was)
{
    static const char *const columns[] = {"time_local", "sender_event_id", "type", "category", "name", "agent_version",
                                          "executable", "user_name", "details ->> 'Executable'", "extra ->> 'Hint'"};

    store_one(&(struct record_wish){0},
              "{\"AgentVersion\":\"" NASTY "\",\"Events\":[{\"Id\":\"" NASTY "\",\"TimestampLocal\":\"" NASTY "\",\"EventType\":\"" NASTY
              "\",\"Category\":\"" NASTY "\",\"Name\":\"" NASTY "\",\"Hint\":\"" NASTY "\",\"Payload\":[{\"Executable\":\"" NASTY
              "\",\"UserName\":\"" NASTY "\",\"" NASTY "\":1}]}]}");
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        ck_assert_msg(strcmp(column(columns[i]), NASTY_TEXT) == 0, "%s: %s", columns[i], column(columns[i]));
    ck_assert_str_eq(column("(SELECT max(key) FROM jsonb_each(details))"), NASTY_TEXT);
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.raw_event, unnest(departures) d WHERE d LIKE 'nul:%'"), 10);
}
END_TEST

START_TEST(rows_go_to_the_days_of_their_receipt)
{
    const struct bus_record records[] = {
        record_make(&(struct record_wish){.received_at_us = fixture.now_us - 2 * DAY_US}, TEXT("{}")),
        record_make(&(struct record_wish){0}, TEXT("{}")),
        record_make(&(struct record_wish){.received_at_us = fixture.now_us - 2 * DAY_US}, TEXT("{}")),
    };

    ck_assert_int_eq(batch_store(records, 3).events, 3);
    ck_assert_str_eq(sql_text("SELECT string_agg(n::text, ',' ORDER BY day) FROM (SELECT tableoid::regclass::text AS day,"
                              " count(*) AS n FROM picket.raw_event GROUP BY 1) AS days"),
                     "2,1");
}
END_TEST

START_TEST(a_missing_partition_asks_for_another_try_once_it_is_made)
{
    const struct record_wish wish = {.received_at_us = fixture.now_us - 100 * DAY_US};
    const struct bus_record record = record_make(&wish, TEXT("{}"));
    const struct batch_source source = batch_source();
    struct batch batch;
    int64_t copied;

    must(db_begin(fixture.store, SQL_MS, &why));
    (void)batch_read(&source, &record, 1, &batch);
    batch.messages[0].fresh = true;
    ck_assert_int_eq(copy_events(fixture.store, batch.messages, 1, fixture.bus_topic_id, SQL_MS, &copied, &why),
                     STATUS_RETRY);
    db_rollback(fixture.store);
    sql("SELECT picket.partitions_make(now() - interval '101 days', now() - interval '99 days')");
    ck_assert_int_eq(batch_store(&record, 1).events, 1);
}
END_TEST

START_TEST(an_event_id_is_a_digest_of_message_and_row)
{
    uint8_t key[SECRET_DIGEST_BYTES] = {1}, expected[SECRET_DIGEST_BYTES], found[SECRET_DIGEST_BYTES];
    const struct text parts[] = {{(const char *)key, sizeof key}, {"\x02\x01\x00\x00", 4}};

    secret_digest(parts, 2, NULL, expected);
    copy_event_id(key, 258, found);
    ck_assert_mem_eq(found, expected, sizeof found);
    copy_event_id(key, 259, found);
    ck_assert_mem_ne(found, expected, sizeof found);
}
END_TEST

START_TEST(a_batch_larger_than_a_piece_is_copied_whole)
{
    struct buf body;

    buf_init(&body, PICKET_BODY_HARD_MAX);
    buf_string(&body, ENVELOPE_OPEN EVENT_OPEN("Triggered", "ProcessCreate", "Security", "false") "[" PROCESS_ELEMENT);
    while (body.count < PICKET_BODY_HARD_MAX - 256)
        buf_string(&body, "," PROCESS_ELEMENT);
    buf_string(&body, "]" EVENT_CLOSE ENVELOPE_CLOSE);
    const struct bus_record record = record_make(&(struct record_wish){0}, buf_as_text(&body));
    struct batch batch = batch_store(&record, 1);
    ck_assert_int_gt(batch.events, 9000);
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.raw_event"), batch.events);
    ck_assert_int_eq(sql_number("SELECT max(element) + 1 FROM picket.raw_event"), batch.events);
    buf_done(&body);
}
END_TEST

START_TEST(the_longest_body_of_escapes_is_stored)
{
    struct buf body;

    buf_init(&body, PICKET_BODY_HARD_MAX);
    buf_string(&body, "[\"");
    while (body.count < PICKET_BODY_HARD_MAX - 8)
        buf_string(&body, "\\b");
    buf_string(&body, "\"]");
    const struct bus_record records[] = {record_make(&(struct record_wish){0}, buf_as_text(&body))};
    batch_store(records, 1);
    ck_assert_int_eq(sql_number("SELECT length(details ->> 0) FROM picket.raw_event"), (int64_t)(body.count - 4) / 2);
    buf_done(&body);
}
END_TEST

/* Values that are meant to be refused by something. */
static const char *value_any(struct dice *dice)
{
    static const char *const values[] = {
        "null", "true", "false", "0", "-0", "-0.0", "1e300", "1E-300", "9e301", "123456789012345678901234567890", "1.5e+3",
        "0.00000000000000000000000000000000000001", "-9223372036854775808", "9223372036854775807", "9223372036854775808",
        "[]", "{}", "[[[]]]", "{\"a\":{\"a\":{\"a\":[]}}}", "{\"\":\"\"}", "{\"\\u0000\":1,\"\\ud800\":2,\"\xef\xbf\xbd\":3}",
        "{\"b\":1,\"aa\":2,\"a\":3}", "\"\"", "\"" NASTY "\"", "\"\\\\N\"", "\"\\\\.\"", "\"\\\\\"", "\"{NULL}\"",
        "\"0001-01-01T00:00:00Z\"", "\"9999-12-31T23:59:59.999999Z\"", "\"2026-01-02T10:00:60Z\"", "\"2026-01-02T10:00:00+23:59\"",
        "\"0001-01-01T00:00:00+23:00\"", "\"2026-02-30\"", "\"now\"", "\"infinity\"", "\"epoch\"", "\"2026-01-02\"",
        "\"5aebd46d-3a56-4d4f-9f6b-9d5e2a4b6c70\"", "\"{5aebd46d-3a56-4d4f-9f6b-9d5e2a4b6c70}\"", "\"::\"", "\"::ffff:1.2.3.4\"",
        "\"::1.2.3.4\"", "\"1:2:3:4:5:6:7::\"", "\"::2:3:4:5:6:7:8\"", "\"1:2:3:4:5:6:1.2.3.4\"", "\"0.0.0.0\"", "\"01.2.3.4\"",
        "\"1.2.3.4/8\"", "\"fe80::1%1\"", "\"22\"", "\"-1\"", "\"65536\"", "\"007\"", "\"1e3\"", "\"9223372036854775807\"",
        "\"-9223372036854775809\"", "\"\xf4\x8f\xbf\xbf\xef\xbf\xbe\"", "1", "\"\\udbff\\udfff\\udbff\"",
        "[{\"a\":1},{\"a\":2}]", "[1,2,[3]]", "{\"HitCount\":9223372036854775807}", "{\"HitCount\":\"-5\"}",
    };
    return values[dice_roll(dice, sizeof values / sizeof *values)];
}

static void member_any(struct dice *dice, struct buf *out)
{
    static const char *const names[] = {
        "Id", "Name", "Category", "EventType", "TimestampLocal", "TimestampUTC", "IsEmpty", "IsOperational", "Payload",
        "PayloadSchemaVersion", "AgentId", "AgentVersion", "Sequence", "Events", "RemoteAddress", "RemotePort", "LocalPort",
        "ProcessId", "UserName", "UserId", "Executable", "ExtraDetails", "\\u0000", NASTY, "\\ud800x", "", "Epoch", "First",
    };
    buf_format(out, "\"%s\":", names[dice_roll(dice, sizeof names / sizeof *names)]);
}

static void object_any(struct dice *dice, unsigned depth, struct buf *out)
{
    buf_byte(out, '{');
    for (uint32_t i = 0, count = dice_roll(dice, 12); i < count; i++) {
        if (i > 0)
            buf_byte(out, ',');
        member_any(dice, out);
        if (depth < 3 && dice_roll(dice, 5) == 0)
            object_any(dice, depth + 1, out);
        else
            buf_string(out, value_any(dice));
    }
    buf_byte(out, '}');
}

static void envelope_any(struct dice *dice, struct buf *out)
{
    buf_string(out, "{\"AgentVersion\":");
    buf_string(out, value_any(dice));
    buf_string(out, ",\"AgentId\":");
    buf_string(out, value_any(dice));
    buf_string(out, ",\"Events\":[");
    for (uint32_t i = 0, count = dice_roll(dice, 4); i < count; i++) {
        if (i > 0)
            buf_byte(out, ',');
        buf_format(out, "{\"Name\":%s,\"TimestampUTC\":%s,\"TimestampLocal\":%s,\"Id\":%s,\"Payload\":[", value_any(dice),
                   value_any(dice), value_any(dice), value_any(dice));
        buf_format(out, "{\"RemoteAddress\":%s,\"RemotePort\":%s,\"ProcessId\":%s,\"UserName\":%s,\"ExtraDetails\":%s}",
                   value_any(dice), value_any(dice), value_any(dice), value_any(dice), value_any(dice));
        buf_byte(out, ',');
        object_any(dice, 0, out);
        buf_string(out, "],\"More\":");
        object_any(dice, 0, out);
        buf_byte(out, '}');
    }
    buf_string(out, "]}");
}

static struct text body_any(struct dice *dice)
{
    struct buf out;

    buf_init(&out, PICKET_BODY_HARD_MAX);
    switch (dice_roll(dice, 4)) {
    case 0:
        object_any(dice, 0, &out);
        break;
    case 1: /* bytes */
        for (uint32_t i = dice_roll(dice, 200); i > 0; i--)
            buf_byte(&out, (char)dice_roll(dice, 256));
        break;
    default:
        envelope_any(dice, &out);
        if (dice_roll(dice, 3) == 0 && out.count) /* one byte changed: often no JSON any more */
            out.bytes[dice_roll(dice, (uint32_t)out.count)] = (char)dice_roll(dice, 256);
        break;
    }
    struct text body = arena_text(&fixture.arena, buf_as_text(&out));
    buf_done(&out);
    return body;
}

static const char *const content_types[] = {NULL, NULL, "application/json", "text/\xff", "a\\\"b", "application/octet-stream"};

static struct bus_record record_any(struct dice *dice)
{
    const struct record_wish wish = {
        .unchecked = dice_roll(dice, 2),
        .content_type = content_types[dice_roll(dice, sizeof content_types / sizeof *content_types)],
    };
    return record_make(&wish, body_any(dice));
}

START_TEST(postgresql_never_refuses_what_decode_passed)
{
    struct bus_record records[MESSAGES_EACH];
    struct dice dice = {99};
    int64_t rows = 0, stored = 0, dead = 0;

    for (int round = 0; round < ROUNDS; round++) {
        const struct batch_source source = batch_source();
        struct batch batch;
        for (size_t i = 0; i < MESSAGES_EACH; i++)
            records[i] = record_any(&dice);
        arena_clear(&fixture.batch);
        must(db_begin(fixture.store, SQL_MS, &why));
        (void)batch_read(&source, records, MESSAGES_EACH, &batch);
        for (size_t i = 0; i < batch.message_count; i++)
            rows += (int64_t)batch.messages[i].row_count;
        must(batch_write(fixture.store, &source, &batch, SQL_MS, &why));
        must(db_commit(fixture.store, SQL_MS, &why));
        stored += (int64_t)batch.message_count;
        dead += (int64_t)batch.dead_count;
    }
    ck_assert_int_gt(stored, ROUNDS * MESSAGES_EACH / 2);
    ck_assert_int_gt(dead, ROUNDS);
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.message"), stored);
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.dead_letter"), dead);
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.raw_event WHERE picket.json_text(details, key_order) IS NOT NULL"),
                     rows);
}
END_TEST

START_TEST(what_counts_as_an_address_is_one_for_postgresql_too)
{
    static const char alphabet[] = "0123456789abcfF::..";
    struct dice dice = {5};
    struct buf array;
    int64_t count = 0;

    buf_init(&array, 1 << 24);
    db_array_open(&array);
    for (int i = 0; i < 2000000; i++) {
        char text[48];
        size_t length = 2 + dice_roll(&dice, i % 2 ? 12 : 20);
        for (size_t at = 0; at < length; at++)
            text[at] = alphabet[dice_roll(&dice, sizeof alphabet - 1)];
        if (!departures_is_address((struct text){text, length}))
            continue;
        db_array_text(&array, (struct text){text, length});
        count++;
    }
    db_array_close(&array);
    const char *const parameters[] = {array.bytes};
    ck_assert_int_gt(count, 100);
    must(db_query(fixture.store, "SELECT count(a::inet) FROM unnest($1::text[]) a", parameters, 1, SQL_MS, NULL, &why));
    buf_done(&array);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        every_column_of_an_event_is_read_back,
        what_is_absent_is_null,
        text_that_copy_could_mistake_comes_back_as_it_was,
        rows_go_to_the_days_of_their_receipt,
        a_missing_partition_asks_for_another_try_once_it_is_made,
        an_event_id_is_a_digest_of_message_and_row,
        a_batch_larger_than_a_piece_is_copied_whole,
        the_longest_body_of_escapes_is_stored,
        postgresql_never_refuses_what_decode_passed,
        what_counts_as_an_address_is_one_for_postgresql_too,
    };
    return FIXTURE_MAIN("store/copy", tests);
}
