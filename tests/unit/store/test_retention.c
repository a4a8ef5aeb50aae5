#include "store/retention.h"

#include "tests/unit/store/fixture.h"

static int64_t partitions(const char *parent)
{
    return sql_number(arena_format(&fixture.arena, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'picket.%s'::regclass",
                                   parent));
}

static bool exists(const char *name)
{
    return *sql_text(arena_format(&fixture.arena, "SELECT to_regclass('picket.%s') IS NOT NULL", name)) == 't';
}

/* The partition's name of that many days from now. */
static const char *day_name(int64_t days)
{
    return sql_text(arena_format(&fixture.arena,
                                 "SELECT to_char((now() + %lld * interval '1 day') AT TIME ZONE 'UTC', '\"raw_event_\"YYYYMMDD')",
                                 (long long)days));
}

START_TEST(partitions_are_made_ahead_of_time)
{
    must(retention_make_ahead(fixture.store, 10, SQL_MS, &why));
    for (int64_t day = -1; day <= 10; day++)
        ck_assert_msg(exists(day_name(day)), "%s", day_name(day));
    ck_assert(!exists(day_name(12)));
    int64_t before = partitions("raw_event") + partitions("message");
    must(retention_make_ahead(fixture.store, 10, SQL_MS, &why)); /* again is harmless */
    ck_assert_int_eq(partitions("raw_event") + partitions("message"), before);
}
END_TEST

START_TEST(each_week_of_messages_has_its_unique_index)
{
    must(retention_make_ahead(fixture.store, 40, SQL_MS, &why));
    ck_assert_int_ge(partitions("message"), 6);
    ck_assert_int_eq(sql_number("SELECT count(*) FROM pg_inherits i WHERE inhparent = 'picket.message'::regclass AND NOT EXISTS"
                                " (SELECT FROM pg_index x WHERE x.indrelid = i.inhrelid AND x.indisunique AND"
                                " pg_get_indexdef(x.indexrelid) LIKE '%(workspace_id, device_id, message_key)')"),
                     0);
}
END_TEST

START_TEST(a_receipt_of_any_day_finds_its_partitions)
{
    struct retention_days known = {0};
    int64_t at_us = fixture.now_us - 400 * DAY_US;

    ck_assert(!exists(day_name(-400)));
    must(retention_ensure(&known, fixture.store, at_us, SQL_MS, &why));
    ck_assert(exists(day_name(-400)));
    const struct record_wish wish = {.received_at_us = at_us};
    ck_assert_int_eq(store_one(&wish, "{}").events, 1);
}
END_TEST

START_TEST(a_known_day_is_not_asked_for_again)
{
    struct retention_days known = {0};
    int64_t at_us = fixture.now_us - 400 * DAY_US;

    must(retention_ensure(&known, fixture.store, at_us, SQL_MS, &why));
    sql(arena_format(&fixture.arena, "DROP TABLE picket.%s", day_name(-400)));
    must(retention_ensure(&known, fixture.store, at_us, SQL_MS, &why));
    ck_assert(!exists(day_name(-400)));
    retention_forget(&known);
    must(retention_ensure(&known, fixture.store, at_us, SQL_MS, &why));
    ck_assert(exists(day_name(-400)));
}
END_TEST

START_TEST(more_days_than_are_remembered_are_made_all_the_same)
{
    struct retention_days known = {0};

    for (int64_t day = 0; day < RETENTION_DAYS_KNOWN_MAX + 10; day++)
        must(retention_ensure(&known, fixture.store, fixture.now_us - (100 + day) * DAY_US, SQL_MS, &why));
    ck_assert(exists(day_name(-100)) && exists(day_name(-100 - RETENTION_DAYS_KNOWN_MAX - 9)));
    ck_assert_uint_le(known.count, RETENTION_DAYS_KNOWN_MAX);
}
END_TEST

START_TEST(only_what_is_wholly_older_is_dropped)
{
    must(retention_drop(fixture.store, 3, 100, SQL_MS, &why));
    /* Three days ago is still running in part; the day before has ended before that. */
    ck_assert(exists(day_name(-3)));
    ck_assert(!exists(day_name(-4)));
    ck_assert(exists(day_name(0)));
    int64_t weeks = partitions("message");
    ck_assert_int_ge(weeks, 2);
    must(retention_drop(fixture.store, 3, 0, SQL_MS, &why));
    ck_assert_int_lt(partitions("message"), weeks);
    ck_assert_int_ge(partitions("message"), 1); /* this week has not ended */
}
END_TEST

START_TEST(rows_within_the_retention_stay)
{
    const struct record_wish old = {.received_at_us = fixture.now_us - 6 * DAY_US}, fresh = {.received_at_us = 0};

    store_one(&old, "{}");
    store_one(&fresh, "{}");
    must(retention_drop(fixture.store, 7, 14, SQL_MS, &why));
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.raw_event"), 2);
    must(retention_drop(fixture.store, 2, 14, SQL_MS, &why));
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.raw_event"), 1);
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.message"), 2);
}
END_TEST

START_TEST(two_processes_that_make_the_same_days_agree)
{
    struct db *other = NULL;
    const int64_t at_us = fixture.now_us - 200 * DAY_US;
    struct retention_days ours = {0}, theirs = {0};

    store_connect(&other);
    must(db_begin(fixture.store, SQL_MS, &why));
    must(retention_ensure(&ours, fixture.store, at_us, SQL_MS, &why));
    ck_assert_int_eq(retention_ensure(&theirs, other, at_us, 200, &why), STATUS_RETRY); /* waits for the first */
    ck_assert_uint_eq(theirs.count, 0);
    must(db_commit(fixture.store, SQL_MS, &why));
    must(retention_ensure(&theirs, other, at_us, SQL_MS, &why));
    db_close(other);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        partitions_are_made_ahead_of_time,
        each_week_of_messages_has_its_unique_index,
        a_receipt_of_any_day_finds_its_partitions,
        a_known_day_is_not_asked_for_again,
        more_days_than_are_remembered_are_made_all_the_same,
        only_what_is_wholly_older_is_dropped,
        rows_within_the_retention_stay,
        two_processes_that_make_the_same_days_agree,
    };
    return FIXTURE_MAIN("store/retention", tests);
}
