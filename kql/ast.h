#ifndef PICKET_KQL_AST_H
#define PICKET_KQL_AST_H

#include "kql/lexer.h"

/* The tree of a query. Every node has its place in the source and lies in the arena of the compilation; lists are linked
 * by `next`. Names and texts have their escapes undone. */
struct kql_expression;
struct kql_pipeline;
struct kql_function;

struct kql_name {
    struct kql_place place;
    struct text text; /* TEXT_NONE: none was given */
};

enum kql_operator_sign { /* of an expression of two sides */
    KQL_OR, KQL_AND,
    KQL_EQUAL, KQL_NOT_EQUAL, KQL_EQUAL_NOCASE, KQL_NOT_EQUAL_NOCASE,
    KQL_LESS, KQL_LESS_EQUAL, KQL_GREATER, KQL_GREATER_EQUAL,
    KQL_ADD, KQL_SUBTRACT, KQL_MULTIPLY, KQL_DIVIDE, KQL_MODULO,
    KQL_TEXT_OPERATOR, /* has, !contains_cs, matches regex …: `word` says which */
};

enum kql_expression_kind {
    KQL_LITERAL,    /* `token` and `text`: as the source has it, a string as it says */
    KQL_DYNAMIC,    /* dynamic(…): `left`; and within it lists and bags: `items` */
    KQL_REFERENCE,  /* `name`; with wildcards where tables or columns may have some */
    KQL_ALL,        /* * */
    KQL_SIGNED,     /* -x: `left` */
    KQL_BINARY,     /* `sign`, `left`, `right` */
    KQL_BETWEEN,    /* `left` between (`items`, two), `negated` */
    KQL_IN,         /* `left`, `word` (in, !in~, has_any …), `items` */
    KQL_CALL,       /* `name` (`items`) */
    KQL_MEMBER,     /* `left`.`name` */
    KQL_ELEMENT,    /* `left`[`right`] */
    KQL_NAMED,      /* `names` = `left`: (a, b) = f(x) has several */
    KQL_ORDERED,    /* `left` asc nulls first */
    KQL_SUBQUERY,   /* a pipeline where a value or a table may stand */
    KQL_TYPE,       /* typeof(long), typeof(a:long, b:string): `schema`; one name without a type is a type */
    KQL_LAMBDA,     /* (a:long) { … }: `function` */
    KQL_BAG_MEMBER, /* "a": 1 within dynamic({…}): `text`, `left` */
};

enum kql_order { KQL_ORDER_DEFAULT, KQL_ASCENDING, KQL_DESCENDING, KQL_GRANNY_ASCENDING, KQL_GRANNY_DESCENDING };
enum kql_nulls { KQL_NULLS_DEFAULT, KQL_NULLS_FIRST, KQL_NULLS_LAST };

/* name:type; a table's columns, a function's parameters. */
struct kql_column {
    struct kql_column *next;
    struct kql_name name, type; /* type TEXT_NONE where it was left out, "*" for any columns */
    struct kql_column *columns; /* of a parameter that is a table */
    bool is_table;
    struct kql_expression *otherwise; /* a default value */
};

struct kql_expression {
    struct kql_expression *next;
    enum kql_expression_kind kind;
    struct kql_place place;
    enum kql_operator_sign sign;
    enum kql_token_kind token;
    bool negated, is_bag, is_list;
    uint16_t chain; /* how many nodes of its kind stand to its left: a + b + c has 2 */
    enum kql_order order;
    enum kql_nulls nulls;
    struct kql_name name;
    struct text word, text;
    struct kql_expression *left, *right, *items, *names;
    struct kql_pipeline *pipeline;
    struct kql_column *schema;
    struct kql_function *function;
};

struct kql_parameter { /* kind=inner, hint.strategy=shuffle, withsource=T */
    struct kql_parameter *next;
    struct kql_name name;
    struct kql_expression *value;
};

struct kql_pattern { /* a piece of what parse looks for: a text, * or a column */
    struct kql_pattern *next;
    struct kql_place place;
    struct kql_expression *literal; /* NULL: not one */
    struct kql_name name, type;     /* name TEXT_NONE: a star */
};

enum kql_operator_kind {
    KQL_AS, KQL_COUNT, KQL_DATATABLE, KQL_DISTINCT, KQL_EVALUATE, KQL_EXTEND, KQL_EXTERNALDATA, KQL_FIND, KQL_GETSCHEMA,
    KQL_INVOKE, KQL_JOIN, KQL_LOOKUP, KQL_MAKE_SERIES, KQL_MV_APPLY, KQL_MV_EXPAND, KQL_PARSE, KQL_PARSE_KV, KQL_PARSE_WHERE,
    KQL_PARTITION, KQL_PRINT, KQL_PROJECT, KQL_PROJECT_AWAY, KQL_PROJECT_KEEP, KQL_PROJECT_RENAME, KQL_PROJECT_REORDER, KQL_RANGE,
    KQL_RENDER, KQL_SAMPLE, KQL_SAMPLE_DISTINCT, KQL_SEARCH, KQL_SERIALIZE, KQL_SORT, KQL_SUMMARIZE, KQL_TAKE, KQL_TOP,
    KQL_TOP_NESTED, KQL_UNION, KQL_WHERE,
    KQL_OPAQUE, /* known by name, not supported: its own words were passed over */
};

/* What stands between two bars, or first in a pipeline. Which fields are used is said at its row in parse_pipeline.c. */
struct kql_operator {
    struct kql_operator *next;
    enum kql_operator_kind kind;
    struct kql_place place; /* of its name */
    struct kql_name name;   /* as written: "limit" is KQL_TAKE; of KQL_AS and KQL_RENDER what they name */
    struct kql_parameter *parameters;
    struct kql_expression *items, *by, *on, *from, *to, *step, *limit;
    struct kql_pipeline *pipeline; /* the right side of a join, the body of mv-apply and partition */
    struct kql_column *schema;
    struct kql_pattern *pattern;
    struct kql_operator *levels; /* of top-nested: one each */
};

struct kql_pipeline {
    struct kql_pipeline *next; /* of fork's branches */
    struct kql_place place;
    struct kql_expression *source; /* NULL: the first operator makes its rows itself */
    struct kql_operator *operators;
};

enum kql_statement_kind { KQL_LET, KQL_QUERY, KQL_SET, KQL_DECLARE, KQL_ALIAS, KQL_RESTRICT };

struct kql_statement {
    struct kql_statement *next;
    enum kql_statement_kind kind;
    struct kql_place place;
    struct kql_name name;         /* of KQL_LET, KQL_SET, KQL_ALIAS */
    struct kql_expression *value; /* what a name stands for; the query is one of kind KQL_SUBQUERY, or a plain value */
    struct kql_column *schema;    /* of KQL_DECLARE */
};

struct kql_function {
    struct kql_column *parameters;
    bool is_view;
    struct kql_statement *body; /* the last one is what it gives */
};

#define KQL_DEPTH_MAX 200      /* of nested expressions and pipelines */
#define KQL_CHAIN_MAX 2000     /* of values strung together: a or b or c */
#define KQL_OPERATORS_MAX 1000 /* in one query */

/* STATUS_REJECT: `wrong` says what and where. */
MUST_CHECK enum status kql_parse(struct text source, struct arena *arena, struct kql_statement **out,
                                 struct kql_diagnostic *wrong);

#endif
