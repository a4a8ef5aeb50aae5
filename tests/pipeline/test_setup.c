#include <check.h>
#include <jansson.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/clock.h"
#include "runtime/process.h"
#include "tests/support/database.h"
#include "tests/support/program.h"

/* The real `picket setup`, each test with a folder and a database of its own. */

#define OUTPUT_MAX (1 << 20)
#define WAIT_MS 20000

static char folder[64], name[32];
static struct buf output;

static char *answer(const char *conninfo, const char *sql)
{
    static char text[512];
    PGconn *connection = PQconnectdb(conninfo);
    PGresult *result = PQexec(connection, sql);
    ExecStatusType outcome = PQresultStatus(result);
    ck_assert_msg(outcome == PGRES_TUPLES_OK || outcome == PGRES_COMMAND_OK, "%s",
                  PQerrorMessage(connection));
    snprintf(text, sizeof text, "%s", PQntuples(result) ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    PQfinish(connection);
    return text;
}

static void database_make(void)
{
    static int count;
    char sql[80];
    snprintf(name, sizeof name, "setup_%ld_%d", (long)getpid(), count++);
    snprintf(sql, sizeof sql, "CREATE DATABASE %s", name);
    answer(database_conninfo(), sql);
}

static void setup(void)
{
    buf_init(&output, OUTPUT_MAX);
    snprintf(folder, sizeof folder, "/tmp/picket-setup-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void teardown(void)
{
    program_run("/bin/rm", (const char *const[]){"-rf", folder, NULL}, NULL, NULL);
    buf_done(&output);
}

static const char *path_of(const char *file)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    return path;
}

/* What a command prints about the folder. */
static const char *told(const char *script)
{
    buf_clear(&output);
    ck_assert_int_eq(
        program_run("/bin/sh", (const char *const[]){"-c", script, "sh", folder, NULL}, NULL, &output), 0);
    return buf_as_text(&output).bytes;
}

static int secrets(const char *host)
{
    buf_clear(&output);
    return program_run(
        "picket",
        (const char *const[]){"setup", "secrets", "--into", folder, host ? "--host" : NULL, host, NULL}, NULL,
        &output);
}

static int database(void)
{
    const char *conninfo = database_conninfo_for("postgres", name);
    buf_clear(&output);
    return program_run(
        "picket",
        (const char *const[]){"setup", "database", "--secrets", folder, "--database", conninfo, NULL}, NULL,
        &output);
}

static void content(const char *file, struct buf *out)
{
    struct problem why;
    buf_init(out, OUTPUT_MAX);
    ck_assert_msg(process_read_file(path_of(file), OUTPUT_MAX, out, &why) == STATUS_OK, "%s", why.text);
}

static bool same(const char *file, const struct buf *before)
{
    struct buf now;
    content(file, &now);
    bool equal = text_equal(buf_as_text(&now), buf_as_text(before));
    buf_done(&now);
    return equal;
}

START_TEST(each_reader_has_its_own_secrets_and_no_others)
{
    ck_assert_msg(secrets(NULL) == 0, "%s", output.bytes);
    ck_assert_str_eq(told("cd $1 && find . -type f -printf '%m %P\\n' | sort -k2"),
                     "600 authority/certificates/ca.key\n"
                     "644 authority/certificates/ca.pem\n"
                     "600 authority/certificates/server.key\n"
                     "644 authority/certificates/server.pem\n"
                     "600 forward/pgpass\n"
                     "600 ingest/master.key\n"
                     "600 ingest/pgpass\n"
                     "600 ingest/server.key\n"
                     "644 ingest/server.pem\n"
                     "644 operator/ca.pem\n"
                     "644 postgres/password\n"
                     "600 query/master.key\n"
                     "600 query/pgpass\n"
                     "600 query/server.key\n"
                     "644 query/server.pem\n"
                     "600 store/pgpass\n");
    ck_assert_str_eq(told("cat $1/*/pgpass | cut -d: -f1-4"),
                     "*:*:*:picket_forward\n*:*:*:picket_ingest\n*:*:*:picket_query\n*:*:*:picket_admin\n*:*:*:picket_store\n");
    ck_assert_str_eq(
        told("(cut -d: -f5 $1/*/pgpass; cat $1/postgres/password; echo) | grep -cE '^[0-9a-f]{48}$'"), "6\n");
    ck_assert_str_eq(told("(cut -d: -f5 $1/*/pgpass; cat $1/postgres/password; echo) | sort | uniq -d"), "");
}
END_TEST

START_TEST(a_second_run_changes_nothing)
{
    struct buf before;
    ck_assert_int_eq(secrets(NULL), 0);
    buf_init(&before, OUTPUT_MAX);
    buf_string(&before, told("cd $1 && find . -type f -printf '%P %i %T@\\n' | sort"));
    ck_assert_int_eq(secrets(NULL), 0);
    ck_assert_str_eq(told("cd $1 && find . -type f -printf '%P %i %T@\\n' | sort"), before.bytes);
    buf_done(&before);
}
END_TEST

START_TEST(a_new_host_name_brings_a_new_certificate_of_the_same_authority)
{
    struct buf certificate, authority;
    ck_assert_int_eq(secrets(NULL), 0);
    content("ingest/server.pem", &certificate);
    content("operator/ca.pem", &authority);
    ck_assert_msg(secrets("iot.example.org:443") == 0, "%s", output.bytes);
    ck_assert(!same("ingest/server.pem", &certificate));
    ck_assert(!same("query/server.pem", &certificate));
    ck_assert(same("operator/ca.pem", &authority));
    buf_done(&certificate);
    buf_done(&authority);
}
END_TEST

START_TEST(a_lost_master_key_comes_back_from_the_other_reader)
{
    struct buf key;
    ck_assert_int_eq(secrets(NULL), 0);
    content("ingest/master.key", &key);
    ck_assert_int_eq(unlink(path_of("ingest/master.key")), 0);
    ck_assert_msg(secrets(NULL) == 0, "%s", output.bytes);
    ck_assert(same("ingest/master.key", &key));
    ck_assert_int_eq(unlink(path_of("query/master.key")), 0);
    ck_assert_msg(secrets(NULL) == 0, "%s", output.bytes);
    ck_assert(same("query/master.key", &key));
    buf_done(&key);
}
END_TEST

START_TEST(two_master_keys_are_refused)
{
    struct problem why;
    ck_assert_int_eq(secrets(NULL), 0);
    const char *other = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";
    ck_assert_int_eq(process_write_file(path_of("query/master.key"), text_of(other), 0600, &why), STATUS_OK);
    ck_assert_int_eq(secrets(NULL), 2);
    ck_assert_ptr_nonnull(strstr(output.bytes, "two keys"));
    ck_assert_ptr_null(strstr(output.bytes, "00112233"));
}
END_TEST

/* The private PostgreSQL lets everybody in; from here on not the roles of ours. */
static void passwords_demand(void)
{
    struct buf hba;
    struct problem why;
    char *file = answer(database_conninfo(), "SHOW hba_file");
    buf_init(&hba, OUTPUT_MAX);
    buf_string(&hba, "local all picket_ingest,picket_store,picket_query,picket_admin,picket_forward scram-sha-256\n");
    ck_assert_int_eq(process_read_file(file, OUTPUT_MAX, &hba, &why), STATUS_OK);
    FILE *out = fopen(file, "we"); /* in place, so that it stays its owner's */
    ck_assert_ptr_nonnull(out);
    fwrite(hba.bytes, 1, hba.count, out);
    ck_assert_int_eq(fclose(out), 0);
    buf_done(&hba);
    answer(database_conninfo(), "SELECT pg_reload_conf()");
}

static bool lets_in(const char *user, const char *passfile)
{
    char conninfo[512];
    snprintf(conninfo, sizeof conninfo, "%s passfile=%s", database_conninfo_for(user, name), passfile);
    PGconn *connection = PQconnectdb(conninfo);
    bool in = PQstatus(connection) == CONNECTION_OK;
    PQfinish(connection);
    return in;
}

START_TEST(each_role_is_let_in_by_the_password_in_its_own_folder_only)
{
    static const char *const logins[][2] = {{"picket_ingest", "ingest/pgpass"},
                                            {"picket_store", "store/pgpass"},
                                            {"picket_query", "query/pgpass"},
                                            {"picket_admin", "query/pgpass"},
                                            {"picket_forward", "forward/pgpass"}};
    database_make();
    ck_assert_int_eq(secrets(NULL), 0);
    ck_assert_msg(database() == 0, "%s", output.bytes);
    passwords_demand();
    int64_t deadline = clock_monotonic_ms() + WAIT_MS;
    while (lets_in("picket_store", "/nonexistent"))
        ck_assert_msg(clock_monotonic_ms() < deadline, "PostgreSQL has not read its pg_hba.conf again");
    for (size_t i = 0; i < sizeof logins / sizeof *logins; i++) {
        ck_assert_msg(lets_in(logins[i][0], path_of(logins[i][1])), "%s", logins[i][0]);
        ck_assert_msg(!lets_in(logins[i][0], path_of(i == 0 ? "store/pgpass" : "ingest/pgpass")), "%s",
                      logins[i][0]);
    }
}
END_TEST

START_TEST(the_operators_token_is_made_once_for_each_database)
{
    struct buf first, second;
    database_make();
    ck_assert_int_eq(secrets(NULL), 0);
    ck_assert_msg(database() == 0, "%s", output.bytes);
    content("operator/operator.json", &first);
    ck_assert_str_eq(told("stat -c %a $1/operator/operator.json"), "600\n");

    json_t *written = json_loadb(first.bytes, first.count, 0, NULL);
    const char *token = json_string_value(json_object_get(written, "token"));
    ck_assert_ptr_nonnull(token);
    ck_assert_str_eq(json_string_value(json_object_get(written, "server")), "https://localhost:8440");
    ck_assert_str_eq(json_string_value(json_object_get(written, "ca")), path_of("operator/ca.pem"));
    struct text prefix = {token + 4, 8};
    char sql[160];
    snprintf(sql, sizeof sql, "SELECT string_agg(prefix || role, ',') = '%.*sadmin' FROM picket.token",
             TEXT_ARGS(prefix));
    ck_assert_str_eq(answer(database_conninfo_for("postgres", name), sql), "t");

    ck_assert_msg(database() == 0, "%s", output.bytes);
    ck_assert(same("operator/operator.json", &first));

    database_make();
    ck_assert_msg(database() == 0, "%s", output.bytes);
    content("operator/operator.json", &second);
    ck_assert(!text_equal(buf_as_text(&first), buf_as_text(&second)));
    ck_assert_str_eq(answer(database_conninfo_for("postgres", name), "SELECT count(*) FROM picket.token"),
                     "1");
    json_decref(written);
    buf_done(&first);
    buf_done(&second);
}
END_TEST

START_TEST(a_passfile_without_its_line_is_named)
{
    struct problem why;
    database_make();
    ck_assert_int_eq(secrets(NULL), 0);
    ck_assert_int_eq(process_write_file(path_of("store/pgpass"), TEXT("# nothing\n"), 0600, &why), STATUS_OK);
    ck_assert_int_eq(database(), 2);
    ck_assert_ptr_nonnull(strstr(output.bytes, "store/pgpass has no line for picket_store"));
    ck_assert_str_eq(
        answer(database_conninfo_for("postgres", name), "SELECT to_regnamespace('picket') IS NULL"), "t");
}
END_TEST

START_TEST(an_absent_database_is_exit_3)
{
    ck_assert_int_eq(secrets(NULL), 0);
    ck_assert_int_eq(program_run("picket",
                                 (const char *const[]){"setup", "database", "--secrets", folder, "--database",
                                                       "host=/nonexistent", NULL},
                                 NULL, &output),
                     3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("setup");
    TCase *tests = tcase_create("setup");

    database_start(DATABASE_FAST);
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, each_reader_has_its_own_secrets_and_no_others);
    tcase_add_test(tests, a_second_run_changes_nothing);
    tcase_add_test(tests, a_new_host_name_brings_a_new_certificate_of_the_same_authority);
    tcase_add_test(tests, a_lost_master_key_comes_back_from_the_other_reader);
    tcase_add_test(tests, two_master_keys_are_refused);
    tcase_add_test(tests, each_role_is_let_in_by_the_password_in_its_own_folder_only);
    tcase_add_test(tests, the_operators_token_is_made_once_for_each_database);
    tcase_add_test(tests, a_passfile_without_its_line_is_named);
    tcase_add_test(tests, an_absent_database_is_exit_3);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
