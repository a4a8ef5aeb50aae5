#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/clock.h"
#include "tests/support/broker.h"
#include "tests/support/check_main.h"
#include "tests/support/database.h"
#include "tests/support/pipeline.h"
#include "tests/support/taker.h"

/* Alerts on a topic of a real Kafka, by the real program. */
#define WAIT_MS 60000

static char topic[80];
static const char *settings[2];
static struct bus *bus;
static struct taker *taker;

static void setup(void)
{
    static char line[120];

    pipeline_open(BUS_KAFKA);
    snprintf(topic, sizeof topic, "%s.alerts", pipeline_topic());
    snprintf(line, sizeof line, "alerts_topic: %s", topic);
    settings[0] = line;
    bus = NULL;
    taker = NULL;
}

static void teardown(void)
{
    taker_close(taker);
    if (bus)
        bus_close(bus);
    pipeline_close();
}

/* A reader of our own; the topic is made by whoever comes first. */
static void topic_read(void)
{
    const struct bus_settings wanted = {.bus = "kafka", .kafka_brokers = broker_bootstrap(), .kafka_topic = topic, .kafka_group = "alerts-test", .kafka_partitions = 3, .bus_shards = 1,
                                        .bus_queue_bytes = 16 << 20, .bus_send_timeout_ms = 10000};
    struct problem why;

    ck_assert_msg(bus_open(&wanted, WAIT_MS, 0, &bus, &why) == STATUS_OK, "%s", why.text);
    taker = taker_open(bus);
}

static void alert_put(int number)
{
    pipeline_sql("INSERT INTO picket.alert (workspace_id, device_id, rule_id, cause, severity, title, details, first_seen_at, last_seen_at) VALUES"
                 " (1, 'device-1', 'rule', '%d', 'High', 'Something', '{\"a\": 1}', '2026-01-02T03:04:05Z', now())",
                 number);
}

/* The newest record of the alert of that cause, its member as text; "" where there is none. */
static const char *newest(const char *cause, const char *member)
{
    static char out[200];

    out[0] = '\0';
    for (size_t i = 0; i < taker_count(taker); i++) {
        struct text value = taker_value(taker, i);
        json_t *alert = json_loadb(value.bytes, value.count, 0, NULL);
        ck_assert_ptr_nonnull(alert);
        ck_assert(text_equal(taker_key(taker, i), text_of(json_string_value(json_object_get(alert, "id")))));
        if (strcmp(json_string_value(json_object_get(alert, "cause")), cause) == 0)
            snprintf(out, sizeof out, "%s", json_string_value(json_object_get(alert, member)));
        json_decref(alert);
    }
    return out;
}

static void newest_wait(const char *cause, const char *member, const char *expected)
{
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS;

    while (strcmp(newest(cause, member), expected) != 0) {
        ck_assert_msg(clock_monotonic_ms() < until_ms, "%s of %s is not %s but %s", member, cause, expected, newest(cause, member));
        poll(NULL, 0, 20);
    }
}

START_TEST(each_change_of_an_alert_is_a_record_of_its_own_key)
{
    alert_put(1); /* before anybody sends */
    pipeline_start("forward", settings);
    topic_read();
    newest_wait("1", "status", "open");
    ck_assert_str_eq(newest("1", "workspace"), "default");
    ck_assert_str_eq(newest("1", "first_seen_at"), "2026-01-02T03:04:05.000000Z");
    ck_assert(text_equal(taker_header(taker, 0, "severity"), TEXT("High")) && text_equal(taker_header(taker, 0, "workspace"), TEXT("default")));
    pipeline_sql("UPDATE picket.alert SET status = 'in_progress', assignee = 'ada'");
    newest_wait("1", "assignee", "ada");
    pipeline_sql("UPDATE picket.alert SET status = 'closed', closed_at = now(), closed_as = 'benign'");
    newest_wait("1", "closed_as", "benign");
    ck_assert_str_eq(newest("1", "status"), "closed");
}
END_TEST

START_TEST(kills_and_an_absent_broker_leave_no_alert_out)
{
    struct program *sender = pipeline_start("forward", settings), *second = pipeline_start("forward", settings);

    topic_read();
    for (int i = 0; i < 300; i++) {
        alert_put(i);
        if (i % 100 == 30) {
            pipeline_kill9(sender);
            sender = pipeline_start("forward", settings);
        } else if (i == 150) {
            broker_kill9();
        } else if (i == 170) {
            broker_restart();
        }
    }
    pipeline_sql("UPDATE picket.alert SET status = 'closed', closed_at = now()");
    for (int i = 0; i < 300; i++) {
        char cause[12];
        snprintf(cause, sizeof cause, "%d", i);
        newest_wait(cause, "status", "closed");
    }
    pipeline_stop(second);
    pipeline_stop(sender);
    ck_assert_int_eq(pipeline_number("SELECT count(*) FROM picket.alert a, picket.forward_cursor c WHERE (a.commit_xid, a.alert_id) > (c.commit_xid, c.id)"), 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        each_change_of_an_alert_is_a_record_of_its_own_key,
        kills_and_an_absent_broker_leave_no_alert_out,
    };
    const struct check_suite suite = {.name = "pipeline/forward", .tests = tests, .count = sizeof tests / sizeof *tests, .setup = setup, .teardown = teardown, .timeout_seconds = 300};

    database_start(DATABASE_FAST);
    broker_start();
    pipeline_prepare(2);
    return check_main(&suite);
}
