#include "programs/commands.h"

#include "programs/listing.h"

#define HOSTS_MAX 64

static enum cli_exit run_list(const struct cli *cli);
static enum cli_exit run_create(const struct cli *cli);
static enum cli_exit run_change(const struct cli *cli);
static enum status wishes_read(const struct cli *cli, json_t *body, struct problem *why);
static void hosts_read(struct text list, json_t *body);

static const struct cli_flag workspace_flags[] = {
    {"hosts", "NAMES", "Host names that lead to it, with commas between (\"\": any that no other workspace names)."},
    {"messages-per-second", "N", "Limit for all its devices together; 0: none."},
    {"bytes-per-second", "N", "The same for bytes."},
};
static const struct cli_flag create_flags[] = {
    {"hosts", "NAMES", "Host names that lead to it, with commas between."},
};

const struct cli_verb workspace_verbs[] = {
    {"workspace list", "", "List the workspaces that the token may see.", NULL, CLI_NO_FLAGS, CLI_SERVER | CLI_JSON, 0, 0,
     run_list},
    {"workspace create", "NAME", "Make a workspace: its devices and events are nobody else's to see.", NULL,
     CLI_FLAGS(create_flags), CLI_SERVER | CLI_JSON, 1, 1, run_create},
    {"workspace change", "NAME", "Change a workspace's host names or limits.", NULL, CLI_FLAGS(workspace_flags),
     CLI_SERVER | CLI_JSON, 1, 1, run_change},
};
const size_t workspace_verb_count = sizeof workspace_verbs / sizeof workspace_verbs[0];

static enum cli_exit run_list(const struct cli *cli)
{
    static const struct table_column columns[] = {
        {"ID", "id"},
        {"NAME", "name"},
        {"HOSTS", "host_names"},
        {"MESSAGES/S", "messages_per_second"},
        {"BYTES/S", "bytes_per_second"},
    };

    return listing_print(cli, "/v1/workspaces", "workspaces", columns, sizeof columns / sizeof columns[0]);
}

static enum cli_exit run_create(const struct cli *cli)
{
    json_t *body = json_pack("{s:s}", "name", cli_argument(cli, 0));

    if (cli_given(cli, "hosts"))
        hosts_read(text_of(cli_value(cli, "hosts")), body);
    return listing_change(cli, "POST", "/v1/workspaces", body, "created");
}

static enum cli_exit run_change(const struct cli *cli)
{
    json_t *body = json_object();
    struct problem why;

    enum status status = wishes_read(cli, body, &why);
    if (status) {
        json_decref(body);
        return cli_end(status, &why);
    }
    return listing_change(cli, "PATCH", listing_path(cli, "/v1/workspaces/", ""), body, "changed");
}

static enum status wishes_read(const struct cli *cli, json_t *body, struct problem *why)
{
    static const char *const limits[][2] = {{"messages-per-second", "messages_per_second"},
                                            {"bytes-per-second", "bytes_per_second"}};
    enum status status = STATUS_OK;

    if (cli_given(cli, "hosts"))
        hosts_read(text_of(cli_value(cli, "hosts")), body);
    for (size_t i = 0; !status && i < 2; i++) {
        int64_t number = -1;
        status = cli_number(cli, limits[i][0], 0, i == 0 ? INT32_MAX : INT64_MAX, &number, why);
        if (!status && number >= 0)
            json_object_set_new(body, limits[i][1], json_integer(number));
    }
    if (!status && json_object_size(body) == 0)
        status = problem_set(why, STATUS_REJECT, "say what to change: --hosts, --messages-per-second or --bytes-per-second");
    return status;
}

static void hosts_read(struct text list, json_t *body)
{
    json_t *hosts = json_array();
    struct text host;

    while (list.bytes && json_array_size(hosts) < HOSTS_MAX) {
        list = text_cut(list, ',', &host);
        host = text_trim(host);
        if (host.count)
            json_array_append_new(hosts, json_stringn(host.bytes, host.count));
    }
    json_object_set_new(body, "host_names", hosts);
}
