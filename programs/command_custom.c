#include "programs/commands.h"

#include <stdio.h>
#include <string.h>

#include "programs/client.h"
#include "programs/listing.h"
#include "programs/table.h"
#include "runtime/buf.h"

/* Alerts that people set themselves, by security group. */
static enum cli_exit run_custom_list(const struct cli *cli);
static enum cli_exit run_custom_set(const struct cli *cli);
static enum cli_exit run_custom_remove(const struct cli *cli);

#define WORKSPACE_FLAG {"workspace", "NAME", "Workspace (default: the token's own, where it has one)."}
static const struct cli_flag workspace_flags[] = {WORKSPACE_FLAG};
static const struct cli_flag set_flags[] = {
    {"allow", "A,B", "What is not in the list is an alert: addresses and networks, users, or processes."},
    {"deny", "A,B", "What is in the list is an alert."},
    {"min", "N", "Fewer within the window is an alert (default 0)."},
    {"max", "N", "More within the window is an alert."},
    {"window", "DURATION", "The window, such as PT15M or 15m (the default)."},
    {"disabled", NULL, "Keep it, switched off."},
    WORKSPACE_FLAG,
};

const struct cli_verb custom_verbs[] = {
    {"custom list", "", "List custom alerts of security groups.", NULL, CLI_FLAGS(workspace_flags), CLI_SERVER | CLI_JSON, 0, 0, run_custom_list},
    {"custom set", "GROUP TYPE", "Set a custom alert of a security group.",
     "A device is in the group that its twin's tag SecurityGroup names, else in \"default\". Types with a list: ConnectionToIpNotAllowed, LocalUserNotAllowed, ProcessNotAllowed;"
     " with a range: ActiveConnections-, FailedLocalLogins-, UnauthorizedOperations-, HttpD2CMessages- and MqttD2CMessagesNotInAllowedRange.",
     CLI_FLAGS(set_flags), CLI_SERVER | CLI_JSON, 2, 2, run_custom_set},
    {"custom remove", "GROUP TYPE", "Remove a custom alert; the alerts it raised stay.", NULL, CLI_FLAGS(workspace_flags), CLI_SERVER, 2, 2, run_custom_remove},
};
const size_t custom_verb_count = sizeof custom_verbs / sizeof custom_verbs[0];

static enum cli_exit run_custom_list(const struct cli *cli)
{
    static const struct table_column columns[] = {{"GROUP", "group"}, {"TYPE", "type"}, {"ENABLED", "enabled"}, {"ALLOW", "allow"}, {"DENY", "deny"},
                                                  {"MIN", "min"},     {"MAX", "max"},   {"WINDOW (S)", "window_s"}};

    return listing_print(cli, listing_path(cli, "/v1/custom-rules", NULL), "custom_rules", columns, sizeof columns / sizeof *columns);
}

static enum cli_exit custom_call(const struct cli *cli, const char *method, json_t *take_body)
{
    const char *workspace = cli_value(cli, "workspace");
    struct client *client = NULL;
    json_t *answer = NULL;
    struct problem why;
    struct buf path;

    buf_init(&path, 4096);
    buf_string(&path, "/v1/custom-rules/");
    client_escape(&path, cli_argument(cli, 0));
    buf_byte(&path, '/');
    client_escape(&path, cli_argument(cli, 1));
    if (workspace) {
        buf_string(&path, "?workspace=");
        client_escape(&path, workspace);
    }
    enum status status = client_open(cli, &client, &why);
    if (!status)
        status = client_call(client, method, path.bytes, take_body, &answer, &why);
    if (!status && answer && cli_given(cli, "json"))
        table_json_line(answer);
    else if (!status && answer)
        table_print_members(answer);
    json_decref(answer);
    json_decref(take_body);
    client_close(client);
    buf_done(&path);
    return cli_end(status, &why);
}

static json_t *list_of(const char *values)
{
    json_t *list = json_array();
    struct text rest = text_of(values), value;

    while (rest.bytes && rest.count) {
        rest = text_cut(rest, ',', &value);
        if (value.count)
            json_array_append_new(list, json_stringn(value.bytes, value.count));
    }
    return list;
}

static enum cli_exit run_custom_set(const struct cli *cli)
{
    static const char *const lists[] = {"allow", "deny"}, *const numbers[] = {"min", "max"};
    json_t *body = json_pack("{s:b}", "enabled", !cli_given(cli, "disabled"));
    struct problem why;
    int64_t number = 0;

    for (size_t i = 0; i < 2; i++) {
        if (cli_given(cli, lists[i]))
            json_object_set_new(body, lists[i], list_of(cli_value(cli, lists[i])));
        if (!cli_given(cli, numbers[i]))
            continue;
        if (!text_to_i64(text_of(cli_value(cli, numbers[i])), &number)) {
            json_decref(body);
            return cli_end(problem_set(&why, STATUS_REJECT, "--%s is a whole number", numbers[i]), &why);
        }
        json_object_set_new(body, numbers[i], json_integer(number));
    }
    if (cli_given(cli, "max") && !cli_given(cli, "min"))
        json_object_set_new(body, "min", json_integer(0));
    if (cli_given(cli, "window"))
        json_object_set_new(body, "window", json_string(cli_value(cli, "window")));
    return custom_call(cli, "PUT", body);
}

static enum cli_exit run_custom_remove(const struct cli *cli)
{
    return custom_call(cli, "DELETE", NULL);
}
