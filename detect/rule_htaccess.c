#include "detect/command_facts.h"
#include "detect/rule.h"

static const char *const words[] = {".htaccess", NULL};

static bool is_htaccess(struct text path)
{
    return text_equal(event_base_name(path), TEXT(".htaccess"));
}

static void judge(struct judging *judging)
{
    const struct command_line *line = judging->line;

    if (judging->event->kind == EVENT_FILE && is_htaccess(judging->event->path)) {
        finding_reason(finding_add(judging, judging->event->path), "Path", TEXT("a web server's rules for a folder"), judging->event->path);
        return;
    }
    for (size_t i = 0; i < line->count; i++) {
        const struct command *command = &line->commands[i];
        bool touched = false;
        for (size_t k = 1; k < command->word_count; k++)
            touched = touched || is_htaccess(command->words[k]);
        for (size_t k = 0; k < command->output_count; k++)
            touched = touched || is_htaccess(command->outputs[k]);
        if (touched) {
            finding_command(judging, command, "a web server's rules for a folder are touched");
            return;
        }
    }
}

static const struct rule_sample samples[] = {
    {true, "$ vi /var/www/html/.htaccess"},
    {true, "$ sh -c 'echo Allow from all > /www/.htaccess'"},
    {true, "FileSystem {\"Path\":\"/var/www/.htaccess\",\"Mask\":\"Modified\"}"},
    {false, "$ cat /usr/share/doc/htaccess.txt"},
    {false, "$ vi /etc/apache2/apache2.conf"},
};

const struct rule rule_htaccess = {
    .id = "IoT_AccessingHtaccessFile",
    .title = "A .htaccess file was touched",
    .severity = "Medium",
    .tactics = "LateralMovement, Execution",
    .techniques = "T1505.003, T1190",
    .fires = "A command that names a file `.htaccess`, or a change to one that is watched: it can make the web server run what it should only send.",
    .spares = "The web server's main configuration.",
    .needs = "Processes with their command lines; for changes the file system.",
    .tuning = "An exception for the user who keeps the pages.",
    .remediation = rule_confirm,
    .kinds = EVENT_BIT(EVENT_PROCESS) | EVENT_BIT(EVENT_FILE),
    .words = words,
    .judge = judge,
    RULE_SAMPLES(samples),
};
