#include "programs/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detect/false_friends.h"
#include "programs/client.h"
#include "programs/listing.h"
#include "runtime/buf.h"
#include "runtime/clock.h"
#include "runtime/process.h"

#define FEED_BYTES_MAX ((size_t)1 << 30)
#define PIECE_VALUES 5000             /* indicators of one request … */
#define PIECE_BYTES ((size_t)160 << 10) /* … and bytes: the server takes 256 KiB */
#define TELL_EVERY 100000

/* The server's feeds; `picket feed match`, which needs none, is in command_feed.c. */
static enum cli_exit run_import(const struct cli *cli);
static enum cli_exit run_add(const struct cli *cli);
static enum cli_exit run_list(const struct cli *cli);
static enum cli_exit run_pull(const struct cli *cli);
static enum cli_exit run_remove(const struct cli *cli);

#define WORKSPACE_FLAG {"workspace", "NAME", "Workspace (default: the token's own, where it has one)."}
#define FORMAT_FLAG {"format", "FORMAT", "auto (default), list, csv, hosts, adblock, misp, stix or warninglist; of a URL also taxii."}
#define KIND_FLAG {"kind", "WORD", "threat (default), or warning (that of a warning list): what it lists is no threat, whatever other feeds say."}
#define CONFIDENCE_FLAG {"min-confidence", "N", "Leave out what the feed itself trusts less, of 100."}
static const struct cli_flag workspace_flags[] = {WORKSPACE_FLAG};
static const struct cli_flag import_flags[] = {FORMAT_FLAG, KIND_FLAG, CONFIDENCE_FLAG, WORKSPACE_FLAG};
static const struct cli_flag add_flags[] = {
    {"every", "DURATION", "How often it is fetched, such as 1h (default: once)."},
    FORMAT_FLAG,
    KIND_FLAG,
    CONFIDENCE_FLAG,
    WORKSPACE_FLAG,
};

const struct cli_verb feed_admin_verbs[] = {
    {"feed import", "NAME FILE", "Put a file's indicators in force as the feed NAME, instead of those that it had.",
     "What is new is looked for in the stored past as well; alerts of that are marked as found later.", CLI_FLAGS(import_flags), CLI_SERVER | CLI_JSON, 2, 2, run_import},
    {"feed add", "NAME URL", "Have the server fetch a feed by itself: a document, or a TAXII 2.1 collection's objects.", NULL, CLI_FLAGS(add_flags), CLI_SERVER | CLI_JSON, 2, 2,
     run_add},
    {"feed list", "", "List feeds, how many indicators they have, and why one could not be fetched.", NULL, CLI_FLAGS(workspace_flags), CLI_SERVER | CLI_JSON, 0, 0, run_list},
    {"feed pull", "NAME", "Have the server fetch a feed now.", NULL, CLI_FLAGS(workspace_flags), CLI_SERVER | CLI_JSON, 1, 1, run_pull},
    {"feed remove", "NAME", "Remove a feed with its indicators; its alerts stay.", NULL, CLI_FLAGS(workspace_flags), CLI_SERVER | CLI_JSON, 1, 1, run_remove},
};
const size_t feed_admin_verb_count = sizeof feed_admin_verbs / sizeof feed_admin_verbs[0];

/* What the flags say of the feed; `url` and `every_s` may be absent. */
static enum status feed_put(const struct cli *cli, struct client *client, const char *kind, const char *url, int64_t every_us, struct problem *why)
{
    const char *format = cli_value(cli, "format");
    json_t *body = json_object(), *answer = NULL;
    int64_t confidence = -1;

    enum status status = cli_number(cli, "min-confidence", 0, 100, &confidence, why);
    if (kind)
        json_object_set_new(body, "kind", json_string(kind));
    if (format)
        json_object_set_new(body, "format", json_string(format));
    if (url)
        json_object_set_new(body, "url", json_string(url));
    if (every_us)
        json_object_set_new(body, "pull_every_s", json_integer(every_us / 1000000));
    if (confidence >= 0)
        json_object_set_new(body, "min_confidence", json_integer(confidence));
    if (cli_value(cli, "workspace"))
        json_object_set_new(body, "workspace", json_string(cli_value(cli, "workspace")));
    if (!status)
        status = client_call(client, "PUT", listing_path(cli, "/v1/feeds/", ""), body, &answer, why);
    json_decref(answer);
    json_decref(body);
    return status;
}

/* ---- import ---- */

struct importing {
    const struct cli *cli;
    struct client *client;
    long long generation;
    bool warns; /* it is a warning list */
    json_t *values;
    size_t bytes, sent;
    enum status status;
    struct problem *why;
};

static void piece_send(struct importing *importing)
{
    char after[64];
    json_t *body = json_pack("{s:o}", "values", importing->values), *answer = NULL;

    importing->values = json_array();
    importing->bytes = 0;
    snprintf(after, sizeof after, "/generations/%lld", importing->generation);
    if (!importing->status && json_array_size(json_object_get(body, "values")))
        importing->status = client_call(importing->client, "POST", listing_path(importing->cli, "/v1/feeds/", after), body, &answer, importing->why);
    size_t before = importing->sent;
    importing->sent += json_array_size(json_object_get(body, "values"));
    if (before / TELL_EVERY != importing->sent / TELL_EVERY)
        fprintf(stderr, "%zu indicators sent\n", importing->sent);
    json_decref(answer);
    json_decref(body);
}

static bool entry_send(void *context, const struct feed_entry *entry)
{
    struct importing *importing = context;
    struct text value = text_trim(entry->value);
    char until[CLOCK_TEXT_SIZE];

    if (!false_friends_kind(importing->warns, entry->reach, value))
        return false;
    json_t *one = json_stringn(value.bytes, value.count);
    if (!one)
        return false; /* not UTF-8 */
    if (entry->valid_until_us || entry->confidence >= 0 || entry->reach) {
        one = json_pack("{s:o}", "value", one);
        if (entry->reach)
            json_object_set_new(one, "type", json_string(feed_reach_words[entry->reach]));
        if (entry->valid_until_us) {
            clock_format(entry->valid_until_us, until);
            json_object_set_new(one, "valid_until", json_string(until));
        }
        if (entry->confidence >= 0)
            json_object_set_new(one, "confidence", json_integer(entry->confidence));
    }
    json_array_append_new(importing->values, one);
    importing->bytes += 2 * value.count + 100;
    if (json_array_size(importing->values) == PIECE_VALUES || importing->bytes >= PIECE_BYTES)
        piece_send(importing);
    return true;
}

static enum status generation_begin(struct importing *importing)
{
    json_t *answer = NULL;
    enum status status = client_call(importing->client, "POST", listing_path(importing->cli, "/v1/feeds/", "/generations"), NULL, &answer, importing->why);

    if (!status)
        importing->generation = (long long)json_integer_value(json_object_get(answer, "generation"));
    json_decref(answer);
    return status;
}

static enum status file_import(struct importing *importing, struct text content, enum feed_format format, json_t **answer, struct problem *why)
{
    struct feed_facts facts;
    char after[64];
    enum status status = generation_begin(importing);

    if (!status)
        status = feed_read(content, format, entry_send, importing, &facts, why);
    if (!status) {
        piece_send(importing);
        status = importing->status;
    }
    if (!status && !facts.added)
        return problem_set(why, STATUS_REJECT, "there are no indicators in it; the feed keeps what it had");
    if (!status && facts.ignored)
        fprintf(stderr, "%zu entries are none of the kinds that are looked for\n", facts.ignored);
    snprintf(after, sizeof after, "/generations/%lld/finish", importing->generation);
    return status ? status : client_call(importing->client, "POST", listing_path(importing->cli, "/v1/feeds/", after), NULL, answer, why);
}

static enum cli_exit run_import(const struct cli *cli)
{
    const char *path = cli_argument(cli, 1), *word = cli_value(cli, "format");
    struct problem why;
    struct importing importing = {.cli = cli, .values = json_array(), .why = &why};
    enum feed_format format = FEED_ANY;
    enum status status = STATUS_OK;
    json_t *answer = NULL;
    struct buf content;

    buf_init(&content, FEED_BYTES_MAX);
    if (word && !feed_format_of(text_of(word), &format))
        status = problem_set(&why, STATUS_REJECT, "there is no format %s: auto, list, csv, hosts, adblock, misp, stix and warninglist are some", word);
    if (!status)
        status = process_read_file(path, FEED_BYTES_MAX, &content, &why);
    if (!status)
        status = client_open(cli, &importing.client, &why);
    const char *kind = cli_value(cli, "kind");
    importing.warns = kind ? strcmp(kind, "warning") == 0 : feed_is_warning_list(buf_as_text(&content));
    if (!status)
        status = feed_put(cli, importing.client, importing.warns ? "warning" : kind, NULL, 0, &why);
    if (!status) {
        status = file_import(&importing, buf_as_text(&content), format, &answer, &why);
        if (status == STATUS_REJECT)
            problem_prefix(&why, "%s", path);
    }
    if (!status && cli_given(cli, "json"))
        table_json_line(answer);
    else if (!status)
        printf("%s: %lld indicators in force\n", cli_argument(cli, 0), (long long)json_integer_value(json_object_get(answer, "indicators")));
    json_decref(answer);
    json_decref(importing.values);
    client_close(importing.client);
    buf_done(&content);
    return cli_end(status, &why);
}

/* ---- the others ---- */

static enum cli_exit run_add(const struct cli *cli)
{
    const char *every = cli_value(cli, "every");
    struct client *client = NULL;
    enum status status = STATUS_OK;
    struct problem why;
    int64_t every_us = 0;

    if (every && (!clock_parse_duration(text_of(every), &every_us) || every_us < 60000000))
        status = problem_set(&why, STATUS_REJECT, "--every is a duration of a minute at least, such as 1h");
    if (!status)
        status = client_open(cli, &client, &why);
    if (!status)
        status = feed_put(cli, client, cli_value(cli, "kind"), cli_argument(cli, 1), every_us, &why);
    client_close(client);
    return status ? cli_end(status, &why) : listing_change(cli, "POST", listing_path(cli, "/v1/feeds/", "/pull"), NULL, "added");
}

static enum cli_exit run_list(const struct cli *cli)
{
    static const struct table_column columns[] = {
        {"NAME", "name"}, {"KIND", "kind"}, {"ENABLED", "enabled"}, {"INDICATORS", "indicators"}, {"LOADED", "loaded_at"}, {"URL", "url"}, {"PROBLEM", "problem"},
    };

    return listing_print(cli, listing_path(cli, "/v1/feeds?limit=1000", NULL), "feeds", columns, sizeof columns / sizeof *columns);
}

static enum cli_exit run_pull(const struct cli *cli)
{
    return listing_change(cli, "POST", listing_path(cli, "/v1/feeds/", "/pull"), NULL, "due now");
}

static enum cli_exit run_remove(const struct cli *cli)
{
    return listing_change(cli, "DELETE", listing_path(cli, "/v1/feeds/", ""), NULL, "removed");
}
