#include "kql/binder.h"

/* make-series: groups by where each row lies on an axis, and then by the keys alone, so that each of those has arrays with
 * a value for every place of the axis. */

struct series {
    struct binder *binder;
    struct bound_rows *input;
    struct bound_value *at;                  /* where a row lies */
    struct bound_value *from, *step, *count; /* of the axis; how many places it has */
    enum kql_type type;
};

static struct bound_value *call3(struct binder *binder, const char *sql, enum kql_type type,
                                 struct bound_value *a, struct bound_value *b, struct bound_value *c)
{
    struct bound_value **arguments = ARENA_ARRAY(binder->arena, struct bound_value *, 3);

    arguments[0] = a;
    arguments[1] = b;
    arguments[2] = c;
    return value_call(binder, sql, type, a->place, arguments, 3);
}

/* The least or the greatest place of all rows, where the query says none. */
static struct bound_value *outermost(struct series *series, const char *sql)
{
    struct binder *binder = series->binder;
    struct bound_rows *rows = rows_new(binder, ROWS_GROUP, series->input, series->at->place);
    struct bound_value *scalar = value_new(binder, BOUND_SCALAR, series->type, series->at->place);

    rows->order = NULL;
    rows_clear(rows);
    scalar->column = column_new(binder, TEXT("outermost"), series->type);
    rows->aggregates = ARENA_NEW(binder->arena, struct bound_definition);
    rows->aggregates->column = scalar->column;
    rows->aggregates->value = value_call2(binder, sql, series->type, series->at, series->step);
    rows_show(binder, rows, scalar->column);
    scalar->rows = rows;
    return scalar;
}

static bool bind_axis(struct series *series, const struct scope *scope, const struct kql_operator *operator)
{
    struct binder *binder = series->binder;
    const struct kql_expression *from = operator->from, *to = operator->to, *step = operator->step;
    bool inclusive = from && !step && from->kind == KQL_CALL && from->items && from->items->next &&
                     from->items->next->next;
    struct scope here = scope_of(scope, series->input);
    enum kql_type step_type;
    struct bound_value *end;

    if (inclusive) { /* in range(from, to, step) */
        to = from->items->next;
        step = to->next;
        from = from->items;
    }
    series->at = bind_value(binder, &here, operator->on->kind == KQL_NAMED ? operator->on->left : operator->on);
    if (!series->at)
        return false;
    series->type = series->at->type == TYPE_INT ? TYPE_LONG : series->at->type;
    if (series->type == TYPE_STRING || series->type == TYPE_BOOL || series->type == TYPE_GUID ||
        series->type == TYPE_DYNAMIC || series->type == TYPE_DECIMAL)
        return binder_wrong(binder, "semantic.type", series->at->place,
                            "a series goes over times or numbers, and this is a %s",
                            kql_type_name(series->type)) != NULL;
    step_type = series->type == TYPE_DATETIME ? TYPE_TIMESPAN : series->type;
    if (!step)
        return binder_wrong(binder, "semantic.arguments", operator->place, "make-series lacks its step") !=
               NULL;
    series->step = bind_value_as(binder, scope, step, step_type, "the step");
    if (!series->step)
        return false;
    series->from = from ? bind_value_as(binder, scope, from, series->type, "where it begins")
                        : outermost(series, "@bin(min(%1), %2)");
    if (!series->from)
        return false;
    end = to ? bind_value_as(binder, scope, to, series->type, "where it ends") : outermost(series, "max(%1)");
    if (!end)
        return false;
    series->count = call3(
        binder, inclusive || !to ? "@series_count(%1, %2, %3, true)" : "@series_count(%1, %2, %3, false)",
        TYPE_LONG, series->from, end, series->step);
    return true;
}

/* What a place has where no row lies. */
static struct bound_value *bind_default(struct series *series, const struct scope *scope,
                                        const struct kql_expression *item, enum kql_type type)
{
    struct binder *binder = series->binder;
    struct bound_value *value;

    if (!item->right)
        value = kql_type_is_number(type)
                    ? value_convert(binder, value_integer(binder, TYPE_LONG, 0, item->place), type)
                    : value_null(binder, type, item->place);
    else
        value = bind_value(binder, scope, item->right);
    return value_convert(binder, value, TYPE_DYNAMIC);
}

static bool bind_items(struct series *series, const struct scope *scope, const struct kql_expression *items,
                       struct bound_column *slot, struct bound_rows *by_slot, struct bound_rows *by_key)
{
    struct binder *binder = series->binder;
    struct scope here = scope_of(scope, by_slot->input);
    struct bound_definition **end = &by_slot->aggregates, **series_end = &by_key->aggregates;

    here.aggregates = true;
    here.windows = false;
    for (const struct kql_expression *item = items; item; item = item->next) {
        struct bound_value *value = bind_value(binder, &here, item->left), *otherwise, **arguments;
        if (!value)
            return false;
        if (!value->aggregates)
            return binder_wrong(binder, "semantic.aggregate", item->place,
                                "a value of many rows is wanted here, such as count()") != NULL;
        struct text name = item->names          ? item->names->name.text
                           : value->label.bytes ? value->label
                                                : name_of_unnamed(binder, by_key, "Column");
        struct bound_column *column = column_new(binder, name, value->type), *array;
        *end = ARENA_NEW(binder->arena, struct bound_definition);
        **end = (struct bound_definition){NULL, column, value};
        end = &(*end)->next;
        otherwise = bind_default(series, scope, item, value->type);
        if (!otherwise)
            return false;
        arguments = ARENA_ARRAY(binder->arena, struct bound_value *, 4);
        arguments[0] = value_of_column(binder, slot, item->place);
        arguments[1] = value_convert(binder, value_of_column(binder, column, item->place), TYPE_DYNAMIC);
        arguments[2] = series->count;
        arguments[3] = otherwise;
        if (!arguments[1])
            return false;
        array = column_new(binder, rows_unique_name(binder, by_key, name), TYPE_DYNAMIC);
        *series_end = ARENA_NEW(binder->arena, struct bound_definition);
        **series_end =
            (struct bound_definition){NULL, array,
                                      value_call(binder, "!@series(array_agg(%1), array_agg(%2), %3, %4)",
                                                 TYPE_DYNAMIC, item->place, arguments, 4)};
        series_end = &(*series_end)->next;
        rows_show(binder, by_key, array);
    }
    return true;
}

static struct bound_rows *on_axis(struct series *series, struct bound_column **slot)
{
    struct binder *binder = series->binder;
    struct bound_rows *rows = rows_new(binder, ROWS_EXTEND, series->input, series->at->place);
    struct bound_value *at;

    *slot = column_new(binder, TEXT("slot"), TYPE_LONG);
    rows_define(binder, rows, *slot,
                call3(binder, "@series_slot(%1, %2, %3)", TYPE_LONG, series->at, series->from, series->step));
    at = value_of_column(binder, *slot, series->at->place);
    return rows_filtered(binder, rows,
                         value_call2(binder, "(%1 BETWEEN 0 AND %2 - 1)", TYPE_BOOL, at, series->count));
}

static const char *axis_sql(enum kql_type type)
{
    return type == TYPE_DATETIME   ? "!@series_axis_datetime(%1, %2, %3)"
           : type == TYPE_TIMESPAN ? "!@series_axis_timespan(%1, %2, %3)"
                                   : "!@series_axis(%1, %2, %3)";
}

struct bound_rows *bind_make_series(struct binder *binder, const struct scope *scope,
                                    const struct kql_operator *operator, struct bound_rows * input)
{
    struct series series = {.binder = binder, .input = input};
    struct bound_rows *by_slot, *by_key, *rows;
    struct bound_column *slot, *column;
    struct bound_value *value;
    struct text name;

    if (!bind_axis(&series, scope, operator))
        return NULL;
    by_slot = rows_new(binder, ROWS_GROUP, on_axis(&series, &slot), operator->place);
    by_slot->order = NULL;
    rows_clear(by_slot);
    by_key = rows_new(binder, ROWS_GROUP, by_slot, operator->place);
    struct scope here = scope_of(scope, by_slot->input);
    for (const struct kql_expression *by = operator->by; by; by = by->next) {
        if (!item_value(binder, &here, by, &name, &value))
            return NULL;
        if (value->type == TYPE_DYNAMIC)
            return binder_wrong(binder, "semantic.type", by->place,
                                "rows are not grouped by a dynamic: use tostring() or another");
        name =
            name.bytes ? rows_unique_name(binder, by_key, name) : name_of_unnamed(binder, by_key, "Column");
        struct bound_column *inner = column_new(binder, name, value->type);
        column = column_new(binder, name, value->type);
        rows_define(binder, by_slot, inner, value);
        rows_define(binder, by_key, column, value_of_column(binder, inner, by->place));
        rows_show(binder, by_key, column);
    }
    column = column_new(binder, TEXT("slot"), TYPE_LONG);
    rows_define(binder, by_slot, column, value_of_column(binder, slot, operator->place));
    if (!bind_items(&series, scope, operator->items, column, by_slot, by_key))
        return NULL;
    rows = rows_new(binder, ROWS_EXTEND, by_key, operator->place);
    name = operator->on->kind == KQL_NAMED ? operator->on->names->name.text : series.at->label.bytes
                                                 ? series.at->label
                                                 : name_of_unnamed(binder, rows, "Column");
    column = column_new(binder, rows_unique_name(binder, rows, name), TYPE_DYNAMIC);
    rows_define(binder, rows, column,
                call3(binder, axis_sql(series.type), TYPE_DYNAMIC, series.from, series.step, series.count));
    rows_show(binder, rows, column);
    return rows;
}
