#include "wire/json_reader.h"

#include <assert.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "wire/limits.h"

#define TEXT_OF(number) TEXT_OF_(number)
#define TEXT_OF_(number) #number

/* What may come next. The two places after a value are told apart, so that the common step, from one member or item to
 * the next, needs no look at the stack of brackets. */
enum place {
    PLACE_VALUE,
    PLACE_FIRST_ITEM, /* after '[' */
    PLACE_FIRST_NAME, /* after '{' */
    PLACE_AFTER_ITEM,
    PLACE_AFTER_MEMBER,
    PLACE_COMPLETE,
    PLACE_FAILED,
};

static enum picket_json_kind fail(struct picket_json_reader *reader, struct picket_json_token *token, const char *at,
                                  const char *sentence);
static enum picket_json_kind read_value(struct picket_json_reader *reader, const char *at,
                                        struct picket_json_token *token);
static enum picket_json_kind read_name(struct picket_json_reader *reader, const char *at,
                                       struct picket_json_token *token);
static enum picket_json_kind read_after(struct picket_json_reader *reader, const char *at,
                                        struct picket_json_token *token);
static enum picket_json_kind read_open(struct picket_json_reader *reader, const char *at,
                                       struct picket_json_token *token);
static enum picket_json_kind read_close(struct picket_json_reader *reader, const char *at,
                                        struct picket_json_token *token);
static enum picket_json_kind read_word(struct picket_json_reader *reader, const char *at,
                                       struct picket_json_token *token);
static enum picket_json_kind read_number(struct picket_json_reader *reader, const char *at,
                                         struct picket_json_token *token);
static const char *read_string(struct picket_json_reader *reader, const char *at, struct picket_json_token *token);
static const char *check_escape(struct picket_json_reader *reader, const char *at, struct picket_json_token *token);
static const char *check_unicode_escape(struct picket_json_reader *reader, const char *at,
                                        struct picket_json_token *token);
static size_t sequence_length(const char *at, const char *end);
static size_t unescape_one(const char *at, const char *end, char out[4], size_t *used);

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Agents write their JSON without blanks, so the first test nearly always ends it. */
static inline const char *after_blanks(const char *at, const char *end)
{
    while (at < end && (unsigned char)*at <= ' ' && is_blank(*at))
        at++;
    return at;
}

static inline enum place place_after_value(const struct picket_json_reader *reader)
{
    unsigned level = reader->depth - 1;

    if (reader->depth == 0)
        return PLACE_COMPLETE;
    return reader->in_object[level / 8] >> level % 8 & 1 ? PLACE_AFTER_MEMBER : PLACE_AFTER_ITEM;
}

/* To the first byte that a string cannot simply take: a quote, a backslash, a control byte or the start of a longer
 * UTF-8 sequence; `end` when there is none. */
static inline const char *after_plain(const char *at, const char *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), blank = _mm_set1_epi8(' ');

    for (; end - at >= 16; at += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        /* Signed, so that one comparison finds the control bytes and all from 0x80 on. */
        __m128i special = _mm_cmplt_epi8(bytes, blank);
        special = _mm_or_si128(special, _mm_cmpeq_epi8(bytes, quote));
        special = _mm_or_si128(special, _mm_cmpeq_epi8(bytes, backslash));
        int mask = _mm_movemask_epi8(special);
        if (mask)
            return at + __builtin_ctz((unsigned)mask);
    }
#else
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = UINT64_C(0x8080808080808080);

    for (; end - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        uint64_t quote = word ^ ones * '"', backslash = word ^ ones * '\\';
        /* A top bit is set where a byte is below 0x20, is one of the two, or is not ASCII. A borrow may set one too many
         * above a true hit, which costs nothing: the bytes of this word are looked at one by one. */
        if (((word - ones * ' ') | (quote - ones) | (backslash - ones) | word) & tops)
            break;
    }
#endif
    while (at < end && (unsigned char)*at >= ' ' && (unsigned char)*at < 0x80 && *at != '"' && *at != '\\')
        at++;
    return at;
}

void picket_json_init(struct picket_json_reader *reader, const char *source, size_t count, unsigned depth_max)
{
    assert(reader && (source || count == 0));
    assert(depth_max <= PICKET_JSON_DEPTH_LIMIT);

    memset(reader, 0, sizeof *reader);
    reader->start = reader->at = source ? source : "";
    reader->end = reader->start + count;
    reader->depth_max = depth_max;
    reader->state = PLACE_VALUE;
}

enum picket_json_kind picket_json_next(struct picket_json_reader *reader, struct picket_json_token *token)
{
    const char *at = after_blanks(reader->at, reader->end);

    token->flags = 0;
    switch ((enum place)reader->state) {
    case PLACE_AFTER_ITEM:
    case PLACE_AFTER_MEMBER:
        return read_after(reader, at, token);
    case PLACE_FIRST_ITEM:
        if (at < reader->end && *at == ']')
            return read_close(reader, at, token);
        return read_value(reader, at, token);
    case PLACE_FIRST_NAME:
        if (at < reader->end && *at == '}')
            return read_close(reader, at, token);
        return read_name(reader, at, token);
    case PLACE_VALUE:
        return read_value(reader, at, token);
    case PLACE_COMPLETE:
        if (at < reader->end)
            return fail(reader, token, at, "more follows after the end of the document");
        reader->at = token->text = at;
        token->count = 0;
        return token->kind = PICKET_JSON_END;
    case PLACE_FAILED:
        break;
    }
    return fail(reader, token, reader->error_at, reader->error);
}

bool picket_json_skip(struct picket_json_reader *reader, const struct picket_json_token *opened, const char **from,
                      const char **to)
{
    struct picket_json_token token = *opened;
    unsigned outside = reader->depth;

    assert(opened->kind == PICKET_JSON_OBJECT_OPEN || opened->kind == PICKET_JSON_ARRAY_OPEN ||
           opened->kind == PICKET_JSON_NAME);

    if (opened->kind != PICKET_JSON_NAME)
        outside--;
    else if (picket_json_next(reader, &token) == PICKET_JSON_ERROR)
        return false;
    const char *first = token.kind == PICKET_JSON_STRING ? token.text - 1 : token.text;
    while (reader->depth > outside) {
        if (picket_json_next(reader, &token) == PICKET_JSON_ERROR)
            return false;
    }
    if (from)
        *from = first;
    if (to)
        *to = reader->at;
    return true;
}

void picket_json_position(const struct picket_json_reader *reader, const char *at, unsigned *line, unsigned *column)
{
    const char *line_start = reader->start;

    assert(at >= reader->start && at <= reader->end);

    *line = 1;
    for (const char *byte = reader->start; byte < at; byte++) {
        if (*byte == '\n') {
            line_start = byte + 1;
            ++*line;
        }
    }
    *column = (unsigned)(at - line_start) + 1;
}

size_t picket_json_unescape(const struct picket_json_token *token, char *out)
{
    const char *at = token->text, *end = token->text + token->count;
    size_t count = 0;

    if (!(token->flags & PICKET_JSON_ESCAPED)) {
        memcpy(out, token->text, token->count);
        return token->count;
    }
    while (at < end) {
        char bytes[4];
        size_t used;
        size_t length = unescape_one(at, end, bytes, &used);
        memcpy(out + count, bytes, length);
        count += length;
        at += used;
    }
    return count;
}

bool picket_json_is(const struct picket_json_token *token, const char *name, size_t count)
{
    const char *at = token->text, *end = token->text + token->count;

    if (!(token->flags & PICKET_JSON_ESCAPED))
        return token->count == count && memcmp(token->text, name, count) == 0;
    while (at < end) {
        char bytes[4];
        size_t used;
        size_t length = unescape_one(at, end, bytes, &used);
        if (length > count || memcmp(name, bytes, length) != 0)
            return false;
        name += length;
        count -= length;
        at += used;
    }
    return count == 0;
}

static enum picket_json_kind fail(struct picket_json_reader *reader, struct picket_json_token *token, const char *at,
                                  const char *sentence)
{
    reader->state = PLACE_FAILED;
    reader->error = sentence;
    reader->error_at = reader->at = at;
    token->text = at;
    token->count = 0;
    token->flags = 0;
    return token->kind = PICKET_JSON_ERROR;
}

static inline enum picket_json_kind finish(struct picket_json_reader *reader, struct picket_json_token *token,
                                           enum picket_json_kind kind, const char *from, const char *to)
{
    token->text = from;
    token->count = (size_t)(to - from);
    reader->at = to;
    reader->state = place_after_value(reader);
    return token->kind = kind;
}

static enum picket_json_kind read_value(struct picket_json_reader *reader, const char *at,
                                        struct picket_json_token *token)
{
    if (at == reader->end) {
        if (reader->depth)
            return fail(reader, token, at, "body ends where a value is expected");
        return fail(reader, token, at, "empty body where JSON was announced");
    }
    switch (*at) {
    case '"': {
        const char *quote = read_string(reader, at + 1, token);
        if (!quote)
            return PICKET_JSON_ERROR;
        finish(reader, token, PICKET_JSON_STRING, at + 1, quote);
        reader->at++; /* the quote */
        return PICKET_JSON_STRING;
    }
    case '{':
    case '[':
        return read_open(reader, at, token);
    case 't':
    case 'f':
    case 'n':
        return read_word(reader, at, token);
    default:
        if (*at == '-' || is_digit(*at))
            return read_number(reader, at, token);
        if (reader->end - at >= 3 && at == reader->start && memcmp(at, "\xef\xbb\xbf", 3) == 0)
            return fail(reader, token, at, "byte order mark in front of the document: leave it out");
        return fail(reader, token, at, "expected a value");
    }
}

static enum picket_json_kind read_name(struct picket_json_reader *reader, const char *at,
                                       struct picket_json_token *token)
{
    if (at == reader->end)
        return fail(reader, token, at, "body ends inside an object");
    if (*at != '"')
        return fail(reader, token, at, "expected a name in double quotes");

    const char *quote = read_string(reader, at + 1, token);
    if (!quote)
        return PICKET_JSON_ERROR;
    token->text = at + 1;
    token->count = (size_t)(quote - token->text);
    at = after_blanks(quote + 1, reader->end);
    if (at == reader->end)
        return fail(reader, token, at, "body ends after a name, before its ':'");
    if (*at != ':')
        return fail(reader, token, at, "expected ':' after a name");
    reader->at = at + 1;
    reader->state = PLACE_VALUE;
    return token->kind = PICKET_JSON_NAME;
}

static enum picket_json_kind read_after(struct picket_json_reader *reader, const char *at,
                                        struct picket_json_token *token)
{
    bool in_object = reader->state == PLACE_AFTER_MEMBER;

    if (at == reader->end)
        return fail(reader, token, at, in_object ? "body ends inside an object" : "body ends inside an array");
    if (*at == (in_object ? '}' : ']'))
        return read_close(reader, at, token);
    if (*at != ',')
        return fail(reader, token, at,
                    in_object ? "expected ',' or '}' after a member" : "expected ',' or ']' after an item");
    at = after_blanks(at + 1, reader->end);
    return in_object ? read_name(reader, at, token) : read_value(reader, at, token);
}

static enum picket_json_kind read_open(struct picket_json_reader *reader, const char *at,
                                       struct picket_json_token *token)
{
    bool object = *at == '{';
    unsigned level = reader->depth, bit = 1u << level % 8;

    if (level >= reader->depth_max) {
        reader->too_deep = true;
        return fail(reader, token, at,
                    level == PICKET_JSON_DEPTH_MAX ? "nesting is deeper than " TEXT_OF(PICKET_JSON_DEPTH_MAX)
                                                   : "nesting is deeper than the limit");
    }
    if (object)
        reader->in_object[level / 8] = (uint8_t)(reader->in_object[level / 8] | bit);
    else
        reader->in_object[level / 8] = (uint8_t)(reader->in_object[level / 8] & ~bit);
    reader->depth++;
    reader->state = object ? PLACE_FIRST_NAME : PLACE_FIRST_ITEM;
    reader->at = at + 1;
    token->text = at;
    token->count = 1;
    return token->kind = object ? PICKET_JSON_OBJECT_OPEN : PICKET_JSON_ARRAY_OPEN;
}

static enum picket_json_kind read_close(struct picket_json_reader *reader, const char *at,
                                        struct picket_json_token *token)
{
    assert(reader->depth > 0);

    reader->depth--;
    return finish(reader, token, *at == '}' ? PICKET_JSON_OBJECT_CLOSE : PICKET_JSON_ARRAY_CLOSE, at, at + 1);
}

static enum picket_json_kind read_word(struct picket_json_reader *reader, const char *at,
                                       struct picket_json_token *token)
{
    size_t left = (size_t)(reader->end - at);

    if (left >= 4 && memcmp(at, "true", 4) == 0)
        return finish(reader, token, PICKET_JSON_TRUE, at, at + 4);
    if (left >= 5 && memcmp(at, "false", 5) == 0)
        return finish(reader, token, PICKET_JSON_FALSE, at, at + 5);
    if (left >= 4 && memcmp(at, "null", 4) == 0)
        return finish(reader, token, PICKET_JSON_NULL, at, at + 4);
    return fail(reader, token, at, "expected a value: words are true, false and null");
}

static enum picket_json_kind read_number(struct picket_json_reader *reader, const char *at,
                                         struct picket_json_token *token)
{
    const char *from = at, *end = reader->end;

    at += *at == '-';
    if (at == end || !is_digit(*at))
        return fail(reader, token, at, "expected a digit after '-'");
    if (*at == '0' && end - at > 1 && is_digit(at[1]))
        return fail(reader, token, at, "a number cannot begin with 0");
    while (at < end && is_digit(*at))
        at++;
    if (at < end && *at == '.') {
        at++;
        if (at == end || !is_digit(*at))
            return fail(reader, token, at, "expected a digit after '.'");
        while (at < end && is_digit(*at))
            at++;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        at += at < end && (*at == '+' || *at == '-');
        if (at == end || !is_digit(*at))
            return fail(reader, token, at, "expected a digit in the exponent");
        while (at < end && is_digit(*at))
            at++;
    }
    return finish(reader, token, PICKET_JSON_NUMBER, from, at);
}

static const char *control_sentence(unsigned char byte)
{
#define CONTROL(hex) "control byte 0x" hex " inside a string: escape it"
#define CONTROLS(high)                                                                                               \
    CONTROL(high "0"), CONTROL(high "1"), CONTROL(high "2"), CONTROL(high "3"), CONTROL(high "4"), CONTROL(high "5"), \
        CONTROL(high "6"), CONTROL(high "7"), CONTROL(high "8"), CONTROL(high "9"), CONTROL(high "a"),               \
        CONTROL(high "b"), CONTROL(high "c"), CONTROL(high "d"), CONTROL(high "e"), CONTROL(high "f")
    static const char sentences[32][sizeof CONTROL("00")] = {CONTROLS("0"), CONTROLS("1")};

    assert(byte < 32);
    return sentences[byte];
}

/* From the byte after the opening quote to the closing one, gathering the token's flags. NULL when it failed. */
static const char *read_string(struct picket_json_reader *reader, const char *at, struct picket_json_token *token)
{
    for (;;) {
        at = after_plain(at, reader->end);
        if (at == reader->end) {
            fail(reader, token, at, "body ends inside a string");
            return NULL;
        }
        if (*at == '"')
            return at;
        if (*at == '\\') {
            at = check_escape(reader, at, token);
            if (!at)
                return NULL;
        } else if ((unsigned char)*at < ' ') {
            fail(reader, token, at, control_sentence((unsigned char)*at));
            return NULL;
        } else {
            size_t length = sequence_length(at, reader->end);
            if (!length) {
                fail(reader, token, at, "bytes that are not UTF-8 inside a string");
                return NULL;
            }
            at += length;
        }
    }
}

/* From a backslash to what follows the escape; NULL when it failed. */
static const char *check_escape(struct picket_json_reader *reader, const char *at, struct picket_json_token *token)
{
    token->flags |= PICKET_JSON_ESCAPED;
    if (reader->end - at < 2) {
        fail(reader, token, reader->end, "body ends inside a string");
        return NULL;
    }
    switch (at[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return at + 2;
    case 'u':
        return check_unicode_escape(reader, at, token);
    default:
        fail(reader, token, at, "unknown escape inside a string");
        return NULL;
    }
}

static int hex_digit(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The code unit that \uXXXX at `at` stands for, or -1 when no such escape stands there. */
static long code_unit(const char *at, const char *end)
{
    long unit = 0;

    if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        int digit = hex_digit(at[i]);
        if (digit < 0)
            return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

static inline bool opens_pair(long unit)
{
    return unit >= 0xd800 && unit <= 0xdbff;
}

static inline bool closes_pair(long unit)
{
    return unit >= 0xdc00 && unit <= 0xdfff;
}

static const char *check_unicode_escape(struct picket_json_reader *reader, const char *at,
                                        struct picket_json_token *token)
{
    long unit = code_unit(at, reader->end);

    if (unit < 0) {
        fail(reader, token, at, "expected four hex digits after \\u");
        return NULL;
    }
    if (opens_pair(unit) && closes_pair(code_unit(at + 6, reader->end)))
        return at + 12;
    if (unit == 0)
        token->flags |= PICKET_JSON_NUL;
    if (opens_pair(unit) || closes_pair(unit))
        token->flags |= PICKET_JSON_LONE_SURROGATE;
    return at + 6;
}

/* Length of the well-formed UTF-8 sequence of more than one byte at `at`, or 0 (RFC 3629: nothing overlong, no
 * surrogates, nothing past U+10FFFF). */
static size_t sequence_length(const char *at, const char *end)
{
    const unsigned char first = (unsigned char)*at;
    unsigned char low = 0x80, high = 0xbf; /* what the second byte may be */
    long length;

    if (first >= 0xc2 && first <= 0xdf)
        length = 2;
    else if (first >= 0xe0 && first <= 0xef)
        length = 3;
    else if (first >= 0xf0 && first <= 0xf4)
        length = 4;
    else
        return 0;
    if (end - at < length)
        return 0;
    if (first == 0xe0)
        low = 0xa0;
    else if (first == 0xed)
        high = 0x9f;
    else if (first == 0xf0)
        low = 0x90;
    else if (first == 0xf4)
        high = 0x8f;
    if ((unsigned char)at[1] < low || (unsigned char)at[1] > high)
        return 0;
    for (long i = 2; i < length; i++) {
        if (((unsigned char)at[i] & 0xc0) != 0x80)
            return 0;
    }
    return (size_t)length;
}

static size_t utf8_put(unsigned long point, char out[4])
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (char)(0xc0 | point >> 6);
        out[1] = (char)(0x80 | (point & 0x3f));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (char)(0xe0 | point >> 12);
        out[1] = (char)(0x80 | (point >> 6 & 0x3f));
        out[2] = (char)(0x80 | (point & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | point >> 18);
    out[1] = (char)(0x80 | (point >> 12 & 0x3f));
    out[2] = (char)(0x80 | (point >> 6 & 0x3f));
    out[3] = (char)(0x80 | (point & 0x3f));
    return 4;
}

/* One byte, or what one escape (a whole surrogate pair) stands for; `*used` source bytes. The text was checked. */
static size_t unescape_one(const char *at, const char *end, char out[4], size_t *used)
{
    static const char short_escapes[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";

    if (*at != '\\') {
        out[0] = *at;
        *used = 1;
        return 1;
    }
    assert(end - at >= 2);
    if (at[1] != 'u') {
        const char *found = memchr(short_escapes, at[1], sizeof short_escapes - 1);
        assert(found);
        out[0] = meanings[found - short_escapes];
        *used = 2;
        return 1;
    }
    long unit = code_unit(at, end), second = code_unit(at + 6, end);
    assert(unit >= 0);
    *used = 6;
    if (opens_pair(unit) && closes_pair(second)) {
        *used = 12;
        return utf8_put(0x10000ul + (((unsigned long)unit - 0xd800) << 10) + ((unsigned long)second - 0xdc00), out);
    }
    if (unit == 0 || opens_pair(unit) || closes_pair(unit))
        return utf8_put(0xfffd, out);
    return utf8_put((unsigned long)unit, out);
}
