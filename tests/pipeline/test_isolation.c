#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/db.h"
#include "tests/support/check_main.h"
#include "tests/support/database.h"
#include "tests/support/whole.h"

/* Two workspaces with traffic, in one picketd. What belongs to the first bears the word "alpha" everywhere: in device ids,
 * bodies, descriptions. With a token of the second, no answer of any route that the server itself lists may have it; and
 * with the rights of either role that answers people, no statement reaches it, whatever its WHERE. */

#define WORD "alpha"
#define HOUR_S 3600
#define SQL_MS 30000
#define WAIT_MS 20000
#define PATH_SIZE 512
#define TIME_LIMIT_S 120

static struct buf out, said;

static void give_up(const char *what)
{
    fprintf(stderr, "%s: %s%s\n", what, out.count ? out.bytes : "", said.count ? said.bytes : "");
    exit(EXIT_FAILURE);
}

#define picket(...) whole_picket((const char *const[]){__VA_ARGS__, NULL}, &out, &said)

/* A device of a workspace that has a host name of the same name, and a message of it, which says whose it is. */
static void device_make(const char *workspace, const char *device)
{
    char base64[TEXT_BASE64_SIZE(sizeof PIPELINE_KEY)], url[160], resource[128], line[1100], body[128];
    struct program_reply reply;

    text_base64_encode((const uint8_t *)PIPELINE_KEY, sizeof PIPELINE_KEY - 1, base64);
    if (picket("device", "create", device, "--workspace", workspace, "--primary-key", base64))
        give_up("device create");
    snprintf(url, sizeof url, "%s/devices/%s/messages/events", whole_device_url(), device);
    snprintf(resource, sizeof resource, "%s.example/devices/%s", workspace, device);
    snprintf(line, sizeof line, "Authorization: %s", whole_sas(resource, HOUR_S));
    snprintf(body, sizeof body, "{\"whose\":\"%s\"}", workspace);
    const char *const headers[] = {line, "Content-Type: application/json", NULL};
    if (!program_http_until("POST", url, headers, text_of(body), 204, WAIT_MS, &reply))
        give_up("the first message");
    program_reply_done(&reply);
}

/* One of everything that people can be shown, for each of the two. */
static void both_fill(void)
{
    static const char *const names[] = {WORD, "bravo"};

    buf_init(&out, 1 << 20);
    buf_init(&said, 1 << 20);
    for (size_t i = 0; i < 2; i++) {
        char host[32], own[32], described[64];
        snprintf(host, sizeof host, "%s.example", names[i]);
        snprintf(own, sizeof own, "%s-only", names[i]);
        snprintf(described, sizeof described, "for %s", names[i]);
        if (picket("workspace", "create", names[i], "--hosts", host) ||
            picket("token", "create", "--role", "reader", "--workspace", names[i], "--description", described))
            give_up("workspace");
        device_make(names[i], "shared");
        device_make(names[i], own);
        pipeline_sql("INSERT INTO picket.alert (workspace_id, device_id, rule_id, severity, title, first_seen_at, last_seen_at)"
                     " SELECT workspace_id, '%s', 'rule', 'Low', 'of %s', now(), now() FROM picket.workspace WHERE name = '%s'",
                     own, names[i], names[i]);
        pipeline_sql("INSERT INTO picket.dead_letter (workspace_id, device_id, received_at, reason, headers, body, bus_topic_id,"
                     " bus_partition, bus_offset) SELECT workspace_id, '%s', now(), 'of %s', '{}', '%s', 1, 0, 0"
                     " FROM picket.workspace WHERE name = '%s'",
                     own, names[i], names[i], names[i]);
        pipeline_sql("INSERT INTO picket.ledger (workspace_id, device_id, epoch, stream, highest, first_seen_at, last_seen_at)"
                     " SELECT workspace_id, '%s', gen_random_uuid(), 0, 5, now(), now() FROM picket.workspace WHERE name = '%s'",
                     own, names[i]);
    }
}

static const char *token_for(const char *role, const char *workspace)
{
    static char token[256];
    char body[128];

    snprintf(body, sizeof body, "{\"role\":\"%s\",\"workspace\":\"%s\"}", role, workspace);
    json_t *made = whole_ask(whole_token(), "POST", "/v1/tokens", body, 201);
    snprintf(token, sizeof token, "%s", json_string_value(json_object_get(made, "token")));
    json_decref(made);
    return token;
}

static void get(const char *token, const char *path, struct program_reply *reply)
{
    char url[PATH_SIZE], bearer[320];

    snprintf(url, sizeof url, "%s%s", whole_query_url(), path);
    snprintf(bearer, sizeof bearer, "Authorization: Bearer %s", token);
    program_http("GET", url, (const char *const[]){bearer, NULL}, TEXT_NONE, reply);
    ck_assert_msg(reply->code != 0, "%s: %s", path, reply->reason);
}

static bool has_word(const struct program_reply *reply)
{
    return reply->body.count && strstr(reply->body.bytes, WORD) != NULL;
}

/* `pattern` as the server describes it, with what is the first workspace's in place of each "{…}". False: no route of
 * /v1, which needs no token. */
static bool path_fill(const char *pattern, const char *query, char path[PATH_SIZE])
{
    static const struct {
        const char *name, *value;
    } values[] = {{"{id}", NULL}, {"{module}", "security"}, {"{name}", WORD}, {"{file}", "index.html"}};
    size_t count = 0;

    while (*pattern && count + 64 < PATH_SIZE) {
        size_t i = 0;
        while (i < 4 && strncmp(pattern, values[i].name, strlen(values[i].name)) != 0)
            i++;
        if (i == 4) {
            path[count++] = *pattern++;
            continue;
        }
        const char *value = values[i].value;
        path[count] = '\0';
        if (!value && strncmp(path, "/v1/devices/", 12) == 0)
            value = WORD "-only";
        else if (!value && strncmp(path, "/v1/dead-letters/", 17) == 0)
            value = pipeline_text("SELECT dead_letter_id FROM picket.dead_letter WHERE device_id = '" WORD "-only'");
        else if (!value)
            value = pipeline_text("SELECT alert_id FROM picket.alert WHERE device_id = '" WORD "-only'");
        count += (size_t)snprintf(path + count, PATH_SIZE - count, "%s", value);
        pattern += strlen(values[i].name);
    }
    snprintf(path + count, PATH_SIZE - count, "%s", query);
    return strncmp(path, "/v1/", 4) == 0;
}

START_TEST(no_answer_to_a_token_of_one_workspace_has_a_word_of_another)
{
    static const char *const roles[] = {"reader", "analyst", "admin"};
    static const char *const queries[] = {"", "?limit=1000", "?device=shared", "?device=" WORD "-only", "?workspace=bravo",
                                          "?search=only", "?text=whose"};
    json_t *described = whole_get("/openapi.json"), *methods;
    size_t routes = 0, telling = 0;
    const char *pattern;
    char path[PATH_SIZE];

    for (size_t role = 0; role < 3; role++) {
        const char *theirs = token_for(roles[role], "bravo");
        json_object_foreach(json_object_get(described, "paths"), pattern, methods)
        {
            for (size_t i = 0; json_object_get(methods, "get") && i < sizeof queries / sizeof queries[0]; i++) {
                struct program_reply reply;
                if (!path_fill(pattern, queries[i], path))
                    continue;
                get(theirs, path, &reply);
                /* A refusal repeats the name that was asked for, which its reader had already. */
                ck_assert_msg(reply.code >= 400 || !has_word(&reply), "%s as %s: %ld %.600s", path, roles[role], reply.code,
                              reply.body.bytes);
                program_reply_done(&reply);
                if (i > 0)
                    continue;
                routes++;
                get(whole_token(), path, &reply); /* the proof that there was something to see */
                telling += reply.code == 200 && has_word(&reply);
                program_reply_done(&reply);
            }
        }
    }
    ck_assert_uint_ge(routes, 3 * 10);
    ck_assert_msg(telling >= 3 * 8, "only %zu routes had something to tell", telling);
    json_decref(described);
}
END_TEST

START_TEST(a_workspace_cannot_be_named_by_a_token_of_another)
{
    const char *theirs = token_for("admin", "bravo");

    json_decref(whole_ask(theirs, "GET", "/v1/events?workspace=" WORD, NULL, 404));
    json_decref(whole_ask(theirs, "GET", "/v1/devices?workspace=" WORD, NULL, 404));
    json_decref(whole_ask(theirs, "DELETE", "/v1/devices/shared?workspace=" WORD, NULL, 404));
    json_decref(whole_ask(theirs, "DELETE", "/v1/devices/" WORD "-only", NULL, 404));
    json_decref(whole_ask(theirs, "POST", "/v1/devices/" WORD "-only/disable", NULL, 404));
    json_decref(whole_ask(theirs, "GET", "/v1/devices/" WORD "-only/connection-string", NULL, 404));
    json_t *shared = whole_ask(theirs, "GET", "/v1/devices/shared", NULL, 200);
    ck_assert_str_eq(json_string_value(json_object_get(shared, "workspace")), "bravo");
    json_decref(shared);
    ck_assert_int_eq(pipeline_number("SELECT count(*) FROM picket.device d JOIN picket.workspace w USING (workspace_id)"
                                     " WHERE w.name = '" WORD "' AND d.status = 'enabled'"), 2);
}
END_TEST

/* Every table with a workspace that this role may read, asked without a predicate under the second workspace's setting and
 * under none. */
static size_t expect_role_sees_its_own(const char *role)
{
    static const char tables[] = "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
                                 " AND a.attname = 'workspace_id' AND NOT a.attisdropped WHERE c.relnamespace = 'picket'::regnamespace"
                                 " AND c.relkind IN ('r', 'p', 'v', 'm') ORDER BY 1";
    struct db_rows *found = pipeline_rows(tables), *rows = NULL;
    struct db *db = NULL;
    struct problem why;
    char statement[256];
    size_t readable = 0;
    int64_t bravo = pipeline_number("SELECT workspace_id FROM picket.workspace WHERE name = 'bravo'");
    const char *name = strstr(pipeline_database(), "dbname=") + strlen("dbname=");

    ck_assert_msg(db_open(database_conninfo_for(role, name), NULL, "test", &db, &why) == STATUS_OK, "%s", why.text);
    for (size_t i = 0; i < db_rows_count(found); i++) {
        const char *table = db_text(found, i, 0).bytes;
        if (!pipeline_number("SELECT has_column_privilege('%s', 'picket.%s', 'workspace_id', 'SELECT')::int", role, table))
            continue;
        readable++;
        for (int set = 0; set < 2; set++) {
            ck_assert_int_eq(db_begin(db, SQL_MS, &why), STATUS_OK);
            snprintf(statement, sizeof statement, "SET LOCAL picket.workspaces = '{%lld}'", (long long)bravo);
            if (set)
                ck_assert_int_eq(db_script(db, statement, SQL_MS, &why), STATUS_OK);
            snprintf(statement, sizeof statement,
                     "SELECT count(*) FILTER (WHERE workspace_id <> %lld), count(*) FROM (SELECT workspace_id FROM picket.%s) t",
                     (long long)bravo, table);
            ck_assert_msg(db_query(db, statement, NULL, 0, SQL_MS, &rows, &why) == STATUS_OK, "%s: %s", statement, why.text);
            ck_assert_msg(db_i64(rows, 0, 0) == 0, "%s sees %lld foreign rows of %s", role, (long long)db_i64(rows, 0, 0), table);
            ck_assert_msg(set || db_i64(rows, 0, 1) == 0, "%s sees %s without a workspace", role, table);
            db_rows_free(rows);
            db_rollback(db);
        }
    }
    db_rows_free(found);
    db_close(db);
    return readable;
}

START_TEST(no_statement_of_a_role_that_answers_people_sees_another_workspace_without_its_where)
{
    ck_assert_uint_ge(expect_role_sees_its_own("picket_query"), 8);
    ck_assert_uint_ge(expect_role_sees_its_own("picket_admin"), 5);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        no_answer_to_a_token_of_one_workspace_has_a_word_of_another,
        a_workspace_cannot_be_named_by_a_token_of_another,
        no_statement_of_a_role_that_answers_people_sees_another_workspace_without_its_where,
    };

    whole_start(1, NULL);
    both_fill();
    int failed = check_main(&(const struct check_suite){"pipeline/isolation", tests, sizeof tests / sizeof tests[0], NULL, NULL,
                                                        TIME_LIMIT_S});
    return whole_stop() || failed;
}
