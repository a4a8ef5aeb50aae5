#include "detect/indicators.h"

#include <arpa/inet.h>
#include <idn2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_BYTES_MAX (INDICATOR_ROOM - 8) /* longer URLs are no indicators */
#define NAME_BYTES_MAX 253 /* of a domain: RFC 1035 */
#define FEEDS_MAX 65535
#define PORT_MAX 999999

/* A table of keys: a kind, and the bytes that it goes by. Several feeds may list one key, so an entry leads to the next of it. */
struct entry {
    uint64_t hash;
    uint32_t key_at, value_at; /* in `texts` */
    uint16_t key_count, value_count, feed;
};

struct indicators {
    struct entry *entries;
    size_t count, room;
    uint32_t *slots; /* entry + 1; 0 is free; twice as many as entries at least */
    size_t slot_count;
    char *texts;
    size_t text_count, text_room;
    char **feeds;
    size_t feed_count;
    uint64_t lengths4[1], lengths6[3]; /* of networks that are listed: a bit for each length */
    indicator_spares *spares;          /* NULL: nothing is spared */
    const void *spares_context;
};

/* Something that was seen, and who is told what it is. */
struct asking {
    const struct indicators *set;
    const char *kind;
    struct text seen;
    indicator_each *each;
    void *context;
    bool found, spared;
};

/* ---- bytes ---- */

struct key {
    char bytes[KEY_BYTES_MAX + 20];
    size_t count;
};

static uint64_t hash_of(const char *bytes, size_t count)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */

    for (size_t i = 0; i < count; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * UINT64_C(1099511628211);
    return hash ^ hash >> 29;
}

static void key_begin(struct key *key, char kind)
{
    key->bytes[0] = kind;
    key->count = 1;
}

static bool key_add(struct key *key, const void *bytes, size_t count)
{
    if (key->count + count > sizeof key->bytes)
        return false;
    memcpy(key->bytes + key->count, bytes, count);
    key->count += count;
    return true;
}

static void *grown(void *list, size_t size)
{
    list = realloc(list, size);
    if (!list)
        abort();
    return list;
}

struct indicators *indicators_new(void)
{
    struct indicators *set = calloc(1, sizeof *set);

    if (!set)
        abort();
    return set;
}

void indicators_free(struct indicators *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->feed_count; i++)
        free(set->feeds[i]);
    free(set->feeds);
    free(set->texts);
    free(set->slots);
    free(set->entries);
    free(set);
}

uint16_t indicators_feed(struct indicators *set, struct text name)
{
    if (set->feed_count == FEEDS_MAX)
        return FEEDS_MAX - 1;
    set->feeds = grown(set->feeds, (set->feed_count + 1) * sizeof *set->feeds);
    set->feeds[set->feed_count] = strndup(name.bytes, name.count);
    if (!set->feeds[set->feed_count])
        abort();
    return (uint16_t)set->feed_count++;
}

size_t indicators_count(const struct indicators *set)
{
    return set->count;
}

/* ---- the table ---- */

static void slot_take(struct indicators *set, uint64_t hash, uint32_t entry)
{
    size_t at = hash & (set->slot_count - 1);

    while (set->slots[at])
        at = (at + 1) & (set->slot_count - 1);
    set->slots[at] = entry + 1;
}

static void slots_grow(struct indicators *set)
{
    free(set->slots);
    set->slot_count = set->slot_count ? 2 * set->slot_count : 1024;
    set->slots = calloc(set->slot_count, sizeof *set->slots);
    if (!set->slots)
        abort();
    for (size_t i = 0; i < set->count; i++)
        slot_take(set, set->entries[i].hash, (uint32_t)i);
}

static uint32_t text_keep(struct indicators *set, const char *bytes, size_t count)
{
    if (set->text_count + count > set->text_room) {
        set->text_room = set->text_room + set->text_room / 2 + count + 65536;
        set->texts = grown(set->texts, set->text_room);
    }
    memcpy(set->texts + set->text_count, bytes, count);
    set->text_count += count;
    return (uint32_t)(set->text_count - count);
}

/* Entries of that key, one after the other: `*at` is SIZE_MAX first. */
static const struct entry *entry_next(const struct indicators *set, const struct key *key, uint64_t hash, size_t *at)
{
    if (!set->slot_count)
        return NULL;
    *at = *at == SIZE_MAX ? hash & (set->slot_count - 1) : (*at + 1) & (set->slot_count - 1);
    for (; set->slots[*at]; *at = (*at + 1) & (set->slot_count - 1)) {
        const struct entry *entry = &set->entries[set->slots[*at] - 1];
        if (entry->hash == hash && entry->key_count == key->count && memcmp(set->texts + entry->key_at, key->bytes, key->count) == 0)
            return entry;
    }
    return NULL;
}

static bool add(struct indicators *set, uint16_t feed, const struct key *key, struct text value)
{
    uint64_t hash = hash_of(key->bytes, key->count);
    const struct entry *known;
    size_t at = SIZE_MAX;

    while ((known = entry_next(set, key, hash, &at)))
        if (known->feed == feed)
            return true;
    if (value.count > UINT16_MAX || set->count == UINT32_MAX - 1 || set->text_count > UINT32_MAX - 2 * KEY_BYTES_MAX)
        return false;
    if (set->count == set->room) {
        set->room = set->room + set->room / 2 + 512;
        set->entries = grown(set->entries, set->room * sizeof *set->entries);
    }
    struct entry *entry = &set->entries[set->count];
    *entry = (struct entry){.hash = hash, .feed = feed, .key_count = (uint16_t)key->count, .value_count = (uint16_t)value.count};
    entry->key_at = text_keep(set, key->bytes, key->count);
    bool same = key->count == value.count + 1 && memcmp(key->bytes + 1, value.bytes, value.count) == 0;
    entry->value_at = same ? entry->key_at + 1 : text_keep(set, value.bytes, value.count);
    set->count++;
    if (2 * set->count > set->slot_count)
        slots_grow(set);
    else
        slot_take(set, hash, (uint32_t)(set->count - 1));
    return true;
}

static void find(struct asking *asking, const struct key *key)
{
    const struct indicators *set = asking->set;
    uint64_t hash = hash_of(key->bytes, key->count);
    const struct entry *entry;
    size_t at = SIZE_MAX;

    while (!asking->spared && (entry = entry_next(set, key, hash, &at))) {
        asking->spared = !asking->found && set->spares && set->spares(set->spares_context, asking->kind, asking->seen);
        if (asking->spared)
            return;
        asking->found = true;
        asking->each(asking->context, text_of(set->feeds[entry->feed]), (struct text){set->texts + entry->value_at, entry->value_count});
    }
}

void indicators_spare(struct indicators *set, indicator_spares *spares, const void *context)
{
    set->spares = spares;
    set->spares_context = context;
}

/* ---- addresses ---- */

struct network {
    uint8_t bytes[16];
    unsigned bits; /* of the address that count */
    bool is_ipv6;
    uint32_t port; /* lists have some beyond 65535, which nothing can be seen with */
};

static bool address_read(struct text text, struct network *out)
{
    char copy[INET6_ADDRSTRLEN];

    if (!text.count || text.count >= sizeof copy)
        return false;
    memcpy(copy, text.bytes, text.count);
    copy[text.count] = '\0';
    memset(out, 0, sizeof *out);
    out->is_ipv6 = memchr(text.bytes, ':', text.count) != NULL;
    out->bits = out->is_ipv6 ? 128 : 32;
    if (inet_pton(out->is_ipv6 ? AF_INET6 : AF_INET, copy, out->bytes) != 1)
        return false;
    static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};
    if (out->is_ipv6 && memcmp(out->bytes, mapped, 12) == 0) { /* ::ffff:10.0.0.1 */
        memmove(out->bytes, out->bytes + 12, 4);
        memset(out->bytes + 4, 0, 12);
        out->is_ipv6 = false;
        out->bits = 32;
    }
    return true;
}

static bool port_read(struct text digits, uint32_t *out)
{
    uint64_t port;

    if (!text_to_u64(digits, &port) || port == 0 || port > PORT_MAX)
        return false;
    *out = (uint32_t)port;
    return true;
}

/* "10.0.0.1", "10.0.0.0/8", "10.0.0.1:80", "[::1]:80", "::1", "2001:db8::/32" */
static bool network_read(struct text text, struct network *out)
{
    struct text address, rest;
    uint64_t bits;

    if (text.count && text.bytes[0] == '[') {
        struct text inner = text_cut((struct text){text.bytes + 1, text.count - 1}, ']', &address);
        return inner.bytes && address_read(address, out) &&
               (!inner.count || (inner.bytes[0] == ':' && port_read((struct text){inner.bytes + 1, inner.count - 1}, &out->port)));
    }
    rest = text_cut(text, '/', &address);
    if (rest.bytes) {
        if (!address_read(address, out) || !text_to_u64(rest, &bits) || bits > out->bits)
            return false;
        out->bits = (unsigned)bits;
        return true;
    }
    if (address_read(text, out))
        return true;
    rest = text_cut(text, ':', &address);
    return rest.bytes && address_read(address, out) && !out->is_ipv6 && port_read(rest, &out->port);
}

static bool network_key(struct key *key, const struct network *network, unsigned bits, uint32_t port)
{
    uint8_t bytes[16];
    size_t count = network->is_ipv6 ? 16 : 4;

    for (size_t i = 0; i < count; i++) {
        unsigned left = bits > 8 * i ? bits - 8 * (unsigned)i : 0;
        unsigned mask = left >= 8 ? 0xFFu : 0xFF00u >> left & 0xFFu;
        bytes[i] = (uint8_t)(network->bytes[i] & mask);
    }
    key_begin(key, network->is_ipv6 ? '6' : '4');
    uint8_t tail[4] = {(uint8_t)bits, (uint8_t)(port >> 16), (uint8_t)(port >> 8), (uint8_t)port};
    return key_add(key, bytes, count) && key_add(key, tail, sizeof tail);
}

bool indicators_find_ip(const struct indicators *set, struct text text, uint32_t port, indicator_each *each, void *context)
{
    struct asking asking = {.set = set, .kind = "ip", .seen = text, .each = each, .context = context};
    struct network network = {.port = 0};
    struct key key;

    if (!address_read(text, &network))
        return false;
    const uint64_t *lengths = network.is_ipv6 ? set->lengths6 : set->lengths4;
    for (unsigned bits = 0; bits <= network.bits; bits++)
        if (lengths[bits / 64] >> bits % 64 & 1 && network_key(&key, &network, bits, 0))
            find(&asking, &key);
    if (port && network_key(&key, &network, network.bits, port))
        find(&asking, &key);
    return asking.found;
}

/* ---- domains, URLs, hashes ---- */

static bool is_label_byte(char byte)
{
    return (byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z') || byte == '-' || byte == '_' || (unsigned char)byte >= 0x80;
}

/* As questions to DNS have it: "xn--bcher-kva.example". What IDNA does not know stays as it is. */
static struct text name_ascii(struct text name, char out[NAME_BYTES_MAX + 1])
{
    char utf8[NAME_BYTES_MAX + 1];
    uint8_t *ascii = NULL;
    bool plain = true;

    for (size_t i = 0; i < name.count; i++)
        plain &= (unsigned char)name.bytes[i] < 0x80;
    if (plain || name.count > NAME_BYTES_MAX)
        return name;
    memcpy(utf8, name.bytes, name.count);
    utf8[name.count] = '\0';
    if (idn2_lookup_u8((const uint8_t *)utf8, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
        return name;
    int count = snprintf(out, NAME_BYTES_MAX + 1, "%s", (const char *)ascii);
    idn2_free(ascii);
    return count <= NAME_BYTES_MAX ? (struct text){out, (size_t)count} : name;
}

/* In small letters, in ASCII, without a final dot. */
static bool domain_key(struct key *key, struct text text)
{
    char ascii[NAME_BYTES_MAX + 1];
    bool letters = false;
    size_t label = 0, dots = 0;

    text = name_ascii(text, ascii);
    if (text_ends(text, TEXT(".")))
        text.count--;
    if (!text.count || text.count > NAME_BYTES_MAX)
        return false;
    key_begin(key, 'd');
    for (size_t i = 0; i < text.count; i++) {
        char byte = text.bytes[i];
        if (byte == '.') {
            if (!label)
                return false;
            dots++;
            label = 0;
            letters = false;
        } else if (!is_label_byte(byte)) {
            return false;
        } else {
            label++;
            letters |= byte < '0' || byte > '9'; /* the last label is no number */
        }
        key->bytes[key->count++] = (char)(byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte);
    }
    return label && dots && letters;
}

bool indicators_find_domain(const struct indicators *set, struct text domain, indicator_each *each, void *context)
{
    struct asking asking = {.set = set, .kind = "domain", .seen = domain, .each = each, .context = context};
    char ascii[NAME_BYTES_MAX + 1];
    struct key key;

    for (struct text rest = name_ascii(domain, ascii); rest.bytes && rest.count;) {
        if (domain_key(&key, rest))
            find(&asking, &key);
        struct text label;
        rest = text_cut(rest, '.', &label);
    }
    return asking.found;
}

bool indicators_has_domain(const struct indicators *set, struct text domain)
{
    struct key key;
    size_t at = SIZE_MAX;

    return domain_key(&key, domain) && entry_next(set, &key, hash_of(key.bytes, key.count), &at) != NULL;
}

/* scheme://host/path: scheme and host in small letters, the usual port left out, no lone slash at the end, no fragment. `scheme` false:
 * without it. */
static bool url_key(struct key *key, struct text url, bool scheme)
{
    char *at = memmem(url.bytes, url.count, "://", 3);
    size_t head = at ? (size_t)(at - url.bytes) : 0, start = at ? head + 3 : 0, end = start;
    size_t all = text_find(url, '#');
    struct text port = TEXT_NONE;
    char ascii[NAME_BYTES_MAX + 1];

    if (all > KEY_BYTES_MAX)
        return false;
    while (end < all && !memchr("/?", url.bytes[end], 2))
        end++;
    struct text host = {url.bytes + start, end - start};
    size_t user = text_find(host, '@');
    if (user < host.count)
        host = (struct text){host.bytes + user + 1, host.count - user - 1};
    if (!host.count || memchr(host.bytes, ' ', host.count))
        return false;
    size_t colon = host.bytes[0] == '[' ? text_find(host, ']') + 1 : text_find(host, ':');
    if (colon < host.count) {
        port = (struct text){host.bytes + colon, host.count - colon};
        host.count = colon;
    }
    bool https = head == 5 && text_equal_nocase((struct text){url.bytes, 5}, TEXT("https"));
    if (port.bytes && (text_equal(port, TEXT(":")) || text_equal(port, https ? TEXT(":443") : TEXT(":80"))))
        port = TEXT_NONE;
    host = name_ascii(host, ascii);
    key_begin(key, 'u');
    for (size_t i = 0; scheme && i < head; i++)
        key->bytes[key->count++] = (char)(url.bytes[i] >= 'A' && url.bytes[i] <= 'Z' ? url.bytes[i] | 0x20 : url.bytes[i]);
    if (scheme)
        key_add(key, "://", 3);
    if (key->count + host.count > sizeof key->bytes) /* its ASCII may be longer than it was */
        return false;
    for (size_t i = 0; i < host.count; i++)
        key->bytes[key->count++] = (char)(host.bytes[i] >= 'A' && host.bytes[i] <= 'Z' ? host.bytes[i] | 0x20 : host.bytes[i]);
    struct text path = {url.bytes + end, all - end};
    if (text_equal(path, TEXT("/")))
        path = TEXT_NONE;
    return (!port.bytes || key_add(key, port.bytes, port.count)) && (!path.bytes || key_add(key, path.bytes, path.count));
}

static bool path_key(struct key *key, struct text path)
{
    key_begin(key, 'p');
    return path.count > 1 && path.count <= KEY_BYTES_MAX && key_add(key, path.bytes, path.count);
}

bool indicators_find_url(const struct indicators *set, struct text url, indicator_each *each, void *context)
{
    struct asking asking = {.set = set, .kind = "url", .seen = url, .each = each, .context = context};
    struct key key;
    bool whole = memmem(url.bytes, url.count, "://", 3) != NULL;

    if (whole && url_key(&key, url, true))
        find(&asking, &key);
    if (url_key(&key, url, false))
        find(&asking, &key);
    if (!whole) /* the scheme was not seen */
        return asking.found;
    const char *host = (const char *)memmem(url.bytes, url.count, "://", 3) + 3;
    struct text rest = {host, url.count - (size_t)(host - url.bytes)}, path;
    (void)text_cut(rest, '#', &rest);
    size_t slash = text_find(rest, '/');
    path = (struct text){rest.bytes + slash, rest.count - slash};
    if (path_key(&key, path))
        find(&asking, &key);
    size_t asked = text_find(path, '?'); /* also without what is asked */
    if (asked < path.count && path_key(&key, (struct text){path.bytes, asked}))
        find(&asking, &key);
    return asking.found;
}

static bool hash_key(struct key *key, struct text digits)
{
    if (digits.count != 32 && digits.count != 40 && digits.count != 64)
        return false;
    key_begin(key, 'h');
    for (size_t i = 0; i < digits.count; i++) {
        char byte = digits.bytes[i], letter = (char)(byte | 0x20);
        if (!((byte >= '0' && byte <= '9') || (letter >= 'a' && letter <= 'f')))
            return false;
        key->bytes[key->count++] = byte > '9' ? letter : byte;
    }
    return true;
}

bool indicators_find_hash(const struct indicators *set, struct text digits, indicator_each *each, void *context)
{
    struct asking asking = {.set = set, .kind = "hash", .seen = digits, .each = each, .context = context};
    struct key key;

    if (hash_key(&key, digits))
        find(&asking, &key);
    return asking.found;
}

/* ---- as people write them ---- */

/* hxxp://evil[.]example, evil(.)example */
struct text indicators_put_right(struct text value, char out[INDICATOR_ROOM])
{
    size_t count = 0;

    if (value.count > KEY_BYTES_MAX)
        return value;
    for (size_t i = 0; i < value.count;) {
        struct text rest = {value.bytes + i, value.count - i};
        if (i == 0 && rest.count > 4 && text_equal_nocase((struct text){rest.bytes, 4}, TEXT("hxxp"))) {
            memcpy(out, "http", 4);
            count = 4;
            i = 4;
        } else if (text_starts(rest, TEXT("[.]")) || text_starts(rest, TEXT("(.)")) || text_starts(rest, TEXT("[:]"))) {
            out[count++] = rest.bytes[1];
            i += 3;
        } else {
            out[count++] = value.bytes[i++];
        }
    }
    return (struct text){out, count};
}

/* The key of what is listed, and what kind of thing it is; NULL: none that we know. */
static const char *listed_key(struct text listed, struct key *key, struct network *network)
{
    char room[INDICATOR_ROOM];
    uint64_t length;

    if (!listed.count || listed.count > KEY_BYTES_MAX)
        return NULL;
    struct text value = indicators_put_right(listed, room);
    if (hash_key(key, value))
        return value.count == 64 ? "sha256" : value.count == 40 ? "sha1" : "md5";
    if (network_read(value, network)) {
        bool whole_address = network->bits == (network->is_ipv6 ? 128 : 32);
        return network_key(key, network, network->bits, network->port) ? network->port ? "ip_port" : whole_address ? "ip" : "network" : NULL;
    }
    if (value.bytes[0] == '/')
        return path_key(key, value) ? "path" : NULL;
    /* *.evil.example and .evil.example: its sub-domains are covered anyway */
    size_t open = text_starts(value, TEXT("*.")) ? 2 : text_starts(value, TEXT(".")) ? 1 : 0;
    if (domain_key(key, (struct text){value.bytes + open, value.count - open}))
        return "domain";
    bool whole = memmem(value.bytes, value.count, "://", 3) != NULL;
    struct text host, path = text_cut(value, '/', &host);
    bool hosted = !whole && path.bytes && (domain_key(key, (struct text){host.bytes, text_find(host, ':')}) || network_read(host, network));
    if (!whole && (!hosted || text_to_u64(path, &length))) /* 10.0.0.0/33 */
        return NULL;
    return url_key(key, value, whole) ? "url" : NULL;
}

const char *indicators_kind(struct text value)
{
    struct network network = {.port = 0};
    struct key key;

    return listed_key(text_trim(value), &key, &network);
}

bool indicators_add(struct indicators *set, uint16_t feed, struct text listed)
{
    struct network network = {.port = 0};
    struct key key;

    listed = text_trim(listed);
    const char *kind = listed_key(listed, &key, &network);
    if (!kind)
        return false;
    if (strcmp(kind, "ip") == 0 || strcmp(kind, "network") == 0)
        (network.is_ipv6 ? set->lengths6 : set->lengths4)[network.bits / 64] |= UINT64_C(1) << network.bits % 64;
    return add(set, feed, &key, listed);
}
