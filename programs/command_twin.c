#include "programs/commands.h"

#include "programs/json_flags.h"
#include "programs/listing.h"

#define PAIRS_MAX 64
#define WORKSPACE_FLAG {"workspace", "NAME", "Workspace (default: the token's own, where it has one)."}

static enum cli_exit run_show(const struct cli *cli);
static enum cli_exit run_set(const struct cli *cli);

static const struct cli_flag show_flags[] = {WORKSPACE_FLAG};
static const struct cli_flag set_flags[] = {
    WORKSPACE_FLAG,
    {"file", "FILE", "Take a JSON object from here (- is standard input) in place of NAME=VALUE."},
    {"tags", NULL, "Change the tags, and not the desired properties."},
    {"replace", NULL, "Replace all there is, in place of merging."},
};

const struct cli_verb twin_verbs[] = {
    {"twin show", "ID", "Show a device's or module's twin: tags, desired and reported properties.", NULL,
     CLI_FLAGS(show_flags), CLI_SERVER | CLI_JSON, 1, 1, run_show},
    {"twin set", "ID [NAME=VALUE...]", "Change desired properties or tags; the value null removes one.",
     "A VALUE that is JSON is taken as that, any other as text.\n", CLI_FLAGS(set_flags), CLI_SERVER | CLI_JSON, 1, PAIRS_MAX,
     run_set},
};
const size_t twin_verb_count = sizeof twin_verbs / sizeof twin_verbs[0];

static enum cli_exit run_show(const struct cli *cli)
{
    return listing_show(cli, listing_device_path(cli, "/twin"));
}

static enum cli_exit run_set(const struct cli *cli)
{
    enum status status = STATUS_OK;
    json_t *values = NULL;
    struct problem why;

    if (cli_given(cli, "file"))
        status = json_flag_file(cli, "file", &values, &why);
    else
        values = json_object();
    for (int i = 1; !status && cli_argument(cli, i); i++)
        status = json_flag_pair(cli_argument(cli, i), values, &why);
    if (!status && !json_object_size(values) && !cli_given(cli, "replace"))
        status = problem_set(&why, STATUS_REJECT, "say what to change: NAME=VALUE, or --file");
    if (status) {
        json_decref(values);
        return cli_end(status, &why);
    }
    json_t *body = cli_given(cli, "tags") ? json_pack("{s:o}", "tags", values)
                                          : json_pack("{s:{s:o}}", "properties", "desired", values);
    return listing_change(cli, cli_given(cli, "replace") ? "PUT" : "PATCH", listing_device_path(cli, "/twin"), body, "changed");
}
