#include "programs/table.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/arena.h"

#define COLUMNS_MAX 12
#define ROWS_MAX 100000 /* far beyond a page; a list that long is streamed in pieces */
#define CELL_MAX 400    /* bytes shown of one value */

struct table {
    const struct table_column *columns;
    size_t column_count;
    size_t widths[COLUMNS_MAX];
    const char **cells; /* row by row */
    size_t row_count, row_room;
    struct arena arena;
};

static const char *cell_of(struct table *table, const json_t *object, const char *key);
static const json_t *member_of(const json_t *object, const char *key);
static size_t width_of(const char *cell);
static void print_row(const struct table *table, const char *const *cells);

struct table *table_new(const struct table_column *columns, size_t count)
{
    struct table *table = calloc(1, sizeof *table);

    assert(count <= COLUMNS_MAX);
    if (!table)
        abort();
    arena_init(&table->arena);
    table->columns = columns;
    table->column_count = count;
    for (size_t i = 0; i < count; i++)
        table->widths[i] = strlen(columns[i].title);
    return table;
}

void table_add(struct table *table, const json_t *object)
{
    if (table->row_count >= ROWS_MAX)
        return;
    if (table->row_count == table->row_room) {
        table->row_room = table->row_room ? 2 * table->row_room : 64;
        const char **grown = realloc(table->cells, table->row_room * table->column_count * sizeof *grown);
        if (!grown)
            abort();
        table->cells = grown;
    }
    for (size_t i = 0; i < table->column_count; i++) {
        const char *cell = cell_of(table, object, table->columns[i].key);
        size_t width = width_of(cell);
        table->cells[table->row_count * table->column_count + i] = cell;
        if (width > table->widths[i])
            table->widths[i] = width;
    }
    table->row_count++;
}

void table_print(struct table *table, enum table_titles titles)
{
    const char *row[COLUMNS_MAX];

    for (size_t i = 0; i < table->column_count; i++)
        row[i] = table->columns[i].title;
    if (titles == TABLE_TITLED)
        print_row(table, row);
    for (size_t i = 0; i < table->row_count; i++)
        print_row(table, table->cells + i * table->column_count);
    table->row_count = 0;
    arena_clear(&table->arena);
}

void table_free(struct table *table)
{
    if (!table)
        return;
    arena_done(&table->arena);
    free(table->cells);
    free(table);
}

void table_json_line(const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

    if (!text)
        abort();
    puts(text);
    fflush(stdout);
    free(text);
}

void table_print_members(const json_t *object)
{
    static const struct table_column columns[] = {{"", "name"}, {"", "value"}};
    struct table *table = table_new(columns, 2);
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        json_t *row = json_pack("{s:s, s:O}", "name", key, "value", value);
        table_add(table, row);
        json_decref(row);
    }
    table_print(table, TABLE_UNTITLED);
    table_free(table);
}

/* Control characters would move the reader's cursor; values come from devices. */
static const char *cell_of(struct table *table, const json_t *object, const char *key)
{
    const json_t *member = member_of(object, key);
    char *cell;

    if (!member || json_is_null(member))
        return "-";
    if (json_is_string(member)) {
        cell = arena_string(&table->arena, (struct text){json_string_value(member), json_string_length(member)});
    } else {
        char *text = json_dumps(member, JSON_COMPACT | JSON_ENCODE_ANY);
        cell = arena_string(&table->arena, text_of(text ? text : ""));
        free(text);
    }
    for (char *at = cell; *at; at++) {
        if (at - cell >= CELL_MAX && ((unsigned char)*at & 0xC0) != 0x80) {
            *at = '\0';
            break;
        }
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
    }
    return cell;
}

static const json_t *member_of(const json_t *object, const char *key)
{
    const char *dot = strchr(key, '.');
    char outer[64];

    if (!dot)
        return json_object_get(object, key);
    snprintf(outer, sizeof outer, "%.*s", (int)(dot - key), key);
    return member_of(json_object_get(object, outer), dot + 1);
}

/* Characters, counted as bytes that begin one. */
static size_t width_of(const char *cell)
{
    size_t width = 0;
    for (; *cell; cell++)
        width += ((unsigned char)*cell & 0xC0) != 0x80;
    return width;
}

static void print_row(const struct table *table, const char *const *cells)
{
    for (size_t i = 0; i < table->column_count; i++) {
        size_t pad = i + 1 < table->column_count ? table->widths[i] - width_of(cells[i]) + 2 : 0;
        printf("%s%*s", cells[i], (int)pad, "");
    }
    putchar('\n');
}
