#include "programs/commands.h"

#include <stdio.h>
#include <stdlib.h>

#include "programs/bootstrap.h"
#include "programs/listing.h"

static enum cli_exit run_create(const struct cli *cli);
static enum cli_exit run_list(const struct cli *cli);
static enum cli_exit run_revoke(const struct cli *cli);
static enum cli_exit create_in_database(const struct cli *cli);

static const struct cli_flag create_flags[] = {
    {"role", "ROLE", "What it may do: reader, analyst or admin."},
    {"workspace", "NAME", "The workspace it is for (default: those of the token that makes it; in the database, all)."},
    {"description", "TEXT", "Who has it, for the list."},
    {"database", "CONNINFO", "Make it straight in this database, as superuser: for the first one."},
    {"master-key-file", "FILE", "The key that the server has; needed with --database."},
};

const struct cli_verb token_verbs[] = {
    {"token create", "", "Make an API token; it is shown this once.", NULL, CLI_FLAGS(create_flags), CLI_SERVER | CLI_JSON, 0, 0,
     run_create},
    {"token list", "", "List tokens, without their secrets.", NULL, CLI_NO_FLAGS, CLI_SERVER | CLI_JSON, 0, 0, run_list},
    {"token revoke", "ID", "Take a token back; it is refused from then on.", NULL, CLI_NO_FLAGS, CLI_SERVER | CLI_JSON, 1, 1,
     run_revoke},
};
const size_t token_verb_count = sizeof token_verbs / sizeof token_verbs[0];

static enum cli_exit run_create(const struct cli *cli)
{
    const char *role = cli_value(cli, "role"), *workspace = cli_value(cli, "workspace");
    const char *description = cli_value(cli, "description");
    struct problem why;

    if (!role)
        return cli_end(problem_set(&why, STATUS_REJECT, "--role is missing: reader, analyst or admin"), &why);
    if (cli_given(cli, "database") || cli_given(cli, "master-key-file"))
        return create_in_database(cli);
    json_t *body = json_pack("{s:s}", "role", role);
    if (workspace)
        json_object_set_new(body, "workspace", json_string(workspace));
    if (description)
        json_object_set_new(body, "description", json_string(description));
    return listing_change(cli, "POST", "/v1/tokens", body, "created");
}

static enum cli_exit run_list(const struct cli *cli)
{
    static const struct table_column columns[] = {
        {"ID", "id"},           {"PREFIX", "prefix"},      {"ROLE", "role"},           {"WORKSPACES", "workspaces"},
        {"CREATED", "created_at"}, {"REVOKED", "revoked_at"}, {"DESCRIPTION", "description"},
    };

    return listing_print(cli, "/v1/tokens", "tokens", columns, sizeof columns / sizeof columns[0]);
}

static enum cli_exit run_revoke(const struct cli *cli)
{
    return listing_change(cli, "DELETE", listing_path(cli, "/v1/tokens/", ""), NULL, "revoked");
}

static enum cli_exit create_in_database(const struct cli *cli)
{
    char conninfo[DATABASE_CONNINFO_SIZE];
    const char *key_file = cli_value(cli, "master-key-file"), *description = cli_value(cli, "description");
    struct bootstrap_token wish = {conninfo, key_file ? key_file : getenv("PICKET_MASTER_KEY_FILE"), cli_value(cli, "role"),
                                   cli_value(cli, "workspace"), description ? description : "picket token create"};
    json_t *made = NULL;
    struct problem why;

    enum status status = database_of(cli, conninfo, &why);
    if (!status && !wish.master_key_file)
        status = problem_set(&why, STATUS_REJECT, "--master-key-file is missing: tokens are stored as digests under that key");
    if (!status)
        status = bootstrap_token(&wish, &made, &why);
    if (!status && cli_given(cli, "json"))
        table_json_line(made);
    else if (!status)
        table_print_members(made);
    json_decref(made);
    return cli_end(status, &why);
}
