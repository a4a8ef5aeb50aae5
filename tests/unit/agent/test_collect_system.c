#include "agent/collect_system.h"

#include <sys/utsname.h>

#include "tests/support/check_main.h"
#include "tests/unit/agent/watch.h"

static void setup(void)
{
    watch_open(&collector_system);
}

START_TEST(the_system_is_told_by_its_own_names)
{
    struct utsname kernel;

    ck_assert_int_eq(uname(&kernel), 0);
    root_write("/etc/os-release", "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\n"
                                  "ID=debian\n");
    root_write("/sys/class/dmi/id/bios_version", "1.16.2\n");
    root_write("/proc/meminfo", "MemTotal:        2036524 kB\nMemFree:          54180 kB\nMemAvailable:    1154180 kB\n"
                                "SwapTotal:        100000 kB\nSwapFree:          90000 kB\n");
    ck_assert_uint_eq(json_array_size(watch_round()), 1);
    ck_assert_uint_eq(watch_count(), 1);
    assert_text(json_array_get(watch.seen, 0), "Name", "SystemInformation");
    assert_text(json_array_get(watch.seen, 0), "Category", "Periodic");
    const json_t *system = watch_element(0);
    assert_text(system, "OSName", "Debian GNU/Linux 12 (bookworm)");
    assert_text(system, "OSVersion", "12");
    assert_text(system, "OSVendor", "debian");
    assert_text(system, "OsArchitecture", kernel.machine);
    assert_text(system, "HostName", kernel.nodename);
    assert_text(system, "BIOSVersion", "1.16.2");
    assert_number(system, "TotalPhysicalMemoryInKB", 2036524);
    assert_number(system, "FreePhysicalMemoryInKB", 1154180);
    assert_number(system, "TotalVirtualMemoryInKB", 2136524);
    assert_number(system, "FreeVirtualMemoryInKB", 1244180);
}
END_TEST

START_TEST(a_bare_device_tells_what_its_kernel_knows)
{
    struct utsname kernel;

    ck_assert_int_eq(uname(&kernel), 0);
    ck_assert_uint_eq(json_array_size(watch_round()), 1);
    assert_text(watch_element(0), "OSName", kernel.sysname);
    ck_assert_ptr_null(json_object_get(watch_element(0), "TotalPhysicalMemoryInKB"));
    ck_assert_ptr_null(json_object_get(watch_element(0), "BIOSVersion"));
    ck_assert_ptr_null(json_object_get(watch_element(0), "OSVendor"));
}
END_TEST

START_TEST(old_kernels_have_no_available_memory)
{
    root_write("/proc/meminfo", "MemTotal: 100 kB\nMemFree: 40 kB\n");
    watch_round();
    assert_number(watch_element(0), "FreePhysicalMemoryInKB", 40);
    assert_number(watch_element(0), "TotalVirtualMemoryInKB", 100);
}
END_TEST

START_TEST(values_of_os_release_lose_their_quotes)
{
    static const char text[] = "XNAME=wrong\nA=plain\nB=\"with \\\"quotes\\\" and \\\\\"\nC='single \\'\nD=\nE=\"\nF=\"\"\n#G=no\nH=last";
    char value[SYSTEM_TEXT_SIZE];

    ck_assert(os_release_read(text, sizeof text - 1, "A", value));
    ck_assert_str_eq(value, "plain");
    ck_assert(os_release_read(text, sizeof text - 1, "B", value));
    ck_assert_str_eq(value, "with \"quotes\" and \\");
    ck_assert(os_release_read(text, sizeof text - 1, "C", value));
    ck_assert_str_eq(value, "single \\");
    ck_assert(!os_release_read(text, sizeof text - 1, "D", value));
    ck_assert(os_release_read(text, sizeof text - 1, "E", value));
    ck_assert_str_eq(value, "\"");
    ck_assert(!os_release_read(text, sizeof text - 1, "F", value));
    ck_assert(!os_release_read(text, sizeof text - 1, "G", value));
    ck_assert(!os_release_read(text, sizeof text - 1, "NAME", value));
    ck_assert(os_release_read(text, sizeof text - 1, "H", value));
    ck_assert_str_eq(value, "last");
}
END_TEST

START_TEST(a_value_longer_than_its_place_is_cut)
{
    char text[1024], value[SYSTEM_TEXT_SIZE];

    memset(text, 'v', sizeof text);
    memcpy(text, "NAME=\"", 6);
    text[sizeof text - 1] = '"';
    ck_assert(os_release_read(text, sizeof text, "NAME", value));
    ck_assert_uint_eq(strlen(value), SYSTEM_TEXT_SIZE - 1);
}
END_TEST

START_TEST(memory_that_is_not_told_is_nothing)
{
    static const char text[] = "MemTotalX: 7 kB\nMemFree:\nBig: 99999999999999999999 kB\nMemTotal:    8 kB";

    ck_assert_uint_eq(memory_amount(text, sizeof text - 1, "MemTotal"), 8);
    ck_assert_uint_eq(memory_amount(text, sizeof text - 1, "MemFree"), 0);
    ck_assert_uint_eq(memory_amount(text, sizeof text - 1, "SwapFree"), 0);
    ck_assert_uint_eq(memory_amount(text, sizeof text - 1, "Big"), 0);
    ck_assert_uint_eq(memory_amount("", 0, "MemTotal"), 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        the_system_is_told_by_its_own_names,
        a_bare_device_tells_what_its_kernel_knows,
        old_kernels_have_no_available_memory,
        values_of_os_release_lose_their_quotes,
        a_value_longer_than_its_place_is_cut,
        memory_that_is_not_told_is_nothing,
    };

    return check_main(&(const struct check_suite){
        .name = "agent/collect_system",
        .tests = tests,
        .count = sizeof tests / sizeof *tests,
        .setup = setup,
        .teardown = watch_close,
        .timeout_seconds = 30,
    });
}
