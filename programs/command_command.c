#include "programs/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "programs/client.h"
#include "programs/json_flags.h"
#include "programs/listing.h"
#include "runtime/buf.h"

#define ACTION_SIZE 1024
#define WORKSPACE_FLAG {"workspace", "NAME", "Workspace (default: the token's own, where it has one)."}

static enum cli_exit run_call(const struct cli *cli);
static enum cli_exit run_calls(const struct cli *cli);
static enum cli_exit run_send(const struct cli *cli);
static enum cli_exit run_list(const struct cli *cli);
static enum cli_exit run_cancel(const struct cli *cli);
static enum cli_exit run_purge(const struct cli *cli);

static const struct cli_flag workspace_flags[] = {WORKSPACE_FLAG};
static const struct cli_flag call_flags[] = {
    WORKSPACE_FLAG,
    {"payload", "JSON", "What the method is given (default: null)."},
    {"timeout", "SECONDS", "How long to wait for the device's answer (5 to 300, default 30)."},
    {"connect-timeout", "SECONDS", "How long to wait for it to connect (0 to 300, default 0)."},
};
static const struct cli_flag send_flags[] = {
    WORKSPACE_FLAG,
    {"properties", "LIST", "Application properties: NAME=TEXT, with commas between."},
    {"message-id", "ID", "Its message id (default: a fresh one)."},
    {"expires", "SECONDS", "How long the device has to take it (default 3600, at most 172800)."},
};

const struct cli_verb command_verbs[] = {
    {"method call", "ID NAME", "Call a direct method of a device or module, and print its answer.",
     "Exit code 0 when the device answers with 2xx, 1 when it answers with another, 2 when it does not answer.\n",
     CLI_FLAGS(call_flags), CLI_SERVER | CLI_JSON, 2, 2, run_call},
    {"method list", "ID", "List the calls of the last days.", NULL, CLI_FLAGS(workspace_flags), CLI_SERVER | CLI_JSON, 1, 1,
     run_calls},
    {"message send", "ID [TEXT]", "Queue a message for a device, until it takes it.", NULL, CLI_FLAGS(send_flags),
     CLI_SERVER | CLI_JSON, 1, 2, run_send},
    {"message list", "ID", "List messages for a device, and what became of them.", NULL, CLI_FLAGS(workspace_flags),
     CLI_SERVER | CLI_JSON, 1, 1, run_list},
    {"message cancel", "ID NUMBER", "Take back a message that the device has not taken yet.", NULL, CLI_FLAGS(workspace_flags),
     CLI_SERVER | CLI_JSON, 2, 2, run_cancel},
    {"message purge", "ID", "Take back all messages that the device has not taken yet.", NULL, CLI_FLAGS(workspace_flags), CLI_SERVER | CLI_JSON, 1, 1,
     run_purge},
};
const size_t command_verb_count = sizeof command_verbs / sizeof command_verbs[0];

/* <middle><argument 1, escaped> behind the device's path. */
static const char *path_with_argument(const struct cli *cli, const char *middle)
{
    static char action[ACTION_SIZE];
    struct buf escaped;

    buf_init(&escaped, ACTION_SIZE);
    client_escape(&escaped, cli_argument(cli, 1));
    snprintf(action, sizeof action, "%s%s", middle, escaped.bytes ? escaped.bytes : "");
    buf_done(&escaped);
    return listing_device_path(cli, action);
}

static enum status seconds_read(const struct cli *cli, const char *flag, const char *member, json_t *body, struct problem *why)
{
    int64_t seconds = -1;
    enum status status = cli_number(cli, flag, 0, 172800, &seconds, why);

    if (!status && seconds >= 0)
        json_object_set_new(body, member, json_integer(seconds));
    return status;
}

static enum cli_exit run_call(const struct cli *cli)
{
    json_t *body = json_object(), *answer = NULL;
    struct client *client = NULL;
    struct problem why;
    json_error_t error;

    enum status status = seconds_read(cli, "timeout", "response_timeout_seconds", body, &why);
    if (!status)
        status = seconds_read(cli, "connect-timeout", "connect_timeout_seconds", body, &why);
    if (!status && cli_given(cli, "payload")) {
        json_t *payload = json_loads(cli_value(cli, "payload"), JSON_DECODE_ANY, &error);
        if (!payload)
            status = problem_set(&why, STATUS_REJECT, "--payload is not JSON: %s (column %d)", error.text, error.column);
        else
            json_object_set_new(body, "payload", payload);
    }
    if (!status)
        status = client_open(cli, &client, &why);
    if (!status)
        status = client_call(client, "POST", path_with_argument(cli, "/methods/"), body, &answer, &why);
    json_int_t code = json_integer_value(json_object_get(answer, "status"));
    if (!status) {
        char *text = json_dumps(cli_given(cli, "json") ? answer : json_object_get(answer, "payload"),
                                JSON_ENCODE_ANY | JSON_COMPACT);
        printf("%s\n", text ? text : "null");
        free(text);
        if (!cli_given(cli, "json"))
            fprintf(stderr, "the device answered with %lld\n", (long long)code);
    }
    json_decref(body);
    json_decref(answer);
    client_close(client);
    return status ? cli_end(status, &why) : code >= 200 && code < 300 ? CLI_DONE : CLI_NO;
}

static enum cli_exit run_calls(const struct cli *cli)
{
    static const struct table_column columns[] = {
        {"ID", "id"}, {"METHOD", "method"}, {"STATE", "state"}, {"STATUS", "status"}, {"ASKED", "asked_at"}};

    return listing_print(cli, listing_device_path(cli, "/methods?limit=500"), "methods", columns,
                         sizeof columns / sizeof columns[0]);
}

static enum cli_exit run_send(const struct cli *cli)
{
    json_t *body = json_object(), *properties = NULL;
    struct problem why;

    if (cli_argument(cli, 1))
        json_object_set_new(body, "body", json_string(cli_argument(cli, 1)));
    if (cli_given(cli, "message-id"))
        json_object_set_new(body, "message_id", json_string(cli_value(cli, "message-id")));
    enum status status = seconds_read(cli, "expires", "expires_in_seconds", body, &why);
    if (!status && cli_given(cli, "properties"))
        status = json_flag_texts(cli_value(cli, "properties"), &properties, &why);
    if (properties)
        json_object_set_new(body, "properties", properties);
    if (status) {
        json_decref(body);
        return cli_end(status, &why);
    }
    return listing_change(cli, "POST", listing_device_path(cli, "/messages"), body, "queued");
}

static enum cli_exit run_list(const struct cli *cli)
{
    static const struct table_column columns[] = {{"ID", "id"},         {"MESSAGE ID", "message_id"},
                                                  {"STATE", "state"},   {"DELIVERIES", "delivery_count"},
                                                  {"BYTES", "bytes"},   {"QUEUED", "enqueued_at"},
                                                  {"ENDED", "ended_at"}};

    return listing_print(cli, listing_device_path(cli, "/messages?limit=500"), "messages", columns,
                         sizeof columns / sizeof columns[0]);
}

static enum cli_exit run_cancel(const struct cli *cli)
{
    return listing_change(cli, "DELETE", path_with_argument(cli, "/messages/"), NULL, "cancelled");
}

static enum cli_exit run_purge(const struct cli *cli)
{
    return listing_change(cli, "DELETE", listing_device_path(cli, "/messages"), NULL, "purged");
}
