#include "kql/emit.h"

/* Which columns anything asks for. A published table has some sixty, of which a query reads a few; the rest would only be
 * carried through every SELECT, and no union of all tables would fit PostgreSQL's limit of columns. From the results down:
 * what a column is made of is needed where the column is. */

struct marking {
    struct emitter *emitter;
    bool grew; /* what is shared was looked at before all who read it were: once more, then */
};

static void mark_rows(struct marking *marking, const struct bound_rows *rows);

static void mark_column(struct marking *marking, const struct bound_column *column)
{
    uint64_t *word = &marking->emitter->used[column->id / 64], bit = UINT64_C(1) << column->id % 64;

    marking->grew |= !(*word & bit);
    *word |= bit;
}

bool emit_is_used(const struct emitter *emitter, const struct bound_column *column)
{
    return emitter->used[column->id / 64] >> column->id % 64 & 1;
}

static void mark_order(struct marking *marking, const struct bound_order *order)
{
    for (; order; order = order->next)
        mark_column(marking, order->column);
}

static void mark_value(struct marking *marking, const struct bound_value *value)
{
    if (!value)
        return;
    if (value->column)
        mark_column(marking, value->column);
    mark_order(marking, value->order);
    for (unsigned i = 0; i < value->count; i++)
        mark_value(marking, value->arguments[i]);
    if (value->rows)
        mark_rows(marking, value->rows);
}

/* `all`: also those that nobody asks for. */
static void mark_definitions(struct marking *marking, const struct bound_definition *definition, bool all)
{
    for (; definition; definition = definition->next) {
        if (all)
            mark_column(marking, definition->column);
        if (all || emit_is_used(marking->emitter, definition->column))
            mark_value(marking, definition->value);
    }
}

static void mark_legs(struct marking *marking, const struct bound_rows *rows)
{
    for (const struct bound_leg *leg = rows->legs; leg; leg = leg->next) {
        for (unsigned i = 0; i < rows->count; i++)
            if (leg->values[i] && emit_is_used(marking->emitter, rows->columns[i]))
                mark_value(marking, leg->values[i]);
        mark_rows(marking, leg->rows);
    }
}

static void mark_shared(struct marking *marking, struct bound_shared *shared)
{
    if (shared->marked == marking->emitter->pass)
        return;
    shared->marked = marking->emitter->pass;
    mark_rows(marking, shared->rows);
}

static void mark_rows(struct marking *marking, const struct bound_rows *rows)
{
    bool groups = rows->kind == ROWS_GROUP || rows->kind == ROWS_NEWEST;

    mark_order(marking, rows->order);
    if (rows->ordinal)
        mark_column(marking, rows->ordinal);
    mark_definitions(marking, rows->definitions, groups);
    mark_definitions(marking, rows->aggregates, !rows->definitions); /* without groups they make the one row */
    mark_value(marking, rows->predicate);
    mark_value(marking, rows->limit);
    for (unsigned i = 0; rows->values && i < (rows->kind == ROWS_RANGE ? 3 : rows->kind == ROWS_LIMIT ? 1 : rows->value_count); i++)
        mark_value(marking, rows->values[i]);
    for (unsigned i = 0; i < rows->join.count; i++) {
        mark_value(marking, rows->join.left[i]);
        mark_value(marking, rows->join.right[i]);
    }
    mark_legs(marking, rows);
    if (rows->shared)
        mark_shared(marking, rows->shared);
    if (rows->input)
        mark_rows(marking, rows->input);
    if (rows->right)
        mark_rows(marking, rows->right);
}

void emit_mark_used(struct emitter *emitter, const struct bound_query *query)
{
    struct marking marking = {.emitter = emitter};

    for (unsigned i = 0; i < query->rows->count; i++)
        mark_column(&marking, query->rows->columns[i]);
    do {
        marking.grew = false;
        emitter->pass = ++*emitter->passes;
        mark_rows(&marking, query->rows);
    } while (marking.grew);
}
