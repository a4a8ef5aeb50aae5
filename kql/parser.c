#include "kql/parser.h"

#include <string.h>

enum status kql_parse(struct text source, struct arena *arena, struct kql_statement **out, struct kql_diagnostic *wrong)
{
    struct kql_parser parser = {.source = source, .arena = arena, .wrong = wrong};
    struct kql_tokens tokens;

    *wrong = (struct kql_diagnostic){.code = NULL};
    enum status status = kql_lex(source, arena, &tokens, wrong);
    if (status)
        return status;
    parser.token = tokens.list;
    *out = parse_statements(&parser, false);
    if (!parser_failed(&parser) && !*out)
        kql_wrong(wrong, "syntax.empty", parser.token->place, "there is no query");
    return parser_failed(&parser) ? STATUS_REJECT : STATUS_OK;
}

void parser_next(struct kql_parser *parser)
{
    if (parser->token->kind != KQL_END)
        parser->token++;
}

struct text parser_text(const struct kql_parser *parser)
{
    return kql_text(parser->source, parser->token->place);
}

bool parser_at(const struct kql_parser *parser, char mark)
{
    return KQL_MARK_IS(parser->token, mark);
}

bool parser_at_pair(const struct kql_parser *parser, const char *pair)
{
    return parser->token->kind == KQL_MARK && parser->token->mark == KQL_MARK_OF(pair[0], pair[1]);
}

bool parser_at_word(const struct kql_parser *parser, const char *word)
{
    return parser->token->kind == KQL_NAME && text_equal(parser_text(parser), text_of(word));
}

bool parser_at_truth(const struct kql_parser *parser)
{
    static const char *const words[] = {"true", "false", "True", "False", "TRUE", "FALSE"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (parser_at_word(parser, words[i]))
            return true;
    return false;
}

bool parser_take(struct kql_parser *parser, char mark)
{
    bool there = parser_at(parser, mark);

    if (there)
        parser_next(parser);
    return there;
}

bool parser_take_pair(struct kql_parser *parser, const char *pair)
{
    bool there = parser_at_pair(parser, pair);

    if (there)
        parser_next(parser);
    return there;
}

bool parser_take_word(struct kql_parser *parser, const char *word)
{
    bool there = parser_at_word(parser, word);

    if (there)
        parser_next(parser);
    return there;
}

bool parser_want(struct kql_parser *parser, char mark)
{
    char what[2] = {mark, 0};

    if (parser_take(parser, mark))
        return true;
    parser_expected(parser, what);
    return false;
}

bool parser_want_word(struct kql_parser *parser, const char *word)
{
    if (parser_take_word(parser, word))
        return true;
    parser_expected(parser, word);
    return false;
}

void parser_expected(struct kql_parser *parser, const char *what)
{
    struct text found = parser_text(parser);

    if (parser->token->kind == KQL_END)
        kql_wrong(parser->wrong, "syntax.expected", parser->token->place, "the query ends where %s should stand", what);
    else
        kql_wrong(parser->wrong, "syntax.expected", parser->token->place, "%.60s should stand here, and not %.*s", what,
                  (int)(found.count < 60 ? found.count : 60), found.bytes);
}

struct text parser_hyphenated(const struct kql_parser *parser, size_t *tokens)
{
    const struct kql_token *token = parser->token;

    *tokens = 0;
    if (token->kind != KQL_NAME)
        return TEXT_NONE;
    for (*tokens = 1; KQL_MARK_IS(&token[*tokens], '-') && !token[*tokens].spaced && token[*tokens + 1].kind == KQL_NAME &&
                      !token[*tokens + 1].spaced;)
        *tokens += 2;
    const struct kql_place *first = &token->place, *last = &token[*tokens - 1].place;
    return kql_text(parser->source, (struct kql_place){first->at, last->at + last->count - first->at});
}

bool parser_enter(struct kql_parser *parser)
{
    if (++parser->depth <= KQL_DEPTH_MAX)
        return true;
    kql_wrong(parser->wrong, "syntax.too_deep", parser->token->place, "the query nests deeper than %d levels", KQL_DEPTH_MAX);
    return false;
}

void parser_leave(struct kql_parser *parser)
{
    parser->depth--;
}

struct kql_place parser_since(const struct kql_parser *parser, uint32_t at)
{
    const struct kql_place *last = &parser->token[-1].place;

    return (struct kql_place){at, last->at + last->count > at ? last->at + last->count - at : 0};
}

/* ['a b'] is a name where no value stands before it. */
static bool bracketed_name(struct kql_parser *parser, struct kql_name *out)
{
    const struct kql_token *token = parser->token;

    if (!KQL_MARK_IS(token, '[') || token[1].kind != KQL_STRING || !KQL_MARK_IS(&token[2], ']'))
        return false;
    out->place = (struct kql_place){token->place.at, token[2].place.at + 1 - token->place.at};
    if (!kql_string_value(kql_text(parser->source, token[1].place), parser->arena, &out->text))
        kql_wrong(parser->wrong, "syntax.string", token[1].place, "this string has an escape that is none");
    parser->token += 3;
    return true;
}

/* Names and stars that touch each other: Device*, *_CL, a*b. */
static bool wildcard_name(struct kql_parser *parser, struct kql_name *out)
{
    const struct kql_token *token = parser->token;
    size_t count = 0;

    while ((token[count].kind == KQL_NAME || token[count].kind == KQL_INTEGER || KQL_MARK_IS(&token[count], '*')) &&
           (!count || !token[count].spaced))
        count++;
    if (!count || (token->kind == KQL_INTEGER))
        return false;
    const struct kql_place *last = &token[count - 1].place;
    out->place = (struct kql_place){token->place.at, last->at + last->count - token->place.at};
    out->text = kql_text(parser->source, out->place);
    parser->token += count;
    return true;
}

bool parse_name(struct kql_parser *parser, bool wildcards, struct kql_name *out)
{
    *out = (struct kql_name){.text = TEXT_NONE};
    if (bracketed_name(parser, out))
        return true;
    if (wildcards)
        return wildcard_name(parser, out);
    if (parser->token->kind != KQL_NAME)
        return false;
    *out = (struct kql_name){parser->token->place, parser_text(parser)};
    parser_next(parser);
    return true;
}

static bool is_type(struct text name)
{
    static const char *const types[] = {
        "bool", "boolean", "int", "int8", "int16", "int32", "int64", "uint", "uint8", "uint16", "uint32", "uint64", "ulong", "long", "real",
        "double", "float", "decimal", "string", "datetime", "date", "timespan", "time", "guid", "uuid", "uniqueid", "dynamic",
    };

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (text_equal(name, text_of(types[i])))
            return true;
    return false;
}

static struct kql_column *parse_column(struct kql_parser *parser)
{
    struct kql_column *column = ARENA_NEW(parser->arena, struct kql_column);

    if (parser_take(parser, '*')) {
        column->type = column->name = (struct kql_name){parser->token[-1].place, TEXT("*")};
        return column;
    }
    if (!parse_name(parser, false, &column->name)) {
        parser_expected(parser, "a name");
        return NULL;
    }
    if (text_equal(column->name.text, TEXT("true")) || text_equal(column->name.text, TEXT("false")))
        kql_wrong(parser->wrong, "syntax.reserved", column->name.place, "the name %.*s has to be written ['%.*s']", TEXT_ARGS(column->name.text),
                  TEXT_ARGS(column->name.text));
    if (is_type(column->name.text) && (parser_at(parser, ')') || parser_at(parser, ','))) {
        column->type = column->name; /* typeof(long) */
        column->name.text = TEXT("");
        return column;
    }
    if (!parser_want(parser, ':'))
        return column;
    if (parser_take(parser, '(')) {
        column->is_table = true;
        column->columns = parse_columns(parser, ')');
    } else if (!parse_name(parser, false, &column->type) || !is_type(column->type.text)) {
        kql_wrong(parser->wrong, "syntax.type", column->type.place, "%.*s is no type: there are bool, int, long, real, decimal, string, "
                  "datetime, timespan, guid and dynamic", (int)(column->type.text.count < 60 ? column->type.text.count : 60),
                  column->type.text.bytes ? column->type.text.bytes : "");
    }
    if (parser_take(parser, '='))
        column->otherwise = parse_expression(parser);
    return column;
}

struct kql_column *parse_columns(struct kql_parser *parser, char close)
{
    struct kql_column *first = NULL, **end = &first;

    if (parser_take(parser, close))
        return NULL;
    do {
        *end = parse_column(parser);
        if (!*end)
            return first;
        end = &(*end)->next;
    } while (!parser_failed(parser) && parser_take(parser, ','));
    (void)parser_want(parser, close);
    return first;
}
