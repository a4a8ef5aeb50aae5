#include "kql/binder.h"

/* Groups of rows, and one value of each. */

struct grouping {
    struct binder *binder;
    const struct scope *scope;
    struct bound_rows *input, *rows;
    struct bound_definition **end; /* of the aggregates */
};

static bool group_open(struct grouping *grouping, struct binder *binder, const struct scope *scope,
                       const struct kql_expression *by, struct bound_rows *input, struct kql_place place)
{
    struct scope here = scope_of(scope, input);
    struct bound_rows *rows = rows_new(binder, ROWS_GROUP, input, place);
    struct bound_value *value;
    struct text name;

    *grouping = (struct grouping){binder, scope, input, rows, &rows->aggregates};
    rows_clear(rows);
    rows->order = NULL;
    rows->serialized = false;
    for (; by; by = by->next) {
        if (!item_value(binder, &here, by, &name, &value))
            return false;
        if (value->type == TYPE_DYNAMIC) {
            binder_wrong(binder, "semantic.type", by->place,
                         "rows are not grouped by a dynamic: use tostring() or another");
            return false;
        }
        name = name.bytes ? rows_unique_name(binder, rows, name) : name_of_unnamed(binder, rows, "Column");
        struct bound_column *column = column_new(binder, name, value->type);
        rows_define(binder, rows, column, value);
        rows_show(binder, rows, column);
    }
    return true;
}

static void group_add(struct grouping *grouping, struct text name, struct bound_value *value)
{
    struct bound_column *column =
        column_new(grouping->binder, rows_unique_name(grouping->binder, grouping->rows, name), value->type);

    *grouping->end = ARENA_NEW(grouping->binder->arena, struct bound_definition);
    **grouping->end = (struct bound_definition){NULL, column, value};
    grouping->end = &(*grouping->end)->next;
    rows_show(grouping->binder, grouping->rows, column);
}

/* Where rows lie in the order in which they were written, groups come in that of their first rows. */
static void group_close(struct grouping *grouping)
{
    struct bound_order *order = grouping->input->order;
    struct binder *binder = grouping->binder;
    unsigned count = grouping->rows->count;

    if (!order || order->next || !text_equal(order->column->name, TEXT("ordinal")) ||
        grouping->rows->kind != ROWS_GROUP || !grouping->rows->definitions)
        return;
    struct bound_value *first = value_call1(binder, "min(%1)", TYPE_LONG,
                                            value_of_column(binder, order->column, grouping->rows->place));
    struct bound_column **shown = grouping->rows->columns;
    group_add(grouping, TEXT("ordinal"), first);
    grouping->rows->order = ARENA_NEW(binder->arena, struct bound_order);
    grouping->rows->order->column = grouping->rows->columns[count];
    grouping->rows->columns = shown; /* it is not seen */
    grouping->rows->count = count;
}

/* ---- aggregates that give several columns ---- */

static bool given_name(const struct kql_expression *item, unsigned i, struct text *name)
{
    const struct kql_expression *names = item->kind == KQL_NAMED ? item->names : NULL;

    for (; names && i; i--)
        names = names->next;
    if (!names)
        return false;
    *name = names->name.text;
    return true;
}

/* By that name: another name for the same is another column. */
static bool is_that(const struct bound_value *value, const struct bound_column *column)
{
    return value->kind == BOUND_COLUMN && value->column->id == column->id && text_equal(value->column->name, column->name);
}

static bool is_grouped(const struct grouping *grouping, const struct bound_column *column)
{
    for (const struct bound_definition *by = grouping->rows->definitions; by; by = by->next)
        if (is_that(by->value, column))
            return true;
    return false;
}

/* The values that arg_max(key, a, b) or arg_max(key, *) wants beside the key, with their names. */
static bool beside(struct grouping *grouping, const struct kql_expression *items,
                   const struct bound_value *key, struct bound_value ***values, unsigned *count)
{
    struct binder *binder = grouping->binder;
    struct scope here = scope_of(grouping->scope, grouping->input);
    unsigned room = grouping->input->count;

    for (const struct kql_expression *item = items; item; item = item->next)
        room++;
    *values = ARENA_ARRAY(binder->arena, struct bound_value *, room + grouping->input->count);
    *count = 0;
    for (const struct kql_expression *item = items; item; item = item->next) {
        if (item->kind != KQL_ALL) {
            if (!((*values)[(*count)++] = bind_value(binder, &here, item)))
                return false;
            continue;
        }
        for (unsigned i = 0; i < grouping->input->count; i++) {
            struct bound_column *column = grouping->input->columns[i];
            if (!is_grouped(grouping, column) && !(key && is_that(key, column)))
                (*values)[(*count)++] = value_of_column(binder, column, item->place);
        }
    }
    return true;
}

static const char *type_of_first(enum kql_type type)
{
    return type == TYPE_STRING ? "!coalesce((array_agg(%1 %o))[1], '')" : "(array_agg(%1 %o))[1]";
}

static struct bound_value *first_in_order(struct grouping *grouping, struct bound_value *value,
                                          const struct bound_order *order)
{
    struct bound_value *first = value_call1(grouping->binder, type_of_first(value->type), value->type, value);

    first->kind = BOUND_ORDERED;
    first->order = order;
    first->aggregates = true;
    first->windows = false;
    return first;
}

/* The key as a column, and the order in which the row that is wanted comes first. */
static struct bound_order *key_order(struct grouping *grouping, struct bound_value **key, bool greatest)
{
    struct binder *binder = grouping->binder;
    struct bound_order *order = ARENA_NEW(binder->arena, struct bound_order);
    struct bound_rows *keyed = rows_new(binder, ROWS_EXTEND, grouping->rows->input, (*key)->place);

    order->column = column_of_value(binder, keyed, TEXT("key"), *key);
    order->descending = greatest;
    order->nulls_last = true;
    order->next = grouping->input->order;
    grouping->rows->input = keyed;
    struct bound_value *column = value_of_column(binder, order->column, (*key)->place);
    column->label = (*key)->label;
    *key = column;
    return order;
}

static bool bind_arg(struct grouping *grouping, const struct kql_expression *item,
                     const struct kql_expression *call, bool greatest, bool alone)
{
    struct binder *binder = grouping->binder;
    struct scope here = scope_of(grouping->scope, grouping->input);
    struct bound_value *key = call->items ? bind_value(binder, &here, call->items) : NULL, **values;
    struct bound_order *order;
    unsigned count;
    struct text name;

    if (!key) {
        if (!call->items)
            binder_wrong(binder, "semantic.arguments", call->place, "%.*s() wants what it is about",
                         TEXT_ARGS(call->name.text));
        return false;
    }
    if (key->type == TYPE_DYNAMIC) {
        binder_wrong(binder, "semantic.type", key->place,
                     "a dynamic has no order: use tostring() or another");
        return false;
    }
    if (!beside(grouping, call->items->next, key, &values, &count))
        return false;
    order = key_order(grouping, &key, greatest);
    if (alone) {
        grouping->rows->kind = ROWS_NEWEST;
        grouping->rows->order = order;
    }
    for (unsigned i = 0; i <= count; i++) {
        struct bound_value *value = i ? values[i - 1] : key;
        if (!given_name(item, i, &name))
            name = value->label.bytes ? value->label : name_of_unnamed(binder, grouping->rows, "Column");
        group_add(grouping, name, alone ? value : first_in_order(grouping, value, order));
    }
    return true;
}

static bool bind_any(struct grouping *grouping, const struct kql_expression *item,
                     const struct kql_expression *call, bool alone)
{
    struct binder *binder = grouping->binder;
    bool deprecated = text_equal(call->name.text, TEXT("any")),
         of_all = call->items && call->items->kind == KQL_ALL;
    struct bound_value **values;
    unsigned count;
    struct text name;

    if (!beside(grouping, call->items, NULL, &values, &count))
        return false;
    if (alone && of_all) { /* whole rows, not a row of values */
        grouping->rows->kind = ROWS_NEWEST;
        grouping->rows->order = grouping->input->order;
    }
    for (unsigned i = 0; i < count; i++) {
        if (!given_name(item, i, &name)) {
            name = values[i]->label;
            if (name.bytes && deprecated)
                name = text_of(arena_format(binder->arena, "any_%.*s", TEXT_ARGS(name)));
            else if (!name.bytes)
                name = deprecated ? TEXT("any_") : name_of_unnamed(binder, grouping->rows, "Column");
        }
        group_add(grouping, name,
                  alone && of_all ? values[i] : first_in_order(grouping, values[i], grouping->input->order));
    }
    return true;
}

/* percentile(x, 95), percentiles(x, 5, 50, 95) */
static bool bind_percentiles(struct grouping *grouping, const struct kql_expression *item,
                             const struct kql_expression *call)
{
    struct binder *binder = grouping->binder;
    struct scope here = scope_of(grouping->scope, grouping->input);
    struct bound_value *sides[2] = {call->items ? bind_value(binder, &here, call->items) : NULL}, *value;
    struct text name;
    unsigned i = 0;

    if (!call->items || !call->items->next)
        binder_wrong(binder, "semantic.arguments", call->place, "%.*s() takes a value, and how many percent",
                     TEXT_ARGS(call->name.text));
    if (!sides[0] || binder_failed(binder))
        return false;
    for (const struct kql_expression *percent = call->items->next; percent; percent = percent->next, i++) {
        sides[1] = bind_value(binder, &here, percent);
        value = sides[1]
                    ? bind_signature(binder, FUNCTION_AGGREGATE, TEXT("percentile"), call->place, sides, 2)
                    : NULL;
        if (!value)
            return false;
        value->aggregates = true;
        if (!given_name(item, i, &name)) {
            struct text number = sides[1]->text.bytes ? sides[1]->text : TEXT(""), label = sides[0]->label;
            char *dashed = arena_string(binder->arena, number);
            for (size_t k = 0; k < number.count; k++)
                dashed[k] = dashed[k] == '.' ? '_' : dashed[k];
            name = text_of(arena_format(binder->arena, "percentile_%.*s_%s",
                                        TEXT_ARGS(label.bytes ? label : TEXT("")), dashed));
        }
        group_add(grouping, name, value);
    }
    return true;
}

/* ---- summarize ---- */

/* Those that give whatever number of columns; false: it is none of them. */
static bool bind_several(struct grouping *grouping, const struct kql_expression *item, bool alone, bool *fine)
{
    const struct kql_expression *call = item->kind == KQL_NAMED ? item->left : item;
    struct text name = call->kind == KQL_CALL ? call->name.text : TEXT("");
    bool takes = text_equal(name, TEXT("take_any")) || text_equal(name, TEXT("any"));

    if (function_named(grouping->binder, grouping->scope, name))
        return false;
    if (text_equal(name, TEXT("arg_max")) || text_equal(name, TEXT("argmax")))
        *fine = bind_arg(grouping, item, call, true, alone);
    else if (text_equal(name, TEXT("arg_min")) || text_equal(name, TEXT("argmin")))
        *fine = bind_arg(grouping, item, call, false, alone);
    else if (takes && call->items)
        *fine = bind_any(grouping, item, call, alone);
    else if (text_equal(name, TEXT("percentile")) || text_equal(name, TEXT("percentiles")))
        *fine = bind_percentiles(grouping, item, call);
    else
        return false;
    return true;
}

static bool reads_columns(const struct bound_value *value)
{
    if (value->kind == BOUND_COLUMN)
        return true;
    for (unsigned i = 0; i < value->count; i++)
        if (reads_columns(value->arguments[i]))
            return true;
    return false;
}

static bool bind_one(struct grouping *grouping, const struct kql_expression *item)
{
    struct binder *binder = grouping->binder;
    struct scope here = scope_of(grouping->scope, grouping->input);
    struct bound_value *value;
    struct text name;

    here.aggregates = true;
    here.windows = false;
    if (!item_value(binder, &here, item, &name, &value))
        return false;
    if (!value->aggregates && value->kind != BOUND_CONSTANT && reads_columns(value)) {
        binder_wrong(binder, "semantic.aggregate", item->place,
                     "a value of all rows of a group is wanted here; sum(), take_any() and others make one");
        return false;
    }
    group_add(grouping, name.bytes ? name : name_of_unnamed(binder, grouping->rows, "Column"), value);
    return true;
}

/* The order was for finding the first rows; none is left behind. */
static struct bound_rows *rows_behind_newest(struct binder *binder, struct bound_rows *newest)
{
    struct bound_rows *rows = rows_new(binder, ROWS_EXTEND, newest, newest->place);

    rows->order = NULL;
    return rows;
}

struct bound_rows *bind_summarize(struct binder *binder, const struct scope *scope,
                                  const struct kql_operator *operator, struct bound_rows * input)
{
    struct grouping grouping;
    bool alone = operator->items && !operator->items->next, fine = true;

    if (!group_open(&grouping, binder, scope, operator->by, input, operator->place))
        return NULL;
    if (!operator->by)
        alone = false; /* one row also where there is none */
    for (const struct kql_expression *item = operator->items; item && fine; item = item->next)
        if (!bind_several(&grouping, item, alone, &fine))
            fine = bind_one(&grouping, item);
    if (!fine)
        return NULL;
    if (grouping.rows->kind == ROWS_NEWEST) {
        rows_in_two_steps(binder, grouping.rows);
        return rows_behind_newest(binder, grouping.rows);
    }
    group_close(&grouping);
    rows_from_rollup(binder, grouping.rows);
    rows_in_two_steps(binder, grouping.rows);
    return grouping.rows;
}

struct bound_rows *bind_count_operator(struct binder *binder, const struct scope *scope,
                                       const struct kql_operator *operator, struct bound_rows * input)
{
    struct grouping grouping;
    struct bound_value *count = value_call(binder, "!count(*)", TYPE_LONG, operator->place, NULL, 0);

    if (!group_open(&grouping, binder, scope, NULL, input, operator->place))
        return NULL;
    count->aggregates = true;
    group_add(&grouping, TEXT("Count"), count);
    rows_from_rollup(binder, grouping.rows);
    return grouping.rows;
}

/* ---- distinct ---- */

/* A dynamic goes by its text, and is one again afterwards. */
static struct bound_rows *distinct_rows(struct binder *binder, struct bound_rows *input,
                                        struct bound_value **values, struct text *names, unsigned count,
                                        struct kql_place place)
{
    struct bound_rows *groups = rows_new(binder, ROWS_GROUP, input, place), *rows;

    groups->order = NULL;
    groups->serialized = false;
    rows_clear(groups);
    rows = rows_new(binder, ROWS_EXTEND, groups, place);
    for (unsigned i = 0; i < count; i++) {
        bool dynamic = values[i]->type == TYPE_DYNAMIC;
        struct bound_value *value =
            dynamic ? value_call1(binder, "@canonical_or_null(%1)", TYPE_STRING, values[i]) : values[i];
        struct bound_column *column =
            column_new(binder, rows_unique_name(binder, rows, names[i]), value->type);
        rows_define(binder, groups, column, value);
        if (dynamic) {
            struct bound_column *again = column_new(binder, column->name, TYPE_DYNAMIC);
            rows_define(
                binder, rows, again,
                value_call1(binder, "(%1)::json", TYPE_DYNAMIC, value_of_column(binder, column, place)));
            column = again;
        }
        rows_show(binder, rows, column);
    }
    rows_from_rollup(binder, groups);
    return rows;
}

struct bound_rows *bind_distinct(struct binder *binder, const struct scope *scope,
                                 const struct kql_operator *operator, struct bound_rows * input)
{
    struct scope here = scope_of(scope, input);
    unsigned count = 0, room = 0;

    for (const struct kql_expression *item = operator->items; item; item = item->next)
        room += 1 + input->count;
    struct bound_value **values = ARENA_ARRAY(binder->arena, struct bound_value *, room);
    struct text *names = ARENA_ARRAY(binder->arena, struct text, room);
    for (const struct kql_expression *item = operator->items; item; item = item->next) {
        bool wild = item->kind == KQL_ALL ||
                    (item->kind == KQL_REFERENCE && text_find(item->name.text, '*') < item->name.text.count);
        for (unsigned i = 0; wild && i < input->count; i++) {
            if (item->kind == KQL_REFERENCE && !text_like(input->columns[i]->name, item->name.text))
                continue;
            names[count] = input->columns[i]->name;
            values[count++] = value_of_column(binder, input->columns[i], item->place);
        }
        if (wild)
            continue;
        if (!item_value(binder, &here, item, &names[count], &values[count]))
            return NULL;
        if (!names[count].bytes)
            names[count] = text_of(arena_format(binder->arena, "Column%u", count + 1));
        count++;
    }
    return distinct_rows(binder, input, values, names, count, operator->place);
}

struct bound_rows *bind_sample_distinct(struct binder *binder, const struct scope *scope,
                                        const struct kql_operator *operator, struct bound_rows * input)
{
    struct bound_rows *distinct = bind_distinct(binder, scope, operator, input), *rows;

    if (!distinct)
        return NULL;
    rows = rows_new(binder, ROWS_LIMIT, distinct, operator->place);
    rows->values = ARENA_ARRAY(binder->arena, struct bound_value *, 1);
    rows->values[0] = bind_value_as(binder, scope, operator->limit, TYPE_LONG, "the number of values");
    return rows->values[0] ? rows : NULL;
}
