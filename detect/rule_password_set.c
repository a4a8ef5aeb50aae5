#include "detect/command_facts.h"
#include "detect/rule.h"

static const char *const words[] = {"passwd", "usermod", NULL};

static const char *wrong_with(const struct judging *judging, const struct command *command)
{
    if (text_equal(command->name, TEXT("chpasswd")))
        return "passwords are set from a list";
    if (text_equal(command->name, TEXT("passwd")) && (command_fed_by(judging->line, command) || command->input_count || command_word(command, "--stdin").bytes))
        return "a password is set by a script and not at the keyboard";
    if (text_equal(command->name, TEXT("usermod")) && (command_has_letter(command, 'p') || command_word_starting(command, "--password").bytes))
        return "a password is set by its hash";
    return NULL;
}

static const struct rule_sample samples[] = {
    {true, "$ sh -c 'echo -e \"sysmail\\nGSZ\\nGSZ\" | passwd'"},
    {true, "$ sh -c echo root:jV7x|chpasswd"},
    {true, "$ usermod -p $1$abc$def root"},
    {true, "$ sh -c 'echo x | sudo passwd --stdin admin'"},
    {false, "$ passwd"},
    {false, "$ passwd admin"},
    {false, "$ sh -c 'passwd -S root | grep P'"},
    {false, "$ usermod -aG dialout pi"},
    {false, "$ cat /etc/passwd"},
};

const struct rule rule_password_set = {
    .id = "Picket_PasswordSet",
    .title = "A script set a password",
    .severity = "Medium",
    .tactics = "Persistence, Impact",
    .techniques = "T1098, T1531, T0892",
    .fires = "`passwd` that is fed by another command or a file, `chpasswd`, `usermod -p`: bots lock others out so.",
    .spares = "`passwd` at the keyboard.",
    .needs = "Processes with their command lines.",
    .tuning = "An exception for the user that sets devices up.",
    .remediation = rule_ask_user,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .words = words,
    .command = wrong_with,
    RULE_SAMPLES(samples),
};
