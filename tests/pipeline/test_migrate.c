#include <check.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/database.h"
#include "tests/support/program.h"

/* The real `picket migrate` against a real PostgreSQL, each test with a database of its own. */

#define OUTPUT_MAX (1 << 20)
#define NAME_SIZE 32

static char name[NAME_SIZE];
static char share[64]; /* a copy of the migrations, for tests that edit them */
static struct buf output;

static char *answer(const char *conninfo, const char *sql)
{
    static char text[256];
    PGconn *connection = PQconnectdb(conninfo);
    PGresult *result = PQexec(connection, sql);
    ExecStatusType outcome = PQresultStatus(result);
    ck_assert_msg(outcome == PGRES_TUPLES_OK || outcome == PGRES_COMMAND_OK, "%s", PQerrorMessage(connection));
    snprintf(text, sizeof text, "%s", PQntuples(result) ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    PQfinish(connection);
    return text;
}

static void setup(void)
{
    static int count;
    char sql[80];
    buf_init(&output, OUTPUT_MAX);
    snprintf(name, sizeof name, "migrate_%ld_%d", (long)getpid(), count++);
    snprintf(sql, sizeof sql, "CREATE DATABASE %s", name);
    answer(database_conninfo(), sql);
    snprintf(share, sizeof share, "/tmp/picket-share-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(share));
    ck_assert_int_eq(program_run("/bin/cp", (const char *const[]){"-r", "migrations", share, NULL}, NULL, NULL), 0);
}

static void teardown(void)
{
    program_run("/bin/rm", (const char *const[]){"-rf", share, NULL}, NULL, NULL);
    buf_done(&output);
}

static const char *conninfo(void)
{
    return database_conninfo_for("postgres", name);
}

static int migrate(const char *flag, const char *value, const char *const *environment)
{
    buf_clear(&output);
    return program_run("picket", (const char *const[]){"migrate", "--database", conninfo(), flag, value, NULL}, environment,
                       &output);
}

START_TEST(every_migration_is_applied_once)
{
    ck_assert_msg(migrate(NULL, NULL, NULL) == 0, "%s", output.bytes);
    ck_assert_ptr_nonnull(strstr(output.bytes, "applied 0001_foundation"));
    ck_assert_str_ne(answer(conninfo(), "SELECT count(*) FROM picket.migration"), "0");
    ck_assert_str_eq(answer(conninfo(), "SELECT name FROM picket.workspace"), "default");
    ck_assert_int_eq(migrate(NULL, NULL, NULL), 0);
    ck_assert_ptr_null(strstr(output.bytes, "applied"));
}
END_TEST

START_TEST(two_at_once_apply_each_migration_once)
{
    const char *const arguments[] = {"migrate", "--database", conninfo(), NULL};
    struct program *both[] = {program_start("picket", arguments, NULL), program_start("picket", arguments, NULL)};
    for (size_t i = 0; i < 2; i++) {
        int code = program_wait(both[i], PROGRAM_WAIT_MS);
        program_log(both[i], &output);
        ck_assert_msg(code == 0, "%d %s", code, output.bytes);
        program_close(both[i]);
    }
    ck_assert_str_eq(answer(conninfo(), "SELECT count(*) = max(number) FROM picket.migration"), "t");
}
END_TEST

START_TEST(a_dry_run_changes_nothing)
{
    ck_assert_int_eq(migrate("--dry-run", NULL, NULL), 0);
    ck_assert_ptr_nonnull(strstr(output.bytes, "would be applied 0001_foundation"));
    ck_assert_str_eq(answer(conninfo(), "SELECT to_regnamespace('picket') IS NULL"), "t");
}
END_TEST

START_TEST(down_scripts_undo_and_the_way_up_is_open_again)
{
    ck_assert_int_eq(migrate(NULL, NULL, NULL), 0);
    ck_assert_msg(migrate("--to", "1", NULL) == 0, "%s", output.bytes);
    ck_assert_str_eq(answer(conninfo(), "SELECT max(number) FROM picket.migration"), "1");
    ck_assert_msg(migrate("--to", "0", NULL) == 0, "%s", output.bytes);
    ck_assert_str_eq(answer(conninfo(), "SELECT to_regnamespace('picket') IS NULL"), "t");
    ck_assert_msg(migrate(NULL, NULL, NULL) == 0, "%s", output.bytes);
}
END_TEST

START_TEST(an_edited_migration_is_refused)
{
    char path[128], variable[96];
    snprintf(path, sizeof path, "%s/migrations/0001_foundation.sql", share);
    snprintf(variable, sizeof variable, "PICKET_SHARE=%s", share);
    ck_assert_int_eq(migrate(NULL, NULL, (const char *const[]){variable, NULL}), 0);
    FILE *file = fopen(path, "ae");
    ck_assert_ptr_nonnull(file);
    fputs("-- edited\n", file);
    fclose(file);
    ck_assert_int_eq(migrate(NULL, NULL, (const char *const[]){variable, NULL}), 2);
    ck_assert_ptr_nonnull(strstr(output.bytes, "0001_foundation.sql"));
}
END_TEST

START_TEST(a_migration_that_fails_leaves_those_before_it)
{
    char path[128], variable[96];
    snprintf(path, sizeof path, "%s/migrations/0002_devices.sql", share);
    snprintf(variable, sizeof variable, "PICKET_SHARE=%s", share);
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    fputs("CREATE TABLE picket.half (x int);\nSELECT nonsense;\n", file);
    fclose(file);
    ck_assert_int_eq(migrate(NULL, NULL, (const char *const[]){variable, NULL}), 2);
    ck_assert_ptr_nonnull(strstr(output.bytes, "0002_devices.sql"));
    ck_assert_str_eq(answer(conninfo(), "SELECT max(number) FROM picket.migration"), "1");
    ck_assert_str_eq(answer(conninfo(), "SELECT to_regclass('picket.half') IS NULL"), "t");
}
END_TEST

START_TEST(passwords_from_the_environment_are_set_as_verifiers)
{
    const char *const environment[] = {"PICKET_INGEST_PASSWORD=correct horse", "PICKET_ADMIN_PASSWORD=it's \"quoted\"", NULL};
    ck_assert_msg(migrate(NULL, NULL, environment) == 0, "%s", output.bytes);
    ck_assert_ptr_null(strstr(output.bytes, "correct horse"));
    ck_assert_str_eq(answer(conninfo(), "SELECT count(*) FROM pg_authid WHERE rolname IN ('picket_ingest', 'picket_admin') "
                                        "AND rolpassword LIKE 'SCRAM-SHA-256$%'"),
                     "2");
}
END_TEST

START_TEST(a_database_of_another_encoding_is_refused_before_anything_is_written)
{
    char sql[160];

    snprintf(sql, sizeof sql, "DROP DATABASE %s", name);
    answer(database_conninfo(), sql);
    snprintf(sql, sizeof sql, "CREATE DATABASE %s ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0", name);
    answer(database_conninfo(), sql);
    ck_assert_int_eq(migrate(NULL, NULL, NULL), 2);
    ck_assert_ptr_nonnull(strstr(output.bytes, "is encoded in SQL_ASCII, and UTF8 is needed"));
    ck_assert_str_eq(answer(conninfo(), "SELECT count(*) FROM pg_namespace WHERE nspname IN ('picket', 'kql')"), "0");
}
END_TEST

START_TEST(an_absent_database_is_exit_3)
{
    ck_assert_int_eq(program_run("picket", (const char *const[]){"migrate", "--database", "host=/nonexistent", NULL}, NULL, &output),
                     3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("migrate");
    TCase *tests = tcase_create("migrate");

    database_start(DATABASE_FAST);
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, every_migration_is_applied_once);
    tcase_add_test(tests, two_at_once_apply_each_migration_once);
    tcase_add_test(tests, a_dry_run_changes_nothing);
    tcase_add_test(tests, down_scripts_undo_and_the_way_up_is_open_again);
    tcase_add_test(tests, an_edited_migration_is_refused);
    tcase_add_test(tests, a_migration_that_fails_leaves_those_before_it);
    tcase_add_test(tests, passwords_from_the_environment_are_set_as_verifiers);
    tcase_add_test(tests, a_database_of_another_encoding_is_refused_before_anything_is_written);
    tcase_add_test(tests, an_absent_database_is_exit_3);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
