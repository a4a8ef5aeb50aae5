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
    }
    return rows;
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

struct scope scope_of(const struct scope *outer, const struct bound_rows *rows)
{
    return (struct scope){.outer = outer, .rows = rows, .windows = rows && rows->serialized};
}
