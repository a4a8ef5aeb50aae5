#include "runtime/text.h"

#include <assert.h>

#define WORD sizeof(uint64_t)
#define HIGH_BITS UINT64_C(0x8080808080808080)

static const char hex_digits[] = "0123456789abcdef";
static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static char ascii_lower(char byte);
static bool ascii_blank(char byte);
static int hex_value(char digit);
static int base64_value(char digit);
static bool base64_group(const char digits[4], uint8_t out[3]);
static size_t ascii_run(const unsigned char *bytes, size_t count);

int text_compare(struct text a, struct text b)
{
    size_t shorter = a.count < b.count ? a.count : b.count;
    int order = shorter ? memcmp(a.bytes, b.bytes, shorter) : 0;
    return order ? order : (a.count > b.count) - (a.count < b.count);
}

bool text_equal_nocase(struct text a, struct text b)
{
    if (a.count != b.count)
        return false;
    for (size_t i = 0; i < a.count; i++)
        if (ascii_lower(a.bytes[i]) != ascii_lower(b.bytes[i]))
            return false;
    return true;
}

bool text_starts(struct text whole, struct text start)
{
    return whole.count >= start.count && text_equal((struct text){whole.bytes, start.count}, start);
}

bool text_ends(struct text whole, struct text end)
{
    if (end.count == 0)
        return true;
    return whole.count >= end.count &&
           memcmp(whole.bytes + (whole.count - end.count), end.bytes, end.count) == 0;
}

/* Where what follows a star does not fit, the star takes one byte more; those before it need not change. */
bool text_among(struct text whole, const char *const *list)
{
    for (; *list; list++) /* without measuring each: most differ in their first byte */
        if (whole.count ? **list == *whole.bytes && strncmp(*list, whole.bytes, whole.count) == 0 && !(*list)[whole.count] : !**list)
            return true;
    return false;
}

bool text_like(struct text whole, struct text pattern)
{
    size_t at = 0, taken = 0, star = SIZE_MAX, from = 0; /* `star` in the pattern took `whole` up to `from` */

    while (at < whole.count) {
        if (taken < pattern.count && pattern.bytes[taken] == '*') {
            star = taken++;
            from = at;
        } else if (taken < pattern.count && pattern.bytes[taken] == whole.bytes[at]) {
            taken++;
            at++;
        } else if (star != SIZE_MAX) {
            taken = star + 1;
            at = ++from;
        } else {
            return false;
        }
    }
    while (taken < pattern.count && pattern.bytes[taken] == '*')
        taken++;
    return taken == pattern.count;
}

size_t text_find(struct text whole, char byte)
{
    const char *found = whole.count ? memchr(whole.bytes, byte, whole.count) : NULL;

    return found ? (size_t)(found - whole.bytes) : whole.count;
}

struct text text_cut(struct text whole, char byte, struct text *head)
{
    size_t at = text_find(whole, byte);

    assert(head);

    *head = (struct text){whole.bytes, at};
    if (at == whole.count)
        return TEXT_NONE;
    return (struct text){whole.bytes + at + 1, whole.count - at - 1};
}

struct text text_trim(struct text whole)
{
    while (whole.count && ascii_blank(whole.bytes[whole.count - 1]))
        whole.count--;
    while (whole.count && ascii_blank(whole.bytes[0])) {
        whole.bytes++;
        whole.count--;
    }
    return whole;
}

bool text_to_u64(struct text digits, uint64_t *out)
{
    uint64_t value = 0;

    assert(out);

    if (digits.count == 0)
        return false;
    for (size_t i = 0; i < digits.count; i++) {
        char digit = digits.bytes[i];
        if (digit < '0' || digit > '9')
            return false;
        if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(digit - '0'), &value))
            return false;
    }
    *out = value;
    return true;
}

bool text_to_i64(struct text digits, int64_t *out)
{
    bool negative = text_starts(digits, TEXT("-"));
    uint64_t value;

    assert(out);

    if (negative)
        digits = (struct text){digits.bytes + 1, digits.count - 1};
    if (!text_to_u64(digits, &value) || value > (uint64_t)INT64_MAX + negative)
        return false;
    if (!negative)
        *out = (int64_t)value;
    else
        *out = value ? -(int64_t)(value - 1) - 1 : 0; /* INT64_MIN has no positive twin */
    return true;
}

/* `out` may be where `escaped` lies: what is written never overtakes what is read. */
bool text_percent_decode(struct text escaped, char *out, size_t out_size, size_t *out_count)
{
    size_t count = 0;

    assert(out_count && (out || out_size == 0));

    for (size_t i = 0; i < escaped.count; i++) {
        char byte = escaped.bytes[i];
        if (byte == '%') {
            if (escaped.count - i < 3)
                return false;
            int high = hex_value(escaped.bytes[i + 1]), low = hex_value(escaped.bytes[i + 2]);
            if (high < 0 || low < 0)
                return false;
            byte = (char)(high << 4 | low);
            i += 2;
        }
        if (count == out_size)
            return false;
        out[count++] = byte;
    }
    *out_count = count;
    return true;
}

bool text_base64_decode(struct text encoded, uint8_t *out, size_t out_size, size_t *out_count)
{
    size_t count = 0, padding = 0;

    assert(out_count && (out || out_size == 0));

    if (encoded.count % 4)
        return false;
    if (encoded.count && encoded.bytes[encoded.count - 1] == '=')
        padding = encoded.bytes[encoded.count - 2] == '=' ? 2 : 1;
    for (size_t i = 0; i < encoded.count; i += 4) {
        bool last = i + 4 == encoded.count;
        size_t wanted = last ? 3 - padding : 3;
        char group[4] = {encoded.bytes[i], encoded.bytes[i + 1], encoded.bytes[i + 2], encoded.bytes[i + 3]};
        uint8_t decoded[3];
        for (size_t pad = 0; last && pad < padding; pad++)
            group[3 - pad] = 'A'; /* zero bits */
        if (!base64_group(group, decoded) || wanted > out_size - count)
            return false;
        for (size_t unused = wanted; unused < 3; unused++)
            if (decoded[unused])
                return false; /* bits that are thrown away must be zero, so that there is one spelling */
        memcpy(out + count, decoded, wanted);
        count += wanted;
    }
    *out_count = count;
    return true;
}

void text_base64_encode(const uint8_t *bytes, size_t count, char *out)
{
    assert(out && (bytes || count == 0));

    for (; count; bytes += 3) {
        size_t have = count < 3 ? count : 3;
        unsigned group = (unsigned)bytes[0] << 16;
        if (have > 1)
            group |= (unsigned)bytes[1] << 8;
        if (have > 2)
            group |= bytes[2];
        *out++ = base64_digits[group >> 18];
        *out++ = base64_digits[group >> 12 & 63];
        *out++ = have > 1 ? base64_digits[group >> 6 & 63] : '=';
        *out++ = have > 2 ? base64_digits[group & 63] : '=';
        count -= have;
        if (!count)
            break;
    }
    *out = '\0';
}

void text_hex_encode(const uint8_t *bytes, size_t count, char *out)
{
    assert(out && (bytes || count == 0));

    for (size_t i = 0; i < count; i++) {
        *out++ = hex_digits[bytes[i] >> 4];
        *out++ = hex_digits[bytes[i] & 15];
    }
    *out = '\0';
}

bool text_hex_decode(struct text encoded, uint8_t *out, size_t count)
{
    assert(out || count == 0);

    if (encoded.count / 2 != count || encoded.count % 2)
        return false;
    for (size_t i = 0; i < count; i++)
        if (hex_value(encoded.bytes[2 * i]) < 0 || hex_value(encoded.bytes[2 * i + 1]) < 0)
            return false;
    for (size_t i = 0; i < count; i++)
        out[i] = (uint8_t)(hex_value(encoded.bytes[2 * i]) << 4 | hex_value(encoded.bytes[2 * i + 1]));
    return true;
}

bool text_utf8_valid(struct text bytes)
{
    const unsigned char *all = (const unsigned char *)bytes.bytes;
    size_t at = 0;

    while (at < bytes.count) {
        at += ascii_run(all + at, bytes.count - at);
        if (at == bytes.count)
            break;
        size_t length = text_utf8_sequence((struct text){bytes.bytes + at, bytes.count - at});
        if (!length)
            return false;
        at += length;
    }
    return true;
}

/* The table of RFC 3629, section 4: only the second byte has bounds that depend on the first. */
size_t text_utf8_sequence(struct text bytes)
{
    const unsigned char *at = (const unsigned char *)bytes.bytes;
    unsigned char low = 0x80, high = 0xbf;
    size_t length;

    if (bytes.count == 0)
        return 0;
    if (at[0] < 0x80)
        return 1;
    if (at[0] < 0xc2 || at[0] > 0xf4)
        return 0;
    length = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    if (bytes.count < length)
        return 0;
    if (at[0] == 0xe0)
        low = 0xa0; /* below: an overlong form */
    else if (at[0] == 0xed)
        high = 0x9f; /* above: a surrogate */
    else if (at[0] == 0xf0)
        low = 0x90; /* below: an overlong form */
    else if (at[0] == 0xf4)
        high = 0x8f; /* above: past U+10FFFF */
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

static char ascii_lower(char byte)
{
    return byte >= 'A' && byte <= 'Z' ? (char)(byte - 'A' + 'a') : byte;
}

static bool ascii_blank(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit = ascii_lower(digit);
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

static int base64_value(char digit)
{
    if (digit >= 'A' && digit <= 'Z')
        return digit - 'A';
    if (digit >= 'a' && digit <= 'z')
        return digit - 'a' + 26;
    if (digit >= '0' && digit <= '9')
        return digit - '0' + 52;
    return digit == '+' ? 62 : digit == '/' ? 63 : -1;
}

static bool base64_group(const char digits[4], uint8_t out[3])
{
    unsigned group = 0;

    for (size_t i = 0; i < 4; i++) {
        int value = base64_value(digits[i]);
        if (value < 0)
            return false;
        group = group << 6 | (unsigned)value;
    }
    out[0] = (uint8_t)(group >> 16);
    out[1] = (uint8_t)(group >> 8);
    out[2] = (uint8_t)group;
    return true;
}

/* How many bytes from here on are ASCII. A word at a time, since nearly all text that passes through is. */
static size_t ascii_run(const unsigned char *bytes, size_t count)
{
    size_t at = 0;

    for (; count - at >= WORD; at += WORD) {
        uint64_t word;
        memcpy(&word, bytes + at, WORD);
        if (word & HIGH_BITS)
            break;
    }
    while (at < count && bytes[at] < 0x80)
        at++;
    return at;
}
