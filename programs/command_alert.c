#include "programs/commands.h"

#include "programs/listing.h"

static enum cli_exit run_list(const struct cli *cli);
static enum cli_exit run_close(const struct cli *cli);

#define WORKSPACE_FLAG {"workspace", "NAME", "Workspace (default: the token's own, where it has one)."}

static const struct cli_flag list_flags[] = {
    {"limit", "N", "At most N alerts (default: all)."},
    {"all", NULL, "Closed ones as well."},
    WORKSPACE_FLAG,
};
static const struct cli_flag close_flags[] = {WORKSPACE_FLAG};

const struct cli_verb alert_verbs[] = {
    {"alert list", "", "List open alerts.", NULL, CLI_FLAGS(list_flags), CLI_SERVER | CLI_JSON, 0, 0, run_list},
    {"alert close", "ID", "Close an alert; it opens anew when its cause comes back.", NULL, CLI_FLAGS(close_flags),
     CLI_SERVER | CLI_JSON, 1, 1, run_close},
};
const size_t alert_verb_count = sizeof alert_verbs / sizeof alert_verbs[0];

static enum cli_exit run_list(const struct cli *cli)
{
    static const struct table_column columns[] = {
        {"ID", "id"},         {"SEVERITY", "severity"}, {"STATUS", "status"},       {"DEVICE", "device"},
        {"MODULE", "module"}, {"TIMES", "repeats"},     {"LAST SEEN", "last_seen_at"}, {"TITLE", "title"},
    };
    const char *path = cli_given(cli, "all") ? "/v1/alerts?limit=500" : "/v1/alerts?limit=500&status=open";

    return listing_print(cli, listing_path(cli, path, NULL), "alerts", columns, sizeof columns / sizeof columns[0]);
}

static enum cli_exit run_close(const struct cli *cli)
{
    return listing_change(cli, "POST", listing_path(cli, "/v1/alerts/", "/close"), NULL, "closed");
}
