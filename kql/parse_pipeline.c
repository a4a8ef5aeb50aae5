#include "kql/parser.h"

#include <string.h>

/* The operators between bars. Each has a row: its word, and who reads what follows it. */
typedef void operator_reader(struct kql_parser *parser, struct kql_operator *operator);

static operator_reader read_predicate, read_named, read_named_any, read_names, read_reordered, read_limit, read_nothing,
    read_summarize, read_sort, read_top, read_distinct, read_join, read_union, read_mv_expand, read_mv_apply, read_parse, read_parse_kv,
    read_make_series, read_evaluate, read_invoke, read_as, read_render, read_partition, read_top_nested, read_sample_distinct,
    read_search, read_find, read_datatable, read_externaldata, read_range, read_opaque;

static const struct operator_row {
    const char *word;
    enum kql_operator_kind kind;
    operator_reader *read;
} rows[] = {
    {"as", KQL_AS, read_as},
    {"count", KQL_COUNT, read_nothing},
    {"consume", KQL_OPAQUE, read_opaque},
    {"distinct", KQL_DISTINCT, read_distinct},
    {"evaluate", KQL_EVALUATE, read_evaluate},
    {"execute-and-cache", KQL_OPAQUE, read_opaque},
    {"extend", KQL_EXTEND, read_named},
    {"facet", KQL_OPAQUE, read_opaque},
    {"filter", KQL_WHERE, read_predicate},
    {"find", KQL_FIND, read_find},
    {"fork", KQL_OPAQUE, read_opaque},
    {"getschema", KQL_GETSCHEMA, read_nothing},
    {"graph-match", KQL_OPAQUE, read_opaque},
    {"graph-shortest-paths", KQL_OPAQUE, read_opaque},
    {"graph-to-table", KQL_OPAQUE, read_opaque},
    {"invoke", KQL_INVOKE, read_invoke},
    {"join", KQL_JOIN, read_join},
    {"limit", KQL_TAKE, read_limit},
    {"lookup", KQL_LOOKUP, read_join},
    {"macro-expand", KQL_OPAQUE, read_opaque},
    {"make-graph", KQL_OPAQUE, read_opaque},
    {"make-series", KQL_MAKE_SERIES, read_make_series},
    {"mv-apply", KQL_MV_APPLY, read_mv_apply},
    {"mvapply", KQL_MV_APPLY, read_mv_apply},
    {"mv-expand", KQL_MV_EXPAND, read_mv_expand},
    {"mvexpand", KQL_MV_EXPAND, read_mv_expand},
    {"order", KQL_SORT, read_sort},
    {"parse", KQL_PARSE, read_parse},
    {"parse-kv", KQL_PARSE_KV, read_parse_kv},
    {"parse-where", KQL_PARSE_WHERE, read_parse},
    {"partition", KQL_PARTITION, read_partition},
    {"project", KQL_PROJECT, read_named_any},
    {"project-away", KQL_PROJECT_AWAY, read_names},
    {"project-by-names", KQL_OPAQUE, read_opaque},
    {"project-keep", KQL_PROJECT_KEEP, read_names},
    {"project-rename", KQL_PROJECT_RENAME, read_named},
    {"project-reorder", KQL_PROJECT_REORDER, read_reordered},
    {"reduce", KQL_OPAQUE, read_opaque},
    {"render", KQL_RENDER, read_render},
    {"sample", KQL_SAMPLE, read_limit},
    {"sample-distinct", KQL_SAMPLE_DISTINCT, read_sample_distinct},
    {"scan", KQL_OPAQUE, read_opaque},
    {"search", KQL_SEARCH, read_search},
    {"serialize", KQL_SERIALIZE, read_named_any},
    {"sort", KQL_SORT, read_sort},
    {"summarize", KQL_SUMMARIZE, read_summarize},
    {"take", KQL_TAKE, read_limit},
    {"top", KQL_TOP, read_top},
    {"top-hitters", KQL_OPAQUE, read_opaque},
    {"top-nested", KQL_TOP_NESTED, read_top_nested},
    {"union", KQL_UNION, read_union},
    {"where", KQL_WHERE, read_predicate},
};

/* Those that make rows by themselves, where a table could stand. */
static const struct operator_row sources[] = {
    {"datatable", KQL_DATATABLE, read_datatable},
    {"evaluate", KQL_EVALUATE, read_evaluate},
    {"externaldata", KQL_EXTERNALDATA, read_externaldata},
    {"external_data", KQL_EXTERNALDATA, read_externaldata},
    {"find", KQL_FIND, read_find},
    {"inline_external_table", KQL_OPAQUE, read_opaque},
    {"print", KQL_PRINT, read_named_any},
    {"range", KQL_RANGE, read_range},
    {"search", KQL_SEARCH, read_search},
    {"union", KQL_UNION, read_union},
};

/* What may be said between an operator's word and what it is about. */
static const char *const parameter_names[] = {
    "kind", "flags", "withsource", "with_source", "isfuzzy", "bagexpansion", "with_itemindex", "datascope", "decodeblocks",
    "expandoutput", "best_effort",
};

static struct kql_operator *parse_operator(struct kql_parser *parser);
static struct kql_operator *parse_source(struct kql_parser *parser);
static struct kql_expression *parse_let_value(struct kql_parser *parser);

static const struct operator_row *source_row(const struct kql_parser *parser)
{
    const struct kql_token *next = &parser->token[1];
    bool follows = next->kind != KQL_END && (next->kind != KQL_MARK || KQL_MARK_IS(next, '(') || KQL_MARK_IS(next, '[') ||
                                             KQL_MARK_IS(next, '*') || KQL_MARK_IS(next, '-'));

    for (size_t i = 0; follows && i < sizeof sources / sizeof *sources; i++) {
        if (!parser_at_word(parser, sources[i].word))
            continue;
        switch (sources[i].kind) {
        case KQL_RANGE: /* range(1, 10) is a function */
                next += KQL_MARK_IS(next, '[') ? 2 : 0;
            return text_equal(kql_text(parser->source, next[1].place), TEXT("from")) ? &sources[i] : NULL;
        case KQL_EVALUATE:
            return next->kind == KQL_NAME ? &sources[i] : NULL;
        default:
            return &sources[i];
        }
    }
    return NULL;
}

bool pipeline_begins(const struct kql_parser *parser)
{
    return source_row(parser) != NULL;
}

struct kql_pipeline *parse_pipeline(struct kql_parser *parser)
{
    struct kql_pipeline *pipeline = ARENA_NEW(parser->arena, struct kql_pipeline);
    struct kql_operator **end = &pipeline->operators;
    uint32_t at = parser->token->place.at;

    if (!parser_enter(parser)) {
        parser_leave(parser);
        return NULL;
    }
    if (pipeline_begins(parser)) {
        *end = parse_source(parser);
        end = &(*end)->next;
    } else {
        pipeline->source = parse_expression(parser);
    }
    while (!parser_failed(parser) && parser_take(parser, '|')) {
        *end = parse_operator(parser);
        if (*end)
            end = &(*end)->next;
    }
    parser_leave(parser);
    pipeline->place = parser_since(parser, at);
    return parser_failed(parser) ? NULL : pipeline;
}

struct kql_expression *parse_subquery(struct kql_parser *parser)
{
    uint32_t at = parser->token->place.at;
    struct kql_pipeline *pipeline = parse_pipeline(parser);
    struct kql_expression *subquery;

    if (!pipeline)
        return NULL;
    if (!pipeline->operators)
        return pipeline->source;
    subquery = expression_new(parser, KQL_SUBQUERY, at);
    subquery->place = pipeline->place;
    subquery->pipeline = pipeline;
    return subquery;
}

/* Operators without a table before them, as within mv-apply: the first has no bar. */
static struct kql_pipeline *parse_body(struct kql_parser *parser)
{
    struct kql_pipeline *pipeline = ARENA_NEW(parser->arena, struct kql_pipeline);
    struct kql_operator **end = &pipeline->operators;
    uint32_t at = parser->token->place.at;

    if (parser_enter(parser)) {
        do {
            *end = parse_operator(parser);
            if (*end)
                end = &(*end)->next;
        } while (!parser_failed(parser) && parser_take(parser, '|'));
    }
    parser_leave(parser);
    pipeline->place = parser_since(parser, at);
    return parser_failed(parser) ? NULL : pipeline;
}

static struct kql_operator *operator_new(struct kql_parser *parser, const struct operator_row *row, size_t tokens)
{
    struct kql_operator *operator = ARENA_NEW(parser->arena, struct kql_operator);

    if (++parser->operators > KQL_OPERATORS_MAX)
        kql_wrong(parser->wrong, "syntax.too_long", parser->token->place, "a query has at most %d operators", KQL_OPERATORS_MAX);
    operator->kind = row->kind;
    operator->place.at = parser->token->place.at;
    parser->token += tokens;
    operator->place = parser_since(parser, operator->place.at);
    operator->name = (struct kql_name){operator->place, kql_text(parser->source, operator->place)};
    row->read(parser, operator);
    return operator;
}

static struct kql_operator *parse_operator(struct kql_parser *parser)
{
    size_t tokens;
    struct text word = parser_hyphenated(parser, &tokens);

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (word.bytes && text_equal(word, text_of(rows[i].word)))
            return operator_new(parser, &rows[i], tokens);
    parser_expected(parser, "an operator");
    return NULL;
}

static struct kql_operator *parse_source(struct kql_parser *parser)
{
    return operator_new(parser, source_row(parser), 1);
}

/* ---- what follows the word ---- */

static bool is_parameter(const struct kql_parser *parser)
{
    const struct kql_token *token = parser->token;
    size_t i = 1;

    if (token->kind != KQL_NAME)
        return false;
    if (text_equal(parser_text(parser), TEXT("hint")) && KQL_MARK_IS(&token[1], '.'))
        return true;
    if (!KQL_MARK_IS(&token[i], '='))
        return false;
    for (i = 0; i < sizeof parameter_names / sizeof *parameter_names; i++)
        if (parser_at_word(parser, parameter_names[i]))
            return true;
    return false;
}

static struct kql_expression *parse_wildcard(struct kql_parser *parser);

static struct kql_parameter *parse_parameter(struct kql_parser *parser)
{
    struct kql_parameter *parameter = ARENA_NEW(parser->arena, struct kql_parameter);
    uint32_t at = parser->token->place.at;

    if (parser->token->kind != KQL_NAME) {
        parser_expected(parser, "a name");
        return parameter;
    }
    parser_next(parser);
    while (parser_take(parser, '.'))
        parser_next(parser);
    parameter->name.place = parser_since(parser, at);
    parameter->name.text = kql_text(parser->source, parameter->name.place);
    if (!parser_want(parser, '='))
        return parameter;
    /* In kind=inner (T) the parentheses are not the kind's. */
    parameter->value = parser->token->kind == KQL_NAME ? parse_wildcard(parser) : parse_primary(parser);
    return parameter;
}

static void read_parameters(struct kql_parser *parser, struct kql_operator *operator)
{
    struct kql_parameter **end = &operator->parameters;

    while (*end)
        end = &(*end)->next;
    while (!parser_failed(parser) && is_parameter(parser)) {
        *end = parse_parameter(parser);
        end = &(*end)->next;
    }
}

/* with (a=1, b="c") */
static void read_with(struct kql_parser *parser, struct kql_operator *operator)
{
    struct kql_parameter **end = &operator->parameters;

    if (!parser_take_word(parser, "with"))
        return;
    while (*end)
        end = &(*end)->next;
    if (!parser_want(parser, '('))
        return;
    while (!parser_failed(parser) && !parser_at(parser, ')')) {
        *end = parse_parameter(parser);
        /* ycolumns=a, b: what is no name with a value belongs to the one before */
        while ((*end)->value && parser_at(parser, ',') && parser->token[1].kind == KQL_NAME && !KQL_MARK_IS(&parser->token[2], '=')) {
            parser_next(parser);
            struct kql_expression **last = &(*end)->value->next;
            while (*last)
                last = &(*last)->next;
            *last = parse_wildcard(parser);
        }
        end = &(*end)->next;
        if (!parser_take(parser, ','))
            break;
    }
    (void)parser_want(parser, ')');
}

static void read_nothing(struct kql_parser *parser, struct kql_operator *operator)
{
    (void)parser;
    (void)operator;
}

static void read_predicate(struct kql_parser *parser, struct kql_operator *operator)
{
    read_parameters(parser, operator);
    operator->items = parse_named_expression(parser); /* x = 1 for x == 1 is the binder's to refuse */
}

static void read_named(struct kql_parser *parser, struct kql_operator *operator)
{
    operator->items = parse_list(parser, parse_named_expression);
}

static bool at_end(const struct kql_parser *parser)
{
    return parser->token->kind == KQL_END || parser_at(parser, '|') || parser_at(parser, ')') || parser_at(parser, ';') || parser_at(parser, '}');
}

static void read_named_any(struct kql_parser *parser, struct kql_operator *operator)
{
    if (!at_end(parser))
        read_named(parser, operator);
}

static struct kql_expression *parse_wildcard(struct kql_parser *parser)
{
    struct kql_expression *reference = expression_new(parser, KQL_REFERENCE, parser->token->place.at);

    if (!parse_name(parser, true, &reference->name))
        parser_expected(parser, "a column");
    reference->place = reference->name.place;
    return parser_failed(parser) ? NULL : reference;
}

static void read_names(struct kql_parser *parser, struct kql_operator *operator)
{
    operator->items = parse_list(parser, parse_wildcard);
}

static struct kql_expression *parse_reordered(struct kql_parser *parser)
{
    struct kql_expression *ordered = expression_new(parser, KQL_ORDERED, parser->token->place.at);
    static const struct {
        const char *word;
        enum kql_order order;
    } orders[] = {{"asc", KQL_ASCENDING}, {"desc", KQL_DESCENDING}, {"granny-asc", KQL_GRANNY_ASCENDING}, {"granny-desc", KQL_GRANNY_DESCENDING}};
    size_t tokens;

    ordered->left = parse_wildcard(parser);
    struct text word = parser_hyphenated(parser, &tokens);
    for (size_t i = 0; word.bytes && i < sizeof orders / sizeof *orders; i++) {
        if (!text_equal(word, text_of(orders[i].word)))
            continue;
        ordered->order = orders[i].order;
        parser->token += tokens;
        break;
    }
    ordered->place = parser_since(parser, ordered->place.at);
    return ordered->left ? ordered : NULL;
}

static void read_reordered(struct kql_parser *parser, struct kql_operator *operator)
{
    operator->items = parse_list(parser, parse_reordered);
}

static void read_limit(struct kql_parser *parser, struct kql_operator *operator)
{
    operator->limit = parse_expression(parser);
}

static void read_by(struct kql_parser *parser, struct kql_operator *operator)
{
    if (!parser_failed(parser) && parser_take_word(parser, "by"))
        operator->by = parse_list(parser, parse_named_expression);
}

static void read_summarize(struct kql_parser *parser, struct kql_operator *operator)
{
    read_parameters(parser, operator);
    if (!parser_at_word(parser, "by") && !at_end(parser))
        operator->items = parse_list(parser, parse_named_expression);
    read_by(parser, operator);
}

static void read_sort(struct kql_parser *parser, struct kql_operator *operator)
{
    read_parameters(parser, operator);
    if (parser_want_word(parser, "by"))
        operator->by = parse_list(parser, parse_ordered);
}

static void read_top(struct kql_parser *parser, struct kql_operator *operator)
{
    read_parameters(parser, operator);
    operator->limit = parse_expression(parser);
    if (!parser_failed(parser) && parser_want_word(parser, "by"))
        operator->by = parse_list(parser, parse_ordered);
}

static void read_distinct(struct kql_parser *parser, struct kql_operator *operator)
{
    read_parameters(parser, operator);
    operator->items = parse_list(parser, parse_item_or_star);
}

static struct kql_pipeline *pipeline_of(struct kql_parser *parser, struct kql_expression *expression)
{
    struct kql_pipeline *pipeline;

    if (!expression)
        return NULL;
    if (expression->kind == KQL_SUBQUERY)
        return expression->pipeline;
    pipeline = ARENA_NEW(parser->arena, struct kql_pipeline);
    pipeline->source = expression;
    pipeline->place = expression->place;
    return pipeline;
}

static void read_join(struct kql_parser *parser, struct kql_operator *operator)
{
    read_parameters(parser, operator);
    operator->pipeline = pipeline_of(parser, parse_primary(parser));
    if (!parser_failed(parser) && parser_take_word(parser, "on"))
        operator->on = parse_list(parser, parse_expression);
}

/* Names may have stars; anything else that gives rows may stand there too. */
static struct kql_expression *parse_leg(struct kql_parser *parser)
{
    const struct kql_token *token = parser->token;
    bool starred = KQL_MARK_IS(token, '*') || (token->kind == KQL_NAME && KQL_MARK_IS(&token[1], '*') && !token[1].spaced);

    return starred ? parse_wildcard(parser) : parse_primary(parser);
}

static void read_union(struct kql_parser *parser, struct kql_operator *operator)
{
    read_parameters(parser, operator);
    operator->items = parse_list(parser, parse_leg);
}

/* x = value to typeof(long): a KQL_NAMED with the type on its right, whether or not it has a name. */
static struct kql_expression *parse_expanded(struct kql_parser *parser)
{
    struct kql_expression *value = parse_named_expression(parser), *named = value;

    if (!value)
        return NULL;
    if (value->kind != KQL_NAMED) {
        named = expression_new(parser, KQL_NAMED, value->place.at);
        named->left = value;
    }
    if (parser_take_word(parser, "to")) {
        if (!parser_at_word(parser, "typeof"))
            parser_expected(parser, "typeof");
        else
            named->right = parse_primary(parser);
    }
    named->place = parser_since(parser, named->place.at);
    return named;
}

static void read_mv_expand(struct kql_parser *parser, struct kql_operator *operator)
{
    read_parameters(parser, operator);
    operator->items = parse_list(parser, parse_expanded);
    if (!parser_failed(parser) && parser_take_word(parser, "limit"))
        operator->limit = parse_expression(parser);
}

static void read_mv_apply(struct kql_parser *parser, struct kql_operator *operator)
{
    read_mv_expand(parser, operator);
    if (parser_failed(parser) || !parser_want_word(parser, "on") || !parser_want(parser, '('))
        return;
    operator->pipeline = parse_body(parser);
    (void)parser_want(parser, ')');
}

static struct kql_pattern *parse_pattern(struct kql_parser *parser)
{
    struct kql_pattern *pattern = ARENA_NEW(parser->arena, struct kql_pattern);

    pattern->place = parser->token->place;
    if (parser->token->kind == KQL_STRING) {
        pattern->literal = parse_text(parser); /* ['name'] behind it is a column, and no element of it */
    } else if (!parser_take(parser, '*')) {
        if (!parse_name(parser, false, &pattern->name))
            parser_expected(parser, "a text, * or a column");
        else if (parser_take(parser, ':') && !parse_name(parser, false, &pattern->type))
            parser_expected(parser, "a type");
    }
    return pattern;
}

static void read_parse(struct kql_parser *parser, struct kql_operator *operator)
{
    struct kql_pattern **end = &operator->pattern;

    read_parameters(parser, operator);
    operator->items = parse_expression(parser);
    if (parser_failed(parser) || !parser_want_word(parser, "with"))
        return;
    while (!parser_failed(parser) && !at_end(parser)) {
        *end = parse_pattern(parser);
        end = &(*end)->next;
    }
}

static void read_parse_kv(struct kql_parser *parser, struct kql_operator *operator)
{
    operator->items = parse_expression(parser);
    if (parser_failed(parser) || !parser_want_word(parser, "as") || !parser_want(parser, '('))
        return;
    operator->schema = parse_columns(parser, ')');
    read_with(parser, operator);
}

/* avg(x) default=0: a KQL_NAMED with the value on its right. */
static struct kql_expression *parse_series(struct kql_parser *parser)
{
    struct kql_expression *value = parse_named_expression(parser), *named = value;

    if (!value)
        return NULL;
    if (value->kind != KQL_NAMED) {
        named = expression_new(parser, KQL_NAMED, value->place.at);
        named->left = value;
    }
    if (parser_take_word(parser, "default") && parser_want(parser, '='))
        named->right = parse_expression(parser);
    named->place = parser_since(parser, named->place.at);
    return parser_failed(parser) ? NULL : named;
}

static void read_make_series(struct kql_parser *parser, struct kql_operator *operator)
{
    read_parameters(parser, operator);
    operator->items = parse_list(parser, parse_series);
    if (parser_failed(parser) || !parser_want_word(parser, "on"))
        return;
    operator->on = parse_sum(parser);
    if (!parser_failed(parser) && parser_take_word(parser, "in")) { /* in range(from, to, step) */
        operator->from = parse_primary(parser);
    } else {
        if (!parser_failed(parser) && parser_take_word(parser, "from"))
            operator->from = parse_expression(parser);
        if (!parser_failed(parser) && parser_take_word(parser, "to"))
            operator->to = parse_expression(parser);
        if (!parser_failed(parser) && parser_want_word(parser, "step"))
            operator->step = parse_expression(parser);
    }
    read_by(parser, operator);
}

static void read_evaluate(struct kql_parser *parser, struct kql_operator *operator)
{
    read_parameters(parser, operator);
    operator->items = parse_primary(parser);
    if (!parser_failed(parser) && operator->items->kind != KQL_CALL)
        kql_wrong(parser->wrong, "syntax.expected", operator->items->place, "evaluate is followed by a plug-in with its arguments");
    if (!parser_failed(parser) && parser_take(parser, ':') && parser_want(parser, '('))
        operator->schema = parse_columns(parser, ')');
}

static void read_invoke(struct kql_parser *parser, struct kql_operator *operator)
{
    operator->items = parse_primary(parser);
    if (!parser_failed(parser) && operator->items->kind != KQL_CALL)
        kql_wrong(parser->wrong, "syntax.expected", operator->items->place, "invoke is followed by a function with its arguments");
}

static void read_as(struct kql_parser *parser, struct kql_operator *operator)
{
    read_parameters(parser, operator);
    if (!parse_name(parser, false, &operator->name))
        parser_expected(parser, "a name");
}

static void read_render(struct kql_parser *parser, struct kql_operator *operator)
{
    struct kql_parameter **end = &operator->parameters;

    if (!parse_name(parser, false, &operator->name))
        parser_expected(parser, "the kind of a chart");
    /* kind=stacked title="x" without parentheses, as it was written once */
    while (!parser_failed(parser) && parser->token->kind == KQL_NAME && KQL_MARK_IS(&parser->token[1], '=')) {
        *end = parse_parameter(parser);
        end = &(*end)->next;
    }
    read_with(parser, operator);
}

static void read_partition(struct kql_parser *parser, struct kql_operator *operator)
{
    read_parameters(parser, operator);
    if (!parser_want_word(parser, "by"))
        return;
    operator->by = parse_wildcard(parser); /* the parentheses behind it are no call's */
    if (parser_failed(parser))
        return;
    if (parser_take(parser, '{')) {
        operator->pipeline = parse_pipeline(parser);
        (void)parser_want(parser, '}');
    } else if (parser_want(parser, '(')) {
        operator->pipeline = parse_body(parser);
        (void)parser_want(parser, ')');
    }
}

/* top-nested 3 of a with others="rest" by count(), top-nested 2 of b by sum(c) */
static void read_top_nested(struct kql_parser *parser, struct kql_operator *operator)
{
    struct kql_operator **end = &operator->levels;

    for (;;) {
        struct kql_operator *level = ARENA_NEW(parser->arena, struct kql_operator);
        size_t tokens;
        level->kind = KQL_TOP_NESTED;
        level->place = parser->token->place;
        *end = level;
        end = &level->next;
        if (!parser_at_word(parser, "of"))
            level->limit = parse_expression(parser);
        if (parser_failed(parser) || !parser_want_word(parser, "of"))
            return;
        level->items = parse_named_expression(parser);
        if (!parser_failed(parser) && parser_take_word(parser, "with") && parser_want_word(parser, "others") && parser_want(parser, '='))
            level->on = parse_expression(parser);
        if (parser_failed(parser) || !parser_want_word(parser, "by"))
            return;
        level->by = parse_ordered(parser);
        if (parser_failed(parser) || !parser_take(parser, ','))
            return;
        if (!text_equal(parser_hyphenated(parser, &tokens), TEXT("top-nested"))) {
            parser_expected(parser, "top-nested");
            return;
        }
        parser->token += tokens;
    }
}

static void read_sample_distinct(struct kql_parser *parser, struct kql_operator *operator)
{
    operator->limit = parse_expression(parser);
    if (!parser_failed(parser) && parser_want_word(parser, "of"))
        operator->items = parse_expression(parser);
}

/* in (T1, T2*) */
static void read_tables(struct kql_parser *parser, struct kql_operator *operator)
{
    if (!parser_at_word(parser, "in") || !KQL_MARK_IS(&parser->token[1], '('))
        return;
    parser->token += 2;
    operator->by = parse_list(parser, parse_leg);
    (void)parser_want(parser, ')');
}

static void read_search(struct kql_parser *parser, struct kql_operator *operator)
{
    read_parameters(parser, operator);
    read_tables(parser, operator);
    parser->searching = true;
    if (!parser_failed(parser))
        operator->items = parser_at(parser, '*') ? parse_item_or_star(parser) : parse_expression(parser);
    parser->searching = false;
}

static struct kql_expression *parse_found(struct kql_parser *parser)
{
    struct kql_expression *column = parse_named_expression(parser);

    if (column && parser_take(parser, ':')) {
        column->schema = ARENA_NEW(parser->arena, struct kql_column);
        if (!parse_name(parser, false, &column->schema->type))
            parser_expected(parser, "a type");
    }
    return parser_failed(parser) ? NULL : column;
}

static void read_find(struct kql_parser *parser, struct kql_operator *operator)
{
    size_t tokens;

    read_parameters(parser, operator);
    read_tables(parser, operator);
    (void)parser_take_word(parser, "where");
    if (!parser_failed(parser))
        operator->items = parse_expression(parser);
    if (parser_failed(parser))
        return;
    if (text_equal(parser_hyphenated(parser, &tokens), TEXT("project-smart")))
        parser->token += tokens;
    else if (parser_take_word(parser, "project"))
        operator->on = parse_list(parser, parse_found);
}

/* Literals alone, with a sign at most. */
static struct kql_expression *parse_constant(struct kql_parser *parser)
{
    size_t sign = parser_at(parser, '-') || parser_at(parser, '+');
    const struct kql_token *token = &parser->token[sign];
    bool word = token->kind == KQL_NAME && (parser_at_truth(parser) || parser_at_word(parser, "dynamic"));

    if ((token->kind == KQL_NAME && !word) || token->kind == KQL_MARK || token->kind == KQL_END) {
        parser_expected(parser, "a literal");
        return NULL;
    }
    return parse_signed(parser);
}

static void read_datatable(struct kql_parser *parser, struct kql_operator *operator)
{
    struct kql_expression **end = &operator->items;

    read_parameters(parser, operator);
    if (!parser_want(parser, '('))
        return;
    operator->schema = parse_columns(parser, ')');
    if (parser_failed(parser) || !parser_want(parser, '['))
        return;
    (void)parser_take(parser, ',');
    while (!parser_failed(parser) && !parser_at(parser, ']')) { /* a comma may stand before the first value and behind the last */
        *end = parse_constant(parser);
        if (*end)
            end = &(*end)->next;
        if (!parser_take(parser, ','))
            break;
    }
    (void)parser_want(parser, ']');
}

static void read_externaldata(struct kql_parser *parser, struct kql_operator *operator)
{
    if (!parser_want(parser, '('))
        return;
    operator->schema = parse_columns(parser, ')');
    if (parser_failed(parser) || !parser_want(parser, '['))
        return;
    operator->items = parse_list(parser, parse_expression);
    (void)parser_want(parser, ']');
    read_with(parser, operator);
}

static void read_range(struct kql_parser *parser, struct kql_operator *operator)
{
    if (!parse_name(parser, false, &operator->name))
        parser_expected(parser, "a name");
    if (!parser_failed(parser) && parser_want_word(parser, "from"))
        operator->from = parse_expression(parser);
    if (!parser_failed(parser) && parser_want_word(parser, "to"))
        operator->to = parse_expression(parser);
    if (!parser_failed(parser) && parser_want_word(parser, "step"))
        operator->step = parse_expression(parser);
}

/* Up to the next bar of its own level. */
static void read_opaque(struct kql_parser *parser, struct kql_operator *operator)
{
    unsigned depth = 0;

    (void)operator;
    while (parser->token->kind != KQL_END && (depth || !at_end(parser))) {
        bool opens = parser_at(parser, '(') || parser_at(parser, '[') || parser_at(parser, '{');
        bool closes = parser_at(parser, ')') || parser_at(parser, ']') || parser_at(parser, '}');
        depth = depth + opens - (closes && depth);
        parser_next(parser);
    }
}

/* ---- statements ---- */

/* Whether what stands in the parentheses here is a function's parameters: a brace follows them. */
static bool is_lambda(const struct kql_parser *parser)
{
    const struct kql_token *token = parser->token;
    unsigned depth = 0;

    if (parser_at_word(parser, "view"))
        token++;
    if (!KQL_MARK_IS(token, '('))
        return false;
    for (; token->kind != KQL_END; token++) {
        depth += KQL_MARK_IS(token, '(');
        depth -= KQL_MARK_IS(token, ')');
        if (!depth)
            return KQL_MARK_IS(&token[1], '{');
    }
    return false;
}

static struct kql_expression *parse_lambda(struct kql_parser *parser)
{
    struct kql_expression *lambda = expression_new(parser, KQL_LAMBDA, parser->token->place.at);

    lambda->function = ARENA_NEW(parser->arena, struct kql_function);
    lambda->function->is_view = parser_take_word(parser, "view");
    (void)parser_want(parser, '(');
    lambda->function->parameters = parse_columns(parser, ')');
    if (!parser_failed(parser) && parser_want(parser, '{') && parser_enter(parser))
        lambda->function->body = parse_statements(parser, true);
    parser_leave(parser);
    (void)parser_want(parser, '}');
    lambda->place = parser_since(parser, lambda->place.at);
    return parser_failed(parser) ? NULL : lambda;
}

static struct kql_expression *parse_let_value(struct kql_parser *parser)
{
    return is_lambda(parser) ? parse_lambda(parser) : parse_subquery(parser);
}

static struct kql_statement *parse_statement(struct kql_parser *parser)
{
    struct kql_statement *statement = ARENA_NEW(parser->arena, struct kql_statement);
    const struct kql_token *next = &parser->token[1];
    uint32_t at = parser->token->place.at;
    bool named = next->kind == KQL_NAME || KQL_MARK_IS(next, '[');

    statement->kind = KQL_QUERY;
    if (named && parser_take_word(parser, "let")) {
        statement->kind = KQL_LET;
        if (!parse_name(parser, false, &statement->name))
            parser_expected(parser, "a name");
        if (!parser_failed(parser) && parser_want(parser, '='))
            statement->value = parse_let_value(parser);
    } else if (named && parser_take_word(parser, "set")) {
        statement->kind = KQL_SET;
        (void)parse_name(parser, false, &statement->name);
        if (parser_take(parser, '='))
            statement->value = parse_primary(parser);
    } else if (named && parser_take_word(parser, "alias")) {
        statement->kind = KQL_ALIAS;
        (void)parser_want_word(parser, "database");
        if (!parse_name(parser, false, &statement->name))
            parser_expected(parser, "a name");
        if (!parser_failed(parser) && parser_want(parser, '='))
            statement->value = parse_expression(parser);
    } else if (named && parser_take_word(parser, "declare")) {
        statement->kind = KQL_DECLARE;
        if (parser_want_word(parser, "query_parameters") && parser_want(parser, '('))
            statement->schema = parse_columns(parser, ')');
    } else if (named && parser_take_word(parser, "restrict")) {
        statement->kind = KQL_RESTRICT;
        if (parser_want_word(parser, "access") && parser_want_word(parser, "to") && parser_want(parser, '(')) {
            statement->value = parse_list(parser, parse_leg);
            (void)parser_want(parser, ')');
        }
    } else {
        statement->value = parse_subquery(parser);
    }
    statement->place = parser_since(parser, at);
    return statement;
}

struct kql_statement *parse_statements(struct kql_parser *parser, bool braced)
{
    struct kql_statement *first = NULL, **end = &first;

    for (;;) {
        if (parser_failed(parser) || parser->token->kind == KQL_END || (braced && parser_at(parser, '}')))
            break;
        *end = parse_statement(parser);
        end = &(*end)->next;
        if (!parser_take(parser, ';') && parser->token->kind != KQL_END && !(braced && parser_at(parser, '}')))
            parser_expected(parser, "an operator or the end of the statement");
    }
    return first;
}
