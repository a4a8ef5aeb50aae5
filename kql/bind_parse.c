#include "kql/binder.h"

/* Columns cut out of texts. What is looked for goes to a helper function as a list of pieces; what it gives are the
 * texts of the columns, or null where the text is made otherwise. */

#define PIECES_BYTES_MAX 20000

static bool piece_type(struct binder *binder, const struct kql_name *name, enum kql_type *type)
{
    *type = TYPE_STRING;
    if (!name->text.bytes || kql_type_of(name->text, type))
        return true;
    binder_wrong(binder, "semantic.type", name->place, "%.*s is no type", TEXT_ARGS(name->text));
    return false;
}

/* ["text", {"is":"long"}, null for a star, …] */
static bool pieces_print(struct binder *binder, const struct scope *scope, const struct kql_pattern *pattern,
                         struct buf *out)
{
    enum kql_type type;
    struct text literal;

    buf_byte(out, '[');
    for (bool first = true; pattern; pattern = pattern->next, first = false) {
        buf_string(out, first ? "" : ",");
        if (pattern->literal) {
            if (!bind_constant_text(binder, scope, pattern->literal, &literal))
                return false;
            buf_json_string(out, literal);
        } else if (pattern->name.text.bytes) {
            if (!piece_type(binder, &pattern->type, &type))
                return false;
            buf_format(out, "{\"is\":\"%s\"}", kql_type_name(type));
        } else {
            buf_string(out, "null");
        }
    }
    buf_byte(out, ']');
    if (buf_failed(out))
        binder_wrong(binder, "semantic.too_large", (struct kql_place){0, 0}, "a pattern is at most %d bytes",
                     PIECES_BYTES_MAX);
    return !binder_failed(binder);
}

static struct bound_value *pieces_value(struct binder *binder, const struct scope *scope,
                                        const struct kql_operator *operator)
{
    struct bound_value *pieces = NULL;
    struct buf out;

    buf_init(&out, PIECES_BYTES_MAX);
    if (pieces_print(binder, scope, operator->pattern, &out)) {
        pieces = value_new(binder, BOUND_CONSTANT, TYPE_DYNAMIC, operator->place);
        pieces->text = arena_text(binder->arena, buf_as_text(&out));
    }
    buf_done(&out);
    return pieces;
}

/* The i-th text that was found, as a column. */
static bool show_found(struct binder *binder, struct bound_rows *rows, struct bound_column *found, unsigned i,
                       struct text name, enum kql_type type, struct kql_place place)
{
    struct bound_value *at = value_integer(binder, TYPE_LONG, i, place);
    struct bound_value *value = value_call2(binder, "!coalesce(%1 ->> (%2)::int, '')", TYPE_STRING,
                                            value_of_column(binder, found, place), at);

    if (type == TYPE_DYNAMIC)
        value = value_call1(binder, "@parse_json(%1)", TYPE_DYNAMIC, value);
    else
        value = value_convert(binder, value, type);
    if (!value)
        return false;
    struct bound_column *column = column_new(binder, name, type);
    rows_define(binder, rows, column, value);
    rows_replace(binder, rows, column);
    return true;
}

/* ---- kind=regex ---- */

/* Groups that the expression itself has. */
static unsigned groups_in(struct text pattern)
{
    bool inside = false;
    unsigned groups = 0;

    for (size_t i = 0; i < pattern.count; i++) {
        char byte = pattern.bytes[i], next = i + 1 < pattern.count ? pattern.bytes[i + 1] : 0;
        if (byte == '\\')
            i++;
        else if (byte == '[' || byte == ']')
            inside = byte == '[';
        else if (byte == '(' && !inside)
            groups += next != '?' || (i + 2 < pattern.count && (pattern.bytes[i + 2] == 'P' || pattern.bytes[i + 2] == '<'));
    }
    return groups;
}

/* The whole as one expression; `groups[i]` is where the i-th column stands in it. */
static bool expression_print(struct binder *binder, const struct scope *scope, const struct kql_operator *operator,
                             struct buf *out, unsigned *groups)
{
    struct text flags = operator_word(operator, "flags"), literal;
    const char *any = text_find(flags, 'U') < flags.count ? ".*?" : ".*";
    enum kql_type type;
    unsigned open = 0, i = 0;

    for (size_t at = 0; at < flags.count; at++) {
        if (!memchr("ismU", flags.bytes[at], 4))
            return binder_wrong(binder, "semantic.kind", operator->place, "flags are i, s, m and U, and not %c", flags.bytes[at]);
        if (flags.bytes[at] != 'U')
            buf_format(out, "(?%c)", flags.bytes[at]);
    }
    for (const struct kql_pattern *piece = operator->pattern; piece; piece = piece->next) {
        if (piece->literal) {
            if (!bind_constant_text(binder, scope, piece->literal, &literal))
                return false;
            bool repeats = memchr(literal.bytes, '*', literal.count) || memchr(literal.bytes, '+', literal.count) ||
                           memchr(literal.bytes, '?', literal.count) || memchr(literal.bytes, '{', literal.count);
            if (any[2] && repeats)
                return binder_wrong(binder, "unsupported.parse_regex", piece->place,
                                    "the flag U beside repetitions of one's own is not supported");
            bool chosen = memchr(literal.bytes, '|', literal.count) != NULL;
            buf_format(out, chosen ? "(?:%.*s)" : "%.*s", TEXT_ARGS(literal));
            open += groups_in(literal);
        } else if (!piece->name.text.bytes) {
            buf_string(out, any);
        } else {
            if (!piece_type(binder, &piece->type, &type))
                return false;
            groups[i++] = ++open;
            buf_format(out, "(%s)", type == TYPE_LONG || type == TYPE_INT ? "-?\\d+" : any);
        }
    }
    if (buf_failed(out))
        binder_wrong(binder, "semantic.too_large", operator->place, "a pattern is at most %d bytes", PIECES_BYTES_MAX);
    return !binder_failed(binder);
}

/* All pieces are one regular expression, texts as they are written: `.*` stands for * and for columns, -?\d+ for those that
 * are whole numbers. Facts: Kusto's documentation of parse, and what its emulator takes. */
static struct bound_rows *parse_by_expression(struct binder *binder, const struct scope *scope, const struct kql_operator *operator,
                                              struct bound_rows *input, struct text whole, const unsigned *groups)
{
    struct bound_rows *rows = rows_new(binder, ROWS_EXTEND, input, operator->place);
    struct scope here = scope_of(scope, input);
    struct bound_value *text = bind_value_as(binder, &here, operator->items, TYPE_STRING, "what is parsed");
    struct bound_value *expression = value_text(binder, whole, operator->place);
    enum kql_type type = TYPE_STRING;
    unsigned i = 0;

    for (const struct kql_pattern *piece = text ? operator->pattern : NULL; piece; piece = piece->next) {
        if (piece->literal || !piece->name.text.bytes || !piece_type(binder, &piece->type, &type))
            continue;
        struct bound_value **arguments = ARENA_ARRAY(binder->arena, struct bound_value *, 3);
        arguments[0] = expression;
        arguments[1] = value_integer(binder, TYPE_LONG, groups[i++], piece->place);
        arguments[2] = text;
        struct bound_value *value = bind_signature(binder, FUNCTION_SCALAR, TEXT("extract"), piece->place, arguments, 3);
        value = value ? value_convert(binder, value, type) : NULL;
        if (!value)
            return NULL;
        struct bound_column *column = column_new(binder, piece->name.text, type);
        rows_define(binder, rows, column, value);
        rows_replace(binder, rows, column);
    }
    if (!text || operator->kind == KQL_PARSE)
        return binder_failed(binder) ? NULL : rows;
    struct bound_value *sides[2] = {text, expression};
    struct bound_value *matches = bind_operator(binder, "matches regex", operator->place, sides, 2);
    return matches ? rows_filtered(binder, rows, matches) : NULL;
}

static struct bound_rows *bind_parse_regex(struct binder *binder, const struct scope *scope,
                                           const struct kql_operator *operator, struct bound_rows *input)
{
    struct bound_rows *rows = NULL;
    unsigned count = 0;
    struct buf whole;

    for (const struct kql_pattern *piece = operator->pattern; piece; piece = piece->next)
        count++;
    unsigned *groups = ARENA_ARRAY(binder->arena, unsigned, count);
    buf_init(&whole, PIECES_BYTES_MAX);
    if (expression_print(binder, scope, operator, &whole, groups))
        rows = parse_by_expression(binder, scope, operator, input, arena_text(binder->arena, buf_as_text(&whole)), groups);
    buf_done(&whole);
    return rows;
}

struct bound_rows *bind_parse(struct binder *binder, const struct scope *scope,
                              const struct kql_operator *operator, struct bound_rows * input)
{
    struct bound_rows *searched = rows_new(binder, ROWS_EXTEND, input, operator->place), *rows;
    struct scope here = scope_of(scope, input);
    struct text kind = operator_word(operator, "kind");
    struct bound_value *text, *pieces;
    struct bound_column *found;
    enum kql_type type;
    unsigned i = 0;

    if (text_equal(kind, TEXT("regex")))
        return bind_parse_regex(binder, scope, operator, input);
    if (kind.bytes && !text_equal(kind, TEXT("simple")) && !text_equal(kind, TEXT("relaxed")))
        return binder_wrong(binder, "semantic.kind", operator->place, "%.*s is no kind of %.*s",
                            TEXT_ARGS(kind), TEXT_ARGS(operator->name.text));
    text = bind_value_as(binder, &here, operator->items, TYPE_STRING, "what is parsed");
    pieces = text ? pieces_value(binder, scope, operator) : NULL;
    if (!pieces)
        return NULL;
    found = column_new(binder, TEXT("found"), TYPE_DYNAMIC);
    rows_define(binder, searched, found,
                value_call2(binder,
                            text_equal(kind, TEXT("relaxed")) ? "@parse_relaxed(%1, %2)" : "@parse(%1, %2)",
                            TYPE_DYNAMIC, text, pieces));
    if (operator->kind == KQL_PARSE_WHERE)
        searched = rows_filtered(binder, searched,
                                 value_call1(binder, "!(%1 IS NOT NULL)", TYPE_BOOL,
                                             value_of_column(binder, found, operator->place)));
    rows = rows_new(binder, ROWS_EXTEND, searched, operator->place);
    for (const struct kql_pattern *piece = operator->pattern; piece; piece = piece->next)
        if (!piece->literal && piece->name.text.bytes &&
            (!piece_type(binder, &piece->type, &type) ||
             !show_found(binder, rows, found, i++, piece->name.text, type, piece->place)))
            return NULL;
    return rows;
}

/* ---- parse-kv ---- */

static bool delimiter(struct binder *binder, const struct scope *scope, const struct kql_operator *operator,
                      const char *name, struct bound_value **out)
{
    const struct kql_parameter *parameter = operator_parameter(operator, name);

    *out = parameter ? bind_value_as(binder, scope, parameter->value, TYPE_STRING, name)
                     : value_text(binder, TEXT(""), operator->place);
    return *out != NULL;
}

struct bound_rows *bind_parse_kv(struct binder *binder, const struct scope *scope,
                                 const struct kql_operator *operator, struct bound_rows * input)
{
    struct bound_rows *searched = rows_new(binder, ROWS_EXTEND, input, operator->place), *rows;
    struct scope here = scope_of(scope, input);
    struct bound_value **arguments = ARENA_ARRAY(binder->arena, struct bound_value *, 5);
    struct bound_column *found;
    enum kql_type type;

    if (operator_parameter(operator, "regex"))
        return binder_wrong(binder, "unsupported.parse_regex", operator->place,
                            "parse-kv by a regular expression is not supported");
    arguments[0] = bind_value_as(binder, &here, operator->items, TYPE_STRING, "what is parsed");
    if (!arguments[0] || !delimiter(binder, scope, operator, "pair_delimiter", &arguments[1]) ||
        !delimiter(binder, scope, operator, "kv_delimiter", &arguments[2]) ||
        !delimiter(binder, scope, operator, "quote", &arguments[3]) ||
        !delimiter(binder, scope, operator, "escape", &arguments[4]))
        return NULL;
    found = column_new(binder, TEXT("found"), TYPE_DYNAMIC);
    bool of_words = !operator_parameter(operator, "pair_delimiter") && !operator_parameter(operator, "kv_delimiter");
    rows_define(binder, searched, found,
                of_words ? value_call1(binder, "@parse_kv_words(%1)", TYPE_DYNAMIC, arguments[0])
                         : value_call(binder, "@parse_kv(%1, %2, %3, %4, %5)", TYPE_DYNAMIC, operator->place, arguments, 5));
    rows = rows_new(binder, ROWS_EXTEND, searched, operator->place);
    for (const struct kql_column *column = operator->schema; column; column = column->next) {
        struct bound_value *key = value_text(binder, column->name.text, operator->place), *value;
        if (!piece_type(binder, &column->type, &type))
            return NULL;
        value = value_call2(binder, "!coalesce(%1 ->> %2, '')", TYPE_STRING,
                            value_of_column(binder, found, operator->place), key);
        value = type == TYPE_DYNAMIC ? value_call1(binder, "@parse_json(%1)", TYPE_DYNAMIC, value)
                                     : value_convert(binder, value, type);
        if (!value)
            return NULL;
        struct bound_column *parsed = column_new(binder, column->name.text, type);
        rows_define(binder, rows, parsed, value);
        rows_replace(binder, rows, parsed);
    }
    return rows;
}
