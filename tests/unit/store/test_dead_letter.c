#include "store/dead_letter.h"

#include "tests/unit/store/fixture.h"

static void letter_write(const struct bus_record *record, const char *reason)
{
    const struct dead_letter letter = {.record = record, .workspace = 1, .device = TEXT("pump-1"), .module = TEXT("m"),
                                       .received_at_us = fixture.now_us, .reason = reason};

    must(dead_letter_write(fixture.store, &letter, fixture.bus_topic_id, SQL_MS, &why));
}

static void replay_all(void)
{
    sql("UPDATE picket.dead_letter SET state = 'replay'");
}

static bool taken(struct db *db, struct dead_letter_replay *out)
{
    bool found = false;

    must(dead_letter_take(db, &fixture.arena, SQL_MS, out, &found, &why));
    return found;
}

START_TEST(a_letter_holds_the_record_and_the_reason)
{
    const struct bus_record record = {.value = {"\x00\xff{", 3}, .partition = 7, .offset = INT64_C(99999999999)};

    letter_write(&record, "it is \"no\" JSON \xe2\x80\xa6");
    ck_assert_str_eq(sql_text("SELECT concat_ws('|', workspace_id, device_id, module_id, reason, headers, body, bus_topic_id,"
                              " bus_partition, bus_offset, state, replayed_at) FROM picket.dead_letter"),
                     arena_format(&fixture.arena, "1|pump-1|m|it is \"no\" JSON \xe2\x80\xa6|{}|\\x00ff7b|%d|7|99999999999|dead",
                                  fixture.bus_topic_id));
    ck_assert_int_eq(sql_number("SELECT (extract(epoch FROM received_at) * 1000000)::bigint FROM picket.dead_letter"),
                     fixture.now_us);
}
END_TEST

START_TEST(headers_of_any_bytes_come_back_as_they_were)
{
    static const struct bus_header headers[] = {
        {{"v", 1}, {"1", 1}},
        {{"key", 3}, {"\x00\x01\xfe\xff\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x09", 16}},
        {{"text", 4}, {"with \"quotes\", \\ and \n\xc3\xa9", 24}},
        {{"empty", 5}, {"", 0}},
        {{"absent", 6}, {NULL, 0}},
        {{"nul", 3}, {"a\0b", 3}},
        {{"looks-encoded", 13}, {"{\"base64\":\"AAAA\"}", 17}},
        {{"na\"me\\", 6}, {"x", 1}},
        {{"one", 3}, {"\xff", 1}},
        {{"two", 3}, {"\xff\xff", 2}},
    };
    enum { COUNT = sizeof headers / sizeof *headers };
    const struct bus_record record = {.value = TEXT("body"), .headers = headers, .header_count = COUNT, .partition = 3, .offset = 4};
    struct dead_letter_replay letter;

    letter_write(&record, "x");
    replay_all();
    must(db_begin(fixture.store, SQL_MS, &why));
    ck_assert(taken(fixture.store, &letter));
    ck_assert_text_eq(letter.cluster, "cluster-a");
    ck_assert_text_eq(letter.topic, "picket.messages");
    ck_assert_int_eq(letter.bus_topic_id, fixture.bus_topic_id);
    ck_assert_int_eq(letter.record.partition, 3);
    ck_assert_int_eq(letter.record.offset, 4);
    ck_assert_text_eq(letter.record.value, "body");
    ck_assert_uint_eq(letter.record.header_count, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        bool found = false;
        for (size_t back = 0; back < COUNT; back++)
            found = found || (text_equal(headers[i].name, letter.record.headers[back].name) &&
                              text_equal(headers[i].value, letter.record.headers[back].value));
        ck_assert_msg(found, "header %.*s", TEXT_ARGS(headers[i].name));
    }
    db_rollback(fixture.store);
}
END_TEST

START_TEST(a_record_of_the_bus_is_the_same_message_after_its_replay)
{
    const struct bus_record record = record_make(&(struct record_wish){.module = "m", .identity = "x"}, TEXT("{}"));
    struct dead_letter_replay letter;

    letter_write(&record, "x");
    replay_all();
    must(db_begin(fixture.store, SQL_MS, &why));
    ck_assert(taken(fixture.store, &letter));
    must(db_commit(fixture.store, SQL_MS, &why));
    struct batch batch = batch_store(&letter.record, 1);
    ck_assert_uint_eq(batch.message_count, 1);
    ck_assert_int_eq(batch_store(&record, 1).duplicates, 1);
}
END_TEST

START_TEST(a_replay_overrules_what_the_front_door_refused)
{
    static const struct bus_header headers[] = {{{"v", 1}, {"1", 1}}, {{"refused", 7}, {"the body is not JSON", 20}}};
    const struct bus_record record = {.value = TEXT("body"), .headers = headers, .header_count = 2};
    struct dead_letter_replay letter;

    letter_write(&record, "the body is not JSON");
    replay_all();
    must(db_begin(fixture.store, SQL_MS, &why));
    ck_assert(taken(fixture.store, &letter));
    ck_assert_uint_eq(letter.record.header_count, 1);
    ck_assert_text_eq(letter.record.headers[0].name, "v");
    db_rollback(fixture.store);
}
END_TEST

START_TEST(nothing_is_taken_that_nobody_asked_to_replay)
{
    const struct bus_record record = {.value = TEXT("x")};
    struct dead_letter_replay letter;

    letter_write(&record, "x");
    must(db_begin(fixture.store, SQL_MS, &why));
    ck_assert(!taken(fixture.store, &letter));
    db_rollback(fixture.store);
}
END_TEST

START_TEST(letters_in_other_hands_are_passed_over)
{
    const struct bus_record records[] = {{.value = TEXT("a"), .offset = 1}, {.value = TEXT("b"), .offset = 2}};
    struct dead_letter_replay first, second, third;
    struct db *other = NULL;

    letter_write(&records[0], "x");
    letter_write(&records[1], "x");
    replay_all();
    store_connect(&other);
    must(db_begin(fixture.store, SQL_MS, &why));
    must(db_begin(other, SQL_MS, &why));
    ck_assert(taken(fixture.store, &first));
    ck_assert(taken(other, &second));
    ck_assert_int_eq(first.record.offset, 1);
    ck_assert_int_eq(second.record.offset, 2);
    must(dead_letter_settle(other, &second, NULL, SQL_MS, &why));
    must(db_commit(other, SQL_MS, &why));
    must(db_begin(other, SQL_MS, &why));
    ck_assert(!taken(other, &third));
    db_rollback(fixture.store); /* the first reader ended: its letter is free */
    ck_assert(taken(other, &third));
    ck_assert_int_eq(third.record.offset, 1);
    db_rollback(other);
    db_close(other);
}
END_TEST

START_TEST(a_letter_is_settled_as_replayed_or_dead_again)
{
    const struct bus_record records[] = {{.value = TEXT("a"), .offset = 1}, {.value = TEXT("b"), .offset = 2}};
    struct dead_letter_replay letter;

    letter_write(&records[0], "first reason");
    letter_write(&records[1], "first reason");
    replay_all();
    must(db_begin(fixture.store, SQL_MS, &why));
    ck_assert(taken(fixture.store, &letter));
    must(dead_letter_settle(fixture.store, &letter, NULL, SQL_MS, &why));
    ck_assert(taken(fixture.store, &letter));
    must(dead_letter_settle(fixture.store, &letter, "still not", SQL_MS, &why));
    ck_assert(!taken(fixture.store, &letter));
    must(db_commit(fixture.store, SQL_MS, &why));
    ck_assert_str_eq(sql_text("SELECT string_agg(concat_ws(' ', bus_offset, state, reason, replayed_at IS NOT NULL), ', ' ORDER BY"
                              " bus_offset) FROM picket.dead_letter"),
                     "1 replayed first reason t, 2 dead still not f");
}
END_TEST

START_TEST(a_letter_whose_headers_cannot_be_read_back_is_refused_by_its_number)
{
    const struct bus_record record = {.value = TEXT("a")};
    struct dead_letter_replay letter = {0};
    bool found = false;

    letter_write(&record, "x");
    sql("UPDATE picket.dead_letter SET state = 'replay', headers = '{\"v\":{\"base64\":\"?\"}}'");
    must(db_begin(fixture.store, SQL_MS, &why));
    ck_assert_int_eq(dead_letter_take(fixture.store, &fixture.arena, SQL_MS, &letter, &found, &why), STATUS_REJECT);
    db_rollback(fixture.store);
    ck_assert(found);
    must(dead_letter_settle(fixture.store, &letter, why.text, SQL_MS, &why));
    ck_assert_str_eq(sql_text("SELECT state FROM picket.dead_letter WHERE reason LIKE '%headers%'"), "dead");
}
END_TEST

START_TEST(headers_too_many_to_read_back_are_kept_for_the_operator)
{
    struct bus_header headers[BUS_HEADERS_MAX + 1];
    char names[BUS_HEADERS_MAX + 1][8];
    const struct bus_record record = {.value = TEXT("a"), .headers = headers, .header_count = BUS_HEADERS_MAX + 1};

    for (size_t i = 0; i <= BUS_HEADERS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "h%zu", i);
        headers[i] = (struct bus_header){text_of(names[i]), TEXT("x")};
    }
    letter_write(&record, "x");
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.dead_letter, jsonb_object_keys(headers)"), BUS_HEADERS_MAX + 1);
}
END_TEST

START_TEST(a_record_of_large_headers_and_body_is_kept_whole)
{
    size_t count = 2 << 20;
    char *bytes = arena_alloc(&fixture.arena, 1, count);

    memset(bytes, 0xff, count);
    const struct bus_header header = {TEXT("junk"), {bytes, count}};
    const struct bus_record record = {.value = {bytes, count}, .headers = &header, .header_count = 1};
    letter_write(&record, "x");
    ck_assert_str_eq(sql_text("SELECT concat_ws('|', length(body), length(decode(headers #>> '{junk,base64}', 'base64')))"
                              " FROM picket.dead_letter"),
                     "2097152|2097152");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_letter_holds_the_record_and_the_reason,
        headers_of_any_bytes_come_back_as_they_were,
        a_record_of_the_bus_is_the_same_message_after_its_replay,
        a_replay_overrules_what_the_front_door_refused,
        nothing_is_taken_that_nobody_asked_to_replay,
        letters_in_other_hands_are_passed_over,
        a_letter_is_settled_as_replayed_or_dead_again,
        a_letter_whose_headers_cannot_be_read_back_is_refused_by_its_number,
        headers_too_many_to_read_back_are_kept_for_the_operator,
        a_record_of_large_headers_and_body_is_kept_whole,
    };
    return FIXTURE_MAIN("store/dead_letter", tests);
}
