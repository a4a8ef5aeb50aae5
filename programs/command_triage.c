#include "programs/commands.h"

#include <stdio.h>

#include "programs/client.h"
#include "programs/listing.h"

/* What belongs together, and what is no alert. */
static enum cli_exit run_incident_list(const struct cli *cli);
static enum cli_exit run_incident_show(const struct cli *cli);
static enum cli_exit run_incident_update(const struct cli *cli);
static enum cli_exit run_exception_list(const struct cli *cli);
static enum cli_exit run_exception_add(const struct cli *cli);
static enum cli_exit run_exception_preview(const struct cli *cli);
static enum cli_exit run_exception_remove(const struct cli *cli);

#define WORKSPACE_FLAG {"workspace", "NAME", "Workspace (default: the token's own, where it has one)."}
static const struct cli_flag workspace_flags[] = {WORKSPACE_FLAG};
static const struct cli_flag incident_list_flags[] = {{"all", NULL, "Closed ones as well."}, WORKSPACE_FLAG};
static const struct cli_flag update_flags[] = {
    {"status", "WORD", "open, in_progress or closed; closing it closes its alerts."},
    {"assignee", "NAME", "Who looks after it; \"\" for nobody."},
    {"as", "WORD", "What it was, when it is closed: true_positive, false_positive, benign or undetermined."},
    WORKSPACE_FLAG,
};
#define EXCEPTION_FLAGS                                                                                   \
    {"rule", "ID", "Only alerts of this rule."}, {"cause", "PATTERN", "Only alerts of this cause; * stands for anything."}, \
        {"device", "ID", "Of this device."}, {"group", "NAME", "Of the devices of this group."},          \
        {"firmware", "NAME", "Of the devices of this firmware (default: of all devices)."}
static const struct cli_flag preview_flags[] = {EXCEPTION_FLAGS, WORKSPACE_FLAG};
static const struct cli_flag add_flags[] = {
    EXCEPTION_FLAGS,
    {"reason", "TEXT", "Why these are no alerts."},
    {"owner", "NAME", "Who answers for it."},
    {"expires", "TIME", "Until when, such as 2027-01-31T00:00:00Z (default: for ever)."},
    WORKSPACE_FLAG,
};

const struct cli_verb triage_verbs[] = {
    {"incident list", "", "List incidents: alerts that belong together.", NULL, CLI_FLAGS(incident_list_flags), CLI_SERVER | CLI_JSON, 0, 0, run_incident_list},
    {"incident show", "ID", "Show an incident: its alerts, and why each is one of them.", NULL, CLI_FLAGS(workspace_flags), CLI_SERVER | CLI_JSON, 1, 1, run_incident_show},
    {"incident update", "ID", "Change an incident's status, or who looks after it.", NULL, CLI_FLAGS(update_flags), CLI_SERVER | CLI_JSON, 1, 1, run_incident_update},
    {"exception list", "", "List exceptions, and how much each has hidden.", NULL, CLI_FLAGS(workspace_flags), CLI_SERVER | CLI_JSON, 0, 0, run_exception_list},
    {"exception preview", "", "Say what an exception would have hidden in the last 30 days.", NULL, CLI_FLAGS(preview_flags), CLI_SERVER | CLI_JSON, 0, 0, run_exception_preview},
    {"exception add", "", "Raise no alerts of that kind any more; what is hidden is counted.", NULL, CLI_FLAGS(add_flags), CLI_SERVER | CLI_JSON, 0, 0, run_exception_add},
    {"exception remove", "ID", "Remove an exception.", NULL, CLI_FLAGS(workspace_flags), CLI_SERVER | CLI_JSON, 1, 1, run_exception_remove},
};
const size_t triage_verb_count = sizeof triage_verbs / sizeof triage_verbs[0];

static const char *string_of(const json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));
    return value ? value : "";
}

static void member_add(json_t *body, const struct cli *cli, const char *flag, const char *member)
{
    if (cli_given(cli, flag))
        json_object_set_new(body, member, json_string(cli_value(cli, flag)));
}

/* ---- incidents ---- */

static enum cli_exit run_incident_list(const struct cli *cli)
{
    static const struct table_column columns[] = {
        {"ID", "id"}, {"SEVERITY", "severity"}, {"STATUS", "status"}, {"ALERTS", "alerts"}, {"DEVICES", "devices"}, {"LAST SEEN", "last_seen_at"}, {"TITLE", "title"},
    };
    const char *path = cli_given(cli, "all") ? "/v1/incidents?limit=500" : "/v1/incidents?limit=500&status=open";

    return listing_print(cli, listing_path(cli, path, NULL), "incidents", columns, sizeof columns / sizeof *columns);
}

static void incident_print(const json_t *incident)
{
    static const struct table_column columns[] = {{"SEVERITY", "severity"}, {"STATUS", "status"}, {"DEVICE", "device"}, {"RULE", "rule"},
                                                  {"CAUSE", "cause"},       {"TIMES", "repeats"}, {"BECAUSE", "reason"}, {"ALERT", "alert"}};
    struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    const json_t *member;
    size_t i;

    printf("incident %lld: %s\n%s, %s, %lld alerts of %lld devices, %s to %s%s\n\n", (long long)json_integer_value(json_object_get(incident, "id")), string_of(incident, "title"),
           string_of(incident, "severity"), string_of(incident, "status"), (long long)json_integer_value(json_object_get(incident, "alerts")),
           (long long)json_integer_value(json_object_get(incident, "devices")), string_of(incident, "first_seen_at"), string_of(incident, "last_seen_at"),
           json_is_true(json_object_get(incident, "simulated")) ? ", simulated" : "");
    json_array_foreach (json_object_get(incident, "members"), i, member)
        table_add(table, member);
    table_print(table, TABLE_TITLED);
    table_free(table);
}

static enum cli_exit incident_call(const struct cli *cli, const char *method, json_t *take_body)
{
    struct client *client = NULL;
    json_t *answer = NULL;
    struct problem why;

    enum status status = client_open(cli, &client, &why);
    if (!status)
        status = client_call(client, method, listing_path(cli, "/v1/incidents/", ""), take_body, &answer, &why);
    if (!status && cli_given(cli, "json"))
        table_json_line(answer);
    else if (!status)
        incident_print(answer);
    json_decref(answer);
    json_decref(take_body);
    client_close(client);
    return cli_end(status, &why);
}

static enum cli_exit run_incident_show(const struct cli *cli)
{
    return incident_call(cli, "GET", NULL);
}

static enum cli_exit run_incident_update(const struct cli *cli)
{
    json_t *body = json_object();
    struct problem why;

    member_add(body, cli, "status", "status");
    member_add(body, cli, "assignee", "assignee");
    member_add(body, cli, "as", "closed_as");
    if (json_object_size(body))
        return incident_call(cli, "PATCH", body);
    json_decref(body);
    return cli_end(problem_set(&why, STATUS_REJECT, "nothing to change: say --status, --assignee or --as"), &why);
}

/* ---- exceptions ---- */

static enum cli_exit run_exception_list(const struct cli *cli)
{
    static const struct table_column columns[] = {
        {"ID", "id"}, {"RULE", "rule"}, {"CAUSE", "cause"}, {"SCOPE", "scope"}, {"OF", "scope_value"}, {"OWNER", "owner"}, {"EXPIRES", "expires_at"}, {"HIDDEN", "hidden"}, {"REASON", "reason"},
    };

    return listing_print(cli, listing_path(cli, "/v1/exceptions?limit=1000", NULL), "exceptions", columns, sizeof columns / sizeof *columns);
}

static void preview_print(const json_t *answer)
{
    static const struct table_column columns[] = {{"SEVERITY", "severity"}, {"STATUS", "status"}, {"DEVICE", "device"}, {"RULE", "rule"}, {"CAUSE", "cause"}, {"TIMES", "repeats"}, {"ALERT", "id"}};
    struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    const json_t *alert;
    size_t i;

    json_array_foreach (json_object_get(answer, "alerts"), i, alert)
        table_add(table, alert);
    if (i)
        table_print(table, TABLE_TITLED);
    table_free(table);
    if (*string_of(answer, "id"))
        printf("exception %s\n", string_of(answer, "id"));
    fprintf(stderr, "of the last 30 days it would have hidden %lld alerts, found %lld times\n", (long long)json_integer_value(json_object_get(answer, "would_hide_alerts")),
            (long long)json_integer_value(json_object_get(answer, "would_hide_findings")));
}

static enum cli_exit exception_call(const struct cli *cli, json_t *take_body)
{
    static const char *const scopes[] = {"device", "group", "firmware"};
    struct client *client = NULL;
    json_t *answer = NULL;
    struct problem why;

    json_object_set_new(take_body, "scope", json_string("workspace"));
    for (size_t i = 0; i < sizeof scopes / sizeof *scopes; i++)
        if (cli_given(cli, scopes[i])) {
            json_object_set_new(take_body, "scope", json_string(scopes[i]));
            json_object_set_new(take_body, "scope_value", json_string(cli_value(cli, scopes[i])));
        }
    member_add(take_body, cli, "rule", "rule");
    member_add(take_body, cli, "cause", "cause");
    member_add(take_body, cli, "workspace", "workspace");
    enum status status = client_open(cli, &client, &why);
    if (!status)
        status = client_call(client, "POST", "/v1/exceptions", take_body, &answer, &why);
    if (!status && cli_given(cli, "json"))
        table_json_line(answer);
    else if (!status)
        preview_print(answer);
    json_decref(answer);
    json_decref(take_body);
    client_close(client);
    return cli_end(status, &why);
}

static enum cli_exit run_exception_preview(const struct cli *cli)
{
    return exception_call(cli, json_pack("{s:b}", "preview", 1));
}

static enum cli_exit run_exception_add(const struct cli *cli)
{
    json_t *body = json_object();

    member_add(body, cli, "reason", "reason");
    member_add(body, cli, "owner", "owner");
    member_add(body, cli, "expires", "expires_at");
    return exception_call(cli, body);
}

static enum cli_exit run_exception_remove(const struct cli *cli)
{
    return listing_change(cli, "DELETE", listing_path(cli, "/v1/exceptions/", ""), NULL, "removed");
}
