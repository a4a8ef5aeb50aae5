#include "programs/commands.h"

#include "programs/listing.h"

static enum cli_exit run_list(const struct cli *cli);
static enum cli_exit run_show(const struct cli *cli);
static enum cli_exit run_replay(const struct cli *cli);

#define WORKSPACE_FLAG {"workspace", "NAME", "Workspace (default: the token's own, where it has one)."}

static const struct cli_flag list_flags[] = {
    {"limit", "N", "At most N (default: all)."},
    WORKSPACE_FLAG,
};
static const struct cli_flag one_flags[] = {WORKSPACE_FLAG};

const struct cli_verb dead_letter_verbs[] = {
    {"dead-letter list", "", "List messages that could not be stored, with the reason.", NULL, CLI_FLAGS(list_flags),
     CLI_SERVER | CLI_JSON, 0, 0, run_list},
    {"dead-letter show", "ID", "Show one with its headers and body.", NULL, CLI_FLAGS(one_flags), CLI_SERVER | CLI_JSON, 1,
     1, run_show},
    {"dead-letter replay", "ID", "Have it stored anew, once the cause is gone.", NULL, CLI_FLAGS(one_flags),
     CLI_SERVER | CLI_JSON, 1, 1, run_replay},
};
const size_t dead_letter_verb_count = sizeof dead_letter_verbs / sizeof dead_letter_verbs[0];

static enum cli_exit run_list(const struct cli *cli)
{
    static const struct table_column columns[] = {
        {"ID", "id"},       {"RECEIVED", "received_at"}, {"DEVICE", "device"},
        {"MODULE", "module"}, {"STATE", "state"},        {"REASON", "reason"},
    };

    return listing_print(cli, listing_path(cli, "/v1/dead-letters?limit=500", NULL), "dead_letters", columns,
                         sizeof columns / sizeof columns[0]);
}

static enum cli_exit run_show(const struct cli *cli)
{
    return listing_show(cli, listing_path(cli, "/v1/dead-letters/", ""));
}

static enum cli_exit run_replay(const struct cli *cli)
{
    return listing_change(cli, "POST", listing_path(cli, "/v1/dead-letters/", "/replay"), NULL, "will be stored anew");
}
