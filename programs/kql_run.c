#include "programs/kql_run.h"

#include <stdio.h>

#include "kql/cell.h"
#include "kql/kql.h"
#include "programs/kql_files.h"
#include "runtime/buf.h"
#include "runtime/clock.h"
#include "runtime/db.h"
#include "runtime/process.h"

#define TICKS_PER_US 10
#define QUERY_MS 60000
#define HELPERS "pg_temp"
#define HELPERS_BYTES_MAX (1024 * 1024)

struct run {
    struct db *db;
    const struct catalog *catalog;
    struct kql_options options;
    struct arena arena;
    struct buf line;
    enum status status; /* STATUS_RETRY: the database is gone, and nothing more is run */
    struct problem why;
};

/* The helper functions, in the session's own schema. */
static enum status helpers_load(struct db *db, struct problem *why)
{
    char path[4096];
    struct buf script, out;

    snprintf(path, sizeof path, "%s/migrations/helpers/kql.sql", process_share_path());
    buf_init(&script, HELPERS_BYTES_MAX);
    buf_init(&out, SIZE_MAX / 2);
    enum status status = process_read_file(path, HELPERS_BYTES_MAX, &script, why);
    for (struct text rest = buf_as_text(&script); rest.count;) {
        bool named = text_starts(rest, TEXT("kql."));
        buf_string(&out, named ? HELPERS "." : "");
        if (!named)
            buf_byte(&out, *rest.bytes);
        rest = (struct text){rest.bytes + (named ? 4 : 1), rest.count - (named ? 4 : 1)};
    }
    if (!status)
        status = db_script(db, out.bytes, QUERY_MS, why);
    buf_done(&script);
    buf_done(&out);
    return status;
}

void kql_columns_print(struct buf *line, struct bound_column *const *columns, unsigned count)
{
    buf_string(line, ",\"columns\":[");
    for (unsigned i = 0; i < count; i++) {
        buf_string(line, i ? ",{\"name\":" : "{\"name\":");
        buf_json_string(line, columns[i]->name);
        buf_format(line, ",\"type\":\"%s\"}", kql_type_name(columns[i]->type));
    }
    buf_byte(line, ']');
}

static void print_rows(struct buf *line, const struct kql_sql *statement, const struct db_rows *rows)
{
    kql_columns_print(line, statement->columns, statement->column_count);
    buf_string(line, ",\"rows\":[");
    for (size_t row = 0; row < db_rows_count(rows); row++) {
        buf_string(line, row ? ",[" : "[");
        for (unsigned i = 0; i < statement->column_count; i++) {
            buf_string(line, i ? "," : "");
            kql_cell_write(line, statement->columns[i]->type, db_text(rows, row, (int)i), CELL_PLAIN);
        }
        buf_byte(line, ']');
    }
    buf_byte(line, ']');
}

static void print_refused(struct buf *line, const char *code, const char *message, unsigned number,
                          unsigned column)
{
    buf_format(line, ",\"refused\":{\"code\":\"%s\",\"message\":", code);
    buf_json_string(line, text_of(message));
    buf_format(line, ",\"line\":%u,\"column\":%u}", number, column);
}

static enum status statement_query(struct run *run, const struct kql_sql *statement, struct db_rows **rows)
{
    const char **parameters = ARENA_ARRAY(&run->arena, const char *, statement->parameter_count);

    for (unsigned i = 0; i < statement->parameter_count; i++)
        parameters[i] = arena_string(&run->arena, statement->parameters[i].text);
    return db_query(run->db, arena_string(&run->arena, statement->sql), parameters, statement->parameter_count, QUERY_MS,
                    rows, &run->why);
}

static void run_statement(struct run *run, const struct kql_sql *statement)
{
    struct db_rows *rows = NULL;

    run->status = statement_query(run, statement, &rows);
    if (run->status)
        print_refused(&run->line, "unsupported.execution", run->why.text, 1, 1);
    /* Time was up, or the session ended, and the helper functions with it. */
    if (run->status == STATUS_RETRY)
        run->status = helpers_load(run->db, &run->why);
    else if (!run->status)
        print_rows(&run->line, statement, rows);
    db_rows_free(rows);
}

/* Binds the query, asking for columns that depend on data where it has some. */
static enum status bound_with_data(struct run *run, struct text query, struct bound_query **out, struct kql_diagnostic *wrong)
{
    struct kql_discovered discovered[KQL_DISCOVERED_MAX];
    struct kql_options options = run->options;
    enum status status;

    options.discovered = discovered;
    while ((status = kql_bind(query, run->catalog, &options, &run->arena, out, wrong)) == STATUS_RETRY) {
        struct kql_sql *statement = NULL;
        struct kql_diagnostic ignored;
        struct db_rows *rows = NULL;
        bool known = !kql_emit(*out, HELPERS, &run->arena, &statement, &ignored) && !statement_query(run, statement, &rows) &&
                     kql_discovered_read(db_text(rows, 0, 0), &run->arena, &discovered[options.discovered_count++]);
        db_rows_free(rows);
        if (!known)
            break;
    }
    return status;
}

static void run_query(void *context, struct text id, struct text parameters, struct text query)
{
    struct run *run = context;
    struct bound_query *queries;
    struct kql_sql *statements = NULL;
    struct kql_diagnostic wrong;
    unsigned number, column;

    (void)parameters;
    if (process_stopping() || run->status == STATUS_RETRY)
        return;
    buf_clear(&run->line);
    buf_string(&run->line, "{\"id\":");
    buf_json_string(&run->line, id.bytes ? id : TEXT(""));
    if (bound_with_data(run, query, &queries, &wrong) || kql_emit(queries, HELPERS, &run->arena, &statements, &wrong)) {
        kql_position(query, wrong.place.at, &number, &column);
        print_refused(&run->line, wrong.code, wrong.message, number, column);
    } else {
        while (statements->next) /* of several results, the last */
            statements = statements->next;
        run_statement(run, statements);
        if (run->status == STATUS_RETRY)
            return;
    }
    buf_string(&run->line, "}\n");
    fwrite(run->line.bytes, 1, run->line.count, stdout);
    fflush(stdout);
    arena_clear(&run->arena);
}

int64_t kql_now_ticks(void)
{
    return KQL_TICKS_OF_EPOCH + clock_utc_us() * TICKS_PER_US;
}

enum status kql_run_file(const char *path, const char *conninfo, struct problem *why)
{
    struct catalog *catalog = catalog_new();
    struct run run = {.catalog = catalog};

    run.options.now_ticks = kql_now_ticks();
    arena_init(&run.arena);
    buf_init(&run.line, SIZE_MAX / 2);
    enum status status = db_open(conninfo, NULL, "picket kql run", &run.db, why);
    if (!status)
        status = helpers_load(run.db, why);
    if (!status)
        status = kql_file_read(path, run_query, &run, why);
    if (!status && run.status == STATUS_RETRY) {
        status = run.status;
        *why = run.why;
    }
    db_close(run.db);
    buf_done(&run.line);
    arena_done(&run.arena);
    catalog_free(catalog);
    return status;
}
