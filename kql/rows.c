#include "kql/binder.h"

#include <stdarg.h>
#include <stdio.h>

void *binder_wrong(struct binder *binder, const char *code, struct kql_place place, const char *format, ...)
{
    char message[200];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (binder->inside)
        kql_wrong(binder->wrong, code, binder->call, "in %.*s: %s", TEXT_ARGS(binder->inside->name), message);
    else
        kql_wrong(binder->wrong, code, place, "%s", message);
    return NULL;
}

bool binder_enter(struct binder *binder, struct kql_place place)
{
    if (++binder->depth <= BINDER_DEPTH_MAX)
        return true;
    binder_wrong(binder, "semantic.too_deep", place, "names stand for names more than %d deep",
                 BINDER_DEPTH_MAX);
    return false;
}

struct bound_column *column_new(struct binder *binder, struct text name, enum kql_type type)
{
    struct bound_column *column = ARENA_NEW(binder->arena, struct bound_column);

    column->name = name;
    column->type = type;
    column->id = ++binder->ids;
    return column;
}

struct bound_rows *rows_new(struct binder *binder, enum rows_kind kind, struct bound_rows *input,
                            struct kql_place place)
{
    struct bound_rows *rows = ARENA_NEW(binder->arena, struct bound_rows);

    rows->kind = kind;
    rows->place = binder_place(binder, place);
    rows->input = input;
    if (input) {
        rows->columns = input->columns;
        rows->count = input->count;
        rows->order = input->order;
        rows->serialized = input->serialized;
        if (kind != ROWS_GROUP && kind != ROWS_NEWEST)
            rows->unshown = input->unshown;
        if (kind != ROWS_GROUP && kind != ROWS_NEWEST)
            rows->open = input->open;
    }
    return rows;
}

static void rows_hide_in(struct binder *binder, struct bound_rows *rows, struct text name, enum kql_type type);

void rows_clear(struct bound_rows *rows)
{
    rows->count = 0;
    rows->unshown = NULL;
    rows->open = NULL;
}

struct bound_column *rows_known(const struct bound_rows *rows, struct text name)
{
    struct bound_column *column = rows_column(rows, name);

    for (const struct bound_definition *unshown = rows ? rows->unshown : NULL; !column && unshown; unshown = unshown->next)
        if (text_equal(unshown->column->name, name))
            column = unshown->column;
    for (const struct bound_definition *unshown = rows && rows->open ? rows->open->unshown : NULL; !column && unshown;
         unshown = unshown->next)
        if (text_equal(unshown->column->name, name))
            column = unshown->column;
    return column;
}

struct bound_column *rows_open_column(struct binder *binder, const struct bound_rows *rows, struct text name)
{
    struct bound_column *column = rows_known(rows, name);

    if (column || !rows || !rows->open)
        return column;
    rows_hide_in(binder, rows->open, name, TYPE_DYNAMIC);
    return rows->open->unshown->column;
}

struct bound_rows *rows_with_unshown(struct binder *binder, struct bound_rows *input, struct text name, enum kql_type type)
{
    return rows_known(input, name) ? input : rows_hide(binder, input, name, type);
}

struct bound_rows *rows_hide(struct binder *binder, struct bound_rows *input, struct text name, enum kql_type type)
{
    struct bound_rows *rows = input->kind == ROWS_EXTEND && input->unshown
                                  ? input
                                  : rows_new(binder, ROWS_EXTEND, input, input->place);
    rows_hide_in(binder, rows, name, type);
    return rows;
}

/* The same column, so that it stays as it lies. */
void rows_alias(struct binder *binder, struct bound_rows *rows, struct text name, const struct bound_column *column)
{
    struct bound_definition *unshown = ARENA_NEW(binder->arena, struct bound_definition);
    struct bound_column *alias = ARENA_NEW(binder->arena, struct bound_column);

    *alias = *column;
    alias->name = name;
    *unshown = (struct bound_definition){rows->unshown, alias, NULL};
    rows->unshown = unshown;
}

/* Rows of a group have no definitions but those that they are grouped by, and nothing to compute the column from. */
static void rows_hide_in(struct binder *binder, struct bound_rows *rows, struct text name, enum kql_type type)
{
    struct bound_column *column = column_new(binder, name, type);
    struct bound_definition *unshown = ARENA_ARRAY(binder->arena, struct bound_definition, 2);

    unshown[0] = (struct bound_definition){rows->unshown, column, NULL};
    unshown[1] = (struct bound_definition){rows->definitions, column, value_null(binder, type, rows->place)};
    rows->unshown = &unshown[0];
    if (rows->kind == ROWS_EXTEND)
        rows->definitions = &unshown[1]; /* one that nothing asks for leaves no trace in the statement */
}

void rows_define(struct binder *binder, struct bound_rows *rows, struct bound_column *column,
                 struct bound_value *value)
{
    struct bound_definition **end = &rows->definitions;

    while (*end)
        end = &(*end)->next;
    *end = ARENA_NEW(binder->arena, struct bound_definition);
    **end = (struct bound_definition){NULL, column, value};
}

void rows_show(struct binder *binder, struct bound_rows *rows, struct bound_column *column)
{
    struct bound_column **columns = ARENA_ARRAY(binder->arena, struct bound_column *, rows->count + 1);

    if (rows->count)
        memcpy(columns, rows->columns, rows->count * sizeof *columns);
    columns[rows->count] = column;
    rows->columns = columns;
    rows->count++;
}

struct bound_column *rows_column(const struct bound_rows *rows, struct text name)
{
    for (unsigned i = 0; rows && i < rows->count; i++)
        if (text_equal(rows->columns[i]->name, name))
            return rows->columns[i];
    return NULL;
}

struct bound_column *rows_table_column(const struct bound_rows *rows, const struct bound_column *column,
                                       const struct bound_rows **table)
{
    for (; rows && (rows->kind == ROWS_EXTEND || rows->kind == ROWS_FILTER || rows->kind == ROWS_LIMIT); rows = rows->input)
        for (const struct bound_definition *at = rows->definitions; at; at = at->next)
            if (at->column->id == column->id) {
                if (at->value->kind != BOUND_COLUMN)
                    return NULL;
                column = at->value->column;
            }
    for (unsigned i = 0; rows && rows->kind == ROWS_TABLE && i < rows->count; i++)
        if (rows->columns[i]->id == column->id) {
            *table = rows;
            return rows->columns[i];
        }
    return NULL;
}

struct text rows_unique_name(struct binder *binder, const struct bound_rows *rows, struct text name)
{
    if (!rows_column(rows, name))
        return name;
    for (unsigned i = 1;; i++) {
        struct text tried = text_of(arena_format(binder->arena, "%.*s%u", TEXT_ARGS(name), i));
        if (!rows_column(rows, tried))
            return tried;
    }
}

struct bound_value *rows_compute(struct binder *binder, struct bound_rows *rows, struct bound_value *value)
{
    struct bound_rows *input = ARENA_NEW(binder->arena, struct bound_rows);
    struct bound_column *column = column_new(binder, TEXT("computed"), value->type);

    *input = *rows;
    *rows = *rows_new(binder, ROWS_EXTEND, input, rows->place);
    rows_define(binder, rows, column, value);
    return value_of_column(binder, column, value->place);
}

struct scope scope_of(const struct scope *outer, struct bound_rows *rows)
{
    return (struct scope){.outer = outer, .rows = rows, .windows = rows && rows->serialized};
}
