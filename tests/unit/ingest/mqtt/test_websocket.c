#include "ingest/mqtt/websocket.h"

#include <stdio.h>

#include "tests/support/check_main.h"

/* Mask of all frames here: 01 02 03 04. */
static const uint8_t hello[] = {0x82, 0x85, 1, 2, 3, 4, 'h' ^ 1, 'e' ^ 2, 'l' ^ 3, 'l' ^ 4, 'o' ^ 1};

static struct websocket websocket;

static enum websocket_event feed(const uint8_t *bytes, size_t count, char *out, size_t *used)
{
    uint8_t copy[1024];
    size_t payload;

    memcpy(copy, bytes, count);
    enum websocket_event event = websocket_read(&websocket, copy, count, used, &payload);
    memcpy(out, copy, payload);
    out[payload] = 0;
    return event;
}

START_TEST(example_of_the_standard_is_accepted)
{
    char out[WEBSOCKET_ACCEPT_SIZE];

    ck_assert(websocket_accept(TEXT("dGhlIHNhbXBsZSBub25jZQ=="), out));
    ck_assert_str_eq(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    ck_assert(!websocket_accept(TEXT(""), out));
    ck_assert(!websocket_accept(TEXT("c2hvcnQ="), out));
    ck_assert(!websocket_accept(TEXT("not base64 at all, not at all!!!"), out));
}
END_TEST

START_TEST(payload_comes_out_whatever_the_pieces)
{
    uint8_t twice[2 * sizeof hello];

    memcpy(twice, hello, sizeof hello);
    memcpy(twice + sizeof hello, hello, sizeof hello);
    for (size_t cut = 0; cut <= sizeof twice; cut++) {
        char first[64], second[64], whole[128];
        size_t used;
        websocket = (struct websocket){.header_count = 0};
        ck_assert_int_eq(feed(twice, cut, first, &used), WEBSOCKET_MORE);
        ck_assert_uint_eq(used, cut);
        ck_assert_int_eq(feed(twice + cut, sizeof twice - cut, second, &used), WEBSOCKET_MORE);
        snprintf(whole, sizeof whole, "%s%s", first, second);
        ck_assert_str_eq(whole, "hellohello");
    }
}
END_TEST

START_TEST(ping_in_the_middle_of_a_message_is_told_with_its_bytes)
{
    static const uint8_t frames[] = {0x02, 0x81, 1, 2, 3, 4, 'a' ^ 1, 0x89, 0x82, 1, 2, 3, 4, 'p' ^ 1, 'q' ^ 2,
                                     0x80, 0x81, 1, 2, 3, 4, 'b' ^ 1, 0x88, 0x80, 1, 2, 3, 4};
    char out[64];
    size_t used, more;

    websocket = (struct websocket){.header_count = 0};
    ck_assert_int_eq(feed(frames, sizeof frames, out, &used), WEBSOCKET_PING);
    ck_assert_str_eq(out, "a");
    ck_assert_uint_eq(websocket.control_count, 2);
    ck_assert_mem_eq(websocket.control, "pq", 2);
    ck_assert_int_eq(feed(frames + used, sizeof frames - used, out, &more), WEBSOCKET_CLOSE);
    ck_assert_str_eq(out, "b");
}
END_TEST

START_TEST(frames_that_a_client_may_not_send_are_broken)
{
    static const struct {
        uint8_t bytes[14];
        size_t count;
    } cases[] = {
        {{0x82, 0x05}, 2},                                                      /* not masked */
        {{0x81, 0x85, 1, 2, 3, 4}, 6},                                          /* text */
        {{0xc2, 0x85, 1, 2, 3, 4}, 6},                                          /* a reserved bit */
        {{0x80, 0x85, 1, 2, 3, 4}, 6},                                          /* nothing to go on with */
        {{0x83, 0x85, 1, 2, 3, 4}, 6},                                          /* a reserved opcode */
        {{0x09, 0x80, 1, 2, 3, 4}, 6},                                          /* a ping in pieces */
        {{0x89, 0xfe, 0, 126, 1, 2, 3, 4}, 8},                                  /* a long ping */
        {{0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, 14},              /* a length beyond all */
    };
    char out[64];
    size_t used;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        websocket = (struct websocket){.header_count = 0};
        ck_assert_msg(feed(cases[i].bytes, cases[i].count, out, &used) == WEBSOCKET_BROKEN, "case %zu", i);
    }
    static const uint8_t nested[] = {0x02, 0x80, 1, 2, 3, 4, 0x82, 0x80, 1, 2, 3, 4};
    websocket = (struct websocket){.header_count = 0};
    ck_assert_int_eq(feed(nested, sizeof nested, out, &used), WEBSOCKET_BROKEN);
}
END_TEST

START_TEST(header_has_the_shortest_length_that_fits)
{
    static const struct {
        size_t payload, header;
    } cases[] = {{0, 2}, {125, 2}, {126, 4}, {65535, 4}, {65536, 10}};
    uint8_t out[WEBSOCKET_HEADER_MAX];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_uint_eq(websocket_header(WEBSOCKET_BINARY, cases[i].payload, out), cases[i].header);
    ck_assert_mem_eq(out, "\x82\x7f\0\0\0\0\0\x01\0\0", 10);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        example_of_the_standard_is_accepted,
        payload_comes_out_whatever_the_pieces,
        ping_in_the_middle_of_a_message_is_told_with_its_bytes,
        frames_that_a_client_may_not_send_are_broken,
        header_has_the_shortest_length_that_fits,
    };
    return CHECK_MAIN("ingest/mqtt/websocket", tests);
}
