#include "store/classic.h"

#include "runtime/buf.h"
#include "tests/support/check_main.h"
#include "tests/unit/store/message.h"

static struct arena arena;
static struct problem why;

static void setup(void)
{
    arena_init(&arena);
}

static void teardown(void)
{
    arena_done(&arena);
}

static struct device_message decoded(const char *body)
{
    struct device_message message = message_of(text_of(body));

    message_decode(&message, &arena);
    return message;
}

static const struct event_row *only_row(const struct device_message *message)
{
    ck_assert_uint_eq(message->row_count, 1);
    return &message->rows[0];
}

START_TEST(an_event_fills_the_columns)
{
    struct device_message message = decoded(
        ENVELOPE_OPEN EVENT_OPEN("Triggered", "ConnectionCreate", "Security", "false")
        "[{\"RemoteAddress\":\"10.0.0.1\",\"RemotePort\":\"8080\",\"LocalPort\":\"22\",\"Direction\":\"In\",\"Protocol\":\"tcp\","
        "\"ProcessId\":77,\"UserId\":\"0\",\"Executable\":\"\\/usr\\/sbin\\/sshd\",\"ExtraDetails\":{\"HitCount\":\"12\"}}]"
        EVENT_CLOSE ENVELOPE_CLOSE);
    const struct event_row *row = only_row(&message);

    ck_assert_text_eq(message.agent_version, "0.0.6");
    ck_assert_text_eq(message.agent_id, "5aebd46d-3a56-4d4f-9f6b-9d5e2a4b6c70");
    ck_assert_none(message.extra);
    ck_assert_text_eq(row->type, "Security");
    ck_assert_text_eq(row->category, "Triggered");
    ck_assert_text_eq(row->name, "ConnectionCreate");
    ck_assert_text_eq(row->sender_event_id, "072f3eca-3db0-45ba-8174-fa383bc93caf");
    ck_assert_text_eq(row->time_local, "2026-01-02T11:00:00+01:00");
    ck_assert_int_eq(row->time_stamp_us, MESSAGE_RECEIVED_US);
    ck_assert_int_eq(row->element, 0);
    ck_assert(!row->is_empty);
    ck_assert_int_eq(row->hit_count, 12);
    ck_assert_text_eq(row->remote_address, "10.0.0.1");
    ck_assert_int_eq(row->remote_port, 8080);
    ck_assert_int_eq(row->local_port, 22);
    ck_assert_text_eq(row->executable, "/usr/sbin/sshd");
    ck_assert_text_eq(row->process_id, "77");
    ck_assert_text_eq(row->user_name, "0");
    ck_assert_none(row->extra);
    ck_assert(text_starts(row->details.text, TEXT("{\"RemoteAddress\":\"10.0.0.1\",\"RemotePort\":\"8080\",")));
}
END_TEST

START_TEST(each_payload_element_is_a_row)
{
    struct device_message message = decoded(ENVELOPE_OPEN EVENT_OPEN("Triggered", "Login", "Security", "false")
                                            "[{\"a\":1},{\"b\":2},{\"c\":3}]" EVENT_CLOSE ","
                                            EVENT_OPEN("Periodic", "LocalUsers", "Security", "false") "[{\"d\":4}]"
                                            EVENT_CLOSE ENVELOPE_CLOSE);
    static const char *const details[] = {"{\"a\":1}", "{\"b\":2}", "{\"c\":3}", "{\"d\":4}"};
    static const int32_t elements[] = {0, 1, 2, 0};

    ck_assert_uint_eq(message.row_count, 4);
    for (size_t i = 0; i < 4; i++) {
        ck_assert_text_eq(message.rows[i].details.text, details[i]);
        ck_assert_int_eq(message.rows[i].element, elements[i]);
        ck_assert_text_eq(message.rows[i].name, i < 3 ? "Login" : "LocalUsers");
    }
}
END_TEST

START_TEST(an_empty_payload_is_one_row_of_an_empty_object)
{
    static const char *const bodies[] = {
        ENVELOPE_OPEN EVENT_OPEN("Periodic", "ListeningPorts", "Security", "true") "[]" EVENT_CLOSE ENVELOPE_CLOSE,
        ENVELOPE_OPEN "{\"Name\":\"ListeningPorts\"}" ENVELOPE_CLOSE,
    };

    for (size_t i = 0; i < 2; i++) {
        struct device_message message = decoded(bodies[i]);
        const struct event_row *row = only_row(&message);
        ck_assert(row->is_empty);
        ck_assert_text_eq(row->details.text, "{}");
        ck_assert_none(row->details.key_order);
        ck_assert_text_eq(row->name, "ListeningPorts");
        ck_assert_int_eq(row->hit_count, 1);
        ck_assert_int_eq(row->remote_port, EVENT_PORT_NONE);
    }
}
END_TEST

START_TEST(a_payload_that_is_no_list_is_kept_as_one_element)
{
    static const char *const payloads[] = {"{\"a\":1}", "\"text\"", "null", "7"};

    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        struct device_message message = decoded(arena_format(
            &arena, ENVELOPE_OPEN "%s%s" EVENT_CLOSE ENVELOPE_CLOSE,
            EVENT_OPEN("Triggered", "Login", "Security", "false"), payloads[i]));
        ck_assert_text_eq(only_row(&message)->details.text, payloads[i]);
        ck_assert(departures_have(&message.rows[0].departures, "type:Payload"));
    }
}
END_TEST

START_TEST(an_event_that_is_no_object_is_kept)
{
    struct device_message message = decoded(ENVELOPE_OPEN "7,[1,2],{\"Name\":\"Login\",\"Payload\":[{}]}" ENVELOPE_CLOSE);

    ck_assert_uint_eq(message.row_count, 3);
    ck_assert_text_eq(message.rows[0].type, "Custom");
    ck_assert_text_eq(message.rows[0].details.text, "7");
    ck_assert_text_eq(message.rows[1].details.text, "[1,2]");
    ck_assert_text_eq(message.rows[2].name, "Login");
}
END_TEST

START_TEST(an_envelope_without_events_keeps_its_document)
{
    struct device_message message = decoded("{\"AgentVersion\":\"1\",\"Events\":[],\"Note\":{\"b\":1,\"a\":2}}");
    const struct event_row *row = only_row(&message);

    ck_assert_text_eq(row->type, "Custom");
    ck_assert_text_eq(row->details.text, "{\"AgentVersion\":\"1\",\"Events\":[],\"Note\":{\"b\":1,\"a\":2}}");
    ck_assert(departures_have(&message.departures, "empty:Events"));
    ck_assert(departures_have(&row->departures, "empty:Events"));
}
END_TEST

START_TEST(any_other_json_is_custom)
{
    static const char *const bodies[] = {"{}", "[]", "7", "\"\"", "null", "{\"Events\":7}", "[{\"Events\":[]}]",
                                         "{\"temperature\":21.5}"};

    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct device_message message = decoded(bodies[i]);
        const struct event_row *row = only_row(&message);
        ck_assert_text_eq(row->type, "Custom");
        ck_assert_text_eq(row->name, "Custom");
        ck_assert_text_eq(row->details.text, bodies[i]);
        ck_assert_int_eq(row->time_stamp_us, MESSAGE_RECEIVED_US);
        ck_assert_uint_eq(row->departures.count, 0);
    }
}
END_TEST

static const struct event_row *bytes_row(struct text body, struct text type, struct device_message *message)
{
    *message = message_of(body);
    message->record.claims_json = false;
    message->record.content_type = message_span(type);
    message_decode(message, &arena);
    return only_row(message);
}

START_TEST(bytes_are_kept_as_base64_with_their_content_type)
{
    struct device_message message;
    const struct event_row *row = bytes_row((struct text){"\x00\xff\x10", 3}, TEXT("image/\"png\""), &message);

    ck_assert_text_eq(row->type, "Custom");
    ck_assert_text_eq(row->details.text, "{\"ContentType\":\"image/\\\"png\\\"\",\"Encoding\":\"base64\",\"Body\":\"AP8Q\"}");
    ck_assert_uint_eq(row->details.key_order.count, 3);
    ck_assert_text_eq(bytes_row(TEXT(""), TEXT(""), &message)->details.text,
                      "{\"ContentType\":\"\",\"Encoding\":\"base64\",\"Body\":\"\"}");
    ck_assert_text_eq(bytes_row(TEXT("hi"), TEXT("x\xff"), &message)->details.text,
                      "{\"ContentType\":\"x\xef\xbf\xbd\",\"Encoding\":\"base64\",\"Body\":\"aGk=\"}");
    ck_assert_text_eq(bytes_row(TEXT("hi"), TEXT("x\0y"), &message)->details.text,
                      "{\"ContentType\":\"\",\"Encoding\":\"base64\",\"Body\":\"aGk=\"}");
}
END_TEST

START_TEST(a_content_type_of_any_length_is_cut)
{
    struct device_message message;
    size_t count = 2 * (size_t)PICKET_BODY_HARD_MAX;
    char *type = arena_alloc(&arena, 1, count);

    memset(type, '\x01', count);
    ck_assert_uint_lt(bytes_row(TEXT("hi"), (struct text){type, count}, &message)->details.text.count, 8192);
}
END_TEST

START_TEST(a_body_claims_json_by_type_encoding_or_first_byte)
{
    static const struct {
        const char *type, *properties, *body;
        bool json;
    } cases[] = {
        {"", "", " {\"a\":1}", true},
        {"", "", "[1]", true},
        {"", "", "7", false},
        {"text/plain", "", "{}", false},
        {"application/octet-stream", "", "{}", true}, /* says nothing */
        {"application/octet-stream", "", "x", false},
        {"application/json; charset=utf-8", "", "7", true},
        {"APPLICATION/JSON", "", "7", true},
        {"application/cloudevents+json", "", "7", true},
        {"application/vnd.microsoft.iothub.json", "", "[]", true},
        {"text/plain", "{\"$.ce\":\"application/json\"}", "7", true},
        {"text/plain", "{\"$.ct\":\"application/json\"}", "7", true},
        {"text/plain", "{\"colour\":\"application/json\"}", "7", false},
        {"text/plain", "not json", "7", false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct device_message message = message_of(text_of(cases[i].body));
        message.record.claims_json = false;
        message.record.content_type = message_span(text_of(cases[i].type));
        message.record.properties = message_span(text_of(cases[i].properties));
        message_decode(&message, &arena);
        bool base64 = text_ends(only_row(&message)->details.text, TEXT("=\"}")) ||
                      text_starts(message.rows[0].details.text, TEXT("{\"ContentType\":"));
        ck_assert_msg(base64 != cases[i].json, "case %zu: %.*s", i, TEXT_ARGS(message.rows[0].details.text));
    }
}
END_TEST

START_TEST(a_claim_that_is_not_kept_is_refused_with_its_place)
{
    struct device_message message = message_of(TEXT("{\"a\":\n]"));
    struct classic_decoder decoder;

    classic_decoder_init(&decoder, PICKET_JSON_DEPTH_MAX);
    ck_assert_int_eq(classic_decode(&decoder, &message, &arena, &why), STATUS_REJECT);
    ck_assert_ptr_nonnull(strstr(why.text, "line 2, column 1"));
    message = message_of(TEXT("")); /* an empty body too */
    ck_assert_int_eq(classic_decode(&decoder, &message, &arena, &why), STATUS_REJECT);
    classic_decoder_done(&decoder);
}
END_TEST

START_TEST(members_that_no_column_holds_go_to_extra)
{
    struct device_message message =
        decoded("{\"AgentVersion\":2,\"AgentId\":\"5AEBD46D-3A56-4D4F-9F6B-9D5E2A4B6C70\",\"MessageSchemaVersion\":\"3.0\","
                "\"Site\":{\"b\":1,\"a\":2},\"Events\":[{\"Name\":\"Login\",\"Id\":7,\"Hint\":[true],\"IsEmpty\":true,"
                "\"PayloadSchemaVersion\":\"1.0\",\"TimestampUTC\":\"soon\",\"TimestampLocal\":\"late\",\"Payload\":[{}]}]}");
    const struct event_row *row = only_row(&message);

    ck_assert_none(message.agent_id); /* a uuid column would print it in lower case */
    ck_assert_none(message.agent_version);
    ck_assert_text_eq(message.extra, "{\"AgentVersion\":2,\"AgentId\":\"5AEBD46D-3A56-4D4F-9F6B-9D5E2A4B6C70\","
                                     "\"MessageSchemaVersion\":\"3.0\",\"Site\":{\"b\":1,\"a\":2}}");
    ck_assert_text_eq(row->extra, "{\"Id\":7,\"Hint\":[true],\"IsEmpty\":true,\"TimestampUTC\":\"soon\"}");
    ck_assert_text_eq(row->time_local, "late");
    ck_assert_none(row->sender_event_id);
}
END_TEST

START_TEST(is_operational_names_the_type_only_where_nothing_else_does)
{
    struct device_message message =
        decoded(ENVELOPE_OPEN "{\"IsOperational\":true,\"Payload\":[{}]},{\"IsOperational\":false,\"Payload\":[{}]},"
                              "{\"EventType\":\"Security\",\"IsOperational\":true,\"Payload\":[{}]},"
                              "{\"Name\":\"Diagnostic\",\"Payload\":[{}]},{\"Name\":\"Tea\",\"Payload\":[{}]}" ENVELOPE_CLOSE);

    ck_assert_uint_eq(message.row_count, 5);
    ck_assert_text_eq(message.rows[0].type, "Operational");
    ck_assert_none(message.rows[0].extra);
    ck_assert_text_eq(message.rows[1].type, "Security");
    ck_assert_text_eq(message.rows[2].type, "Security");
    ck_assert_text_eq(message.rows[2].extra, "{\"IsOperational\":true}");
    ck_assert_text_eq(message.rows[3].type, "Diagnostic"); /* what the schema asks of it */
    ck_assert_text_eq(message.rows[4].type, "");
}
END_TEST

START_TEST(all_forms_of_time_are_read)
{
    static const struct {
        const char *sent;
        int64_t us;
    } cases[] = {
        {"2026-01-02T09:00:00Z", -3600000000},
        {"2026-01-02T10:00:00.250Z", 250000},
        {"2026-01-02T10:00:00", 0},
        {"2026-01-02 10:00:00Z", 0},
        {"2026-01-02 10:00:00GMT", 0},
        {"2026-01-02 10:00:00UTC", 0},
        {"2026-01-02T11:00:00+01:00", 0},
        {"01/02/2026 09:00:00", 0}, /* none: the time of receipt */
        {"", 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct device_message message = decoded(arena_format(
            &arena, ENVELOPE_OPEN "{\"TimestampUTC\":\"%s\",\"Payload\":[{}]}" ENVELOPE_CLOSE, cases[i].sent));
        ck_assert_msg(only_row(&message)->time_stamp_us == MESSAGE_RECEIVED_US + cases[i].us, "%s", cases[i].sent);
    }
}
END_TEST

START_TEST(an_implausible_clock_is_kept_as_sent)
{
    struct device_message message =
        decoded(ENVELOPE_OPEN "{\"TimestampUTC\":\"1970-01-01T00:00:09Z\",\"Payload\":[{}]}" ENVELOPE_CLOSE);

    ck_assert_int_eq(only_row(&message)->time_stamp_us, 9000000);
    ck_assert(departures_have(&message.rows[0].departures, "clock-implausible"));
}
END_TEST

START_TEST(values_that_do_not_fit_a_column_leave_it_empty)
{
    struct device_message message =
        decoded(PROCESS_CREATE("{\"RemoteAddress\":\"here\",\"RemotePort\":\"65536\",\"LocalPort\":\"22,53\",\"ProcessId\":"
                               "9223372036854775808,\"Executable\":7,\"UserName\":null,\"UserId\":[0],\"ExtraDetails\":"
                               "{\"HitCount\":-4}}"));
    const struct event_row *row = only_row(&message);

    ck_assert_none(row->remote_address);
    ck_assert_int_eq(row->remote_port, EVENT_PORT_NONE);
    ck_assert_int_eq(row->local_port, EVENT_PORT_NONE);
    ck_assert_none(row->process_id);
    ck_assert_none(row->executable);
    ck_assert_none(row->user_name);
    ck_assert_int_eq(row->hit_count, 1);
}
END_TEST

START_TEST(ports_and_users_are_read_in_both_forms)
{
    struct device_message message = decoded(PROCESS_CREATE(
        "{\"RemotePort\":0,\"LocalPort\":\"65535\",\"UserId\":1000},{\"UserId\":\"S-1-5\",\"UserName\":\"\"},{\"UserId\":1}"));

    ck_assert_int_eq(message.rows[0].remote_port, 0);
    ck_assert_int_eq(message.rows[0].local_port, 65535);
    ck_assert_text_eq(message.rows[0].user_name, "1000");
    ck_assert_text_eq(message.rows[1].user_name, "");
}
END_TEST

START_TEST(a_list_sent_twice_loses_nothing)
{
    static const char *const bodies[] = {
        ENVELOPE_OPEN "{\"Name\":\"Login\",\"Payload\":[{\"first\":1}],\"Payload\":[{\"second\":2}]}" ENVELOPE_CLOSE,
        "{\"Events\":[{\"Name\":\"Login\",\"Payload\":[{\"first\":1}]}],\"Events\":[{\"Name\":\"Login\",\"Payload\":"
        "[{\"second\":2}]}]}",
    };

    for (size_t i = 0; i < 2; i++) {
        struct device_message message = decoded(bodies[i]);
        ck_assert_uint_eq(message.row_count, 2);
        ck_assert_text_eq(message.rows[0].details.text, "{\"second\":2}");
        char *encoded = arena_alloc(&arena, 1, TEXT_BASE64_SIZE(strlen(bodies[i])));
        text_base64_encode((const uint8_t *)bodies[i], strlen(bodies[i]), encoded);
        ck_assert_text_eq(message.rows[1].type, "Custom");
        ck_assert(text_ends(message.rows[1].details.text, text_of(arena_format(&arena, "\"Body\":\"%s\"}", encoded))));
    }
}
END_TEST

START_TEST(an_empty_list_of_events_sent_twice_is_two_rows)
{
    struct device_message message = decoded("{\"Events\":[{\"Payload\":[1]}],\"Events\":[]}");

    ck_assert_uint_eq(message.row_count, 2);
    ck_assert_text_eq(message.rows[0].details.text, "{\"Events\":[]}");
    ck_assert(text_ends(message.rows[1].details.text, TEXT("\"}")));
}
END_TEST

START_TEST(a_sequence_becomes_the_messages_report)
{
    struct device_message message =
        decoded("{\"Sequence\":{\"Epoch\":\"11111111-2222-4333-8444-555555555555\",\"Stream\":1,\"First\":9,\"Count\":1},"
                "\"AgentVersion\":\"1\",\"AgentId\":\"5aebd46d-3a56-4d4f-9f6b-9d5e2a4b6c70\",\"MessageSchemaVersion\":\"1.0\","
                "\"Events\":[" EVENT_OPEN("Triggered", "ProcessCreate", "Security", "false") "[" PROCESS_ELEMENT "]}]}");

    ck_assert_ptr_nonnull(message.report);
    ck_assert_int_eq(message.report->first, 9);
    ck_assert_int_eq(message.report->stream, 1);
    ck_assert_none(message.extra);
    ck_assert_uint_eq(message.departures.count, 0);

    message = decoded("{\"Sequence\":[1],\"Events\":[{}]}");
    ck_assert_ptr_null(message.report);
    ck_assert_text_eq(message.extra, "{\"Sequence\":[1]}"); /* unusable, and found again all the same */
}
END_TEST

START_TEST(a_message_decoded_again_has_nothing_of_before)
{
    struct device_message message = message_of(TEXT("{\"Sequence\":[1],\"AgentVersion\":\"1\",\"Events\":[{},{}]}"));

    message_decode(&message, &arena);
    message.body = TEXT("7");
    message_decode(&message, &arena);
    ck_assert_uint_eq(message.row_count, 1);
    ck_assert_none(message.extra);
    ck_assert_none(message.agent_version);
    ck_assert_uint_eq(message.departures.count, 0);
}
END_TEST

START_TEST(what_the_front_door_saw_is_an_event)
{
    struct device_message message =
        message_of(TEXT("{\"From\":1767347990000000,\"To\":1767347999000000,\"Refused\":{\"401\":3,\"429\":4},\"Last\":\"no\"}"));
    const struct json_node *refused = NULL;
    struct classic_decoder decoder;

    message.record.kind = PICKET_RECORD_DOOR;
    classic_decoder_init(&decoder, PICKET_JSON_DEPTH_MAX);
    ck_assert_int_eq(classic_decode_door(&decoder, &message, &arena, &refused, &why), STATUS_OK);
    const struct event_row *row = only_row(&message);
    ck_assert_text_eq(row->type, "Picket");
    ck_assert_text_eq(row->name, "FrontDoor");
    ck_assert_int_eq(row->hit_count, 7);
    ck_assert_int_eq(row->time_stamp_us, INT64_C(1767347999000000));
    ck_assert_uint_eq(refused->count, 2);

    message.body = TEXT("{\"To\":1767347999000000,\"Refused\":{},\"Clones\":{\"RemoteAddress\":\"192.0.2.1\",\"OtherAddress\":"
                        "\"192.0.2.2\",\"Returns\":5}}");
    ck_assert_int_eq(classic_decode_door(&decoder, &message, &arena, &refused, &why), STATUS_OK);
    row = only_row(&message);
    ck_assert_text_eq(row->name, "ClonedIdentity");
    ck_assert_text_eq(row->remote_address, "192.0.2.1");
    ck_assert_int_eq(row->hit_count, 5);
    ck_assert_int_eq(row->time_stamp_us, INT64_C(1767347999000000));
    ck_assert_text_eq(row->details.text, "{\"RemoteAddress\":\"192.0.2.1\",\"OtherAddress\":\"192.0.2.2\",\"Returns\":5}");
    message.body = TEXT("{\"Refused\":{\"401\":1},\"Clones\":{}}");
    ck_assert_int_eq(classic_decode_door(&decoder, &message, &arena, &refused, &why), STATUS_OK);
    ck_assert_uint_eq(message.row_count, 2);

    message.body = TEXT("{\"Refused\":7}");
    ck_assert_int_eq(classic_decode_door(&decoder, &message, &arena, &refused, &why), STATUS_OK);
    ck_assert_ptr_null(refused);
    ck_assert_int_eq(only_row(&message)->time_stamp_us, MESSAGE_RECEIVED_US);
    message.body = TEXT("[]");
    ck_assert_int_eq(classic_decode_door(&decoder, &message, &arena, &refused, &why), STATUS_REJECT);
    message.body = TEXT("nonsense");
    ck_assert_int_eq(classic_decode_door(&decoder, &message, &arena, &refused, &why), STATUS_REJECT);
    classic_decoder_done(&decoder);
}
END_TEST

START_TEST(a_body_of_many_small_elements_stays_within_its_memory)
{
    struct buf body;
    size_t elements = 0;

    buf_init(&body, PICKET_BODY_MAX);
    buf_string(&body, "{\"Events\":[{");
    for (int i = 0; i < 40; i++)
        buf_format(&body, "\"an unknown member of the event with a long name %d\":1,", i);
    buf_string(&body, "\"Payload\":[1");
    for (; body.count < PICKET_BODY_MAX - 16; elements++)
        buf_string(&body, ",1");
    buf_string(&body, "]}]}");
    struct device_message message = message_of(buf_as_text(&body));
    message_decode(&message, &arena);
    ck_assert_uint_eq(message.row_count, elements + 1);
    ck_assert_uint_eq(message.rows[elements].departures.count, DEPARTURES_EVENT_MAX + 1);
    ck_assert_uint_lt(arena.used_bytes / message.row_count, 640);
    buf_done(&body);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        an_event_fills_the_columns,
        each_payload_element_is_a_row,
        an_empty_payload_is_one_row_of_an_empty_object,
        a_payload_that_is_no_list_is_kept_as_one_element,
        an_event_that_is_no_object_is_kept,
        an_envelope_without_events_keeps_its_document,
        any_other_json_is_custom,
        bytes_are_kept_as_base64_with_their_content_type,
        a_content_type_of_any_length_is_cut,
        a_body_claims_json_by_type_encoding_or_first_byte,
        a_claim_that_is_not_kept_is_refused_with_its_place,
        members_that_no_column_holds_go_to_extra,
        is_operational_names_the_type_only_where_nothing_else_does,
        all_forms_of_time_are_read,
        an_implausible_clock_is_kept_as_sent,
        values_that_do_not_fit_a_column_leave_it_empty,
        ports_and_users_are_read_in_both_forms,
        a_list_sent_twice_loses_nothing,
        an_empty_list_of_events_sent_twice_is_two_rows,
        a_sequence_becomes_the_messages_report,
        a_message_decoded_again_has_nothing_of_before,
        what_the_front_door_saw_is_an_event,
        a_body_of_many_small_elements_stays_within_its_memory,
    };
    return check_main(&(const struct check_suite){.name = "store/classic",
                                                  .tests = tests,
                                                  .count = sizeof tests / sizeof *tests,
                                                  .setup = setup,
                                                  .teardown = teardown,
                                                  .timeout_seconds = 60});
}
