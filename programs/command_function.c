#include "programs/commands.h"

#include <stdio.h>

#include "programs/client.h"
#include "programs/kql_files.h"
#include "programs/table.h"
#include "runtime/buf.h"

#define PATH_BYTES_MAX 4096

static enum cli_exit run_add(const struct cli *cli);
static enum cli_exit run_list(const struct cli *cli);
static enum cli_exit run_show(const struct cli *cli);
static enum cli_exit run_remove(const struct cli *cli);

static const struct cli_flag workspace_flags[] = {
    {"workspace", "NAME", "Workspace (default: the token's own, where it has one)."},
};
static const struct cli_flag add_flags[] = {
    {"name", "NAME", "Name of the function of a .kql file (default: the file's stem)."},
    {"parameters", "LIST", "Its parameters: \"(start:datetime, name:string='*')\"."},
    {"workspace", "NAME", "Workspace (default: the token's own, where it has one)."},
};

const struct cli_verb function_verbs[] = {
    {"function add", "FILE…", "Save functions for KQL: Sentinel parsers as published (YAML), or .kql files.",
     "A parser goes by every name that its file gives it; one that is there is replaced.", CLI_FLAGS(add_flags),
     CLI_SERVER | CLI_JSON, 1, 1000, run_add},
    {"function list", "", "List saved functions.", NULL, CLI_FLAGS(workspace_flags), CLI_SERVER | CLI_JSON, 0, 0, run_list},
    {"function show", "NAME", "Show a saved function.", NULL, CLI_FLAGS(workspace_flags), CLI_SERVER | CLI_JSON, 1, 1, run_show},
    {"function remove", "NAME", "Remove a saved function.", NULL, CLI_FLAGS(workspace_flags), CLI_SERVER | CLI_JSON, 1, 1,
     run_remove},
};
const size_t function_verb_count = sizeof function_verbs / sizeof function_verbs[0];

static void path_make(struct buf *out, const char *name, const char *workspace)
{
    buf_init(out, PATH_BYTES_MAX);
    buf_string(out, "/v1/functions/");
    client_escape(out, name);
    if (workspace) {
        buf_string(out, "?workspace=");
        client_escape(out, workspace);
    }
}

/* ---- adding ---- */

struct adding {
    const struct cli *cli;
    struct client *client;
    enum status status;
    struct problem *why;
};

static void add_one(void *context, struct text name, struct text parameters, struct text body)
{
    struct adding *adding = context;
    const char *workspace = cli_value(adding->cli, "workspace"), *given = cli_value(adding->cli, "parameters"),
               *given_name = cli_value(adding->cli, "name");
    struct text called = given_name ? text_of(given_name) : name;
    struct buf path, terminated;
    json_t *answer = NULL;

    if (adding->status)
        return;
    if (given)
        parameters = text_of(given);
    json_t *sent = json_pack("{s:s%,s:s%}", "body", body.bytes, body.count, "parameters",
                             parameters.bytes ? parameters.bytes : "()", parameters.bytes ? parameters.count : (size_t)2);
    if (workspace)
        json_object_set_new(sent, "workspace", json_string(workspace));
    buf_init(&terminated, PATH_BYTES_MAX);
    buf_text(&terminated, called);
    path_make(&path, terminated.bytes, workspace);
    adding->status = client_call(adding->client, "PUT", path.bytes, sent, &answer, adding->why);
    if (!adding->status && cli_given(adding->cli, "json"))
        table_json_line(answer);
    else if (!adding->status)
        printf("saved %.*s\n", TEXT_ARGS(called));
    json_decref(answer);
    json_decref(sent);
    buf_done(&terminated);
    buf_done(&path);
}

static enum cli_exit run_add(const struct cli *cli)
{
    struct problem why;
    struct adding adding = {.cli = cli, .why = &why};

    enum status status = client_open(cli, &adding.client, &why);
    for (int i = 0; !status && cli_argument(cli, i); i++) {
        status = kql_function_read(cli_argument(cli, i), add_one, &adding, &why);
        if (!status)
            status = adding.status;
        if (status)
            problem_prefix(&why, "%s", cli_argument(cli, i));
    }
    client_close(adding.client);
    return cli_end(status, &why);
}

/* ---- looking ---- */

static const struct table_column function_columns[] = {
    {"NAME", "name"}, {"WORKSPACE", "workspace"}, {"PARAMETERS", "parameters"}, {"FOLDER", "folder"}, {"CHANGED", "changed_at"}};

struct listing {
    const struct cli *cli;
    struct table *table;
};

static void list_one(void *context, const json_t *function)
{
    struct listing *listing = context;

    if (cli_given(listing->cli, "json"))
        table_json_line(function);
    else
        table_add(listing->table, function);
}

static enum cli_exit run_list(const struct cli *cli)
{
    struct listing listing = {cli, table_new(function_columns, sizeof function_columns / sizeof *function_columns)};
    const char *workspace = cli_value(cli, "workspace");
    struct client *client = NULL;
    struct problem why;
    struct buf path;

    buf_init(&path, PATH_BYTES_MAX);
    buf_string(&path, "/v1/functions?limit=1000");
    if (workspace) {
        buf_string(&path, "&workspace=");
        client_escape(&path, workspace);
    }
    enum status status = client_open(cli, &client, &why);
    if (!status)
        status = client_each(client, path.bytes, "functions", 0, list_one, &listing, &why);
    if (!status && !cli_given(cli, "json"))
        table_print(listing.table, TABLE_TITLED);
    table_free(listing.table);
    client_close(client);
    buf_done(&path);
    return cli_end(status, &why);
}

static enum cli_exit called(const struct cli *cli, const char *method)
{
    struct client *client = NULL;
    json_t *answer = NULL;
    struct problem why;
    struct buf path;

    path_make(&path, cli_argument(cli, 0), cli_value(cli, "workspace"));
    enum status status = client_open(cli, &client, &why);
    if (!status)
        status = client_call(client, method, path.bytes, NULL, &answer, &why);
    if (!status && answer && cli_given(cli, "json"))
        table_json_line(answer);
    else if (!status && answer)
        table_print_members(answer);
    json_decref(answer);
    client_close(client);
    buf_done(&path);
    return cli_end(status, &why);
}

static enum cli_exit run_show(const struct cli *cli)
{
    return called(cli, "GET");
}

static enum cli_exit run_remove(const struct cli *cli)
{
    return called(cli, "DELETE");
}
