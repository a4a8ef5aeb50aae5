#include "detect/command_facts.h"
#include "detect/rule.h"

static const char *const words[] = {"useradd", "adduser", "usermod", "/etc/passwd", NULL};
static const char *const tools[] = {"useradd", "adduser", "usermod", NULL};
static const char *const powerful[] = {"sudo", "wheel", "root", "docker", "admin", "shadow", "0", NULL};

static bool in_powerful_group(struct text list)
{
    while (list.count) {
        struct text group, rest = text_cut(list, ',', &group);
        if (text_among(group, powerful))
            return true;
        list = rest;
    }
    return false;
}

static const char *wrong_with(const struct judging *judging, const struct command *command)
{
    (void)judging;
    for (size_t i = 0; i < command->output_count; i++)
        if (text_equal(command->outputs[i], TEXT("/etc/passwd")) || text_equal(command->outputs[i], TEXT("/etc/shadow")))
            return "the list of users is written past the tools for it";
    if (!text_among(command->name, tools))
        return NULL;
    bool adduser = text_equal(command->name, TEXT("adduser"));
    for (size_t i = 1; i < command->word_count; i++) {
        struct text word = command->words[i], next = i + 1 < command->word_count ? command->words[i + 1] : TEXT("");
        struct text head, value = text_cut(word, '=', &head);
        value = value.bytes ? value : next;
        bool letters = word.count > 1 && word.bytes[0] == '-' && word.bytes[1] != '-';
        char last = letters ? word.bytes[word.count - 1] : '\0';
        if ((last == 'u' || text_equal(head, TEXT("--uid"))) && text_equal(value, TEXT("0")))
            return "the user is root by another name";
        if (text_equal(head, TEXT("--non-unique")) || (letters && !adduser && memchr(word.bytes, 'o', word.count) && memchr(word.bytes, 'u', word.count)))
            return "the user shares another one's number";
        if (((last == 'p' && !adduser) || text_equal(head, TEXT("--password"))) && value.count)
            return "the password stands in the command line";
        if ((last == 'G' || last == 'g' || text_equal(head, TEXT("--groups")) || text_equal(head, TEXT("--ingroup"))) && in_powerful_group(value))
            return "the user gets a group with root's rights";
    }
    return NULL;
}

static const struct rule_sample samples[] = {
    {true, "$ useradd -o -u 0 -g 0 -M -s /bin/bash support"},
    {true, "$ useradd -m -p '$1$xyz$abcd' -G sudo backup"},
    {true, "$ sh -c 'echo \"ftp2::0:0::/root:/bin/sh\" >> /etc/passwd'"},
    {false, "$ useradd -r -s /usr/sbin/nologin mosquitto"},
    {false, "$ adduser --system --no-create-home picket"},
    {false, "$ useradd -m -G plugdev,dialout operator"},
};

const struct rule rule_suspicious_useradd = {
    .id = "IoT_SuspiciousUseradd",
    .title = "A user was added in an odd way",
    .severity = "Medium",
    .tactics = "Persistence, PrivilegeEscalation",
    .techniques = "T1136.001, T1098",
    .fires = "`useradd`, `adduser` or `usermod` with the number 0, with a number that another has, with a password in the command line, or with a group "
             "that is as good as root; `/etc/passwd` written by a redirection.",
    .spares = "Users for services, and those with ordinary groups.",
    .needs = "Processes with their command lines.",
    .tuning = "An exception for provisioning's command line.",
    .remediation = rule_ask_user,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .words = words,
    .command = wrong_with,
    RULE_SAMPLES(samples),
};
