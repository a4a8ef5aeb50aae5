#include "kql/parser.h"

#include <string.h>

/* One function per level of precedence, the loosest first: or, and, comparisons and text operators, sums, products, signs,
 * and what follows a value (.name, [index]). */
static struct kql_expression *parse_or(struct kql_parser *parser);
static struct kql_expression *parse_and(struct kql_parser *parser);
static struct kql_expression *parse_equality(struct kql_parser *parser);
static struct kql_expression *parse_relation(struct kql_parser *parser);
static struct kql_expression *parse_text_operator(struct kql_parser *parser);
static struct kql_expression *parse_product(struct kql_parser *parser);
static struct kql_expression *parse_between(struct kql_parser *parser, struct kql_expression *left);
static struct kql_expression *parse_in(struct kql_parser *parser, struct kql_expression *left, struct text word);
static struct kql_expression *parse_call(struct kql_parser *parser, struct kql_expression *left, const struct kql_name *name,
                                         uint32_t at);
static struct kql_expression *parse_literal(struct kql_parser *parser);
static struct kql_expression *parse_json(struct kql_parser *parser);
static struct kql_expression *parse_json_list(struct kql_parser *parser, char close, bool is_bag);
static struct kql_expression *parse_typeof(struct kql_parser *parser, uint32_t at);
static struct kql_expression *parse_parenthesised(struct kql_parser *parser);

/* Words between two values, each also with an exclamation mark before it where `negatable`. */
static const struct {
    const char *word;
    bool negatable, takes_list;
} text_operators[] = {
    {"has", true, false},           {"has_cs", true, false},         {"hasprefix", true, false},
    {"hasprefix_cs", true, false},  {"hassuffix", true, false},      {"hassuffix_cs", true, false},
    {"contains", true, false},      {"contains_cs", true, false},    {"startswith", true, false},
    {"startswith_cs", true, false}, {"endswith", true, false},       {"endswith_cs", true, false},
    {"like", false, false},         {"likecs", false, false},        {"notlike", false, false},
    {"notlikecs", false, false},    {"notcontains", false, false},   {"notcontainscs", false, false},
    {"containscs", false, false},   {"in", true, true},              {"in~", true, true},
    {"has_any", false, true},       {"has_all", false, true},
};

struct kql_expression *expression_new(struct kql_parser *parser, enum kql_expression_kind kind, uint32_t at)
{
    struct kql_expression *expression = ARENA_NEW(parser->arena, struct kql_expression);

    expression->kind = kind;
    expression->place.at = at;
    return expression;
}

/* Its place goes up to the last token taken. */
static struct kql_expression *finished(struct kql_parser *parser, struct kql_expression *expression)
{
    expression->place = parser_since(parser, expression->place.at);
    return parser_failed(parser) ? NULL : expression;
}

/* Whoever walks the tree goes down its left side, so that has an end. */
static void chained(struct kql_parser *parser, struct kql_expression *outer)
{
    outer->chain = (uint16_t)(outer->left->chain + 1);
    if (outer->chain > KQL_CHAIN_MAX)
        kql_wrong(parser->wrong, "syntax.too_deep", parser->token->place, "more than %d values are strung together", KQL_CHAIN_MAX);
}

static struct kql_expression *binary(struct kql_parser *parser, enum kql_operator_sign sign, struct kql_expression *left,
                                     struct kql_expression *right)
{
    struct kql_expression *both = expression_new(parser, KQL_BINARY, left->place.at);

    both->sign = sign;
    both->left = left;
    both->right = right;
    chained(parser, both);
    return right ? finished(parser, both) : NULL;
}

struct kql_expression *parse_expression(struct kql_parser *parser)
{
    struct kql_expression *expression = NULL;

    if (parser_enter(parser))
        expression = parse_or(parser);
    parser_leave(parser);
    return parser_failed(parser) ? NULL : expression;
}

static struct kql_expression *parse_or(struct kql_parser *parser)
{
    struct kql_expression *left = parse_and(parser);

    while (left && parser_take_word(parser, "or"))
        left = binary(parser, KQL_OR, left, parse_and(parser));
    return left;
}

static struct kql_expression *parse_and(struct kql_parser *parser)
{
    struct kql_expression *left = parse_equality(parser);

    while (left && parser_take_word(parser, "and"))
        left = binary(parser, KQL_AND, left, parse_equality(parser));
    return left;
}

static bool comparison_sign(const struct kql_parser *parser, enum kql_operator_sign *out)
{
    static const struct {
        const char *mark;
        enum kql_operator_sign sign;
    } signs[] = {
        {"==", KQL_EQUAL},         {"!=", KQL_NOT_EQUAL},     {"<>", KQL_NOT_EQUAL}, {"=~", KQL_EQUAL_NOCASE}, {"!~", KQL_NOT_EQUAL_NOCASE},
        {"<=", KQL_LESS_EQUAL},    {">=", KQL_GREATER_EQUAL}, {"<", KQL_LESS},       {">", KQL_GREATER},
    };

    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        bool there = signs[i].mark[1] ? parser_at_pair(parser, signs[i].mark) : parser_at(parser, signs[i].mark[0]);
        if (!there)
            continue;
        *out = signs[i].sign;
        return true;
    }
    return false;
}

/* has, !has, in~ …: how many tokens that is, 0 when there is none. */
static size_t text_operator(const struct kql_parser *parser, struct text *word, bool *takes_list)
{
    const struct kql_token *token = parser->token;
    size_t negated = KQL_MARK_IS(token, '!') && !token[1].spaced;

    if (token[negated].kind != KQL_NAME)
        return 0;
    struct kql_place place = token[negated].place;
    for (size_t i = 0; i < sizeof text_operators / sizeof *text_operators; i++) {
        if (!text_equal(kql_text(parser->source, place), text_of(text_operators[i].word)) ||
            (negated && !text_operators[i].negatable))
            continue;
        *takes_list = text_operators[i].takes_list;
        *word = kql_text(parser->source, (struct kql_place){token->place.at, place.at + place.count - token->place.at});
        return negated + 1;
    }
    return 0;
}

/* Each of the three levels of comparison has one at most: a == b == c is nothing. */
static struct kql_expression *parse_equality(struct kql_parser *parser)
{
    struct kql_expression *left = parse_relation(parser);
    bool negated = parser_at(parser, '!') && !parser->token[1].spaced &&
                   text_equal(kql_text(parser->source, parser->token[1].place), TEXT("between"));
    enum kql_operator_sign sign;
    struct text word;
    bool takes_list;
    size_t tokens;

    if (!left)
        return NULL;
    if (comparison_sign(parser, &sign) && sign < KQL_LESS) {
        parser_next(parser);
        return binary(parser, sign, left, parse_relation(parser));
    }
    if (negated || parser_at_word(parser, "between"))
        return parse_between(parser, left);
    tokens = text_operator(parser, &word, &takes_list);
    if (!tokens || !takes_list)
        return left;
    parser->token += tokens;
    return parse_in(parser, left, word);
}

static struct kql_expression *parse_relation(struct kql_parser *parser)
{
    struct kql_expression *left = parse_text_operator(parser);
    enum kql_operator_sign sign;

    if (!left || !comparison_sign(parser, &sign) || sign < KQL_LESS)
        return left;
    parser_next(parser);
    return binary(parser, sign, left, parse_text_operator(parser));
}

static struct kql_expression *parse_text_operator(struct kql_parser *parser)
{
    struct kql_expression *left = parse_sum(parser);
    struct text word = TEXT("matches regex");
    bool takes_list = false;
    size_t tokens = 0;

    if (!left)
        return NULL;
    if (parser_at_word(parser, "matches") && text_equal(kql_text(parser->source, parser->token[1].place), TEXT("regex"))) {
        tokens = 2;
    } else if (parser->searching && parser_at(parser, ':')) {
        word = TEXT(":");
        tokens = 1;
    } else {
        tokens = text_operator(parser, &word, &takes_list);
    }
    if (!tokens || takes_list)
        return left;
    parser->token += tokens;
    left = binary(parser, KQL_TEXT_OPERATOR, left, parse_sum(parser));
    if (left)
        left->word = word;
    return left;
}

static struct kql_expression *parse_between(struct kql_parser *parser, struct kql_expression *left)
{
    struct kql_expression *between = expression_new(parser, KQL_BETWEEN, left->place.at);

    between->left = left;
    between->negated = parser_take(parser, '!');
    parser_next(parser);
    if (!parser_want(parser, '('))
        return NULL;
    between->items = parse_sum(parser);
    if (!between->items)
        return NULL;
    if (!parser_take_pair(parser, "..")) {
        parser_expected(parser, "..");
        return NULL;
    }
    between->items->next = parse_sum(parser);
    (void)parser_want(parser, ')');
    return finished(parser, between);
}

static struct kql_expression *parse_in(struct kql_parser *parser, struct kql_expression *left, struct text word)
{
    struct kql_expression *in = expression_new(parser, KQL_IN, left->place.at);

    in->left = left;
    in->word = word;
    if (!parser_want(parser, '('))
        return NULL;
    in->items = parse_list(parser, parse_subquery);
    (void)parser_want(parser, ')');
    return finished(parser, in);
}

struct kql_expression *parse_sum(struct kql_parser *parser)
{
    struct kql_expression *left = parse_product(parser);

    while (left && (parser_at(parser, '+') || parser_at(parser, '-'))) {
        enum kql_operator_sign sign = parser_at(parser, '+') ? KQL_ADD : KQL_SUBTRACT;
        parser_next(parser);
        left = binary(parser, sign, left, parse_product(parser));
    }
    return left;
}

static struct kql_expression *parse_product(struct kql_parser *parser)
{
    struct kql_expression *left = parse_signed(parser);

    while (left && (parser_at(parser, '*') || parser_at(parser, '/') || parser_at(parser, '%'))) {
        enum kql_operator_sign sign = parser_at(parser, '*') ? KQL_MULTIPLY : parser_at(parser, '/') ? KQL_DIVIDE : KQL_MODULO;
        parser_next(parser);
        left = binary(parser, sign, left, parse_signed(parser));
    }
    return left;
}

struct kql_expression *parse_signed(struct kql_parser *parser)
{
    struct kql_expression *signed_one;

    if (!parser_at(parser, '-') && !parser_at(parser, '+'))
        return parse_primary(parser);
    signed_one = expression_new(parser, KQL_SIGNED, parser->token->place.at);
    signed_one->negated = parser_at(parser, '-');
    parser_next(parser);
    signed_one->left = parse_primary(parser);
    return finished(parser, signed_one);
}

/* Words that are no name of a column unless they stand in brackets. */
static bool is_reserved(const struct kql_parser *parser, const struct kql_name *name, bool called)
{
    static const char *const words[] = {
        "and", "as", "asc", "between", "by", "contains", "desc", "endswith", "find", "first", "has", "has_all", "has_any", "in",
        "invoke", "last", "missing", "of", "or", "others", "print", "project", "startswith", "to", "union", "where", "has_cs",
        "hasprefix", "hassuffix", "contains_cs", "endswith_cs", "startswith_cs", "hasprefix_cs", "hassuffix_cs",
        "datatable", "external_data", "externaldata", "materialize", "toscalar", "totable", /* which are called */
    };
    size_t count = sizeof words / sizeof *words - (called ? 6 : 0);

    if (kql_text(parser->source, name->place).bytes[0] == '[')
        return false;
    for (size_t i = 0; i < count; i++)
        if (text_equal(name->text, text_of(words[i])))
            return true;
    return false;
}

/* * has "x", * == "x": any column. */
static bool star_compares(struct kql_parser *parser)
{
    struct kql_parser after = *parser;
    struct text word;
    bool takes_list = false;

    after.token++;
    return parser_at_pair(&after, "==") || parser_at_pair(&after, "=~") || parser_at_word(&after, "matches") ||
           (text_operator(&after, &word, &takes_list) && !takes_list);
}

struct kql_expression *parse_item_or_star(struct kql_parser *parser)
{
    uint32_t at = parser->token->place.at;

    if (!parser_at(parser, '*') || star_compares(parser))
        return parse_expression(parser);
    parser_next(parser);
    return finished(parser, expression_new(parser, KQL_ALL, at));
}

/* A value without what follows it. */
static struct kql_expression *parse_first(struct kql_parser *parser)
{
    uint32_t at = parser->token->place.at;
    struct kql_name name;

    if (parser->token->kind != KQL_NAME && parser->token->kind != KQL_MARK)
        return parse_literal(parser);
    if (parser_at(parser, '('))
        return parse_parenthesised(parser);
    if (parser_at(parser, '*') && star_compares(parser)) {
        parser_next(parser);
        return finished(parser, expression_new(parser, KQL_ALL, at));
    }
    if (parser_at_truth(parser))
        return parse_literal(parser);
    if (!parse_name(parser, false, &name)) {
        parser_expected(parser, "a value");
        return NULL;
    }
    if (!parser_at(parser, '(')) {
        struct kql_expression *reference = expression_new(parser, KQL_REFERENCE, at);
        if (is_reserved(parser, &name, false))
            kql_wrong(parser->wrong, "syntax.reserved", name.place, "the name %.*s has to be written ['%.*s']",
                      TEXT_ARGS(name.text), TEXT_ARGS(name.text));
        reference->name = name;
        return finished(parser, reference);
    }
    if (is_reserved(parser, &name, true))
        kql_wrong(parser->wrong, "syntax.reserved", name.place, "a value should stand here, and not %.*s", TEXT_ARGS(name.text));
    if (text_equal(name.text, TEXT("dynamic"))) {
        struct kql_expression *dynamic = expression_new(parser, KQL_DYNAMIC, at);
        parser_next(parser);
        dynamic->left = parse_json(parser);
        (void)parser_want(parser, ')');
        return finished(parser, dynamic);
    }
    return text_equal(name.text, TEXT("typeof")) ? parse_typeof(parser, at) : parse_call(parser, NULL, &name, at);
}

struct kql_expression *parse_primary(struct kql_parser *parser)
{
    struct kql_expression *left = parse_first(parser), *outer;
    struct kql_name name;

    while (left && (parser_at(parser, '.') || parser_at(parser, '['))) {
        bool dotted = parser_at(parser, '.') && KQL_MARK_IS(&parser->token[1], '['); /* x.[0] is x[0] */
        if (dotted)
            parser_next(parser);
        if (parser_take(parser, '[')) {
            outer = expression_new(parser, KQL_ELEMENT, left->place.at);
            outer->right = parse_expression(parser);
            (void)parser_want(parser, ']');
        } else {
            parser_next(parser);
            if (!parse_name(parser, false, &name)) {
                parser_expected(parser, "the name of a member");
                return NULL;
            }
            if (parser_at(parser, '(') && kql_text(parser->source, name.place).bytes[0] != '[') {
                left = parse_call(parser, left, &name, left->place.at);
                continue;
            }
            outer = expression_new(parser, KQL_MEMBER, left->place.at);
            outer->name = name;
        }
        outer->left = left;
        chained(parser, outer);
        left = finished(parser, outer);
    }
    return left;
}

static struct kql_expression *parse_call(struct kql_parser *parser, struct kql_expression *left, const struct kql_name *name,
                                         uint32_t at)
{
    struct kql_expression *call = expression_new(parser, KQL_CALL, at);

    call->name = *name;
    call->left = left;
    parser_next(parser);
    call->items = parse_arguments(parser);
    return finished(parser, call);
}

struct kql_expression *parse_list(struct kql_parser *parser, struct kql_expression *(*one)(struct kql_parser *parser))
{
    struct kql_expression *first = NULL, **end = &first;

    do {
        *end = one(parser);
        if (!*end)
            return NULL;
        end = &(*end)->next;
    } while (parser_take(parser, ','));
    return parser_failed(parser) ? NULL : first;
}

/* A pipeline needs no parentheses of its own within those of a call. */
static struct kql_expression *parse_argument(struct kql_parser *parser)
{
    const struct kql_token *token = parser->token;
    struct kql_expression *named;

    if (token->kind != KQL_NAME || !KQL_MARK_IS(&token[1], '='))
        return parser_at(parser, '*') ? parse_item_or_star(parser) : parse_subquery(parser);
    named = expression_new(parser, KQL_NAMED, token->place.at);
    named->names = expression_new(parser, KQL_REFERENCE, token->place.at);
    (void)parse_name(parser, false, &named->names->name);
    parser_next(parser);
    named->left = parse_subquery(parser);
    return finished(parser, named);
}

struct kql_expression *parse_arguments(struct kql_parser *parser)
{
    struct kql_expression *items;

    if (parser_take(parser, ')'))
        return NULL;
    items = parse_list(parser, parse_argument);
    (void)parser_want(parser, ')');
    return items;
}

/* "(a, b) =": how many tokens up to the equals sign, 0 when it is not that. */
static size_t names_in_parentheses(const struct kql_parser *parser)
{
    const struct kql_token *token = parser->token;
    size_t i = 1;

    if (!KQL_MARK_IS(token, '('))
        return 0;
    for (;; i++) {
        if (token[i].kind != KQL_NAME)
            return 0;
        i++;
        if (KQL_MARK_IS(&token[i], ')'))
            return KQL_MARK_IS(&token[i + 1], '=') ? i + 1 : 0;
        if (!KQL_MARK_IS(&token[i], ','))
            return 0;
    }
}

/* Of what gets a name here. Fewer words are no names there than where one is read. */
static struct kql_expression *parse_reference(struct kql_parser *parser)
{
    static const char *const words[] = {"and",  "asc",     "between", "desc",  "first",      "has_all",       "has_any",
                                        "last", "missing", "or",      "others", "startswith", "startswith_cs", "endswith"};
    struct kql_expression *reference = expression_new(parser, KQL_REFERENCE, parser->token->place.at);

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (parser_at_word(parser, words[i]))
            kql_wrong(parser->wrong, "syntax.reserved", parser->token->place, "the name %s has to be written ['%s']", words[i], words[i]);
    if (!parse_name(parser, false, &reference->name))
        parser_expected(parser, "a name");
    return finished(parser, reference);
}

struct kql_expression *parse_named_expression(struct kql_parser *parser)
{
    const struct kql_token *token = parser->token;
    bool bracketed = KQL_MARK_IS(token, '[') && token[1].kind == KQL_STRING && KQL_MARK_IS(&token[2], ']') && KQL_MARK_IS(&token[3], '=');
    bool many = names_in_parentheses(parser) > 0;
    struct kql_expression *named;

    if (!bracketed && !many && !(token->kind == KQL_NAME && KQL_MARK_IS(&token[1], '=')))
        return parse_expression(parser);
    named = expression_new(parser, KQL_NAMED, token->place.at);
    if (many) {
        parser_next(parser);
        named->names = parse_list(parser, parse_reference);
        (void)parser_want(parser, ')');
    } else {
        named->names = parse_reference(parser);
    }
    (void)parser_want(parser, '=');
    if (!parser_failed(parser))
        named->left = parse_expression(parser);
    return finished(parser, named);
}

struct kql_expression *parse_ordered(struct kql_parser *parser)
{
    struct kql_expression *value = parse_named_expression(parser), *ordered;
    size_t tokens;

    if (!value)
        return NULL;
    ordered = expression_new(parser, KQL_ORDERED, value->place.at);
    ordered->left = value;
    struct text word = parser_hyphenated(parser, &tokens);
    static const struct {
        const char *word;
        enum kql_order order;
    } orders[] = {{"asc", KQL_ASCENDING}, {"desc", KQL_DESCENDING}, {"granny-asc", KQL_GRANNY_ASCENDING}, {"granny-desc", KQL_GRANNY_DESCENDING}};
    for (size_t i = 0; i < sizeof orders / sizeof *orders && word.bytes; i++) {
        if (!text_equal(word, text_of(orders[i].word)))
            continue;
        ordered->order = orders[i].order;
        parser->token += tokens;
        break;
    }
    if (parser_take_word(parser, "nulls")) {
        if (parser_take_word(parser, "first"))
            ordered->nulls = KQL_NULLS_FIRST;
        else if (parser_want_word(parser, "last"))
            ordered->nulls = KQL_NULLS_LAST;
    }
    return finished(parser, ordered);
}

static struct kql_expression *parse_parenthesised(struct kql_parser *parser)
{
    struct kql_expression *inner = NULL;

    parser_next(parser);
    if (parser_enter(parser))
        inner = parse_subquery(parser);
    parser_leave(parser);
    (void)parser_want(parser, ')');
    return parser_failed(parser) ? NULL : inner;
}

/* ---- literals ---- */

static struct kql_expression *parse_literal(struct kql_parser *parser)
{
    struct kql_expression *literal;

    if (parser->token->kind == KQL_STRING)
        return parse_text(parser);
    if (parser->token->kind == KQL_END || parser->token->kind == KQL_MARK) {
        parser_expected(parser, "a value");
        return NULL;
    }
    literal = expression_new(parser, KQL_LITERAL, parser->token->place.at);
    literal->token = parser->token->kind;
    literal->text = parser_text(parser);
    parser_next(parser);
    return finished(parser, literal);
}

/* Those that follow one another are one. */
struct kql_expression *parse_text(struct kql_parser *parser)
{
    struct kql_expression *literal = expression_new(parser, KQL_LITERAL, parser->token->place.at);
    struct text one;
    struct buf all;

    literal->token = KQL_STRING;
    buf_init(&all, 2 * KQL_SOURCE_MAX);
    for (; parser->token->kind == KQL_STRING; parser_next(parser)) {
        if (!kql_string_value(parser_text(parser), parser->arena, &one))
            kql_wrong(parser->wrong, "syntax.string", parser->token->place, "this string has an escape that is none");
        else
            buf_text(&all, one);
    }
    literal->text = arena_text(parser->arena, all.count ? buf_as_text(&all) : TEXT(""));
    buf_done(&all);
    return finished(parser, literal);
}

/* Within dynamic(…): JSON, also with KQL's own strings, times and spans. */
static struct kql_expression *parse_json(struct kql_parser *parser)
{
    struct kql_expression *value = NULL;

    if (!parser_enter(parser)) {
        parser_leave(parser);
        return NULL;
    }
    if (parser_take(parser, '[')) {
        value = parse_json_list(parser, ']', false);
    } else if (parser_take(parser, '{')) {
        value = parse_json_list(parser, '}', true);
    } else if (parser_at(parser, '-') || parser_at(parser, '+')) {
        value = parse_signed(parser);
    } else if (parser_at_word(parser, "null") || parser_at_truth(parser) ||
               (parser->token->kind != KQL_NAME && parser->token->kind != KQL_MARK)) {
        value = parse_literal(parser);
    } else if (parser_at_word(parser, "dynamic")) {
        value = parse_first(parser);
    } else {
        parser_expected(parser, "JSON");
    }
    parser_leave(parser);
    return value;
}

static struct kql_expression *parse_bag_member(struct kql_parser *parser)
{
    struct kql_expression *member = expression_new(parser, KQL_BAG_MEMBER, parser->token->place.at);

    if (parser->token->kind != KQL_STRING || !kql_string_value(parser_text(parser), parser->arena, &member->text)) {
        parser_expected(parser, "the name of a member, in quotes,");
        return NULL;
    }
    parser_next(parser);
    if (parser_want(parser, ':'))
        member->left = parse_json(parser);
    return finished(parser, member);
}

static struct kql_expression *parse_json_list(struct kql_parser *parser, char close, bool is_bag)
{
    struct kql_expression *list = expression_new(parser, KQL_DYNAMIC, parser->token[-1].place.at);

    list->is_bag = is_bag;
    list->is_list = !is_bag;
    if (!parser_take(parser, close)) {
        list->items = parse_list(parser, is_bag ? parse_bag_member : parse_json);
        (void)parser_want(parser, close);
    }
    return finished(parser, list);
}

/* typeof(long), typeof(a:long, *). */
static struct kql_expression *parse_typeof(struct kql_parser *parser, uint32_t at)
{
    struct kql_expression *type = expression_new(parser, KQL_TYPE, at);

    parser_next(parser);
    type->schema = parse_columns(parser, ')');
    return finished(parser, type);
}
