#include "agent/agent.h"

#include <jansson.h>
#include <stdio.h>

#include "agent/stamp.h"
#include "tests/support/check_main.h"
#include "tests/unit/agent/fake_port.h"

#define INTERVAL_MS 30000
#define HOUR_MS 3600000
#define PAYLOAD "[{\"Executable\":\"/bin/true\"}]"

static struct fake fake;
static struct picket_agent agent;
static char queue[16384], medium[4096], low[4096], message[PICKET_AGENT_MESSAGE_MIN];
static const struct picket_agent_settings settings = {"1.2.3", {INTERVAL_MS, 4 * INTERVAL_MS, 16 * INTERVAL_MS}, 0};
static const struct picket_agent_memory memory = {.queues = {{queue, sizeof queue}}, .message = message, .message_size = sizeof message};
static const struct picket_agent_memory three_queues = {
    .queues = {{queue, sizeof queue}, {medium, sizeof medium}, {low, sizeof low}}, .message = message, .message_size = sizeof message};
static const struct picket_agent_memory *given = &memory;

/* The same device after a restart: only what the port kept is left. */
static void start(void)
{
    memset(&agent, 0xaa, sizeof agent);
    memset(queue, 0xaa, sizeof queue);
    memset(message, 0xaa, sizeof message);
    picket_agent_init(&agent, &fake.port, &settings, given);
}

static void setup(void)
{
    fake_init(&fake);
    given = &memory;
    start();
}

static void teardown(void)
{
    fake_done(&fake);
}

static bool observe_at(enum picket_priority priority, const char *payload)
{
    const struct picket_event event = {.priority = priority, .name = "ProcessCreate", .payload = payload, .payload_count = strlen(payload)};

    return picket_agent_observe(&agent, &event);
}

static bool observe_payload(const char *payload)
{
    return observe_at(PICKET_HIGH, payload);
}

static void observe(int count)
{
    for (int i = 0; i < count; i++)
        ck_assert(observe_payload(PAYLOAD));
}

/* An event whose text in the queue is of exactly `count` bytes, told from one that is known. */
static void payload_of(size_t event_count, char *out, size_t size)
{
    static size_t around; /* the event beside its payload */

    if (!around) {
        struct picket_queued event;
        size_t at = 0;
        observe(1);
        ck_assert(picket_queue_next(&agent.lanes[0].queue, &at, &event));
        around = event.count - strlen(PAYLOAD);
        setup();
    }
    ck_assert_uint_gt(event_count, around + sizeof "[{\"A\":\"\"}]");
    ck_assert_uint_lt(event_count - around, size);
    memset(out, 'x', event_count - around);
    memcpy(out, "[{\"A\":\"", 7);
    memcpy(out + event_count - around - 3, "\"}]", 4);
}

static uint32_t tick_after(int64_t ms)
{
    fake.now_ms += ms;
    fake.utc_ms += ms;
    return picket_agent_tick(&agent);
}

static void server(enum picket_send_status status, unsigned code, uint32_t retry_after_s)
{
    fake.answer = (struct picket_send_answer){status, code, retry_after_s};
}

static json_t *parse(const struct fake_message *sent)
{
    json_error_t error;
    json_t *json = json_loadb(sent->body, sent->body_count, JSON_REJECT_DUPLICATES, &error);

    ck_assert_msg(json != NULL, "%s: %s", error.text, sent->body);
    return json;
}

static int64_t member(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    ck_assert_msg(json_is_integer(value), "%s", name);
    return json_integer_value(value);
}

static void assert_numbers(const struct fake_message *sent, int64_t first, int64_t count)
{
    json_t *json = parse(sent);
    const json_t *sequence = json_object_get(json, "Sequence");

    ck_assert_int_eq(member(sequence, "First"), first);
    ck_assert_int_eq(member(sequence, "Count"), count);
    ck_assert_uint_eq(json_array_size(json_object_get(json, "Events")), (size_t)count);
    ck_assert_uint_eq(sent->count, (uint32_t)count);
    json_decref(json);
}

/* Whether the message tells that exactly these were lost, as one of its ranges. */
static bool tells(const struct fake_message *sent, int64_t from, int64_t to, const char *reason)
{
    json_t *json = parse(sent), *range;
    size_t i;
    bool told = false;

    json_array_foreach(json_object_get(json_object_get(json, "Sequence"), "Dropped"), i, range) {
        told = told || (member(range, "From") == from && member(range, "To") == to &&
                        strcmp(json_string_value(json_object_get(range, "Reason")), reason) == 0);
    }
    json_decref(json);
    return told;
}

static const struct fake_message *last_sent(void)
{
    ck_assert_uint_gt(fake.sent_count, 0);
    return &fake.sent[fake.sent_count - 1];
}

START_TEST(an_event_waits_for_others_and_then_leaves_with_them)
{
    observe(1);
    ck_assert_uint_eq(tick_after(0), INTERVAL_MS);
    observe(1);
    ck_assert_uint_eq(tick_after(INTERVAL_MS - 1), 1);
    ck_assert_uint_eq(fake.sent_count, 0);
    ck_assert_uint_eq(tick_after(1), UINT32_MAX);
    ck_assert_uint_eq(fake.sent_count, 1);
    assert_numbers(&fake.sent[0], 1, 2);
    ck_assert_uint_eq(agent.counts.sent, 2);
}
END_TEST

START_TEST(a_message_has_the_members_of_the_classic_schema)
{
    static const char *const envelope[] = {"AgentVersion", "AgentId", "MessageSchemaVersion", "Sequence", "Events"};
    static const char *const event_members[] = {"Category", "EventType",      "Name",         "PayloadSchemaVersion", "Id",
                                                "TimestampLocal", "TimestampUTC", "IsEmpty", "Payload"};

    fake.utc_offset_s = 3600;
    observe(1);
    tick_after(INTERVAL_MS);
    json_t *json = parse(&fake.sent[0]);
    ck_assert_uint_eq(json_object_size(json), sizeof envelope / sizeof *envelope);
    for (size_t i = 0; i < sizeof envelope / sizeof *envelope; i++)
        ck_assert_msg(json_object_get(json, envelope[i]) != NULL, "%s", envelope[i]);
    ck_assert_str_eq(json_string_value(json_object_get(json, "AgentVersion")), "1.2.3");
    ck_assert_uint_eq(json_string_length(json_object_get(json, "AgentId")), 36);
    ck_assert_str_eq(json_string_value(json_object_get(json, "MessageSchemaVersion")), "1.0");
    const json_t *event = json_array_get(json_object_get(json, "Events"), 0);
    ck_assert_uint_eq(json_object_size(event), sizeof event_members / sizeof *event_members);
    for (size_t i = 0; i < sizeof event_members / sizeof *event_members; i++)
        ck_assert_msg(json_object_get(event, event_members[i]) != NULL, "%s", event_members[i]);
    ck_assert_str_eq(json_string_value(json_object_get(event, "Category")), "Triggered");
    ck_assert_str_eq(json_string_value(json_object_get(event, "EventType")), "Security");
    ck_assert_str_eq(json_string_value(json_object_get(event, "Name")), "ProcessCreate");
    ck_assert_str_eq(json_string_value(json_object_get(event, "TimestampUTC")), "2023-11-14T22:13:20.123Z");
    ck_assert_str_eq(json_string_value(json_object_get(event, "TimestampLocal")), "2023-11-14T23:13:20.123+01:00");
    ck_assert(json_is_false(json_object_get(event, "IsEmpty")));
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(json_object_get(event, "Payload"), 0), "Executable")),
                     "/bin/true");
    json_decref(json);
}
END_TEST

START_TEST(an_empty_list_is_told_as_one)
{
    const struct picket_event event = {.name = "LocalUsers", .category = PICKET_EVENT_PERIODIC, .utc_ms = INT64_C(1533895281000), .payload = "[]", .payload_count = 2};

    ck_assert(picket_agent_observe(&agent, &event));
    tick_after(INTERVAL_MS);
    ck_assert_ptr_nonnull(strstr(fake.sent[0].body, "\"Category\":\"Periodic\""));
    ck_assert_ptr_nonnull(strstr(fake.sent[0].body, "\"IsEmpty\":true,\"Payload\":[]"));
    ck_assert_ptr_nonnull(strstr(fake.sent[0].body, "\"TimestampUTC\":\"2018-08-10T10:01:21.000Z\""));
}
END_TEST

START_TEST(a_full_message_does_not_wait_for_its_time)
{
    unsigned observed = 0;

    while (tick_after(0) && fake.sent_count == 0) {
        observe(1);
        observed++;
        ck_assert_uint_lt(observed, 100);
    }
    ck_assert_uint_gt(observed, 10);
    ck_assert_uint_eq(agent.counts.sent, observed);
}
END_TEST

START_TEST(numbers_go_on_across_messages)
{
    for (int i = 0; i < 3; i++) {
        observe(4);
        tick_after(INTERVAL_MS);
    }
    ck_assert_uint_eq(fake.sent_count, 3);
    for (int i = 0; i < 3; i++) {
        assert_numbers(&fake.sent[i], 1 + 4 * i, 4);
        ck_assert_mem_eq(fake.sent[i].id, agent.lanes[0].sequence.epoch, 36);
    }
    ck_assert_str_eq(fake.sent[2].id + 36, "-9");
}
END_TEST

START_TEST(what_is_kept_while_the_server_is_away_arrives_in_order_under_the_same_ids)
{
    enum { MESSAGES = 40 };
    char ids[MESSAGES][PICKET_AGENT_MESSAGE_ID_SIZE];

    server(PICKET_SEND_LATER, 0, 0);
    for (int i = 0; i < MESSAGES; i++) {
        observe(2);
        tick_after(INTERVAL_MS);
        ck_assert_uint_eq(fake_kept_count(&fake), (size_t)i + 1);
        memcpy(ids[i], fake.kept[i].id, sizeof ids[i]);
    }
    ck_assert_uint_eq(agent.counts.kept, 2 * MESSAGES);
    server(PICKET_SEND_DONE, 204, 0);
    size_t before = fake.sent_count;
    observe(1);
    for (int i = 0; i < 10; i++)
        tick_after(HOUR_MS);
    ck_assert_uint_eq(fake_kept_count(&fake), 0);
    ck_assert_uint_eq(fake.sent_count - before, MESSAGES + 1);
    for (int i = 0; i < MESSAGES; i++) {
        ck_assert_str_eq(fake.sent[before + (size_t)i].id, ids[i]);
        assert_numbers(&fake.sent[before + (size_t)i], 1 + 2 * i, 2);
    }
    assert_numbers(last_sent(), 1 + 2 * MESSAGES, 1);
    ck_assert_uint_eq(agent.counts.sent, agent.counts.observed);
    ck_assert_uint_eq(agent.counts.dropped, 0);
}
END_TEST

START_TEST(a_message_is_the_same_to_the_byte_when_it_is_sent_again)
{
    server(PICKET_SEND_LATER, 0, 0);
    observe(3);
    tick_after(INTERVAL_MS);
    observe(5);
    server(PICKET_SEND_DONE, 204, 0);
    tick_after(HOUR_MS);
    ck_assert_uint_ge(fake.sent_count, 2);
    ck_assert_str_eq(fake.sent[0].id, fake.sent[1].id);
    ck_assert_str_eq(fake.sent[0].body, fake.sent[1].body);
}
END_TEST

/* Once a failure stopped such a device for good. */
static void assert_sent_again_from_the_queue(void)
{
    server(PICKET_SEND_LATER, 503, 0);
    observe(3);
    tick_after(INTERVAL_MS);
    ck_assert_uint_eq(fake.sent_count, 1);
    observe(4);
    picket_sequence_drop(&agent.lanes[0].sequence, 1, 1, "too-large"); /* a loss in between must not change what was tried */
    tick_after(HOUR_MS);
    ck_assert_uint_eq(fake.sent_count, 2);
    server(PICKET_SEND_DONE, 204, 0);
    ck_assert_uint_gt(tick_after(0), 0);
    tick_after(HOUR_MS);
    ck_assert_uint_eq(fake.sent_count, 4);
    for (int i = 1; i < 3; i++) {
        ck_assert_str_eq(fake.sent[i].id, fake.sent[0].id);
        ck_assert_str_eq(fake.sent[i].body, fake.sent[0].body);
    }
    assert_numbers(&fake.sent[3], 4, 4);
    ck_assert(tells(&fake.sent[3], 1, 1, "too-large"));
    ck_assert_uint_eq(tick_after(0), UINT32_MAX);
}

START_TEST(without_a_spool_the_queue_is_sent_again)
{
    fake_without_spool(&fake);
    start();
    assert_sent_again_from_the_queue();
}
END_TEST

START_TEST(with_a_broken_spool_the_queue_is_sent_again)
{
    fake.keep_fails = true;
    assert_sent_again_from_the_queue();
}
END_TEST

START_TEST(a_full_queue_drops_the_newest_and_tells)
{
    int64_t held = 0;

    fake_without_spool(&fake);
    start();
    server(PICKET_SEND_LATER, 0, 0);
    while (observe_payload(PAYLOAD))
        held++;
    ck_assert(!observe_payload(PAYLOAD));
    ck_assert_uint_eq(agent.counts.dropped, 2);
    server(PICKET_SEND_DONE, 204, 0);
    for (int i = 0; i < 3; i++)
        tick_after(HOUR_MS);
    ck_assert(tells(&fake.sent[0], held + 1, held + 2, "queue-full"));
    ck_assert_uint_eq(agent.counts.sent, (uint64_t)held);
    observe(1);
    tick_after(INTERVAL_MS);
    assert_numbers(last_sent(), held + 3, 1);
    ck_assert(!tells(last_sent(), held + 1, held + 2, "queue-full"));
}
END_TEST

START_TEST(a_full_queue_is_kept_before_anything_is_dropped)
{
    for (int i = 0; i < 500; i++)
        observe(1);
    ck_assert_uint_gt(fake_kept_count(&fake), 5);
    ck_assert_uint_eq(agent.counts.dropped, 0);
    for (int i = 0; i < 5; i++)
        tick_after(INTERVAL_MS);
    ck_assert_uint_eq(agent.counts.sent, 500);
}
END_TEST

/* Sizes all around the limit: each is sent or told, and none stops the agent. */
START_TEST(an_event_too_long_for_a_message_is_dropped_and_told)
{
    char payload[PICKET_AGENT_MESSAGE_MIN];
    unsigned sent = 0, told = 0;

    for (size_t count = 5800; count < PICKET_AGENT_MESSAGE_MIN - 500; count++) {
        payload_of(count, payload, sizeof payload);
        bool taken = observe_payload(payload);
        int64_t number = (int64_t)agent.lanes[0].sequence.next - 1;
        observe(1);
        tick_after(INTERVAL_MS);
        tick_after(INTERVAL_MS);
        ck_assert_uint_eq(agent.lanes[0].queue.used, 0);
        ck_assert_uint_eq(agent.counts.sent + agent.counts.dropped, agent.counts.observed);
        sent += taken;
        if (!taken) {
            ck_assert(tells(last_sent(), number, number, "too-large"));
            told++;
        }
    }
    ck_assert_uint_gt(sent, 100);
    ck_assert_uint_gt(told, 100);
}
END_TEST

START_TEST(an_event_longer_than_the_whole_queue_is_told_as_too_large)
{
    char payload[sizeof queue + 1];

    memset(payload, 'x', sizeof payload - 1);
    memcpy(payload, "[{\"A\":\"", 7);
    memcpy(payload + sizeof payload - 4, "\"}]", 4);
    observe(1);
    ck_assert(!observe_payload(payload));
    observe(1);
    tick_after(INTERVAL_MS);
    tick_after(INTERVAL_MS);
    ck_assert(tells(last_sent(), 2, 2, "too-large"));
    assert_numbers(last_sent(), 3, 1);
}
END_TEST

START_TEST(a_full_spool_drops_its_oldest_and_tells)
{
    fake.kept_max = 3;
    server(PICKET_SEND_LATER, 0, 0);
    for (int i = 0; i < 5; i++) {
        observe(2);
        tick_after(INTERVAL_MS);
    }
    ck_assert_uint_eq(fake_kept_count(&fake), 3);
    ck_assert_uint_eq(agent.counts.dropped, 4);
    server(PICKET_SEND_DONE, 204, 0);
    size_t before = fake.sent_count;
    tick_after(HOUR_MS);
    observe(1);
    tick_after(INTERVAL_MS);
    ck_assert_uint_eq(fake.sent_count - before, 4);
    assert_numbers(&fake.sent[before], 5, 2);
    assert_numbers(last_sent(), 11, 1);
    ck_assert(tells(last_sent(), 1, 4, "spool-full"));
    observe(1);
    tick_after(INTERVAL_MS);
    ck_assert_msg(!tells(last_sent(), 1, 4, "spool-full"), "once is enough");
}
END_TEST

START_TEST(what_waited_too_long_is_dropped_and_told)
{
    server(PICKET_SEND_LATER, 0, 0);
    for (int i = 0; i < 3; i++) {
        observe(2);
        tick_after(INTERVAL_MS);
    }
    ck_assert_uint_eq(fake_kept_count(&fake), 3);
    fake.expired_before = 2;
    server(PICKET_SEND_DONE, 204, 0);
    size_t before = fake.sent_count;
    tick_after(HOUR_MS);
    observe(1);
    tick_after(INTERVAL_MS);
    ck_assert_uint_eq(fake.sent_count - before, 2);
    assert_numbers(&fake.sent[before], 5, 2);
    ck_assert(tells(last_sent(), 1, 4, "too-old"));
    ck_assert_uint_eq(agent.counts.dropped, 4);
}
END_TEST

START_TEST(a_long_outage_with_a_full_spool_is_one_loss)
{
    fake.kept_max = 3;
    server(PICKET_SEND_LATER, 0, 0);
    for (int i = 0; i < 200; i++) {
        observe(1);
        tick_after(INTERVAL_MS);
    }
    ck_assert_uint_eq(agent.lanes[0].sequence.dropped_count, 1);
    server(PICKET_SEND_DONE, 204, 0);
    tick_after(HOUR_MS);
    observe(1);
    tick_after(INTERVAL_MS);
    ck_assert(tells(last_sent(), 1, 197, "spool-full"));
}
END_TEST

START_TEST(a_refused_message_is_told_and_holds_nothing_up)
{
    server(PICKET_SEND_REFUSED, 413, 0);
    observe(2);
    tick_after(INTERVAL_MS);
    ck_assert_uint_eq(agent.failures, 0);
    ck_assert_uint_eq(agent.counts.dropped, 2);
    server(PICKET_SEND_DONE, 204, 0);
    observe(1);
    tick_after(INTERVAL_MS);
    ck_assert_uint_eq(fake.sent_count, 2);
    assert_numbers(last_sent(), 3, 1);
    ck_assert(tells(last_sent(), 1, 2, "refused 413"));
}
END_TEST

START_TEST(a_kept_message_that_is_refused_is_told_and_holds_nothing_up)
{
    server(PICKET_SEND_LATER, 0, 0);
    observe(2);
    tick_after(INTERVAL_MS);
    server(PICKET_SEND_REFUSED, 400, 0);
    tick_after(HOUR_MS);
    ck_assert_uint_eq(fake_kept_count(&fake), 0);
    server(PICKET_SEND_DONE, 204, 0);
    observe(1);
    tick_after(INTERVAL_MS);
    ck_assert(tells(last_sent(), 1, 2, "refused 400"));
}
END_TEST

START_TEST(a_damaged_message_is_told_and_holds_nothing_up)
{
    server(PICKET_SEND_LATER, 0, 0);
    for (int i = 0; i < 3; i++) {
        observe(2);
        tick_after(INTERVAL_MS);
    }
    fake.kept[fake.kept_first + 1].damaged = true;
    server(PICKET_SEND_DONE, 204, 0);
    tick_after(HOUR_MS);
    ck_assert_uint_eq(fake_kept_count(&fake), 0);
    observe(1);
    tick_after(INTERVAL_MS);
    ck_assert(tells(last_sent(), 3, 4, "spool-damaged"));
    ck_assert_uint_eq(agent.counts.sent, 5);
}
END_TEST

START_TEST(a_loss_is_told_again_until_a_message_with_it_arrives)
{
    server(PICKET_SEND_REFUSED, 400, 0);
    observe(1);
    tick_after(INTERVAL_MS);
    server(PICKET_SEND_LATER, 0, 0);
    observe(1);
    tick_after(INTERVAL_MS);
    fake.kept[fake.kept_first].damaged = true; /* the one message that bore it is lost as well */
    server(PICKET_SEND_DONE, 204, 0);
    tick_after(HOUR_MS);
    observe(1);
    tick_after(INTERVAL_MS);
    ck_assert(tells(last_sent(), 1, 1, "refused 400"));
    ck_assert(tells(last_sent(), 2, 2, "spool-damaged"));
}
END_TEST

START_TEST(waits_double_with_jitter_up_to_five_minutes_and_end_with_success)
{
    int64_t least = 500;
    bool differ = false;
    int64_t first_extra = -1;

    observe(1);
    server(PICKET_SEND_LATER, 0, 0);
    fake.now_ms += INTERVAL_MS;
    for (int i = 0; i < 14; i++) {
        picket_agent_tick(&agent);
        int64_t wait = agent.retry_at_ms - fake.now_ms;
        ck_assert_int_ge(wait, least);
        ck_assert_int_le(wait, 2 * least);
        if (i >= 10) {
            differ = differ || (first_extra >= 0 && wait - least != first_extra);
            first_extra = wait - least;
        }
        ck_assert_uint_eq(fake.sent_count, (size_t)i + 1);
        fake.now_ms += wait - 1;
        picket_agent_tick(&agent);
        ck_assert_msg(fake.sent_count == (size_t)i + 1, "not before its time");
        fake.now_ms++;
        least = 2 * least > 150000 ? 150000 : 2 * least;
    }
    ck_assert(differ);
    server(PICKET_SEND_DONE, 204, 0);
    picket_agent_tick(&agent);
    ck_assert_uint_eq(agent.failures, 0);
    server(PICKET_SEND_LATER, 0, 0);
    observe(1);
    tick_after(INTERVAL_MS);
    ck_assert_int_le(agent.retry_at_ms - fake.now_ms, 1000);
}
END_TEST

START_TEST(what_the_server_asks_for_is_the_least_and_a_fleet_is_spread)
{
    int64_t lowest = INT64_MAX, highest = 0;

    for (int i = 0; i < 200; i++) {
        agent.failures = 0;
        agent.retry_at_ms = fake.now_ms;
        server(PICKET_SEND_LATER, 503, 60);
        observe(1);
        tick_after(INTERVAL_MS);
        int64_t wait = agent.retry_at_ms - fake.now_ms;
        lowest = wait < lowest ? wait : lowest;
        highest = wait > highest ? wait : highest;
    }
    ck_assert_int_ge(lowest, 60000);
    ck_assert_int_le(lowest, 62000);
    ck_assert_int_ge(highest, 73000);
    ck_assert_int_le(highest, 75000);
}
END_TEST

START_TEST(a_server_that_asks_for_a_year_is_asked_again_within_two_hours)
{
    server(PICKET_SEND_LATER, 503, UINT32_MAX);
    observe(1);
    tick_after(INTERVAL_MS);
    ck_assert_int_ge(agent.retry_at_ms - fake.now_ms, HOUR_MS);
    ck_assert_int_le(agent.retry_at_ms - fake.now_ms, 2 * HOUR_MS);
}
END_TEST

START_TEST(the_numbering_is_saved_before_a_number_leaves)
{
    struct picket_sequence saved;

    observe(3);
    fake.now_ms += INTERVAL_MS;
    fake.power_left = 2; /* the first save, then the send */
    if (setjmp(fake.cut) == 0) {
        picket_agent_tick(&agent);
        ck_abort_msg("the power was to be cut");
    }
    ck_assert(picket_sequence_read(&saved, fake.states[0].text, fake.states[0].count));
    ck_assert_uint_eq(saved.next, 4);
}
END_TEST

static void fill_until_the_power_goes(void)
{
    if (setjmp(fake.cut) == 0) {
        for (;;)
            observe(1);
    }
}

/* The power goes at the second call, before or after its work: the first must have been the save. */
START_TEST(the_numbering_is_saved_before_a_message_is_kept)
{
    for (uint64_t dice = 0; dice < 10; dice++) {
        fake_done(&fake);
        setup();
        fake.dice = dice;
        fake.power_left = 2;
        fill_until_the_power_goes();
        ck_assert_uint_eq(fake.saves, 1);
    }
}
END_TEST

START_TEST(an_orderly_end_loses_nothing)
{
    observe(3);
    picket_agent_done(&agent);
    ck_assert_uint_eq(fake_kept_count(&fake), 1);
    start();
    observe(1);
    tick_after(INTERVAL_MS);
    tick_after(INTERVAL_MS);
    ck_assert_uint_eq(fake.sent_count, 2);
    assert_numbers(&fake.sent[0], 1, 3);
    assert_numbers(&fake.sent[1], 4, 1);
    ck_assert_ptr_nonnull(strstr(fake.sent[1].body, "\"Dropped\":[]"));
    ck_assert_mem_eq(fake.sent[0].id, fake.sent[1].id, 36);
}
END_TEST

START_TEST(what_a_power_cut_took_from_memory_is_told)
{
    observe(3);
    picket_agent_tick(&agent); /* saves that three numbers were given */
    start();
    observe(1);
    tick_after(INTERVAL_MS);
    assert_numbers(last_sent(), 4, 1);
    ck_assert(tells(last_sent(), 1, 3, "restart"));
}
END_TEST

START_TEST(what_was_kept_just_before_a_power_cut_is_not_lost)
{
    server(PICKET_SEND_LATER, 0, 0);
    observe(3);
    tick_after(0);
    char states[sizeof fake.states];
    memcpy(states, fake.states, sizeof states);
    tick_after(INTERVAL_MS);
    ck_assert_uint_eq(fake_kept_count(&fake), 1);
    memcpy(fake.states, states, sizeof states); /* as it was before the message was kept */
    start();
    server(PICKET_SEND_DONE, 204, 0);
    observe(1);
    tick_after(INTERVAL_MS);
    tick_after(INTERVAL_MS);
    assert_numbers(last_sent(), 4, 1);
    ck_assert_ptr_nonnull(strstr(last_sent()->body, "\"Dropped\":[]"));
}
END_TEST

START_TEST(a_lost_numbering_begins_a_new_epoch_and_what_is_kept_is_sent_as_it_is)
{
    char epoch[PICKET_GUID_SIZE];

    memcpy(epoch, agent.lanes[0].sequence.epoch, sizeof epoch);
    server(PICKET_SEND_LATER, 0, 0);
    observe(3);
    tick_after(INTERVAL_MS);
    fake.states[0].count /= 2;
    start();
    ck_assert_str_ne(agent.lanes[0].sequence.epoch, epoch);
    server(PICKET_SEND_DONE, 204, 0);
    size_t before = fake.sent_count;
    observe(1);
    tick_after(INTERVAL_MS);
    tick_after(INTERVAL_MS);
    ck_assert_uint_eq(fake.sent_count - before, 2);
    ck_assert_mem_eq(fake.sent[before].id, epoch, 36);
    assert_numbers(&fake.sent[before], 1, 3);
    ck_assert_mem_eq(last_sent()->id, agent.lanes[0].sequence.epoch, 36);
    assert_numbers(last_sent(), 1, 1);
}
END_TEST

START_TEST(a_kept_message_of_another_epoch_that_is_lost_is_counted)
{
    server(PICKET_SEND_LATER, 0, 0);
    observe(3);
    tick_after(INTERVAL_MS);
    fake.states[0].count = 0;
    fake.kept[fake.kept_first].damaged = true;
    start();
    server(PICKET_SEND_DONE, 204, 0);
    tick_after(HOUR_MS);
    ck_assert_uint_eq(agent.counts.dropped, 3);
    ck_assert_uint_eq(agent.lanes[0].sequence.dropped_count, 0);
}
END_TEST

START_TEST(a_save_that_failed_is_counted_and_tried_again)
{
    fake.save_fails = true;
    observe(1);
    tick_after(0);
    ck_assert_uint_ge(agent.counts.saves_failed, 1);
    fake.save_fails = false;
    unsigned before = fake.saves;
    tick_after(0);
    ck_assert_uint_eq(fake.saves, before + 1);
    tick_after(0);
    ck_assert_msg(fake.saves == before + 1, "a disk is not written without need");
}
END_TEST

START_TEST(flushing_sends_all_at_once)
{
    server(PICKET_SEND_LATER, 0, 0);
    for (int i = 0; i < 40; i++) {
        observe(1);
        tick_after(INTERVAL_MS);
    }
    server(PICKET_SEND_DONE, 204, 0);
    observe(1);
    ck_assert(picket_agent_flush(&agent));
    ck_assert_uint_eq(agent.counts.sent, 41);
}
END_TEST

START_TEST(flushing_ends_when_the_server_is_away)
{
    server(PICKET_SEND_LATER, 0, 0);
    observe(1);
    ck_assert(!picket_agent_flush(&agent));
    ck_assert_uint_eq(fake.sent_count, 1);
    ck_assert_uint_eq(fake_kept_count(&fake), 1);
}
END_TEST

START_TEST(each_priority_waits_its_own_time_under_a_numbering_of_its_own)
{
    given = &three_queues;
    start();
    ck_assert(observe_at(PICKET_LOW, PAYLOAD) && observe_at(PICKET_MEDIUM, PAYLOAD) && observe_at(PICKET_HIGH, PAYLOAD));
    ck_assert_uint_eq(tick_after(0), INTERVAL_MS);
    ck_assert_uint_eq(tick_after(INTERVAL_MS), 3 * INTERVAL_MS);
    ck_assert_uint_eq(fake.sent_count, 1);
    tick_after(3 * INTERVAL_MS);
    ck_assert_uint_eq(fake.sent_count, 2);
    tick_after(12 * INTERVAL_MS);
    ck_assert_uint_eq(fake.sent_count, 3);
    for (size_t i = 0; i < 3; i++) {
        json_t *json = parse(&fake.sent[i]);
        assert_numbers(&fake.sent[i], 1, 1);
        ck_assert_int_eq(member(json_object_get(json, "Sequence"), "Stream"), (int64_t)i);
        ck_assert_str_eq(json_string_value(json_object_get(json, "AgentId")), agent.lanes[0].sequence.agent_id);
        json_decref(json);
    }
    observe_at(PICKET_LOW, PAYLOAD);
    start();
    ck_assert_uint_eq(agent.lanes[PICKET_LOW].sequence.next, 2);
}
END_TEST

START_TEST(a_flood_of_one_priority_crowds_out_no_other)
{
    given = &three_queues;
    fake_without_spool(&fake);
    start();
    while (observe_at(PICKET_LOW, PAYLOAD))
        ;
    ck_assert(observe_at(PICKET_HIGH, PAYLOAD) && observe_at(PICKET_MEDIUM, PAYLOAD));
    ck_assert_uint_eq(agent.counts.dropped, 1);
}
END_TEST

START_TEST(a_priority_without_a_queue_shares_the_one_above)
{
    observe_at(PICKET_LOW, PAYLOAD);
    ck_assert_uint_eq(tick_after(INTERVAL_MS), 15 * INTERVAL_MS);
    observe_at(PICKET_HIGH, PAYLOAD);
    tick_after(15 * INTERVAL_MS);
    assert_numbers(last_sent(), 1, 2);
}
END_TEST

START_TEST(what_went_before_it_could_be_observed_is_told)
{
    observe(1);
    picket_agent_lose(&agent, PICKET_HIGH, 5, "watch-full");
    picket_agent_lose(&agent, PICKET_HIGH, 0, "watch-full");
    observe(1);
    tick_after(INTERVAL_MS);
    tick_after(INTERVAL_MS);
    ck_assert_uint_eq(fake.sent_count, 2);
    assert_numbers(&fake.sent[1], 7, 1);
    ck_assert(tells(&fake.sent[0], 2, 6, "watch-full") || tells(&fake.sent[1], 2, 6, "watch-full"));
    ck_assert_uint_eq(agent.counts.dropped, 5);
}
END_TEST

START_TEST(other_intervals_hold_from_now_on_and_what_waits_is_due)
{
    const struct picket_agent_settings other = {"x", {1000, 1000, 1000}, 0};

    observe(1);
    tick_after(1);
    ck_assert_uint_eq(fake.sent_count, 0);
    picket_agent_configure(&agent, &other);
    tick_after(0);
    ck_assert_uint_eq(fake.sent_count, 1);
    ck_assert_ptr_nonnull(strstr(last_sent()->body, "\"AgentVersion\":\"1.2.3\""));
    observe(1);
    ck_assert_uint_eq(tick_after(0), 1000);
}
END_TEST

/* An agent with room for messages of four times the least length, which is told to make them of the least. */
static char wide_queue[65536], wide_message[4 * PICKET_AGENT_MESSAGE_MIN];
static const struct picket_agent_memory wide = {.queues = {{wide_queue, sizeof wide_queue}}, .message = wide_message, .message_size = sizeof wide_message};
static const struct picket_agent_settings short_messages = {"x", {INTERVAL_MS, INTERVAL_MS, INTERVAL_MS}, PICKET_AGENT_MESSAGE_MIN};

START_TEST(messages_are_no_longer_than_was_asked_but_for_one_long_event)
{
    static char long_payload[PICKET_AGENT_MESSAGE_MIN + 1];
    int64_t next = 1;

    memset(long_payload, ' ', sizeof long_payload - 1);
    long_payload[0] = '[';
    memcpy(long_payload + sizeof long_payload - 4, "{}]", 3);
    given = &wide;
    start();
    picket_agent_configure(&agent, &short_messages);
    observe(40);
    ck_assert(observe_payload(long_payload));
    observe(1);
    while (picket_agent_waiting(&agent))
        tick_after(INTERVAL_MS);
    ck_assert_uint_ge(fake.sent_count, 4);
    for (size_t i = 0; i < fake.sent_count; i++) {
        const struct fake_message *sent = &fake.sent[i];
        assert_numbers(sent, next, sent->count);
        ck_assert(sent->body_count <= PICKET_AGENT_MESSAGE_MIN || sent->count == 1);
        next += sent->count;
    }
    ck_assert_int_eq(next, 43);
    ck_assert_uint_eq(agent.counts.dropped, 0);
}
END_TEST

START_TEST(a_message_that_was_tried_comes_out_the_same_under_another_length)
{
    given = &wide;
    start();
    fake.keep_fails = true;
    server(PICKET_SEND_LATER, 503, 0);
    observe(60);
    tick_after(INTERVAL_MS);
    ck_assert_uint_eq(fake.sent_count, 1);
    ck_assert_uint_gt(fake.sent[0].body_count, PICKET_AGENT_MESSAGE_MIN);
    picket_agent_configure(&agent, &short_messages);
    server(PICKET_SEND_DONE, 204, 0);
    tick_after(HOUR_MS);
    ck_assert_uint_ge(fake.sent_count, 2);
    ck_assert_str_eq(fake.sent[1].id, fake.sent[0].id);
    ck_assert_uint_eq(fake.sent[1].body_count, fake.sent[0].body_count);
    ck_assert_mem_eq(fake.sent[1].body, fake.sent[0].body, fake.sent[0].body_count);
}
END_TEST

/* What the server knows at the end of a run of accidents. */
enum { NUMBERS_MAX = 60000 };
static struct {
    bool arrived, told;
} ledger[PICKET_PRIORITIES][NUMBERS_MAX];

/* What arrived is read as the server would. */
static void read_ledger(void)
{
    memset(ledger, 0, sizeof ledger);
    for (size_t i = 0; i < fake.sent_count; i++) {
        const struct fake_message *sent = &fake.sent[i];
        if (sent->answer != PICKET_SEND_DONE)
            continue;
        json_t *json = parse(sent), *range;
        const json_t *sequence = json_object_get(json, "Sequence");
        int64_t first = member(sequence, "First"), count = member(sequence, "Count"), stream = member(sequence, "Stream");
        ck_assert_int_lt(first + count, NUMBERS_MAX);
        for (int64_t number = first; number < first + count; number++)
            ledger[stream][number].arrived = true;
        size_t at;
        json_array_foreach(json_object_get(sequence, "Dropped"), at, range) {
            for (int64_t number = member(range, "From"); number <= member(range, "To"); number++)
                ledger[stream][number].told = true;
        }
        json_decref(json);
    }
}

static int compare_messages(const void *a, const void *b)
{
    return strcmp(((const struct fake_message *)a)->id, ((const struct fake_message *)b)->id);
}

/* Under one id there is one body, whatever happened in between: else the server would store its events twice. */
static void assert_one_body_per_id(void)
{
    qsort(fake.sent, fake.sent_count, sizeof *fake.sent, compare_messages);
    for (size_t i = 1; i < fake.sent_count; i++) {
        if (strcmp(fake.sent[i].id, fake.sent[i - 1].id) == 0)
            ck_assert_str_eq(fake.sent[i].body, fake.sent[i - 1].body);
    }
}

static void have_an_accident(void)
{
    switch (fake_roll(&fake) % 12) {
    case 0: server(PICKET_SEND_LATER, 0, 0); break;
    case 1: server(PICKET_SEND_REFUSED, 400, 0); break;
    case 2: fake.keep_fails = fake_roll(&fake) % 3 == 0; break;
    case 3: fake.power_left = 1 + (unsigned)(fake_roll(&fake) % 12); break;
    case 4:
        if (fake_kept_count(&fake))
            fake.kept[fake.kept_first + fake_roll(&fake) % fake_kept_count(&fake)].damaged = true;
        break;
    default: server(PICKET_SEND_DONE, 204, 0); break;
    }
}

static void live_a_little(void)
{
    for (uint64_t events = fake_roll(&fake) % 8; events; events--)
        (void)observe_at((enum picket_priority)(fake_roll(&fake) % PICKET_PRIORITIES), PAYLOAD);
    tick_after((int64_t)(fake_roll(&fake) % 40000));
}

/* A number that nothing tells of would be a loss in silence. */
static void suffer(unsigned seed)
{
    fake.dice = seed * 7919 + 1;
    fake.kept_max = 1 + seed % 7;
    given = seed % 2 ? &three_queues : &memory;
    if (setjmp(fake.cut) != 0)
        fake.power_left = 0;
    start();
    while (fake.sent_count < 500) {
        have_an_accident();
        live_a_little();
    }
    fake.power_left = 0;
    fake.keep_fails = false;
    server(PICKET_SEND_DONE, 204, 0);
    for (int i = 0; i < 3; i++) {
        for (unsigned priority = 0; priority < PICKET_PRIORITIES; priority++)
            ck_assert(observe_at(priority, PAYLOAD));
        tick_after(HOUR_MS);
        tick_after(HOUR_MS);
    }
    ck_assert_uint_eq(fake_kept_count(&fake), 0);
    ck_assert(!picket_agent_waiting(&agent));
    read_ledger();
    for (unsigned stream = 0; stream < PICKET_PRIORITIES; stream++) {
        const struct picket_sequence *sequence = &agent.lanes[stream].sequence;
        for (uint64_t number = 1; number < sequence->next; number++)
            ck_assert_msg(ledger[stream][number].arrived || ledger[stream][number].told, "%llu of %llu in stream %u with seed %u",
                          (unsigned long long)number, (unsigned long long)sequence->next, stream, seed);
    }
    assert_one_body_per_id();
}

START_TEST(through_outages_power_cuts_and_refusals_every_number_arrives_or_is_told)
{
    for (unsigned seed = 0; seed < 60; seed++) {
        suffer(seed);
        fake_done(&fake);
        fake_init(&fake);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        an_event_waits_for_others_and_then_leaves_with_them,
        a_message_has_the_members_of_the_classic_schema,
        an_empty_list_is_told_as_one,
        a_full_message_does_not_wait_for_its_time,
        numbers_go_on_across_messages,
        what_is_kept_while_the_server_is_away_arrives_in_order_under_the_same_ids,
        a_message_is_the_same_to_the_byte_when_it_is_sent_again,
        without_a_spool_the_queue_is_sent_again,
        with_a_broken_spool_the_queue_is_sent_again,
        a_full_queue_drops_the_newest_and_tells,
        a_full_queue_is_kept_before_anything_is_dropped,
        an_event_too_long_for_a_message_is_dropped_and_told,
        an_event_longer_than_the_whole_queue_is_told_as_too_large,
        a_full_spool_drops_its_oldest_and_tells,
        what_waited_too_long_is_dropped_and_told,
        a_long_outage_with_a_full_spool_is_one_loss,
        a_refused_message_is_told_and_holds_nothing_up,
        a_kept_message_that_is_refused_is_told_and_holds_nothing_up,
        a_damaged_message_is_told_and_holds_nothing_up,
        a_loss_is_told_again_until_a_message_with_it_arrives,
        waits_double_with_jitter_up_to_five_minutes_and_end_with_success,
        what_the_server_asks_for_is_the_least_and_a_fleet_is_spread,
        a_server_that_asks_for_a_year_is_asked_again_within_two_hours,
        the_numbering_is_saved_before_a_number_leaves,
        the_numbering_is_saved_before_a_message_is_kept,
        an_orderly_end_loses_nothing,
        what_a_power_cut_took_from_memory_is_told,
        what_was_kept_just_before_a_power_cut_is_not_lost,
        a_lost_numbering_begins_a_new_epoch_and_what_is_kept_is_sent_as_it_is,
        a_kept_message_of_another_epoch_that_is_lost_is_counted,
        a_save_that_failed_is_counted_and_tried_again,
        flushing_sends_all_at_once,
        flushing_ends_when_the_server_is_away,
        each_priority_waits_its_own_time_under_a_numbering_of_its_own,
        a_flood_of_one_priority_crowds_out_no_other,
        a_priority_without_a_queue_shares_the_one_above,
        what_went_before_it_could_be_observed_is_told,
        other_intervals_hold_from_now_on_and_what_waits_is_due,
        messages_are_no_longer_than_was_asked_but_for_one_long_event,
        a_message_that_was_tried_comes_out_the_same_under_another_length,
        through_outages_power_cuts_and_refusals_every_number_arrives_or_is_told,
    };

    return check_main(&(const struct check_suite){
        .name = "agent/agent",
        .tests = tests,
        .count = sizeof tests / sizeof *tests,
        .setup = setup,
        .teardown = teardown,
        .timeout_seconds = 60,
    });
}
