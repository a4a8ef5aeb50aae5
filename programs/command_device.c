#include "programs/commands.h"

#include <stdio.h>
#include <stdlib.h>

#include "programs/client.h"
#include "programs/listing.h"
#include "programs/sas.h"
#include "programs/table.h"
#include "runtime/buf.h"
#include "runtime/clock.h"

#define PATH_BYTES_MAX 4096
#define TTL_DEFAULT "1h"

static enum cli_exit run_create(const struct cli *cli);
static enum cli_exit run_list(const struct cli *cli);
static enum cli_exit run_show(const struct cli *cli);
static enum cli_exit run_disable(const struct cli *cli);
static enum cli_exit run_enable(const struct cli *cli);
static enum cli_exit run_delete(const struct cli *cli);
static enum cli_exit run_authentication(const struct cli *cli);
static void credential_put(const struct cli *cli, json_t *body);
static enum cli_exit run_rotate_key(const struct cli *cli);
static enum cli_exit run_change(const struct cli *cli);
static enum cli_exit run_connection_string(const struct cli *cli);
static enum cli_exit run_sas(const struct cli *cli);
static enum cli_exit change(const struct cli *cli, const char *method, const char *action, const json_t *body,
                            const char *done);
static enum status call(const struct cli *cli, const char *method, const char *path, const json_t *body, json_t **out,
                        struct problem *why);
static void workspace_append(const struct cli *cli, struct buf *path);
static void device_print(const struct cli *cli, const json_t *device);
static void list_element(void *context, const json_t *device);
static enum status connection_string(const struct cli *cli, char **out, struct problem *why);

#define WORKSPACE_FLAG {"workspace", "NAME", "Workspace (default: the token's own, where it has one)."}

static const struct cli_flag workspace_flags[] = {WORKSPACE_FLAG};
#define CREDENTIAL_FLAGS                                                                                           \
    WORKSPACE_FLAG,                                                                                                \
        {"primary-key", "BASE64", "The key it has already, when it comes from elsewhere (default: a fresh one)."}, \
        {"secondary-key", "BASE64", "The same for the second key."},                                               \
        {"thumbprint", "HEX", "No keys: it shows the certificate with this SHA-1 or SHA-256."},                    \
        {"secondary-thumbprint", "HEX", "The same for a second certificate, to change from one to the other."},    \
        {"x509-ca", NULL, "No keys: it shows a certificate for its id, of an authority of the workspace (ca add)."}

static const struct cli_flag credential_flags[] = {CREDENTIAL_FLAGS};
static const struct cli_flag list_flags[] = {
    WORKSPACE_FLAG,
    {"status", "STATUS", "Only devices that are enabled, disabled or deleted (default: not the deleted)."},
    {"search", "TEXT", "Only devices whose id contains this."},
    {"limit", "N", "At most N devices (default: all)."},
};
static const struct cli_flag change_flags[] = {
    WORKSPACE_FLAG,
    {"messages-per-second", "N", "How many messages it may send: 0 is no limit, default the server's."},
    {"bytes-per-second", "N", "How many bytes, decompressed: the same."},
};
static const struct cli_flag rotate_flags[] = {
    WORKSPACE_FLAG,
    {"key", "KEY", "Which one is made anew: primary (the default), secondary or both."},
};
static const struct cli_flag sas_flags[] = {
    WORKSPACE_FLAG,
    {"ttl", "DURATION", "How long it is valid: 90s, 15m, 1h, 30d (default 1h)."},
    {"key", "KEY", "Which one signs: primary (the default) or secondary."},
    {"connection-string", "TEXT", "Sign with this one, offline; ID is not needed then."},
};

#define DEVICE_VERB(name, arguments, sentence, flags, run) \
    {"device " name, arguments, sentence, NULL, CLI_FLAGS(flags), CLI_SERVER | CLI_JSON, 1, 1, run}

const struct cli_verb device_verbs[] = {
    DEVICE_VERB("create", "ID", "Enrol a device, or with device/module one of its modules; prints its keys.",
                credential_flags, run_create),
    {"device list", "", "List devices and modules.", NULL, CLI_FLAGS(list_flags), CLI_SERVER | CLI_JSON, 0, 0, run_list},
    DEVICE_VERB("show", "ID", "Show a device: status, activity, loss ledger.", workspace_flags, run_show),
    DEVICE_VERB("disable", "ID", "Refuse its messages (403) until it is enabled again.", workspace_flags, run_disable),
    DEVICE_VERB("enable", "ID", "Accept its messages again.", workspace_flags, run_enable),
    DEVICE_VERB("change", "ID", "Change what it may send.", change_flags, run_change),
    DEVICE_VERB("delete", "ID", "Take its credentials away; its events stay.", workspace_flags, run_delete),
    DEVICE_VERB("authentication", "ID", "Give it another credential, with fresh keys where no flag says otherwise.",
                credential_flags, run_authentication),
    DEVICE_VERB("rotate-key", "ID", "Make a key anew; the other one stays valid meanwhile.", rotate_flags, run_rotate_key),
    DEVICE_VERB("connection-string", "ID", "Print what the device is configured with.", workspace_flags,
                run_connection_string),
    {"device sas", "[ID]", "Print a shared access signature, as devices send it in Authorization.", NULL,
     CLI_FLAGS(sas_flags), CLI_SERVER | CLI_JSON, 0, 1, run_sas},
};
const size_t device_verb_count = sizeof device_verbs / sizeof device_verbs[0];

struct listing {
    const struct cli *cli;
    struct table *table;
};

static enum cli_exit run_create(const struct cli *cli)
{
    struct problem why;
    struct buf path;
    json_t *body = json_pack("{s:s}", "id", cli_argument(cli, 0)), *device = NULL;

    buf_init(&path, PATH_BYTES_MAX);
    buf_string(&path, "/v1/devices");
    workspace_append(cli, &path);
    credential_put(cli, body);
    enum status status = call(cli, "POST", path.bytes, body, &device, &why);
    if (!status)
        device_print(cli, device);
    json_decref(body);
    json_decref(device);
    buf_done(&path);
    return cli_end(status, &why);
}

static enum cli_exit run_authentication(const struct cli *cli)
{
    json_t *body = json_object();

    credential_put(cli, body);
    enum cli_exit end = change(cli, "PUT", "/authentication", body, "has another credential");
    json_decref(body);
    return end;
}

static enum cli_exit run_change(const struct cli *cli)
{
    static const char *const limits[][2] = {{"messages-per-second", "messages_per_second"},
                                            {"bytes-per-second", "bytes_per_second"}};
    json_t *body = json_object();
    enum status status = STATUS_OK;
    struct problem why;

    for (size_t i = 0; !status && i < 2; i++) {
        int64_t number = 0;
        if (!cli_given(cli, limits[i][0]))
            continue;
        bool standard = strcmp(cli_value(cli, limits[i][0]), "default") == 0;
        status = standard ? STATUS_OK : cli_number(cli, limits[i][0], 0, i == 0 ? INT32_MAX : INT64_MAX, &number, &why);
        json_object_set_new(body, limits[i][1], standard ? json_null() : json_integer(number));
    }
    if (!status && json_object_size(body) == 0)
        status = problem_set(&why, STATUS_REJECT, "say what to change: --messages-per-second or --bytes-per-second");
    enum cli_exit end = status ? cli_end(status, &why) : change(cli, "PATCH", "", body, "changed");
    json_decref(body);
    return end;
}

/* What does not go together is the server's to refuse. */
static void credential_put(const struct cli *cli, json_t *body)
{
    static const char *const members[][2] = {{"primary-key", "primary_key"},
                                             {"secondary-key", "secondary_key"},
                                             {"thumbprint", "primary_thumbprint"},
                                             {"secondary-thumbprint", "secondary_thumbprint"}};

    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        if (cli_given(cli, members[i][0]))
            json_object_set_new(body, members[i][1], json_string(cli_value(cli, members[i][0])));
    if (cli_given(cli, "x509-ca"))
        json_object_set_new(body, "authentication", json_string("authority"));
    else if (cli_given(cli, "thumbprint") || cli_given(cli, "secondary-thumbprint"))
        json_object_set_new(body, "authentication", json_string("thumbprint"));
}

static enum cli_exit run_list(const struct cli *cli)
{
    static const struct table_column columns[] = {
        {"ID", "id"}, {"STATUS", "status"}, {"WORKSPACE", "workspace"}, {"LAST SEEN", "last_seen_at"},
        {"MESSAGES", "message_count"}, {"EVENTS", "event_count"}, {"REFUSED", "refused_count"}};
    struct listing listing = {.cli = cli};
    struct client *client = NULL;
    struct problem why;
    struct buf path;
    int64_t limit = 0;

    buf_init(&path, PATH_BYTES_MAX);
    buf_string(&path, "/v1/devices?limit=500");
    workspace_append(cli, &path);
    const char *const passed_on[] = {"status", "search"};
    for (size_t i = 0; i < sizeof passed_on / sizeof passed_on[0]; i++) {
        if (!cli_given(cli, passed_on[i]))
            continue;
        buf_format(&path, "&%s=", passed_on[i]);
        client_escape(&path, cli_value(cli, passed_on[i]));
    }
    listing.table = table_new(columns, sizeof columns / sizeof columns[0]);
    enum status status = cli_number(cli, "limit", 1, INT32_MAX, &limit, &why);
    if (!status)
        status = client_open(cli, &client, &why);
    if (!status)
        status = client_each(client, path.bytes, "devices", limit, list_element, &listing, &why);
    if (!status && !cli_given(cli, "json"))
        table_print(listing.table, TABLE_TITLED);
    table_free(listing.table);
    client_close(client);
    buf_done(&path);
    return cli_end(status, &why);
}

static enum cli_exit run_show(const struct cli *cli)
{
    struct problem why;
    struct buf path;
    json_t *device = NULL;

    buf_init(&path, PATH_BYTES_MAX);
    buf_string(&path, listing_device_path(cli, ""));
    enum status status = call(cli, "GET", path.bytes, NULL, &device, &why);
    if (!status)
        device_print(cli, device);
    json_decref(device);
    buf_done(&path);
    return cli_end(status, &why);
}

static enum cli_exit run_disable(const struct cli *cli)
{
    return change(cli, "POST", "/disable", NULL, "disabled");
}

static enum cli_exit run_enable(const struct cli *cli)
{
    return change(cli, "POST", "/enable", NULL, "enabled");
}

static enum cli_exit run_delete(const struct cli *cli)
{
    return change(cli, "DELETE", "", NULL, "deleted");
}

static enum cli_exit run_rotate_key(const struct cli *cli)
{
    const char *key = cli_value(cli, "key");
    json_t *body = json_pack("{s:s}", "key", key ? key : "primary");
    enum cli_exit end = change(cli, "POST", "/rotate-key", body, "has a new key");

    json_decref(body);
    return end;
}

static enum cli_exit run_connection_string(const struct cli *cli)
{
    struct problem why;
    char *text = NULL;

    enum status status = connection_string(cli, &text, &why);
    if (!status && cli_given(cli, "json")) {
        json_t *json = json_pack("{s:s}", "connection_string", text);
        table_json_line(json);
        json_decref(json);
    } else if (!status) {
        puts(text);
    }
    free(text);
    return cli_end(status, &why);
}

static enum cli_exit run_sas(const struct cli *cli)
{
    const char *given = cli_value(cli, "connection-string"), *ttl = cli_value(cli, "ttl");
    int64_t ttl_us = 0;
    char *text = NULL, token[SAS_TOKEN_SIZE];
    struct problem why;
    enum status status = STATUS_OK;

    if (!clock_parse_duration(text_of(ttl ? ttl : TTL_DEFAULT), &ttl_us) || ttl_us <= 0)
        status = problem_set(&why, STATUS_REJECT, "--ttl %s: expected a duration, such as 90s, 15m, 1h or 30d", ttl);
    if (!status && !given && !cli_argument(cli, 0))
        status = problem_set(&why, STATUS_REJECT, "name a device, or give --connection-string");
    if (!status && !given)
        status = connection_string(cli, &text, &why);
    if (!status)
        status = sas_make(given ? given : text, clock_utc_us() + ttl_us, token, &why);
    if (!status && cli_given(cli, "json")) {
        json_t *json = json_pack("{s:s}", "sas", token);
        table_json_line(json);
        json_decref(json);
    } else if (!status) {
        puts(token);
    }
    free(text);
    return cli_end(status, &why);
}

/* One request about the device that is named; says in a word what became of it. */
static enum cli_exit change(const struct cli *cli, const char *method, const char *action, const json_t *body,
                            const char *done)
{
    struct problem why;
    struct buf path;
    json_t *device = NULL;

    buf_init(&path, PATH_BYTES_MAX);
    buf_string(&path, listing_device_path(cli, action));
    enum status status = call(cli, method, path.bytes, body, &device, &why);
    if (!status && (cli_given(cli, "json") || json_object_get(device, "connection_string")))
        device_print(cli, device);
    if (!status && !cli_given(cli, "json"))
        fprintf(stderr, "%s %s\n", cli_argument(cli, 0), done);
    json_decref(device);
    buf_done(&path);
    return cli_end(status, &why);
}

static enum status call(const struct cli *cli, const char *method, const char *path, const json_t *body, json_t **out,
                        struct problem *why)
{
    struct client *client = NULL;

    enum status status = client_open(cli, &client, why);
    if (!status)
        status = client_call(client, method, path, body, out, why);
    client_close(client);
    return status;
}

static void workspace_append(const struct cli *cli, struct buf *path)
{
    const char *workspace = cli_value(cli, "workspace");

    if (!workspace)
        return;
    buf_string(path, memchr(path->bytes, '?', path->count) ? "&workspace=" : "?workspace=");
    client_escape(path, workspace);
}

/* For people: a member a line. */
static void device_print(const struct cli *cli, const json_t *device)
{
    if (!device) /* an answer without a body */
        return;
    if (cli_given(cli, "json"))
        table_json_line(device);
    else
        table_print_members(device);
}

static void list_element(void *context, const json_t *device)
{
    struct listing *listing = context;

    if (cli_given(listing->cli, "json"))
        table_json_line(device);
    else
        table_add(listing->table, device);
}

static enum status connection_string(const struct cli *cli, char **out, struct problem *why)
{
    const char *key = cli_value(cli, "key");
    json_t *answer = NULL;
    struct buf path;

    buf_init(&path, PATH_BYTES_MAX);
    buf_string(&path, listing_device_path(cli, "/connection-string"));
    if (key) {
        buf_string(&path, memchr(path.bytes, '?', path.count) ? "&key=" : "?key=");
        client_escape(&path, key);
    }
    enum status status = call(cli, "GET", path.bytes, NULL, &answer, why);
    const char *text = json_string_value(json_object_get(answer, "connection_string"));
    if (!status && !text)
        status = problem_set(why, STATUS_FAULT, "the server's answer has no connection string");
    if (!status)
        *out = strdup(text);
    json_decref(answer);
    buf_done(&path);
    return status;
}
