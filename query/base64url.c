#include "query/base64url.h"

static int digit_value(char digit);

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void base64url_encode(const uint8_t *bytes, size_t count, char *out)
{
    uint32_t bits = 0;
    unsigned held = 0;

    for (size_t i = 0; i < count; i++) {
        bits = bits << 8 | bytes[i];
        for (held += 8; held >= 6; held -= 6)
            *out++ = digits[bits >> (held - 6) & 63];
    }
    if (held)
        *out++ = digits[bits << (6 - held) & 63];
    *out = '\0';
}

bool base64url_decode(struct text encoded, uint8_t *out, size_t out_size, size_t *out_count)
{
    uint32_t bits = 0;
    unsigned held = 0;
    size_t count = 0;

    if (encoded.count % 4 == 1)
        return false;
    for (size_t i = 0; i < encoded.count; i++) {
        int value = digit_value(encoded.bytes[i]);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held < 8)
            continue;
        if (count == out_size)
            return false;
        held -= 8;
        out[count++] = (uint8_t)(bits >> held);
    }
    /* Bits left over have to be zero: otherwise two texts would mean the same bytes. */
    if (bits & ((1U << held) - 1))
        return false;
    *out_count = count;
    return true;
}

static int digit_value(char digit)
{
    const char *found = digit ? memchr(digits, digit, sizeof digits - 1) : NULL;

    return found ? (int)(found - digits) : -1;
}
