#include "programs/commands.h"

#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "detect/feed_read.h"
#include "programs/json_lines.h"
#include "runtime/buf.h"
#include "runtime/process.h"

#define FEED_BYTES_MAX ((size_t)1 << 30)

static enum cli_exit run_match(const struct cli *cli);

static const struct cli_flag match_flags[] = {
    {"feed", "FILE", "A feed; may be said several times."},
    {"format", "FORMAT", "What the feeds are written as: auto, list, csv, hosts, adblock, misp or stix (else as each one's content says)."},
    {"observations", "FILE", "What was seen, a JSON object a line: {\"id\",\"kind\":\"ip|ip_port|domain|url|sha256|sha1|md5\",\"value\"}."},
};

const struct cli_verb feed_verbs[] = {
    {"feed match", "", "Say which observations a threat feed lists: a line each.",
     "A listed domain covers all below it; an address with a port means that port alone.", CLI_FLAGS(match_flags), CLI_JSON, 0, 0, run_match},
};
const size_t feed_verb_count = sizeof feed_verbs / sizeof feed_verbs[0];

static enum status feeds_load(const struct cli *cli, struct indicators *set, enum feed_format format, struct problem *why)
{
    const char *path;

    if (!cli_value(cli, "feed"))
        return problem_set(why, STATUS_REJECT, "which feed? --feed FILE says it");
    for (int i = 0; (path = cli_value_at(cli, "feed", i)); i++) {
        struct feed_facts facts;
        struct problem broken;
        struct buf content;
        buf_init(&content, FEED_BYTES_MAX);
        enum status status = process_read_file(path, FEED_BYTES_MAX, &content, why);
        struct feed_into into = {set, indicators_feed(set, text_of(path))};
        if (!status && feed_read(buf_as_text(&content), format, feed_take_into, &into, &facts, &broken))
            status = problem_set(why, STATUS_REJECT, "%s: %s", path, broken.text);
        buf_done(&content);
        if (status)
            return status;
        if (facts.ignored)
            fprintf(stderr, "%s: %zu indicators; %zu entries are none of the kinds that are looked for%s\n", path, facts.added, facts.ignored,
                    facts.added ? "" : ": is it a feed?");
    }
    return STATUS_OK;
}

static void listed(void *context, struct text feed, struct text value)
{
    json_array_append_new(context, json_pack("{s:s%,s:s%}", "feed", feed.bytes, feed.count, "value", value.bytes, value.count));
}

static bool ip_port_find(const struct indicators *set, struct text value, json_t *into)
{
    size_t colon = value.count;
    struct text address;
    uint64_t port = 0;

    while (colon && value.bytes[colon - 1] != ':')
        colon--;
    if (!colon || !text_to_u64((struct text){value.bytes + colon, value.count - colon}, &port) || port > UINT32_MAX)
        return false;
    address = (struct text){value.bytes, colon - 1};
    if (address.count > 2 && address.bytes[0] == '[')
        address = (struct text){address.bytes + 1, address.count - 2};
    return indicators_find_ip(set, address, (uint32_t)port, listed, into);
}

/* False: there is no such kind. */
static bool observe(const struct indicators *set, struct text kind, struct text value, json_t *into)
{
    if (text_equal(kind, TEXT("ip")))
        (void)indicators_find_ip(set, value, 0, listed, into);
    else if (text_equal(kind, TEXT("ip_port")))
        (void)ip_port_find(set, value, into);
    else if (text_equal(kind, TEXT("domain")))
        (void)indicators_find_domain(set, value, listed, into);
    else if (text_equal(kind, TEXT("url")))
        (void)indicators_find_url(set, value, listed, into);
    else if (text_equal(kind, TEXT("md5")) || text_equal(kind, TEXT("sha1")) || text_equal(kind, TEXT("sha256")))
        (void)indicators_find_hash(set, value, listed, into);
    else
        return false;
    return true;
}

struct matching {
    const struct indicators *set;
    bool json;
};

static enum status observation_match(void *context, json_t *observation, size_t number, struct problem *why)
{
    const struct matching *matching = context;
    const json_t *id = json_object_get(observation, "id"), *value = json_object_get(observation, "value");
    const char *kind = json_string_value(json_object_get(observation, "kind"));

    (void)number;
    if (!kind || !json_is_string(value))
        return problem_set(why, STATUS_REJECT, "an observation has \"kind\" and \"value\"");
    json_t *into = json_array();
    if (!observe(matching->set, text_of(kind), (struct text){json_string_value(value), json_string_length(value)}, into)) {
        json_decref(into);
        return problem_set(why, STATUS_REJECT, "there is no kind %s: ip, ip_port, domain, url, sha256, sha1 and md5 are some", kind);
    }
    bool match = json_array_size(into) > 0;
    if (matching->json) {
        json_t *line = json_pack("{s:O?,s:b,s:o}", "id", id, "match", match, "indicators", into);
        json_dumpf(line, stdout, JSON_COMPACT);
        json_decref(line);
        putchar('\n');
    } else {
        const json_t *first = json_array_get(into, 0);
        printf("%s  %s", json_string_value(value), match ? "listed: " : "not listed");
        if (match)
            printf("%s by %s", json_string_value(json_object_get(first, "value")), json_string_value(json_object_get(first, "feed")));
        putchar('\n');
        json_decref(into);
    }
    return STATUS_OK;
}

static enum cli_exit run_match(const struct cli *cli)
{
    const char *word = cli_value(cli, "format"), *observations = cli_value(cli, "observations");
    struct indicators *set = indicators_new();
    enum feed_format format = FEED_ANY;
    enum status status = STATUS_OK;
    struct matching matching = {set, cli_given(cli, "json")};
    struct problem why;

    if (!observations)
        status = problem_set(&why, STATUS_REJECT, "which observations? --observations FILE says it");
    else if (word && !feed_format_of(text_of(word), &format))
        status = problem_set(&why, STATUS_REJECT, "there is no format %s: auto, list, csv, hosts, adblock, misp and stix are some", word);
    if (!status)
        status = feeds_load(cli, set, format, &why);
    if (!status)
        status = json_lines_each(observations, "an observation", observation_match, &matching, &why);
    indicators_free(set);
    return cli_end(status, &why);
}
