#ifndef PICKET_KQL_LEXER_H
#define PICKET_KQL_LEXER_H

#include "kql/diagnostic.h"
#include "runtime/arena.h"

/* The words of a query. They point into the source; comments and blanks are left out. Facts: Kusto's documentation of its
 * query language, and what Microsoft's own parser makes of odd cases (tests hold the two side by side). */
enum kql_token_kind {
    KQL_END,
    KQL_NAME,     /* letters, digits and underscores, also $left; keywords are names where they stand for nothing else */
    KQL_STRING,   /* "a", 'a', @"a", h'a', ```a```: kql_string_value() has what it says */
    KQL_INTEGER,  /* 12, 0x1f */
    KQL_REAL,     /* 1.5, 2e3 */
    KQL_TIMESPAN, /* 5m, 1.5h: the number and its unit */
    KQL_TYPED,    /* datetime(2020-01-01), guid(…), long(null): the whole, up to its parenthesis */
    KQL_MARK,     /* one or two characters: `mark` has them */
};

struct kql_token {
    enum kql_token_kind kind;
    struct kql_place place;
    uint16_t mark;   /* of KQL_MARK: KQL_MARK_OF(…) */
    bool spaced;     /* something that is no word stands before it */
};
#define KQL_MARK_OF(first, second) ((uint16_t)((first) | (second) << 8))
#define KQL_MARK_IS(token, first) ((token)->kind == KQL_MARK && (token)->mark == KQL_MARK_OF(first, 0))

#define KQL_SOURCE_MAX (1024 * 1024)

struct kql_tokens {
    const struct kql_token *list; /* the last one is KQL_END, and so is list[-1] */
    size_t count;
};

/* STATUS_REJECT: `wrong` says what; a string that does not end, or a character that begins nothing. The tokens lie in
 * `arena`. */
MUST_CHECK enum status kql_lex(struct text source, struct arena *arena, struct kql_tokens *out,
                               struct kql_diagnostic *wrong);

static inline struct text kql_text(struct text source, struct kql_place place)
{
    return (struct text){source.bytes + place.at, place.count};
}

/* What a string literal says, its escapes undone, in the arena. False: an escape is none. */
bool kql_string_value(struct text literal, struct arena *arena, struct text *out);

#endif
