#include "detect/command_facts.h"
#include "detect/rule.h"

static const char *const words[] = {"authorized_keys", NULL};

static bool is_of_keys(struct text path)
{
    struct text name = event_base_name(path);

    return text_equal(name, TEXT("authorized_keys")) || text_equal(name, TEXT("authorized_keys2"));
}

static const char *wrong_with(const struct judging *judging, const struct command *command)
{
    struct text path;

    (void)judging;
    for (size_t i = 0; (path = command_writes(command, i)).bytes; i++)
        if (is_of_keys(path))
            return "a key is written that logs in by SSH";
    for (size_t i = 1; text_equal(command->name, TEXT("chattr")) && i < command->word_count; i++)
        if (is_of_keys(command->words[i]))
            return "the keys that log in by SSH are locked, or unlocked to be changed";
    return NULL;
}

static const struct rule_sample samples[] = {
    {true, "$ sh -c 'cd ~ && rm -rf .ssh && mkdir .ssh && echo \"ssh-rsa AAAAB3Nza x\">>.ssh/authorized_keys && chmod -R go= ~/.ssh'"},
    {true, "$ cp /tmp/k /home/pi/.ssh/authorized_keys"},
    {true, "$ sh -c cat /tmp/k | tee -a /etc/dropbear/authorized_keys"},
    {true, "$ chattr +ia /home/pi/.ssh/authorized_keys"},
    {false, "$ cat /home/pi/.ssh/authorized_keys"},
    {false, "$ ssh-keygen -t ed25519 -f /home/pi/.ssh/id_ed25519"},
    {false, "$ chmod 600 /home/pi/.ssh/authorized_keys"},
    {false, "$ cp /home/pi/.ssh/authorized_keys /home/pi/keys.old"},
};

const struct rule rule_authorized_keys = {
    .id = "Picket_AuthorizedKeys",
    .title = "A key was let in by SSH",
    .severity = "Medium",
    .tactics = "Persistence",
    .techniques = "T1098.004, T1222.002, T0859",
    .fires = "`authorized_keys`, of OpenSSH or dropbear, written by a command: a redirection, a copy, a download, `tee`, `sed -i`; or locked by `chattr`.",
    .spares = "Reading it, or its rights; keys of the device's own.",
    .needs = "Processes with their command lines.",
    .tuning = "An exception for the user that sets devices up.",
    .remediation = rule_ask_urgent,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .words = words,
    .command = wrong_with,
    RULE_SAMPLES(samples),
};
