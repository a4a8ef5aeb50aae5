#include "detect/command_facts.h"
#include "detect/rule.h"

static const char *const words[] = {"mimi", "lazagne", "unshadow", "hashdump", "swap_digger", "3snake", "linikatz", "/etc/shadow", "gcore", "strace", "gdb", "pwdump", "getent", "pypykatz", "gimmecredz", NULL};
static const char *const tools[] = {"mimipenguin", "mimipenguin.sh", "mimipenguin.py", "mimikatz", "lazagne", "laZagne.py", "lazagne.py", "unshadow", "hashdump", "swap_digger", "swap_digger.sh",
                                    "3snake", "linikatz", "linikatz.sh", "pwdump", "gsecdump", "pypykatz", "gimmecredz", "gimmecredz.sh", NULL};
static const char *const readers[] = {"cat", "cp", "less", "more", "head", "tail", "grep", "awk", "sed", "cut", "tac", "xxd", "od", "base64", "strings", "dd", "vi", "vim", "nano", "scp", "tar", "zip",
                                      "curl", "wget", "nc", "sort", "nl", "tee", "mv", "ln", NULL};
static const char *const tracers[] = {"gdb", "gcore", "strace", "ltrace", NULL};

/* A tracer told to look into what people log in through. */
static bool traces_login(const struct command *command)
{
    static const char *const places[] = {"sshd", "dropbear", "login", "sudo", "su", "gnome-keyring", NULL};
    bool attaches = command_has_letter(command, 'p') || text_equal(command->name, TEXT("gcore"));

    return attaches && command_contains_any(command, places);
}

static const char *wrong_with(const struct judging *judging, const struct command *command)
{
    (void)judging;
    if (text_among(command->name, tools))
        return "it bears the name of a tool that collects credentials";
    struct text script = command_script(command);
    if (script.bytes && text_among(event_base_name(script), tools))
        return "a tool that collects credentials is run by an interpreter";
    if (text_among(command->name, tracers) && traces_login(command))
        return "what people log in through is traced";
    if (text_equal(command->name, TEXT("getent")) && command_word(command, "shadow").bytes)
        return "the hashes of passwords are read";
    for (size_t i = 1; text_among(command->name, readers) && i < command->word_count; i++)
        if (text_equal(command->words[i], TEXT("/etc/shadow")) || text_equal(command->words[i], TEXT("/etc/shadow-")) || text_equal(command->words[i], TEXT("if=/etc/shadow")) ||
            text_equal(command->words[i], TEXT("/etc/gshadow")))
            return "the hashes of passwords are read";
    return command->input_count && text_equal(command->inputs[0], TEXT("/etc/shadow")) ? "the hashes of passwords are read" : NULL;
}

static const struct rule_sample samples[] = {
    {true, "$ python3 lazagne.py all"},
    {true, "$ sudo cat /etc/shadow"},
    {true, "$ unshadow /etc/passwd /tmp/s"},
    {false, "$ ls -l /etc/shadow"},
    {false, "$ chmod 640 /etc/shadow"},
    {false, "$ cat /etc/passwd"},
    {false, "$ strace -f -o /tmp/t ls"},
};

const struct rule rule_credential_tools = {
    .id = "IoT_CredentialAccessTools",
    .title = "Credentials are collected",
    .severity = "Medium",
    .tactics = "CredentialAccess",
    .techniques = "T1003.008, T1003.007, T1056",
    .fires = "The name of a tool that collects credentials; `/etc/shadow` read by a command; sshd, dropbear, login, sudo or su traced.",
    .spares = "Listing the file, or setting its rights; passwords changed by passwd.",
    .needs = "Processes with their command lines.",
    .tuning = "An exception for the backup's user or command line.",
    .remediation = rule_ask_urgent,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .words = words,
    .command = wrong_with,
    RULE_SAMPLES(samples),
};
