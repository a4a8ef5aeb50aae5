#include "wire/mqtt_packet.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/check_main.h"

/* Packets written and read again, cut anywhere, and with what the standard forbids. Section numbers are those of MQTT
 * 5.0 (OASIS), unless 3.1.1 is named. */
static struct picket_mqtt_fault fault;
static struct picket_mqtt_frame frame;
static char out[4096];
static struct picket_mqtt_writer writer;

static struct picket_span span(const char *text)
{
    return (struct picket_span){text, strlen(text)};
}

static bool same(struct picket_span a, const char *text)
{
    return a.count == strlen(text) && memcmp(a.bytes, text, a.count) == 0;
}

static void write_in(enum picket_mqtt_version version)
{
    picket_mqtt_write_init(&writer, out, sizeof out, version);
}

/* What was written, as the one frame that it is. */
static void read_back(enum picket_mqtt_type type)
{
    size_t count = picket_mqtt_written(&writer);

    ck_assert_uint_gt(count, 0);
    ck_assert_int_eq(picket_mqtt_frame_read(out, count, &frame, &fault), PICKET_MQTT_WHOLE);
    ck_assert_uint_eq(frame.total, count);
    ck_assert_int_eq(frame.type, type);
}

/* A frame of bytes in hex, whose length has to be right. */
static void frame_of(const char *hex)
{
    size_t count = 0;
    unsigned value;

    for (; sscanf(hex, "%2x", &value) == 1; hex += 2 + (hex[2] == ' '))
        out[count++] = (char)value;
    ck_assert_int_eq(picket_mqtt_frame_read(out, count, &frame, &fault), PICKET_MQTT_WHOLE);
    ck_assert_uint_eq(frame.total, count);
}

START_TEST(lengths_have_up_to_four_bytes)
{
    static const struct {
        const char *bytes;
        size_t count;
        enum picket_mqtt_step step;
        size_t total;
    } cases[] = {
        {"", 0, PICKET_MQTT_MORE, 0},
        {"\x30", 1, PICKET_MQTT_MORE, 0},
        {"\x30\x80", 2, PICKET_MQTT_MORE, 0},
        {"\x30\x80\x80\x80", 4, PICKET_MQTT_MORE, 0},
        {"\x30\x7f", 2, PICKET_MQTT_MORE, 129},
        {"\x30\x80\x01", 3, PICKET_MQTT_MORE, 131},
        {"\x30\xff\xff\xff\x7f", 5, PICKET_MQTT_MORE, 268435455 + 5},
        {"\x30\x80\x80\x80\x80", 5, PICKET_MQTT_BROKEN, 0},
        {"\xc0\x00", 2, PICKET_MQTT_WHOLE, 2},
        {"\xc0\x00\xc0", 3, PICKET_MQTT_WHOLE, 2},
        {"\x00\x00", 2, PICKET_MQTT_BROKEN, 0}, /* no such type */
        {"\x80\x00", 2, PICKET_MQTT_BROKEN, 0}, /* SUBSCRIBE with flags 0: [2.1.3] */
        {"\xc1\x00", 2, PICKET_MQTT_BROKEN, 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum picket_mqtt_step step = picket_mqtt_frame_read(cases[i].bytes, cases[i].count, &frame, &fault);
        ck_assert_msg(step == cases[i].step, "%zu: %d", i, (int)step);
        if (step != PICKET_MQTT_BROKEN)
            ck_assert_msg(frame.total == cases[i].total, "%zu: %zu", i, frame.total);
        else
            ck_assert_ptr_nonnull(fault.sentence);
    }
}
END_TEST

static struct picket_mqtt_connect connect_full(void)
{
    return (struct picket_mqtt_connect){.clean = true,
                                        .has_user_name = true,
                                        .has_password = true,
                                        .keep_alive_s = 1178,
                                        .client_id = span("d1/m"),
                                        .user_name = span("hub/d1/m/?api-version=2021-04-12"),
                                        .password = span("SharedAccessSignature sr=x")};
}

START_TEST(connect_is_read_as_it_was_written)
{
    static const enum picket_mqtt_version versions[] = {PICKET_MQTT_3_1_1, PICKET_MQTT_5};

    for (size_t i = 0; i < 2; i++) {
        struct picket_mqtt_connect sent = connect_full(), got;
        write_in(versions[i]);
        picket_mqtt_write_connect(&writer, &sent);
        read_back(PICKET_MQTT_CONNECT);
        ck_assert(picket_mqtt_read_connect(&frame, &got, &fault));
        ck_assert_uint_eq(got.level, versions[i]);
        ck_assert(got.clean && got.has_user_name && got.has_password && !got.has_will);
        ck_assert_uint_eq(got.keep_alive_s, 1178);
        ck_assert(same(got.client_id, "d1/m") && same(got.user_name, "hub/d1/m/?api-version=2021-04-12"));
        ck_assert(same(got.password, "SharedAccessSignature sr=x"));
        ck_assert(got.properties.request_problem);
    }
}
END_TEST

/* ---- packets by hand ---- */

static char hand[4096];
static size_t hand_count;

static void put(const void *bytes, size_t count)
{
    memcpy(hand + hand_count, bytes, count);
    hand_count += count;
}

static void put_number(uint32_t value, size_t bytes)
{
    for (size_t i = bytes; i > 0; i--)
        hand[hand_count++] = (char)(value >> 8 * (i - 1));
}

static void put_text(const char *text)
{
    put_number((uint32_t)strlen(text), 2);
    put(text, strlen(text));
}

/* The body that was put, as a frame; each starts with hand_count = 0. */
static void hand_over(enum picket_mqtt_type type, uint8_t flags)
{
    size_t rest = hand_count, header = 1;

    out[0] = (char)(type << 4 | flags);
    do {
        out[header++] = (char)((rest & 127) | (rest > 127 ? 128 : 0));
        rest >>= 7;
    } while (rest);
    memcpy(out + header, hand, hand_count);
    ck_assert_int_eq(picket_mqtt_frame_read(out, header + hand_count, &frame, &fault), PICKET_MQTT_WHOLE);
}

static void connect_head(uint8_t level, uint8_t flags)
{
    hand_count = 0;
    put_text("MQTT");
    put_number(level, 1);
    put_number(flags, 1);
    put_number(10, 2);
}

static void connect_everything(void)
{
    connect_head(5, 0xee); /* user name, password, will retained with QoS 1, clean */
    put_number(37, 1);
    put_number(0x11, 1), put_number(60, 4);      /* session expiry */
    put_number(0x21, 1), put_number(3, 2);       /* receive maximum */
    put_number(0x27, 1), put_number(1000, 4);    /* packet maximum */
    put_number(0x17, 1), put_number(0, 1);       /* no problem information */
    put_number(0x26, 1), put_text("a"), put_text("bc");
    put_number(0x26, 1), put_text("a"), put_text("def");
    put_number(0x19, 1), put_number(0, 1);       /* response information */
    put_number(0x22, 1), put_number(0, 2);       /* topic alias maximum */
    put_text("d1");
    put_number(18, 1);
    put_number(0x18, 1), put_number(5, 4); /* will delay */
    put_number(0x03, 1), put_text("text/plain");
    put_text("t/u");
    put_text("bye");
    put_text("user");
    put_text("pass");
}

START_TEST(connect_with_all_its_properties_is_read)
{
    struct picket_mqtt_connect got;
    struct picket_span rest, name, value;

    connect_everything();
    hand_over(PICKET_MQTT_CONNECT, 0);
    ck_assert_msg(picket_mqtt_read_connect(&frame, &got, &fault), "%s", fault.sentence);
    ck_assert(got.has_will && got.will_retain && got.will_qos == 1 && got.clean);
    ck_assert_uint_eq(got.properties.session_expiry, 60);
    ck_assert_uint_eq(got.properties.receive_maximum, 3);
    ck_assert_uint_eq(got.properties.packet_maximum, 1000);
    ck_assert(!got.properties.request_problem);
    ck_assert_uint_eq(got.properties.user_count, 2);
    rest = got.properties.user;
    ck_assert(picket_mqtt_user_next(&rest, &name, &value) && same(name, "a") && same(value, "bc"));
    ck_assert(picket_mqtt_user_next(&rest, &name, &value) && same(name, "a") && same(value, "def"));
    ck_assert(!picket_mqtt_user_next(&rest, &name, &value));
    ck_assert_uint_eq(got.will_properties.will_delay, 5);
    ck_assert(same(got.will_properties.content_type, "text/plain"));
    ck_assert(same(got.will_topic, "t/u") && same(got.will_payload, "bye") && same(got.user_name, "user"));
}
END_TEST

START_TEST(connect_cut_anywhere_is_malformed)
{
    struct picket_mqtt_connect got;

    connect_everything();
    size_t whole = hand_count;
    for (hand_count = 0; hand_count < whole; hand_count++) {
        hand_over(PICKET_MQTT_CONNECT, 0);
        bool read = picket_mqtt_read_connect(&frame, &got, &fault);
        ck_assert_msg(!read, "after %zu of %zu bytes", hand_count, whole);
        ck_assert_ptr_nonnull(fault.sentence);
    }
}
END_TEST

START_TEST(what_the_standard_forbids_in_connect_is_refused)
{
    static const struct {
        uint8_t level, flags;
        const char *why;
    } flags[] = {
        {4, 0x01, "reserved flag [3.1.2-3]"},         {4, 0x08, "will QoS without a will [3.1.2-11]"},
        {4, 0x20, "will retain without a will"},      {4, 0x1c, "will QoS 3"},
        {4, 0x42, "a password without a user name [MQTT 3.1.1, 3.1.2-22]"},
    };
    struct picket_mqtt_connect got;

    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        connect_head(flags[i].level, flags[i].flags);
        put_text("d1"), put_text("t"), put_text("p"), put_text("u");
        hand_over(PICKET_MQTT_CONNECT, 0);
        ck_assert_msg(!picket_mqtt_read_connect(&frame, &got, &fault), "%s", flags[i].why);
    }
    connect_head(4, 2); /* more than the fields */
    put_text("d1"), put_text("too much");
    hand_over(PICKET_MQTT_CONNECT, 0);
    ck_assert(!picket_mqtt_read_connect(&frame, &got, &fault));
    connect_head(4, 2); /* no UTF-8 */
    put_text("d\xff");
    hand_over(PICKET_MQTT_CONNECT, 0);
    ck_assert(!picket_mqtt_read_connect(&frame, &got, &fault));
    connect_head(3, 2); /* another version: nothing more is read */
    hand_over(PICKET_MQTT_CONNECT, 0);
    ck_assert(picket_mqtt_read_connect(&frame, &got, &fault));
    ck_assert_uint_eq(got.level, 3);
}
END_TEST

START_TEST(publish_is_read_as_it_was_written)
{
    static const struct picket_mqtt_pair pairs[] = {{{"k", 1}, {"v", 1}}, {{"", 0}, {"", 0}}};
    static const enum picket_mqtt_version versions[] = {PICKET_MQTT_3_1_1, PICKET_MQTT_5};
    struct picket_mqtt_publish got;

    for (unsigned i = 0; i < 8; i++) {
        struct picket_mqtt_publish sent = {.qos = i & 1, .id = i & 1 ? 65535 : 0, .dup = i & 1 && i & 2, .retain = i & 2,
                                           .topic = span("devices/d1/messages/events/"), .payload = span("{\"a\":1}")};
        sent.properties.content_type = span("application/json");
        enum picket_mqtt_version version = versions[i / 4];
        write_in(version);
        picket_mqtt_write_publish(&writer, &sent, pairs, 2);
        read_back(PICKET_MQTT_PUBLISH);
        ck_assert_msg(picket_mqtt_read_publish(&frame, version, &got, &fault), "%u: %s", i, fault.sentence);
        ck_assert(got.qos == sent.qos && got.id == sent.id && got.dup == sent.dup && got.retain == sent.retain);
        ck_assert(same(got.topic, "devices/d1/messages/events/") && same(got.payload, "{\"a\":1}"));
        ck_assert_uint_eq(got.properties.user_count, version == PICKET_MQTT_5 ? 2 : 0);
        if (version == PICKET_MQTT_5)
            ck_assert(same(got.properties.content_type, "application/json"));
    }
}
END_TEST

START_TEST(publish_without_a_body_or_an_id_is_malformed)
{
    struct picket_mqtt_publish got;

    hand_count = 0;
    hand_over(PICKET_MQTT_PUBLISH, 0);
    ck_assert(!picket_mqtt_read_publish(&frame, PICKET_MQTT_3_1_1, &got, &fault));
    put_text("t"), put_number(0, 2); /* id 0 [2.2.1-3] */
    hand_over(PICKET_MQTT_PUBLISH, 2);
    ck_assert(!picket_mqtt_read_publish(&frame, PICKET_MQTT_3_1_1, &got, &fault));
    hand_count = 0;
    put_text("t/#"), put_number(1, 2); /* a wildcard [3.3.2-2] */
    hand_over(PICKET_MQTT_PUBLISH, 2);
    ck_assert(!picket_mqtt_read_publish(&frame, PICKET_MQTT_3_1_1, &got, &fault));
    hand_count = 0;
    put_text("t"), put_number(1, 2); /* QoS 3 [3.3.1-4] */
    hand_over(PICKET_MQTT_PUBLISH, 6);
    ck_assert(!picket_mqtt_read_publish(&frame, PICKET_MQTT_3_1_1, &got, &fault));
    hand_count = 0;
    put_text(""), put_number(1, 2);
    hand_over(PICKET_MQTT_PUBLISH, 2);
    ck_assert(!picket_mqtt_read_publish(&frame, PICKET_MQTT_3_1_1, &got, &fault));
}
END_TEST

START_TEST(properties_belong_to_their_packets_and_come_once)
{
    static const struct {
        const char *bytes;
        size_t count;
        bool fits;
        const char *why;
    } cases[] = {
        {"\x00", 1, true, "none"},
        {"\x02\x01\x01", 3, true, "payload format 1"},
        {"\x02\x01\x02", 3, false, "payload format 2"},
        {"\x04\x01\x01\x01\x01", 5, false, "twice"},
        {"\x05\x11\x00\x00\x00\x01", 6, false, "session expiry is CONNECT's"},
        {"\x02\x7f\x00", 3, false, "no such property"},
        {"\x03\x23\x00\x05", 4, true, "a topic alias, which is the front's to refuse"},
        {"\x05\x02\x00\x00\x00", 5, false, "cut"},
        {"\x05\x02\x00\x00\x00\x01", 6, true, "message expiry"},
        {"\x02\x0b\x00", 3, false, "subscription id 0"},
        {"\xff\xff\xff\xff\x7f", 5, false, "a length of five bytes"},
        {"\x08\x26\x00\x01\x61\x00\x01\xff\x00", 9, false, "no UTF-8, and cut"},
    };
    struct picket_mqtt_publish got;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hand_count = 0;
        put_text("t"), put_number(7, 2), put(cases[i].bytes, cases[i].count);
        hand_over(PICKET_MQTT_PUBLISH, 2);
        ck_assert_msg(picket_mqtt_read_publish(&frame, PICKET_MQTT_5, &got, &fault) == cases[i].fits, "%s", cases[i].why);
    }
}
END_TEST

START_TEST(subscriptions_are_read_one_after_the_other)
{
    struct picket_mqtt_subscribe got;
    struct picket_span rest, filter;
    uint8_t options;

    hand_count = 0;
    put_number(9, 2), put_text("a/#"), put_number(1, 1), put_text("+/b"), put_number(0, 1);
    hand_over(PICKET_MQTT_SUBSCRIBE, 2);
    ck_assert(picket_mqtt_read_subscribe(&frame, PICKET_MQTT_3_1_1, &got, &fault));
    ck_assert(got.id == 9 && got.count == 2);
    rest = got.filters;
    ck_assert(picket_mqtt_filter_next(&rest, true, &filter, &options) && same(filter, "a/#") && options == 1);
    ck_assert(picket_mqtt_filter_next(&rest, true, &filter, &options) && same(filter, "+/b") && options == 0);
    ck_assert(!picket_mqtt_filter_next(&rest, true, &filter, &options));

    size_t whole = hand_count;
    for (hand_count = 0; hand_count < whole; hand_count++) {
        if (hand_count == 8)
            continue; /* there the first filter ends */
        hand_over(PICKET_MQTT_SUBSCRIBE, 2);
        ck_assert_msg(!picket_mqtt_read_subscribe(&frame, PICKET_MQTT_3_1_1, &got, &fault), "after %zu bytes", hand_count);
    }
    hand_count = 0; /* QoS 3 */
    put_number(9, 2), put_text("a"), put_number(3, 1);
    hand_over(PICKET_MQTT_SUBSCRIBE, 2);
    ck_assert(!picket_mqtt_read_subscribe(&frame, PICKET_MQTT_3_1_1, &got, &fault));
    hand_count = 0; /* UNSUBSCRIBE has no options */
    put_number(9, 2), put_text("a/#"), put_text("b");
    hand_over(PICKET_MQTT_UNSUBSCRIBE, 2);
    ck_assert(picket_mqtt_read_subscribe(&frame, PICKET_MQTT_3_1_1, &got, &fault));
    ck_assert_uint_eq(got.count, 2);
}
END_TEST

START_TEST(filters_have_their_wildcards_where_they_may_stand)
{
    static const char *const good[] = {"#", "a/#", "+", "+/+", "a/+/b", "/", "$iothub/twin/res/#", "devices/d1/messages/devicebound/#"};
    static const char *const bad[] = {"", "a#", "a/#/b", "#/a", "a+", "+a", "a/b+", "##"};

    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ck_assert_msg(picket_mqtt_filter_valid(span(good[i])), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!picket_mqtt_filter_valid(span(bad[i])), "%s", bad[i]);
}
END_TEST

START_TEST(acknowledgements_are_as_short_as_they_may_be)
{
    static const struct picket_mqtt_pair pairs[] = {{{"receipt", 7}, {"direct/0@1", 10}}};
    struct picket_mqtt_ack got;

    write_in(PICKET_MQTT_3_1_1);
    picket_mqtt_write_puback(&writer, 258, PICKET_MQTT_SUCCESS, span("unheard"), pairs, 1);
    ck_assert_uint_eq(picket_mqtt_written(&writer), 4);
    ck_assert_mem_eq(out, "\x40\x02\x01\x02", 4);
    write_in(PICKET_MQTT_5);
    picket_mqtt_write_puback(&writer, 258, PICKET_MQTT_PAYLOAD_INVALID, span("because"), pairs, 1);
    read_back(PICKET_MQTT_PUBACK);
    ck_assert(picket_mqtt_read_ack(&frame, PICKET_MQTT_5, &got, &fault));
    ck_assert(got.id == 258 && got.reason == PICKET_MQTT_PAYLOAD_INVALID && same(got.properties.reason_string, "because"));
    ck_assert_uint_eq(got.properties.user_count, 1);
    frame_of("40 02 00 07"); /* MQTT 5 may leave the reason out */
    ck_assert(picket_mqtt_read_ack(&frame, PICKET_MQTT_5, &got, &fault));
    ck_assert(got.id == 7 && got.reason == 0);
    frame_of("40 03 00 07 10");
    ck_assert(picket_mqtt_read_ack(&frame, PICKET_MQTT_5, &got, &fault));
    ck_assert(!picket_mqtt_read_ack(&frame, PICKET_MQTT_3_1_1, &got, &fault));
    frame_of("40 02 00 00");
    ck_assert(!picket_mqtt_read_ack(&frame, PICKET_MQTT_5, &got, &fault));
    frame_of("40 01 00");
    ck_assert(!picket_mqtt_read_ack(&frame, PICKET_MQTT_3_1_1, &got, &fault));
}
END_TEST

START_TEST(what_has_no_body_has_none)
{
    struct picket_mqtt_disconnect got;

    frame_of("c0 00");
    ck_assert(picket_mqtt_read_ping(&frame, &fault));
    frame_of("c0 01 00");
    ck_assert(!picket_mqtt_read_ping(&frame, &fault));
    frame_of("e0 00");
    ck_assert(picket_mqtt_read_disconnect(&frame, PICKET_MQTT_3_1_1, &got, &fault));
    ck_assert(picket_mqtt_read_disconnect(&frame, PICKET_MQTT_5, &got, &fault) && got.reason == 0);
    frame_of("e0 01 04");
    ck_assert(picket_mqtt_read_disconnect(&frame, PICKET_MQTT_5, &got, &fault) && got.reason == 4);
    ck_assert(!picket_mqtt_read_disconnect(&frame, PICKET_MQTT_3_1_1, &got, &fault));
}
END_TEST

START_TEST(a_writer_that_is_full_says_so_and_writes_no_further)
{
    struct picket_mqtt_connect sent = connect_full();
    char small[64];

    write_in(PICKET_MQTT_5);
    picket_mqtt_write_connect(&writer, &sent);
    size_t whole = picket_mqtt_written(&writer);
    for (size_t size = 0; size < whole && size < sizeof small; size++) {
        memset(small, 'x', sizeof small);
        picket_mqtt_write_init(&writer, small, size, PICKET_MQTT_5);
        picket_mqtt_write_connect(&writer, &sent);
        ck_assert_uint_eq(picket_mqtt_written(&writer), 0);
        ck_assert(size == sizeof small || small[size] == 'x');
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        lengths_have_up_to_four_bytes,
        connect_is_read_as_it_was_written,
        connect_with_all_its_properties_is_read,
        connect_cut_anywhere_is_malformed,
        what_the_standard_forbids_in_connect_is_refused,
        publish_is_read_as_it_was_written,
        publish_without_a_body_or_an_id_is_malformed,
        properties_belong_to_their_packets_and_come_once,
        subscriptions_are_read_one_after_the_other,
        filters_have_their_wildcards_where_they_may_stand,
        acknowledgements_are_as_short_as_they_may_be,
        what_has_no_body_has_none,
        a_writer_that_is_full_says_so_and_writes_no_further,
    };
    return CHECK_MAIN("wire/mqtt_packet", tests);
}
