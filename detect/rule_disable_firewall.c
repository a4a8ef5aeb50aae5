#include "detect/command_facts.h"
#include "detect/rule.h"

static const char *const words[] = {"iptables", "ip6tables", "nft", "ufw", "firewall", "nftables", "pfctl", "csf", NULL};
static const char *const services[] = {"firewalld", "ufw", "nftables", "iptables", "ip6tables", "firewall", "netfilter-persistent", "shorewall", "csf", NULL};
static const char *const managers[] = {"systemctl", "service", "rc-service", "chkconfig", "update-rc.d", NULL};
static const char *const stops[] = {"stop", "disable", "mask", "kill", "off", NULL};

/* The service as it is named with or without ".service". */
static bool names_service(const struct command *command)
{
    for (size_t i = 1; i < command->word_count; i++) {
        struct text head;
        text_cut(command->words[i], '.', &head);
        if (text_among(head, services))
            return true;
    }
    return false;
}

/* iptables of the table that filters: others hold address translation. */
static const char *tables_emptied(const struct command *command)
{
    struct text table = TEXT_NONE;

    for (size_t i = 1; i + 1 < command->word_count; i++)
        if (text_equal(command->words[i], TEXT("-t")) || text_equal(command->words[i], TEXT("--table")))
            table = command->words[i + 1];
    if (table.bytes && !text_equal(table, TEXT("filter")))
        return NULL;
    if (command_word(command, "-F").bytes || command_word(command, "--flush").bytes)
        return "all rules of the filter are removed";
    for (size_t i = 1; i + 2 < command->word_count; i++)
        if ((text_equal(command->words[i], TEXT("-P")) || text_equal(command->words[i], TEXT("--policy"))) &&
            !text_equal(command->words[i + 1], TEXT("OUTPUT")) && text_equal(command->words[i + 2], TEXT("ACCEPT")))
            return "what no rule names is let in";
    return NULL;
}

/* OpenWrt's: "uci set firewall.@defaults[0].input=ACCEPT". */
static bool lets_all_in(const struct command *command)
{
    struct text setting = command_word_starting(command, "firewall."), name, value = text_cut(setting, '=', &name);

    return text_equal(command->name, TEXT("uci")) && text_contains_nocase(name, "defaults") && (text_ends(name, TEXT(".input")) || text_ends(name, TEXT(".forward"))) &&
           text_equal_nocase(value, TEXT("ACCEPT"));
}

static const char *wrong_with(const struct judging *judging, const struct command *command)
{
    (void)judging;
    if (text_starts(command->name, TEXT("iptables")) || text_starts(command->name, TEXT("ip6tables")))
        return text_ends(command->name, TEXT("-restore")) || text_ends(command->name, TEXT("-save")) ? NULL : tables_emptied(command);
    if (text_equal(command->name, TEXT("nft")) && ((command_word(command, "flush").bytes && command_word(command, "ruleset").bytes) ||
                                                   (command_word(command, "delete").bytes && command_word(command, "table").bytes)))
        return "all rules of the filter are removed";
    if (lets_all_in(command))
        return "what no rule names is let in";
    if (text_equal(command->name, TEXT("ufw")) && (command_word(command, "disable").bytes || command_word(command, "reset").bytes))
        return "the firewall is switched off";
    if (text_equal(command->name, TEXT("pfctl")) && command_has_letter(command, 'd'))
        return "the firewall is switched off";
    if (text_among(command->name, managers) && names_service(command) &&
        command_word_among(command, stops).bytes)
        return "the firewall's service is stopped";
    if ((text_starts(command->path, TEXT("/etc/init.d/")) || text_starts(command->path, TEXT("/etc/rc.d/"))) && command_word_among(command, stops).bytes)
        return text_among(command->name, services) ? "the firewall's service is stopped" : NULL;
    return NULL;
}

static const struct rule_sample samples[] = {
    {true, "$ iptables -F"},
    {true, "$ sudo systemctl stop ufw.service"},
    {true, "$ /etc/init.d/firewall stop"},
    {true, "$ busybox iptables -P INPUT ACCEPT"},
    {true, "$ uci set firewall.@defaults[0].input=ACCEPT"},
    {true, "$ nft delete table inet filter"},
    {false, "$ uci set firewall.@defaults[0].input=REJECT"},
    {false, "$ nft delete rule inet filter input handle 7"},
    {false, "$ iptables -L -n"},
    {false, "$ iptables -t nat -F"},
    {false, "$ systemctl status firewalld"},
    {false, "$ ufw allow 22/tcp"},
};

const struct rule rule_disable_firewall = {
    .id = "IoT_DisableFirewall",
    .title = "The host's firewall was switched off",
    .severity = "High",
    .tactics = "DefenseEvasion",
    .techniques = "T1562.004",
    .fires = "`iptables` or `ip6tables` that flushes the filter table or lets in whatever no rule names, `nft flush ruleset` or `delete table`, `ufw disable`, defaults of OpenWrt that accept, and the stopping of "
             "the firewall's service by systemctl, service or its init script (OpenWrt's too).",
    .spares = "Listing and adding rules; other tables than the filter; a policy for what goes out.",
    .needs = "Processes with their command lines.",
    .tuning = "An exception for provisioning scripts that empty the table before they fill it; better, let them use `iptables-restore`.",
    .remediation = rule_ask_user,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .words = words,
    .command = wrong_with,
    RULE_SAMPLES(samples),
};
