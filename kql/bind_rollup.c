#include <string.h>

#include "kql/binder.h"

/* Groups of a table's rows, made of rows that were added up by the hour before, where that gives the same: each hour that
 * the query wants whole comes from those, and what it wants of the hours at the ends from the table itself. */

#define TICKS_PER_HOUR (KQL_TICKS_PER_DAY / 24)

enum added { ADDED_AS_IS, ADDED_COUNT, ADDED_SUM, ADDED_MIN, ADDED_MAX };

/* What is read of both: a column of the table, or what was added up of it. */
struct kept {
    struct kept *next;
    enum added added;
    const struct bound_column *of; /* the table's; NULL of ADDED_COUNT */
    const struct catalog_column *source;
    struct bound_column *column;
};

struct rolling {
    struct binder *binder;
    const struct bound_rows *group, *table;
    const struct catalog_table *rollup;
    struct kept *kept;
    int64_t from, to; /* ticks t that are wanted: from <= t < to */
};

/* ---- columns ---- */

static struct bound_value *definition_of(const struct rolling *rolling, const struct bound_column *column)
{
    for (const struct bound_rows *rows = rolling->group->input; rows != rolling->table; rows = rows->input)
        for (const struct bound_definition *at = rows->definitions; at; at = at->next)
            if (at->column->id == column->id)
                return at->value;
    return NULL;
}

/* The table's own column that it is by whatever name; NULL: it is made of something. */
static const struct bound_column *table_column(const struct rolling *rolling, const struct bound_value *value)
{
    const struct bound_rows *table;

    return value->kind == BOUND_COLUMN ? rows_table_column(rolling->group->input, value->column, &table) : NULL;
}

static bool is_time(const struct rolling *rolling, const struct bound_value *value)
{
    const struct bound_column *column = value ? table_column(rolling, value) : NULL;

    return column && text_equal(column->name, TEXT("TimeGenerated"));
}

static struct text source_name(const struct rolling *rolling, enum added added, const struct bound_column *of)
{
    static const char *const words[] = {"", "count", "sum", "min", "max"};

    if (added == ADDED_AS_IS)
        return of->name;
    if (added == ADDED_COUNT)
        return TEXT("_count");
    return text_of(arena_format(rolling->binder->arena, "_%s_%.*s", words[added], TEXT_ARGS(of->name)));
}

/* NULL: the rollup does not have it. */
static struct kept *keep(struct rolling *rolling, enum added added, const struct bound_column *of)
{
    struct text name = source_name(rolling, added, of);
    const struct catalog_column *source = NULL;
    struct kept *kept = rolling->kept;

    for (size_t i = 0; i < rolling->rollup->count && !source; i++)
        if (text_equal(rolling->rollup->columns[i].name, name))
            source = &rolling->rollup->columns[i];
    if (!source || (of && source->storage != of->storage))
        return NULL;
    while (kept && kept->source != source)
        kept = kept->next;
    if (kept)
        return kept;
    kept = ARENA_NEW(rolling->binder->arena, struct kept);
    *kept = (struct kept){rolling->kept, added, of, source, column_new(rolling->binder, name, source->type)};
    kept->column->storage = source->storage;
    if (added == ADDED_AS_IS)
        kept->column->id = of->id; /* what is made of the table's is made of this now */
    rolling->kept = kept;
    return kept;
}

/* ---- values ---- */

static bool value_fits(struct rolling *rolling, struct bound_value *value);

static bool arguments_fit(struct rolling *rolling, const struct bound_value *value, unsigned from)
{
    for (unsigned i = from; i < value->count; i++)
        if (value->arguments[i] && !value_fits(rolling, value->arguments[i]))
            return false;
    return true;
}

/* The same for all times of an hour. */
static bool is_of_hours(struct rolling *rolling, const struct bound_value *value)
{
    static const char *const calls[] = {"@startof(",          "@endof(",
                                        "@dayofweek(",        "@datetime_part('day", /* and dayofyear */
                                        "@datetime_part('hour", "@datetime_part('week_of_year",
                                        "@datetime_part('month", "@datetime_part('year"};
    int64_t span;
    bool fine = value_bins_time(value, &span) && span % TICKS_PER_HOUR == 0;

    for (size_t i = 0; i < sizeof calls / sizeof *calls && !fine; i++)
        fine = strncmp(value->sql, calls[i], strlen(calls[i])) == 0;
    return fine && value->count && is_time(rolling, value->arguments[0]) && arguments_fit(rolling, value, 1);
}

/* Whether rows that are alike in the columns that are kept are alike in this. */
static bool value_fits(struct rolling *rolling, struct bound_value *value)
{
    const struct bound_column *column;
    struct bound_value *definition;

    if (value->windows)
        return false;
    switch (value->kind) {
    case BOUND_CONSTANT:
    case BOUND_LIST:
    case BOUND_SCALAR:
    case BOUND_ARRAY:
        return true;
    case BOUND_COLUMN:
        column = table_column(rolling, value);
        if (column)
            return !is_time(rolling, value) && keep(rolling, ADDED_AS_IS, column);
        definition = definition_of(rolling, value->column);
        return definition && value_fits(rolling, definition);
    case BOUND_CALL:
        if (is_of_hours(rolling, value))
            return keep(rolling, ADDED_AS_IS, table_column(rolling, value->arguments[0]));
        return !value_is_drawn(value) && arguments_fit(rolling, value, 0);
    case BOUND_AND:
    case BOUND_OR:
    case BOUND_NOT:
    case BOUND_EQUAL:
    case BOUND_NOT_EQUAL:
    case BOUND_CASE:
        return arguments_fit(rolling, value, 0);
    case BOUND_ORDERED:
        break;
    }
    return false;
}

/* ---- aggregates ---- */

static struct bound_value *kept_value(struct rolling *rolling, enum added added, const struct bound_column *of, struct kql_place place)
{
    struct kept *kept = keep(rolling, added, of);

    return kept ? value_of_column(rolling->binder, kept->column, place) : NULL;
}

/* One aggregate of rows as one of rows added up. NULL: it cannot be. */
static struct bound_value *aggregate_rolled(void *context, struct bound_value *value)
{
    static const struct {
        const char *sql, *rolled; /* NULL: the same, for how many rows there are does not matter to it */
        enum added added;         /* what takes the place of its first argument, or of rows: behind the arguments */
    } aggregates[] = {
        {"count(*)", "coalesce(sum(%1), 0)::bigint", ADDED_COUNT},
        {"count(*) FILTER (WHERE %1)", "coalesce(sum(%2) FILTER (WHERE %1), 0)::bigint", ADDED_COUNT},
        {"@wrapped(coalesce(sum(%1), 0))", NULL, ADDED_SUM},
        {"@wrapped(coalesce(sum(%1) FILTER (WHERE %2), 0))", NULL, ADDED_SUM},
        {"min(%1)", NULL, ADDED_MIN},
        {"max(%1)", NULL, ADDED_MAX},
        {"count(DISTINCT %1)", NULL, ADDED_AS_IS},
        {"count(DISTINCT %1) FILTER (WHERE %2)", NULL, ADDED_AS_IS},
        {"coalesce(min(%1 COLLATE \"C\"), '')", NULL, ADDED_AS_IS},
        {"coalesce(max(%1 COLLATE \"C\"), '')", NULL, ADDED_AS_IS},
    };
    struct rolling *rolling = context;
    struct bound_value *rolled = ARENA_NEW(rolling->binder->arena, struct bound_value), **arguments;
    const struct bound_column *column;
    size_t i = 0;

    while (i < sizeof aggregates / sizeof *aggregates && strcmp(aggregates[i].sql, value->sql) != 0)
        i++;
    if (i == sizeof aggregates / sizeof *aggregates)
        return NULL;
    bool plain = aggregates[i].added == ADDED_COUNT && !strchr(value->sql, '%'); /* count(x) counts rows */
    unsigned count = plain ? 0 : value->count;
    arguments = ARENA_ARRAY(rolling->binder->arena, struct bound_value *, count + 1);
    if (count)
        memcpy(arguments, value->arguments, count * sizeof *arguments);
    *rolled = *value;
    rolled->arguments = arguments;
    if (aggregates[i].added == ADDED_COUNT) {
        rolled->sql = aggregates[i].rolled;
        arguments[count] = kept_value(rolling, ADDED_COUNT, NULL, value->place);
        rolled->count = count + 1;
        return arguments[count] && (plain || value_fits(rolling, arguments[0])) ? rolled : NULL;
    }
    column = table_column(rolling, arguments[0]);
    struct bound_value *first = column && aggregates[i].added ? kept_value(rolling, aggregates[i].added, column, value->place) : NULL;
    if (first)
        arguments[0] = first;
    else if (aggregates[i].added == ADDED_SUM || !value_fits(rolling, arguments[0]))
        return NULL;
    return arguments_fit(rolling, rolled, 1) ? rolled : NULL;
}

/* ---- rows ---- */

/* What is left of a condition once those of time are taken out; NULL where nothing is. False: it does not fit. */
static bool condition_rest(struct rolling *rolling, struct bound_value *condition, struct bound_value **rest)
{
    struct bound_value *left, *right;
    const struct bound_value *time;

    *rest = NULL;
    if (condition->kind == BOUND_AND) {
        if (!condition_rest(rolling, condition->arguments[0], &left) || !condition_rest(rolling, condition->arguments[1], &right))
            return false;
        *rest = left && right ? value_both(rolling->binder, BOUND_AND, left, right) : left ? left : right;
        return true;
    }
    int64_t from = rolling->from, to = rolling->to;
    time = value_bounds_time(condition, &from, &to);
    if (time && is_time(rolling, time)) {
        rolling->from = from;
        rolling->to = to;
        return true;
    }
    *rest = condition;
    return value_fits(rolling, condition);
}

/* The operators between table and group once more, on other rows; times are what those have. NULL: it cannot be. */
static struct bound_rows *operators_on(struct rolling *rolling, const struct bound_rows *rows, struct bound_rows *bottom)
{
    struct bound_rows *input, *copy;
    struct bound_value *rest = NULL;

    if (rows == rolling->table)
        return bottom;
    input = operators_on(rolling, rows->input, bottom);
    if (!input || (rows->kind == ROWS_FILTER && !condition_rest(rolling, rows->predicate, &rest)))
        return NULL;
    if (rows->kind == ROWS_FILTER && !rest)
        return input;
    copy = rows_new(rolling->binder, rows->kind, input, rows->place);
    copy->definitions = rows->definitions;
    copy->predicate = rest;
    return copy;
}

/* Rows of the table or of its rollup from one time to another. */
static struct bound_rows *rows_within(struct rolling *rolling, const struct catalog_table *table, int64_t from, int64_t to)
{
    struct binder *binder = rolling->binder;
    struct kql_place place = rolling->group->place;
    struct bound_rows *rows = rows_bare(binder, table, place), *filter;
    struct bound_value *condition = NULL, *bound[2] = {value_of_column(binder, rows_column(rows, TEXT("TimeGenerated")), place)};

    if (from > 0) {
        bound[1] = value_integer(binder, TYPE_DATETIME, from, place);
        condition = bind_operator(binder, ">=", place, bound, 2);
    }
    if (to <= KQL_TICKS_MAX) {
        bound[1] = value_integer(binder, TYPE_DATETIME, to, place);
        struct bound_value *below = bind_operator(binder, "<", place, bound, 2);
        condition = condition ? value_both(binder, BOUND_AND, condition, below) : below;
    }
    if (!condition)
        return rows;
    filter = rows_new(binder, ROWS_FILTER, rows, place);
    filter->predicate = condition;
    return filter;
}

static void leg_add(struct rolling *rolling, struct bound_rows *all, const struct catalog_table *table, int64_t from, int64_t to)
{
    struct binder *binder = rolling->binder;
    struct bound_leg *leg = ARENA_NEW(binder->arena, struct bound_leg), **end = &all->legs;
    unsigned i = 0;

    leg->rows = rows_within(rolling, table, from, to);
    leg->values = ARENA_ARRAY(binder->arena, struct bound_value *, all->count);
    for (const struct kept *kept = rolling->kept; kept; kept = kept->next, i++) {
        bool rolled = table == rolling->rollup;
        if (!rolled && kept->added == ADDED_COUNT) {
            leg->values[i] = value_integer(binder, TYPE_LONG, 1, all->place);
            continue;
        }
        leg->values[i] = value_of_column(binder, rows_column(leg->rows, rolled ? kept->source->name : kept->of->name), all->place);
        leg->values[i]->stored = true;
    }
    while (*end)
        end = &(*end)->next;
    *end = leg;
}

/* The rows that take the table's place: `bottom` becomes their union. */
static void union_make(struct rolling *rolling, struct bound_rows *bottom)
{
    int64_t first = rolling->from > 0 ? (rolling->from - 1) / TICKS_PER_HOUR * TICKS_PER_HOUR + TICKS_PER_HOUR : 0,
            last = rolling->to <= KQL_TICKS_MAX ? rolling->to / TICKS_PER_HOUR * TICKS_PER_HOUR : INT64_MAX;

    rows_clear(bottom);
    for (const struct kept *kept = rolling->kept; kept; kept = kept->next)
        rows_show(rolling->binder, bottom, kept->column);
    leg_add(rolling, bottom, rolling->rollup, first, last);
    if (rolling->from < first)
        leg_add(rolling, bottom, rolling->table->table, rolling->from, first);
    if (rolling->to > last)
        leg_add(rolling, bottom, rolling->table->table, last, rolling->to);
}

static bool whole_hours(const struct rolling *rolling)
{
    return rolling->to > KQL_TICKS_MAX || rolling->to / TICKS_PER_HOUR > (rolling->from + TICKS_PER_HOUR - 1) / TICKS_PER_HOUR;
}

void rows_from_rollup(struct binder *binder, struct bound_rows *group)
{
    struct rolling rolling = {.binder = binder, .group = group, .to = INT64_MAX};
    struct bound_rows *table = group->input;
    struct bound_value **values;
    unsigned count = 0, i = 0;

    while (table->kind == ROWS_EXTEND || table->kind == ROWS_FILTER)
        table = table->input;
    if (table->kind != ROWS_TABLE || !table->table->rollup)
        return;
    rolling.table = table;
    rolling.rollup = table->table->rollup;
    for (const struct bound_definition *at = group->definitions; at; at = at->next)
        if (!value_fits(&rolling, at->value))
            return;
    for (const struct bound_definition *at = group->aggregates; at; at = at->next)
        count++;
    values = ARENA_ARRAY(binder->arena, struct bound_value *, count);
    for (const struct bound_definition *at = group->aggregates; at; at = at->next)
        if (!(values[i++] = value_replace_aggregates(binder, at->value, aggregate_rolled, &rolling)))
            return;
    struct bound_rows *bottom = rows_new(binder, ROWS_UNION, NULL, table->place),
                      *input = operators_on(&rolling, group->input, bottom);
    if (!input || !whole_hours(&rolling))
        return;
    union_make(&rolling, bottom);
    group->input = input;
    i = 0;
    for (struct bound_definition *at = group->aggregates; at; at = at->next)
        at->value = values[i++];
}
