#include <linux/capability.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/collect_peripherals.h"
#include "agent/file_watch.h"
#include "tests/support/check_main.h"
#include "tests/unit/agent/own_network.h"
#include "tests/unit/agent/watch.h"

/* Files, packages, devices and links: what the host's own kernel says of scripted facts. */
#define CARRIER_MS 30000
static struct picket_settings settings;

static void open_with(const struct collector *collector)
{
    picket_settings_default(&settings);
    watch_open(collector);
    watch.scope.settings = &settings;
}

static void teardown(void)
{
    watch_close();
}

/* "Created /etc/a; Modified /etc/a; " of the files of a round. */
static const char *files(void)
{
    static char out[8192];
    size_t used = 0;

    out[0] = '\0';
    (void)watch_round();
    for (size_t i = 0; i < watch_count(); i++) {
        const json_t *element = watch_element(i);
        const char *path = json_string_value(json_object_get(element, "Path"));
        ck_assert_mem_eq(path, root, strlen(root));
        used += (size_t)snprintf(out + used, sizeof out - used, "%s %s; ", json_string_value(json_object_get(element, "Mask")), path + strlen(root));
        ck_assert_uint_lt(used, sizeof out);
    }
    return out;
}

/* Without CAP_SYS_ADMIN the kernel tells of files by inotify alone. */
static void right_drop(unsigned right)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2];

    ck_assert_int_eq((int)syscall(SYS_capget, &head, sets), 0);
    sets[0].effective &= ~(1u << right);
    ck_assert_int_eq((int)syscall(SYS_capset, &head, sets), 0);
}

/* Whether fanotify may be used here, and the file system has it. */
static bool doers_are_told(void)
{
    struct reason ignored;
    struct file_watch *watch_of_own = file_watch_open(true, &ignored);
    uint64_t folder;
    bool told = watch_of_own && file_watch_add(watch_of_own, root, &folder, NULL);

    file_watch_close(watch_of_own);
    if (!told)
        fprintf(stderr, "skipped: who changed a file is not told here\n");
    return told;
}

static void files_come_change_and_go(void)
{
    char from[512], to[512];

    open_with(&collector_files);
    snprintf(settings.file_paths, sizeof settings.file_paths, "/etc, /nowhere");
    root_write("/etc/passwd", "x");
    root_write("/etc/init.d/a", "x");
    root_write("/var/other", "x");
    ck_assert_str_eq(files(), ""); /* what was there before is nothing new */
    root_write("/etc/passwd", "y");
    ck_assert_str_eq(files(), "Modified /etc/passwd; ");
    root_write("/etc/init.d/\xc3\xa9 b", "y");
    ck_assert_str_eq(files(), "Created /etc/init.d/\xc3\xa9 b; Modified /etc/init.d/\xc3\xa9 b; ");
    root_write("/var/other", "y");
    ck_assert_str_eq(files(), "");
    snprintf(from, sizeof from, "%s", root_path("/etc/init.d/a"));
    snprintf(to, sizeof to, "%s", root_path("/etc/b"));
    ck_assert_int_eq(rename(from, to), 0);
    ck_assert_str_eq(files(), "Deleted, Moved /etc/init.d/a; Created, Moved /etc/b; ");
    ck_assert_int_eq(chmod(to, 0777), 0);
    ck_assert_str_eq(files(), "Metadata changed /etc/b; ");
    ck_assert_int_eq(unlink(to), 0);
    ck_assert_str_eq(files(), "Deleted /etc/b; ");
}

START_TEST(files_that_come_change_and_go_are_told_once)
{
    files_come_change_and_go();
    if (doers_are_told()) {
        assert_number(watch_element(0), "ProcessId", getpid());
        assert_text(watch_element(0), "UserId", "0");
        ck_assert_ptr_nonnull(strstr(json_string_value(json_object_get(watch_element(0), "Executable")), "test_collect_host"));
    }
}
END_TEST

START_TEST(so_they_are_where_the_kernel_does_not_say_who)
{
    right_drop(CAP_SYS_ADMIN);
    files_come_change_and_go();
    ck_assert_ptr_null(json_object_get(watch_element(0), "ProcessId"));
}
END_TEST

static void a_folder_comes(void)
{
    open_with(&collector_files);
    snprintf(settings.file_paths, sizeof settings.file_paths, "/etc");
    root_write("/etc/passwd", "x");
    ck_assert_str_eq(files(), "");
    root_write("/etc/cron.d/x", "y"); /* before anybody could watch it */
    ck_assert_ptr_nonnull(strstr(files(), "Created /etc/cron.d/x; "));
    root_write("/etc/cron.d/z", "y");
    ck_assert_str_eq(files(), "Created /etc/cron.d/z; Modified /etc/cron.d/z; ");
    settings.files_recursive = false; /* begins anew, and looks at the folder alone */
    ck_assert_str_eq(files(), "");
    root_write("/etc/cron.d/z", "z");
    root_write("/etc/group", "z");
    ck_assert_str_eq(files(), "Created /etc/group; Modified /etc/group; ");
    settings.file_paths[0] = '\0';
    root_write("/etc/group", "y");
    ck_assert_str_eq(files(), "");
    ck_assert_int_eq(watch.collector->socket(watch.memory), -1);
}

START_TEST(a_folder_that_comes_is_watched_with_what_lies_in_it)
{
    a_folder_comes();
}
END_TEST

START_TEST(so_it_is_where_the_kernel_does_not_say_who)
{
    right_drop(CAP_SYS_ADMIN);
    a_folder_comes();
}
END_TEST

START_TEST(packages_are_read_from_the_databases_that_are_text)
{
    open_with(&collector_packages);
    (void)watch_round();
    ck_assert_uint_eq(json_array_size(watch.seen), 0); /* none is there: nothing is known */
    root_write("/var/lib/dpkg/status", "Package: bash\nStatus: install ok installed\nPriority: required\nMaintainer: M <m@x>\nVersion: 5.2-1\nDescription: a\n Version: 7\n .\n\n"
                                       "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: last\nStatus: install ok installed\nVersion: 2:1.0~rc1");
    root_write("/lib/apk/db/installed", "C:Q1x\nP:musl\nV:1.2.5-r0\nm:Natanael\nF:lib\n\nP:busybox\nV:1.36\n\n");
    (void)watch_round();
    ck_assert_uint_eq(watch_count(), 4);
    assert_text(watch_find("Name", "bash"), "Version", "5.2-1");
    assert_text(watch_find("Name", "bash"), "Vendor", "M <m@x>");
    assert_text(watch_find("Name", "last"), "Version", "2:1.0~rc1");
    assert_text(watch_find("Name", "musl"), "PackageManager", "apk");
    assert_text(watch_find("Name", "busybox"), "Vendor", "");
}
END_TEST

/* A package as rpmbuild makes it, in a database as rpm keeps it. */
START_TEST(packages_of_rpm_are_told_by_rpm)
{
    char command[1200];

    open_with(&collector_packages);
    root_write("/fact.spec", "Name: picket-fact\nEpoch: 2\nVersion: 1.2.3\nRelease: 4\nSummary: a fact\nLicense: MIT\nVendor: Nobody & Sons\nBuildArch: noarch\n%description\na fact\n%files\n");
    (void)root_path("/var/lib/rpm/x");
    snprintf(command, sizeof command,
             "cd %s && rpmbuild --quiet --define \"_topdir $PWD/top\" --define \"_rpmdir $PWD\" --dbpath $PWD/none -bb fact.spec >log 2>&1"
             " && rpm --dbpath $PWD/var/lib/rpm --initdb && rpm --dbpath $PWD/var/lib/rpm --justdb --nodeps -i noarch/*.rpm >>log 2>&1",
             root);
    ck_assert_int_eq(shell(command), 0);
    (void)watch_round();
    ck_assert_uint_eq(watch_count(), 1);
    assert_text(watch_element(0), "Name", "picket-fact");
    assert_text(watch_element(0), "Version", "2:1.2.3-4");
    assert_text(watch_element(0), "Vendor", "Nobody & Sons");
    assert_text(watch_element(0), "PackageManager", "rpm");
}
END_TEST

START_TEST(connected_hardware_is_listed_from_sysfs)
{
    open_with(&collector_hardware);
    (void)watch_round();
    ck_assert_uint_eq(json_array_size(watch.seen), 0); /* no sysfs: nothing is known */
    root_write("/sys/bus/usb/devices/1-1/idVendor", "046d\n");
    root_write("/sys/bus/usb/devices/1-1/idProduct", "c31c\n");
    root_write("/sys/bus/usb/devices/1-1/product", "USB Keyboard \n");
    root_write("/sys/bus/usb/devices/1-1/manufacturer", "Logitech\n");
    root_write("/sys/bus/usb/devices/1-1/bDeviceClass", "00\n");
    root_write("/sys/bus/usb/devices/1-1/1-1:1.0/bInterfaceClass", "03\n");
    root_write("/sys/bus/usb/devices/1-1:1.0/bInterfaceClass", "03\n");
    root_write("/sys/bus/usb/devices/usb1/idVendor", "1d6b\n");
    root_write("/sys/bus/usb/devices/usb1/idProduct", "0002\n");
    root_write("/sys/bus/usb/devices/usb1/bDeviceClass", "09\n");
    root_write("/sys/bus/pci/devices/0000:00:03.0/class", "0x020000\n");
    root_write("/sys/bus/pci/devices/0000:00:03.0/vendor", "0x8086\n");
    root_write("/sys/bus/pci/devices/0000:00:03.0/device", "0x100e\n");
    root_link("/sys/bus/pci/devices/0000:00:03.0/driver", "../../../bus/pci/drivers/e1000");
    root_write("/sys/class/net/eth0/address", "02:00:00:00:00:01\n");
    root_write("/sys/class/net/eth0/device/x", "");
    root_write("/sys/class/net/wlan0/wireless/x", "");
    root_write("/sys/class/net/wlan0/device/x", "");
    root_write("/sys/class/net/lo/address", "00:00:00:00:00:00\n");
    root_write("/sys/block/mmcblk0/device/name", "SD16G\n");
    root_write("/sys/block/mmcblk0/removable", "1\n");
    root_write("/sys/block/mmcblk0/size", "31116288\n");
    root_write("/sys/block/loop0/size", "0\n");
    root_write("/sys/class/input/input3/name", "gpio-keys\n");
    root_write("/sys/class/input/event3/dev", "13:67\n");
    root_write("/sys/class/sound/card0/id", "bcm2835\n");
    (void)watch_round();
    ck_assert_uint_eq(watch_count(), 8);
    assert_text(json_array_get(watch.seen, 0), "Name", "ConnectedHardware");
    assert_text(json_array_get(watch.seen, 0), "Category", "Periodic");
    const json_t *keyboard = watch_find("HardwareName", "USB Keyboard"), *hub = watch_find("HardwareName", "1d6b:0002"), *card = watch_find("HardwareName", "8086:100e");
    assert_text(keyboard, "HardwareCategory", "USB");
    assert_text(keyboard, "HardwareSubCategory", "Human Interface Device");
    assert_text(json_object_get(keyboard, "ExtraDetails"), "Manufacturer", "Logitech");
    assert_text(hub, "HardwareSubCategory", "Hub");
    assert_text(card, "HardwareCategory", "Network");
    assert_text(json_object_get(card, "ExtraDetails"), "Driver", "e1000");
    assert_text(watch_find("HardwareName", "eth0"), "HardwareSubCategory", "Adapter");
    assert_text(watch_find("HardwareName", "wlan0"), "HardwareSubCategory", "Wireless");
    assert_text(watch_find("HardwareName", "SD16G"), "HardwareSubCategory", "Removable");
    assert_text(json_object_get(watch_find("HardwareName", "SD16G"), "ExtraDetails"), "SizeInBytes", "15931539456");
    assert_text(watch_find("HardwareName", "gpio-keys"), "HardwareCategory", "Input");
    assert_text(watch_find("HardwareName", "bcm2835"), "HardwareCategory", "Multimedia");
}
END_TEST

START_TEST(what_the_kernel_says_of_a_device_is_read)
{
    static const char add[] = "add@/devices/usb1/1-1\0ACTION=add\0DEVPATH=/devices/usb1/1-1\0SUBSYSTEM=usb\0DEVTYPE=usb_device\0PRODUCT=46d/c31c/6402\0TYPE=0/0/0\0BUSNUM=001\0DEVNUM=004";
    struct uevent event;

    ck_assert(uevent_read(add, sizeof add, &event));
    ck_assert_str_eq(event.kind, "usb_device");
    ck_assert_int_eq(uevent_part(event.bus_number, 0, 10), 1);
    ck_assert_int_eq(uevent_part(event.device_number, 0, 10), 4);
    ck_assert_int_eq(uevent_part(event.product, 0, 16), 0x46d);
    ck_assert_int_eq(uevent_part(event.product, 1, 16), 0xc31c);
    ck_assert_int_eq(uevent_part(event.product, 7, 16), -1);
    ck_assert_int_eq(uevent_part("", 0, 10), -1);
    ck_assert(!uevent_read(add, sizeof add - 1, &event));
    ck_assert(!uevent_read("libudev", 8, &event));
    ck_assert(!uevent_read("add@/x", 7, &event));
    ck_assert(!uevent_read("", 0, &event));
}
END_TEST

static int ip(const char *arguments)
{
    char command[200];

    snprintf(command, sizeof command, "exec ip %s", arguments);
    return shell(command);
}

/* "Allow In tcp 192.0.2.0/24 ->22; " for each rule of a round. */
static const char *rules(void)
{
    static char out[4096];
    size_t used = 0;

    out[0] = '\0';
    (void)watch_round();
    for (size_t i = 0; i < watch_count(); i++) {
        const json_t *element = watch_element(i);
        static const char *const names[] = {"Action", "Direction", "Protocol", "SourceAddress", "SourcePort", "DestinationAddress", "DestinationPort"};
        for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
            const char *value = json_string_value(json_object_get(element, names[k]));
            if (value)
                used += (size_t)snprintf(out + used, sizeof out - used, "%s ", value);
        }
        used += (size_t)snprintf(out + used, sizeof out - used, "%d; ", (int)json_integer_value(json_object_get(element, "Priority")));
        ck_assert_uint_lt(used, sizeof out);
    }
    return out;
}

/* In a network of our own, which needs root and nft(8). */
START_TEST(rules_of_the_firewall_are_told_chain_by_chain_with_the_policy_at_the_end)
{
    open_with(&collector_firewall);
    if (!own_network("nft list tables"))
        return;
    ck_assert_str_eq(rules(), "");
    ck_assert_uint_eq(json_array_size(watch.seen), 1); /* an empty list is one */
    ck_assert_int_eq(shell("nft add table inet f && nft 'add chain inet f input { type filter hook input priority 0; policy drop; }'"), 0);
    ck_assert_str_eq(rules(), "Deny In 0; ");
    ck_assert_int_eq(shell("nft add rule inet f input tcp dport 22 ip saddr 192.0.2.0/24 accept && nft add rule inet f input ip6 saddr != 2001:db8::/36 udp sport 1024-2000 drop"
                           " && nft add rule inet f input ip daddr 198.51.100.7 meta l4proto icmp counter reject && nft add rule inet f input iif lo accept"), 0);
    ck_assert_str_eq(rules(), "Allow In tcp 192.0.2.0/24 22 0; Deny In udp !2001:db8::/36 1024-2000 1; Deny In icmp 198.51.100.7 2; Other In 3; Deny In 4; ");
    assert_text(json_object_get(watch_element(3), "ExtraDetails"), "Verdict", "Allow");
    assert_text(watch_element(0), "ChainName", "inet f/input");
    ck_assert_int_eq(shell("nft 'chain inet f input { policy accept; }' && nft flush chain inet f input"), 0); /* it is opened */
    ck_assert_str_eq(rules(), "Allow In 0; ");
}
END_TEST

/* The same, of the old iptables; its tables are of one network each. */
START_TEST(rules_of_the_old_iptables_are_told_too)
{
    open_with(&collector_firewall);
    if (!own_network("iptables-legacy -P INPUT DROP && ip6tables-legacy -P FORWARD DROP"))
        return;
    watch.scope.root = "";
    ck_assert_str_eq(rules(), "Deny In 0; Allow 0; Allow Out 0; Allow In 0; Deny 0; Allow Out 0; ");
    assert_text(watch_element(0), "ChainName", "iptables filter/INPUT");
    assert_text(watch_element(4), "ChainName", "ip6tables filter/FORWARD");
    ck_assert_int_eq(shell("iptables-legacy -A INPUT -p tcp --dport 22 -s 192.0.2.0/24 -m comment --comment why -j ACCEPT && iptables-legacy -A INPUT -p udp --sport 1024:2000 ! -d 198.51.100.7 -j REJECT"
                           " && iptables-legacy -N mine && iptables-legacy -A mine -p tcp -m multiport --dports 80,443,8000:8100 -j DROP && iptables-legacy -A INPUT -j mine"
                           " && iptables-legacy -A INPUT -i lo -j ACCEPT && iptables-legacy -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT && ip6tables-legacy -F && ip6tables-legacy -P FORWARD ACCEPT"
                           " && ip6tables-legacy -A OUTPUT -d 2001:db8::/32 -p ipv6-icmp -j DROP"), 0);
    ck_assert_str_eq(rules(), "Allow In tcp 192.0.2.0/24 22 0; Deny In udp 1024-2000 !198.51.100.7 1; Other In 2; Other In 3; Other In 4; Deny In 5; Allow 0; Allow Out 0; Deny tcp 80,443,8000-8100 0; "
                              "Allow In 0; Allow 0; Deny Out ipv6-icmp 2001:db8::/32 0; Allow Out 1; ");
    assert_text(watch_element(8), "ChainName", "iptables filter/mine");
    assert_text(json_object_get(watch_element(3), "ExtraDetails"), "Verdict", "Allow");
}
END_TEST

/* Rounds until something was told: the kernel looks at a carrier a moment after the link went up. */
static void links_round(void)
{
    struct pollfd socket = {.fd = watch.collector->socket(watch.memory), .events = POLLIN};

    do {
        ck_assert_int_eq(poll(&socket, 1, CARRIER_MS), 1);
        (void)watch_round();
    } while (!watch_count());
}

/* In a network of our own, which needs root and ip(8). */
START_TEST(a_link_that_goes_up_and_down_is_told_once)
{
    if (!own_network("ip link add p0 type veth peer name p1")) {
        open_with(&collector_packages);
        return;
    }
    ck_assert_int_eq(ip("link set p1 up"), 0);
    open_with(&collector_peripherals);
    (void)watch_round();
    ck_assert_uint_eq(watch_count(), 0); /* as it was found */
    ck_assert_int_eq(ip("link set p0 up"), 0);
    bool up[2] = {false, false};
    while (!up[0] || !up[1]) { /* both ends have a carrier now, and are told in one round or two */
        links_round();
        for (size_t i = 0; i < watch_count(); i++) {
            assert_text(watch_element(i), "ActionType", "UP");
            const char *name = json_string_value(json_object_get(watch_element(i), "InterfaceName"));
            bool second = strcmp(name, "p1") == 0;
            ck_assert(second || strcmp(name, "p0") == 0);
            ck_assert(!up[second]);
            up[second] = true;
        }
    }
    ck_assert_int_eq(ip("link set p0 down"), 0);
    links_round();
    assert_text(watch_find("InterfaceName", "p0"), "ActionType", "DOWN");
    ck_assert_int_eq(ip("link del p0"), 0);
    (void)watch_round();
    ck_assert_ptr_null(watch_find("ActionType", "UP"));
}
END_TEST

START_TEST(what_cannot_be_known_is_logged_and_told_and_is_no_empty_list)
{
    open_with(&collector_firewall);
    if (!own_network("nft list tables"))
        return;
    right_drop(CAP_NET_ADMIN);
    (void)watch_round();
    ck_assert_uint_eq(json_array_size(watch.seen), 1);
    assert_text(json_array_get(watch.seen, 0), "Name", "Diagnostic");
    assert_text(json_array_get(watch.seen, 0), "EventType", "Diagnostic");
    assert_text(json_array_get(watch.seen, 0), "Category", "Triggered");
    assert_text(watch_element(0), "Severity", "Warning");
    assert_text(watch_element(0), "Message", "the firewall's rules are not known: nftables: Operation not permitted");
    settings.subjects[PICKET_LOGS].disabled = true;
    (void)watch_round();
    ck_assert_uint_eq(json_array_size(watch.seen), 0);
}
END_TEST

START_TEST(the_agent_says_that_it_lives_and_how_its_messages_fare)
{
    open_with(&collector_heartbeat);
    const json_t *seen = watch_round();
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(seen, 0), "Name")), "Heartbeat");
    ck_assert(json_is_true(json_object_get(json_array_get(seen, 0), "IsEmpty")));
    watch.collector = &collector_statistics;
    watch.memory = watch.collector->open();
    (void)watch_round();
    ck_assert_uint_eq(watch_count(), 2);
    assert_number(watch_element(0), "MessagesSent", 1);
    assert_number(watch_element(0), "MessagesUnder4KB", 1);
    assert_number(watch_element(0), "TotalFailed", 0);
    assert_text(watch_element(1), "Queue", "High");
    assert_number(watch_element(1), "CollectedEvents", 1);
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(watch.seen, 0), "EventType")), "Operational");
    (void)watch_round();
    assert_number(watch_element(1), "CollectedEvents", 2); /* since the last time: these two */
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        files_that_come_change_and_go_are_told_once,
        so_they_are_where_the_kernel_does_not_say_who,
        a_folder_that_comes_is_watched_with_what_lies_in_it,
        so_it_is_where_the_kernel_does_not_say_who,
        packages_are_read_from_the_databases_that_are_text,
        packages_of_rpm_are_told_by_rpm,
        connected_hardware_is_listed_from_sysfs,
        what_the_kernel_says_of_a_device_is_read,
        rules_of_the_firewall_are_told_chain_by_chain_with_the_policy_at_the_end,
        rules_of_the_old_iptables_are_told_too,
        a_link_that_goes_up_and_down_is_told_once,
        what_cannot_be_known_is_logged_and_told_and_is_no_empty_list,
        the_agent_says_that_it_lives_and_how_its_messages_fare,
    };
    const struct check_suite suite = {"agent/collect_host", tests, sizeof tests / sizeof *tests, NULL, teardown, 60};
    return check_main(&suite);
}
