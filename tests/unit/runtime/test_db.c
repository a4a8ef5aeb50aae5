#include "runtime/db.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/buf.h"
#include "runtime/clock.h"
#include "tests/support/check_main.h"
#include "tests/support/database.h"

#define WAIT_MS 10000

static struct db *db;
static struct problem why;

static struct db *open_as(const char *application)
{
    struct db *opened = NULL;
    ck_assert_int_eq(db_open(database_conninfo(), NULL, application, &opened, &why), STATUS_OK);
    return opened;
}

static void setup(void)
{
    db = open_as("test_db");
    ck_assert_int_eq(db_script(db, "DROP TABLE IF EXISTS thing; CREATE TABLE thing (id int PRIMARY KEY, name text)",
                               WAIT_MS, &why),
                     STATUS_OK);
}

static void teardown(void)
{
    db_close(db);
}

static enum status run(const char *sql)
{
    return db_query(db, sql, NULL, 0, WAIT_MS, NULL, &why);
}

static int64_t number(struct db *of, const char *sql)
{
    struct db_rows *rows = NULL;
    enum status status = db_query(of, sql, NULL, 0, WAIT_MS, &rows, &why);
    ck_assert_msg(status == STATUS_OK, "%s", why.text);
    int64_t value = db_i64(rows, 0, 0);
    db_rows_free(rows);
    return value;
}

START_TEST(malformed_conninfo_is_rejected_at_once)
{
    struct db *opened = NULL;
    ck_assert_int_eq(db_open("host=/tmp hurz", NULL, "t", &opened, &why), STATUS_REJECT);
    ck_assert_ptr_null(opened);
    ck_assert(strlen(why.text) > 0 && !strchr(why.text, '\n'));
}
END_TEST

START_TEST(user_is_added_only_where_none_is_named)
{
    struct db *added = NULL, *named = NULL;
    struct db_rows *rows = NULL;
    ck_assert_int_eq(run("DO $$ BEGIN CREATE ROLE guest LOGIN; EXCEPTION WHEN duplicate_object THEN END $$"), 0);
    ck_assert_int_eq(db_open(database_conninfo_for(NULL, NULL), "guest", "t", &added, &why), STATUS_OK);
    ck_assert_int_eq(db_query(added, "SELECT current_user", NULL, 0, WAIT_MS, &rows, &why), STATUS_OK);
    ck_assert(text_equal(db_text(rows, 0, 0), TEXT("guest")));
    db_rows_free(rows);
    ck_assert_int_eq(db_open(database_conninfo(), "guest", "t", &named, &why), STATUS_OK);
    ck_assert_int_eq(db_query(named, "SELECT current_user, current_setting('application_name')", NULL, 0, WAIT_MS,
                              &rows, &why),
                     STATUS_OK);
    ck_assert(text_equal(db_text(rows, 0, 0), TEXT("postgres")));
    ck_assert(text_equal(db_text(rows, 0, 1), TEXT("t")));
    db_rows_free(rows);
    db_close(added);
    db_close(named);
}
END_TEST

START_TEST(values_come_back_as_they_went)
{
    const char *parameters[] = {"grün \\ \" '", NULL, "-9223372036854775808", "true", "\\x00ff5c"};
    struct db_rows *rows = NULL;
    struct arena arena;
    arena_init(&arena);
    ck_assert_int_eq(db_query(db, "SELECT $1::text, $2::text, $3::bigint, $4::bool, $5::bytea", parameters, 5,
                              WAIT_MS, &rows, &why),
                     STATUS_OK);
    ck_assert_uint_eq(db_rows_count(rows), 1);
    ck_assert(text_equal(db_text(rows, 0, 0), text_of(parameters[0])));
    ck_assert(db_is_null(rows, 0, 1));
    ck_assert_ptr_null(db_text(rows, 0, 1).bytes);
    ck_assert_int_eq(db_i64(rows, 0, 1), 0);
    ck_assert_int_eq(db_i64(rows, 0, 2), INT64_MIN);
    ck_assert(db_bool(rows, 0, 3));
    struct text bytes = db_bytea(rows, 0, 4, &arena);
    ck_assert_uint_eq(bytes.count, 3);
    ck_assert_mem_eq(bytes.bytes, "\0\xff\\", 3);
    db_rows_free(rows);
    arena_done(&arena);
}
END_TEST

START_TEST(failures_are_classed_by_who_is_at_fault)
{
    static const struct {
        const char *sql, *sqlstate;
        enum status status;
    } cases[] = {
        {"SELECT 'x'::int", "22P02", STATUS_REJECT},
        {"INSERT INTO thing VALUES (NULL, 'x')", "23502", STATUS_REJECT},
        {"DO $$ BEGIN RAISE EXCEPTION 'not allowed here'; END $$", "P0001", STATUS_REJECT},
        {"SELEC 1", "42601", STATUS_FAULT},
        {"SELECT * FROM nowhere", "42P01", STATUS_FAULT},
        {"DO $$ BEGIN RAISE SQLSTATE '40001'; END $$", "40001", STATUS_RETRY},
        {"DO $$ BEGIN RAISE SQLSTATE '53100'; END $$", "53100", STATUS_RETRY},
        {"DO $$ BEGIN RAISE SQLSTATE '57014'; END $$", "57014", STATUS_RETRY},
        {"DO $$ BEGIN RAISE SQLSTATE '55P03'; END $$", "55P03", STATUS_RETRY},
        {"SELECT 1; SELECT 2", "42601", STATUS_FAULT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct db_rows *rows = NULL;
        ck_assert_msg(db_query(db, cases[i].sql, NULL, 0, WAIT_MS, &rows, &why) == cases[i].status, "%s: %s",
                      cases[i].sql, why.text);
        ck_assert_ptr_null(rows);
        ck_assert_str_eq(db_sqlstate(db), cases[i].sqlstate);
    }
    ck_assert_int_eq(run("SELECT 1"), STATUS_OK);
    ck_assert_str_eq(db_sqlstate(db), "");
}
END_TEST

START_TEST(rolled_back_is_gone_and_committed_stays)
{
    ck_assert_int_eq(db_begin(db, WAIT_MS, &why), STATUS_OK);
    ck_assert_int_eq(run("INSERT INTO thing VALUES (1, 'a')"), STATUS_OK);
    db_rollback(db);
    ck_assert_int_eq(number(db, "SELECT count(*) FROM thing"), 0);
    ck_assert_int_eq(db_begin(db, WAIT_MS, &why), STATUS_OK);
    ck_assert_int_eq(run("INSERT INTO thing VALUES (1, 'a')"), STATUS_OK);
    ck_assert_int_eq(db_commit(db, WAIT_MS, &why), STATUS_OK);
    db_rollback(db); /* harmless */
    ck_assert_int_eq(number(db, "SELECT count(*) FROM thing"), 1);
}
END_TEST

START_TEST(commit_after_a_failure_is_not_success)
{
    ck_assert_int_eq(db_begin(db, WAIT_MS, &why), STATUS_OK);
    ck_assert_int_eq(run("SELECT 1/0"), STATUS_REJECT);
    ck_assert_int_eq(db_commit(db, WAIT_MS, &why), STATUS_FAULT);
    ck_assert_int_eq(run("SELECT 1"), STATUS_OK);
}
END_TEST

START_TEST(late_statement_is_cancelled_and_the_connection_kept)
{
    int64_t backend = number(db, "SELECT pg_backend_pid()");
    int64_t begin_ms = clock_monotonic_ms();
    ck_assert_int_eq(db_query(db, "SELECT pg_sleep(60)", NULL, 0, 100, NULL, &why), STATUS_RETRY);
    ck_assert_int_lt(clock_monotonic_ms() - begin_ms, 5000);
    ck_assert_int_eq(number(db, "SELECT pg_backend_pid()"), backend);
}
END_TEST

START_TEST(late_statement_in_a_transaction_leaves_it_to_be_rolled_back)
{
    ck_assert_int_eq(db_begin(db, WAIT_MS, &why), STATUS_OK);
    ck_assert_int_eq(db_query(db, "SELECT pg_sleep(60)", NULL, 0, 100, NULL, &why), STATUS_RETRY);
    ck_assert_int_ne(run("SELECT 1"), STATUS_OK);
    db_rollback(db);
    ck_assert_int_eq(run("SELECT 1"), STATUS_OK);
}
END_TEST

static void copy_rows(int count, size_t name_bytes)
{
    struct buf line;
    buf_init(&line, 4 << 20);
    for (int i = 0; i < count; i++) {
        buf_clear(&line);
        buf_format(&line, "%d\t", i);
        while (line.count < name_bytes)
            buf_byte(&line, 'x');
        buf_byte(&line, '\n');
        ck_assert_msg(db_copy_put(db, buf_as_text(&line), &why) == STATUS_OK, "%s", why.text);
    }
    buf_done(&line);
}

START_TEST(copy_brings_small_and_huge_rows)
{
    ck_assert_int_eq(db_begin(db, WAIT_MS, &why), STATUS_OK);
    ck_assert_int_eq(db_copy_begin(db, "COPY thing (id, name) FROM STDIN", WAIT_MS, &why), STATUS_OK);
    copy_rows(20000, 100);
    ck_assert_int_eq(db_copy_end(db, WAIT_MS, &why), STATUS_OK);
    ck_assert_int_eq(run("TRUNCATE thing"), STATUS_OK);
    ck_assert_int_eq(db_copy_begin(db, "COPY thing (id, name) FROM STDIN", WAIT_MS, &why), STATUS_OK);
    copy_rows(8, 3 << 20);
    ck_assert_int_eq(db_copy_end(db, WAIT_MS, &why), STATUS_OK);
    ck_assert_int_eq(db_commit(db, WAIT_MS, &why), STATUS_OK);
    ck_assert_int_eq(number(db, "SELECT sum(length(name)) / 8 FROM thing"), (3 << 20) - 2);
}
END_TEST

START_TEST(copy_fields_arrive_unchanged)
{
    struct buf out;
    char all[256];
    for (int i = 1; i < 128; i++)
        all[i - 1] = (char)i;
    buf_init(&out, 4096);
    buf_string(&out, "1\t");
    db_copy_text(&out, (struct text){all, 127});
    buf_string(&out, "\n2\t");
    db_copy_text(&out, TEXT_NONE);
    buf_string(&out, "\n3\t");
    db_copy_text(&out, TEXT(""));
    buf_string(&out, "\n4\t");
    db_copy_text(&out, TEXT("\\N"));
    buf_string(&out, "\n");
    ck_assert_int_eq(db_copy_begin(db, "COPY thing (id, name) FROM STDIN", WAIT_MS, &why), STATUS_OK);
    ck_assert_int_eq(db_copy_put(db, buf_as_text(&out), &why), STATUS_OK);
    ck_assert_int_eq(db_copy_end(db, WAIT_MS, &why), STATUS_OK);
    struct db_rows *rows = NULL;
    ck_assert_int_eq(db_query(db, "SELECT name FROM thing ORDER BY id", NULL, 0, WAIT_MS, &rows, &why), STATUS_OK);
    ck_assert(text_equal(db_text(rows, 0, 0), (struct text){all, 127}));
    ck_assert(db_is_null(rows, 1, 0));
    ck_assert(!db_is_null(rows, 2, 0) && db_text(rows, 2, 0).count == 0);
    ck_assert(text_equal(db_text(rows, 3, 0), TEXT("\\N")));
    db_rows_free(rows);
    buf_done(&out);
}
END_TEST

START_TEST(copy_of_bad_data_is_rejected_and_rolled_back)
{
    ck_assert_int_eq(db_begin(db, WAIT_MS, &why), STATUS_OK);
    ck_assert_int_eq(db_copy_begin(db, "COPY thing (id, name) FROM STDIN", WAIT_MS, &why), STATUS_OK);
    ck_assert_int_eq(db_copy_put(db, TEXT("one\tx\n"), &why), STATUS_OK);
    ck_assert_int_eq(db_copy_end(db, WAIT_MS, &why), STATUS_REJECT);
    ck_assert_str_eq(db_sqlstate(db), "22P02");
    db_rollback(db);
    ck_assert_str_eq(db_sqlstate(db), "22P02");
    ck_assert_int_eq(number(db, "SELECT count(*) FROM thing"), 0);
}
END_TEST

START_TEST(copy_in_the_middle_can_be_rolled_back)
{
    int64_t backend = number(db, "SELECT pg_backend_pid()");
    ck_assert_int_eq(db_begin(db, WAIT_MS, &why), STATUS_OK);
    ck_assert_int_eq(db_copy_begin(db, "COPY thing (id, name) FROM STDIN", WAIT_MS, &why), STATUS_OK);
    copy_rows(3, 40000);
    db_rollback(db);
    ck_assert_int_eq(number(db, "SELECT count(*) FROM thing"), 0);
    ck_assert_int_eq(number(db, "SELECT pg_backend_pid()"), backend);
}
END_TEST

START_TEST(arrays_arrive_element_by_element)
{
    struct buf texts, numbers;
    struct db_rows *rows = NULL;
    buf_init(&texts, 1000);
    buf_init(&numbers, 1000);
    db_array_open(&texts);
    db_array_text(&texts, TEXT("a\"b\\c,{}"));
    db_array_text(&texts, TEXT_NONE);
    db_array_text(&texts, TEXT(""));
    db_array_text(&texts, TEXT("NULL"));
    db_array_close(&texts);
    db_array_open(&numbers);
    db_array_i64(&numbers, -5);
    db_array_i64(&numbers, 6);
    db_array_i64(&numbers, 7);
    db_array_i64(&numbers, 8);
    db_array_close(&numbers);
    const char *parameters[] = {texts.bytes, numbers.bytes};
    ck_assert_int_eq(db_query(db, "SELECT t, n FROM unnest($1::text[], $2::bigint[]) AS u (t, n)", parameters, 2,
                              WAIT_MS, &rows, &why),
                     STATUS_OK);
    ck_assert_uint_eq(db_rows_count(rows), 4);
    ck_assert(text_equal(db_text(rows, 0, 0), TEXT("a\"b\\c,{}")));
    ck_assert(db_is_null(rows, 1, 0));
    ck_assert(text_equal(db_text(rows, 2, 0), TEXT("")) && !db_is_null(rows, 2, 0));
    ck_assert(text_equal(db_text(rows, 3, 0), TEXT("NULL")));
    ck_assert_int_eq(db_i64(rows, 0, 1), -5);
    db_rows_free(rows);
    buf_done(&texts);
    buf_done(&numbers);
}
END_TEST

struct later {
    struct db *db;
    void (*act)(struct db *db);
};

/* Acts once the statement of `db` is seen to run. */
static void *act_when_running(void *context)
{
    struct later *later = context;
    struct db *watcher = open_as("watcher");
    int64_t deadline_ms = clock_monotonic_ms() + WAIT_MS;
    while (clock_monotonic_ms() < deadline_ms &&
           !number(watcher, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))
        ;
    later->act(later->db);
    db_close(watcher);
    return NULL;
}

static enum status sleep_and(struct later *later)
{
    pthread_t thread;
    ck_assert_int_eq(run("SELECT 1"), STATUS_OK);
    ck_assert_int_eq(pthread_create(&thread, NULL, act_when_running, later), 0);
    enum status status = db_query(db, "SELECT pg_sleep(60)", NULL, 0, 2 * WAIT_MS, NULL, &why);
    pthread_join(thread, NULL);
    return status;
}

START_TEST(cancel_ends_the_statement_of_another_thread)
{
    struct later later = {db, db_cancel};
    ck_assert_int_eq(sleep_and(&later), STATUS_RETRY);
    ck_assert_str_eq(db_sqlstate(db), "57014");
    db_cancel(db); /* nothing runs: nothing happens */
    ck_assert_int_eq(run("SELECT 1"), STATUS_OK);
}
END_TEST

START_TEST(interrupt_ends_everything_for_good)
{
    struct later later = {db, db_interrupt};
    ck_assert_int_eq(sleep_and(&later), STATUS_RETRY);
    ck_assert_int_eq(run("SELECT 1"), STATUS_RETRY);
    ck_assert(!db_listen_wait(db, "bell", WAIT_MS));
}
END_TEST

START_TEST(listener_is_told_and_hears_again_after_a_lost_connection)
{
    struct db *listener = open_as("listener");
    ck_assert(db_listen_wait(listener, "bell", WAIT_MS)); /* it began to listen: something may have been missed */
    ck_assert(!db_listen_wait(listener, "bell", 20));
    ck_assert_int_eq(run("NOTIFY bell"), STATUS_OK);
    ck_assert(db_listen_wait(listener, "bell", WAIT_MS));
    ck_assert_int_eq(
        run("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'listener'"), 0);
    ck_assert(db_listen_wait(listener, "bell", WAIT_MS));
    ck_assert_int_eq(run("NOTIFY bell"), STATUS_OK);
    ck_assert(db_listen_wait(listener, "bell", WAIT_MS));
    db_close(listener);
}
END_TEST

START_TEST(killed_server_asks_for_retry_until_it_is_back)
{
    ck_assert_int_eq(run("INSERT INTO thing VALUES (1, 'kept')"), STATUS_OK);
    database_kill9();
    ck_assert_int_eq(run("SELECT 1"), STATUS_RETRY);
    ck_assert_str_eq(db_sqlstate(db), "");
    database_restart();
    ck_assert_int_eq(number(db, "SELECT count(*) FROM thing"), 1);
}
END_TEST

START_TEST(connection_lost_while_idle_is_opened_again_unnoticed)
{
    database_stop();
    database_restart();
    ck_assert_int_eq(run("SELECT 1"), STATUS_OK);
}
END_TEST

START_TEST(connection_lost_in_a_transaction_fails_the_rest_of_it)
{
    ck_assert_int_eq(db_begin(db, WAIT_MS, &why), STATUS_OK);
    ck_assert_int_eq(run("INSERT INTO thing VALUES (1, 'lost')"), STATUS_OK);
    database_kill9();
    database_restart();
    ck_assert_int_eq(run("INSERT INTO thing VALUES (2, 'lost')"), STATUS_RETRY);
    ck_assert_int_eq(run("INSERT INTO thing VALUES (3, 'lost')"), STATUS_RETRY);
    ck_assert_int_eq(db_commit(db, WAIT_MS, &why), STATUS_RETRY);
    ck_assert_int_eq(number(db, "SELECT count(*) FROM thing"), 0);
}
END_TEST

START_TEST(lost_server_fails_a_copy_under_way)
{
    struct buf line;
    enum status status = STATUS_OK;
    buf_init(&line, 1 << 20);
    buf_string(&line, "1\t");
    while (line.count < 100000)
        buf_byte(&line, 'x');
    buf_byte(&line, '\n');
    ck_assert_int_eq(db_begin(db, WAIT_MS, &why), STATUS_OK);
    ck_assert_int_eq(db_copy_begin(db, "COPY thing (id, name) FROM STDIN", WAIT_MS, &why), STATUS_OK);
    database_kill9();
    for (int i = 0; i < 1000 && !status; i++)
        status = db_copy_put(db, buf_as_text(&line), &why);
    ck_assert_int_eq(status, STATUS_RETRY);
    db_rollback(db);
    database_restart();
    ck_assert_int_eq(number(db, "SELECT count(*) FROM thing"), 0);
    buf_done(&line);
}
END_TEST

START_TEST(silent_server_costs_a_deadline_and_not_a_thread)
{
    ck_assert_int_eq(run("SELECT 1"), STATUS_OK);
    database_freeze();
    int64_t begin_ms = clock_monotonic_ms();
    ck_assert_int_eq(db_query(db, "SELECT 1", NULL, 0, 100, NULL, &why), STATUS_RETRY);
    ck_assert_int_eq(db_query(db, "SELECT 1", NULL, 0, 100, NULL, &why), STATUS_RETRY); /* connecting */
    ck_assert_int_lt(clock_monotonic_ms() - begin_ms, 5000);
    database_thaw();
    ck_assert_int_eq(run("SELECT 1"), STATUS_OK);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        malformed_conninfo_is_rejected_at_once,
        user_is_added_only_where_none_is_named,
        values_come_back_as_they_went,
        failures_are_classed_by_who_is_at_fault,
        rolled_back_is_gone_and_committed_stays,
        commit_after_a_failure_is_not_success,
        late_statement_is_cancelled_and_the_connection_kept,
        late_statement_in_a_transaction_leaves_it_to_be_rolled_back,
        copy_brings_small_and_huge_rows,
        copy_fields_arrive_unchanged,
        copy_of_bad_data_is_rejected_and_rolled_back,
        copy_in_the_middle_can_be_rolled_back,
        arrays_arrive_element_by_element,
        cancel_ends_the_statement_of_another_thread,
        interrupt_ends_everything_for_good,
        listener_is_told_and_hears_again_after_a_lost_connection,
        killed_server_asks_for_retry_until_it_is_back,
        connection_lost_while_idle_is_opened_again_unnoticed,
        connection_lost_in_a_transaction_fails_the_rest_of_it,
        lost_server_fails_a_copy_under_way,
        silent_server_costs_a_deadline_and_not_a_thread,
    };
    database_start(DATABASE_DURABLE);
    return check_main(&(const struct check_suite){.name = "runtime/db",
                                                  .tests = tests,
                                                  .count = sizeof tests / sizeof *tests,
                                                  .setup = setup,
                                                  .teardown = teardown,
                                                  .timeout_seconds = 60});
}
