#include "ingest/identity.h"

static uint64_t mix(uint64_t hash, struct text text);

bool identity_id_valid(struct text id)
{
    static const char marks[] = "-:.+%_#*?!(),=@;$'";

    if (id.count < 1 || id.count > PICKET_ID_MAX)
        return false;
    for (size_t i = 0; i < id.count; i++) {
        char c = id.bytes[i];
        bool alphanumeric = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!alphanumeric && !memchr(marks, c, sizeof marks - 1))
            return false;
    }
    return true;
}

bool identity_equal(const struct identity *a, const struct identity *b)
{
    return a->workspace == b->workspace && text_equal(a->device, b->device) && text_equal(a->module, b->module);
}

uint64_t identity_hash(const struct identity *identity)
{
    uint64_t hash = 0x9e3779b97f4a7c15U ^ identity->workspace;

    hash = mix(hash, identity->device);
    hash = mix(hash, identity->module);
    hash ^= hash >> 29;
    hash *= 0xbf58476d1ce4e5b9U;
    return hash ^ hash >> 32;
}

/* Eight bytes a step, since ids are looked up several times for every message. The length goes in as well, so that "ab"
 * with "c" is not "a" with "bc". */
static uint64_t mix(uint64_t hash, struct text text)
{
    size_t at = 0;

    hash = (hash ^ text.count) * 0x94d049bb133111ebU;
    while (at < text.count) {
        uint64_t word = 0;
        size_t count = text.count - at < sizeof word ? text.count - at : sizeof word;
        memcpy(&word, text.bytes + at, count);
        hash = (hash ^ word) * 0x94d049bb133111ebU;
        hash ^= hash >> 31;
        at += count;
    }
    return hash;
}
