#include "detect/command_facts.h"
#include "detect/rule.h"

static const char *const words[] = {"auditctl", "auditd", "/etc/audit", NULL};
static const char *const stops[] = {"stop", "disable", "mask", "kill", "off", NULL};
static const char *const managers[] = {"systemctl", "service", "rc-service", "chkconfig", "update-rc.d", NULL};
static const char *const packagers[] = {"apt", "apt-get", "dpkg", "yum", "dnf", "apk", "opkg", "zypper", NULL};
static const char *const removals[] = {"remove", "purge", "del", "erase", "-r", "-P", "autoremove", NULL};
static const char *const killers[] = {"kill", "killall", "pkill", NULL};

static const char *wrong_with(const struct judging *judging, const struct command *command)
{
    (void)judging;
    bool named = command_word(command, "auditd").bytes || command_word(command, "auditd.service").bytes;

    if (text_equal(command->name, TEXT("auditctl"))) {
        if (command_word(command, "-D").bytes)
            return "all audit rules are deleted";
        for (size_t i = 1; i + 1 < command->word_count; i++)
            if (text_equal(command->words[i], TEXT("-e")) && text_equal(command->words[i + 1], TEXT("0")))
                return "auditing is switched off";
        return command_word(command, "-e0").bytes ? "auditing is switched off" : NULL;
    }
    if (text_among(command->name, managers) && named && command_word_among(command, stops).bytes)
        return "the audit service is stopped";
    for (size_t i = 1; text_among(command->name, killers) && i < command->word_count; i++)
        named = named || text_contains_nocase(command->words[i], "pidof auditd") || text_contains_nocase(command->words[i], "pgrep auditd");
    if (text_among(command->name, killers) && named)
        return "the audit service is killed";
    if (text_among(command->name, packagers) && named && command_word_among(command, removals).bytes)
        return "the audit service is uninstalled";
    for (size_t i = 1; text_equal(command->name, TEXT("rm")) && i < command->word_count; i++)
        if (text_starts(command->words[i], TEXT("/etc/audit")))
            return "audit rules are removed";
    if (text_equal(command->path, TEXT("/etc/init.d/auditd")) && command_word_among(command, stops).bytes)
        return "the audit service is stopped";
    return NULL;
}

static const struct rule_sample samples[] = {
    {true, "$ auditctl -e 0"},
    {true, "$ sudo service auditd stop"},
    {true, "$ pkill -9 auditd"},
    {true, "$ sh -c kill -9 $(pidof auditd)"},
    {true, "$ apt-get purge -y auditd"},
    {true, "$ rm -f /etc/audit/rules.d/audit.rules"},
    {false, "$ apt-get install -y auditd"},
    {false, "$ auditctl -l"},
    {false, "$ systemctl restart auditd"},
    {false, "$ tail -f /var/log/audit/audit.log"},
};

const struct rule rule_disable_auditd = {
    .id = "IoT_DisableAuditdLogging",
    .title = "Audit logging was stopped",
    .severity = "High",
    .tactics = "DefenseEvasion",
    .techniques = "T1562.012, T1562.001",
    .fires = "`auditctl -e 0`, `auditctl -D`, and the audit service stopped, disabled, killed or uninstalled; its rules removed.",
    .spares = "Restarting the service; reading its log and its rules.",
    .needs = "Processes with their command lines.",
    .tuning = "An exception for an image update that replaces the audit service.",
    .remediation = rule_ask_urgent,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .words = words,
    .command = wrong_with,
    RULE_SAMPLES(samples),
};
