#include "programs/commands.h"

#include <stdio.h>

#include "programs/client.h"
#include "programs/table.h"
#include "runtime/buf.h"

#define PATH_BYTES_MAX 4096
#define LIMIT_DEFAULT 100
#define PAGE_MAX 1000 /* the server's largest */
#define ROWS_PER_TABLE 100 /* a long listing is printed as it comes */

static enum cli_exit run_events(const struct cli *cli);
static enum status path_make(const struct cli *cli, int64_t limit, struct buf *out, struct problem *why);
static void event_element(void *context, const json_t *event);

static const struct cli_flag event_flags[] = {
    {"device", "ID", "Only events of this device, or device/module."},
    {"type", "TYPE", "Only this type: Security, Operational, Diagnostic, Custom or Picket."},
    {"name", "NAME", "Only this name: Process, ListeningPorts, Login …"},
    {"since", "TIME", "From here on: ISO 8601, or back from now as 24h (the default)."},
    {"until", "TIME", "Before this: ISO 8601, or back from now."},
    {"text", "TEXT", "Only events whose details contain this."},
    {"limit", "N", "At most N events, newest first (default 100)."},
    {"all", NULL, "All of them, page by page."},
    {"workspace", "NAME", "Workspace (default: the token's own, where it has one)."},
};

const struct cli_verb event_verbs[] = {
    {"events", "", "List stored events, newest first, one a line.", NULL, CLI_FLAGS(event_flags), CLI_SERVER | CLI_JSON, 0,
     0, run_events},
};
const size_t event_verb_count = sizeof event_verbs / sizeof event_verbs[0];

static const struct table_column event_columns[] = {
    {"TIME", "time_generated"}, {"DEVICE", "device"}, {"MODULE", "module"},
    {"TYPE", "type"},           {"NAME", "name"},     {"DETAILS", "details"},
};

struct listing {
    const struct cli *cli;
    struct table *table;
    size_t rows;
    enum table_titles titles; /* only above the first piece */
};

static enum cli_exit run_events(const struct cli *cli)
{
    struct listing listing = {.cli = cli, .titles = TABLE_TITLED};
    struct client *client = NULL;
    struct problem why;
    struct buf path;
    int64_t limit = LIMIT_DEFAULT;

    buf_init(&path, PATH_BYTES_MAX);
    listing.table = table_new(event_columns, sizeof event_columns / sizeof event_columns[0]);
    enum status status = cli_number(cli, "limit", 1, INT32_MAX, &limit, &why);
    if (!status && cli_given(cli, "all") && cli_given(cli, "limit"))
        status = problem_set(&why, STATUS_REJECT, "--limit and --all say different things: give one of them");
    if (cli_given(cli, "all"))
        limit = 0;
    if (!status)
        status = path_make(cli, limit, &path, &why);
    if (!status)
        status = client_open(cli, &client, &why);
    if (!status)
        status = client_each(client, path.bytes, "events", limit, event_element, &listing, &why);
    if (!cli_given(cli, "json") && (listing.rows || !status))
        table_print(listing.table, listing.titles);
    table_free(listing.table);
    client_close(client);
    buf_done(&path);
    return cli_end(status, &why);
}

static enum status path_make(const struct cli *cli, int64_t limit, struct buf *out, struct problem *why)
{
    static const char *const passed_on[] = {"device", "type", "name", "since", "until", "text", "workspace"};

    buf_format(out, "/v1/events?limit=%lld", (long long)(limit == 0 || limit > PAGE_MAX ? PAGE_MAX : limit));
    for (size_t i = 0; i < sizeof passed_on / sizeof passed_on[0]; i++) {
        const char *value = cli_value(cli, passed_on[i]);
        if (!value)
            continue;
        buf_format(out, "&%s=", passed_on[i]);
        client_escape(out, value);
    }
    return buf_failed(out) ? problem_set(why, STATUS_REJECT, "the flags are longer than %d bytes", PATH_BYTES_MAX)
                           : STATUS_OK;
}

static void event_element(void *context, const json_t *event)
{
    struct listing *listing = context;

    if (cli_given(listing->cli, "json")) {
        table_json_line(event);
        return;
    }
    table_add(listing->table, event);
    if (++listing->rows % ROWS_PER_TABLE == 0) {
        table_print(listing->table, listing->titles);
        listing->titles = TABLE_UNTITLED;
    }
}
