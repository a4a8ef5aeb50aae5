#include "detect/command_facts.h"
#include "detect/rule.h"

static const char *const words[] = {"cron", "/etc/rc", "/etc/init", "/etc/profile", "/systemd/", "ld.so.preload", ".bashrc", ".bash_profile", ".profile", NULL};

/* What is run, or loaded, when the device starts, when somebody logs in, or every so often. */
static bool is_started(struct text path)
{
    static const char *const beginnings[] = {"/etc/cron", "/var/spool/cron", "/etc/rc", "/etc/init.d/", "/etc/inittab", "/etc/profile", "/etc/systemd/system/", "/lib/systemd/system/",
                                             "/usr/lib/systemd/system/", "/etc/ld.so.preload", NULL};
    static const char *const names[] = {".bashrc", ".bash_profile", ".profile", NULL};

    for (size_t i = 0; beginnings[i]; i++)
        if (text_starts(path, text_of(beginnings[i])))
            return true;
    return text_among(event_base_name(path), names);
}

/* Not where it lists, edits or removes what is there. */
static bool crontab_sets(const struct judging *judging, const struct command *command)
{
    if (!text_equal(command->name, TEXT("crontab")) || command_has_letter(command, 'l') || command_has_letter(command, 'e') || command_has_letter(command, 'r'))
        return false;
    return command_fed_by(judging->line, command) || command->input_count || command->word_count > 1;
}

static const char *wrong_with(const struct judging *judging, const struct command *command)
{
    struct text path;

    for (size_t i = 0; (path = command_writes(command, i)).bytes; i++)
        if (is_started(path))
            return "something is written that runs by itself from now on";
    return crontab_sets(judging, command) ? "the table of what runs every so often is replaced" : NULL;
}

static const struct rule_sample samples[] = {
    {true, "$ sh -c 'echo \"* * * * * root /tmp/.x\" >> /etc/crontab'"},
    {true, "$ sh -c (crontab -l; echo '@reboot /tmp/x') | crontab -"},
    {true, "$ sed -i '2 i/usr/bin/x' /etc/rc.local"},
    {true, "$ cp /tmp/x /etc/init.d/x"},
    {true, "$ sh -c 'echo /tmp/l.so > /etc/ld.so.preload'"},
    {false, "$ crontab -l"},
    {false, "$ crontab -e"},
    {false, "$ cat /etc/rc.local"},
    {false, "$ /etc/init.d/dropbear restart"},
    {false, "$ cp /etc/crontab /home/pi/crontab.old"},
};

const struct rule rule_startup_change = {
    .id = "Picket_StartupChange",
    .title = "Something was set to run by itself",
    .severity = "Low",
    .tactics = "Persistence, PrivilegeEscalation",
    .techniques = "T1053.003, T1037.004, T1543.002, T1546.004, T1574.006, T0889",
    .fires = "Tables of cron, start scripts, units of systemd, login scripts or `ld.so.preload` written by a command; `crontab` given a table.",
    .spares = "Packages that are installed; `crontab -e`; an editor; what only reads.",
    .needs = "Processes with their command lines.",
    .tuning = "An exception for the user that sets devices up.",
    .remediation = rule_ask_user,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .words = words,
    .command = wrong_with,
    RULE_SAMPLES(samples),
};
