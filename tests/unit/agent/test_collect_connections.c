#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "tests/support/check_main.h"
#include "tests/unit/agent/own_network.h"
#include "tests/unit/agent/sockets.h"

static void setup(void)
{
    watch_open(&collector_connections);
    root_path("/proc/net/x");
}

START_TEST(connections_are_told_with_their_direction_and_process)
{
    root_write("/proc/net/tcp", HEADING ROW("00000000:0016", ANY4, "0A", "0", "500") ROW("0A0200C0:0016", "097100CB:D431", "01", "0", "600")
                                    ROW("0A0200C0:D432", "076433C6:0050", "01", "1000", "601"));
    root_write("/proc/net/udp6", HEADING ROW(GLOBAL6 ":C001", GLOBAL6 ":0035", "01", "1001", "602"));
    own(801, "sshd", 600);
    own(2211, "wget", 601);
    ck_assert_uint_eq(json_array_size(watch_round()), 3);
    assert_text(json_array_get(watch.seen, 0), "Name", "ConnectionCreate");
    assert_text(json_array_get(watch.seen, 0), "Category", "Triggered");
    const json_t *in = watch_find("RemoteAddress", "203.0.113.9"), *out = watch_find("RemoteAddress", "198.51.100.7");
    assert_text(in, "Direction", "In");
    assert_text(in, "LocalAddress", "192.0.2.10");
    assert_text(in, "LocalPort", "22");
    assert_text(in, "RemotePort", "54321");
    assert_text(in, "Protocol", "tcp");
    assert_number(in, "ProcessId", 801);
    assert_text(in, "Executable", "/usr/bin/sshd");
    assert_text(in, "CommandLine", "sshd -D");
    assert_text(in, "UserId", "0");
    assert_text(json_object_get(in, "ExtraDetails"), "Snapshot", "true");
    assert_text(out, "Direction", "Out");
    assert_text(out, "UserId", "1000");
    assert_number(out, "ProcessId", 2211);
    const json_t *hidden = watch_find("RemoteAddress", "2001:db8::1");
    assert_text(hidden, "Protocol", "udp6");
    assert_number(hidden, "ProcessId", 0);
    assert_text(hidden, "Executable", "");
}
END_TEST

START_TEST(each_connection_is_told_once)
{
    root_write("/proc/net/tcp", HEADING ROW("0A0200C0:D431", "076433C6:0050", "01", "0", "600"));
    watch_round();
    root_write("/proc/net/tcp", HEADING ROW("0A0200C0:D432", "076433C6:0050", "01", "0", "601") ROW("0A0200C0:D431", "076433C6:0050", "01", "0", "600"));
    ck_assert_uint_eq(json_array_size(watch_round()), 1);
    assert_text(watch_element(0), "LocalPort", "54322");
    ck_assert_ptr_null(json_object_get(watch_element(0), "ExtraDetails"));
    ck_assert_uint_eq(json_array_size(watch_round()), 0);
    root_write("/proc/net/tcp", HEADING ROW("0A0200C0:D432", "076433C6:0050", "01", "0", "700"));
    ck_assert_msg(json_array_size(watch_round()) == 1, "the same ports, another connection");
}
END_TEST

START_TEST(what_is_no_connection_any_more_or_nobodys_yet_is_left_out)
{
    root_write("/proc/net/tcp", HEADING ROW("0A0200C0:D431", "076433C6:0050", "06", "0", "0")    /* TIME_WAIT */
                                    ROW("0A0200C0:0016", "076433C6:0050", "01", "0", "0")        /* to be accepted */
                                    ROW("0A0200C0:D433", "076433C6:0050", "02", "0", "5")        /* SYN_SENT */
                                    ROW("0A0200C0:D434", "076433C6:0050", "08", "0", "6"));      /* CLOSE_WAIT */
    ck_assert_uint_eq(json_array_size(watch_round()), 0);
}
END_TEST

/* ---- of a live kernel ---- */

static struct picket_settings settings;

/* In a network of our own, which needs root; with `tracking`, a firewall that uses connection tracking. */
static bool live(bool tracking)
{
    char command[300];

    snprintf(command, sizeof command, "ip link set lo up%s", tracking ? " && nft 'add table inet t; add chain inet t c { type filter hook output priority 0; }; add rule inet t c ct state new counter'" : "");
    if (!own_network(command))
        return false;
    picket_settings_default(&settings);
    watch.scope.settings = &settings;
    watch.scope.root = "";
    (void)watch_round();
    ck_assert_uint_eq(watch_count(), 0);
    return true;
}

static int listener(int family, uint16_t port)
{
    const struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    const struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int made = socket(family, SOCK_STREAM, 0);

    ck_assert_int_eq(bind(made, family == AF_INET6 ? (const struct sockaddr *)&six : (const struct sockaddr *)&four, family == AF_INET6 ? sizeof six : sizeof four), 0);
    ck_assert_int_eq(listen(made, 8), 0);
    return made;
}

static int dial(int family, uint16_t port)
{
    const struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    const struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int made = socket(family, SOCK_STREAM, 0);

    (void)!connect(made, family == AF_INET6 ? (const struct sockaddr *)&six : (const struct sockaddr *)&four, family == AF_INET6 ? sizeof six : sizeof four);
    return made;
}

/* How many connections of a round are in that direction, with that port on the side where somebody listens. */
static size_t told(const char *direction, const char *port)
{
    const json_t *element;
    size_t count = 0;

    for (size_t i = 0; (element = watch_element(i)); i++) {
        bool in = strcmp(json_string_value(json_object_get(element, "Direction")), "In") == 0;
        count += in == (strcmp(direction, "In") == 0) && strcmp(json_string_value(json_object_get(element, in ? "LocalPort" : "RemotePort")), port) == 0;
    }
    return count;
}

/* The kernel tells of what ended a moment later, and it may take several rounds until all of it is seen. */
static size_t told_in_the_end(const char *port, size_t expected)
{
    size_t out = 0, in = 0;

    while (out < expected || in < expected) {
        poll(NULL, 0, 10);
        (void)watch_round();
        ck_assert_uint_eq(told("Out", port) + told("In", port), watch_count());
        out += told("Out", port);
        in += told("In", port);
    }
    ck_assert_uint_eq(out, in);
    return out;
}

static void short_lived(int family)
{
    int server = listener(family, 7001), client = dial(family, 7001), accepted = accept(server, NULL, NULL);

    close(client);
    close(accepted);
    ck_assert_uint_eq(told_in_the_end("7001", 1), 1);
    (void)watch_round();
    ck_assert_uint_eq(watch_count(), 0);
    close(server);
}

START_TEST(a_connection_that_was_gone_before_anybody_looked_is_told_once)
{
    if (!live(false))
        return;
    short_lived(AF_INET);
    short_lived(AF_INET6);
}
END_TEST

START_TEST(so_it_is_where_connections_are_tracked)
{
    if (!live(true))
        return;
    short_lived(AF_INET);
    short_lived(AF_INET6);
}
END_TEST

START_TEST(one_that_stays_is_told_once_with_its_process_and_not_again_at_its_end)
{
    for (int tracking = 0; tracking < 2; tracking++) {
        if (!live(tracking))
            return;
        int server = listener(AF_INET, 7002), client = dial(AF_INET, 7002), accepted = accept(server, NULL, NULL);
        (void)watch_round();
        ck_assert_uint_eq(watch_count(), 2);
        assert_number(watch_element(0), "ProcessId", getpid());
        assert_number(watch_element(1), "ProcessId", getpid());
        (void)watch_round();
        ck_assert_uint_eq(watch_count(), 0);
        close(client);
        close(accepted);
        close(server);
        (void)watch_round();
        ck_assert_uint_eq(watch_count(), 0);
        (void)watch_round();
        ck_assert_uint_eq(watch_count(), 0);
        watch_close();
        watch.seen = NULL;
        watch.memory = NULL;
        setup();
    }
}
END_TEST

/* From a port of its own choice, which is free again at once. */
static void dial_from(uint16_t from, int server)
{
    const struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(from), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(7006), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int yes = 1;
    int made = socket(AF_INET, SOCK_STREAM, 0);

    setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    ck_assert_int_eq(bind(made, (const struct sockaddr *)&own, sizeof own), 0);
    ck_assert_int_eq(connect(made, (const struct sockaddr *)&to, sizeof to), 0);
    int accepted = accept(server, NULL, NULL);
    close(accepted); /* the side that closes first keeps the port for a while */
    close(made);
}

START_TEST(two_from_the_same_port_one_after_the_other_are_two)
{
    if (!live(false))
        return;
    int server = listener(AF_INET, 7006);
    for (int i = 0; i < 2; i++) {
        dial_from(7106, server);
        ck_assert_uint_eq(told_in_the_end("7006", 1), 1);
    }
    for (int i = 0; i < 5; i++) /* and within one look */
        dial_from(7106, server);
    ck_assert_uint_eq(told_in_the_end("7006", 5), 5);
    close(server);
}
END_TEST

/* The kernel has a flow for it, and a socket that is bound to no other side. */
START_TEST(a_datagram_to_a_name_server_is_told_where_connections_are_tracked)
{
    const struct sockaddr_in name_server = {.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    if (!live(true))
        return;
    int client = socket(AF_INET, SOCK_DGRAM, 0), server = socket(AF_INET, SOCK_DGRAM, 0);
    ck_assert_int_eq(bind(server, (const struct sockaddr *)&name_server, sizeof name_server), 0);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(sendto(client, "x", 1, 0, (const struct sockaddr *)&name_server, sizeof name_server), 1);
    (void)watch_round();
    ck_assert_uint_eq(told("Out", "53"), 1);
    ck_assert_uint_eq(told("In", "53"), 1);
    assert_text(watch_find("Direction", "Out"), "Protocol", "udp");
    assert_text(watch_find("Direction", "Out"), "UserId", "0");
    assert_number(watch_find("Direction", "Out"), "ProcessId", getpid());
    ck_assert_int_eq(sendto(client, "x", 1, 0, (const struct sockaddr *)&name_server, sizeof name_server), 1);
    (void)watch_round();
    ck_assert_uint_eq(watch_count(), 0);
}
END_TEST

START_TEST(what_comes_in_where_nobody_listens_is_told_of_the_side_that_tried_alone)
{
    if (!live(true))
        return;
    close(dial(AF_INET, 7003));
    (void)watch_round();
    ck_assert_uint_eq(told("Out", "7003"), 1);
    ck_assert_uint_eq(watch_count(), 1);
}
END_TEST

START_TEST(hundreds_of_short_connections_are_all_told)
{
    if (!live(false))
        return;
    int server = listener(AF_INET, 7004);
    for (int i = 0; i < 300; i++) {
        int client = dial(AF_INET, 7004), accepted = accept(server, NULL, NULL);
        close(client);
        close(accepted);
    }
    ck_assert_uint_eq(told_in_the_end("7004", 300), 300);
}
END_TEST

START_TEST(what_the_kernel_tells_wakes_it_and_a_look_is_followed_by_a_rest)
{
    struct pollfd heard = {.events = POLLIN};

    if (!live(false))
        return;
    heard.fd = collector_connections.socket(watch.memory); /* the rest after the first look */
    ck_assert_int_eq(poll(&heard, 1, 30000), 1);
    (void)watch_round();
    heard.fd = collector_connections.socket(watch.memory);
    ck_assert_int_eq(poll(&heard, 1, 0), 0);
    int server = listener(AF_INET, 7005);
    close(dial(AF_INET, 7005));
    close(accept(server, NULL, NULL));
    ck_assert_uint_eq(told_in_the_end("7005", 1), 1);
    ck_assert_int_ne(collector_connections.socket(watch.memory), heard.fd);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        connections_are_told_with_their_direction_and_process,
        each_connection_is_told_once,
        what_is_no_connection_any_more_or_nobodys_yet_is_left_out,
        a_connection_that_was_gone_before_anybody_looked_is_told_once,
        so_it_is_where_connections_are_tracked,
        one_that_stays_is_told_once_with_its_process_and_not_again_at_its_end,
        two_from_the_same_port_one_after_the_other_are_two,
        a_datagram_to_a_name_server_is_told_where_connections_are_tracked,
        what_comes_in_where_nobody_listens_is_told_of_the_side_that_tried_alone,
        hundreds_of_short_connections_are_all_told,
        what_the_kernel_tells_wakes_it_and_a_look_is_followed_by_a_rest,
    };

    return check_main(&(const struct check_suite){
        .name = "agent/collect_connections",
        .tests = tests,
        .count = sizeof tests / sizeof *tests,
        .setup = setup,
        .teardown = watch_close,
        .timeout_seconds = 60,
    });
}
