#include "kql/regex_steps.h"

#define DEPTH_MAX 16

struct reading {
    struct regex_steps *out;
    struct text rest, pending; /* what needs no step of its own so far */
    int open[DEPTH_MAX];       /* groups that are open: their number from 1, 0 for one without */
    unsigned depth;
    bool folds;
};

static char at(struct text text, size_t i)
{
    return i < text.count ? text.bytes[i] : 0;
}

static void step_over(struct reading *reading, size_t count)
{
    reading->rest.bytes += count;
    reading->rest.count -= count;
}

/* Bytes of the brackets that a text begins with; 0: they do not end. */
static size_t brackets_count(struct text text)
{
    for (size_t i = at(text, 1) == '^' ? 3 : 2; i < text.count; i++) {
        if (text.bytes[i] == '\\')
            i++;
        else if (text.bytes[i] == ']')
            return i + 1;
    }
    return 0;
}

static size_t escape_count(struct text text)
{
    char letter = at(text, 1);

    if ((letter == 'x' || letter == 'p' || letter == 'P') && at(text, 2) == '{')
        return text_find(text, '}') + 1 <= text.count ? text_find(text, '}') + 1 : 0;
    if (letter == 'x')
        return 4;
    return letter ? 2 : 0;
}

/* Bytes of the group that a text begins with, its parentheses included; `*branches`: an | stands in it. */
static size_t group_count(struct text text, bool *branches, bool *repeats)
{
    unsigned depth = 0;

    *branches = *repeats = false;
    for (size_t i = 0; i < text.count; i++) {
        struct text here = {text.bytes + i, text.count - i};
        char byte = text.bytes[i];
        if (byte == '\\') {
            i++;
        } else if (byte == '[') {
            size_t count = brackets_count(here);
            if (!count)
                return 0;
            i += count - 1;
        } else if (byte == '(') {
            depth++;
            i += at(here, 1) == '?';
        } else if (byte == ')') {
            if (!--depth)
                return i + 1;
        } else {
            *branches |= byte == '|';
            *repeats |= byte == '*' || byte == '+' || byte == '?' || byte == '{';
        }
    }
    return 0;
}

/* Bytes of a repetition: *, +?, {2,3}; 0: there is none. */
static size_t repetition_count(struct text text)
{
    size_t count = at(text, 0) == '*' || at(text, 0) == '+' || at(text, 0) == '?';

    if (at(text, 0) == '{' && at(text, 1) >= '0' && at(text, 1) <= '9') {
        count = text_find(text, '}') + 1;
        count = count <= text.count ? count : 0;
    }
    return count ? count + (at(text, count) == '?') : 0;
}

static bool step_add(struct reading *reading, struct text pattern)
{
    struct regex_steps *out = reading->out;

    if (!pattern.count)
        return true;
    if (out->count == REGEX_STEPS_MAX)
        return false;
    out->steps[out->count++] = (struct regex_step){pattern, reading->folds};
    return true;
}

static bool flush(struct reading *reading)
{
    struct text pending = reading->pending;

    reading->pending = (struct text){reading->rest.bytes, 0};
    return step_add(reading, pending);
}

/* Branches that differ in length may take what PostgreSQL would not: only letters, and none that begins a later one. */
static bool branches_are_safe(struct text inner)
{
    size_t lengths[32];
    struct text parts[32], rest = inner;
    unsigned count = 0;
    bool same = true, plain = true;

    for (size_t i = 0; i < inner.count; i++)
        plain &= !memchr("\\[](){}*+?.^$", inner.bytes[i], 13);
    while (rest.bytes && count < 32) {
        rest = text_cut(rest, '|', &parts[count]);
        lengths[count] = parts[count].count;
        /* \s and \' are one character. */
        for (size_t i = 0; !plain && i < parts[count].count; i++)
            if (parts[count].bytes[i] == '\\') {
                lengths[count]--;
                i++;
            } else if (memchr("[](){}*+?", parts[count].bytes[i], 9)) {
                return false;
            }
        same &= lengths[count] == lengths[0];
        count++;
    }
    if (rest.bytes)
        return false;
    for (unsigned i = 0; plain && i < count; i++)
        for (unsigned k = i + 1; k < count; k++)
            if (text_starts(parts[k], parts[i]) && !text_equal(parts[k], parts[i]))
                return same;
    return same || plain;
}

static struct text inner_of(struct text group)
{
    size_t skip = 1;

    if (at(group, 1) == '?')
        skip = at(group, 2) == ':' ? 3 : text_find(group, '>') + 1;
    return (struct text){group.bytes + skip, group.count - skip - 1};
}

static bool captures(struct text group)
{
    return at(group, 1) != '?' || at(group, 2) == 'P' || (at(group, 2) == '<' && at(group, 3) != '=' && at(group, 3) != '!');
}

static bool group_number(struct reading *reading, struct text group, int *number)
{
    struct regex_steps *out = reading->out;

    *number = 0;
    if (at(group, 1) == '?' && at(group, 2) != ':' && !captures(group))
        return false; /* options within, a look around */
    if (!captures(group))
        return true;
    if (out->group_count == REGEX_GROUPS_MAX)
        return false;
    out->groups[out->group_count].from = out->count;
    out->groups[out->group_count].to = 0;
    *number = (int)++out->group_count;
    return true;
}

/* Groups within a step count, and cannot be had. */
static void groups_within(struct regex_steps *out, struct text inner)
{
    for (size_t i = 0; i < inner.count; i++) {
        if (inner.bytes[i] == '\\')
            i++;
        else if (inner.bytes[i] == '(' && captures((struct text){inner.bytes + i, inner.count - i}) && out->group_count < REGEX_GROUPS_MAX)
            out->groups[out->group_count++].to = 0;
    }
}

static bool read_group(struct reading *reading)
{
    bool branches, repeats;
    size_t count = group_count(reading->rest, &branches, &repeats), repetition;
    struct text group = {reading->rest.bytes, count}, inner;
    int number;

    if (count >= 4 && text_starts(group, TEXT("(?i)"))) {
        bool fine = flush(reading);
        reading->folds = true;
        step_over(reading, 4);
        reading->pending = (struct text){reading->rest.bytes, 0};
        return fine;
    }
    if (!count || !flush(reading) || !group_number(reading, group, &number))
        return false;
    inner = inner_of(group);
    repetition = repetition_count((struct text){group.bytes + count, reading->rest.count - count});
    if (!repetition && !branches) { /* only marks places */
        if (reading->depth == DEPTH_MAX)
            return false;
        reading->open[reading->depth++] = number;
        step_over(reading, (size_t)(inner.bytes - group.bytes));
        reading->pending = (struct text){reading->rest.bytes, 0};
        return true;
    }
    if (repeats || (branches && !branches_are_safe(inner)))
        return false;
    if (!step_add(reading, (struct text){group.bytes, count + repetition}))
        return false;
    if (number && !repetition)
        reading->out->groups[number - 1].to = reading->out->count;
    groups_within(reading->out, inner);
    step_over(reading, count + repetition);
    reading->pending = (struct text){reading->rest.bytes, 0};
    return true;
}

static bool read_close(struct reading *reading)
{
    if (!reading->depth || !flush(reading))
        return false;
    int number = reading->open[--reading->depth];
    if (number)
        reading->out->groups[number - 1].to = reading->out->count;
    step_over(reading, 1);
    reading->pending = (struct text){reading->rest.bytes, 0};
    /* An empty group has no step of its own, and is none that can be told from one within. */
    return !number || reading->out->groups[number - 1].to > reading->out->groups[number - 1].from;
}

static bool read_atom(struct reading *reading)
{
    char byte = at(reading->rest, 0);
    size_t count = byte == '\\' ? escape_count(reading->rest) : byte == '[' ? brackets_count(reading->rest) : 1, repetition;
    bool first = reading->out->count == 0 && reading->pending.count == 0;

    if (!count || count > reading->rest.count || byte == '|')
        return false;
    while (byte != '\\' && byte != '[' && ((unsigned char)at(reading->rest, count) & 0xC0) == 0x80)
        count++; /* the whole of a character */
    /* What looks at its neighbours may not be where a step begins. */
    if (byte == '\\' && memchr("bBAzZ", at(reading->rest, 1), 5) && !(first && at(reading->rest, 1) == 'A'))
        return false;
    if ((byte == '^' && !first) || (byte == '$' && reading->rest.count > 1))
        return false;
    repetition = repetition_count((struct text){reading->rest.bytes + count, reading->rest.count - count});
    if (!repetition) {
        reading->pending.count += count;
        step_over(reading, count);
        return true;
    }
    struct text atom = {reading->rest.bytes, count + repetition};
    if (!flush(reading) || !step_add(reading, atom))
        return false;
    step_over(reading, count + repetition);
    reading->pending = (struct text){reading->rest.bytes, 0};
    return true;
}

bool regex_steps_read(struct text pattern, struct regex_steps *out)
{
    struct reading reading = {.out = out, .rest = pattern, .pending = {pattern.bytes, 0}};

    out->count = out->group_count = 0;
    while (reading.rest.count) {
        bool fine = at(reading.rest, 0) == '('   ? read_group(&reading)
                    : at(reading.rest, 0) == ')' ? read_close(&reading)
                                                 : read_atom(&reading);
        if (!fine)
            return false;
    }
    return !reading.depth && flush(&reading) && out->count;
}
