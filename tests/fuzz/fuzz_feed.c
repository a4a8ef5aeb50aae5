#include <string.h>

#include "detect/false_friends.h"

/* Whatever a feed holds: it is read or refused, and what was added is found again, or spared. The first byte says as what it is read. */
static void ignore(void *context, struct text feed, struct text value)
{
    (void)feed;
    *(size_t *)context += value.count;
}

/* To both. */
struct taking {
    struct feed_into into;
    struct false_friends *friends;
};

static bool keep(void *context, const struct feed_entry *entry)
{
    struct taking *taking = context;
    const char *kind = false_friends_kind(true, entry->reach, entry->value);

    if (kind && !false_friends_add(taking->friends, text_of(kind), entry->value))
        __builtin_trap();
    if (kind && strcmp(kind, "domain") == 0 && entry->value.bytes[0] != '.' && !false_friends_have(taking->friends, kind, text_trim(entry->value)))
        __builtin_trap();
    return feed_take_into(&taking->into, entry);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct indicators *set = indicators_new();
    struct text content = {(const char *)bytes + (count > 0), count - (count > 0)}, line;
    struct feed_facts facts;
    struct problem why;
    size_t found = 0;

    struct taking taking = {{set, indicators_feed(set, TEXT("f"))}, false_friends_new()};
    if (count && bytes[0] & 0x80)
        indicators_spare(set, false_friends_have, taking.friends);
    if (feed_read(content, count ? bytes[0] % (FEED_WARNING + 1) : FEED_ANY, keep, &taking, &facts, &why) && !why.text[0])
        __builtin_trap();
    if (indicators_count(set) > facts.added)
        __builtin_trap();
    for (struct text rest = content; rest.bytes;) {
        rest = text_cut(rest, '\n', &line);
        (void)indicators_find_domain(set, line, ignore, &found);
        (void)indicators_find_url(set, line, ignore, &found);
        (void)indicators_find_hash(set, line, ignore, &found);
        (void)indicators_find_ip(set, line, 80, ignore, &found);
    }
    indicators_free(set);
    false_friends_free(taking.friends);
    return 0;
}
