#include "detect/feed_read.h"

/* Whatever a feed holds: it is read or refused, and what was added is found again. The first byte says as what it is read. */
static void ignore(void *context, struct text feed, struct text value)
{
    (void)feed;
    *(size_t *)context += value.count;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct indicators *set = indicators_new();
    struct text content = {(const char *)bytes + (count > 0), count - (count > 0)}, line;
    struct feed_facts facts;
    struct problem why;
    size_t found = 0;

    struct feed_into into = {set, indicators_feed(set, TEXT("f"))};
    if (feed_read(content, count ? bytes[0] % (FEED_WARNING + 1) : FEED_ANY, feed_take_into, &into, &facts, &why) && !why.text[0])
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
    return 0;
}
