#include "programs/commands.h"

#include <stdio.h>
#include <stdlib.h>

#include "programs/client.h"
#include "programs/listing.h"
#include "programs/rule_files.h"
#include "runtime/buf.h"

#define FILES_MAX 100000
#define BACKTEST_PATIENCE_S 600

/* The server's rules; `picket rule test` and `lint`, which need none, are in command_rule.c. */
static enum cli_exit run_add(const struct cli *cli);
static enum cli_exit run_list(const struct cli *cli);
static enum cli_exit run_explain(const struct cli *cli);
static enum cli_exit run_disable(const struct cli *cli);
static enum cli_exit run_enable(const struct cli *cli);
static enum cli_exit run_remove(const struct cli *cli);
static enum cli_exit run_backtest(const struct cli *cli);

#define WORKSPACE_FLAG {"workspace", "NAME", "Workspace (default: the token's own, where it has one)."}
static const struct cli_flag workspace_flags[] = {WORKSPACE_FLAG};
static const struct cli_flag backtest_flags[] = {
    {"since", "TIME", "From here on: ISO 8601, or a duration back from now (default 30d)."},
    WORKSPACE_FLAG,
};

const struct cli_verb rule_admin_verbs[] = {
    {"rule add", "PATH...", "Add Sigma rules: files, or folders with all that lies within.",
     "A rule of an id that is there is replaced. One that cannot be understood wholly is refused with the reason, and so is its file; one that\n"
     "no event can match is added, and says so.",
     CLI_FLAGS(workspace_flags), CLI_SERVER | CLI_JSON, 1, FILES_MAX, run_add},
    {"rule list", "", "List detections: the built-in ones and the workspace's own.", NULL, CLI_FLAGS(workspace_flags), CLI_SERVER | CLI_JSON, 0, 0, run_list},
    {"rule explain", "ID", "Say of a detection what fires, what does not, what it needs and how to tune it.", NULL, CLI_FLAGS(workspace_flags), CLI_SERVER | CLI_JSON, 1, 1,
     run_explain},
    {"rule backtest", "RULE", "Ask a rule of the stored events, and count what it would have found, by device and day.",
     "RULE is the id of a detection, or a file with one Sigma rule, which need not have been added.", CLI_FLAGS(backtest_flags), CLI_SERVER | CLI_JSON, 1, 1, run_backtest},
    {"rule disable", "ID", "Ask a rule no more.", NULL, CLI_FLAGS(workspace_flags), CLI_SERVER | CLI_JSON, 1, 1, run_disable},
    {"rule enable", "ID", "Ask a rule again.", NULL, CLI_FLAGS(workspace_flags), CLI_SERVER | CLI_JSON, 1, 1, run_enable},
    {"rule remove", "ID", "Remove a rule of the workspace's own; its alerts stay.", NULL, CLI_FLAGS(workspace_flags), CLI_SERVER | CLI_JSON, 1, 1, run_remove},
};
const size_t rule_admin_verb_count = sizeof rule_admin_verbs / sizeof rule_admin_verbs[0];

static const char *string_of(const json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));
    return value ? value : "";
}

/* ---- adding ---- */

struct adding {
    const struct cli *cli;
    struct client *client;
    size_t refused;
};

static void added_print(const struct cli *cli, const char *path, const json_t *answer)
{
    const json_t *rule, *warning;
    size_t i, k;

    json_array_foreach (json_object_get(answer, "rules"), i, rule) {
        if (cli_given(cli, "json")) {
            table_json_line(rule);
            continue;
        }
        printf("%s %s  %s\n", string_of(rule, "status"), string_of(rule, "id"), string_of(rule, "title"));
        json_array_foreach (json_object_get(rule, "warnings"), k, warning)
            fprintf(stderr, "%s: %s: %s\n", path, string_of(rule, "id"), json_string_value(warning));
    }
}

/* One file's refusal leaves the others. */
static enum status file_add(void *context, const char *path, struct text content, struct problem *why)
{
    struct adding *adding = context;
    const char *workspace = cli_value(adding->cli, "workspace");
    json_t *body = json_pack("{s:s%}", "source", content.bytes, content.count), *answer = NULL;

    if (!body)
        return problem_set(why, STATUS_REJECT, "%s is not UTF-8", path);
    if (workspace)
        json_object_set_new(body, "workspace", json_string(workspace));
    enum status status = client_call(adding->client, "POST", "/v1/rules", body, &answer, why);
    if (!status)
        added_print(adding->cli, path, answer);
    if (status == STATUS_REJECT && client_code(adding->client) == 400) {
        fprintf(stderr, "%s: %s\n", path, why->text);
        adding->refused++;
        status = STATUS_OK;
    }
    json_decref(answer);
    json_decref(body);
    return status;
}

static enum cli_exit run_add(const struct cli *cli)
{
    struct adding adding = {.cli = cli};
    struct problem why;

    enum status status = client_open(cli, &adding.client, &why);
    for (int i = 0; !status && cli_argument(cli, i); i++)
        status = rule_files_each(cli_argument(cli, i), file_add, &adding, &why);
    client_close(adding.client);
    if (!status && adding.refused)
        status = problem_set(&why, STATUS_REJECT, "%zu file%s refused, the others were added", adding.refused, adding.refused == 1 ? " was" : "s were");
    return cli_end(status, &why);
}

/* ---- looking ---- */

static enum cli_exit run_list(const struct cli *cli)
{
    static const struct table_column columns[] = {
        {"ID", "id"}, {"KIND", "kind"}, {"SEVERITY", "severity"}, {"ENABLED", "enabled"}, {"ALERTS", "alerts_open"}, {"TITLE", "title"},
    };

    return listing_print(cli, listing_path(cli, "/v1/rules?limit=1000", NULL), "rules", columns, sizeof columns / sizeof *columns);
}

static void section_print(const json_t *rule, const char *title, const char *name)
{
    if (*string_of(rule, name))
        printf("\n%s\n  %s\n", title, string_of(rule, name));
}

static void list_print(const json_t *rule, const char *title, const char *name)
{
    const json_t *item;
    size_t i;

    if (json_array_size(json_object_get(rule, name)))
        printf("\n%s\n", title);
    json_array_foreach (json_object_get(rule, name), i, item)
        printf("  %s\n", json_string_value(item));
}

static void samples_print(const json_t *samples, bool fires)
{
    const json_t *sample;
    size_t i;

    printf("\n%s\n", fires ? "samples that fire" : "near misses");
    json_array_foreach (samples, i, sample) {
        if (json_is_true(json_object_get(sample, "fires")) != fires)
            continue;
        const char *at = string_of(sample, "events");
        for (bool first = true; at; first = false) {
            const char *end = strchr(at, '\n');
            printf("  %s %.*s\n", first ? "-" : " ", end ? (int)(end - at) : (int)strlen(at), at);
            at = end ? end + 1 : NULL;
        }
    }
}

static void rule_print(const json_t *rule)
{
    printf("%s\n%s, %s, %s%s\n", string_of(rule, "title"), string_of(rule, "id"), string_of(rule, "severity"), string_of(rule, "kind"),
           json_is_true(json_object_get(rule, "enabled")) ? "" : ", disabled");
    section_print(rule, "fires on", "description");
    section_print(rule, "does not fire on", "spares");
    section_print(rule, "needs", "needs");
    section_print(rule, "tuning", "tuning");
    section_print(rule, "tactics", "tactics");
    section_print(rule, "techniques", "techniques");
    section_print(rule, "author", "author");
    section_print(rule, "refused", "refused");
    list_print(rule, "warnings", "warnings");
    list_print(rule, "what to do", "remediation");
    list_print(rule, "clauses", "clauses");
    if (json_array_size(json_object_get(rule, "samples"))) {
        samples_print(json_object_get(rule, "samples"), true);
        samples_print(json_object_get(rule, "samples"), false);
    }
    if (*string_of(rule, "source"))
        printf("\n%s", string_of(rule, "source"));
}

static enum cli_exit run_explain(const struct cli *cli)
{
    struct client *client = NULL;
    json_t *answer = NULL;
    struct problem why;

    enum status status = client_open(cli, &client, &why);
    if (!status)
        status = client_call(client, "GET", listing_path(cli, "/v1/rules/", ""), NULL, &answer, &why);
    if (!status && cli_given(cli, "json"))
        table_json_line(answer);
    else if (!status)
        rule_print(answer);
    json_decref(answer);
    client_close(client);
    return cli_end(status, &why);
}

static enum cli_exit run_disable(const struct cli *cli)
{
    return listing_change(cli, "POST", listing_path(cli, "/v1/rules/", "/disable"), NULL, "disabled");
}

static enum cli_exit run_enable(const struct cli *cli)
{
    return listing_change(cli, "POST", listing_path(cli, "/v1/rules/", "/enable"), NULL, "enabled");
}

static enum cli_exit run_remove(const struct cli *cli)
{
    return listing_change(cli, "DELETE", listing_path(cli, "/v1/rules/", ""), NULL, "removed");
}

/* ---- backtest ---- */

static enum status source_take(void *context, const char *path, struct text content, struct problem *why)
{
    json_t *body = context;

    if (json_object_set_new(body, "source", json_stringn(content.bytes, content.count)))
        return problem_set(why, STATUS_REJECT, "%s is not UTF-8", path);
    return STATUS_OK;
}

static void backtest_print(const json_t *answer)
{
    static const struct table_column columns[] = {{"DEVICE", "device"}, {"DAY", "day"}, {"FINDINGS", "findings"}, {"ALERTS", "alerts"}};
    struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    json_t *row;
    size_t i;

    json_array_foreach (json_object_get(answer, "days"), i, row) {
        if (!*string_of(row, "device")) /* a correlation over all of them */
            json_object_set_new(row, "device", json_string("(all)"));
        table_add(table, row);
    }
    if (i)
        table_print(table, TABLE_TITLED);
    table_free(table);
    fprintf(stderr, "%lld events since %s: %lld findings in %zu rows%s\n", (long long)json_integer_value(json_object_get(answer, "events")), string_of(answer, "since"),
            (long long)json_integer_value(json_object_get(answer, "findings")), i, json_is_true(json_object_get(answer, "complete")) ? "" : "; more rows were left out");
}

/* 1 when it would have found nothing. */
static enum cli_exit run_backtest(const struct cli *cli)
{
    const char *rule = cli_argument(cli, 0), *since = cli_value(cli, "since"), *workspace = cli_value(cli, "workspace");
    json_t *body = json_object(), *answer = NULL;
    struct text name = text_of(rule);
    struct client *client = NULL;
    enum status status = STATUS_OK;
    struct problem why;
    bool found = false;

    if (text_ends(name, TEXT(".yml")) || text_ends(name, TEXT(".yaml")))
        status = rule_files_each(rule, source_take, body, &why);
    else
        json_object_set_new(body, "rule", json_string(rule));
    json_object_set_new(body, "since", json_string(since ? since : "30d"));
    if (workspace)
        json_object_set_new(body, "workspace", json_string(workspace));
    if (!status)
        status = client_open(cli, &client, &why);
    if (!status) {
        client_be_patient(client, BACKTEST_PATIENCE_S);
        status = client_call(client, "POST", "/v1/rules/backtest", body, &answer, &why);
    }
    if (!status && cli_given(cli, "json"))
        table_json_line(answer);
    else if (!status)
        backtest_print(answer);
    if (!status)
        found = json_integer_value(json_object_get(answer, "findings")) > 0;
    json_decref(answer);
    json_decref(body);
    client_close(client);
    return status ? cli_end(status, &why) : found ? CLI_DONE : CLI_NO;
}
