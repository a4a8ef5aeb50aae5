#include "query/catalogs.h"

#include <ctype.h>
#include <pthread.h>
#include <stdlib.h>

#include "runtime/log.h"
#include "runtime/process.h"

#define KEPT_MAX 16 /* catalogs, one for each set of workspaces that is asked about */
#define DECLARED_BYTES_MAX (4 * 1024 * 1024)
#define COLUMNS_MAX 512 /* of a table */

struct kept {
    char *key; /* workspaces and what they have: another key, another catalog */
    struct catalog *catalog;
    unsigned holders;
    uint64_t used; /* the least is given up first */
};

struct catalogs {
    pthread_mutex_t lock;
    struct kept kept[KEPT_MAX];
    uint64_t uses;
    struct buf declared; /* lines of Table(column:type,…) */
};

struct catalogs *catalogs_new(const char *share_path)
{
    struct catalogs *catalogs = calloc(1, sizeof *catalogs);
    char path[4096];
    struct problem why;

    if (!catalogs)
        abort();
    pthread_mutex_init(&catalogs->lock, NULL);
    buf_init(&catalogs->declared, DECLARED_BYTES_MAX);
    snprintf(path, sizeof path, "%s/migrations/helpers/tables.txt", share_path);
    if (process_read_file(path, DECLARED_BYTES_MAX, &catalogs->declared, &why))
        log_warn("query.tables", "reason=\"%s\"", why.text); /* only the empty ones are lacking then */
    return catalogs;
}

static void kept_drop(struct kept *kept)
{
    free(kept->key);
    catalog_free(kept->catalog);
    *kept = (struct kept){0};
}

void catalogs_free(struct catalogs *catalogs)
{
    if (!catalogs)
        return;
    for (size_t i = 0; i < KEPT_MAX; i++)
        kept_drop(&catalogs->kept[i]);
    buf_done(&catalogs->declared);
    pthread_mutex_destroy(&catalogs->lock);
    free(catalogs);
}

/* ---- columns ---- */

/* A type of PostgreSQL's as expressions have it. */
static bool stored_type(struct text name, enum kql_type *type, enum kql_storage *storage)
{
    static const struct {
        const char *name;
        enum kql_type type;
        enum kql_storage storage;
    } types[] = {
        {"text", TYPE_STRING, KQL_AS_IS},        {"bigint", TYPE_LONG, KQL_AS_IS},
        {"boolean", TYPE_BOOL, KQL_AS_IS},       {"double precision", TYPE_REAL, KQL_AS_IS},
        {"numeric", TYPE_DECIMAL, KQL_AS_IS},    {"uuid", TYPE_GUID, KQL_AS_IS},
        {"json", TYPE_DYNAMIC, KQL_AS_IS},       {"jsonb", TYPE_DYNAMIC, KQL_JSONB},
        {"timestamp with time zone", TYPE_DATETIME, KQL_TIMESTAMPTZ},
    };

    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (!text_equal(name, text_of(types[i].name)))
            continue;
        *type = types[i].type;
        *storage = types[i].storage;
        return true;
    }
    return false;
}

/* A column that nothing fills. */
static void column_empty(struct catalog_column *column)
{
    static const char *const nulls[KQL_TYPES] = {
        [TYPE_BOOL] = "NULL::bool",           [TYPE_INT] = "NULL::bigint",      [TYPE_LONG] = "NULL::bigint",
        [TYPE_REAL] = "NULL::float8",         [TYPE_DECIMAL] = "NULL::numeric", [TYPE_STRING] = "''::text",
        [TYPE_DATETIME] = "NULL::timestamptz", [TYPE_TIMESPAN] = "NULL::bigint", [TYPE_GUID] = "NULL::uuid",
        [TYPE_DYNAMIC] = "NULL::json",
    };

    column->empty = true;
    column->sql = text_of(nulls[column->type]);
    column->storage = column->type == TYPE_DATETIME ? KQL_TIMESTAMPTZ : KQL_AS_IS;
}

static struct catalog_column *column_find(struct catalog_table *table, struct text name)
{
    for (size_t i = 0; i < table->count; i++)
        if (text_equal(table->columns[i].name, name))
            return &table->columns[i];
    return NULL;
}

/* ---- tables ---- */

static void declared_add(struct catalogs *catalogs, struct catalog *catalog)
{
    struct text rest = buf_as_text(&catalogs->declared), line;
    struct problem why;

    while (rest.bytes) {
        rest = text_cut(rest, '\n', &line);
        line = text_trim(line);
        if (line.count && line.bytes[0] != '#' && catalog_add_declared(catalog, line, &why))
            log_warn("query.tables", "reason=\"%s\"", why.text);
    }
}

/* Every declared table becomes one that is there, and empty. */
static void declared_empty(struct catalog *catalog, struct arena *arena)
{
    size_t count = catalog_tables(catalog);

    for (size_t i = 0; i < count; i++) {
        struct catalog_table table = *catalog_table_at(catalog, i);
        struct catalog_column *columns = ARENA_ARRAY(arena, struct catalog_column, table.count);
        memcpy(columns, table.columns, table.count * sizeof *columns);
        for (size_t k = 0; k < table.count; k++)
            column_empty(&columns[k]);
        table.columns = columns;
        table.sql = TEXT("(SELECT WHERE false)");
        table.empty = true;
        catalog_add_table(catalog, &table);
    }
}

static struct text quoted(struct arena *arena, struct text name)
{
    return text_of(arena_format(arena, "\"%.*s\"", TEXT_ARGS(name))); /* of our own migrations: no quotes within */
}

/* A view that is called as a table with a dash before has the table's rows added up. */
static void rollup_add(struct catalog *catalog, const struct db_rows *rows, size_t from, size_t to, struct arena *arena)
{
    struct text name = db_text(rows, from, 0);
    const struct catalog_table *whole = catalog_table_find(catalog, (struct text){name.bytes + 1, name.count - 1});
    struct catalog_table table, rollup = {.name = name, .sql = text_of(arena_format(arena, "analytics.\"%.*s\"", TEXT_ARGS(name)))};

    if (!whole)
        return;
    rollup.columns = ARENA_ARRAY(arena, struct catalog_column, to - from);
    for (size_t i = from; i < to; i++) {
        struct catalog_column *column = &rollup.columns[rollup.count];
        *column = (struct catalog_column){.name = db_text(rows, i, 1), .sql = quoted(arena, db_text(rows, i, 1))};
        rollup.count += stored_type(db_text(rows, i, 2), &column->type, &column->storage);
    }
    table = *whole;
    table.rollup = &rollup;
    catalog_add_table(catalog, &table);
}

/* One view: rows[from … to) of its columns, put into the table of that name. */
static void view_add(struct catalog *catalog, const struct db_rows *rows, size_t from, size_t to, struct arena *arena)
{
    struct text name = db_text(rows, from, 0);
    const struct catalog_table *declared = catalog_table_find(catalog, name);
    struct catalog_table table = {.name = name};
    size_t room = (declared ? declared->count : 0) + (to - from);

    table.columns = ARENA_ARRAY(arena, struct catalog_column, room);
    if (declared)
        memcpy(table.columns, declared->columns, declared->count * sizeof *table.columns);
    table.count = declared ? declared->count : 0;
    for (size_t i = from; i < to; i++) {
        struct text column_name = db_text(rows, i, 1);
        struct catalog_column *column = column_find(&table, column_name);
        enum kql_storage storage;
        enum kql_type type;
        if (!stored_type(db_text(rows, i, 2), &type, &storage))
            continue;
        if (!column && text_starts(column_name, TEXT("_"))) { /* for the compiler alone */
            size_t dashes = column_name.count > 1 && column_name.bytes[1] == '_' ? 2 : 1;
            column = column_find(&table, (struct text){column_name.bytes + dashes, column_name.count - dashes});
            if (column && dashes == 1 && type == TYPE_DYNAMIC)
                column->parsed_sql = quoted(arena, column_name);
            if (column && dashes == 2 && type == TYPE_STRING)
                column->words_sql = quoted(arena, column_name);
            continue;
        }
        if (!column) {
            column = &table.columns[table.count++];
            *column = (struct catalog_column){.name = column_name, .type = type};
        }
        column->storage = storage;
        column->sql = quoted(arena, column_name);
        column->empty = false;
    }
    table.sql = text_of(arena_format(arena, "analytics.\"%.*s\"", TEXT_ARGS(name)));
    catalog_add_table(catalog, &table);
}

static enum status views_add(struct catalog *catalog, const struct request *request, struct problem *why)
{
    static const char list[] =
        "SELECT c.relname, a.attname, pg_catalog.format_type(a.atttypid, NULL) FROM pg_catalog.pg_class c"
        " JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'analytics' AND a.attnum > 0 AND NOT a.attisdropped"
        " ORDER BY starts_with(c.relname, '_'), c.relname, a.attnum";
    struct db_rows *rows = NULL;

    enum status status = request_query(request, list, NULL, 0, &rows, why);
    size_t count = status ? 0 : db_rows_count(rows);
    for (size_t from = 0, to; from < count; from = to) {
        for (to = from + 1; to < count && text_equal(db_text(rows, from, 0), db_text(rows, to, 0));)
            to++;
        if (text_starts(db_text(rows, from, 0), TEXT("_")))
            rollup_add(catalog, rows, from, to, request->arena);
        else
            view_add(catalog, rows, from, to, request->arena);
    }
    db_rows_free(rows);
    return status;
}

/* ---- a workspace's own ---- */

static const char *custom_column_sql(struct arena *arena, const struct catalog_column *column)
{
    static const char *const forms[KQL_TYPES] = {
        [TYPE_BOOL] = "kql.to_bool((row -> '%.*s')::json)",         [TYPE_INT] = "kql.to_int(kql.to_long((row -> '%.*s')::json))",
        [TYPE_LONG] = "kql.to_long((row -> '%.*s')::json)",         [TYPE_REAL] = "kql.to_real((row -> '%.*s')::json)",
        [TYPE_DECIMAL] = "kql.to_decimal((row -> '%.*s')::json)",   [TYPE_STRING] = "coalesce(row ->> '%.*s', '')",
        [TYPE_DATETIME] = "kql.to_datetime((row -> '%.*s')::json)", [TYPE_TIMESPAN] = "kql.to_timespan((row -> '%.*s')::json)",
        [TYPE_GUID] = "kql.to_guid((row -> '%.*s')::json)",         [TYPE_DYNAMIC] = "(row -> '%.*s')::json",
    };

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    return arena_format(arena, forms[column->type], TEXT_ARGS(column->name));
#pragma GCC diagnostic pop
}

static bool name_is_plain(struct text name)
{
    if (!name.count || isdigit((unsigned char)name.bytes[0]))
        return false;
    for (size_t i = 0; i < name.count; i++)
        if (!isalnum((unsigned char)name.bytes[i]) && name.bytes[i] != '_')
            return false;
    return true;
}

enum status catalogs_columns_check(struct text columns, struct problem *why)
{
    struct catalog *catalog = catalog_new();
    struct arena arena;
    bool timed = false;

    arena_init(&arena);
    enum status status =
        catalog_add_declared(catalog, text_of(arena_format(&arena, "T(%.*s)", TEXT_ARGS(columns))), why);
    const struct catalog_table *table = status ? NULL : catalog_table_at(catalog, 0);
    for (size_t i = 0; table && !status && i < table->count; i++) {
        const struct catalog_column *column = &table->columns[i];
        timed |= text_equal(column->name, TEXT("TimeGenerated")) && column->type == TYPE_DATETIME;
        if (!name_is_plain(column->name) || column->name.count > 60)
            status = problem_set(why, STATUS_REJECT, "a column is called by letters, digits and underscores, and not %.*s",
                                 TEXT_ARGS(column->name));
    }
    if (!status && table->count > COLUMNS_MAX)
        status = problem_set(why, STATUS_REJECT, "a table has at most %d columns", COLUMNS_MAX);
    if (!status && !timed)
        status = problem_set(why, STATUS_REJECT, "a table needs the column TimeGenerated:datetime");
    arena_done(&arena);
    catalog_free(catalog);
    return status;
}

/* The name comes from a table whose constraint lets letters, digits and underscores pass, and nothing else. */
static void custom_add(struct catalog *catalog, struct text name, struct text columns, struct arena *arena)
{
    struct problem why;
    struct text declaration = text_of(arena_format(arena, "%.*s(%.*s,TenantId:string,Type:string)", TEXT_ARGS(name), TEXT_ARGS(columns)));

    if (!name_is_plain(name) || catalogs_columns_check(columns, &why) || catalog_add_declared(catalog, declaration, &why)) {
        log_warn("query.tables", "table=%.*s reason=\"%s\"", TEXT_ARGS(name), why.text);
        return;
    }
    struct catalog_table table = *catalog_table_find(catalog, name);
    struct catalog_column *list = ARENA_ARRAY(arena, struct catalog_column, table.count);
    memcpy(list, table.columns, table.count * sizeof *list);
    for (size_t i = 0; i < table.count; i++) {
        bool timed = text_equal(list[i].name, TEXT("TimeGenerated"));
        list[i].storage = timed ? KQL_TIMESTAMPTZ : KQL_AS_IS;
        list[i].sql = timed ? TEXT("time_generated") : text_of(custom_column_sql(arena, &list[i]));
    }
    list[table.count - 2].sql = TEXT("picket.workspace_guid(workspace_id)");
    list[table.count - 1].sql = TEXT("table_name");
    table.columns = list;
    table.sql = text_of(arena_format(arena,
                                     "(SELECT r.row, r.time_generated, r.workspace_id, r.table_name FROM picket.custom_row r"
                                     " WHERE r.table_name = '%.*s')",
                                     TEXT_ARGS(name)));
    catalog_add_table(catalog, &table);
}

static enum status own_add(struct catalog *catalog, const struct request *request, const char *scope, struct problem *why)
{
    static const char tables[] = "SELECT DISTINCT ON (name) name, columns FROM picket.custom_table"
                                 " WHERE workspace_id = ANY($1::int[]) ORDER BY name, workspace_id";
    static const char functions[] = "SELECT DISTINCT ON (name) name, parameters, body FROM picket.saved_function"
                                    " WHERE workspace_id = ANY($1::int[]) ORDER BY name, workspace_id";
    const char *const parameters[] = {scope};
    struct db_rows *rows = NULL;
    struct kql_diagnostic wrong;

    enum status status = request_query(request, tables, parameters, 1, &rows, why);
    for (size_t i = 0; !status && i < db_rows_count(rows); i++)
        custom_add(catalog, db_text(rows, i, 0), db_text(rows, i, 1), request->arena);
    db_rows_free(rows);
    rows = NULL;
    if (!status)
        status = request_query(request, functions, parameters, 1, &rows, why);
    for (size_t i = 0; !status && i < db_rows_count(rows); i++)
        if (catalog_add_function(catalog, db_text(rows, i, 0), db_text(rows, i, 1), db_text(rows, i, 2), &wrong))
            log_warn("query.function", "function=%.*s reason=\"%s\"", TEXT_ARGS(db_text(rows, i, 0)), wrong.message);
    db_rows_free(rows);
    return status;
}

static enum status made(struct catalogs *catalogs, const struct request *request, const char *scope, struct catalog **out,
                        struct problem *why)
{
    struct catalog *catalog = catalog_new();

    declared_add(catalogs, catalog);
    declared_empty(catalog, request->arena);
    enum status status = views_add(catalog, request, why);
    if (!status)
        status = own_add(catalog, request, scope, why);
    if (status) {
        catalog_free(catalog);
        return status;
    }
    *out = catalog;
    return STATUS_OK;
}

/* ---- keeping ---- */

/* What would make another catalog: other workspaces, another schema, anything saved, changed or removed. */
static enum status key_read(const struct request *request, const char *scope, const char **out, struct problem *why)
{
    static const char read[] =
        "SELECT (SELECT max(number) FROM picket.migration), count(*), max(changed_at), sum(kind), hashtext(string_agg(name, ','"
        " ORDER BY kind, workspace_id, name)) FROM (SELECT 1 AS kind, workspace_id, name, changed_at FROM picket.saved_function UNION ALL"
        " SELECT 65536, workspace_id, name, changed_at FROM picket.custom_table) o WHERE workspace_id = ANY($1::int[])";
    const char *const parameters[] = {scope};
    struct db_rows *rows = NULL;
    const char *key = scope;

    enum status status = request_query(request, read, parameters, 1, &rows, why);
    for (int i = 0; !status && i < 5; i++)
        key = arena_format(request->arena, "%s/%.*s", key, TEXT_ARGS(db_text(rows, 0, i)));
    db_rows_free(rows);
    *out = key;
    return status;
}

static const struct catalog *kept_take(struct catalogs *catalogs, const char *key)
{
    const struct catalog *found = NULL;

    pthread_mutex_lock(&catalogs->lock);
    for (size_t i = 0; i < KEPT_MAX && !found; i++) {
        struct kept *kept = &catalogs->kept[i];
        if (!kept->key || strcmp(kept->key, key) != 0)
            continue;
        kept->holders++;
        kept->used = ++catalogs->uses;
        found = kept->catalog;
    }
    pthread_mutex_unlock(&catalogs->lock);
    return found;
}

/* In place of the one that was not asked for longest. Where all are held it is only the caller's. */
static void keep(struct catalogs *catalogs, const char *key, struct catalog *take_catalog)
{
    struct kept *oldest = NULL;

    pthread_mutex_lock(&catalogs->lock);
    for (size_t i = 0; i < KEPT_MAX; i++)
        if (!catalogs->kept[i].holders && (!oldest || catalogs->kept[i].used < oldest->used))
            oldest = &catalogs->kept[i];
    if (oldest) {
        kept_drop(oldest);
        *oldest = (struct kept){strdup(key), take_catalog, 1, ++catalogs->uses};
    }
    pthread_mutex_unlock(&catalogs->lock);
}

enum status catalogs_take(struct catalogs *catalogs, const struct request *request, const char *scope,
                          const struct catalog **out, struct problem *why)
{
    struct catalog *fresh = NULL;
    const char *key;

    enum status status = key_read(request, scope, &key, why);
    if (status)
        return status;
    *out = kept_take(catalogs, key);
    if (*out)
        return STATUS_OK;
    status = made(catalogs, request, scope, &fresh, why);
    if (status)
        return status;
    keep(catalogs, key, fresh);
    *out = fresh;
    return STATUS_OK;
}

void catalogs_give_back(struct catalogs *catalogs, const struct catalog *catalog)
{
    bool kept = false;

    if (!catalog)
        return;
    pthread_mutex_lock(&catalogs->lock);
    for (size_t i = 0; i < KEPT_MAX && !kept; i++) {
        kept = catalogs->kept[i].catalog == catalog;
        catalogs->kept[i].holders -= kept;
    }
    pthread_mutex_unlock(&catalogs->lock);
    if (!kept)
        catalog_free((struct catalog *)(uintptr_t)catalog);
}
