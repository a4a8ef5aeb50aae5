#include "agent/collect_baseline.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "agent/collector.h"
#include "agent/file.h"
#include "agent/socket_table.h"
#include "agent/word_list.h"

#define LINE_BYTES 1024

#define NETWORK "Network"
#define KERNEL "Kernel"
#define FILES "File permissions"
#define MOUNTS "File systems"
#define SSH "SSH server"
#define SERVICES "Services"
#define ACCOUNTS "Accounts"

const struct baseline_check baseline_checks[] = {
    {"1.1.2", MOUNTS, "/tmp is a file system of its own", "Warning", BASELINE_MOUNT, "/tmp", "", "Mount a tmpfs at /tmp."},
    {"1.1.3", MOUNTS, "Nothing in /tmp gains the rights of its owner", "Warning", BASELINE_MOUNT, "/tmp", "nosuid", "Mount /tmp with nosuid."},
    {"1.1.4", MOUNTS, "Nothing in /tmp is run", "Important", BASELINE_MOUNT, "/tmp", "noexec", "Mount /tmp with noexec: downloads of bots are run from there."},
    {"1.1.8", MOUNTS, "Nothing in /dev/shm is run", "Important", BASELINE_MOUNT, "/dev/shm", "noexec", "Mount /dev/shm with noexec."},
    {"1.5.1", KERNEL, "Programs with others' rights leave no memory behind", "Warning", BASELINE_SYSCTL, "fs/suid_dumpable", "=0", "sysctl -w fs.suid_dumpable=0"},
    {"1.5.2", KERNEL, "Addresses are drawn by lot", "Important", BASELINE_SYSCTL, "kernel/randomize_va_space", "2", "sysctl -w kernel.randomize_va_space=2"},
    {"1.5.3", KERNEL, "Programs do not look into each other", "Warning", BASELINE_SYSCTL, "kernel/yama/ptrace_scope", "1", "sysctl -w kernel.yama.ptrace_scope=1"},
    {"1.5.4", KERNEL, "The kernel's addresses are hidden", "Warning", BASELINE_SYSCTL, "kernel/kptr_restrict", "1", "sysctl -w kernel.kptr_restrict=1"},
    {"1.5.5", KERNEL, "The kernel's log is root's", "Warning", BASELINE_SYSCTL, "kernel/dmesg_restrict", "1", "sysctl -w kernel.dmesg_restrict=1"},
    {"3.1.1", NETWORK, "Packets are not passed on", "Warning", BASELINE_SYSCTL, "net/ipv4/ip_forward", "=0", "sysctl -w net.ipv4.ip_forward=0, unless this is a router."},
    {"3.1.2", NETWORK, "No redirects are sent", "Warning", BASELINE_SYSCTL, "net/ipv4/conf/all/send_redirects", "=0", "sysctl -w net.ipv4.conf.all.send_redirects=0"},
    {"3.2.1", NETWORK, "Source routes are not taken", "Important", BASELINE_SYSCTL, "net/ipv4/conf/all/accept_source_route", "=0", "sysctl -w net.ipv4.conf.all.accept_source_route=0"},
    {"3.2.2", NETWORK, "Redirects are not taken", "Important", BASELINE_SYSCTL, "net/ipv4/conf/all/accept_redirects", "=0", "sysctl -w net.ipv4.conf.all.accept_redirects=0"},
    {"3.2.4", NETWORK, "Impossible addresses are logged", "Informational", BASELINE_SYSCTL, "net/ipv4/conf/all/log_martians", "1", "sysctl -w net.ipv4.conf.all.log_martians=1"},
    {"3.2.5", NETWORK, "Broadcast pings are not answered", "Warning", BASELINE_SYSCTL, "net/ipv4/icmp_echo_ignore_broadcasts", "1", "sysctl -w net.ipv4.icmp_echo_ignore_broadcasts=1"},
    {"3.2.7", NETWORK, "Packets come the way that answers go", "Warning", BASELINE_SYSCTL, "net/ipv4/conf/all/rp_filter", "1", "sysctl -w net.ipv4.conf.all.rp_filter=1"},
    {"3.2.8", NETWORK, "Floods of SYN are answered by cookies", "Important", BASELINE_SYSCTL, "net/ipv4/tcp_syncookies", "1", "sysctl -w net.ipv4.tcp_syncookies=1"},
    {"3.2.9", NETWORK, "IPv6 takes no redirects", "Warning", BASELINE_SYSCTL, "net/ipv6/conf/all/accept_redirects", "=0", "sysctl -w net.ipv6.conf.all.accept_redirects=0"},
    {"2.2.1", SERVICES, "Nobody is let in by telnet", "Critical", BASELINE_LISTENS, "23", "", "Stop telnetd, and use SSH."},
    {"2.2.2", SERVICES, "Nobody is let in by telnet on its other port", "Critical", BASELINE_LISTENS, "2323", "", "Stop telnetd, and use SSH."},
    {"2.2.3", SERVICES, "There is no plain FTP", "Important", BASELINE_LISTENS, "21", "", "Stop the FTP server, or let it ask for TLS."},
    {"2.2.4", SERVICES, "There is no debug bridge", "Critical", BASELINE_LISTENS, "5555", "", "Stop adbd: it asks for no password."},
    {"2.2.5", SERVICES, "There is no rlogin", "Critical", BASELINE_LISTENS, "513", "", "Stop rlogind."},
    {"2.2.6", SERVICES, "inetd starts no telnetd", "Critical", BASELINE_ABSENT, "/etc/inetd.conf", "telnetd", "Take the line with telnetd out of /etc/inetd.conf."},
    {"2.2.7", SERVICES, "The serial console asks who it is", "Important", BASELINE_ABSENT, "/etc/inittab", "askfirst:-/bin/sh", "Start getty or login on the console instead of a shell."},
    {"5.2.3", SSH, "sshd_config is root's", "Warning", BASELINE_PERMISSION, "/etc/ssh/sshd_config", "0644", "chown root:root /etc/ssh/sshd_config; chmod 600 /etc/ssh/sshd_config"},
    {"5.2.7", SSH, "Few tries for a password", "Warning", BASELINE_SSHD, "MaxAuthTries", "<=4", "MaxAuthTries 4"},
    {"5.2.10", SSH, "root does not log in with a password", "Important", BASELINE_SSHD, "PermitRootLogin", "?no|prohibit-password|without-password", "PermitRootLogin no"},
    {"5.2.11", SSH, "Empty passwords let nobody in", "Critical", BASELINE_SSHD, "PermitEmptyPasswords", "?no", "PermitEmptyPasswords no"},
    {"5.2.12", SSH, "Users do not set the environment", "Warning", BASELINE_SSHD, "PermitUserEnvironment", "?no", "PermitUserEnvironment no"},
    {"5.2.20", SSH, "Screens are not passed on", "Informational", BASELINE_SSHD, "X11Forwarding", "?no", "X11Forwarding no"},
    {"6.1.2", FILES, "/etc/passwd is root's", "Important", BASELINE_PERMISSION, "/etc/passwd", "0644", "chown root:root /etc/passwd; chmod 644 /etc/passwd"},
    {"6.1.3", FILES, "/etc/shadow is hidden", "Critical", BASELINE_PERMISSION, "/etc/shadow", "0640", "chown root:shadow /etc/shadow; chmod 640 /etc/shadow"},
    {"6.1.4", FILES, "/etc/group is root's", "Important", BASELINE_PERMISSION, "/etc/group", "0644", "chown root:root /etc/group; chmod 644 /etc/group"},
    {"6.1.5", FILES, "/etc/gshadow is hidden", "Important", BASELINE_PERMISSION, "/etc/gshadow", "0640", "chmod 640 /etc/gshadow"},
    {"6.1.6", FILES, "/etc/crontab is root's", "Important", BASELINE_PERMISSION, "/etc/crontab", "0644", "chown root:root /etc/crontab; chmod 600 /etc/crontab"},
    {"6.2.1", ACCOUNTS, "Every user has a password, or none can be given", "Critical", BASELINE_USERS, "/etc/shadow", "empty", "passwd -l USER"},
    {"6.2.2", ACCOUNTS, "root is the only root", "Critical", BASELINE_USERS, "/etc/passwd", "root", "Take the number 0 from users other than root."},
};
const size_t baseline_check_count = sizeof baseline_checks / sizeof *baseline_checks;

/* A file below the root; NULL: `result` says what that means. */
static FILE *open_file(const char *root, const char *path, char *evidence, enum baseline_result *result)
{
    char whole[FILE_PATH_SIZE];

    snprintf(whole, sizeof whole, "%s%s", root, path);
    FILE *file = fopen(whole, "re");
    if (!file) {
        snprintf(evidence, BASELINE_EVIDENCE_MAX, "%s: %s", path, strerror(errno));
        *result = errno == ENOENT ? BASELINE_SKIP : BASELINE_ERROR;
    }
    return file;
}

static enum baseline_result look_sysctl(const struct baseline_check *check, const char *root, char *evidence)
{
    enum baseline_result result = BASELINE_ERROR;
    char path[128];
    long found = -1;
    bool exact = check->wanted[0] == '=';

    snprintf(path, sizeof path, "/proc/sys/%s", check->subject);
    FILE *file = open_file(root, path, evidence, &result);
    if (!file)
        return result;
    bool read = fscanf(file, "%ld", &found) == 1;
    fclose(file);
    snprintf(evidence, BASELINE_EVIDENCE_MAX, "%s is %ld", path, found);
    if (!read)
        return BASELINE_ERROR;
    long wanted = strtol(check->wanted + exact, NULL, 10);
    return exact ? found == wanted ? BASELINE_PASS : BASELINE_FAIL : found >= wanted ? BASELINE_PASS : BASELINE_FAIL;
}

static enum baseline_result look_mount(const struct baseline_check *check, const char *root, char *evidence)
{
    enum baseline_result result = BASELINE_ERROR;
    char line[LINE_BYTES], folder[LINE_BYTES], options[LINE_BYTES], last[LINE_BYTES] = "";
    bool found = false;
    FILE *file = open_file(root, "/proc/mounts", evidence, &result);

    if (!file)
        return result;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "%*s %1023s %*s %1023s", folder, options) == 2 && strcmp(folder, check->subject) == 0) {
            found = true; /* the last one is on top */
            memcpy(last, options, sizeof last);
        }
    fclose(file);
    snprintf(evidence, BASELINE_EVIDENCE_MAX, found ? "%s is mounted with %.200s" : "%s is no mount of its own", check->subject, last);
    return found && (!*check->wanted || word_list_has(last, ',', check->wanted)) ? BASELINE_PASS : BASELINE_FAIL;
}

static enum baseline_result look_permission(const struct baseline_check *check, const char *root, char *evidence)
{
    char whole[FILE_PATH_SIZE];
    struct stat about;
    unsigned most = (unsigned)strtoul(check->wanted, NULL, 8);

    snprintf(whole, sizeof whole, "%s%s", root, check->subject);
    if (stat(whole, &about) != 0) {
        snprintf(evidence, BASELINE_EVIDENCE_MAX, "%s: %s", check->subject, strerror(errno));
        return errno == ENOENT ? BASELINE_SKIP : BASELINE_ERROR;
    }
    snprintf(evidence, BASELINE_EVIDENCE_MAX, "%s has mode %04o and is of user %u", check->subject, (unsigned)about.st_mode & 07777, (unsigned)about.st_uid);
    return about.st_uid == 0 && !((about.st_mode & 07777) & ~most) ? BASELINE_PASS : BASELINE_FAIL;
}

/* The first line counts; what stands below a Match is for some alone. Facts: sshd_config(5). */
static enum baseline_result look_sshd(const struct baseline_check *check, const char *root, char *evidence)
{
    enum baseline_result result = BASELINE_ERROR;
    char line[LINE_BYTES], name[LINE_BYTES], value[LINE_BYTES] = "";
    bool by_default = check->wanted[0] == '?', matched = false;
    const char *wanted = check->wanted + by_default;
    FILE *file = open_file(root, "/etc/ssh/sshd_config", evidence, &result);

    if (!file)
        return result;
    while (!matched && fgets(line, sizeof line, file)) {
        if (sscanf(line, " %1023[^ \t#=]%*[ \t=]%1023s", name, value) != 2)
            continue;
        if (strcasecmp(name, "Match") == 0)
            break;
        matched = strcasecmp(name, check->subject) == 0;
    }
    fclose(file);
    snprintf(evidence, BASELINE_EVIDENCE_MAX, matched ? "/etc/ssh/sshd_config: %s %.100s" : "/etc/ssh/sshd_config does not say %s", check->subject, value);
    if (!matched)
        return by_default ? BASELINE_PASS : BASELINE_FAIL;
    if (strncmp(wanted, "<=", 2) == 0)
        return strtol(value, NULL, 10) <= strtol(wanted + 2, NULL, 10) ? BASELINE_PASS : BASELINE_FAIL;
    return word_list_has(wanted, '|', value) ? BASELINE_PASS : BASELINE_FAIL;
}

static enum baseline_result look_listens(const struct baseline_check *check, const char *root, char *evidence)
{
    static const struct {
        const char *path;
        enum socket_table table;
    } tables[] = {{"/proc/net/tcp", SOCKET_TCP}, {"/proc/net/tcp6", SOCKET_TCP6}};
    uint16_t port = (uint16_t)strtoul(check->subject, NULL, 10);
    enum baseline_result result = BASELINE_ERROR;
    char line[LINE_BYTES];
    struct socket_row row;
    bool any = false;

    for (size_t i = 0; i < 2; i++) {
        FILE *file = open_file(root, tables[i].path, evidence, &result);
        any = any || file;
        while (file && fgets(line, sizeof line, file))
            if (socket_row_read(tables[i].table, line, strlen(line), &row) && socket_listens(&row) && row.local_port == port) {
                snprintf(evidence, BASELINE_EVIDENCE_MAX, "somebody listens on TCP port %u of %s", port, row.local);
                fclose(file);
                return BASELINE_FAIL;
            }
        if (file)
            fclose(file);
    }
    if (any)
        snprintf(evidence, BASELINE_EVIDENCE_MAX, "nobody listens on TCP port %u", port);
    return any ? BASELINE_PASS : result;
}

static enum baseline_result look_absent(const struct baseline_check *check, const char *root, char *evidence)
{
    enum baseline_result result = BASELINE_PASS;
    char line[LINE_BYTES];
    FILE *file = open_file(root, check->subject, evidence, &result);

    if (!file)
        return result;
    snprintf(evidence, BASELINE_EVIDENCE_MAX, "%s has no such line", check->subject);
    while (result == BASELINE_PASS && fgets(line, sizeof line, file)) {
        if (line[strspn(line, " \t")] == '#' || !strstr(line, check->wanted))
            continue;
        snprintf(evidence, BASELINE_EVIDENCE_MAX, "%s: %.*s", check->subject, (int)strcspn(line, "\n") < 150 ? (int)strcspn(line, "\n") : 150, line);
        result = BASELINE_FAIL;
    }
    fclose(file);
    return result;
}

static enum baseline_result look_users(const struct baseline_check *check, const char *root, char *evidence)
{
    enum baseline_result result = BASELINE_PASS;
    bool empty = strcmp(check->wanted, "empty") == 0;
    char line[LINE_BYTES];
    FILE *file = open_file(root, check->subject, evidence, &result);

    if (!file)
        return result;
    snprintf(evidence, BASELINE_EVIDENCE_MAX, "%s has no such user", check->subject);
    while (result == BASELINE_PASS && fgets(line, sizeof line, file)) {
        const char *second = strchr(line, ':'), *third = second ? strchr(second + 1, ':') : NULL;
        int name_count = second ? (int)(second - line) : 0;
        bool wrong = third && (empty ? third == second + 1 : strtoul(third + 1, NULL, 10) == 0 && third[1] != ':' && (name_count != 4 || memcmp(line, "root", 4) != 0));
        if (!wrong)
            continue;
        snprintf(evidence, BASELINE_EVIDENCE_MAX, empty ? "%.*s has an empty password in %s" : "%.*s has the number 0 in %s", name_count > 64 ? 64 : name_count, line, check->subject);
        result = BASELINE_FAIL;
    }
    fclose(file);
    return result;
}

enum baseline_result baseline_look(const struct baseline_check *check, const char *root, char evidence[BASELINE_EVIDENCE_MAX])
{
    switch (check->kind) {
    case BASELINE_SYSCTL: return look_sysctl(check, root, evidence);
    case BASELINE_MOUNT: return look_mount(check, root, evidence);
    case BASELINE_PERMISSION: return look_permission(check, root, evidence);
    case BASELINE_SSHD: return look_sshd(check, root, evidence);
    case BASELINE_LISTENS: return look_listens(check, root, evidence);
    case BASELINE_ABSENT: return look_absent(check, root, evidence);
    case BASELINE_USERS: return look_users(check, root, evidence);
    }
    return BASELINE_ERROR;
}

/* ---- telling ---- */

/* The schema has three results: what was skipped is an Err that says so. */
static void report(struct payload *payload, const struct baseline_check *check, enum baseline_result result, const char *evidence)
{
    static const char *const results[] = {"Pass", "Fail", "Err", "Err"}, *const words[] = {"PASS", "FAIL", "SKIP", "ERROR"};
    struct picket_json_writer *writer = payload_begin(payload);
    bool done = result == BASELINE_PASS || result == BASELINE_FAIL;

    member_text(writer, "Description", check->description);
    member_text(writer, "CceId", check->id);
    member_text(writer, "Result", results[result]);
    member_text(writer, "Error", done ? "" : evidence);
    member_text(writer, "Severity", check->severity);
    picket_json_write_name(writer, "ExtraDetails");
    picket_json_open_object(writer);
    member_text(writer, "Section", check->section);
    member_text(writer, "Result", words[result]);
    member_text(writer, "Evidence", evidence);
    member_text(writer, "Remediation", check->remediation);
    picket_json_close_object(writer);
    payload_end(payload);
}

static void collect(void *memory, struct collector_scope *scope)
{
    const struct picket_settings *settings = scope->settings;
    char evidence[BASELINE_EVIDENCE_MAX];
    struct payload payload;

    (void)memory;
    payload_open_list(&payload, scope, "OSBaseline");
    for (size_t i = 0; i < baseline_check_count; i++) {
        const struct baseline_check *check = &baseline_checks[i];
        if (settings && (word_list_has(settings->baseline_checks_disabled, ',', check->id) || word_list_has(settings->baseline_groups_disabled, ',', check->section)))
            continue;
        report(&payload, check, baseline_look(check, scope->root, evidence), evidence);
    }
    payload_close(&payload);
}

const struct collector collector_baseline = {
    .name = "baseline", .subject = PICKET_BASELINE, .pace = COLLECT_SNAPSHOT, .collect = collect,
};
