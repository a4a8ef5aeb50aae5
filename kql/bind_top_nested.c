#include "kql/binder.h"

/* top-nested 3 of a by count(), top-nested 2 of b by sum(c): each level groups by its own value and those before it, keeps
 * the first ones within each group of the level before, and stands beside what that level kept. */

#define NESTED_MAX 7 /* %1 … %8 are what a call may have beside */

struct nest {
    struct binder *binder;
    const struct scope *scope;
    struct bound_shared *source;
    const struct kql_operator *levels;
    struct bound_rows *kept; /* of the levels so far: a value and its aggregate each */
    unsigned depth;
};

/* A copy that stands in a list of its own. */
static struct kql_expression *copied(struct binder *binder, const struct kql_expression *expression)
{
    struct kql_expression *copy = ARENA_NEW(binder->arena, struct kql_expression);

    *copy = *expression;
    copy->next = NULL;
    return copy;
}

/* By the values of the levels up to this one, the last first, with this one's aggregate behind them. */
static struct bound_rows *grouped(struct nest *nest, const struct kql_operator *level)
{
    struct kql_operator summarize = {.kind = KQL_SUMMARIZE, .place = level->place};
    struct kql_expression **end = &summarize.by;
    const struct kql_operator *at = nest->levels;

    for (unsigned i = 0; i <= nest->depth; i++, at = at->next) {
        *end = copied(nest->binder, at->items);
        end = &(*end)->next;
    }
    summarize.items = copied(nest->binder, level->by->kind == KQL_ORDERED ? level->by->left : level->by);
    struct bound_rows *rows = rows_of_shared(nest->binder, nest->source, level->place);
    return bind_summarize(nest->binder, nest->scope, &summarize, rows);
}

static struct bound_value *column_value(struct nest *nest, const struct bound_rows *rows, unsigned i)
{
    return value_of_column(nest->binder, rows->columns[i], rows->place);
}

/* Only the first `limit` of each group of the level before. */
static struct bound_rows *first_of_each(struct nest *nest, struct bound_rows *rows, const struct kql_operator *level)
{
    struct binder *binder = nest->binder;
    struct bound_value **arguments = ARENA_ARRAY(binder->arena, struct bound_value *, nest->depth + 1);
    bool ascending = level->by->kind == KQL_ORDERED && level->by->order == KQL_ASCENDING;
    const char *partition = "";
    struct bound_value *sides[2];

    if (!level->limit)
        return rows;
    sides[1] = bind_value_as(binder, nest->scope, level->limit, TYPE_LONG, "the number of values");
    if (!sides[1])
        return NULL;
    arguments[0] = column_value(nest, rows, nest->depth + 1);
    for (unsigned i = 0; i < nest->depth; i++) {
        arguments[i + 1] = column_value(nest, rows, i);
        partition = arena_format(binder->arena, "%s%s%%%u", partition, i ? ", " : "PARTITION BY ", i + 2);
    }
    sides[0] = value_call(binder,
                          arena_format(binder->arena, "!row_number() OVER (%s ORDER BY %%1%s)", partition,
                                       ascending ? " ASC NULLS FIRST" : " DESC NULLS LAST"),
                          TYPE_LONG, level->place, arguments, nest->depth + 1);
    sides[0]->windows = true;
    rows = rows_new(binder, ROWS_EXTEND, rows, level->place);
    sides[0] = rows_compute(binder, rows, sides[0]);
    struct bound_value *among = bind_operator(binder, "<=", level->place, sides, 2);
    return among ? rows_filtered(binder, rows, among) : NULL;
}

/* Beside those of the level before that were kept. */
static struct bound_rows *beside(struct nest *nest, struct bound_rows *rows)
{
    struct binder *binder = nest->binder;

    if (!nest->depth)
        return rows;
    struct bound_rows *joined = rows_new(binder, ROWS_JOIN, nest->kept, rows->place);
    joined->right = rows;
    joined->join.kind = JOIN_INNER;
    joined->join.left = ARENA_ARRAY(binder->arena, struct bound_value *, nest->depth);
    joined->join.right = ARENA_ARRAY(binder->arena, struct bound_value *, nest->depth);
    joined->join.count = nest->depth;
    for (unsigned i = 0; i < nest->depth; i++) {
        joined->join.left[i] = column_value(nest, nest->kept, 2 * i);
        joined->join.right[i] = column_value(nest, rows, i);
    }
    rows_clear(joined);
    return rows_new(binder, ROWS_EXTEND, joined, rows->place);
}

static bool add_level(struct nest *nest, const struct kql_operator *level)
{
    struct binder *binder = nest->binder;
    const struct kql_expression *by = level->by->kind == KQL_ORDERED ? level->by->left : level->by;
    struct bound_rows *rows, *shown;

    if (level->on) {
        binder_wrong(binder, "unsupported.operator", level->place, "top-nested with others is not supported");
        return false;
    }
    if (nest->depth == NESTED_MAX) {
        binder_wrong(binder, "semantic.too_large", level->place, "top-nested has at most %d levels", NESTED_MAX);
        return false;
    }
    rows = grouped(nest, level);
    rows = rows ? first_of_each(nest, rows, level) : NULL;
    if (!rows)
        return false;
    struct bound_column *value = rows->columns[nest->depth], *aggregate = rows->columns[nest->depth + 1];
    shown = beside(nest, rows);
    struct bound_rows *result = rows_new(binder, ROWS_EXTEND, shown, level->place);
    rows_clear(result);
    for (unsigned i = 0; nest->depth && i < nest->kept->count; i++)
        rows_show(binder, result, nest->kept->columns[i]);
    struct text name = by->kind == KQL_NAMED
                           ? aggregate->name
                           : text_of(arena_format(binder->arena, "aggregated_%.*s", TEXT_ARGS(value->name)));
    rows_show(binder, result,
              column_of_value(binder, result, rows_unique_name(binder, result, value->name),
                              value_of_column(binder, value, level->place)));
    rows_show(binder, result,
              column_of_value(binder, result, rows_unique_name(binder, result, name),
                              value_of_column(binder, aggregate, level->place)));
    nest->kept = result;
    nest->depth++;
    return true;
}

struct bound_rows *bind_top_nested(struct binder *binder, const struct scope *scope,
                                   const struct kql_operator *operator, struct bound_rows * input)
{
    struct nest nest = {
        .binder = binder, .scope = scope, .source = rows_share(binder, input, true), .levels = operator->levels};

    for (const struct kql_operator *level = operator->levels; level; level = level->next)
        if (!add_level(&nest, level))
            return NULL;
    return nest.kept;
}
