#include "kql/regex_greed.h"

#include <stdint.h>

#define ITEMS_MAX 512

/* Characters: ASCII by bits, others by what they are. */
struct set {
    uint64_t low, high;
    unsigned beyond; /* bits of the kinds below */
};
enum { BEYOND_DIGIT = 1, BEYOND_LETTER = 2, BEYOND_SPACE = 4, BEYOND_OTHER = 8, BEYOND_ALL = 15 };

enum item_kind { ITEM_SET, ITEM_OPEN, ITEM_CLOSE, ITEM_OR };

struct item {
    enum item_kind kind;
    struct set set;
    bool captures;                            /* of ITEM_OPEN */
    bool repeated, optional, unbounded, lazy; /* a repetition follows it; it may be absent */
    unsigned partner;                         /* of ITEM_OPEN and ITEM_CLOSE: the other one */
    bool branches;                            /* of ITEM_OPEN: there is an | in it */
};

struct reading {
    struct text rest;
    struct item items[ITEMS_MAX];
    unsigned count, open[ITEMS_MAX], depth;
};

static char ahead(const struct reading *reading, size_t i)
{
    return i < reading->rest.count ? reading->rest.bytes[i] : 0;
}

static void step(struct reading *reading, size_t count)
{
    count = count < reading->rest.count ? count : reading->rest.count;
    reading->rest.bytes += count;
    reading->rest.count -= count;
}

static const struct set everything = {UINT64_MAX, UINT64_MAX, BEYOND_ALL};

static void set_add(struct set *set, unsigned char byte)
{
    if (byte < 64)
        set->low |= UINT64_C(1) << byte;
    else if (byte < 128)
        set->high |= UINT64_C(1) << (byte - 64);
    else
        set->beyond = BEYOND_ALL;
}

static void set_join(struct set *set, struct set other)
{
    set->low |= other.low;
    set->high |= other.high;
    set->beyond |= other.beyond;
}

static struct set set_without(struct set set)
{
    return (struct set){~set.low, ~set.high, ~set.beyond & BEYOND_ALL};
}

static bool set_within(struct set a, struct set b)
{
    return !(a.low & ~b.low) && !(a.high & ~b.high) && !(a.beyond & ~b.beyond);
}

static bool sets_meet(struct set a, struct set b)
{
    return (a.low & b.low) || (a.high & b.high) || (a.beyond & b.beyond);
}

/* \d and its like; false: it is no class. */
static bool set_of_class(char letter, struct set *out)
{
    struct set set = {0};

    switch (letter | 0x20) {
    case 'd':
    case 'w':
        for (unsigned char byte = '0'; byte <= '9'; byte++)
            set_add(&set, byte);
        set.beyond = BEYOND_DIGIT;
        for (unsigned char byte = 'a'; (letter | 0x20) == 'w' && byte <= 'z'; byte++) {
            set_add(&set, byte);
            set_add(&set, (unsigned char)(byte - 32));
        }
        if ((letter | 0x20) == 'w') {
            set_add(&set, '_');
            set.beyond |= BEYOND_LETTER;
        }
        break;
    case 's':
        for (const char *space = "\t\n\v\f\r "; *space; space++)
            set_add(&set, (unsigned char)*space);
        set.beyond = BEYOND_SPACE;
        break;
    default:
        return false;
    }
    *out = letter < 'a' ? set_without(set) : set;
    return true;
}

/* A character in both cases, since the expression may not tell them apart. */
static void set_add_letter(struct set *set, char letter)
{
    set_add(set, (unsigned char)letter);
    if ((letter | 0x20) >= 'a' && (letter | 0x20) <= 'z')
        set_add(set, (unsigned char)(letter ^ 0x20));
}

static struct set read_escape(struct reading *reading)
{
    char letter = ahead(reading, 1);
    struct set set = {0};
    size_t end = 2;

    if (set_of_class(letter, &set)) {
        step(reading, 2);
        return set;
    }
    if ((letter | 0x20) == 'p' || letter == 'x') {
        if (ahead(reading, 2) == '{')
            while (ahead(reading, end) && ahead(reading, end++) != '}')
                ;
        else
            end = letter == 'x' ? 4 : 3;
        step(reading, end);
        return everything;
    }
    static const char controls[] = "tnrfv", values[] = "\t\n\r\f\v";
    const char *control = letter ? strchr(controls, letter) : NULL;
    set_add_letter(&set, control ? values[control - controls] : letter);
    step(reading, 2);
    return set;
}

static struct set read_brackets(struct reading *reading)
{
    bool negated = ahead(reading, 1) == '^', first = true;
    struct set set = {0};

    step(reading, 1U + negated);
    for (; reading->rest.count && (first || ahead(reading, 0) != ']'); first = false) {
        char from = ahead(reading, 0);
        if (from == '\\') {
            set_join(&set, read_escape(reading));
            continue;
        }
        if (from == '[' && ahead(reading, 1) == ':') {
            set = everything; /* not looked into */
            step(reading, text_find(reading->rest, ']') + 1);
            continue;
        }
        if (ahead(reading, 1) == '-' && ahead(reading, 2) && ahead(reading, 2) != ']') {
            char to = ahead(reading, 2) == '\\' ? ahead(reading, 3) : ahead(reading, 2);
            for (int byte = (unsigned char)from; byte <= (unsigned char)to; byte++)
                set_add_letter(&set, (char)byte);
            step(reading, ahead(reading, 2) == '\\' ? 4 : 3);
            continue;
        }
        set_add_letter(&set, from);
        step(reading, 1);
    }
    step(reading, 1);
    return negated ? set_without(set) : set;
}

static bool read_repetition(struct reading *reading)
{
    struct item *item = reading->count ? &reading->items[reading->count - 1] : NULL;
    char mark = ahead(reading, 0);
    size_t end = 1;

    if (mark == '{') {
        while ((ahead(reading, end) >= '0' && ahead(reading, end) <= '9') || ahead(reading, end) == ',')
            end++;
        if (end == 1 || ahead(reading, 1) == ',' || ahead(reading, end++) != '}')
            return false;
    } else if (mark != '*' && mark != '+' && mark != '?') {
        return false;
    }
    if (!item || item->repeated)
        return false;
    item->repeated = true;
    item->unbounded = mark == '*' || mark == '+';
    item->optional = mark == '*' || mark == '?' || (mark == '{' && ahead(reading, 1) == '0');
    step(reading, end);
    item->lazy = ahead(reading, 0) == '?';
    step(reading, item->lazy);
    return true;
}

static struct item *item_add(struct reading *reading, enum item_kind kind)
{
    struct item *item = &reading->items[reading->count++];

    *item = (struct item){.kind = kind};
    return item;
}

static void read_open(struct reading *reading)
{
    struct item *item = item_add(reading, ITEM_OPEN);

    item->captures = ahead(reading, 1) != '?' || ahead(reading, 2) != ':';
    reading->open[reading->depth++] = reading->count - 1;
    if (ahead(reading, 1) == '?')
        step(reading, ahead(reading, 2) == ':' ? 3 : text_find(reading->rest, '>') + 1);
    else
        step(reading, 1);
}

static bool read_close(struct reading *reading)
{
    struct item *item;

    if (!reading->depth)
        return false;
    item = item_add(reading, ITEM_CLOSE);
    item->partner = reading->open[--reading->depth];
    reading->items[item->partner].partner = reading->count - 1;
    step(reading, 1);
    return true;
}

static bool read_item(struct reading *reading)
{
    char byte = ahead(reading, 0), next = ahead(reading, 1);
    struct set set = {0};

    switch (byte) {
    case '(':
        read_open(reading);
        return true;
    case ')':
        return read_close(reading);
    case '|':
        item_add(reading, ITEM_OR);
        if (reading->depth)
            reading->items[reading->open[reading->depth - 1]].branches = true;
        step(reading, 1);
        return true;
    case '^':
    case '$':
        step(reading, 1);
        return true;
    case '.':
        item_add(reading, ITEM_SET)->set = everything;
        step(reading, 1);
        return true;
    case '[':
        set = read_brackets(reading);
        break;
    case '\\':
        if (next && strchr("bBAzZ", next)) {
            step(reading, 2);
            return true;
        }
        set = read_escape(reading);
        break;
    default:
        if (read_repetition(reading))
            return true;
        set_add_letter(&set, byte);
        step(reading, 1);
    }
    item_add(reading, ITEM_SET)->set = set;
    return true;
}

static bool in_captured(const struct reading *reading, unsigned at)
{
    for (unsigned i = 0; i < at; i++)
        if (reading->items[i].kind == ITEM_OPEN && reading->items[i].captures &&
            reading->items[i].partner > at)
            return true;
    return false;
}

/* Whether a repetition matches the same whether it takes much or little. */
static bool either_way(const struct reading *reading, unsigned at, bool whole)
{
    const struct item *item = &reading->items[at];

    if (item->kind != ITEM_SET)
        return false;
    for (unsigned i = at + 1; i < reading->count; i++) {
        const struct item *next = &reading->items[i];
        if (next->kind == ITEM_OR || (next->kind == ITEM_CLOSE && next->repeated) ||
            (next->kind == ITEM_OPEN && next->branches))
            return false;
        if (next->kind == ITEM_OPEN && reading->items[next->partner].optional)
            return false;
        if (next->kind == ITEM_SET)
            return !next->optional && !sets_meet(item->set, next->set);
    }
    return !whole && !in_captured(reading, at);
}

/* \s+?([^,]+): one blank, since whatever follows the first is as well one of the others. */
static bool takes_least(const struct reading *reading, unsigned at)
{
    const struct item *item = &reading->items[at];
    unsigned next = at + 1;

    while (next < reading->count && reading->items[next].kind == ITEM_OPEN &&
           !reading->items[next].branches && !reading->items[reading->items[next].partner].repeated)
        next++;
    return item->kind == ITEM_SET && item->lazy && item->unbounded && next < reading->count &&
           reading->items[next].kind == ITEM_SET && reading->items[next].unbounded &&
           !reading->items[next].lazy && set_within(item->set, reading->items[next].set);
}

static bool plan(const struct reading *reading, bool whole, struct greed_plan *out)
{
    bool much = false, little = false;
    unsigned sites = 0;

    for (unsigned i = 0; i < reading->count; i++) {
        const struct item *item = &reading->items[i];
        if (!item->repeated)
            continue;
        if (sites == GREED_SITES_MAX)
            return false;
        out->sites[sites] = either_way(reading, i, whole) ? GREED_AS_SAID
                            : takes_least(reading, i)     ? GREED_LEAST
                            : item->lazy                  ? GREED_LITTLE
                                                          : GREED_MUCH;
        much |= out->sites[sites] == GREED_MUCH;
        little |= out->sites[sites] == GREED_LITTLE;
        sites++;
    }
    for (unsigned i = 0; i < sites && (much || little); i++)
        if (out->sites[i] == GREED_AS_SAID)
            out->sites[i] = much ? GREED_MUCH : GREED_LITTLE;
    return !(much && little);
}

bool greed_plan(struct text pattern, bool whole, struct greed_plan *out)
{
    struct reading reading = {.rest = pattern};

    *out = (struct greed_plan){.skip = !whole && text_starts(pattern, TEXT(".*?")) ? 3 : 0};
    step(&reading, out->skip);
    while (reading.rest.count)
        if (reading.count == ITEMS_MAX || reading.depth == ITEMS_MAX || !read_item(&reading))
            return false;
    return !reading.depth && plan(&reading, whole, out);
}
