#include "ingest/deliveries.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "ingest/commands.h"
#include "ingest/twins.h"
#include "runtime/clock.h"
#include "runtime/secret.h"
#include "tests/support/check_main.h"
#include "tests/support/database.h"
#include "tests/support/database_template.h"

/* Two servers on one database, as two replicas of ingest are: what an operator asks of a device reaches the one that has
 * it, once. Each test has a database of its own. */
#define WAIT_MS 20000
#define QUERY_MS 10000

/* What one server was told; its devices are "a-…" or "b-…", by the letter, and those that moved. */
struct server {
    char letter;
    struct deliveries *deliveries;
    pthread_mutex_t lock;
    char heard[64][200];
    size_t count;
    char also[64]; /* a device that connected here though its letter is another's */
};

static struct server a = {.letter = 'a', .lock = PTHREAD_MUTEX_INITIALIZER};
static struct server b = {.letter = 'b', .lock = PTHREAD_MUTEX_INITIALIZER};
static struct arena arena;
static struct db *owner, *ingest;
static struct problem why;

static void hear(struct server *server, const char *text)
{
    pthread_mutex_lock(&server->lock);
    if (server->count < 64)
        snprintf(server->heard[server->count++], sizeof server->heard[0], "%s", text);
    pthread_mutex_unlock(&server->lock);
}

static bool here(void *context, const struct identity *identity)
{
    struct server *server = context;

    return identity->device.bytes[0] == server->letter || text_equal(identity->device, text_of(server->also));
}

static void method(void *context, const struct identity *identity, const struct method_request *request)
{
    char text[200];

    snprintf(text, sizeof text, "method %.*s %.*s %.*s", TEXT_ARGS(identity->device), TEXT_ARGS(request->name),
             TEXT_ARGS(request->payload));
    hear(context, text);
}

static void cloud_messages(void *context, const struct identity *identity)
{
    char text[200];

    if (!here(context, identity))
        return;
    snprintf(text, sizeof text, "messages %.*s", TEXT_ARGS(identity->device));
    hear(context, text);
}

static void desired(void *context, const struct identity *identity, const struct desired_change *change)
{
    char text[200];

    if (!here(context, identity))
        return;
    snprintf(text, sizeof text, "desired %.*s %lld %.*s", TEXT_ARGS(identity->device), (long long)change->version,
             TEXT_ARGS(change->patch));
    hear(context, text);
}

static void connected_elsewhere(void *context, const struct identity *identity, int64_t connected_at_us)
{
    char text[200];

    snprintf(text, sizeof text, "elsewhere %.*s %lld", TEXT_ARGS(identity->device), (long long)connected_at_us);
    hear(context, text);
}

/* Whether a server hears that, and how often it has. */
static size_t heard(struct server *server, const char *text)
{
    size_t count = 0;

    pthread_mutex_lock(&server->lock);
    for (size_t i = 0; i < server->count; i++)
        count += strcmp(server->heard[i], text) == 0;
    pthread_mutex_unlock(&server->lock);
    return count;
}

/* At least once: a row that lies in front of the horizon is told again, which is harmless. */
static void expect_heard(struct server *server, const char *text)
{
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS;

    while (!heard(server, text) && clock_monotonic_ms() < until_ms)
        poll(NULL, 0, 2);
    ck_assert_msg(heard(server, text), "%c has not heard: %s", server->letter, text);
}

static void sql(const char *statement)
{
    ck_assert_msg(db_query(owner, statement, NULL, 0, QUERY_MS, NULL, &why) == STATUS_OK, "%s: %s", statement, why.text);
}

static const char *sql_text(const char *statement)
{
    struct db_rows *rows = NULL;

    ck_assert_msg(db_query(owner, statement, NULL, 0, QUERY_MS, &rows, &why) == STATUS_OK, "%s: %s", statement, why.text);
    const char *text = db_rows_count(rows) ? arena_string(&arena, db_text(rows, 0, 0)) : "(none)";
    db_rows_free(rows);
    return text;
}

static void expect_sql(const char *statement, const char *value)
{
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS;
    const char *found;

    while (strcmp(found = sql_text(statement), value) != 0 && clock_monotonic_ms() < until_ms)
        poll(NULL, 0, 5);
    ck_assert_str_eq(found, value);
}

static void server_open(struct server *server)
{
    const struct deliveries_hooks hooks = {server, here, here, method, cloud_messages, desired, connected_elsewhere};

    server->count = 0;
    server->also[0] = 0;
    ck_assert_int_eq(deliveries_open(database_conninfo_for(NULL, "deliveries"), &hooks, &server->deliveries, &why), STATUS_OK);
}

static void setup(void)
{
    struct db *all = NULL;

    ck_assert_int_eq(secret_init(&why), STATUS_OK);
    ck_assert_int_eq(db_open(database_conninfo(), NULL, "test", &all, &why), STATUS_OK);
    ck_assert_int_eq(db_query(all, "DROP DATABASE IF EXISTS deliveries", NULL, 0, QUERY_MS, NULL, &why), STATUS_OK);
    ck_assert_int_eq(db_query(all, "CREATE DATABASE deliveries TEMPLATE picket_template", NULL, 0, QUERY_MS, NULL, &why), STATUS_OK);
    db_close(all);
    arena_init(&arena);
    ck_assert_int_eq(db_open(database_conninfo_for("postgres", "deliveries"), NULL, "test", &owner, &why), STATUS_OK);
    ck_assert_int_eq(db_open(database_conninfo_for("picket_ingest", "deliveries"), NULL, "test", &ingest, &why), STATUS_OK);
    server_open(&a);
    server_open(&b);
}

static void teardown(void)
{
    deliveries_close(a.deliveries);
    deliveries_close(b.deliveries);
    db_close(ingest);
    db_close(owner);
    arena_done(&arena);
}

static void database_away(void)
{
    db_close(owner);
    database_stop();
}

static void database_back(void)
{
    database_restart();
    ck_assert_int_eq(db_open(database_conninfo_for("postgres", "deliveries"), NULL, "test", &owner, &why), STATUS_OK);
}

static void call_make(const char *device, const char *name, const char *for_interval)
{
    sql(arena_format(&arena, "INSERT INTO picket.method_call (workspace_id, device_id, method, payload, expires_at)"
                             " VALUES (1, '%s', '%s', '{\"in\":5}', now() + interval '%s')", device, name, for_interval));
}

static void message_make(const char *device, const char *body, const char *for_interval)
{
    sql(arena_format(&arena, "INSERT INTO picket.cloud_message (workspace_id, device_id, message_id, body, expires_at)"
                             " VALUES (1, '%s', 'id-%s', '%s', now() + interval '%s')", device, body, body, for_interval));
}

static struct identity device(const char *id)
{
    return (struct identity){1, text_of(id), TEXT("")};
}

/* The bodies that a device is handed, with the locks of the first ten. */
static const char *take(const char *id, unsigned most, const char *locks[10])
{
    struct identity identity = device(id);
    struct cloud_message *messages;
    const char *bodies = "";
    size_t count;

    ck_assert_msg(cloud_messages_take(ingest, &identity, most, QUERY_MS, &arena, &messages, &count, &why) == STATUS_OK, "%s", why.text);
    for (size_t i = 0; i < count; i++) {
        bodies = arena_format(&arena, "%s%.*s;", bodies, TEXT_ARGS(messages[i].body));
        if (i < 10)
            locks[i] = arena_string(&arena, messages[i].lock);
    }
    return bodies;
}

static enum status settle(const char *id, const char *lock, enum cloud_outcome outcome)
{
    struct identity identity = device(id);

    return cloud_message_settle(ingest, &identity, text_of(lock), outcome, "https", QUERY_MS, &why);
}

START_TEST(a_call_reaches_the_server_that_has_the_device_and_no_other)
{
    struct identity a_1 = device("a-1"), b_1 = device("b-1");

    call_make("a-1", "reboot", "1 minute");
    call_make("b-1", "halt", "1 minute");
    call_make("c-1", "nobody", "1 minute");
    call_make("a-1", "late", "-1 second");
    expect_heard(&a, "method a-1 reboot {\"in\":5}");
    expect_heard(&b, "method b-1 halt {\"in\":5}");
    ck_assert_uint_eq(a.count, 1);
    ck_assert_uint_eq(b.count, 1);
    expect_sql("SELECT string_agg(method || ' ' || state, ', ' ORDER BY call_number) FROM picket.method_call",
               "reboot sent, halt sent, nobody queued, late queued");

    int64_t number = strtoll(sql_text("SELECT call_number FROM picket.method_call WHERE method = 'reboot'"), NULL, 10);
    ck_assert_int_eq(method_answer(ingest, &b_1, number, 200, TEXT("{}"), QUERY_MS, &why), STATUS_REJECT); /* not its own */
    ck_assert_int_eq(method_answer(ingest, &a_1, number, 200, TEXT("{broken"), QUERY_MS, &why), STATUS_REJECT);
    ck_assert_int_eq(method_answer(ingest, &a_1, number, 201, TEXT("{\"done\":true}"), QUERY_MS, &why), STATUS_OK);
    ck_assert_int_eq(method_answer(ingest, &a_1, number, 500, TEXT("{}"), QUERY_MS, &why), STATUS_REJECT); /* once */
    ck_assert_str_eq(sql_text("SELECT code || answer::text FROM picket.method_call WHERE method = 'reboot'"), "201{\"done\":true}");
}
END_TEST

START_TEST(a_call_waits_for_the_device_to_connect)
{
    call_make("c-2", "wait", "1 minute");
    call_make("a-2", "barrier", "1 minute");
    expect_heard(&a, "method a-2 barrier {\"in\":5}");
    pthread_mutex_lock(&b.lock);
    snprintf(b.also, sizeof b.also, "c-2");
    pthread_mutex_unlock(&b.lock);
    expect_heard(&b, "method c-2 wait {\"in\":5}");
    ck_assert_uint_eq(heard(&a, "method c-2 wait {\"in\":5}"), 0);
}
END_TEST

START_TEST(messages_wake_their_server_and_are_handed_out_once)
{
    const char *locks[10], *others[10];

    message_make("a-1", "one", "1 minute");
    expect_heard(&a, "messages a-1");
    ck_assert_uint_eq(heard(&b, "messages a-1"), 0);
    message_make("a-1", "two", "1 minute");
    message_make("a-1", "three", "1 minute");
    ck_assert_str_eq(take("a-1", 2, locks), "one;two;");
    ck_assert_str_eq(take("a-1", 9, others), "three;");
    ck_assert_str_eq(take("a-1", 9, others), "");
    ck_assert_int_eq(settle("a-1", locks[0], CLOUD_COMPLETED), STATUS_OK);
    ck_assert_int_eq(settle("a-1", locks[0], CLOUD_COMPLETED), STATUS_REJECT); /* it is no more */
    ck_assert_int_eq(settle("b-1", locks[1], CLOUD_COMPLETED), STATUS_REJECT); /* another's */
    ck_assert_int_eq(settle("a-1", "nonsense", CLOUD_COMPLETED), STATUS_REJECT);
    ck_assert_int_eq(settle("a-1", locks[1], CLOUD_REJECTED), STATUS_OK);
    expect_sql("SELECT string_agg(state, ' ' ORDER BY message_number) FROM picket.cloud_message", "completed rejected locked");
}
END_TEST

START_TEST(an_abandoned_message_comes_again_ten_times_at_most)
{
    const char *locks[10];

    message_make("a-1", "again", "1 hour");
    for (int i = 0; i < CLOUD_DELIVERIES_MAX; i++) {
        ck_assert_str_eq(take("a-1", 5, locks), "again;");
        ck_assert_int_eq(settle("a-1", locks[0], CLOUD_ABANDONED), STATUS_OK);
    }
    ck_assert_str_eq(take("a-1", 5, locks), "");
    ck_assert_str_eq(sql_text("SELECT state || delivery_count FROM picket.cloud_message"), "dead10");
}
END_TEST

/* As when the server that had handed it out was killed, and the device has connected to another before the lock ended. */
START_TEST(a_lock_that_nobody_settles_ends_and_the_device_hears_again)
{
    const char *locks[10];

    message_make("b-1", "lost", "1 hour");
    expect_heard(&b, "messages b-1");
    ck_assert_str_eq(take("b-1", 1, locks), "lost;");
    message_make("b-2", "barrier", "1 hour");
    expect_heard(&b, "messages b-2"); /* so no round is under way that has seen the first message waiting */
    pthread_mutex_lock(&b.lock);
    b.count = 0;
    pthread_mutex_unlock(&b.lock);
    sql("UPDATE picket.cloud_message SET locked_until = now()");
    expect_heard(&b, "messages b-1");
    ck_assert_int_eq(settle("b-1", locks[0], CLOUD_COMPLETED), STATUS_REJECT);
    ck_assert_str_eq(take("b-1", 1, locks), "lost;");
}
END_TEST

START_TEST(a_message_that_nobody_fetched_in_time_has_expired)
{
    const char *locks[10];

    message_make("c-1", "late", "1 second");
    message_make("a-1", "past", "-1 second");
    ck_assert_str_eq(take("a-1", 5, locks), "");
    expect_sql("SELECT string_agg(state, ' ') FROM picket.cloud_message", "expired expired");
}
END_TEST

START_TEST(desired_properties_reach_who_is_connected)
{
    struct identity a_1 = device("a-1");
    struct text twin;
    int64_t version;

    sql("INSERT INTO picket.device (workspace_id, device_id) VALUES (1, 'a-1'), (1, 'b-1')");
    sql("INSERT INTO picket.twin (workspace_id, device_id, desired) VALUES (1, 'a-1', '{\"speed\":3}')");
    expect_heard(&a, "desired a-1 2 {\"speed\": 3}");
    sql("UPDATE picket.twin SET desired = '{\"height\":1}', desired_version = desired_version + 1");
    expect_heard(&a, "desired a-1 3 {\"speed\": null, \"height\": 1}");
    ck_assert_uint_eq(b.count, 0);

    ck_assert_int_eq(twin_read(ingest, &a_1, QUERY_MS, &arena, &twin, &version, &why), STATUS_OK);
    ck_assert_int_eq(version, 3);
    ck_assert_msg(strstr(twin.bytes, "\"height\"") && !strstr(twin.bytes, "speed"), "%.*s", TEXT_ARGS(twin));
    ck_assert_int_eq(twin_report(ingest, &a_1, TEXT("{\"t\":21,\"u\":{\"v\":1}}"), QUERY_MS, &version, &why), STATUS_OK);
    ck_assert_int_eq(version, 2);
    ck_assert_int_eq(twin_report(ingest, &a_1, TEXT("{\"t\":null}"), QUERY_MS, &version, &why), STATUS_OK);
    ck_assert_int_eq(version, 3);
    ck_assert_str_eq(sql_text("SELECT reported FROM picket.twin WHERE device_id = 'a-1'"), "{\"u\": {\"v\": 1}}");
    ck_assert_int_eq(twin_report(ingest, &a_1, TEXT("[]"), QUERY_MS, &version, &why), STATUS_REJECT);
    ck_assert_int_eq(twin_report(ingest, &a_1, TEXT("{\"$x\":1}"), QUERY_MS, &version, &why), STATUS_REJECT);
    struct identity nobody = device("nobody");
    ck_assert_int_eq(twin_read(ingest, &nobody, QUERY_MS, &arena, &twin, &version, &why), STATUS_REJECT);
}
END_TEST

START_TEST(a_device_that_moves_to_another_server_is_told_of_at_the_first)
{
    struct identity a_1 = device("a-1");

    sql("INSERT INTO picket.device (workspace_id, device_id) VALUES (1, 'a-1')");
    deliveries_connected(a.deliveries, &a_1, 1000000, "192.0.2.1", "mqtt");
    expect_sql("SELECT connected || peer FROM picket.device_connection", "true192.0.2.1");
    deliveries_connected(b.deliveries, &a_1, 2000000, "192.0.2.2", "mqtt-ws");
    expect_heard(&a, "elsewhere a-1 2000000");
    expect_sql("SELECT connected || peer FROM picket.device_connection", "true192.0.2.2");
    /* The word of the first that it is gone comes late, and overrules nothing. */
    deliveries_disconnected(a.deliveries, &a_1, 1000000, "192.0.2.1", "mqtt");
    deliveries_disconnected(b.deliveries, &a_1, 2000000, "192.0.2.2", "mqtt-ws");
    expect_sql("SELECT connected || peer FROM picket.device_connection", "false192.0.2.2");
}
END_TEST

START_TEST(a_database_that_was_away_is_caught_up_with)
{
    call_make("a-1", "before", "1 minute");
    expect_heard(&a, "method a-1 before {\"in\":5}");
    database_away();
    database_back();
    call_make("a-1", "after", "1 minute");
    message_make("b-1", "after", "1 minute");
    expect_heard(&a, "method a-1 after {\"in\":5}");
    expect_heard(&b, "messages b-1");
}
END_TEST

/* Its devices could not ask for what waits, nor could it tell where news begin. */
START_TEST(a_server_that_starts_without_its_database_tells_of_all_that_lies_there)
{
    deliveries_close(a.deliveries);
    sql("INSERT INTO picket.device (workspace_id, device_id) VALUES (1, 'a-1')");
    sql("INSERT INTO picket.twin (workspace_id, device_id, desired) VALUES (1, 'a-1', '{\"speed\":3}')");
    message_make("a-1", "early", "1 hour");
    database_away();
    server_open(&a);
    database_back();
    expect_heard(&a, "messages a-1");
    expect_heard(&a, "desired a-1 2 {\"speed\": 3}");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_call_reaches_the_server_that_has_the_device_and_no_other,
        a_call_waits_for_the_device_to_connect,
        messages_wake_their_server_and_are_handed_out_once,
        an_abandoned_message_comes_again_ten_times_at_most,
        a_lock_that_nobody_settles_ends_and_the_device_hears_again,
        a_message_that_nobody_fetched_in_time_has_expired,
        desired_properties_reach_who_is_connected,
        a_device_that_moves_to_another_server_is_told_of_at_the_first,
        a_database_that_was_away_is_caught_up_with,
        a_server_that_starts_without_its_database_tells_of_all_that_lies_there,
    };
    const struct check_suite suite = {.name = "ingest/deliveries", .tests = tests,
                                      .count = sizeof tests / sizeof *tests, .setup = setup, .teardown = teardown,
                                      .timeout_seconds = 90};

    database_template_make(NULL, 0);
    return check_main(&suite);
}
