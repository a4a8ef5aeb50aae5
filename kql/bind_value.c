#include "kql/binder.h"

#include <stdio.h>
#include <stdlib.h>

struct bound_value *value_new(struct binder *binder, enum bound_kind kind, enum kql_type type,
                              struct kql_place place)
{
    struct bound_value *value = ARENA_NEW(binder->arena, struct bound_value);

    if (++binder->values > BINDER_VALUES_MAX)
        binder_wrong(binder, "semantic.too_large", place,
                     "the query says more than %d things once its names are filled in", BINDER_VALUES_MAX);
    value->kind = kind;
    value->type = type;
    value->place = binder_place(binder, place);
    value->nullable = type != TYPE_STRING && kind != BOUND_CONSTANT;
    return value;
}

struct bound_value *value_of_column(struct binder *binder, struct bound_column *column,
                                    struct kql_place place)
{
    struct bound_value *value = value_new(binder, BOUND_COLUMN, column->type, place);

    value->column = column;
    value->label = column->name;
    return value;
}

struct bound_value *value_call(struct binder *binder, const char *sql, enum kql_type type,
                               struct kql_place place, struct bound_value **arguments, unsigned count)
{
    struct bound_value *call = value_new(binder, BOUND_CALL, type, place);

    call->nullable = *sql != '!' && type != TYPE_STRING;
    call->sql = sql + (*sql == '!');
    call->arguments = arguments;
    call->count = count;
    for (unsigned i = 0; i < count; i++) {
        call->aggregates |= arguments[i] && arguments[i]->aggregates;
        call->windows |= arguments[i] && arguments[i]->windows;
    }
    return call;
}

struct bound_value *value_call1(struct binder *binder, const char *sql, enum kql_type type,
                                struct bound_value *argument)
{
    struct bound_value **arguments = ARENA_ARRAY(binder->arena, struct bound_value *, 1);

    arguments[0] = argument;
    return value_call(binder, sql, type, argument->place, arguments, 1);
}

struct bound_value *value_call2(struct binder *binder, const char *sql, enum kql_type type,
                                struct bound_value *left, struct bound_value *right)
{
    struct bound_value **arguments = ARENA_ARRAY(binder->arena, struct bound_value *, 2);

    arguments[0] = left;
    arguments[1] = right;
    return value_call(binder, sql, type, left->place, arguments, 2);
}

struct bound_value *value_text(struct binder *binder, struct text text, struct kql_place place)
{
    struct bound_value *value = value_new(binder, BOUND_CONSTANT, TYPE_STRING, place);

    value->text = text;
    return value;
}

struct bound_value *value_integer(struct binder *binder, enum kql_type type, int64_t integer,
                                  struct kql_place place)
{
    struct bound_value *value = value_new(binder, BOUND_CONSTANT, type, place);

    value->integer = integer;
    value->text = text_of(arena_format(binder->arena, "%lld", (long long)integer));
    return value;
}

struct bound_value *value_null(struct binder *binder, enum kql_type type, struct kql_place place)
{
    struct bound_value *value = value_new(binder, BOUND_CONSTANT, type, place);

    value->text = type == TYPE_STRING ? TEXT("") : TEXT_NONE;
    value->nullable = type != TYPE_STRING;
    return value;
}

struct bound_value *value_bool(struct binder *binder, bool truth, struct kql_place place)
{
    struct bound_value *value = value_new(binder, BOUND_CONSTANT, TYPE_BOOL, place);

    value->integer = truth;
    value->text = truth ? TEXT("true") : TEXT("false");
    return value;
}

struct bound_value *value_both(struct binder *binder, enum bound_kind kind, struct bound_value *left,
                               struct bound_value *right)
{
    struct bound_value *both = value_call2(binder, "", TYPE_BOOL, left, right);

    both->kind = kind;
    both->nullable = left->nullable || right->nullable;
    return both;
}

const struct bound_value *value_made_of(const struct bound_value *value)
{
    return value->kind == BOUND_COLUMN && value->column->definition ? value->column->definition : value;
}

bool value_is_text(const struct bound_value *value)
{
    return value->kind == BOUND_CONSTANT && value->type == TYPE_STRING;
}

/* How one type becomes another. The first row of a pair counts; no row: there is no way. */
static const struct {
    enum kql_type from, to;
    const char *sql;
} conversions[] = {
    {TYPE_BOOL, TYPE_STRING, "!@text_of_bool(%1)"},
    {TYPE_INT, TYPE_STRING, "!coalesce(%1::text, '')"},
    {TYPE_LONG, TYPE_STRING, "!coalesce(%1::text, '')"},
    {TYPE_REAL, TYPE_STRING, "!@text_of_real(%1)"},
    {TYPE_DECIMAL, TYPE_STRING, "!@text_of_decimal(%1)"},
    {TYPE_DATETIME, TYPE_STRING, "!@text_of_datetime(%1)"},
    {TYPE_TIMESPAN, TYPE_STRING, "!@text_of_timespan(%1)"},
    {TYPE_GUID, TYPE_STRING, "!coalesce(%1::text, '')"},
    {TYPE_DYNAMIC, TYPE_STRING, "!@text_of(%1)"},
    {TYPE_BOOL, TYPE_INT, "(%1)::int::bigint"},
    {TYPE_LONG, TYPE_INT, "@to_int(%1)"},
    {TYPE_REAL, TYPE_INT, "@int_of(%1)"},
    {TYPE_DECIMAL, TYPE_INT, "@to_int(@to_long(%1))"},
    {TYPE_STRING, TYPE_INT, "@to_int(@to_long(%1))"},
    {TYPE_DYNAMIC, TYPE_INT, "@to_int(@to_long(%1))"},
    {TYPE_DATETIME, TYPE_INT, "@to_int(%1)"},
    {TYPE_TIMESPAN, TYPE_INT, "@to_int(%1)"},
    {TYPE_BOOL, TYPE_LONG, "(%1)::int::bigint"},
    {TYPE_INT, TYPE_LONG, "%1"},
    {TYPE_REAL, TYPE_LONG, "@to_long(%1)"},
    {TYPE_DECIMAL, TYPE_LONG, "@to_long(%1)"},
    {TYPE_STRING, TYPE_LONG, "@to_long(%1)"},
    {TYPE_DYNAMIC, TYPE_LONG, "@to_long(%1)"},
    {TYPE_DATETIME, TYPE_LONG, "%1"},
    {TYPE_TIMESPAN, TYPE_LONG, "%1"},
    {TYPE_BOOL, TYPE_REAL, "(%1)::int::float8"},
    {TYPE_INT, TYPE_REAL, "%1::float8"},
    {TYPE_LONG, TYPE_REAL, "%1::float8"},
    {TYPE_DECIMAL, TYPE_REAL, "%1::float8"},
    {TYPE_STRING, TYPE_REAL, "@to_real(%1)"},
    {TYPE_DYNAMIC, TYPE_REAL, "@to_real(%1)"},
    {TYPE_DATETIME, TYPE_REAL, "%1::float8"},
    {TYPE_TIMESPAN, TYPE_REAL, "%1::float8"},
    {TYPE_BOOL, TYPE_DECIMAL, "(%1)::int::numeric"},
    {TYPE_INT, TYPE_DECIMAL, "%1::numeric"},
    {TYPE_LONG, TYPE_DECIMAL, "%1::numeric"},
    {TYPE_REAL, TYPE_DECIMAL, "@to_decimal(%1)"},
    {TYPE_STRING, TYPE_DECIMAL, "@to_decimal(%1)"},
    {TYPE_DYNAMIC, TYPE_DECIMAL, "@to_decimal(%1)"},
    {TYPE_TIMESPAN, TYPE_DECIMAL, "%1::numeric"},
    {TYPE_INT, TYPE_BOOL, "(%1 <> 0)"},
    {TYPE_LONG, TYPE_BOOL, "(%1 <> 0)"},
    {TYPE_REAL, TYPE_BOOL, "(%1 <> 0)"},
    {TYPE_DECIMAL, TYPE_BOOL, "(%1 <> 0)"},
    {TYPE_STRING, TYPE_BOOL, "@to_bool(%1)"},
    {TYPE_DYNAMIC, TYPE_BOOL, "@to_bool(%1)"},
    {TYPE_STRING, TYPE_DATETIME, "@to_datetime(%1)"},
    {TYPE_DYNAMIC, TYPE_DATETIME, "@to_datetime(%1)"},
    {TYPE_INT, TYPE_DATETIME, "%1"},
    {TYPE_LONG, TYPE_DATETIME, "@in_time(%1)"},
    {TYPE_REAL, TYPE_DATETIME, "@in_time(@to_long(%1))"},
    {TYPE_STRING, TYPE_TIMESPAN, "@to_timespan(%1)"},
    {TYPE_DYNAMIC, TYPE_TIMESPAN, "@to_timespan(%1)"},
    {TYPE_INT, TYPE_TIMESPAN, "%1"},
    {TYPE_LONG, TYPE_TIMESPAN, "%1"},
    {TYPE_REAL, TYPE_TIMESPAN, "@to_long(%1)"},
    {TYPE_STRING, TYPE_GUID, "@to_guid(%1)"},
    {TYPE_DYNAMIC, TYPE_GUID, "@to_guid(%1)"},
    {TYPE_STRING, TYPE_DYNAMIC, "to_json(%1)"},
    {TYPE_BOOL, TYPE_DYNAMIC, "to_json(%1)"},
    {TYPE_INT, TYPE_DYNAMIC, "to_json(%1)"},
    {TYPE_LONG, TYPE_DYNAMIC, "to_json(%1)"},
    {TYPE_REAL, TYPE_DYNAMIC, "@json_of_real(%1)"},
    {TYPE_DECIMAL, TYPE_DYNAMIC, "to_json(%1::text)"},
    {TYPE_GUID, TYPE_DYNAMIC, "to_json(%1::text)"},
    {TYPE_DATETIME, TYPE_DYNAMIC, "@json_of_datetime(%1)"},
    {TYPE_TIMESPAN, TYPE_DYNAMIC, "@json_of_timespan(%1)"},
};

/* A literal need not wait for the database. */
static struct bound_value *constant_as(struct binder *binder, const struct bound_value *value,
                                       enum kql_type type)
{
    int64_t ticks;

    if (value->kind != BOUND_CONSTANT)
        return NULL;
    if (!value->text.bytes)
        return value_null(binder, type, value->place);
    bool whole = value->type == TYPE_INT || value->type == TYPE_LONG;
    if (whole && (type == TYPE_LONG || type == TYPE_REAL || type == TYPE_DECIMAL)) {
        struct bound_value *same = value_integer(binder, type, value->integer, value->place);
        return same;
    }
    if (value->type == TYPE_STRING && type == TYPE_DATETIME && kql_datetime_read(value->text, &ticks))
        return value_integer(binder, TYPE_DATETIME, ticks, value->place);
    if (value->type == TYPE_STRING && type == TYPE_TIMESPAN && kql_timespan_read(value->text, &ticks))
        return value_integer(binder, TYPE_TIMESPAN, ticks, value->place);
    return NULL;
}

bool value_is_drawn(const struct bound_value *value)
{
    bool drawn = value->sql && strstr(value->sql, "random") != NULL; /* PostgreSQL's functions are called so */

    for (unsigned i = 0; i < value->count && !drawn; i++)
        drawn = value->arguments[i] && value_is_drawn(value->arguments[i]);
    return drawn;
}

struct bound_value *value_replace_aggregates(struct binder *binder, struct bound_value *value, value_replacer *replace, void *context)
{
    bool outermost = true; /* no aggregate among the arguments */

    for (unsigned i = 0; i < value->count; i++)
        outermost &= !value->arguments[i] || !value->arguments[i]->aggregates;
    if (value->aggregates && outermost)
        return value->kind == BOUND_CALL ? replace(context, value) : NULL;
    if (value->kind == BOUND_COLUMN || value->kind == BOUND_ORDERED)
        return NULL;
    struct bound_value *copy = ARENA_NEW(binder->arena, struct bound_value);
    *copy = *value;
    copy->arguments = ARENA_ARRAY(binder->arena, struct bound_value *, value->count);
    for (unsigned i = 0; i < value->count; i++)
        if (value->arguments[i] && !(copy->arguments[i] = value_replace_aggregates(binder, value->arguments[i], replace, context)))
            return NULL;
    return copy;
}

bool value_converts(enum kql_type from, enum kql_type to)
{
    for (size_t i = 0; i < sizeof conversions / sizeof *conversions; i++)
        if (conversions[i].from == from && conversions[i].to == to)
            return true;
    return from == to;
}

struct bound_value *value_convert(struct binder *binder, struct bound_value *value, enum kql_type type)
{
    struct bound_value *constant, *converted;

    if (!value || value->type == type)
        return value;
    constant = constant_as(binder, value, type);
    if (constant) {
        constant->label = value->label;
        return constant;
    }
    if (value->type == TYPE_DATETIME && type == TYPE_STRING && value->kind == BOUND_COLUMN &&
        value->column->storage == KQL_TIMESTAMPTZ) { /* written from what lies there, not by way of ticks */
        struct bound_value *stored = value_of_column(binder, value->column, value->place);
        stored->stored = true;
        converted = value_call1(binder, "!@text_of_moment(%1)", type, stored);
        converted->label = value->label;
        return converted;
    }
    converted = type == TYPE_STRING ? value_member_text(binder, value, NULL) : NULL;
    if (converted) {
        converted->label = value->label;
        return converted;
    }
    for (size_t i = 0; i < sizeof conversions / sizeof *conversions; i++) {
        if (conversions[i].from != value->type || conversions[i].to != type)
            continue;
        converted = value_call1(binder, conversions[i].sql, type, value);
        converted->label = value->label;
        return converted;
    }
    return binder_wrong(binder, "semantic.type", value->place, "a %s cannot become a %s",
                        kql_type_name(value->type), kql_type_name(type));
}

bool value_common_type(enum kql_type left, enum kql_type right, enum kql_type *out)
{
    if (left == right) {
        *out = left;
        return true;
    }
    if (kql_type_is_number(left) && kql_type_is_number(right)) {
        *out = left > right ? left : right; /* int, long, real, decimal stand in that order */
        return true;
    }
    if (left == TYPE_DYNAMIC || right == TYPE_DYNAMIC) {
        *out = left == TYPE_DYNAMIC ? right : left;
        return true;
    }
    return false;
}

/* Where the two are of types that compare, both become one. */
static bool brought_together(struct binder *binder, struct bound_value **left, struct bound_value **right)
{
    enum kql_type type;

    if (!value_common_type((*left)->type, (*right)->type, &type)) {
        bool texts = (*left)->type == TYPE_STRING || (*right)->type == TYPE_STRING;
        struct bound_value **text = (*left)->type == TYPE_STRING ? left : right,
                           **other = text == left ? right : left;
        if (!texts) {
            bool truths = ((*left)->type == TYPE_BOOL && kql_type_is_number((*right)->type)) ||
                          ((*right)->type == TYPE_BOOL && kql_type_is_number((*left)->type));
            if (!truths)
                return false;
            type = (*left)->type == TYPE_BOOL ? (*right)->type : (*left)->type;
        } else if ((*other)->type == TYPE_GUID || value_is_text(*text)) {
            type = (*other)->type;
        } else {
            type = TYPE_STRING; /* 0 is "0" */
        }
    }
    *left = value_convert(binder, *left, type);
    *right = value_convert(binder, *right, type);
    return *left && *right;
}

struct bound_value *value_equal(struct binder *binder, struct bound_value *left, struct bound_value *right,
                                bool negated, struct kql_place place)
{
    enum kql_type left_type = left->type, right_type = right->type;

    if (left->type == TYPE_DYNAMIC && right->type == TYPE_DYNAMIC) {
        left = value_call1(binder, "@comparable(%1)", TYPE_STRING, left);
        right = value_call1(binder, "@comparable(%1)", TYPE_STRING, right);
        left->nullable = right->nullable = true;
    }
    struct bound_value *left_text = value_member_text(binder, left, right), *right_text = value_member_text(binder, right, left);
    left = left_text && value_is_text(right) ? left_text : left;
    right = right_text && value_is_text(left) ? right_text : right;
    if (!brought_together(binder, &left, &right))
        return binder_wrong(binder, "semantic.type", place,
                            "a %s does not compare with a %s: convert one of them", kql_type_name(left_type),
                            kql_type_name(right_type));
    if (left->type == TYPE_REAL && !negated)
        return value_call2(binder, "@equal(%1, %2)", TYPE_BOOL, left, right);
    if (left->type == TYPE_REAL)
        return value_call2(binder, "(NOT @equal(%1, %2))", TYPE_BOOL, left, right);
    struct bound_value *equal = value_both(binder, negated ? BOUND_NOT_EQUAL : BOUND_EQUAL, left, right);
    equal->nullable = left->nullable && right->nullable;
    equal->place = binder_place(binder, place);
    return equal;
}
