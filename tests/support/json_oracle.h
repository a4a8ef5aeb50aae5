#ifndef PICKET_TESTS_SUPPORT_JSON_ORACLE_H
#define PICKET_TESTS_SUPPORT_JSON_ORACLE_H

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "wire/json_reader.h"

/* Our reader beside jansson: both accept with the same value, or both reject. In a header, since the fuzzer is linked
 * without tests/support. What is excused, because the two follow other rules there:
 *  - jansson refuses lone surrogates, NUL in names, integers beyond 64 bits and reals beyond a double; we tell them by
 *    flags, or hand out the digits;
 *  - we refuse nesting that jansson still takes;
 *  - jansson keeps NUL where we unescape to U+FFFD;
 *  - jansson loses a NUL byte that it has to push back, as after a number: "1<NUL>]" reads as "1]". */
#define JSON_ORACLE_DEPTH PICKET_JSON_DEPTH_LIMIT

struct json_oracle {
    json_t *open[JSON_ORACLE_DEPTH];
    unsigned depth;
    json_t *root;
    char *name; /* of the member whose value comes next */
    size_t name_count;
    bool beyond_jansson; /* legal, and jansson refuses it */
    bool replaced;       /* values differ by rule */
};

static inline json_t *json_oracle_number(struct json_oracle *oracle, const struct picket_json_token *token)
{
    char *digits = strndup(token->text, token->count);
    json_t *number;

    errno = 0;
    if (strpbrk(digits, ".eE")) {
        double real = strtod(digits, NULL);
        oracle->beyond_jansson |= isinf(real);
        number = isinf(real) ? json_null() : json_real(real);
    } else {
        long long integer = strtoll(digits, NULL, 10);
        oracle->beyond_jansson |= errno == ERANGE;
        number = json_integer(integer);
    }
    free(digits);
    return number;
}

static inline json_t *json_oracle_value(struct json_oracle *oracle, const struct picket_json_token *token)
{
    json_t *value;

    switch (token->kind) {
    case PICKET_JSON_OBJECT_OPEN: return json_object();
    case PICKET_JSON_ARRAY_OPEN: return json_array();
    case PICKET_JSON_TRUE: return json_true();
    case PICKET_JSON_FALSE: return json_false();
    case PICKET_JSON_NULL: return json_null();
    case PICKET_JSON_NUMBER: return json_oracle_number(oracle, token);
    default: break;
    }
    char *text = malloc(token->count + 1);
    size_t count = picket_json_unescape(token, text);
    if (count > token->count)
        abort();
    value = json_stringn(text, count); /* NULL when it is not UTF-8: the caller tells */
    if (value && !picket_json_is(token, text, count))
        abort();
    free(text);
    return value;
}

/* Puts one value where it belongs. False when the reader handed out what cannot be. */
static inline bool json_oracle_add(struct json_oracle *oracle, const struct picket_json_token *token)
{
    json_t *value = json_oracle_value(oracle, token);
    json_t *parent = oracle->depth ? oracle->open[oracle->depth - 1] : NULL;

    if (!value)
        return false;
    if (!parent)
        oracle->root = value;
    else if (json_is_array(parent))
        json_array_append_new(parent, value);
    else if (json_object_setn_new(parent, oracle->name, oracle->name_count, value) != 0)
        return false;
    if (token->kind == PICKET_JSON_OBJECT_OPEN || token->kind == PICKET_JSON_ARRAY_OPEN)
        oracle->open[oracle->depth++] = value;
    return true;
}

static inline void json_oracle_note(struct json_oracle *oracle, const struct picket_json_token *token)
{
    if (token->flags & PICKET_JSON_LONE_SURROGATE || (token->kind == PICKET_JSON_NAME && token->flags & PICKET_JSON_NUL))
        oracle->beyond_jansson = true;
    if (token->flags & (PICKET_JSON_NUL | PICKET_JSON_LONE_SURROGATE))
        oracle->replaced = true;
}

static inline const char *json_oracle_build(struct json_oracle *oracle, struct picket_json_reader *reader)
{
    struct picket_json_token token;

    for (;;) {
        enum picket_json_kind kind = picket_json_next(reader, &token);
        if (kind != token.kind)
            return "the token's kind is not what was returned";
        if (kind == PICKET_JSON_END || kind == PICKET_JSON_ERROR)
            return NULL;
        json_oracle_note(oracle, &token);
        if (kind == PICKET_JSON_OBJECT_CLOSE || kind == PICKET_JSON_ARRAY_CLOSE) {
            oracle->depth--;
        } else if (kind == PICKET_JSON_NAME) {
            free(oracle->name);
            oracle->name = malloc(token.count + 1);
            oracle->name_count = picket_json_unescape(&token, oracle->name);
        } else if (!json_oracle_add(oracle, &token)) {
            return "a token's text is not UTF-8";
        }
        if (oracle->depth != reader->depth)
            return "the reader's depth is wrong";
    }
}

static inline const char *json_oracle_compare(const struct json_oracle *oracle,
                                              const struct picket_json_reader *reader, const json_t *theirs)
{
    if (reader->error) {
        if (reader->error_at < reader->start || reader->error_at > reader->end)
            return "the error is outside the source";
        bool nul_byte = reader->error_at < reader->end && *reader->error_at == '\0';
        return theirs && !reader->too_deep && !nul_byte ? "we reject what jansson accepts" : NULL;
    }
    if (!theirs)
        return oracle->beyond_jansson ? NULL : "we accept what jansson rejects";
    return oracle->replaced || json_equal(oracle->root, theirs) ? NULL : "the values differ";
}

/* NULL when the two agree about the document, else the sentence that says how not. */
static inline const char *json_oracle_disagreement(const char *source, size_t count)
{
    struct json_oracle oracle = {.depth = 0};
    struct picket_json_reader reader;
    json_error_t error;

    picket_json_init(&reader, source, count, JSON_ORACLE_DEPTH);
    const char *wrong = json_oracle_build(&oracle, &reader);
    json_t *theirs = json_loadb(count ? source : "", count, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (!wrong)
        wrong = json_oracle_compare(&oracle, &reader, theirs);
    json_decref(theirs);
    json_decref(oracle.root);
    free(oracle.name);
    return wrong;
}

#endif
