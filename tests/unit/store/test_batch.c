#include "store/batch.h"

#include "tests/unit/store/fixture.h"

static const char *activity(const char *device)
{
    return sql_text(arena_format(&fixture.arena,
                                 "SELECT concat_ws('|', message_count, resend_count, event_count, departure_count, refused_count,"
                                 " dead_count) FROM picket.device_activity WHERE workspace_id = 1 AND device_id = '%s'",
                                 device));
}

static struct batch read_only(const struct bus_record *record)
{
    const struct batch_source source = batch_source();
    struct batch batch;

    (void)batch_read(&source, record, 1, &batch);
    return batch;
}

/* A real record with one header changed. */
static struct bus_record with_header(const char *name, struct text value)
{
    struct bus_record record = record_make(&(struct record_wish){.module = "m"}, TEXT("{}"));
    struct bus_header *headers = ARENA_ARRAY(&fixture.arena, struct bus_header, record.header_count + 1);

    memcpy(headers, record.headers, record.header_count * sizeof *headers);
    size_t at = 0;
    while (at < record.header_count && !text_equal(headers[at].name, text_of(name)))
        at++;
    headers[at] = (struct bus_header){text_of(name), value};
    record.header_count += at == record.header_count;
    record.headers = headers;
    return record;
}

START_TEST(a_batch_of_everything_is_written_and_counted)
{
    const struct record_wish named = {.identity = "m1"};
    const struct bus_record records[] = {
        record_make(&named, TEXT(PROCESS_CREATE(PROCESS_ELEMENT "," PROCESS_ELEMENT))),
        record_make(&named, TEXT(PROCESS_CREATE(PROCESS_ELEMENT "," PROCESS_ELEMENT))),
        record_make(&(struct record_wish){0}, TEXT(PROCESS_CREATE("{\"Odd\":1}," PROCESS_ELEMENT))),
        record_make(&(struct record_wish){.unchecked = true}, TEXT("{\"never\":")),
        record_make(&(struct record_wish){.door = true}, TEXT("{\"Refused\":{\"400\":2,\"429\":3}}")),
        record_make(&(struct record_wish){.door = true, .device = ""}, TEXT("{\"Refused\":{\"401\":9}}")),
    };
    struct batch batch = batch_store(records, 6);

    ck_assert_uint_eq(batch.message_count, 4);
    ck_assert_uint_eq(batch.dead_count, 1);
    ck_assert_int_eq(batch.duplicates, 1);
    ck_assert_int_eq(batch.events, 5);
    ck_assert_str_eq(activity("pump-1"), "2|1|4|1|5|1");
    ck_assert_str_eq(activity(""), "0|0|0|0|9|0");
    ck_assert_str_eq(sql_text("SELECT concat_ws('|', type, name, hit_count, details ->> 'Refused') FROM picket.raw_event"
                              " WHERE type = 'Picket'"),
                     "Picket|FrontDoor|5|{\"400\": 2, \"429\": 3}");
    ck_assert_str_eq(sql_text("SELECT concat_ws('|', device_id, bus_offset, reason) FROM picket.dead_letter"),
                     "pump-1|3|the body claims to be JSON and is not: body ends where a value is expected (line 1, column 10)");
}
END_TEST

START_TEST(the_same_batch_written_again_counts_only_resends)
{
    const struct bus_record records[] = {record_of(PROCESS_CREATE(PROCESS_ELEMENT)),
                                         record_make(&(struct record_wish){.door = true}, TEXT("{\"Refused\":{\"400\":2}}"))};

    batch_store(records, 2);
    batch_store(records, 2);
    ck_assert_str_eq(activity("pump-1"), "1|1|1|0|2|0");
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.raw_event"), 2);
}
END_TEST

START_TEST(an_empty_batch_writes_nothing)
{
    struct batch batch = batch_store(NULL, 0);

    ck_assert_int_eq(batch.events, 0);
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.device_activity"), 0);
}
END_TEST

START_TEST(a_record_that_cannot_be_read_is_a_dead_letter_with_its_reason)
{
    struct {
        struct bus_record record;
        const char *reason, *device;
    } cases[] = {
        {with_header("v", TEXT("2")), "version", ""},
        {with_header("kind", TEXT("song")), "kind", ""},
        {with_header("workspace", TEXT("x")), "workspace", ""},
        {with_header("workspace", TEXT("0")), "workspace", ""},
        {with_header("workspace", TEXT("4294967295")), "workspace", ""},
        {with_header("device", TEXT("")), "without a device", ""},
        {with_header("device", TEXT("a\xff")), "no text", ""},
        {with_header("device", TEXT("a\0b")), "no text", ""},
        {with_header("module", TEXT("\xed\xa0\x80")), "no text", ""},
        {with_header("key", TEXT("short")), "key", ""},
        {with_header("received", TEXT("0")), "implausible", "pump-1"},
        {with_header("received", TEXT("9223372036854775807")), "implausible", "pump-1"},
        {with_header("refused", TEXT("the body is not JSON")), "the body is not JSON", "pump-1"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct batch batch = batch_store(&cases[i].record, 1);
        ck_assert_msg(batch.message_count == 0 && batch.dead_count == 1, "case %zu", i);
        ck_assert_msg(strstr(batch.dead[0].reason, cases[i].reason) != NULL, "case %zu: %s", i, batch.dead[0].reason);
        ck_assert_msg(text_equal(batch.dead[0].device, text_of(cases[i].device)), "case %zu", i);
        ck_assert_int_eq(batch.dead[0].workspace, 1);
    }
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.dead_letter"), sizeof cases / sizeof *cases);
}
END_TEST

START_TEST(a_record_without_headers_or_value_is_a_dead_letter)
{
    struct bus_header many[BUS_HEADERS_MAX + 1];
    for (size_t i = 0; i <= BUS_HEADERS_MAX; i++)
        many[i] = (struct bus_header){TEXT("x"), TEXT("")};
    const struct bus_record records[] = {{.offset = 1}, {.headers = many, .header_count = BUS_HEADERS_MAX + 1, .offset = 2}};

    ck_assert_uint_eq(batch_store(records, 2).dead_count, 2);
    ck_assert_str_eq(sql_text("SELECT string_agg(reason, '; ' ORDER BY bus_offset) FROM picket.dead_letter"),
                     "the record has no header v; the record has more headers than any writer sets");
}
END_TEST

START_TEST(a_body_beyond_all_limits_is_a_dead_letter)
{
    size_t count = PICKET_BODY_HARD_MAX + 1;
    char *body = arena_alloc(&fixture.arena, 1, count);

    memset(body, ' ', count);
    const struct bus_record record = record_make(&(struct record_wish){0}, (struct text){body, count});
    ck_assert_uint_eq(read_only(&record).dead_count, 1);
    const struct bus_record fits = record_make(&(struct record_wish){.unchecked = true, .content_type = "text/plain"},
                                               (struct text){body, count - 1});
    ck_assert_uint_eq(read_only(&fits).message_count, 1);
}
END_TEST

START_TEST(door_records_that_are_no_json_are_dead_letters)
{
    const struct bus_record record = record_make(&(struct record_wish){.door = true}, TEXT("[1]"));

    ck_assert_uint_eq(batch_store(&record, 1).dead_count, 1);
    ck_assert_str_eq(activity("pump-1"), "0|0|0|0|0|1");
}
END_TEST

START_TEST(a_record_can_be_made_a_dead_letter_whatever_it_holds)
{
    const struct bus_record records[] = {record_of("{}"), {.value = TEXT("x"), .offset = 9}};
    const struct batch_source source = batch_source();

    for (size_t i = 0; i < 2; i++) {
        struct batch batch;
        batch_read_dead(&source, &records[i], "because", &batch);
        must(db_begin(fixture.store, SQL_MS, &why));
        must(batch_write(fixture.store, &source, &batch, SQL_MS, &why));
        must(db_commit(fixture.store, SQL_MS, &why));
    }
    ck_assert_str_eq(sql_text("SELECT string_agg(concat_ws(' ', device_id, reason), ', ' ORDER BY bus_offset)"
                              " FROM picket.dead_letter"),
                     "pump-1 because,  because");
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.raw_event"), 0);
}
END_TEST

START_TEST(a_batch_that_is_rolled_back_can_be_written_again)
{
    const struct batch_source source = batch_source();
    const struct bus_record records[] = {record_make(&(struct record_wish){.identity = "a"}, TEXT("{}")),
                                         record_make(&(struct record_wish){.identity = "b"}, TEXT("[")),
                                         record_make(&(struct record_wish){.identity = "a"}, TEXT("{}"))};
    struct batch batch;

    (void)batch_read(&source, records, 3, &batch);
    must(db_begin(fixture.store, SQL_MS, &why));
    must(batch_write(fixture.store, &source, &batch, SQL_MS, &why));
    db_rollback(fixture.store);
    must(db_begin(fixture.store, SQL_MS, &why));
    must(batch_write(fixture.store, &source, &batch, SQL_MS, &why));
    must(db_commit(fixture.store, SQL_MS, &why));
    ck_assert_int_eq(batch.events, 1);
    ck_assert_int_eq(batch.duplicates, 1);
    ck_assert_str_eq(activity("pump-1"), "1|1|1|0|0|1");
}
END_TEST

START_TEST(workspaces_and_modules_are_told_apart)
{
    store_one(&(struct record_wish){.workspace = 2}, "{}");
    store_one(&(struct record_wish){.module = "m"}, "{}");
    ck_assert_str_eq(sql_text("SELECT string_agg(concat_ws('/', workspace_id, device_id, module_id, message_count), ' ' ORDER BY workspace_id)"
                              " FROM picket.device_activity"),
                     "1/pump-1/m/1 2/pump-1//1");
}
END_TEST

START_TEST(a_batch_is_cut_where_its_decoded_messages_take_too_much_memory)
{
    struct batch_source source = batch_source();
    struct buf body;
    struct batch batch;
    size_t read = 0, cuts = 0;

    buf_init(&body, PICKET_BODY_MAX);
    buf_string(&body, "{\"Events\":[{\"Payload\":[1");
    for (int i = 0; i < 20000; i++)
        buf_string(&body, ",1");
    buf_string(&body, "]}]}");
    const struct bus_record record = record_make(&(struct record_wish){0}, buf_as_text(&body));
    const struct bus_record records[] = {record, record, record, record, record};
    source.memory_max = 24 << 20;
    for (; read < 5; cuts++) {
        arena_clear(&fixture.batch);
        size_t some = batch_read(&source, records + read, 5 - read, &batch);
        ck_assert_uint_ge(some, 1);
        ck_assert_uint_eq(batch.message_count, some);
        ck_assert_uint_lt(fixture.batch.used_bytes, 2 * source.memory_max);
        read += some;
    }
    ck_assert_uint_eq(read, 5);
    ck_assert_uint_gt(cuts, 1);
    buf_done(&body);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_batch_of_everything_is_written_and_counted,
        the_same_batch_written_again_counts_only_resends,
        an_empty_batch_writes_nothing,
        a_record_that_cannot_be_read_is_a_dead_letter_with_its_reason,
        a_record_without_headers_or_value_is_a_dead_letter,
        a_body_beyond_all_limits_is_a_dead_letter,
        door_records_that_are_no_json_are_dead_letters,
        a_record_can_be_made_a_dead_letter_whatever_it_holds,
        a_batch_that_is_rolled_back_can_be_written_again,
        workspaces_and_modules_are_told_apart,
        a_batch_is_cut_where_its_decoded_messages_take_too_much_memory,
    };
    return FIXTURE_MAIN("store/batch", tests);
}
