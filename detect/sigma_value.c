#include "detect/sigma_value.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/buf.h"

#define VALUE_BYTES_MAX 65536

static bool refuse(struct sigma_item *item, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool refuse(struct sigma_item *item, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(item->reason, SIGMA_REASON_SIZE, format, arguments);
    va_end(arguments);
    return false;
}

/* ---- patterns ---- */

static void token_add(struct sigma_value *value, enum sigma_token_kind kind, struct text text)
{
    value->tokens[value->count++] = (struct sigma_token){kind, text};
}

/* A backslash takes the meaning from a star, a question mark and another backslash; before anything else it is one itself. */
struct sigma_value sigma_value_text(struct arena *arena, struct text raw)
{
    struct sigma_value value = {.kind = SIGMA_VALUE_TEXT, .raw = raw, .tokens = ARENA_ARRAY(arena, struct sigma_token, raw.count + 3)};
    char *run = ARENA_ARRAY(arena, char, raw.count + 1);
    size_t from = 0, to = 0;

    for (size_t i = 0; i < raw.count; i++) {
        char byte = raw.bytes[i], next = i + 1 < raw.count ? raw.bytes[i + 1] : 'x';
        if (byte == '\\' && (next == '*' || next == '?' || next == '\\')) {
            run[to++] = next;
            i++;
        } else if (byte == '*' || byte == '?') {
            if (to > from)
                token_add(&value, SIGMA_TEXT, (struct text){run + from, to - from});
            from = to;
            token_add(&value, byte == '*' ? SIGMA_STAR : SIGMA_ANY, TEXT_NONE);
        } else {
            run[to++] = byte;
        }
    }
    if (to > from)
        token_add(&value, SIGMA_TEXT, (struct text){run + from, to - from});
    return value;
}

static bool begins_with_star(const struct sigma_value *value)
{
    return value->count && value->tokens[0].kind == SIGMA_STAR;
}

static bool ends_with_star(const struct sigma_value *value)
{
    return value->count && value->tokens[value->count - 1].kind == SIGMA_STAR;
}

static void open_ends(struct arena *arena, struct sigma_value *value, bool before, bool behind)
{
    struct sigma_token *tokens = ARENA_ARRAY(arena, struct sigma_token, value->count + 3);
    struct sigma_value out = *value;

    before = before && !begins_with_star(value);
    behind = behind && !ends_with_star(value);
    out.tokens = tokens;
    out.count = 0;
    if (before)
        token_add(&out, SIGMA_STAR, TEXT_NONE);
    for (size_t i = 0; i < value->count; i++)
        tokens[out.count++] = value->tokens[i];
    if (behind)
        token_add(&out, SIGMA_STAR, TEXT_NONE);
    *value = out;
}

/* ---- encodings ---- */

/* The one run of text that the value is; TEXT_NONE: it has stars or question marks. */
static struct text plain_of(const struct sigma_value *value)
{
    if (value->count == 0)
        return TEXT("");
    return value->count == 1 && value->tokens[0].kind == SIGMA_TEXT ? value->tokens[0].text : TEXT_NONE;
}

static struct sigma_value value_plain(struct arena *arena, struct text text)
{
    struct sigma_value value = {.kind = SIGMA_VALUE_TEXT, .raw = text, .tokens = ARENA_ARRAY(arena, struct sigma_token, 3)};

    token_add(&value, SIGMA_TEXT, text);
    return value;
}

static struct text base64_of(struct arena *arena, struct text plain)
{
    char *out = ARENA_ARRAY(arena, char, (plain.count + 2) / 3 * 4 + 1);

    text_base64_encode((const uint8_t *)plain.bytes, plain.count, out);
    return text_of(out);
}

/* The part that does not change with what stands before and behind, for a beginning at `offset` within three bytes. */
static struct text base64_within(struct arena *arena, struct text plain, size_t offset)
{
    static const size_t first[] = {0, 2, 3}, last[] = {0, 3, 2};
    char *padded = ARENA_ARRAY(arena, char, plain.count + offset + 1);

    memset(padded, ' ', offset);
    memcpy(padded + offset, plain.bytes, plain.count);
    struct text encoded = base64_of(arena, (struct text){padded, plain.count + offset});
    size_t cut = first[offset] + last[(plain.count + offset) % 3];
    if (encoded.count <= cut)
        return TEXT("");
    return (struct text){encoded.bytes + first[offset], encoded.count - cut};
}

static struct text utf16_of(struct arena *arena, struct text plain, bool big, bool marked)
{
    char *out = ARENA_ARRAY(arena, char, 4 * plain.count + 3);
    size_t count = 0;

    if (marked) {
        out[count++] = '\xff';
        out[count++] = '\xfe';
    }
    for (size_t i = 0; i < plain.count;) {
        unsigned char lead = (unsigned char)plain.bytes[i++];
        uint32_t point = lead < 0x80 ? lead : lead < 0xE0 ? lead & 0x1F : lead < 0xF0 ? lead & 0x0F : lead & 0x07;
        for (int more = lead < 0xC0 ? 0 : lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3; more && i < plain.count; more--)
            point = point << 6 | ((unsigned char)plain.bytes[i++] & 0x3F);
        uint16_t units[2] = {(uint16_t)point, 0};
        int unit_count = 1;
        if (point > 0xFFFF) {
            units[0] = (uint16_t)(0xD800 + ((point - 0x10000) >> 10));
            units[1] = (uint16_t)(0xDC00 + ((point - 0x10000) & 0x3FF));
            unit_count = 2;
        }
        for (int k = 0; k < unit_count; k++) {
            out[count++] = (char)(big ? units[k] >> 8 : units[k]);
            out[count++] = (char)(big ? units[k] : units[k] >> 8);
        }
    }
    return (struct text){out, count};
}

/* ---- modifiers ---- */

static bool values_room(struct sigma_item *item, struct sigma_value **out, size_t each)
{
    if (item->count * each > SIGMA_VALUES_MAX)
        return refuse(item, "%.*s: its values have more than %d variants", TEXT_ARGS(item->field), SIGMA_VALUES_MAX);
    *out = ARENA_ARRAY(item->arena, struct sigma_value, item->count * each + 1);
    return true;
}

static bool texts_alone(struct sigma_item *item, const char *modifier)
{
    for (size_t i = 0; i < item->count; i++) {
        if (item->values[i].kind == SIGMA_VALUE_NUMBER)
            item->values[i] = value_plain(item->arena, item->values[i].raw);
        if (item->values[i].kind != SIGMA_VALUE_TEXT)
            return refuse(item, "%s wants a text, and %.*s is none", modifier, TEXT_ARGS(item->values[i].raw));
    }
    return true;
}

static bool encode(struct sigma_item *item, struct text modifier)
{
    bool offsets = text_equal(modifier, TEXT("base64offset"));
    struct sigma_value *out = NULL;
    size_t count = 0;

    if (!texts_alone(item, arena_string(item->arena, modifier)) || !values_room(item, &out, offsets ? 3 : 1))
        return false;
    for (size_t i = 0; i < item->count; i++) {
        struct text plain = plain_of(&item->values[i]);
        if (!plain.bytes)
            return refuse(item, "%.*s of a value with stars or question marks: %.*s", TEXT_ARGS(modifier), TEXT_ARGS(item->values[i].raw));
        size_t first = count;
        if (offsets)
            for (size_t offset = 0; offset < 3; offset++)
                out[count++] = value_plain(item->arena, base64_within(item->arena, plain, offset));
        else
            out[count++] = value_plain(item->arena, text_equal(modifier, TEXT("base64"))
                                                        ? base64_of(item->arena, plain)
                                                        : utf16_of(item->arena, plain, text_equal(modifier, TEXT("utf16be")),
                                                                   text_equal(modifier, TEXT("utf16"))));
        for (size_t k = first; k < count; k++) {
            out[k].raw = item->values[i].raw; /* what the rule says is what people are told */
            out[k].origin = item->values[i].origin;
        }
    }
    item->values = out;
    item->count = count;
    item->encoded = true;
    return true;
}

static bool is_word(char byte)
{
    return byte == '_' || (byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z');
}

/* Where a flag's dash stands: not behind a letter or digit, and before one. */
static size_t dash_find(struct text raw, size_t from)
{
    for (size_t i = from; i + 1 < raw.count; i++)
        if ((raw.bytes[i] == '-' || raw.bytes[i] == '/') && (i == 0 || !is_word(raw.bytes[i - 1])) && is_word(raw.bytes[i + 1]))
            return i;
    return raw.count;
}

static bool windash(struct sigma_item *item)
{
    static const char *const dashes[] = {"-", "/", "\xe2\x80\x93", "\xe2\x80\x94", "\xe2\x80\x95"};
    struct sigma_value *out = ARENA_ARRAY(item->arena, struct sigma_value, SIGMA_VALUES_MAX);
    size_t *at = ARENA_ARRAY(item->arena, size_t, SIGMA_VALUES_MAX), count = 0;

    if (!texts_alone(item, "windash"))
        return false;
    if (item->encoded)
        return refuse(item, "windash stands before an encoding, and not behind it");
    for (size_t i = 0; i < item->count; i++) {
        size_t first = count;
        if (count == SIGMA_VALUES_MAX)
            return refuse(item, "windash: more than %d variants", SIGMA_VALUES_MAX);
        out[count] = item->values[i];
        at[count++] = 0;
        for (size_t k = first; k < count; k++) { /* each that is left with a dash becomes five without it */
            struct text raw = out[k].raw;
            size_t dash = dash_find(raw, at[k]);
            for (size_t d = 0; dash < raw.count && d < 5; d++) {
                struct text changed = text_of(arena_format(item->arena, "%.*s%s%.*s", (int)dash, raw.bytes, dashes[d],
                                                           (int)(raw.count - dash - 1), raw.bytes + dash + 1));
                size_t to = d ? count : k;
                if (to == SIGMA_VALUES_MAX)
                    return refuse(item, "windash: more than %d variants", SIGMA_VALUES_MAX);
                out[to] = sigma_value_text(item->arena, changed);
                out[to].origin = item->values[i].origin;
                open_ends(item->arena, &out[to], begins_with_star(&item->values[i]), ends_with_star(&item->values[i]));
                at[to] = dash + strlen(dashes[d]);
                count += d > 0;
            }
            k -= dash < raw.count; /* it may have another */
        }
    }
    item->values = out;
    item->count = count;
    return true;
}

static bool test_set(struct sigma_item *item, enum sigma_test test, struct text modifier)
{
    if (item->test != SIGMA_EQUAL || item->encoded || item->opened)
        return refuse(item, "%.*s does not go with what stands before it in %.*s", TEXT_ARGS(modifier), TEXT_ARGS(item->modifiers));
    item->test = test;
    return true;
}

static bool modify(struct sigma_item *item, struct text modifier)
{
    static const struct {
        const char *name;
        enum sigma_test test;
    } tests[] = {{"re", SIGMA_REGEX},           {"cidr", SIGMA_CIDR},       {"lt", SIGMA_LESS},     {"lte", SIGMA_LESS_EQUAL},
                 {"gt", SIGMA_GREATER},         {"gte", SIGMA_GREATER_EQUAL}, {"exists", SIGMA_EXISTS}, {"fieldref", SIGMA_SAME}};
    static const char *const encodings[] = {"base64", "base64offset", "wide", "utf16le", "utf16be", "utf16"};
    static const struct {
        const char *name;
        enum sigma_part part;
    } parts[] = {{"minute", SIGMA_MINUTE}, {"hour", SIGMA_HOUR}, {"day", SIGMA_DAY}, {"week", SIGMA_WEEK}, {"month", SIGMA_MONTH}, {"year", SIGMA_YEAR}};
    bool contains = text_equal(modifier, TEXT("contains")), starts = text_equal(modifier, TEXT("startswith")),
         ends = text_equal(modifier, TEXT("endswith"));

    if (contains || starts || ends) {
        if (item->test != SIGMA_EQUAL && item->test != SIGMA_SAME)
            return refuse(item, "%.*s of what is no text", TEXT_ARGS(modifier));
        if (item->test == SIGMA_SAME) {
            item->same = contains ? SIGMA_CONTAINS : starts ? SIGMA_STARTS : SIGMA_ENDS;
            return true;
        }
        item->opened = true;
        if (!texts_alone(item, arena_string(item->arena, modifier)))
            return false;
        for (size_t i = 0; i < item->count; i++)
            open_ends(item->arena, &item->values[i], contains || ends, contains || starts);
        return true;
    }
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        if (text_equal(modifier, text_of(tests[i].name)))
            return test_set(item, tests[i].test, modifier);
    for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++)
        if (text_equal(modifier, text_of(encodings[i])))
            return encode(item, modifier);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (text_equal(modifier, text_of(parts[i].name))) {
            item->part = parts[i].part;
            return true;
        }
    if (text_equal(modifier, TEXT("windash")))
        return windash(item);
    bool *flag = text_equal(modifier, TEXT("all"))     ? &item->all
                 : text_equal(modifier, TEXT("cased")) ? &item->cased
                 : text_equal(modifier, TEXT("neq"))   ? &item->negated
                                                       : NULL;
    if (!flag && item->test == SIGMA_REGEX)
        flag = text_equal(modifier, TEXT("i"))   ? &item->insensitive
               : text_equal(modifier, TEXT("m")) ? &item->multiline
               : text_equal(modifier, TEXT("s")) ? &item->dotall
                                                 : NULL;
    if (flag) {
        *flag = true;
        return true;
    }
    if (text_equal(modifier, TEXT("expand")))
        return true; /* sigma_expand() was before all others */
    return refuse(item, "there is no modifier %.*s", TEXT_ARGS(modifier));
}

bool sigma_modify(struct sigma_item *item)
{
    struct text rest = item->modifiers, modifier;
    size_t written = item->count;

    for (size_t i = 0; i < item->count; i++)
        item->values[i].origin = i;
    while (rest.bytes && rest.count) {
        rest = text_cut(rest, '|', &modifier);
        if (!modify(item, modifier))
            return false;
    }
    if (item->all && written < 2)
        return refuse(item, "all of one value says nothing: %.*s", TEXT_ARGS(item->field.bytes ? item->field : TEXT("keywords")));
    return true;
}

/* ---- clauses ---- */

static struct text folded(struct arena *arena, struct text text)
{
    char *out = arena_string(arena, text);

    for (size_t i = 0; i < text.count; i++)
        out[i] = (char)(out[i] >= 'A' && out[i] <= 'Z' ? out[i] | 0x20 : out[i]);
    return (struct text){out, text.count};
}

/* Stars side by side are one; the simple shapes are told apart. */
static void shape(struct sigma_item *item, struct sigma_clause *clause, const struct sigma_value *value)
{
    struct sigma_token *tokens = ARENA_ARRAY(item->arena, struct sigma_token, value->count + 1);
    size_t count = 0;

    for (size_t i = 0; i < value->count; i++) {
        struct sigma_token token = value->tokens[i];
        if (token.kind == SIGMA_STAR && count && tokens[count - 1].kind == SIGMA_STAR)
            continue;
        if (token.kind == SIGMA_TEXT && !item->cased)
            token.text = folded(item->arena, token.text);
        tokens[count++] = token;
    }
    clause->tokens = tokens;
    clause->token_count = count;
    bool before = count && tokens[0].kind == SIGMA_STAR, behind = count > 1 && tokens[count - 1].kind == SIGMA_STAR;
    size_t runs = count - before - behind;
    if (runs == 0 && !before) {
        clause->text = TEXT("");
        return;
    }
    if (runs != 1 || tokens[before].kind != SIGMA_TEXT) {
        clause->test = SIGMA_GLOB;
        return;
    }
    clause->text = tokens[before].text;
    clause->test = before && behind ? SIGMA_CONTAINS : before ? SIGMA_ENDS : behind ? SIGMA_STARTS : SIGMA_EQUAL;
}

static bool regex_read(struct sigma_item *item, struct sigma_clause *clause, const struct sigma_value *value)
{
    struct problem why;

    clause->regex = regex_new(value->raw, (item->insensitive ? REGEX_CASELESS : 0u) | (item->multiline ? REGEX_MULTILINE : 0u) | (item->dotall ? REGEX_DOTALL : 0u), &why);
    return clause->regex ? true : refuse(item, "%s", why.text);
}

static bool cidr_read(struct sigma_item *item, struct sigma_clause *clause, const struct sigma_value *value)
{
    struct text address, length = text_cut(value->raw, '/', &address);
    char *printed = arena_string(item->arena, address);
    uint64_t bits;

    clause->is_ipv6 = strchr(printed, ':') != NULL;
    uint64_t most = clause->is_ipv6 ? 128 : 32;
    bits = most;
    if (inet_pton(clause->is_ipv6 ? AF_INET6 : AF_INET, printed, clause->address) != 1 ||
        (length.bytes && (!text_to_u64(length, &bits) || bits > most)))
        return refuse(item, "%.*s is no network", TEXT_ARGS(value->raw));
    clause->bits = (uint8_t)bits;
    return true;
}

static const char *test_name(enum sigma_test test)
{
    static const char *const names[] = {
        [SIGMA_EQUAL] = "is",      [SIGMA_CONTAINS] = "contains",   [SIGMA_STARTS] = "starts with", [SIGMA_ENDS] = "ends with",
        [SIGMA_GLOB] = "is like",  [SIGMA_REGEX] = "matches",       [SIGMA_CIDR] = "is within",     [SIGMA_LESS] = "is less than",
        [SIGMA_LESS_EQUAL] = "is at most", [SIGMA_GREATER] = "is greater than", [SIGMA_GREATER_EQUAL] = "is at least",
        [SIGMA_NULL] = "is null",  [SIGMA_EXISTS] = "exists",       [SIGMA_SAME] = "is the same as"};

    return names[test];
}

struct sigma_clause *sigma_clause_of(struct sigma_item *item, const struct sigma_value *value)
{
    struct sigma_clause *clause = ARENA_NEW(item->arena, struct sigma_clause);

    *clause = (struct sigma_clause){.field = item->field, .test = item->test, .same = item->same, .part = item->part, .cased = item->cased, .text = value->raw};
    bool compares = item->test >= SIGMA_LESS && item->test <= SIGMA_GREATER_EQUAL;
    if ((compares || item->part) && value->kind != SIGMA_VALUE_NUMBER) {
        refuse(item, "a number is wanted in %.*s|%.*s, and not %.*s", TEXT_ARGS(item->field), TEXT_ARGS(item->modifiers), TEXT_ARGS(value->raw));
        return NULL;
    }
    clause->is_number = value->kind == SIGMA_VALUE_NUMBER;
    clause->number = value->number;
    if (value->kind == SIGMA_VALUE_NULL && item->test != SIGMA_EQUAL) {
        refuse(item, "null does not go with %.*s", TEXT_ARGS(item->modifiers));
        return NULL;
    }
    if (item->test == SIGMA_EXISTS && value->kind != SIGMA_VALUE_TRUTH) {
        refuse(item, "exists wants true or false");
        return NULL;
    }
    if (value->kind == SIGMA_VALUE_NULL)
        clause->test = SIGMA_NULL;
    else if (item->test == SIGMA_REGEX ? !regex_read(item, clause, value) : item->test == SIGMA_CIDR && !cidr_read(item, clause, value))
        return NULL;
    else if (item->test == SIGMA_EQUAL && value->kind == SIGMA_VALUE_TEXT)
        shape(item, clause, value);
    const char *verb = clause->test == SIGMA_SAME && clause->same != SIGMA_EQUAL ? test_name(clause->same) : test_name(clause->test);
    clause->printed = text_of(arena_format(item->arena, "%.*s%s%s %s'%.*s'", TEXT_ARGS(item->field.bytes ? item->field : TEXT("event")),
                                           item->negated ? " not " : " ", verb, clause->test == SIGMA_SAME ? "the field " : "", TEXT_ARGS(value->raw)));
    return clause;
}
