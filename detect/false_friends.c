#include "detect/false_friends.h"

#include <stdlib.h>
#include <string.h>

#include "detect/command_facts.h"
#include "detect/regex.h"

#define PATTERN_BYTES_MAX 2000

struct false_friends {
    struct indicators *themselves, *below; /* of the latter the names alone */
    struct regex **patterns;
    size_t pattern_count;
};

struct false_friends *false_friends_new(void)
{
    struct false_friends *friends = calloc(1, sizeof *friends);

    if (!friends)
        abort();
    friends->themselves = indicators_new();
    friends->below = indicators_new();
    (void)indicators_feed(friends->themselves, TEXT(""));
    (void)indicators_feed(friends->below, TEXT(""));
    return friends;
}

void false_friends_free(struct false_friends *friends)
{
    if (!friends)
        return;
    for (size_t i = 0; i < friends->pattern_count; i++)
        regex_free(friends->patterns[i]);
    free(friends->patterns);
    indicators_free(friends->themselves);
    indicators_free(friends->below);
    free(friends);
}

size_t false_friends_count(const struct false_friends *friends)
{
    return indicators_count(friends->themselves) + indicators_count(friends->below) + friends->pattern_count;
}

/* ---- filling ---- */

/* Lists write them "/…/" and "/…/i" as well. */
static struct regex *pattern_new(struct text value)
{
    struct problem why;

    if (value.count > 2 && value.bytes[0] == '/') {
        size_t end = value.count;
        while (end > 1 && value.bytes[end - 1] != '/')
            end--;
        if (end > 2 && value.count - end <= 3)
            value = (struct text){value.bytes + 1, end - 2};
    }
    return value.count && value.count <= PATTERN_BYTES_MAX ? regex_new(value, REGEX_CASELESS, &why) : NULL;
}

/* A regular expression of just that text. */
static struct regex *substring_new(struct text value)
{
    char escaped[2 * PATTERN_BYTES_MAX];
    struct problem why;
    size_t count = 0;

    if (!value.count || value.count > PATTERN_BYTES_MAX)
        return NULL;
    for (size_t i = 0; i < value.count; i++) {
        unsigned char byte = (unsigned char)value.bytes[i], letter = byte | 0x20;
        if (byte < 0x80 && !(letter >= 'a' && letter <= 'z') && !(byte >= '0' && byte <= '9'))
            escaped[count++] = '\\';
        escaped[count++] = (char)byte;
    }
    return regex_new((struct text){escaped, count}, REGEX_CASELESS, &why);
}

static struct regex *pattern_of(struct text kind, struct text value)
{
    return text_equal(kind, TEXT("regex")) ? pattern_new(value) : text_equal(kind, TEXT("substring")) ? substring_new(value) : NULL;
}

const char *false_friends_kind(bool warns, enum feed_reach reach, struct text value)
{
    const char *kind = indicators_kind(value);

    if (reach <= FEED_AND_BELOW)
        return warns && reach == FEED_AND_BELOW && kind && strcmp(kind, "domain") == 0 ? "below" : kind;
    if (!warns)
        return NULL;
    kind = reach == FEED_REGEX ? "regex" : "substring";
    struct regex *pattern = pattern_of(text_of(kind), value);
    bool fine = pattern != NULL;
    regex_free(pattern);
    return fine ? kind : NULL;
}

bool false_friends_add(struct false_friends *friends, struct text kind, struct text value)
{
    bool below = text_equal(kind, TEXT("below")) || (text_equal(kind, TEXT("domain")) && (text_starts(value, TEXT(".")) || text_starts(value, TEXT("*."))));

    if (below)
        return indicators_add(friends->below, 0, value);
    if (!text_equal(kind, TEXT("regex")) && !text_equal(kind, TEXT("substring")))
        return indicators_add(friends->themselves, 0, value);
    struct regex *pattern = pattern_of(kind, value);
    if (!pattern)
        return false;
    if ((friends->pattern_count & (friends->pattern_count - 1)) == 0) {
        size_t room = friends->pattern_count ? 2 * friends->pattern_count : 1;
        friends->patterns = realloc(friends->patterns, room * sizeof *friends->patterns);
        if (!friends->patterns)
            abort();
    }
    friends->patterns[friends->pattern_count++] = pattern;
    return true;
}

/* ---- asking ---- */

static void ignore(void *context, struct text feed, struct text value)
{
    (void)context, (void)feed, (void)value;
}

static bool has_address(const struct false_friends *friends, struct text address)
{
    return indicators_find_ip(friends->themselves, address, 0, ignore, NULL);
}

/* A feed may list it as *.name or .name. */
static bool has_name(const struct false_friends *friends, struct text name)
{
    size_t open = text_starts(name, TEXT("*.")) ? 2 : text_starts(name, TEXT(".")) ? 1 : 0;

    name = (struct text){name.bytes + open, name.count - open};
    return indicators_has_domain(friends->themselves, name) || indicators_find_domain(friends->below, name, ignore, NULL);
}

/* "https://host[:port][/]": a host and nothing on it. */
static bool has_bare_url(const struct false_friends *friends, struct text url)
{
    const char *at = memmem(url.bytes, url.count, "://", 3);
    struct text host, rest = at ? (struct text){at + 3, url.count - (size_t)(at + 3 - url.bytes)} : url;

    rest = text_cut(rest, '/', &host);
    if (rest.count || memchr(host.bytes, '?', host.count) || memchr(host.bytes, '@', host.count))
        return false;
    host = url_host(url);
    return has_name(friends, host) || has_address(friends, host);
}

/* Of a network, that of its first address; without a port. */
static struct text address_of(const char *kind, struct text value)
{
    struct text address = value;

    if (strcmp(kind, "network") == 0) {
        (void)text_cut(value, '/', &address);
    } else if (strcmp(kind, "ip_port") == 0) {
        while (address.count && address.bytes[address.count - 1] != ':')
            address.count--;
        address.count -= address.count > 0;
    }
    if (address.count > 1 && address.bytes[0] == '[' && address.bytes[address.count - 1] == ']')
        address = (struct text){address.bytes + 1, address.count - 2};
    return address;
}

bool false_friends_have(const void *of, const char *kind, struct text value)
{
    const struct false_friends *friends = of;
    char room[INDICATOR_ROOM];
    bool found;

    value = indicators_put_right(text_trim(value), room);
    if (strcmp(kind, "domain") == 0)
        found = has_name(friends, value);
    else if (strcmp(kind, "url") == 0)
        found = has_bare_url(friends, value);
    else if (strcmp(kind, "ip") == 0 || strcmp(kind, "network") == 0 || strcmp(kind, "ip_port") == 0)
        found = has_address(friends, address_of(kind, value));
    else
        found = indicators_find_hash(friends->themselves, value, ignore, NULL);
    for (size_t i = 0; !found && i < friends->pattern_count; i++)
        found = regex_fits(friends->patterns[i], value);
    return found;
}
