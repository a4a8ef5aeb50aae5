#include "programs/listing.h"

#include <stdio.h>

#include "programs/client.h"
#include "runtime/buf.h"

#define PATH_BYTES_MAX 2048

struct listing {
    const struct cli *cli;
    struct table *table;
};

static void element(void *context, const json_t *object);
static void answer_print(const struct cli *cli, const json_t *answer, const char *done);

enum cli_exit listing_print(const struct cli *cli, const char *path, const char *noun,
                            const struct table_column *columns, size_t count)
{
    struct listing listing = {.cli = cli};
    struct client *client = NULL;
    struct problem why;
    int64_t limit = 0;

    listing.table = table_new(columns, count);
    enum status status = cli_number(cli, "limit", 1, INT32_MAX, &limit, &why);
    if (!status)
        status = client_open(cli, &client, &why);
    if (!status)
        status = client_each(client, path, noun, limit, element, &listing, &why);
    if (!status && !cli_given(cli, "json"))
        table_print(listing.table, TABLE_TITLED);
    table_free(listing.table);
    client_close(client);
    return cli_end(status, &why);
}

enum cli_exit listing_show(const struct cli *cli, const char *path)
{
    return listing_change(cli, "GET", path, NULL, "nothing there");
}

enum cli_exit listing_change(const struct cli *cli, const char *method, const char *path, json_t *take_body,
                             const char *done)
{
    struct client *client = NULL;
    json_t *answer = NULL;
    struct problem why;

    enum status status = client_open(cli, &client, &why);
    if (!status)
        status = client_call(client, method, path, take_body, &answer, &why);
    if (!status)
        answer_print(cli, answer, done);
    json_decref(answer);
    json_decref(take_body);
    client_close(client);
    return cli_end(status, &why);
}

const char *listing_path(const struct cli *cli, const char *before, const char *after)
{
    static char path[PATH_BYTES_MAX + 1];
    const char *workspace = cli_value(cli, "workspace"), *argument = cli_argument(cli, 0);
    struct buf out;

    buf_init(&out, PATH_BYTES_MAX);
    buf_string(&out, before);
    if (argument && after)
        client_escape(&out, argument);
    buf_string(&out, after ? after : "");
    if (workspace) {
        buf_string(&out, strchr(out.bytes, '?') ? "&workspace=" : "?workspace=");
        client_escape(&out, workspace);
    }
    snprintf(path, sizeof path, "%s", out.bytes);
    buf_done(&out);
    return path;
}

const char *listing_device_path(const struct cli *cli, const char *action)
{
    static char path[PATH_BYTES_MAX + 1];
    const char *workspace = cli_value(cli, "workspace"), *module;
    char device[512];
    struct buf out;

    snprintf(device, sizeof device, "%s", cli_argument(cli, 0));
    char *slash = strchr(device, '/');
    module = slash ? slash + 1 : NULL;
    if (slash)
        *slash = '\0';
    buf_init(&out, PATH_BYTES_MAX);
    buf_string(&out, "/v1/devices/");
    client_escape(&out, device);
    if (module) {
        buf_string(&out, "/modules/");
        client_escape(&out, module);
    }
    buf_string(&out, action);
    if (workspace) {
        buf_string(&out, strchr(out.bytes, '?') ? "&workspace=" : "?workspace=");
        client_escape(&out, workspace);
    }
    snprintf(path, sizeof path, "%s", out.bytes);
    buf_done(&out);
    return path;
}

static void element(void *context, const json_t *object)
{
    struct listing *listing = context;

    if (cli_given(listing->cli, "json"))
        table_json_line(object);
    else
        table_add(listing->table, object);
}

static void answer_print(const struct cli *cli, const json_t *answer, const char *done)
{
    if (answer && cli_given(cli, "json"))
        table_json_line(answer);
    else if (answer && json_object_size(answer))
        table_print_members(answer);
    else if (!cli_given(cli, "json"))
        fprintf(stderr, "%s\n", done);
}
