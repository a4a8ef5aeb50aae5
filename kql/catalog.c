#include "kql/catalog.h"

#include <search.h>
#include <stdlib.h>

/* Lists that grow, and a tree over their names. */
struct named {
    struct text name;
    bool is_function;
    size_t at;
};

struct catalog {
    struct arena arena;
    struct catalog_table *tables;
    size_t table_count, table_room;
    struct catalog_function *functions;
    size_t function_count, function_room;
    void *by_name;
};

static int entry_compare(const void *left, const void *right)
{
    const struct named *a = left, *b = right;

    return a->is_function != b->is_function ? a->is_function - b->is_function
                                            : text_compare(a->name, b->name);
}

static const struct named *entry_find(const struct catalog *catalog, struct text name, bool is_function)
{
    struct named key = {.name = name, .is_function = is_function};
    void *const *found = tfind(&key, &catalog->by_name, entry_compare);

    return found ? *found : NULL;
}

static void entry_add(struct catalog *catalog, struct text name, bool is_function, size_t at)
{
    struct named *entry = ARENA_NEW(&catalog->arena, struct named);

    *entry = (struct named){name, is_function, at};
    (void)tsearch(entry, &catalog->by_name, entry_compare);
}

static void *grown(void *list, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return list;
    *room = *room ? 2 * *room : 64;
    list = realloc(list, *room * size);
    if (!list)
        abort();
    return list;
}

struct catalog *catalog_new(void)
{
    struct catalog *catalog = calloc(1, sizeof *catalog);

    if (!catalog)
        abort();
    arena_init(&catalog->arena);
    return catalog;
}

static void nothing(void *entry)
{
    (void)entry; /* entries lie in the arena */
}

void catalog_free(struct catalog *catalog)
{
    if (!catalog)
        return;
    tdestroy(catalog->by_name, nothing);
    free(catalog->tables);
    free(catalog->functions);
    arena_done(&catalog->arena);
    free(catalog);
}

static struct catalog_table table_copied(struct arena *arena, const struct catalog_table *table)
{
    struct catalog_table copy = *table, *rollup;

    copy.name = arena_text(arena, table->name);
    copy.sql = arena_text(arena, table->sql);
    copy.columns = ARENA_ARRAY(arena, struct catalog_column, table->count);
    for (size_t i = 0; i < table->count; i++) {
        copy.columns[i] = table->columns[i];
        copy.columns[i].name = arena_text(arena, table->columns[i].name);
        copy.columns[i].sql = arena_text(arena, table->columns[i].sql);
        copy.columns[i].parsed_sql = arena_text(arena, table->columns[i].parsed_sql);
        copy.columns[i].words_sql = arena_text(arena, table->columns[i].words_sql);
    }
    if (table->rollup) {
        copy.rollup = rollup = ARENA_NEW(arena, struct catalog_table);
        *rollup = table_copied(arena, table->rollup);
    }
    return copy;
}

void catalog_add_table(struct catalog *catalog, const struct catalog_table *table)
{
    struct catalog_table copy = table_copied(&catalog->arena, table);
    const struct named *entry = entry_find(catalog, table->name, false);

    if (entry) {
        catalog->tables[entry->at] = copy;
        return;
    }
    catalog->tables =
        grown(catalog->tables, catalog->table_count, &catalog->table_room, sizeof *catalog->tables);
    catalog->tables[catalog->table_count] = copy;
    entry_add(catalog, copy.name, false, catalog->table_count++);
}

/* Without the brackets and quotes that a name may wear: ['a b']. */
static struct text bare(struct text name)
{
    name = text_trim(name);
    bool worn = name.count > 4 && name.bytes[0] == '[' && (name.bytes[1] == '\'' || name.bytes[1] == '"') &&
                name.bytes[name.count - 2] == name.bytes[1] && name.bytes[name.count - 1] == ']';
    return worn ? (struct text){name.bytes + 2, name.count - 4} : name;
}

enum status catalog_add_declared(struct catalog *catalog, struct text declaration, struct problem *why)
{
    struct catalog_table table = {.name = TEXT_NONE};
    struct arena arena;
    struct text rest = text_cut(text_trim(declaration), '(', &table.name), one, name, type;
    enum status status = STATUS_OK;

    if (!rest.bytes || !text_ends(rest, TEXT(")")))
        return problem_set(why, STATUS_REJECT,
                           "a table is declared as Table(column:type,…), and not as %.80s",
                           declaration.bytes);
    arena_init(&arena);
    table.name = bare(table.name);
    rest.count--;
    table.columns = ARENA_ARRAY(&arena, struct catalog_column, rest.count / 2 + 1);
    while (rest.bytes && !status) {
        struct catalog_column *column = &table.columns[table.count];
        rest = text_cut(rest, ',', &one);
        type = text_cut(text_trim(one), ':', &name);
        column->name = bare(name);
        if (!type.bytes || !kql_type_of(text_trim(type), &column->type))
            status = problem_set(why, STATUS_REJECT, "table %.*s: %.*s is no column:type",
                                 TEXT_ARGS(table.name), TEXT_ARGS(one));
        else
            table.count++;
    }
    if (!status)
        catalog_add_table(catalog, &table);
    arena_done(&arena);
    return status;
}

enum status catalog_add_function(struct catalog *catalog, struct text name, struct text parameters,
                                 struct text body, struct kql_diagnostic *wrong)
{
    struct catalog_function added = {.name = arena_text(&catalog->arena, name)};
    const struct named *entry = entry_find(catalog, name, true);
    struct kql_statement *statements;
    struct buf source;
    struct kql_expression *lambda;

    buf_init(&source, 2 * KQL_SOURCE_MAX);
    buf_string(&source, "let f = ");
    buf_text(&source, parameters.count ? parameters : TEXT("()"));
    buf_string(&source,
               " {\n"); /* a comment may end the body, and places in it are its own but for this line */
    buf_text(&source, body);
    buf_string(&source, "\n};");
    added.source = arena_text(&catalog->arena, buf_as_text(&source));
    buf_done(&source);
    enum status status = kql_parse(added.source, &catalog->arena, &statements, wrong);
    if (status)
        return status;
    lambda = statements->value;
    if (lambda->kind != KQL_LAMBDA || statements->next) {
        kql_wrong(wrong, "syntax.function", (struct kql_place){0, 0}, "the body of %.*s is no function's",
                  TEXT_ARGS(name));
        return STATUS_REJECT;
    }
    added.function = lambda->function;
    if (entry) {
        catalog->functions[entry->at] = added;
        return STATUS_OK;
    }
    catalog->functions = grown(catalog->functions, catalog->function_count, &catalog->function_room,
                               sizeof *catalog->functions);
    catalog->functions[catalog->function_count] = added;
    entry_add(catalog, added.name, true, catalog->function_count++);
    return STATUS_OK;
}

const struct catalog_table *catalog_table_find(const struct catalog *catalog, struct text name)
{
    const struct named *entry = entry_find(catalog, name, false);

    return entry ? &catalog->tables[entry->at] : NULL;
}

const struct catalog_function *catalog_function_find(const struct catalog *catalog, struct text name)
{
    const struct named *entry = entry_find(catalog, name, true);

    return entry ? &catalog->functions[entry->at] : NULL;
}

size_t catalog_tables(const struct catalog *catalog)
{
    return catalog->table_count;
}

const struct catalog_table *catalog_table_at(const struct catalog *catalog, size_t i)
{
    return &catalog->tables[i];
}
