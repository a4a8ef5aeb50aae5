#include "programs/commands.h"

#include <stdio.h>

#include "programs/client.h"
#include "programs/listing.h"
#include "runtime/buf.h"

static enum cli_exit run_list(const struct cli *cli);
static enum cli_exit run_show(const struct cli *cli);
static enum cli_exit run_update(const struct cli *cli);
static enum cli_exit run_comment(const struct cli *cli);
static enum cli_exit run_close(const struct cli *cli);

#define WORKSPACE_FLAG {"workspace", "NAME", "Workspace (default: the token's own, where it has one)."}

static const struct cli_flag list_flags[] = {
    {"limit", "N", "At most N alerts (default: all)."},
    {"all", NULL, "Closed ones as well."},
    {"device", "ID", "Only this device's."},
    {"rule", "ID", "Only those of this rule."},
    {"severity", "WORD", "Only High, Medium, Low or Informational ones."},
    WORKSPACE_FLAG,
};
static const struct cli_flag update_flags[] = {
    {"status", "WORD", "open, in_progress or closed."},
    {"assignee", "NAME", "Who looks after it; \"\" for nobody."},
    {"as", "WORD", "What it was, when it is closed: true_positive, false_positive, benign or undetermined."},
    WORKSPACE_FLAG,
};
static const struct cli_flag close_flags[] = {
    {"as", "WORD", "What it was: true_positive, false_positive, benign or undetermined (default)."},
    WORKSPACE_FLAG,
};
static const struct cli_flag show_flags[] = {WORKSPACE_FLAG};

const struct cli_verb alert_verbs[] = {
    {"alert list", "", "List open alerts.", NULL, CLI_FLAGS(list_flags), CLI_SERVER | CLI_JSON, 0, 0, run_list},
    {"alert show", "ID", "Show an alert: why it fired, by which events, what was said of it, and what to do.", NULL, CLI_FLAGS(show_flags),
     CLI_SERVER | CLI_JSON, 1, 1, run_show},
    {"alert update", "ID", "Change an alert's status, or who looks after it.", NULL, CLI_FLAGS(update_flags), CLI_SERVER | CLI_JSON, 1, 1, run_update},
    {"alert comment", "ID TEXT", "Say something of an alert.", NULL, CLI_FLAGS(show_flags), CLI_SERVER | CLI_JSON, 2, 2, run_comment},
    {"alert close", "ID", "Close an alert; it opens anew when its cause comes back.", NULL, CLI_FLAGS(close_flags),
     CLI_SERVER | CLI_JSON, 1, 1, run_close},
};
const size_t alert_verb_count = sizeof alert_verbs / sizeof alert_verbs[0];

static void argument_add(struct buf *path, const struct cli *cli, const char *name)
{
    const char *value = cli_value(cli, name);

    if (!value)
        return;
    buf_format(path, "&%s=", name);
    client_escape(path, value);
}

static enum cli_exit run_list(const struct cli *cli)
{
    static const struct table_column columns[] = {
        {"ID", "id"},         {"SEVERITY", "severity"}, {"STATUS", "status"},       {"DEVICE", "device"},
        {"TIMES", "repeats"}, {"LAST SEEN", "last_seen_at"}, {"RULE", "rule"}, {"CAUSE", "cause"},
    };
    struct buf path;

    buf_init(&path, 4096);
    buf_string(&path, cli_given(cli, "all") ? "/v1/alerts?limit=500" : "/v1/alerts?limit=500&active=true");
    argument_add(&path, cli, "device");
    argument_add(&path, cli, "rule");
    argument_add(&path, cli, "severity");
    enum cli_exit end = listing_print(cli, listing_path(cli, path.bytes, NULL), "alerts", columns, sizeof columns / sizeof columns[0]);
    buf_done(&path);
    return end;
}

/* ---- one alert, for people ---- */

static const char *string_of(const json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));
    return value ? value : "";
}

static void line_print(const char *title, const char *value)
{
    if (*value)
        printf("%-12s %s\n", title, value);
}

static void alert_print(const json_t *alert)
{
    const json_t *part;
    size_t i;

    printf("%s\n\n", string_of(alert, "title"));
    line_print("severity", string_of(alert, "severity"));
    line_print("status", string_of(alert, "status"));
    line_print("assignee", string_of(alert, "assignee"));
    line_print("closed as", string_of(alert, "closed_as"));
    line_print("device", string_of(alert, "device"));
    line_print("module", string_of(alert, "module"));
    line_print("rule", string_of(alert, "rule"));
    line_print("cause", string_of(alert, "cause"));
    line_print("first seen", string_of(alert, "first_seen_at"));
    line_print("last seen", string_of(alert, "last_seen_at"));
    printf("%-12s %lld\n", "times", (long long)json_integer_value(json_object_get(alert, "repeats")));
    line_print("tactics", string_of(alert, "tactics"));
    line_print("techniques", string_of(alert, "techniques"));
    if (json_is_true(json_object_get(alert, "simulated")))
        line_print("simulated", "yes: none of this happened on a device of yours");
    if (json_is_true(json_object_get(alert, "found_later")))
        line_print("found", "later, in stored events");
    putchar('\n');
    line_print("fires on", string_of(alert, "description"));
    printf("%s", json_array_size(json_object_get(alert, "reasons")) ? "\nwhy\n" : "");
    json_array_foreach (json_object_get(alert, "reasons"), i, part)
        printf("  %s%s%s: %s\n", string_of(part, "field"), *string_of(part, "field") ? ": " : "", string_of(part, "clause"), string_of(part, "value"));
    printf("%s", json_array_size(json_object_get(alert, "events")) ? "\nevents\n" : "");
    json_array_foreach (json_object_get(alert, "events"), i, part)
        printf("  %s  %s  %s\n", string_of(part, "time_generated"), string_of(part, "id"), json_is_string(json_object_get(part, "name")) ? string_of(part, "name") : "(no longer kept)");
    printf("%s", json_array_size(json_object_get(alert, "remediation")) ? "\nwhat to do\n" : "");
    json_array_foreach (json_object_get(alert, "remediation"), i, part)
        printf("  %zu. %s\n", i + 1, json_string_value(part));
    printf("%s", json_array_size(json_object_get(alert, "comments")) ? "\ncomments\n" : "");
    json_array_foreach (json_object_get(alert, "comments"), i, part)
        printf("  %s, %s: %s\n", string_of(part, "at"), string_of(part, "author"), string_of(part, "body"));
}

/* Sends `take_body` (may be NULL), and prints the alert that is answered. */
static enum cli_exit alert_call(const struct cli *cli, const char *method, const char *after, json_t *take_body)
{
    struct client *client = NULL;
    json_t *answer = NULL;
    struct problem why;

    enum status status = client_open(cli, &client, &why);
    if (!status)
        status = client_call(client, method, listing_path(cli, "/v1/alerts/", after), take_body, &answer, &why);
    if (!status && cli_given(cli, "json"))
        table_json_line(answer);
    else if (!status)
        alert_print(answer);
    json_decref(answer);
    json_decref(take_body);
    client_close(client);
    return cli_end(status, &why);
}

static enum cli_exit run_show(const struct cli *cli)
{
    return alert_call(cli, "GET", "", NULL);
}

static enum cli_exit run_update(const struct cli *cli)
{
    static const char *const members[][2] = {{"status", "status"}, {"assignee", "assignee"}, {"as", "closed_as"}};
    json_t *body = json_object();
    struct problem why;

    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (cli_given(cli, members[i][0]))
            json_object_set_new(body, members[i][1], json_string(cli_value(cli, members[i][0])));
    if (json_object_size(body))
        return alert_call(cli, "PATCH", "", body);
    json_decref(body);
    return cli_end(problem_set(&why, STATUS_REJECT, "nothing to change: say --status, --assignee or --as"), &why);
}

static enum cli_exit run_comment(const struct cli *cli)
{
    return alert_call(cli, "POST", "/comments", json_pack("{s:s}", "body", cli_argument(cli, 1)));
}

static enum cli_exit run_close(const struct cli *cli)
{
    const char *verdict = cli_value(cli, "as");

    if (verdict)
        return listing_change(cli, "PATCH", listing_path(cli, "/v1/alerts/", ""), json_pack("{s:s,s:s}", "status", "closed", "closed_as", verdict), "closed");
    return listing_change(cli, "POST", listing_path(cli, "/v1/alerts/", "/close"), NULL, "closed");
}
