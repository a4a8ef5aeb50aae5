#include <string.h>

#include "kql/binder.h"

/* Groups for which PostgreSQL would sort all rows, in two steps that it hashes: distinct values are grouped before they are
 * counted, and the newest row of each group is found by its time. */

struct steps {
    struct binder *binder;
    struct bound_rows *inner;                /* groups by what the outer ones are grouped by, and by the value to count */
    struct bound_value *counted;             /* that value, NULL until one is met */
    struct bound_column *counted_column;
    struct bound_definition **end;           /* of the inner aggregates */
};

static bool is_same(const struct bound_value *left, const struct bound_value *right)
{
    return left == right || (left->kind == BOUND_COLUMN && right->kind == BOUND_COLUMN && left->column->id == right->column->id);
}

static struct bound_value *of_column(struct steps *steps, const struct bound_value *value, struct bound_column *column, const char *sql)
{
    struct bound_value *outer = ARENA_NEW(steps->binder->arena, struct bound_value);

    *outer = *value;
    outer->sql = sql;
    outer->arguments = ARENA_ARRAY(steps->binder->arena, struct bound_value *, 1);
    outer->arguments[0] = value_of_column(steps->binder, column, value->place);
    outer->count = 1;
    return outer;
}

/* One aggregate as one of what groups within its group came to. NULL: it cannot be. */
static struct bound_value *aggregate_of_parts(void *context, struct bound_value *value)
{
    static const struct {
        const char *sql, *inner, *outer; /* `inner` NULL: the same */
        enum kql_type type;              /* of `inner`, where there is one */
    } aggregates[] = {
        {"count(*)", NULL, "coalesce(sum(%1), 0)::bigint", TYPE_LONG},
        {"count(*) FILTER (WHERE %1)", NULL, "coalesce(sum(%1), 0)::bigint", TYPE_LONG},
        {"coalesce(sum(%1), 0)::bigint", NULL, "coalesce(sum(%1), 0)::bigint", TYPE_LONG},
        {"coalesce(sum(%2) FILTER (WHERE %1), 0)::bigint", NULL, "coalesce(sum(%1), 0)::bigint", TYPE_LONG},
        {"@wrapped(coalesce(sum(%1), 0))", "coalesce(sum(%1), 0)::numeric", "@wrapped(coalesce(sum(%1), 0))", TYPE_DECIMAL},
        {"min(%1)", NULL, "min(%1)", TYPE_LONG},
        {"max(%1)", NULL, "max(%1)", TYPE_LONG},
        {"coalesce(min(%1 COLLATE \"C\"), '')", NULL, "coalesce(min(%1 COLLATE \"C\"), '')", TYPE_LONG},
        {"coalesce(max(%1 COLLATE \"C\"), '')", NULL, "coalesce(max(%1 COLLATE \"C\"), '')", TYPE_LONG},
    };
    struct steps *steps = context;
    struct bound_value *part;
    size_t i = 0;

    if (strcmp(value->sql, "count(DISTINCT %1)") == 0) {
        if (!is_same(value->arguments[0], steps->counted))
            return NULL;
        return of_column(steps, value, steps->counted_column, "count(%1)");
    }
    while (i < sizeof aggregates / sizeof *aggregates && strcmp(aggregates[i].sql, value->sql) != 0)
        i++;
    if (i == sizeof aggregates / sizeof *aggregates)
        return NULL;
    part = ARENA_NEW(steps->binder->arena, struct bound_value);
    *part = *value;
    if (aggregates[i].inner) {
        part->sql = aggregates[i].inner;
        part->type = aggregates[i].type;
    }
    struct bound_column *column = column_new(steps->binder, TEXT("part"), part->type);
    *steps->end = ARENA_NEW(steps->binder->arena, struct bound_definition);
    **steps->end = (struct bound_definition){NULL, column, part};
    steps->end = &(*steps->end)->next;
    return of_column(steps, value, column, aggregates[i].outer);
}

static struct bound_value *counted_find(void *context, struct bound_value *value)
{
    struct steps *steps = context;

    if (!steps->counted && strcmp(value->sql, "count(DISTINCT %1)") == 0)
        steps->counted = value->arguments[0];
    return value;
}

/* dcount() of one value beside aggregates whose parts can be put together. */
static void count_distinct(struct binder *binder, struct bound_rows *group)
{
    struct steps steps = {.binder = binder};
    struct bound_value **values;
    unsigned count = 0, i = 0;

    for (const struct bound_definition *at = group->aggregates; at; at = at->next, count++)
        (void)value_replace_aggregates(binder, at->value, counted_find, &steps);
    if (!steps.counted)
        return;
    steps.inner = rows_new(binder, ROWS_GROUP, group->input, group->place);
    steps.inner->order = NULL;
    steps.counted_column = column_new(binder, TEXT("counted"), steps.counted->type);
    steps.end = &steps.inner->aggregates;
    values = ARENA_ARRAY(binder->arena, struct bound_value *, count);
    for (const struct bound_definition *at = group->aggregates; at; at = at->next)
        if (!(values[i++] = value_replace_aggregates(binder, at->value, aggregate_of_parts, &steps)))
            return;
    for (struct bound_definition *at = group->definitions; at; at = at->next) {
        struct bound_column *by = column_new(binder, at->column->name, at->column->type);
        rows_define(binder, steps.inner, by, at->value);
        at->value = value_of_column(binder, by, group->place);
    }
    rows_define(binder, steps.inner, steps.counted_column, steps.counted);
    group->input = steps.inner;
    i = 0;
    for (struct bound_definition *at = group->aggregates; at; at = at->next)
        at->value = values[i++];
}

/* The time of a table's rows, as it lies there. */
static bool is_time_of_table(const struct bound_rows *rows, const struct bound_column *column)
{
    const struct bound_rows *table;

    column = rows_table_column(rows, column, &table);
    return column && column->storage == KQL_TIMESTAMPTZ && text_equal(column->name, TEXT("TimeGenerated"));
}

/* Whether reading them twice gives the same twice. */
static bool are_steady(const struct bound_rows *rows)
{
    for (; rows->kind == ROWS_EXTEND || rows->kind == ROWS_FILTER; rows = rows->input) {
        if (rows->predicate && value_is_drawn(rows->predicate))
            return false;
        for (const struct bound_definition *at = rows->definitions; at; at = at->next)
            if (value_is_drawn(at->value))
                return false;
    }
    return rows->kind == ROWS_TABLE;
}

/* The rows of the greatest time of each group, joined with them all: few are left to be sorted. */
static void newest_by_time(struct binder *binder, struct bound_rows *newest)
{
    const struct bound_order *order = newest->order;
    struct bound_rows *last, *join;
    unsigned count = 1, i = 0;

    if (!order || order->next || !is_time_of_table(newest->input, order->column) || !are_steady(newest->input))
        return;
    for (const struct bound_definition *at = newest->definitions; at; at = at->next)
        count++;
    last = rows_new(binder, ROWS_GROUP, newest->input, newest->place);
    last->order = NULL;
    join = rows_new(binder, ROWS_JOIN, newest->input, newest->place);
    join->right = last;
    join->join = (struct bound_join){.kind = JOIN_INNER,
                                     .left = ARENA_ARRAY(binder->arena, struct bound_value *, count),
                                     .right = ARENA_ARRAY(binder->arena, struct bound_value *, count),
                                     .count = count};
    for (const struct bound_definition *at = newest->definitions; at; at = at->next, i++) {
        struct bound_column *by = column_new(binder, at->column->name, at->column->type);
        rows_define(binder, last, by, at->value);
        join->join.left[i] = at->value;
        join->join.right[i] = value_of_column(binder, by, newest->place);
    }
    struct bound_column *time = column_new(binder, TEXT("time"), TYPE_DATETIME);
    struct bound_value *stored = value_of_column(binder, order->column, newest->place);
    time->storage = KQL_TIMESTAMPTZ;
    stored->stored = true;
    stored->nullable = false;
    last->aggregates = ARENA_NEW(binder->arena, struct bound_definition);
    *last->aggregates = (struct bound_definition){NULL, time, value_call1(binder, order->descending ? "max(%1)" : "min(%1)", TYPE_DATETIME, stored)};
    last->aggregates->value->aggregates = true;
    join->join.left[i] = stored;
    join->join.right[i] = value_of_column(binder, time, newest->place);
    join->join.right[i]->stored = true;
    join->join.right[i]->nullable = false;
    newest->input = join;
}

void rows_in_two_steps(struct binder *binder, struct bound_rows *group)
{
    if (group->kind == ROWS_NEWEST)
        newest_by_time(binder, group);
    else
        count_distinct(binder, group);
}
