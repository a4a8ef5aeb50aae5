#ifndef PICKET_WIRE_JSON_READER_H
#define PICKET_WIRE_JSON_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A pull reader for JSON (RFC 8259): one pass over the bytes, no tree, no heap, no recursion.
 *
 * It checks everything: grammar, UTF-8, depth. Strings and names are handed out as they stand in the source,
 * still escaped, with flags that say whether unescaping is needed and what a store must replace. The source must stay
 * until the tokens are used. C99, libc's memory functions only. */
enum picket_json_kind {
    PICKET_JSON_END, /* the document is complete and only blanks followed */
    PICKET_JSON_OBJECT_OPEN,
    PICKET_JSON_OBJECT_CLOSE,
    PICKET_JSON_ARRAY_OPEN,
    PICKET_JSON_ARRAY_CLOSE,
    PICKET_JSON_NAME, /* of a member; its value is the next token */
    PICKET_JSON_STRING,
    PICKET_JSON_NUMBER,
    PICKET_JSON_TRUE,
    PICKET_JSON_FALSE,
    PICKET_JSON_NULL,
    PICKET_JSON_ERROR, /* see the reader's message; every later call gives the same */
};

/* What is legal JSON but not storable text. */
enum {
    PICKET_JSON_ESCAPED = 1,        /* at least one backslash: unescape before comparing */
    PICKET_JSON_NUL = 2,            /* \u0000 */
    PICKET_JSON_LONE_SURROGATE = 4, /* \ud800 without its partner */
};

struct picket_json_token {
    enum picket_json_kind kind;
    const char *text; /* strings and names without their quotes; numbers as written */
    size_t count;
    unsigned flags;
};

#define PICKET_JSON_DEPTH_LIMIT 256 /* what a reader can be told at most */

struct picket_json_reader {
    const char *start, *at, *end;
    unsigned depth, depth_max;
    unsigned state;
    uint8_t in_object[PICKET_JSON_DEPTH_LIMIT / 8];
    const char *error;    /* a sentence, NULL while all is well */
    const char *error_at; /* the byte it is about, for picket_json_position() */
    bool too_deep;        /* the error is the depth limit, not the grammar */
};

/* `depth_max` counts open objects and arrays, up to PICKET_JSON_DEPTH_LIMIT. A leading UTF-8 byte order mark is an error. */
void picket_json_init(struct picket_json_reader *reader, const char *source, size_t count, unsigned depth_max);
enum picket_json_kind picket_json_next(struct picket_json_reader *reader, struct picket_json_token *token);

/* After an OBJECT_OPEN or ARRAY_OPEN was returned: reads up to and including its close. After a NAME: reads the value.
 * False on an error. `*from` and `*to` bound the skipped source text of the whole value, opening bracket included, when
 * not NULL. */
bool picket_json_skip(struct picket_json_reader *reader, const struct picket_json_token *opened, const char **from,
                      const char **to);

/* Line and column (both from 1, columns in bytes) of `at` in the source. */
void picket_json_position(const struct picket_json_reader *reader, const char *at, unsigned *line, unsigned *column);

/* Writes the token's text unescaped as UTF-8 and returns its length, never more than token->count. \u0000 and lone
 * surrogates become U+FFFD. `out` needs token->count bytes (an escape is never shorter than what it stands for). */
size_t picket_json_unescape(const struct picket_json_token *token, char *out);

/* True when the token, unescaped, is exactly `name` (of `count` bytes). */
bool picket_json_is(const struct picket_json_token *token, const char *name, size_t count);
#define PICKET_JSON_IS(token, literal) picket_json_is((token), (literal), sizeof(literal) - 1)

#endif
