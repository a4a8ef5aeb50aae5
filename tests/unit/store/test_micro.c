#include "store/micro.h"

#include "tests/support/check_main.h"
#include "tests/unit/store/message.h"

/* Bodies of both builders as rows. */
#define SAMPLES "tests/unit/store/samples/micro/"
#define BODY_MAX 4096
#define TAIL(source, id, time) \
    "\"DeviceId\":\"pump-1\",\"MessageSource\":\"" source "\",\"OriginalEventId\":\"" id "\",\"TimestampUTC\":\"" time "\"}"

static struct arena arena;
static char bytes[BODY_MAX];

static void setup(void)
{
    arena_init(&arena);
}

static void teardown(void)
{
    arena_done(&arena);
}

static struct device_message sample(const char *name, const char *properties)
{
    char path[256];

    snprintf(path, sizeof path, SAMPLES "%s.bin", name);
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s", path);
    struct text body = {bytes, fread(bytes, 1, sizeof bytes, file)};
    fclose(file);
    struct device_message message = message_of(body);
    message.record.claims_json = false;
    message.record.properties = message_span(text_of(properties));
    return message;
}

static struct device_message decoded(const char *name, const char *properties)
{
    struct device_message message = sample(name, properties);

    message_decode(&message, &arena);
    return message;
}

#define LINUX "{\"mti\":\"2.3-1-1-0\"}"
#define RTOS "{\"mti\":\"2.3-1-0-0\",\"$.ifid\":\"urn:azureiot:Security:SecurityAgent:1\"}"

START_TEST(a_process_is_a_row_with_its_columns)
{
    struct device_message message = decoded("process", LINUX);

    ck_assert_uint_eq(message.row_count, 2);
    ck_assert_text_eq(message.agent_version, "3.5.4");
    ck_assert_uint_eq(message.departures.count, 0);
    const struct event_row *row = &message.rows[0];
    ck_assert_text_eq(row->name, "Process");
    ck_assert_text_eq(row->category, "Triggered");
    ck_assert_text_eq(row->type, "Security");
    ck_assert_text_eq(row->sender_event_id, "81888f96-9da4-4bb2-b9c0-c7ced5dce3ea");
    ck_assert_int_eq(row->time_stamp_us, INT64_C(1659340800000000));
    ck_assert_int_eq(row->hit_count, 7);
    ck_assert_text_eq(row->executable, "/bin/dash");
    ck_assert_text_eq(row->process_id, "2211");
    ck_assert_text_eq(row->user_name, "admin");
    ck_assert_text_eq(row->extra, "{\"CollectionInterval\":7200}");
    ck_assert(!row->is_empty);
    ck_assert_text_eq(row->details.text,
                      "{\"Executable\":\"/bin/dash\",\"ProcessId\":2211,\"ParentProcessId\":2200,\"UserName\":\"admin\","
                      "\"UserId\":1000,\"Commandline\":\"/bin/sh -c id\",\"EventType\":\"EXEC\",\"HitCount\":7," TAIL(
                          "Linux", "81888f96-9da4-4bb2-b9c0-c7ced5dce3ea", "2022-08-01T08:00:00Z"));
    ck_assert_uint_eq(row->departures.count, 0);
    ck_assert_text_eq(message.rows[1].details.text,
                      "{\"Executable\":\"/usr/bin/id\",\"ProcessId\":2212,\"ParentProcessId\":2200,\"UserName\":\"admin\","
                      "\"UserId\":1000,\"Commandline\":\"id\",\"EventType\":\"FORK\",\"HitCount\":1," TAIL(
                          "Linux", "91989fa6-adb4-4bc2-89d0-d7dee5ecf3fa", "2022-08-01T08:00:01Z"));
}
END_TEST

START_TEST(each_connection_of_both_families_is_a_row)
{
    struct device_message message = decoded("rtos_multi_event", RTOS);

    ck_assert_uint_eq(message.row_count, 6);
    ck_assert_text_eq(message.rows[0].name, "SystemInformation");
    ck_assert_text_eq(message.rows[0].details.text, "{\"OSInfo\":\"Azure RTOS 6.2\"," TAIL(
                                                        "AzureRTOS", "31383f46-4d54-4b62-a970-777e858c939a", "2022-08-01T08:00:00Z"));
    ck_assert_text_eq(message.rows[1].name, "Heartbeat");
    ck_assert(message.rows[1].is_empty);
    const struct event_row *row = &message.rows[2];
    ck_assert_text_eq(row->name, "NetworkActivity");
    ck_assert_int_eq(row->element, 0);
    ck_assert_text_eq(row->remote_address, "198.51.100.7");
    ck_assert_int_eq(row->remote_port, 443);
    ck_assert_int_eq(row->local_port, 50112);
    ck_assert_text_eq(row->details.text,
                      "{\"LocalAddress\":\"10.0.0.4\",\"RemoteAddress\":\"198.51.100.7\",\"LocalPort\":50112,"
                      "\"RemotePort\":443,\"BytesIn\":18321,\"BytesOut\":2210,\"Protocol\":\"TCP\"," TAIL(
                          "AzureRTOS", "51585f66-6d74-4b82-8990-979ea5acb3ba", "2022-08-01T08:00:05Z"));
    ck_assert_text_eq(message.rows[4].details.text,
                      "{\"LocalAddress\":\"10.0.0.4\",\"RemoteAddress\":\"203.0.113.9\",\"LocalPort\":0,"
                      "\"RemotePort\":0,\"BytesIn\":84,\"BytesOut\":84,\"Protocol\":\"ICMP\"," TAIL(
                          "AzureRTOS", "51585f66-6d74-4b82-8990-979ea5acb3ba", "2022-08-01T08:00:05Z"));
    ck_assert_int_eq(message.rows[5].element, 3);
    ck_assert_text_eq(message.rows[5].remote_address, "2001:db8::1");
    ck_assert_text_eq(message.rows[5].details.text,
                      "{\"LocalAddress\":\"2001:db8::4\",\"RemoteAddress\":\"2001:db8::1\",\"LocalPort\":5683,"
                      "\"RemotePort\":40001,\"BytesIn\":120,\"BytesOut\":64,\"Protocol\":\"UDP\"," TAIL(
                          "AzureRTOS", "51585f66-6d74-4b82-8990-979ea5acb3ba", "2022-08-01T08:00:05Z"));
}
END_TEST

START_TEST(a_check_a_log_record_and_a_port_keep_all_they_say)
{
    struct device_message message = decoded("baseline", LINUX);
    ck_assert_uint_eq(message.row_count, 2);
    ck_assert_text_eq(message.rows[0].details.text,
                      "{\"BaselineCheckId\":\"CIS-debian-9-Filesystem-1.1.2\",\"BaselineCheckResult\":\"FAIL\","
                      "\"BaselineCheckDescription\":\"/tmp is on its own partition\",\"BaselineCheckError\":\"\","
                      "\"BaselineCheckSeverity\":\"IMPORTANT\",\"BaselineCheckRemediation\":\"Give /tmp its own mount\"," TAIL(
                          "Linux", "71787f86-8d94-4ba2-a9b0-b7bec5ccd3da", "2022-08-01T08:00:00Z"));
    ck_assert_text_eq(message.rows[1].details.text,
                      "{\"BaselineCheckId\":\"CIS-debian-9-Example-6.2.8\",\"BaselineCheckResult\":\"PASS\","
                      "\"BaselineCheckSeverity\":\"CRITICAL\"," TAIL("Linux", "71787f86-8d94-4ba2-a9b0-b7bec5ccd3da",
                                                                     "2022-08-01T08:00:00Z"));

    message = decoded("log", LINUX);
    ck_assert_uint_eq(message.row_count, 1);
    ck_assert_text_eq(message.rows[0].details.text,
                      "{\"Message\":\"collector init failed\",\"Level\":\"ERROR\",\"Timestamp\":1659340799,"
                      "\"Filename\":\"collector_process.c\",\"Line\":87," TAIL(
                          "Linux", "a1a8afb6-bdc4-4bd2-99e0-e7eef5fc030a", "2022-08-01T08:00:00Z"));

    message = decoded("listeningports", LINUX);
    ck_assert_uint_eq(message.row_count, 2);
    ck_assert_int_eq(message.rows[1].local_port, 5353);
    ck_assert_text_eq(message.rows[1].details.text,
                      "{\"Protocol\":\"UDP\",\"LocalAddress\":\"127.0.0.1\",\"LocalPort\":5353," TAIL(
                          "Linux", "61686f76-7d84-4b92-99a0-a7aeb5bcc3ca", "2022-08-01T08:00:00Z"));
}
END_TEST

START_TEST(an_unknown_payload_keeps_its_event_and_the_whole_body)
{
    struct device_message message = decoded("another_builder", LINUX);

    ck_assert_uint_eq(message.row_count, 8);
    ck_assert_text_eq(message.rows[3].details.text,
                      "{\"Protocol\":\"UDP\",\"LocalAddress\":\"::1\",\"LocalPort\":53," TAIL(
                          "Linux", "03030303-0303-4303-8303-030303030303", "2023-11-14T22:13:20Z"));
    const struct event_row *row = &message.rows[6];
    ck_assert_text_eq(row->name, "Payload9");
    ck_assert_text_eq(row->type, "Custom");
    ck_assert(!row->is_empty);
    ck_assert_str_eq(departures_text(&row->departures, &arena), "enum:payload_type=9");
    ck_assert_text_eq(message.rows[7].name, "Custom");
    ck_assert(text_starts(message.rows[7].details.text, TEXT("{\"ContentType\":\"\",\"Encoding\":\"base64\",\"Body\":\"EAAAAAwAEAA")));
}
END_TEST

START_TEST(a_newer_minor_schema_is_read_and_kept_whole)
{
    struct device_message message = decoded("process", "{\"mti\":\"2.4-1-1-0\"}");

    ck_assert_uint_eq(message.row_count, 3);
    ck_assert_text_eq(message.rows[0].name, "Process");
    ck_assert_text_eq(message.rows[2].name, "Custom");
    ck_assert_str_eq(departures_text(&message.departures, &arena), "enum:mti=2.4-1-1-0");
}
END_TEST

START_TEST(an_indicator_of_another_form_leaves_the_body_as_it_is)
{
    struct device_message message = decoded("process", "{\"mti\":\"3.0-1-1-0\"}");
    ck_assert_uint_eq(message.row_count, 1);
    ck_assert_text_eq(message.rows[0].name, "Custom");
    ck_assert_str_eq(departures_text(&message.departures, &arena), "enum:mti=3.0-1-1-0");

    message = decoded("process", "{\"colour\":\"2.3-1-1-0\"}");
    ck_assert_uint_eq(message.row_count, 1);
    ck_assert_uint_eq(message.departures.count, 0);
}
END_TEST

START_TEST(headers_may_write_the_indicator_as_they_like)
{
    struct device_message message = decoded("rtos_heartbeat", "{\"MTI\":\"2.3-1-0-0\"}");

    ck_assert_uint_eq(message.row_count, 1);
    ck_assert_text_eq(message.rows[0].name, "Heartbeat");
}
END_TEST

START_TEST(a_broken_body_is_rejected_with_the_place)
{
    struct device_message message = sample("process", LINUX);
    struct classic_decoder decoder;
    struct problem why;

    message.body.count -= 1;
    classic_decoder_init(&decoder, PICKET_JSON_DEPTH_MAX);
    ck_assert_int_eq(classic_decode(&decoder, &message, &arena, &why), STATUS_REJECT);
    classic_decoder_done(&decoder);
    ck_assert_msg(strstr(why.text, "the body claims to be FlatBuffers and is not: ") == why.text, "%s", why.text);
    ck_assert_msg(strstr(why.text, "(byte ") != NULL, "%s", why.text);
}
END_TEST

/* Where a byte of the sample lies, to change it. */
static char *place(const struct device_message *message, const char *what)
{
    char *at = memmem(bytes, message->body.count, what, strlen(what));

    ck_assert_msg(at != NULL, "%s", what);
    return at;
}

START_TEST(what_postgresql_cannot_hold_is_replaced_and_noted)
{
    struct device_message message = sample("process", LINUX);

    memcpy(place(&message, "/bin/dash"), "/b\xff\0n", 5);
    message_decode(&message, &arena);
    ck_assert_text_eq(message.rows[0].executable, "/b\xef\xbf\xbd\xef\xbf\xbdndash");
    ck_assert(departures_have(&message.rows[0].departures, "encoding:Payload.Executable"));
    ck_assert(departures_have(&message.rows[0].departures, "nul:Payload.Executable"));
}
END_TEST

START_TEST(values_without_a_word_stay_numbers)
{
    struct device_message message = sample("baseline", LINUX);

    bytes[0x84] = 9; /* the first check's result, */
    bytes[0x90] = 8; /* and its severity */
    message_decode(&message, &arena);
    ck_assert_str_eq(departures_text(&message.rows[0].departures, &arena),
                     "enum:Payload.BaselineCheckResult=9 enum:Payload.BaselineCheckSeverity=8");
    ck_assert_ptr_nonnull(strstr(message.rows[0].details.text.bytes, "\"BaselineCheckResult\":9,"));
}
END_TEST

START_TEST(a_clock_that_was_never_set_is_noted)
{
    struct device_message message = sample("rtos_heartbeat", RTOS);
    static const char time[] = {0x00, (char)0x88, (char)0xe7, 0x62};

    char *at = memmem(bytes, message.body.count, time, sizeof time);
    ck_assert_ptr_nonnull(at);
    memcpy(at, "\x3c\0\0\0", 4);
    message_decode(&message, &arena);
    ck_assert_int_eq(message.rows[0].time_stamp_us, 60 * 1000000);
    ck_assert(departures_have(&message.rows[0].departures, "clock-implausible"));

    memcpy(at, "\0\0\0\0", 4);
    message_decode(&message, &arena);
    ck_assert_int_eq(message.rows[0].time_stamp_us, MESSAGE_RECEIVED_US);
    ck_assert(departures_have(&message.rows[0].departures, "missing:time"));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_process_is_a_row_with_its_columns,
        each_connection_of_both_families_is_a_row,
        a_check_a_log_record_and_a_port_keep_all_they_say,
        an_unknown_payload_keeps_its_event_and_the_whole_body,
        a_newer_minor_schema_is_read_and_kept_whole,
        an_indicator_of_another_form_leaves_the_body_as_it_is,
        headers_may_write_the_indicator_as_they_like,
        a_broken_body_is_rejected_with_the_place,
        what_postgresql_cannot_hold_is_replaced_and_noted,
        values_without_a_word_stay_numbers,
        a_clock_that_was_never_set_is_noted,
    };
    const struct check_suite suite = {"store/micro", tests, sizeof tests / sizeof *tests, setup, teardown, 30};
    return check_main(&suite);
}
