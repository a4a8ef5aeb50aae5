#ifndef PICKET_RUNTIME_TEXT_H
#define PICKET_RUNTIME_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A borrowed run of bytes, usually UTF-8, not terminated. `{NULL, 0}` is absent, `{"", 0}` is empty. */
struct text {
    const char *bytes;
    size_t count;
};

#define TEXT(literal) ((struct text){(literal), sizeof(literal) - 1})
#define TEXT_ARGS(text) (int)(text).count, (text).bytes /* for "%.*s" */
#define TEXT_NONE ((struct text){NULL, 0})

static inline struct text text_of(const char *terminated)
{
    return (struct text){terminated, terminated ? strlen(terminated) : 0};
}

static inline bool text_equal(struct text a, struct text b)
{
    return a.count == b.count && (a.count == 0 || memcmp(a.bytes, b.bytes, a.count) == 0);
}

int text_compare(struct text a, struct text b);          /* by bytes, as memcmp() says it; a shorter one comes first */
bool text_equal_nocase(struct text a, struct text b); /* ASCII letters only */
bool text_starts(struct text whole, struct text start);
bool text_ends(struct text whole, struct text end);
bool text_among(struct text whole, const char *const *list); /* it is one of a list that NULL ends */
bool text_like(struct text whole, struct text pattern); /* a '*' in it stands for any bytes, also for none */

/* Position of the first `byte`, or `whole.count`. */
size_t text_find(struct text whole, char byte);

/* Splits at the first `byte`: `*head` is what stands before it, the result what follows. Without
 * `byte` the head is the whole and the result TEXT_NONE. */
struct text text_cut(struct text whole, char byte, struct text *head);

/* Without ASCII blanks at both ends. */
struct text text_trim(struct text whole);

/* Decimal digits only, no sign or blanks; false (output untouched) when malformed or out of range. */
bool text_to_u64(struct text digits, uint64_t *out);
bool text_to_i64(struct text digits, int64_t *out); /* one leading '-' allowed */

/* Undoes %XX escapes ('+' stays '+') into `out`, of `out_size` bytes; false when an escape is broken
 * or the result does not fit. `*out_count` bytes are written; no terminator. */
bool text_percent_decode(struct text escaped, char *out, size_t out_size, size_t *out_count);

/* Standard base64 with padding. Decoding accepts no blanks; false when malformed or too long. */
bool text_base64_decode(struct text encoded, uint8_t *out, size_t out_size, size_t *out_count);
#define TEXT_BASE64_SIZE(n) (((n) + 2) / 3 * 4 + 1)
/* Writes a terminated string; `out` needs TEXT_BASE64_SIZE(count). */
void text_base64_encode(const uint8_t *bytes, size_t count, char *out);
/* Lower-case hex, terminated; `out` needs 2 * count + 1. */
void text_hex_encode(const uint8_t *bytes, size_t count, char *out);
bool text_hex_decode(struct text encoded, uint8_t *out, size_t count); /* exactly `count` bytes */

/* True when the bytes are well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool text_utf8_valid(struct text bytes);

/* Length, 1 to 4, of the well-formed UTF-8 sequence at the start; 0 when there is none. */
size_t text_utf8_sequence(struct text bytes);

#endif
