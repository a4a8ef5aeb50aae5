#ifndef PICKET_TESTS_UNIT_QUERY_FIXTURE_H
#define PICKET_TESTS_UNIT_QUERY_FIXTURE_H

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "query/query.h"
#include "query/token.h"
#include "runtime/clock.h"
#include "tests/support/check_main.h"
#include "tests/support/database.h"
#include "tests/support/database_template.h"
#include "tests/support/program.h"

/* A query role over plain HTTP on loopback, before a database of its own: a copy of one that was migrated once. */
#define SQL_MS 30000
#define ANSWERS_MAX 4096

static struct {
    char database[64], key_file[64], url[64];
    struct secret_master master;
    struct db *owner; /* a superuser */
    struct query *query;
    json_t *answers[ANSWERS_MAX];
    size_t answer_count;
    struct arena arena;
    struct program_reply last;
} fixture;

static struct problem why;

static inline void sql_in(struct db *db, const char *statement)
{
    ck_assert_msg(db_query(db, statement, NULL, 0, SQL_MS, NULL, &why) == STATUS_OK, "%s: %s", statement, why.text);
}

static inline void sql(const char *statement)
{
    sql_in(fixture.owner, statement);
}

/* The one number that a statement gives. */
static inline int64_t sql_number(struct db *db, const char *statement)
{
    struct db_rows *rows = NULL;

    ck_assert_msg(db_query(db, statement, NULL, 0, SQL_MS, &rows, &why) == STATUS_OK, "%s: %s", statement, why.text);
    ck_assert_uint_eq(db_rows_count(rows), 1);
    int64_t number = db_i64(rows, 0, 0);
    db_rows_free(rows);
    return number;
}

/* The one text that a statement gives. */
static inline const char *sql_text(struct db *db, const char *statement)
{
    struct db_rows *rows = NULL;

    ck_assert_msg(db_query(db, statement, NULL, 0, SQL_MS, &rows, &why) == STATUS_OK, "%s: %s", statement, why.text);
    ck_assert_uint_eq(db_rows_count(rows), 1);
    const char *text = arena_string(&fixture.arena, db_text(rows, 0, 0));
    db_rows_free(rows);
    return text;
}

/* A token for one workspace, NULL for all there are. */
static inline const char *token(const char *role, const char *workspace)
{
    const struct token_wish wish = {role, workspace, "test", "test"};
    struct token_made made;

    ck_assert_int_eq(db_begin(fixture.owner, SQL_MS, &why), STATUS_OK);
    ck_assert_msg(token_create(fixture.owner, &fixture.master, &wish, SQL_MS, &fixture.arena, &made, &why) == STATUS_OK,
                  "%s", why.text);
    ck_assert_int_eq(db_commit(fixture.owner, SQL_MS, &why), STATUS_OK);
    return arena_string(&fixture.arena, text_of(made.text));
}

static inline void http_send(const char *authorization, const char *method, const char *path, const char *body,
                             const char *extra_header)
{
    char *url = arena_format(&fixture.arena, "%s%s", fixture.url, path);
    const char *headers[4] = {0};
    size_t count = 0;

    if (authorization)
        headers[count++] = arena_format(&fixture.arena, "Authorization: Bearer %s", authorization);
    if (body)
        headers[count++] = "Content-Type: application/json";
    if (extra_header)
        headers[count++] = extra_header;
    program_reply_done(&fixture.last);
    program_http(method, url, headers, text_of(body), &fixture.last);
}

/* Asks, insists on the code, and gives the answer's JSON (NULL without a body), which lives until the test ends. */
static inline const json_t *ask(const char *authorization, const char *method, const char *path, const char *body, long code)
{
    json_error_t error;

    http_send(authorization, method, path, body, NULL);
    const struct buf *answer = &fixture.last.body;
    ck_assert_msg(fixture.last.code == code, "%s %s %s: %ld %s %s", method, path, body ? body : "", fixture.last.code,
                  fixture.last.reason, answer->bytes ? answer->bytes : "");
    if (!answer->count)
        return NULL;
    json_t *json = json_loadb(answer->bytes, answer->count, JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(json != NULL, "%s %s: %s: %s", method, path, error.text, answer->bytes);
    if (code >= 400)
        ck_assert(*json_string_value(json_object_get(json_object_get(json, "error"), "message")));
    ck_assert_uint_lt(fixture.answer_count, ANSWERS_MAX);
    fixture.answers[fixture.answer_count++] = json;
    return json;
}

static inline const json_t *get(const char *authorization, const char *path)
{
    return ask(authorization, "GET", path, NULL, 200);
}

static inline const char *string_in(const json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));

    ck_assert_msg(value != NULL, "no string %s", name);
    return value;
}

static inline int64_t number_in(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    ck_assert_msg(json_is_integer(value), "no number %s", name);
    return json_integer_value(value);
}

static inline size_t count_in(const json_t *object, const char *name)
{
    ck_assert_msg(json_is_array(json_object_get(object, name)), "no list %s", name);
    return json_array_size(json_object_get(object, name));
}

/* Events of `device` in `workspace`, one a second back from `ago`; numbered in their details from `first`. */
static inline void events_put(int workspace, const char *device, int first, int count, const char *ago)
{
    sql(arena_format(&fixture.arena,
                     "INSERT INTO picket.raw_event (workspace_id, device_id, module_id, time_generated, time_stamp, event_id,"
                     " element, type, category, name, details, bus_topic_id, bus_partition, bus_offset)"
                     " SELECT %d, '%s', '', now() - interval '%s' - n * interval '1 second', now(), gen_random_uuid(), 0,"
                     " 'Security', 'Periodic', 'Login', jsonb_build_object('n', n, 'text', 'event ' || n), 1, 0, n"
                     " FROM generate_series(%d, %d) n",
                     workspace, device, ago, first, first + count - 1));
}

/* Workspaces 1 "default" and 2 "bravo", partitions around now, a bus topic. */
static inline void template_make(void)
{
    static const char *const fill[] = {
        "INSERT INTO picket.workspace (name) VALUES ('bravo')",
        "INSERT INTO picket.bus_topic (cluster, topic) VALUES ('direct', 'direct')",
        "SELECT picket.partitions_make(now() - interval '4 days', now() + interval '2 days')",
    };

    database_template_make(fill, sizeof fill / sizeof *fill);
}

static inline struct query_settings fixture_settings(void)
{
    return (struct query_settings){
        .database = arena_string(&fixture.arena, text_of(database_conninfo_for(NULL, fixture.database))),
        .admin_database = "",
        .master_key_file = fixture.key_file,
        .query_address = "127.0.0.1",
        .query_port = program_free_port(),
        .tls_certificate_file = "",
        .tls_key_file = "",
        .query_workers = 2,
        .query_connections_max = 100,
        .query_timeout_ms = 20000,
        .kql_timeout_ms = 20000,
        .kql_rows_max = 1000,
        .kql_bytes_max = 2500000,
        .kql_cost_max = 1000000,
        .kql_per_token = 1,
        .device_host_name = "picket.example:8443",
    };
}

static inline void fixture_setup(void)
{
    struct db *db = NULL;

    arena_init(&fixture.arena);
    ck_assert_int_eq(secret_init(&why), STATUS_OK);
    snprintf(fixture.database, sizeof fixture.database, "test_%d", (int)getpid());
    snprintf(fixture.key_file, sizeof fixture.key_file, "/tmp/picket_query_key_%d", (int)getpid());
    unlink(fixture.key_file);
    ck_assert_int_eq(secret_master_create(fixture.key_file, &fixture.master, &why), STATUS_OK);
    ck_assert_int_eq(db_open(database_conninfo(), NULL, "test", &db, &why), STATUS_OK);
    sql_in(db, arena_format(&fixture.arena, "CREATE DATABASE %s TEMPLATE picket_template", fixture.database));
    db_close(db);
    ck_assert_int_eq(db_open(database_conninfo_for("postgres", fixture.database), NULL, "test", &fixture.owner, &why),
                     STATUS_OK);
    struct query_settings settings = fixture_settings();
    ck_assert_msg(query_open(&settings, &fixture.query, &why) == STATUS_OK, "%s", why.text);
    snprintf(fixture.url, sizeof fixture.url, "http://127.0.0.1:%u", (unsigned)query_port(fixture.query));
}

static inline void fixture_teardown(void)
{
    struct db *db = NULL;

    query_close(fixture.query);
    db_close(fixture.owner);
    unlink(fixture.key_file);
    if (db_open(database_conninfo(), NULL, "test", &db, &why) == STATUS_OK)
        sql_in(db, arena_format(&fixture.arena, "DROP DATABASE IF EXISTS %s WITH (FORCE)", fixture.database));
    db_close(db);
    for (size_t i = 0; i < fixture.answer_count; i++)
        json_decref(fixture.answers[i]);
    program_reply_done(&fixture.last);
    arena_done(&fixture.arena);
}

#define FIXTURE_MAIN(suite_name, test_array)                                                                     \
    check_main(&(const struct check_suite){.name = (suite_name),                                                 \
                                           .tests = (test_array),                                                \
                                           .count = sizeof(test_array) / sizeof(test_array)[0],                  \
                                           .setup = fixture_setup,                                               \
                                           .teardown = fixture_teardown,                                         \
                                           .timeout_seconds = 60})

#endif
