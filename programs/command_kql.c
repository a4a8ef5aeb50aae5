#include "programs/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kql/functions.h"
#include "kql/kql.h"
#include "programs/kql_files.h"
#include "programs/kql_run.h"
#include "programs/up.h"
#include "runtime/buf.h"
#include "runtime/process.h"

#define FILES_MAX 100000

struct check {
    const struct catalog *catalog;
    struct kql_options options;
    const char *file;
    bool sql;
    struct arena arena;
    size_t refused;
};

static enum cli_exit run_check(const struct cli *cli);
static enum cli_exit run_run(const struct cli *cli);
static enum cli_exit run_support(const struct cli *cli);
static void check_query(void *context, struct text id, struct text parameters, struct text query);
static void print_diagnostic(struct buf *line, const struct kql_diagnostic *wrong, struct text query);

static const struct cli_flag check_flags[] = {
    {"schema", "FILE", "Tables that queries may name: a line Table(column:type,…) each."},
    {"functions", "FOLDER", "Saved functions: Sentinel's parsers as YAML, or .kql files."},
    {"sql", NULL, "Print the SQL statement too."},
};

static const struct cli_flag run_flags[] = {
    {"database", "CONNINFO",
     "The PostgreSQL that computes (else libpq's own variables, else one for this run alone)."},
};

const struct cli_verb kql_verbs[] = {
    {"kql check", "FILE...",
     "Say for each query what columns it gives, or what is wrong with it and where: a JSON object a line.",
     "A FILE is a .kql text, a .yaml of Sentinel's, or a .jsonl with a query on each line.\n"
     "Exit 1 when a query was refused.",
     CLI_FLAGS(check_flags), 0, 1, FILES_MAX, run_check},
    {"kql run", "FILE",
     "Run queries that bring their rows themselves, and print what they give: a JSON object a line.",
     "Nothing is written to the database: what the queries need is made for the session alone.",
     CLI_FLAGS(run_flags), CLI_JSON, 1, 1, run_run},
    {"kql support", "", "Print which operators and functions of KQL are supported, as Markdown.", NULL,
     CLI_NO_FLAGS, 0, 0, 0, run_support},
};
const size_t kql_verb_count = sizeof kql_verbs / sizeof kql_verbs[0];

static enum cli_exit run_check(const struct cli *cli)
{
    struct catalog *catalog = catalog_new();
    struct check check = {.catalog = catalog, .sql = cli_given(cli, "sql")};
    const char *schema = cli_value(cli, "schema"), *functions = cli_value(cli, "functions");
    enum status status = STATUS_OK;
    struct problem why;

    check.options.now_ticks = kql_now_ticks();
    check.options.open_schemas = true; /* there is no data to ask */
    arena_init(&check.arena);
    if (schema)
        status = kql_schema_load(schema, catalog, &why);
    if (!status && functions)
        status = kql_functions_load(functions, catalog, &why);
    for (int i = 0; !status && (check.file = cli_argument(cli, i)); i++)
        status = kql_file_read(check.file, check_query, &check, &why);
    arena_done(&check.arena);
    catalog_free(catalog);
    if (status)
        return cli_end(status, &why);
    return check.refused ? CLI_NO : CLI_DONE;
}

static void check_query(void *context, struct text id, struct text parameters, struct text query)
{
    struct check *check = context;
    const char *prelude = parameters.count > 2 ? arena_format(&check->arena, "declare query_parameters%.*s;",
                                                              TEXT_ARGS(parameters))
                                               : "";
    struct text whole = text_of(arena_format(&check->arena, "%s%.*s", prelude, TEXT_ARGS(query)));
    struct bound_query *queries;
    struct kql_sql *statements;
    struct kql_diagnostic wrong;
    struct buf line;

    buf_init(&line, SIZE_MAX / 2);
    buf_string(&line, "{\"file\":");
    buf_json_string(&line, text_of(check->file));
    buf_string(&line, ",\"id\":");
    if (id.bytes)
        buf_json_string(&line, id);
    else
        buf_string(&line, "null");
    check->options.value_is_answer = parameters.bytes != NULL;
    if (kql_bind(whole, check->catalog, &check->options, &check->arena, &queries, &wrong) ||
        kql_emit(queries, "kql", &check->arena, &statements, &wrong)) {
        wrong.place.at = wrong.place.at > strlen(prelude) ? wrong.place.at - (uint32_t)strlen(prelude) : 0;
        print_diagnostic(&line, &wrong, query);
        check->refused++;
    } else {
        while (queries->next) { /* of several results, the last */
            queries = queries->next;
            statements = statements->next;
        }
        kql_columns_print(&line, queries->rows->columns, queries->rows->count);
        if (check->sql) {
            buf_string(&line, ",\"sql\":");
            buf_json_string(&line, statements->sql);
        }
    }
    buf_string(&line, "}\n");
    fwrite(line.bytes, 1, line.count, stdout);
    fflush(stdout);
    buf_done(&line);
    arena_clear(&check->arena);
}

static void print_diagnostic(struct buf *line, const struct kql_diagnostic *wrong, struct text query)
{
    unsigned number, column;

    kql_position(query, wrong->place.at, &number, &column);
    buf_format(line, ",\"diagnostics\":[{\"code\":\"%s\",\"severity\":\"error\",\"message\":", wrong->code);
    buf_json_string(line, text_of(wrong->message));
    buf_format(line, ",\"line\":%u,\"column\":%u}]", number, column);
}

/* Where the caller named no PostgreSQL, one of our own does it. */
static bool database_named(const struct cli *cli)
{
    return cli_value(cli, "database") || getenv("PICKET_DATABASE") || getenv("PGHOST") || getenv("PGSERVICE");
}

static enum cli_exit run_run(const struct cli *cli)
{
    char conninfo[DATABASE_CONNINFO_SIZE];
    struct up *private = NULL;
    enum status status;
    struct problem why;

    if (database_named(cli)) {
        status = database_of(cli, conninfo, &why);
    } else {
        process_catch_stop(); /* it has to be stopped, however we are */
        status = up_private_start(cli, &private, &why);
        if (!status)
            snprintf(conninfo, sizeof conninfo, "%s dbname=postgres", private->conninfo);
    }
    if (!status)
        status = kql_run_file(cli_argument(cli, 0), conninfo, &why);
    up_private_end(private);
    return cli_end(status, &why);
}

/* ---- what is supported ---- */

static const char *word_of(char letter)
{
    static const struct {
        char letter;
        const char *word;
    } words[] = {{'b', "bool"},     {'i', "int"},      {'l', "long"},     {'r', "real"},  {'d', "decimal"},
                 {'s', "string"},   {'t', "datetime"}, {'p', "timespan"}, {'g', "guid"},  {'y', "dynamic"},
                 {'n', "number"},   {'m', "number"},   {'R', "regex"},    {'G', "regex"}, {'M', "regex"},
                 {'K', "constant"}, {'T', "string"}};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (words[i].letter == letter)
            return words[i].word;
    return "any";
}

static void print_form(const struct kql_signature *row)
{
    printf("(");
    for (const char *letter = row->parameters; *letter; letter++) {
        if (*letter == '?' || *letter == '*' || *letter == '+')
            printf("%s", *letter == '?' ? "?" : "…");
        else
            printf("%s%s", letter == row->parameters ? "" : ", ", word_of(*letter));
    }
    printf(")");
    if (strchr("bilrdstpgy", row->result[0]))
        printf(" → %s", word_of(row->result[0]));
}

static void print_family(const struct kql_signatures *family)
{
    printf("\n## %c%s%s\n\n| name | forms |\n|---|---|\n", family->family[0] & ~0x20, family->family + 1,
           family->kind == FUNCTION_SCALAR ? "" : " functions");
    for (size_t i = 0; i < family->count; i++) {
        const struct kql_signature *row = &family->rows[i];
        bool again = i && strcmp(row->name, row[-1].name) == 0;
        if (!again)
            printf("%s| `%s` | ", i ? " |\n" : "", row->name);
        else
            printf("; ");
        print_form(row);
    }
    printf(" |\n");
}

static enum cli_exit run_support(const struct cli *cli)
{
    const struct kql_signatures *family;
    const char *name;

    (void)cli;
    printf(
        "# KQL: what is supported\n\nWritten by `picket kql support` from the tables that the compiler goes by.\n\n"
        "## Operators between bars\n\n");
    for (size_t i = 0; (name = operator_supported(i)); i++)
        printf("%s`%s`", i ? ", " : "", name);
    printf("\n\n## Functions whose result depends on more than types\n\n");
    for (size_t i = 0; (name = special_name(i)); i++)
        printf("%s`%s`", i ? ", " : "", name);
    printf(", `arg_max`, `arg_min`, `take_any`, `percentiles`\n");
    for (size_t i = 0; (family = signatures_at(i)); i++)
        print_family(family);
    return CLI_DONE;
}
