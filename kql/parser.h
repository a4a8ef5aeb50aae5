#ifndef PICKET_KQL_PARSER_H
#define PICKET_KQL_PARSER_H

#include "kql/ast.h"

/* What the two halves of the parser share. A function that fails sets `wrong` and returns NULL or false; callers go on
 * as long as nothing is wrong, since every loop ends at the last token. */
struct kql_parser {
    struct text source;
    const struct kql_token *token; /* the next one */
    struct arena *arena;
    struct kql_diagnostic *wrong;
    unsigned depth, operators;
    bool searching; /* within search, a column may stand before a colon */
};

static inline bool parser_failed(const struct kql_parser *parser)
{
    return parser->wrong->code != NULL;
}

/* parser.c */
void parser_next(struct kql_parser *parser);
struct text parser_text(const struct kql_parser *parser); /* of the next token */
bool parser_at(const struct kql_parser *parser, char mark);
bool parser_at_pair(const struct kql_parser *parser, const char *pair); /* "==" */
bool parser_at_word(const struct kql_parser *parser, const char *word);
bool parser_at_truth(const struct kql_parser *parser); /* true, False, TRUE … */
bool parser_take(struct kql_parser *parser, char mark); /* steps over it when it is there */
bool parser_take_pair(struct kql_parser *parser, const char *pair);
bool parser_take_word(struct kql_parser *parser, const char *word);
bool parser_want(struct kql_parser *parser, char mark); /* something is wrong when it is not */
bool parser_want_word(struct kql_parser *parser, const char *word);
void parser_expected(struct kql_parser *parser, const char *what);
/* A name of words with hyphens between, without blanks: "project-away". TEXT_NONE: no name. Steps over nothing; `*tokens`
 * is how many it has. */
struct text parser_hyphenated(const struct kql_parser *parser, size_t *tokens);
bool parser_enter(struct kql_parser *parser); /* one level deeper; false: too deep */
void parser_leave(struct kql_parser *parser);
struct kql_place parser_since(const struct kql_parser *parser, uint32_t at); /* from there to the last token taken */

/* names: a, ['a b'], ["a b"]. With `wildcards` also a*, *_b. False: there is none, and nothing was taken. */
bool parse_name(struct kql_parser *parser, bool wildcards, struct kql_name *out);
struct kql_column *parse_columns(struct kql_parser *parser, char close); /* a:long, b:string up to it, which is taken */

/* parse_expression.c */
struct kql_expression *expression_new(struct kql_parser *parser, enum kql_expression_kind kind, uint32_t at);
struct kql_expression *parse_expression(struct kql_parser *parser);       /* a value, also a pipeline in parentheses */
struct kql_expression *parse_named_expression(struct kql_parser *parser); /* x = value, (a, b) = value, value */
struct kql_expression *parse_ordered(struct kql_parser *parser);          /* value asc nulls first */
struct kql_expression *parse_list(struct kql_parser *parser, struct kql_expression *(*one)(struct kql_parser *parser));
struct kql_expression *parse_item_or_star(struct kql_parser *parser);     /* a value, or * for all columns */
struct kql_expression *parse_arguments(struct kql_parser *parser);        /* behind '(', up to ')', which is taken */
struct kql_expression *parse_sum(struct kql_parser *parser);              /* without comparisons */
struct kql_expression *parse_signed(struct kql_parser *parser);           /* a primary, with a sign or none */
struct kql_expression *parse_text(struct kql_parser *parser);             /* of one string or several */
struct kql_expression *parse_primary(struct kql_parser *parser);          /* without signs around it: a source of rows */

/* parse_pipeline.c */
struct kql_pipeline *parse_pipeline(struct kql_parser *parser);
struct kql_expression *parse_subquery(struct kql_parser *parser); /* a pipeline, or the value that it turns out to be */
struct kql_statement *parse_statements(struct kql_parser *parser, bool braced);
/* Whether an operator begins here that makes rows by itself: print, range, union … */
bool pipeline_begins(const struct kql_parser *parser);

#endif
