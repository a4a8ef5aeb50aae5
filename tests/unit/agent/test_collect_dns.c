#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "agent/dns_question.h"
#include "tests/support/check_main.h"
#include "tests/unit/agent/own_network.h"
#include "tests/unit/agent/watch.h"

#define HEAD "\x12\x34\x01\0\0\1\0\0\0\0\0\0"
#define WWW "\3wWw\7Example\3com\0"
#define A_IN "\0\1\0\1"

static struct dns_question question;

/* The message in a datagram of IPv4 (version 4) or IPv6 to port 53, cut to `count` bytes when that is fewer. */
static bool read_question(int version, const char *message, size_t message_count, size_t count)
{
    unsigned char packet[600] = {0};
    size_t at = version == 4 ? 24 : 40;

    if (version == 4) {
        memcpy(packet, "\x46\0\0\0\0\0\x40\0\x40\x11\0\0\xc0\0\2\xa\xc6\x33\x64\7", 20); /* with an option */
    } else {
        memcpy(packet, "\x60\0\0\0\0\0\x11\x40", 8);
        memcpy(packet + 8, "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16);
        memcpy(packet + 24, "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\2", 16);
    }
    memcpy(packet + at, "\x9c\x40\0\x35\0\0\0\0", 8);
    memcpy(packet + at + 8, message, message_count);
    size_t whole = at + 8 + message_count;
    return dns_question_read(packet, whole < count ? whole : count, &question);
}

static bool asks(const char *message, size_t count)
{
    return read_question(4, message, count, SIZE_MAX);
}

static const char *address(const uint8_t bytes[SOCKET_ADDRESS_BYTES])
{
    static char text[SOCKET_ADDRESS_SIZE];

    socket_address_print(bytes, text);
    return text;
}

START_TEST(a_question_is_read_of_both_families)
{
    static const char message[] = HEAD WWW A_IN;

    ck_assert(read_question(4, message, sizeof message - 1, SIZE_MAX));
    ck_assert_str_eq(question.name, "www.example.com");
    ck_assert_uint_eq(question.id, 0x1234);
    ck_assert_uint_eq(question.type, 1);
    ck_assert_str_eq(address(question.flow.local), "192.0.2.10");
    ck_assert_str_eq(address(question.flow.remote), "198.51.100.7");
    ck_assert_uint_eq(question.flow.local_port, 40000);
    ck_assert(read_question(6, message, sizeof message - 1, SIZE_MAX));
    ck_assert_str_eq(question.name, "www.example.com");
    ck_assert_str_eq(address(question.flow.local), "2001:db8::1");
    for (size_t count = 0; count < 24 + 8 + sizeof message - 1; count++)
        ck_assert_msg(!read_question(4, message, sizeof message - 1, count), "cut at %zu", count);
    for (size_t count = 0; count < 40 + 8 + sizeof message - 1; count++)
        ck_assert_msg(!read_question(6, message, sizeof message - 1, count), "cut at %zu", count);
}
END_TEST

#define ASKS(message) asks(message, sizeof(message) - 1)

START_TEST(names_are_written_as_in_a_zone)
{
    ck_assert(ASKS(HEAD "\0" "\0\2\0\1"));
    ck_assert_str_eq(question.name, ".");
    ck_assert(ASKS(HEAD "\5a.b\\ \1\xff\0" "\xff\0\0\1"));
    ck_assert_str_eq(question.name, "a\\.b\\\\\\032.\\255");
    char type[DNS_TYPE_SIZE];
    dns_type_print(question.type, type);
    ck_assert_str_eq(type, "TYPE65280");
    dns_type_print(28, type);
    ck_assert_str_eq(type, "AAAA");
}
END_TEST

START_TEST(what_is_no_question_is_left)
{
    char longest[12 + 300] = HEAD;

    ck_assert(!ASKS("\x12\x34\x81\0\0\1\0\0\0\0\0\0" WWW A_IN)); /* an answer */
    ck_assert(!ASKS("\x12\x34\x28\0\0\1\0\0\0\0\0\0" WWW A_IN)); /* an update */
    ck_assert(!ASKS("\x12\x34\x01\0\0\0\0\0\0\0\0\0" WWW A_IN)); /* asks nothing */
    ck_assert(!ASKS(HEAD "\xc0\x0c" A_IN));                      /* points to itself */
    ck_assert(!ASKS(HEAD "\x40" "aa" A_IN));
    for (int labels = 4; labels <= 5; labels++) { /* 4 * 63 + 1 is short of 255, one more is not */
        size_t at = 12;
        for (int i = 0; i < labels; i++) {
            size_t label = i == 3 ? 61 : i < 4 ? 63 : 1;
            longest[at++] = (char)label;
            memset(longest + at, 0xff, label);
            at += label;
        }
        longest[at++] = '\0';
        memcpy(longest + at, A_IN, 4);
        ck_assert_int_eq(asks(longest, at + 4), labels == 4);
    }
}
END_TEST

/* In a network of our own, which needs root. */
START_TEST(questions_that_leave_are_told_with_who_asks)
{
    static const char message[] = HEAD WWW A_IN;
    const struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct picket_settings settings;

    watch_open(&collector_dns);
    if (!own_network("ip link set lo up")) {
        watch_close();
        return;
    }
    picket_settings_default(&settings);
    watch.scope.settings = &settings;
    watch.scope.root = "";
    (void)watch_round();
    ck_assert_uint_eq(watch_count(), 0);
    struct pollfd heard = {.fd = collector_dns.socket(watch.memory), .events = POLLIN};
    ck_assert_int_eq(poll(&heard, 1, 0), 0);
    int asker = socket(AF_INET, SOCK_DGRAM, 0);
    for (int i = 0; i < 2; i++) /* and once more, since there is no answer */
        ck_assert_int_eq(sendto(asker, message, sizeof message - 1, 0, (const struct sockaddr *)&server, sizeof server), sizeof message - 1);
    ck_assert_int_eq(sendto(asker, "x", 1, 0, (const struct sockaddr *)&server, sizeof server), 1);
    ck_assert_int_eq(poll(&heard, 1, 30000), 1);
    (void)watch_round();
    ck_assert_uint_eq(watch_count(), 1);
    const json_t *element = watch_element(0);
    assert_text(json_array_get(watch.seen, 0), "Name", "DnsRequest");
    assert_text(element, "Domain", "www.example.com");
    assert_text(element, "QueryType", "A");
    assert_text(element, "RemoteAddress", "127.0.0.1");
    assert_number(element, "ProcessId", getpid());
    assert_text(element, "UserId", "0");
    (void)watch_round();
    ck_assert_uint_eq(watch_count(), 0);
    snprintf(settings.network_devices, sizeof settings.network_devices, "eth0, lo");
    ck_assert_int_eq(sendto(asker, "\x12\x35" "\x01\0\0\1\0\0\0\0\0\0" WWW A_IN, sizeof message - 1, 0, (const struct sockaddr *)&server, sizeof server), sizeof message - 1);
    (void)watch_round();
    ck_assert_uint_eq(watch_count(), 1);
    snprintf(settings.network_devices, sizeof settings.network_devices, "eth0");
    ck_assert_int_eq(sendto(asker, "\x12\x36" "\x01\0\0\1\0\0\0\0\0\0" WWW A_IN, sizeof message - 1, 0, (const struct sockaddr *)&server, sizeof server), sizeof message - 1);
    (void)watch_round();
    ck_assert_uint_eq(watch_count(), 0);
    watch_close();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_question_is_read_of_both_families,
        names_are_written_as_in_a_zone,
        what_is_no_question_is_left,
        questions_that_leave_are_told_with_who_asks,
    };

    return check_main(&(const struct check_suite){.name = "agent/collect_dns", .tests = tests, .count = sizeof tests / sizeof *tests, .timeout_seconds = 60});
}
