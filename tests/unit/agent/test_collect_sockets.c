#include "agent/collect_sockets.h"

#include "tests/support/check_main.h"
#include "tests/unit/agent/watch.h"

#define HEADING "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
#define ROW(local, remote, state, uid, inode) \
    "   0: " local " " remote " " state " 00000000:00000000 00:00000000 00000000 " uid " 0 " inode " 1 0000000000000000\n"
#define ANY4 "00000000:0000"
#define ANY6 "00000000000000000000000000000000:0000"
#define LOCAL4 "0100007F"                          /* 127.0.0.1 */
#define MAPPED "0000000000000000FFFF00000A0200C0"  /* ::ffff:192.0.2.10 */
#define GLOBAL6 "B80D0120000000000000000001000000" /* 2001:db8::1 */

static struct socket_row row;

static void setup_ports(void)
{
    watch_open(&collector_listening_ports);
    root_path("/proc/net/x");
}

static void setup_connections(void)
{
    watch_close();
    watch.seen = NULL;
    watch.memory = NULL;
    watch_open(&collector_connections);
    root_path("/proc/net/x");
}

static bool read_row(enum socket_table table, const char *line)
{
    return socket_row_read(table, line, strlen(line), &row);
}

/* A process that has the socket open, and one more file that is none. */
static void own(int pid, const char *name, unsigned long inode)
{
    char path[64], text[128];

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    snprintf(text, sizeof text, "%d (%s) S 1 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 9 4096 100 184467\n", pid, name);
    root_write(path, text);
    snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
    snprintf(text, sizeof text, "%s -D", name);
    root_write(path, text);
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    snprintf(text, sizeof text, "/usr/bin/%s", name);
    root_link(path, text);
    snprintf(path, sizeof path, "/proc/%d/fd/0", pid);
    root_link(path, "/dev/null");
    snprintf(path, sizeof path, "/proc/%d/fd/3", pid);
    snprintf(text, sizeof text, "socket:[%lu]", inode);
    root_link(path, text);
}

START_TEST(addresses_of_both_families_are_read)
{
    ck_assert(read_row(SOCKET_TCP, ROW("0A0200C0:D431", "076433C6:0050", "01", "1000", "77")));
    ck_assert_str_eq(row.local, "192.0.2.10");
    ck_assert_uint_eq(row.local_port, 54321);
    ck_assert_str_eq(row.remote, "198.51.100.7");
    ck_assert_uint_eq(row.remote_port, 80);
    ck_assert_uint_eq(row.state, 1);
    ck_assert_uint_eq(row.user, 1000);
    ck_assert_uint_eq(row.inode, 77);
    ck_assert(read_row(SOCKET_TCP6, ROW(GLOBAL6 ":01BB", "00000000000000000000000001000000:FFFF", "01", "0", "78")));
    ck_assert_str_eq(row.local, "2001:db8::1");
    ck_assert_str_eq(row.remote, "::1");
    ck_assert_uint_eq(row.remote_port, 65535);
    ck_assert(read_row(SOCKET_TCP6, ROW(MAPPED ":0016", MAPPED ":0017", "01", "0", "79")));
    ck_assert_str_eq(row.local, "192.0.2.10");
    ck_assert(read_row(SOCKET_TCP6, ROW("00000000000000000000000000000000:0016", ANY6, "0A", "0", "80")));
    ck_assert_str_eq(row.local, "::");
}
END_TEST

START_TEST(what_is_no_row_is_told)
{
    static const char *const wrong[] = {
        "",
        "\n",
        HEADING,
        "   0: 0100007F:0016",
        ROW("0100007F", "00000000:0000", "0A", "0", "5"),
        ROW("0100007G:0016", "00000000:0000", "0A", "0", "5"),
        ROW("0100007F0:0016", "00000000:0000", "0A", "0", "5"),
        ROW("0100007F:10000", "00000000:0000", "0A", "0", "5"),
        ROW("0100007F:0016", "00000000:0000", "XX", "0", "5"),
        ROW("0100007F:0016", "00000000:0000", "0A", "-1", "5"),
        ROW("0100007F:0016", "00000000:0000", "0A", "0", "x"),
        ROW("0100007F:", "00000000:0000", "0A", "0", "5"),
    };

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_msg(!read_row(SOCKET_TCP, wrong[i]), "%s", wrong[i]);
    static const char right[] = ROW("0100007F:0016", "00000000:0000", "0A", "0", "5");
    size_t count = 0;
    while (count < sizeof right && !socket_row_read(SOCKET_TCP, right, count, &row))
        count++;
    ck_assert_msg(right[count - 1] == '5', "cut at %zu it was taken", count);
}
END_TEST

START_TEST(listening_ports_are_told_with_their_process)
{
    root_write("/proc/net/tcp", HEADING ROW("00000000:0016", ANY4, "0A", "0", "500") ROW(LOCAL4 ":1F90", LOCAL4 ":C000", "01", "0", "501"));
    root_write("/proc/net/tcp6", HEADING ROW("00000000000000000000000000000000:0050", ANY6, "0A", "0", "502"));
    root_write("/proc/net/udp", HEADING ROW("00000000:0035", ANY4, "07", "0", "503") ROW(LOCAL4 ":0035", LOCAL4 ":0036", "07", "0", "504"));
    own(801, "sshd", 500);
    ck_assert_uint_eq(json_array_size(watch_round()), 1);
    assert_text(json_array_get(watch.seen, 0), "Name", "ListeningPorts");
    assert_text(json_array_get(watch.seen, 0), "Category", "Periodic");
    ck_assert_uint_eq(watch_count(), 3);
    const json_t *ssh = watch_find("LocalPort", "22"), *web = watch_find("LocalPort", "80"), *dns = watch_find("LocalPort", "53");
    assert_text(ssh, "Protocol", "tcp");
    assert_text(ssh, "LocalAddress", "0.0.0.0");
    assert_text(ssh, "RemoteAddress", "0.0.0.0");
    assert_text(ssh, "RemotePort", "*");
    assert_text(json_object_get(ssh, "ExtraDetails"), "Pid", "801");
    assert_text(web, "Protocol", "tcp6");
    assert_text(web, "LocalAddress", "::");
    ck_assert_ptr_null(json_object_get(web, "ExtraDetails"));
    assert_text(dns, "Protocol", "udp");
}
END_TEST

START_TEST(nothing_listens_is_an_empty_list)
{
    ck_assert_uint_eq(json_array_size(watch_round()), 1);
    ck_assert(json_is_true(json_object_get(json_array_get(watch.seen, 0), "IsEmpty")));
}
END_TEST

START_TEST(thousands_of_ports_are_all_told)
{
    FILE *file = fopen(root_path("/proc/net/tcp"), "w");

    fputs(HEADING, file);
    for (unsigned port = 1; port <= 3000; port++)
        fprintf(file, ROW("00000000:%04X", ANY4, "0A", "0", "500"), port);
    fclose(file);
    watch_round();
    ck_assert_uint_eq(watch_count(), 3000);
    assert_text(watch_element(2999), "LocalPort", "3000");
}
END_TEST

START_TEST(connections_are_told_with_their_direction_and_process)
{
    setup_connections();
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
    setup_connections();
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
    setup_connections();
    root_write("/proc/net/tcp", HEADING ROW("0A0200C0:D431", "076433C6:0050", "06", "0", "0")    /* TIME_WAIT */
                                    ROW("0A0200C0:0016", "076433C6:0050", "01", "0", "0")        /* to be accepted */
                                    ROW("0A0200C0:D433", "076433C6:0050", "02", "0", "5")        /* SYN_SENT */
                                    ROW("0A0200C0:D434", "076433C6:0050", "08", "0", "6"));      /* CLOSE_WAIT */
    ck_assert_uint_eq(json_array_size(watch_round()), 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        addresses_of_both_families_are_read,
        what_is_no_row_is_told,
        listening_ports_are_told_with_their_process,
        nothing_listens_is_an_empty_list,
        thousands_of_ports_are_all_told,
        connections_are_told_with_their_direction_and_process,
        each_connection_is_told_once,
        what_is_no_connection_any_more_or_nobodys_yet_is_left_out,
    };

    return check_main(&(const struct check_suite){
        .name = "agent/collect_sockets",
        .tests = tests,
        .count = sizeof tests / sizeof *tests,
        .setup = setup_ports,
        .teardown = watch_close,
        .timeout_seconds = 60,
    });
}
