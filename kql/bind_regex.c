#include "kql/binder.h"
#include "kql/regex_greed.h"
#include "kql/regex_steps.h"

#include <stdlib.h>

/* Kusto's regular expressions are RE2's; PostgreSQL's are its own "advanced" ones. What both have is written the other
 * way; what only one has is refused. Facts: RE2's and PostgreSQL's documentation of their syntax. */

#define GROUP_DEPTH_MAX 100

struct translation {
    struct binder *binder;
    struct kql_place place;
    struct text rest;
    struct buf out;
    bool dot_all, greedy, lazy;
    bool folds;                         /* letters stand for both cases: behind an (?i) within the expression */
    bool folds_around[GROUP_DEPTH_MAX]; /* and so did they before each parenthesis that is open */
    struct greed_plan greed;
    unsigned sites;      /* repetitions so far */
    unsigned open;       /* parentheses */
    const char *without; /* of the brackets at hand: \D, \W or \S stands in them */
};

static char ahead(const struct translation *translation, size_t i)
{
    return i < translation->rest.count ? translation->rest.bytes[i] : 0;
}

static void step(struct translation *translation, size_t count)
{
    translation->rest.bytes += count;
    translation->rest.count -= count;
}

static bool wrong(struct translation *translation, const char *code, const char *what)
{
    binder_wrong(translation->binder, code, translation->place, "%s in a regular expression", what);
    return false;
}

/* Those of all scripts. */
static const char *class_of(char letter)
{
    switch (letter) {
    case 'd':
        return "[:digit:]";
    case 'w':
        return "[:alnum:]_";
    case 's':
        return "[:space:]";
    default:
        return NULL;
    }
}

/* \p{L} and the like, what follows the p. */
static bool translate_property(struct translation *translation, bool inside, bool negated)
{
    static const struct {
        const char *name, *as;
    } properties[] = {{"L", "[:alpha:]"},  {"N", "[:digit:]"}, {"Lu", "[:upper:]"},
                      {"Ll", "[:lower:]"}, {"P", "[:punct:]"}, {"Nd", "[:digit:]"}};
    struct text name;

    if (ahead(translation, 0) != '{')
        name = (struct text){translation->rest.bytes, translation->rest.count != 0};
    else
        name = (struct text){translation->rest.bytes + 1, text_find(translation->rest, '}') - 1};
    for (size_t i = 0; i < sizeof properties / sizeof *properties; i++) {
        if (!text_equal(name, text_of(properties[i].name)) || (inside && negated))
            continue;
        step(translation, name.count + (ahead(translation, 0) == '{' ? 2 : 0));
        buf_format(&translation->out, inside ? "%s" : negated ? "[^%s]" : "[%s]", properties[i].as);
        return true;
    }
    return wrong(translation, "unsupported.regex",
                 "a class of characters by a property that is not supported");
}

static bool is_hex(char byte)
{
    return (byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f');
}

/* What no text has, as PostgreSQL's have no character 0. */
#define NEVER "(?:(?!))"

static bool translate_escape(struct translation *translation, bool inside)
{
    char letter = ahead(translation, 1), lower = (char)(letter | 0x20);
    bool negated = letter != lower;

    if (!letter)
        return wrong(translation, "semantic.regex", "a backslash at the end");
    if (class_of(lower) && letter >= 'A') {
        if (inside && negated) {
            translation->without = class_of(lower);
            step(translation, 2);
            return true;
        }
        buf_format(&translation->out, inside ? "%s" : negated ? "[^%s]" : "[%s]", class_of(lower));
        step(translation, 2);
        return true;
    }
    if (lower == 'p') {
        step(translation, 2);
        return translate_property(translation, inside, negated);
    }
    if (!inside && lower == 'b') {
        buf_string(&translation->out, negated ? "\\Y" : "\\y");
    } else if (!inside && letter == 'A') {
        buf_string(&translation->out, "\\A");
    } else if (!inside && (letter == 'z' || letter == 'Z')) {
        buf_string(&translation->out, "\\Z");
    } else if (letter == 'x') {
        bool braced = ahead(translation, 2) == '{';
        struct text digits = {translation->rest.bytes + 2 + braced, 0};
        while (digits.count < (braced ? 8U : 2U) && is_hex(ahead(translation, 2 + braced + digits.count)))
            digits.count++;
        unsigned long code = strtoul(arena_string(translation->binder->arena, digits), NULL, 16);
        if (!digits.count || (!code && inside) || code > 0x10ffff)
            return wrong(translation, "semantic.regex", "a character by a number that is none");
        if (code)
            buf_format(&translation->out, "\\U%08lx", code);
        else
            buf_string(&translation->out, NEVER);
        step(translation, 2 + digits.count + 2 * (size_t)braced);
        return true;
    } else if (letter == '0' && !inside) {
        buf_string(&translation->out, NEVER);
    } else if (memchr("tnrfva", letter, 6)) {
        buf_format(&translation->out, "\\%c", letter);
    } else if (letter >= '1' && letter <= '9') {
        return wrong(translation, "semantic.regex", "a reference back");
    } else if ((lower >= 'a' && lower <= 'z') || letter == '0') {
        return wrong(translation, letter == 'Q' || letter == 'C' ? "unsupported.regex" : "semantic.regex",
                     "an escape that is unknown");
    } else {
        if ((unsigned char)letter < 0x80)
            buf_byte(&translation->out, '\\');
        buf_byte(&translation->out, letter);
    }
    step(translation, 2);
    return true;
}

/* PostgreSQL has no \W within brackets: [a\W] is [a] or [^0-9A-Za-z_], and [^a\W] such as is no [a] but a word's. */
static void brackets_without(struct translation *translation, size_t from, bool negated)
{
    struct text class = {translation->out.bytes + from, translation->out.count - from};
    const char *copy = arena_string(translation->binder->arena, class);
    bool empty = class.count <= 2U + negated;

    translation->out.count = from;
    if (negated && empty)
        buf_format(&translation->out, "[%s]", translation->without);
    else if (negated)
        buf_format(&translation->out, "(?:(?![%.*s])[%s])", (int)class.count - 3, copy + 2,
                   translation->without);
    else if (empty)
        buf_format(&translation->out, "[^%s]", translation->without);
    else
        buf_format(&translation->out, "(?:%s|[^%s])", copy, translation->without);
}

static bool is_letter(char byte)
{
    return (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';
}

/* A letter within brackets, or a range of letters of one case, in both cases. False: it is neither. */
static bool translate_folded(struct translation *translation)
{
    char first = ahead(translation, 0), last = ahead(translation, 2);

    if (!is_letter(first))
        return false;
    if (ahead(translation, 1) == '-' && is_letter(last) && (first & 0x20) == (last & 0x20)) {
        buf_format(&translation->out, "%c-%c%c-%c", first | 0x20, last | 0x20, first & ~0x20, last & ~0x20);
        step(translation, 3);
    } else if (ahead(translation, 1) == '-' && last && last != ']') {
        return false;
    } else {
        buf_format(&translation->out, "%c%c", first | 0x20, first & ~0x20);
        step(translation, 1);
    }
    return true;
}

static bool translate_brackets(struct translation *translation)
{
    size_t from = translation->out.count;
    bool first = true, negated = ahead(translation, 1) == '^';

    translation->without = NULL;
    buf_string(&translation->out, negated ? "[^" : "[");
    step(translation, 1U + negated);
    for (; translation->rest.count; first = false) {
        char byte = ahead(translation, 0);
        if (byte == ']' && !first) {
            buf_byte(&translation->out, ']');
            step(translation, 1);
            if (translation->without)
                brackets_without(translation, from, negated);
            return true;
        }
        if (translation->folds && translate_folded(translation))
            continue;
        if (byte == '\\') {
            const char *before = translation->without;
            if (!translate_escape(translation, true))
                return false;
            if (before && translation->without != before)
                return wrong(translation, "unsupported.regex", "two negated classes within brackets");
            continue;
        }
        if (byte == '[' && ahead(translation, 1) == ':') { /* [:alpha:] is the same in both */
            size_t end =
                text_find((struct text){translation->rest.bytes + 2, translation->rest.count - 2}, ']') + 3;
            if (end > translation->rest.count)
                break;
            buf_append(&translation->out, translation->rest.bytes, end);
            step(translation, end);
            continue;
        }
        if (byte == '[' || (byte == ']' && first))
            buf_byte(&translation->out, '\\');
        buf_byte(&translation->out, byte);
        step(translation, 1);
    }
    return wrong(translation, "semantic.regex", "a bracket that is not closed");
}

/* What begins with (? */
static bool translate_group(struct translation *translation)
{
    struct text rest = translation->rest;

    if (text_starts(rest, TEXT("(?:"))) {
        buf_string(&translation->out, "(?:");
        step(translation, 3);
        return true;
    }
    if (text_starts(rest, TEXT("(?i:")) || text_starts(rest, TEXT("(?i)"))) {
        buf_string(&translation->out, "(?:");
        translation->folds = true;
        step(translation, 4);
        if (rest.bytes[3] == ')') { /* for what follows, up to the end of the group that it stands in */
            translation->out.count -= 3;
            translation->open--;
        }
        return true;
    }
    if (text_starts(rest, TEXT("(?P<")) ||
        (text_starts(rest, TEXT("(?<")) && ahead(translation, 3) != '=' && ahead(translation, 3) != '!')) {
        size_t end = text_find(rest, '>');
        if (end >= rest.count)
            return wrong(translation, "semantic.regex", "a name that does not end");
        buf_byte(&translation->out, '(');
        step(translation, end + 1);
        return true;
    }
    if (text_starts(rest, TEXT("(?=")) || text_starts(rest, TEXT("(?!")) || text_starts(rest, TEXT("(?<")))
        return wrong(translation, "semantic.regex", "a look around");
    return wrong(translation, "unsupported.regex", "options that are not at its beginning");
}

static void quantified(struct translation *translation, size_t count)
{
    unsigned site = translation->sites++;
    enum greed greed = site < GREED_SITES_MAX ? translation->greed.sites[site] : GREED_AS_SAID;

    if (greed == GREED_LEAST)
        buf_string(&translation->out, ahead(translation, 0) == '+' ? "{1}" : "{0}");
    else
        buf_append(&translation->out, translation->rest.bytes, count);
    step(translation, count);
    bool lazy = ahead(translation, 0) == '?';
    step(translation, lazy);
    translation->lazy |= lazy;
    translation->greedy |= !lazy;
    if (greed == GREED_LITTLE || (greed == GREED_AS_SAID && lazy))
        buf_byte(&translation->out, '?');
}

static bool translate_one(struct translation *translation)
{
    char byte = ahead(translation, 0);
    size_t end;

    switch (byte) {
    case '\\':
        return translate_escape(translation, false);
    case '[':
        return translate_brackets(translation);
    case '.':
        buf_string(&translation->out, translation->dot_all ? "." : "[^\\n]");
        break;
    case ')':
        if (!translation->open--)
            return wrong(translation, "semantic.regex", "a parenthesis that closes nothing");
        translation->folds = translation->folds_around[translation->open];
        buf_byte(&translation->out, byte);
        break;
    case '(':
        if (translation->open == GROUP_DEPTH_MAX)
            return wrong(translation, "unsupported.regex", "more than 100 parentheses within one another");
        translation->folds_around[translation->open++] = translation->folds;
        if (ahead(translation, 1) == '?')
            return translate_group(translation);
        buf_byte(&translation->out, byte);
        break;
    case '*':
    case '+':
    case '?':
        quantified(translation, 1);
        return true;
    case '{': /* a repetition, or the character */
        for (end = 1; (ahead(translation, end) >= '0' && ahead(translation, end) <= '9') ||
                      ahead(translation, end) == ',';
             end++)
            ;
        if (end > 1 && ahead(translation, 1) != ',' && ahead(translation, end) == '}') {
            quantified(translation, end + 1);
            return true;
        }
        buf_string(&translation->out, "\\{");
        break;
    default:
        if (translation->folds && is_letter(byte))
            buf_format(&translation->out, "[%c%c]", byte | 0x20, byte & ~0x20);
        else
            buf_byte(&translation->out, byte);
    }
    step(translation, 1);
    return true;
}

/* Options at the beginning, (?i) or several of them. */
static bool translate_options(struct translation *translation)
{
    bool fold = false, lines = false;

    while (text_starts(translation->rest, TEXT("(?"))) {
        size_t end = text_find(translation->rest, ')');
        struct text options = {translation->rest.bytes + 2, end - 2};
        size_t known = 0;
        while (known < options.count && memchr("imsU", options.bytes[known], 4))
            known++;
        if (end >= translation->rest.count || known != options.count || !known)
            break;
        for (size_t i = 0; i < options.count; i++) {
            fold |= options.bytes[i] == 'i';
            lines |= options.bytes[i] == 'm';
            translation->dot_all |= options.bytes[i] == 's';
            if (options.bytes[i] == 'U')
                return wrong(translation, "unsupported.regex", "the option U");
        }
        step(translation, end + 1);
    }
    if (fold || lines)
        buf_format(&translation->out, "(?%s%s)", fold ? "i" : "", lines ? "w" : "");
    else if (text_starts(translation->rest, TEXT("***")))
        return wrong(translation, "semantic.regex", "a repetition of nothing");
    return true;
}

/* ---- step by step ---- */

static struct bound_value *text_list(struct binder *binder, struct text *texts, unsigned count, struct kql_place place)
{
    struct bound_value *list = value_new(binder, BOUND_LIST, TYPE_STRING, place);

    list->arguments = ARENA_ARRAY(binder->arena, struct bound_value *, count);
    list->count = count;
    for (unsigned i = 0; i < count; i++)
        list->arguments[i] = value_text(binder, texts[i], place);
    return list;
}

/* One step as PostgreSQL has it. */
static bool step_translated(struct translation *whole, const struct regex_step *step_of, struct text *out)
{
    struct translation part = {.binder = whole->binder, .place = whole->place, .rest = step_of->pattern,
                               .dot_all = whole->dot_all, .folds = step_of->folds};
    bool fine = true;

    buf_init(&part.out, 100000);
    while (fine && part.rest.count)
        fine = translate_one(&part);
    *out = arena_text(whole->binder->arena, buf_as_text(&part.out));
    buf_done(&part.out);
    return fine;
}

struct bound_value *value_extract_stepwise(struct binder *binder, struct text pattern, int64_t group, struct bound_value *text,
                                           struct kql_place place)
{
    struct translation translation = {.binder = binder, .place = place, .rest = pattern};
    struct regex_steps *steps = ARENA_NEW(binder->arena, struct regex_steps);
    struct text heads[REGEX_STEPS_MAX], tails[REGEX_STEPS_MAX];
    unsigned from = 0, to;

    buf_init(&translation.out, 100000);
    bool fine = translate_options(&translation);
    struct text options = arena_text(binder->arena, buf_as_text(&translation.out));
    buf_done(&translation.out);
    fine = fine && regex_steps_read(translation.rest, steps) && group >= 0 && group <= steps->group_count;
    to = steps->count;
    if (fine && group) {
        from = steps->groups[group - 1].from;
        to = steps->groups[group - 1].to;
    }
    if (!fine || !to)
        return NULL;
    for (unsigned i = 0; i < steps->count; i++)
        if (!step_translated(&translation, &steps->steps[i], &heads[i]))
            return NULL;
    struct text tail = TEXT("");
    for (unsigned i = steps->count; i-- > 0;) {
        tails[i] = tail;
        tail = text_of(arena_format(binder->arena, "%.*s%.*s", TEXT_ARGS(heads[i]), TEXT_ARGS(tail)));
    }
    struct bound_value **arguments = ARENA_ARRAY(binder->arena, struct bound_value *, 7);
    arguments[0] = value_text(binder, options, place);
    arguments[1] = value_text(binder, tail, place);
    arguments[2] = text_list(binder, heads, steps->count, place);
    arguments[3] = text_list(binder, tails, steps->count, place);
    arguments[4] = value_integer(binder, TYPE_LONG, from, place);
    arguments[5] = value_integer(binder, TYPE_LONG, to, place);
    arguments[6] = text;
    return value_call(binder, "!@extract_steps(%1, %2, %3, %4, %5, %6, %7)", TYPE_STRING, place, arguments, 7);
}

/* Whether it has repetitions of both kinds, as it stands. */
static bool is_mixed(struct binder *binder, struct text pattern, struct kql_place place)
{
    struct translation translation = {.binder = binder, .place = place, .rest = pattern};
    bool fine = true;

    buf_init(&translation.out, 100000);
    while (fine && translation.rest.count)
        fine = translate_one(&translation);
    buf_done(&translation.out);
    return translation.greedy && translation.lazy;
}

struct bound_value *value_regex(struct binder *binder, struct text pattern, enum regex_wanted wanted,
                                struct kql_place place)
{
    struct translation translation = {.binder = binder, .place = place, .rest = pattern};
    struct bound_value *value = NULL;
    bool fine;

    buf_init(&translation.out, 100000);
    fine = translate_options(&translation);
    /* Where only matching or not counts, so does no greed. */
    if (fine && wanted != REGEX_MATCH && is_mixed(binder, translation.rest, place) &&
        !binder_failed(binder)) {
        if (!greed_plan(translation.rest, wanted == REGEX_WHOLE, &translation.greed))
            fine = wrong(&translation, "unsupported.regex",
                         "repetitions that take much beside such that take little");
        step(&translation, translation.greed.skip);
    }
    while (fine && translation.rest.count)
        fine = translate_one(&translation);
    if (fine && translation.open)
        fine = wrong(&translation, "semantic.regex", "a parenthesis that is not closed");
    if (fine)
        value =
            value_call1(binder, "(%1 COLLATE \"und-x-icu\")", TYPE_STRING,
                        value_text(binder, arena_text(binder->arena, buf_as_text(&translation.out)), place));
    buf_done(&translation.out);
    return value;
}
