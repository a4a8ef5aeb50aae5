#include "tests/support/check_main.h"
#include "tests/unit/agent/sockets.h"

static void setup(void)
{
    watch_open(&collector_listening_ports);
    root_path("/proc/net/x");
}

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

int main(void)
{
    const TTest *const tests[] = {
        listening_ports_are_told_with_their_process,
        nothing_listens_is_an_empty_list,
        thousands_of_ports_are_all_told,
    };

    return check_main(&(const struct check_suite){
        .name = "agent/collect_listening_ports",
        .tests = tests,
        .count = sizeof tests / sizeof *tests,
        .setup = setup,
        .teardown = watch_close,
        .timeout_seconds = 60,
    });
}
