#include "kql/lexer.h"

#include <string.h>

#include "runtime/status.h"

struct lexer {
    struct text source;
    size_t at;
    struct arena *arena;
    struct kql_token *list;
    size_t count, room;
    struct kql_diagnostic *wrong;
    bool spaced;
};

static bool blank_pass(struct lexer *lexer);
static void token_add(struct lexer *lexer, enum kql_token_kind kind, size_t begin, uint16_t mark);
static bool name_read(struct lexer *lexer);
static bool number_read(struct lexer *lexer);
static bool string_read(struct lexer *lexer);
static bool mark_read(struct lexer *lexer);

/* Literals that are written as a type and a value: what stands in the parentheses is not KQL. */
static const char *const typed[] = {"datetime", "date", "time", "timespan", "guid", "int", "long", "real", "double", "decimal", "bool", "boolean"};

/* Behind a number, the longer ones first. */
static const char *const units[] = {
    "microseconds", "microsecond", "milliseconds", "millisecond", "minutes", "minute", "seconds", "second", "micros", "micro",
    "millis", "milli", "nanoseconds", "nanosecond", "nanos", "nano", "hours", "hour", "ticks", "tick", "days", "day", "mins", "min",
    "secs", "sec", "hrs", "hr", "ms", "d", "h", "m", "s",
};

static int peek(const struct lexer *lexer, size_t ahead)
{
    return lexer->at + ahead < lexer->source.count ? (unsigned char)lexer->source.bytes[lexer->at + ahead] : -1;
}

static bool is_digit(int character)
{
    return character >= '0' && character <= '9';
}

/* Blanks beyond ASCII, as pages and documents have them that queries are copied from: U+00A0, U+2000 to U+200F, U+2028,
 * U+2029, U+202F, U+205F, U+3000, U+FEFF. Returns their bytes, 0: it is none. */
static size_t wide_blank(const struct lexer *lexer)
{
    int first = peek(lexer, 0), second = peek(lexer, 1), third = peek(lexer, 2);

    if (first == 0xc2 && second == 0xa0)
        return 2;
    bool blank = (first == 0xe2 && second == 0x80 && ((third >= 0x80 && third <= 0x8f) || third == 0xa8 || third == 0xa9 || third == 0xaf)) ||
                 (first == 0xe2 && second == 0x81 && third == 0x9f) || (first == 0xe3 && second == 0x80 && third == 0x80) ||
                 (first == 0xef && second == 0xbb && third == 0xbf);
    return blank ? 3 : 0;
}

/* Letters beyond ASCII are names as well: what is none of those is refused by the catalog. */
static bool begins_name(const struct lexer *lexer)
{
    int character = peek(lexer, 0);

    return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') || character == '_' ||
           character == '$' || (character >= 0x80 && !wide_blank(lexer));
}

static bool goes_on_name(const struct lexer *lexer)
{
    return (begins_name(lexer) && peek(lexer, 0) != '$') || is_digit(peek(lexer, 0));
}

static void name_pass(struct lexer *lexer)
{
    while (goes_on_name(lexer))
        lexer->at++;
}

enum status kql_lex(struct text source, struct arena *arena, struct kql_tokens *out, struct kql_diagnostic *wrong)
{
    struct lexer lexer = {.source = source, .arena = arena, .wrong = wrong};

    if (source.count > KQL_SOURCE_MAX) {
        kql_wrong(wrong, "syntax.too_long", (struct kql_place){KQL_SOURCE_MAX, 0}, "a query has at most %d bytes", KQL_SOURCE_MAX);
        return STATUS_REJECT;
    }
    lexer.room = source.count / 4 + 16;
    lexer.list = ARENA_ARRAY(arena, struct kql_token, lexer.room);
    token_add(&lexer, KQL_END, 0, 0); /* so that there is one before the first */
    while (blank_pass(&lexer))
        if (!string_read(&lexer) && !name_read(&lexer) && !number_read(&lexer) && !mark_read(&lexer))
            break;
    if (wrong->code)
        return STATUS_REJECT;
    token_add(&lexer, KQL_END, source.count, 0);
    *out = (struct kql_tokens){lexer.list + 1, lexer.count - 1};
    return STATUS_OK;
}

/* False at the end. */
static bool blank_pass(struct lexer *lexer)
{
    size_t begin = lexer->at;

    for (;;) {
        int character = peek(lexer, 0);
        if (character == ' ' || character == '\t' || character == '\n' || character == '\r' || character == '\f' || character == '\v') {
            lexer->at++;
        } else if (wide_blank(lexer)) {
            lexer->at += wide_blank(lexer);
        } else if (character == '/' && peek(lexer, 1) == '/') {
            while (peek(lexer, 0) >= 0 && peek(lexer, 0) != '\n')
                lexer->at++;
        } else {
            break;
        }
    }
    lexer->spaced = lexer->at > begin || begin == 0;
    return peek(lexer, 0) >= 0;
}

static void token_add(struct lexer *lexer, enum kql_token_kind kind, size_t begin, uint16_t mark)
{
    if (lexer->count == lexer->room) {
        struct kql_token *larger = ARENA_ARRAY(lexer->arena, struct kql_token, 2 * lexer->room);
        memcpy(larger, lexer->list, lexer->count * sizeof *larger);
        lexer->list = larger;
        lexer->room *= 2;
    }
    lexer->list[lexer->count++] = (struct kql_token){kind, {(uint32_t)begin, (uint32_t)(lexer->at - begin)}, mark, lexer->spaced};
}

static bool is_typed(struct text name)
{
    for (size_t i = 0; i < sizeof typed / sizeof *typed; i++)
        if (text_equal(name, text_of(typed[i])))
            return true;
    return false;
}

/* From a type's name over its parentheses, which may hold a string. False: no parenthesis follows, or it does not end. */
static bool typed_pass(struct lexer *lexer)
{
    size_t at = lexer->at;
    const char *bytes = lexer->source.bytes;

    while (at < lexer->source.count && (bytes[at] == ' ' || bytes[at] == '\t'))
        at++;
    if (at == lexer->source.count || bytes[at] != '(')
        return false;
    for (at++; at < lexer->source.count && bytes[at] != ')' && bytes[at] != '\n'; at++)
        if (bytes[at] == '(')
            return false; /* no literal has one: it is a call, and the parser's to judge */
    if (at == lexer->source.count || bytes[at] != ')')
        return false;
    lexer->at = at + 1;
    return true;
}

static bool name_read(struct lexer *lexer)
{
    size_t begin = lexer->at;

    if (!begins_name(lexer))
        return false;
    lexer->at++;
    name_pass(lexer);
    struct text name = {lexer->source.bytes + begin, lexer->at - begin};
    if (text_equal(name, TEXT("in")) && peek(lexer, 0) == '~')
        lexer->at++; /* in~ is one word */
    bool literal = is_typed(name) && typed_pass(lexer);
    token_add(lexer, literal ? KQL_TYPED : KQL_NAME, begin, 0);
    return true;
}

static bool unit_pass(struct lexer *lexer)
{
    struct text rest = {lexer->source.bytes + lexer->at, lexer->source.count - lexer->at};

    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        struct text unit = text_of(units[i]);
        if (!text_starts(rest, unit))
            continue;
        lexer->at += unit.count;
        if (!goes_on_name(lexer))
            return true;
        lexer->at -= unit.count;
    }
    return false;
}

static void digits_pass(struct lexer *lexer)
{
    while (is_digit(peek(lexer, 0)))
        lexer->at++;
}

static bool is_hex(int character)
{
    return is_digit(character) || (character >= 'a' && character <= 'f') || (character >= 'A' && character <= 'F');
}

static bool number_read(struct lexer *lexer)
{
    size_t begin = lexer->at;
    bool real = false;

    if (!is_digit(peek(lexer, 0)))
        return false;
    if (peek(lexer, 0) == '0' && (peek(lexer, 1) == 'x' || peek(lexer, 1) == 'X') && is_hex(peek(lexer, 2))) {
        for (lexer->at += 2; is_hex(peek(lexer, 0));)
            lexer->at++;
        token_add(lexer, KQL_INTEGER, begin, 0);
        return true;
    }
    digits_pass(lexer);
    if (peek(lexer, 0) == '.' && is_digit(peek(lexer, 1))) {
        real = true;
        lexer->at++;
        digits_pass(lexer);
    } else if (peek(lexer, 0) == '.' && peek(lexer, 1) != '.') {
        lexer->at++;
        real = !begins_name(lexer);
        lexer->at -= !real;
    }
    if (unit_pass(lexer)) {
        token_add(lexer, KQL_TIMESPAN, begin, 0);
        return true;
    }
    if (peek(lexer, 0) == 'e' || peek(lexer, 0) == 'E') {
        size_t sign = peek(lexer, 1) == '+' || peek(lexer, 1) == '-';
        if (is_digit(peek(lexer, 1 + sign))) {
            real = true;
            lexer->at += 1 + sign;
            digits_pass(lexer);
        }
    }
    if (!real && goes_on_name(lexer)) { /* 5Minutes, 2022_Alerts: a name after all */
        name_pass(lexer);
        token_add(lexer, KQL_NAME, begin, 0);
        return true;
    }
    token_add(lexer, real ? KQL_REAL : KQL_INTEGER, begin, 0);
    return true;
}

/* ```…``` and ~~~…~~~: as it stands there, over lines. */
static bool long_string_pass(struct lexer *lexer)
{
    char fence = lexer->source.bytes[lexer->at];
    size_t begin = lexer->at;

    if ((fence != '`' && fence != '~') || peek(lexer, 1) != fence || peek(lexer, 2) != fence)
        return false;
    for (lexer->at += 3; peek(lexer, 0) >= 0; lexer->at++) {
        if (peek(lexer, 0) != fence || peek(lexer, 1) != fence || peek(lexer, 2) != fence)
            continue;
        lexer->at += 3;
        return true;
    }
    kql_wrong(lexer->wrong, "syntax.string", (struct kql_place){(uint32_t)begin, 3}, "this string does not end");
    return true;
}

static bool string_read(struct lexer *lexer)
{
    size_t begin = lexer->at;
    int first = peek(lexer, 0);
    size_t prefix = (first == 'h' || first == 'H') ? 1 : 0;
    bool verbatim = peek(lexer, prefix) == '@';

    prefix += verbatim;
    int quote = peek(lexer, prefix);
    if (!verbatim && (quote == '`' || quote == '~')) {
        lexer->at += prefix;
        if (long_string_pass(lexer)) {
            token_add(lexer, KQL_STRING, begin, 0);
            return !lexer->wrong->code;
        }
        lexer->at = begin;
        return false;
    }
    if (quote != '"' && quote != '\'')
        return false;
    for (lexer->at += prefix + 1; peek(lexer, 0) != quote || (verbatim && peek(lexer, 1) == quote); lexer->at++) {
        bool pair = peek(lexer, 0) == quote || (!verbatim && peek(lexer, 0) == '\\');
        if (peek(lexer, 0) < 0 || (!verbatim && (peek(lexer, 0) == '\n' || peek(lexer, 0) == '\r'))) {
            size_t end = lexer->at < lexer->source.count ? lexer->at : lexer->source.count; /* behind a last backslash */
            kql_wrong(lexer->wrong, "syntax.string", (struct kql_place){(uint32_t)begin, (uint32_t)(end - begin)},
                      "this string does not end in its line");
            return false;
        }
        lexer->at += pair;
    }
    lexer->at++;
    token_add(lexer, KQL_STRING, begin, 0);
    return true;
}

static bool mark_read(struct lexer *lexer)
{
    static const char pairs[][3] = {"==", "!=", "=~", "!~", "<=", ">=", "<>", "=>", "..", "<|"};
    size_t begin = lexer->at;
    int first = peek(lexer, 0), second = peek(lexer, 1);

    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (pairs[i][0] != first || pairs[i][1] != second)
            continue;
        lexer->at += 2;
        token_add(lexer, KQL_MARK, begin, KQL_MARK_OF(first, second));
        return true;
    }
    if (!strchr("+-*/%<>=()[]{},.:;|!?@", first) || !first) {
        kql_wrong(lexer->wrong, "syntax.character", (struct kql_place){(uint32_t)begin, 1}, "nothing begins with this character");
        return false;
    }
    lexer->at++;
    token_add(lexer, KQL_MARK, begin, KQL_MARK_OF(first, 0));
    return true;
}

/* ---- what strings say ---- */

static bool hex_append(struct buf *out, const char *digits, size_t count)
{
    uint32_t value = 0;

    for (size_t i = 0; i < count; i++) {
        if (!is_hex((unsigned char)digits[i]))
            return false;
        value = value * 16 + (uint32_t)(digits[i] <= '9' ? digits[i] - '0' : (digits[i] | 32) - 'a' + 10);
    }
    if (value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
        return false;
    if (value < 0x80) {
        buf_byte(out, (char)value);
    } else if (value < 0x800) {
        buf_byte(out, (char)(0xc0 | value >> 6));
        buf_byte(out, (char)(0x80 | (value & 63)));
    } else if (value < 0x10000) {
        buf_byte(out, (char)(0xe0 | value >> 12));
        buf_byte(out, (char)(0x80 | (value >> 6 & 63)));
        buf_byte(out, (char)(0x80 | (value & 63)));
    } else {
        buf_byte(out, (char)(0xf0 | value >> 18));
        buf_byte(out, (char)(0x80 | (value >> 12 & 63)));
        buf_byte(out, (char)(0x80 | (value >> 6 & 63)));
        buf_byte(out, (char)(0x80 | (value & 63)));
    }
    return true;
}

static size_t octal_append(struct buf *out, const char *digits, size_t count)
{
    unsigned value = 0;

    for (size_t i = 0; i < count; i++)
        value = value * 8 + (unsigned)(digits[i] - '0');
    if (value < 0x80) {
        buf_byte(out, (char)value);
    } else {
        buf_byte(out, (char)(0xc0 | (value & 0xff) >> 6));
        buf_byte(out, (char)(0x80 | (value & 63)));
    }
    return count + 1;
}

/* The escape at `rest`, a backslash first; returns how many bytes it has, 0 when it is none. */
static size_t escape_append(struct buf *out, struct text rest)
{
    static const char letters[] = "tnrbfav\\\"'", values[] = "\t\n\r\b\f\a\v\\\"'";
    const char *known;

    if (rest.count < 2)
        return 0;
    size_t digits = rest.bytes[1] == 'x' ? 2 : rest.bytes[1] == 'u' ? 4 : rest.bytes[1] == 'U' ? 8 : 0;
    if (digits)
        return rest.count >= 2 + digits && hex_append(out, rest.bytes + 2, digits) ? 2 + digits : 0;
    size_t octal = 0;
    while (octal < 3 && 1 + octal < rest.count && rest.bytes[1 + octal] >= '0' && rest.bytes[1 + octal] <= '7')
        octal++;
    if (octal)
        return octal_append(out, rest.bytes + 1, octal);
    known = memchr(letters, rest.bytes[1], sizeof letters - 1);
    if (!known)
        return 0;
    buf_byte(out, values[known - letters]);
    return 2;
}

bool kql_string_value(struct text literal, struct arena *arena, struct text *out)
{
    bool fine = true;
    struct buf value;

    if (literal.count && (*literal.bytes | 32) == 'h')
        literal = (struct text){literal.bytes + 1, literal.count - 1};
    bool verbatim = literal.count && *literal.bytes == '@';
    if (verbatim)
        literal = (struct text){literal.bytes + 1, literal.count - 1};
    char quote = literal.count ? *literal.bytes : 0;
    size_t fence = quote == '`' || quote == '~' ? 3 : 1;
    if (literal.count < 2 * fence)
        return false;
    struct text rest = {literal.bytes + fence, literal.count - 2 * fence};
    if (fence == 3) {
        *out = arena_text(arena, rest);
        return true;
    }
    buf_init(&value, KQL_SOURCE_MAX + 1);
    while (fine && rest.count) {
        size_t step = 1;
        if (!verbatim && *rest.bytes == '\\') {
            step = escape_append(&value, rest);
            fine = step > 0;
        } else {
            buf_byte(&value, *rest.bytes);
            step = verbatim && *rest.bytes == quote ? 2 : 1;
        }
        rest = (struct text){rest.bytes + step, rest.count - step};
    }
    *out = arena_text(arena, buf_as_text(&value));
    if (!out->bytes)
        *out = TEXT("");
    buf_done(&value);
    return fine;
}
