#include "agent/self_check.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/collect_dns.h"
#include "agent/collect_login_lines.h"
#include "agent/collect_packages.h"
#include "agent/connection_watch.h"
#include "agent/enrol.h"
#include "agent/file_watch.h"
#include "agent/linux_port.h"
#include "agent/netlink.h"
#include "agent/process_watch.h"

#define WATCH_BYTES 65536
#define CONNECT_MS 10000

static bool readable(const char *root, const char *path)
{
    char whole[FILE_PATH_SIZE];

    snprintf(whole, sizeof whole, "%s%s", root, path);
    return access(whole, R_OK) == 0;
}

static enum self_check_result look_processes(const struct agent_config *config, const char *root, struct reason *out)
{
    struct reason why;
    struct process_watch *watch = process_watch_open(WATCH_BYTES, &why);

    process_watch_close(watch);
    if (!readable(root, "/proc/1/stat")) {
        reason_set(out, "/proc is not mounted, or hides other users' processes (hidepid)");
        return SELF_CHECK_FAILED;
    }
    if (!watch) {
        reason_set(out, "looked at each %lld s, so that one which lives shorter is missed: %s", (long long)config->process_interval_s, why.text);
        return SELF_CHECK_LIMITED;
    }
    reason_set(out, "told by the kernel as they begin%s", geteuid() ? "; paths and arguments of other users may be hidden" : "");
    return SELF_CHECK_OK;
}

static enum self_check_result look_sockets(const struct agent_config *config, const char *root, struct reason *out)
{
    struct reason why;

    (void)config;
    if (!readable(root, "/proc/net/tcp")) {
        reason_set(out, "/proc/net/tcp cannot be read: %s", strerror(errno));
        return SELF_CHECK_FAILED;
    }
    struct connection_watch *watch = connection_watch_open(WATCH_BYTES, &why);
    bool told = watch != NULL, tracks = told && connection_watch_tracks(watch);
    connection_watch_close(watch);
    if (geteuid() != 0 && !readable(root, "/proc/1/fd")) {
        reason_set(out, "whose sockets of other users are is not known without root or CAP_SYS_PTRACE%s%s", told ? "" : "; connections are looked at in intervals: ", told ? "" : why.text);
        return SELF_CHECK_LIMITED;
    }
    if (!told) {
        reason_set(out, "connections are looked at in intervals, so that one which lives shorter is missed: %s", why.text);
        return SELF_CHECK_LIMITED;
    }
    reason_set(out, "IPv4%s, with the program of each; connections that live shorter are told by the kernel%s", readable(root, "/proc/net/tcp6") ? " and IPv6" : "; this kernel has no IPv6",
               tracks ? "" : ", but for datagrams, since nothing is heard of connection tracking");
    return SELF_CHECK_OK;
}

static enum self_check_result look_dns(const struct agent_config *config, const char *root, struct reason *out)
{
    struct reason why;
    int packets = dns_socket_open(WATCH_BYTES, &why);

    (void)config, (void)root;
    if (packets < 0) {
        reason_set(out, "questions are not seen: %s", why.text);
        return SELF_CHECK_LIMITED;
    }
    close(packets);
    reason_set(out, "questions that leave by udp");
    return SELF_CHECK_OK;
}

static enum self_check_result look_logins(const struct agent_config *config, const char *root, struct reason *out)
{
    bool good = readable(root, "/var/log/wtmp"), failed = readable(root, "/var/log/btmp");
    char log[FILE_PATH_SIZE];

    (void)config;
    if (login_log_find(root, log)) {
        bool fine = access(log, R_OK) == 0;
        reason_set(out, fine ? "there is no wtmp: those that sshd, dropbear and login log in %s" : "there is no wtmp, and %s cannot be read", log + strlen(root));
        return fine ? SELF_CHECK_OK : SELF_CHECK_FAILED;
    }
    if (!good && !failed && login_journal_find(root, log)) {
        reason_set(out, "there is no wtmp: those that sshd, dropbear and login log in the journal");
        return SELF_CHECK_OK;
    }
    reason_set(out, "%s; %s", good ? "successful ones by /var/log/wtmp" : "/var/log/wtmp is not there or cannot be read",
               failed ? "failed ones by /var/log/btmp" : "/var/log/btmp is not there or cannot be read");
    return good && failed ? SELF_CHECK_OK : good || failed ? SELF_CHECK_LIMITED : SELF_CHECK_FAILED;
}

static enum self_check_result look_users(const struct agent_config *config, const char *root, struct reason *out)
{
    bool there = readable(root, "/etc/passwd");

    (void)config;
    reason_set(out, there ? "by /etc/passwd and /etc/group; users of a directory service are not looked for" : "/etc/passwd cannot be read");
    return there ? SELF_CHECK_OK : SELF_CHECK_FAILED;
}

/* Whether the kernel lets us hear of the first group. */
static bool netlink_opens(int protocol, struct reason *why)
{
    const unsigned first = 1;
    int made = netlink_listen(protocol, &first, 1, why);

    if (made >= 0)
        close(made);
    return made >= 0;
}

static enum self_check_result look_peripherals(const struct agent_config *config, const char *root, struct reason *out)
{
    struct reason usb_why, links_why;
    bool usb = netlink_opens(NETLINK_KOBJECT_UEVENT, &usb_why), links = netlink_opens(NETLINK_ROUTE, &links_why);

    (void)config, (void)root;
    reason_set(out, "USB: %s; links: %s", usb ? "told by the kernel" : usb_why.text, links ? "told by the kernel" : links_why.text);
    return usb && links ? SELF_CHECK_OK : usb || links ? SELF_CHECK_LIMITED : SELF_CHECK_FAILED;
}

static enum self_check_result look_firewall(const struct agent_config *config, const char *root, struct reason *out)
{
    struct reason why;
    bool opens = netlink_opens(NETLINK_NETFILTER, &why), old = readable(root, "/proc/net/ip_tables_names");

    (void)config;
    if (!opens) {
        reason_set(out, "the rules cannot be read without CAP_NET_ADMIN, or this kernel has no firewall: %s", why.text);
        return SELF_CHECK_LIMITED;
    }
    reason_set(out, "nftables, and iptables-nft%s", old ? "; and the old iptables" : "");
    return SELF_CHECK_OK;
}

static enum self_check_result look_files(const struct agent_config *config, const char *root, struct reason *out)
{
    char path[FILE_PATH_SIZE], most[32] = "";
    struct reason why, ignored;
    struct file_watch *with_processes = file_watch_open(true, &why), *watch = file_watch_open(false, &ignored);
    bool tells = with_processes != NULL, any = tells || watch;

    (void)config;
    file_watch_close(with_processes);
    file_watch_close(watch);
    snprintf(path, sizeof path, "%s/proc/sys/fs/inotify/max_user_watches", root);
    long count = file_read(path, most, sizeof most - 1);
    if (tells)
        reason_set(out, "by fanotify, with the process; on file systems that do not have it, by inotify");
    else if (any)
        reason_set(out, "by inotify, so that the process is not known (fanotify: %s); the kernel allows %.*s folders", why.text, count > 0 ? (int)strcspn(most, "\n") : 0, most);
    else
        reason_set(out, "neither fanotify nor inotify: %s", ignored.text);
    return any ? SELF_CHECK_OK : SELF_CHECK_FAILED;
}

static enum self_check_result look_packages(const struct agent_config *config, const char *root, struct reason *out)
{
    static const char *const databases[] = {"/var/lib/dpkg/status", "/usr/lib/opkg/status", "/var/lib/opkg/status", "/lib/apk/db/installed"};
    char path[FILE_PATH_SIZE];

    (void)config;
    if (rpm_database_find(root, path)) {
        reason_set(out, "by rpm, of %s", path);
        return SELF_CHECK_OK;
    }
    for (size_t i = 0; i < sizeof databases / sizeof *databases; i++)
        if (readable(root, databases[i])) {
            reason_set(out, "by %s", databases[i]);
            return SELF_CHECK_OK;
        }
    reason_set(out, "none of the databases of dpkg, opkg, apk and rpm is there");
    return SELF_CHECK_FAILED;
}

static enum self_check_result look_spool(const struct agent_config *config, const char *root, struct reason *out)
{
    const struct iovec part = {"x", 1};
    char path[FILE_PATH_SIZE + 16];

    (void)root;
    if (access(config->spool_folder, F_OK) != 0) {
        const char *slash = strrchr(config->spool_folder, '/');
        snprintf(path, sizeof path, "%.*s", slash && slash > config->spool_folder ? (int)(slash - config->spool_folder) : 1, slash ? config->spool_folder : ".");
        bool makes = access(path, W_OK) == 0;
        reason_set(out, makes ? "%s is made at the first start" : "%s is not there, and cannot be made by this user", config->spool_folder);
        return makes ? SELF_CHECK_OK : SELF_CHECK_FAILED;
    }
    if (!file_write(config->spool_folder, "check", &part, 1, out))
        return SELF_CHECK_FAILED;
    snprintf(path, sizeof path, "%s/check", config->spool_folder);
    (void)unlink(path);
    reason_set(out, "%s can be written", config->spool_folder);
    return SELF_CHECK_OK;
}

static enum self_check_result look_server(const struct agent_config *config, const char *root, struct reason *out)
{
    static const volatile sig_atomic_t never = 0;
    struct uplink_target target = linux_port_target(config);
    char host[PICKET_HOST_MAX + 1];

    (void)root;
    if (!agent_config_complete(config, "the configuration", out) || (!config->connection_string[0] && !enrol_target(config, host, &target, out)))
        return SELF_CHECK_FAILED;
    struct uplink *uplink = uplink_new(&target, &never, out);
    bool open = uplink && uplink_open(uplink, uplink_now_ms() + CONNECT_MS, out);
    uplink_free(uplink);
    if (open)
        reason_set(out, "%s:%u answers, and its certificate holds", target.host, target.port);
    return open ? SELF_CHECK_OK : SELF_CHECK_FAILED;
}

const struct self_check self_checks[] = {
    {"processes", look_processes}, {"sockets", look_sockets}, {"DNS", look_dns}, {"logins", look_logins},     {"users", look_users}, {"firewall", look_firewall}, {"peripherals", look_peripherals},
    {"files", look_files},         {"packages", look_packages}, {"spool", look_spool},     {"server", look_server},
};
const size_t self_check_count = sizeof self_checks / sizeof *self_checks;
