#include "kql/binder.h"

static struct bound_value *bind_reference(struct binder *binder, const struct scope *scope,
                                          const struct kql_expression *reference);
static struct bound_value *bind_binary(struct binder *binder, const struct scope *scope,
                                       const struct kql_expression *binary);
static struct bound_value *bind_member(struct binder *binder, const struct scope *scope,
                                       const struct kql_expression *member);
static struct bound_value *bind_element(struct binder *binder, const struct scope *scope,
                                        const struct kql_expression *element);
static struct bound_value *bind_between(struct binder *binder, const struct scope *scope,
                                        const struct kql_expression *between);

struct bound_value *bind_value(struct binder *binder, const struct scope *scope,
                               const struct kql_expression *expression)
{
    struct bound_value *value = NULL;

    if (binder_enter(binder, expression->place)) {
        switch (expression->kind) {
        case KQL_LITERAL:
            value = bind_literal(binder, expression);
            break;
        case KQL_DYNAMIC:
            value = bind_dynamic(binder, expression);
            break;
        case KQL_REFERENCE:
            value = bind_reference(binder, scope, expression);
            break;
        case KQL_SIGNED:
            value = bind_value(binder, scope, expression->left);
            if (value)
                value = bind_operator(binder, "negative", expression->place, &value, 1);
            break;
        case KQL_BINARY:
            value = bind_binary(binder, scope, expression);
            break;
        case KQL_BETWEEN:
            value = bind_between(binder, scope, expression);
            break;
        case KQL_IN:
            value = bind_in(binder, scope, expression);
            break;
        case KQL_CALL:
            value = bind_call(binder, scope, expression);
            break;
        case KQL_MEMBER:
            value = bind_member(binder, scope, expression);
            break;
        case KQL_ELEMENT:
            value = bind_element(binder, scope, expression);
            break;
        case KQL_NAMED:
            binder_wrong(binder, "semantic.named", expression->place,
                         "a value cannot be named here; to compare, write ==");
            break;
        case KQL_SUBQUERY:
            binder_wrong(binder, "semantic.rows", expression->place,
                         "one value is wanted here, not rows; toscalar() makes one of them");
            break;
        default:
            binder_wrong(binder, "semantic.value", expression->place, "a value is wanted here");
        }
    }
    binder->depth--;
    return binder_failed(binder) ? NULL : value;
}

struct binding *scope_find(const struct scope *scope, struct text name)
{
    for (; scope; scope = scope->outer)
        for (struct binding *binding = scope->bindings; binding; binding = binding->next)
            if (text_equal(binding->name, name))
                return binding;
    return NULL;
}

static struct bound_column *scope_column(struct binder *binder, const struct scope *scope, struct text name)
{
    struct bound_column *column;

    while (scope && !scope->rows)
        scope = scope->outer;
    column = scope ? rows_known(scope->rows, name) : NULL;
    if (!column && scope && scope->rows->open && !name_find(binder, scope, name) &&
        !catalog_table_find(binder->catalog, name) && !function_named(binder, scope, name))
        column = rows_open_column(binder, scope->rows, name);
    return column;
}

/* What `let` gave a name is bound once: its scope has no rows, so it means the same wherever it is named. */
static struct bound_value *binding_value(struct binder *binder, struct binding *binding,
                                         struct kql_place place)
{
    struct bound_value *named;

    if (binding->kind == BINDING_EXPRESSION && !binding->value)
        binding->value = bind_value(binder, binding->scope, binding->expression);
    if (!binding->value) {
        if (!binder_failed(binder))
            binder_wrong(binder, "semantic.rows", place, "%.*s is no value", TEXT_ARGS(binding->name));
        return NULL;
    }
    named = ARENA_NEW(binder->arena, struct bound_value);
    *named = *binding->value;
    named->label = binding->name;
    named->place = binder_place(binder, place);
    return named;
}

static struct bound_value *bind_reference(struct binder *binder, const struct scope *scope,
                                          const struct kql_expression *reference)
{
    struct text name = reference->name.text;
    struct bound_column *column = scope_column(binder, scope, name);
    struct binding *binding;

    if (column) {
        struct bound_value *value = value_of_column(binder, column, reference->place);
        value->label = name;
        return value;
    }
    binding = name_find(binder, scope, name);
    if (binding)
        return binding_value(binder, binding, reference->place);
    if (catalog_table_find(binder->catalog, name) || catalog_function_find(binder->catalog, name))
        return binder_wrong(binder, "semantic.rows", reference->place,
                            "one value is wanted here, and %.*s has rows", TEXT_ARGS(name));
    return binder_wrong(binder, "semantic.unknown_column", reference->place, "there is no column %.*s",
                        TEXT_ARGS(name));
}

struct bound_value *bind_predicate(struct binder *binder, const struct scope *scope,
                                   const struct kql_expression *expression)
{
    return bind_value_as(binder, scope, expression, TYPE_BOOL, "a condition");
}

static bool fits(enum kql_type from, enum kql_type to)
{
    bool widens = kql_type_is_number(from) && kql_type_is_number(to) &&
                  (from < to || (from == TYPE_LONG && to == TYPE_INT));

    return from == to || from == TYPE_DYNAMIC || to == TYPE_DYNAMIC || widens;
}

struct bound_value *value_as(struct binder *binder, struct bound_value *value, enum kql_type type,
                             const char *what)
{
    if (value && !fits(value->type, type))
        return binder_wrong(binder, "semantic.type", value->place, "%s has to be a %s, and this is a %s",
                            what, kql_type_name(type), kql_type_name(value->type));
    return value_convert(binder, value, type);
}

struct bound_value *bind_value_as(struct binder *binder, const struct scope *scope,
                                  const struct kql_expression *expression, enum kql_type type,
                                  const char *what)
{
    return value_as(binder, bind_value(binder, scope, expression), type, what);
}

bool bind_count(struct binder *binder, const struct scope *scope, const struct kql_expression *expression,
                int64_t *out)
{
    struct bound_value *value = bind_value(binder, scope, expression);

    if (!value)
        return false;
    if (value->kind == BOUND_CALL)
        binder_wrong(binder, "unsupported.expression", expression->place,
                     "the number has to be written here, not computed");
    else if (value->kind != BOUND_CONSTANT || (value->type != TYPE_LONG && value->type != TYPE_INT))
        binder_wrong(binder, "semantic.type", expression->place, "a whole number is wanted here");
    *out = value->integer;
    return !binder_failed(binder);
}

bool bind_constant_text(struct binder *binder, const struct scope *scope,
                        const struct kql_expression *expression, struct text *out)
{
    struct bound_value *value = bind_value(binder, scope, expression);

    if (value && !value_is_text(value))
        binder_wrong(binder, "semantic.type", expression->place,
                     "a text is wanted here that the query says itself");
    if (binder_failed(binder))
        return false;
    *out = value->text;
    return true;
}

/* ---- of two sides ---- */

static const char *const sign_names[] = {
    [KQL_LESS] = "<",           [KQL_LESS_EQUAL] = "<=", [KQL_GREATER] = ">",
    [KQL_GREATER_EQUAL] = ">=", [KQL_ADD] = "+",         [KQL_SUBTRACT] = "-",
    [KQL_MULTIPLY] = "*",       [KQL_DIVIDE] = "/",      [KQL_MODULO] = "%",
};

static struct bound_value *value_not(struct binder *binder, struct bound_value *value)
{
    struct bound_value *negated = value_call1(binder, "", TYPE_BOOL, value);

    negated->kind = BOUND_NOT;
    negated->nullable = value->nullable;
    return negated;
}

struct bound_value *value_negated_if(struct binder *binder, bool negated, struct bound_value *value)
{
    return value && negated ? value_not(binder, value) : value;
}

static struct bound_value *bind_chain(struct binder *binder, const struct scope *scope,
                                      const struct kql_expression *binary)
{
    enum bound_kind kind = binary->sign == KQL_AND ? BOUND_AND : BOUND_OR;
    struct bound_value *left = bind_predicate(binder, scope, binary->left);
    struct bound_value *right = left ? bind_predicate(binder, scope, binary->right) : NULL;

    return right ? value_both(binder, kind, left, right) : NULL;
}

static struct bound_value *bind_binary(struct binder *binder, const struct scope *scope,
                                       const struct kql_expression *binary)
{
    struct bound_value *sides[2];

    if (binary->sign == KQL_AND || binary->sign == KQL_OR)
        return bind_chain(binder, scope, binary);
    if (binary->sign == KQL_TEXT_OPERATOR || binary->left->kind == KQL_ALL)
        return bind_text_operator(binder, scope, binary);
    sides[0] = bind_value(binder, scope, binary->left);
    sides[1] = sides[0] ? bind_value(binder, scope, binary->right) : NULL;
    if (!sides[1])
        return NULL;
    switch (binary->sign) {
    case KQL_EQUAL:
    case KQL_NOT_EQUAL:
        return value_equal(binder, sides[0], sides[1], binary->sign == KQL_NOT_EQUAL, binary->place);
    case KQL_EQUAL_NOCASE:
    case KQL_NOT_EQUAL_NOCASE:
        return value_negated_if(binder, binary->sign == KQL_NOT_EQUAL_NOCASE,
                                bind_operator(binder, "=~", binary->place, sides, 2));
    default:
        return bind_operator(binder, sign_names[binary->sign], binary->place, sides, 2);
    }
}

static struct bound_value *bind_between(struct binder *binder, const struct scope *scope,
                                        const struct kql_expression *between)
{
    struct bound_value *values[3];

    values[0] = bind_value(binder, scope, between->left);
    values[1] = values[0] ? bind_value(binder, scope, between->items) : NULL;
    values[2] = values[1] ? bind_value(binder, scope, between->items->next) : NULL;
    if (!values[2])
        return NULL;
    return value_negated_if(binder, between->negated,
                            bind_operator(binder, "between", between->place, values, 3));
}

/* ---- into a dynamic ---- */

static struct text label_joined(struct binder *binder, struct text label, struct text more)
{
    return label.bytes ? text_of(arena_format(binder->arena, "%.*s_%.*s", TEXT_ARGS(label), TEXT_ARGS(more)))
                       : TEXT_NONE;
}

static struct bound_value *into(struct binder *binder, struct bound_value *whole, struct bound_value *key,
                                const char *sql, struct kql_place place)
{
    struct bound_value *part;

    if (!whole || !key)
        return NULL;
    if (whole->type != TYPE_DYNAMIC)
        return binder_wrong(binder, "semantic.type", place,
                            "only a dynamic has members, and this is a %s; parse_json() makes one of a text",
                            kql_type_name(whole->type));
    part = value_call2(binder, sql, TYPE_DYNAMIC, whole, key);
    part->place = binder_place(binder, place);
    return part;
}

#define MEMBER_PARSED "(CASE WHEN jsonb_typeof(%3 -> %2) IN ('object', 'array') THEN %1 -> %2 ELSE (%3 -> %2)::json END)"

/* A member of parse_json(EventDetails) is taken from what lies in the database, without writing a text and reading it again.
 * That has neither what the text adds to it, nor the order of members within a member: then the text is asked. */
static const char *from_parsed(const struct scope *scope, const struct bound_value *whole, struct text name,
                               struct bound_column **parsed)
{
    static const char *const added[] = {"MessageSource", "OriginalEventId", "TimestampUTC"};
    const struct bound_value *made_of = value_made_of(whole);
    const struct bound_rows *table;

    if (made_of->kind != BOUND_CALL || strcmp(made_of->sql, "@parse_json(%1)") != 0 ||
        made_of->arguments[0]->kind != BOUND_COLUMN || !made_of->arguments[0]->column->parsed ||
        !rows_table_column(scope->rows, made_of->arguments[0]->column, &table))
        return NULL;
    for (size_t i = 0; i < sizeof added / sizeof *added; i++)
        if (text_equal(name, text_of(added[i])))
            return NULL;
    *parsed = made_of->arguments[0]->column->parsed;
    return MEMBER_PARSED;
}

struct bound_value *value_member_text(struct binder *binder, struct bound_value *value, const struct bound_value *compared)
{
    struct bound_value **arguments;

    if (value->kind != BOUND_CALL || strcmp(value->sql, MEMBER_PARSED) != 0)
        return NULL;
    bool no_container = compared && value_is_text(compared) && compared->text.count && !strchr("{[", compared->text.bytes[0]);
    if (no_container)
        return value_call(binder, "!coalesce(%2 ->> %1, '')", TYPE_STRING, value->place, value->arguments + 1, 2);
    arguments = ARENA_ARRAY(binder->arena, struct bound_value *, 4);
    memcpy(arguments, value->arguments, 3 * sizeof *arguments);
    arguments[3] = value;
    return value_call(binder,
                      "!(CASE WHEN jsonb_typeof(%3 -> %2) IN ('object', 'array') THEN @text_of(%4) ELSE coalesce(%3 ->> %2, '') END)",
                      TYPE_STRING, value->place, arguments, 4);
}

static struct bound_value *member_of(struct binder *binder, const struct scope *scope, struct bound_value *whole,
                                     struct bound_value *name, struct kql_place place)
{
    struct bound_column *parsed = NULL;
    const char *sql = whole && name && value_is_text(name) ? from_parsed(scope, whole, name->text, &parsed) : NULL;

    if (!sql)
        return into(binder, whole, name, "(%1 -> %2)", place);
    struct bound_value **arguments = ARENA_ARRAY(binder->arena, struct bound_value *, 3);
    arguments[0] = whole;
    arguments[1] = name;
    arguments[2] = value_of_column(binder, parsed, place);
    arguments[2]->stored = true;
    return value_call(binder, sql, TYPE_DYNAMIC, place, arguments, 3);
}

static struct bound_value *bind_member(struct binder *binder, const struct scope *scope,
                                       const struct kql_expression *member)
{
    struct bound_value *whole = bind_value(binder, scope, member->left), *part;

    part = member_of(binder, scope, whole, value_text(binder, member->name.text, member->place), member->place);
    if (part)
        part->label = label_joined(binder, whole->label, member->name.text);
    return part;
}

static struct bound_value *bind_element(struct binder *binder, const struct scope *scope,
                                        const struct kql_expression *element)
{
    struct bound_value *whole = bind_value(binder, scope, element->left),
                       *key = whole ? bind_value(binder, scope, element->right) : NULL, *part;
    const char *sql = "@element(%1, %2)";

    if (!key)
        return NULL;
    if (key->type == TYPE_STRING)
        sql = NULL;
    else if (key->kind == BOUND_CONSTANT && key->integer == (int32_t)key->integer &&
             (key->type == TYPE_LONG || key->type == TYPE_INT))
        sql = "(%1 -> (%2)::int)";
    else
        key = value_as(binder, key, key->type == TYPE_DYNAMIC ? TYPE_DYNAMIC : TYPE_LONG,
                       "what stands in brackets");
    part = sql ? into(binder, whole, key, sql, element->place) : member_of(binder, scope, whole, key, element->place);
    if (part && key->kind == BOUND_CONSTANT && key->text.bytes)
        part->label = label_joined(binder, whole->label, key->text);
    return part;
}
