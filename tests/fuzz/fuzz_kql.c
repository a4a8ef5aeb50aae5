#include "kql/kql.h"
#include "kql/print.h"

#include <stddef.h>

/* Whatever is asked: it is read or refused with a place within it, and what was read can be printed, and bound against
 * a catalog or refused the same way. */
static struct catalog *catalog;

/* One whose rows lie in other forms than expressions have them, and are also added up. */
static void events_add(void)
{
    struct catalog_column columns[] = {
        {.name = TEXT("TimeGenerated"), .type = TYPE_DATETIME, .storage = KQL_TIMESTAMPTZ},
        {.name = TEXT("Device"), .type = TYPE_STRING, .parsed_sql = TEXT("p"), .words_sql = TEXT("w")},
        {.name = TEXT("Count"), .type = TYPE_LONG},
        {.name = TEXT("Port"), .type = TYPE_INT},
        {.name = TEXT("Details"), .type = TYPE_DYNAMIC, .storage = KQL_JSONB},
        {.name = TEXT("Id"), .type = TYPE_GUID, .empty = true},
    };
    struct catalog_column added[] = {
        {.name = TEXT("TimeGenerated"), .type = TYPE_DATETIME, .storage = KQL_TIMESTAMPTZ},
        {.name = TEXT("Port"), .type = TYPE_INT},
        {.name = TEXT("_count"), .type = TYPE_LONG},
        {.name = TEXT("_sum_Count"), .type = TYPE_DECIMAL},
    };
    const struct catalog_table rollup = {.name = TEXT("_Events"), .columns = added, .count = sizeof added / sizeof *added};
    const struct catalog_table events = {
        .name = TEXT("Events"), .columns = columns, .count = sizeof columns / sizeof *columns, .rollup = &rollup};

    catalog_add_table(catalog, &events);
}

static void catalog_fill(void)
{
    static const char *const tables[] = {
        "T(a:long, b:string, c:real, d:dynamic, x:long, s:string)",
        "Syslog(TimeGenerated:datetime, SyslogMessage:string)"};
    struct kql_diagnostic wrong;
    struct problem why;

    catalog = catalog_new();
    events_add();
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (catalog_add_declared(catalog, text_of(tables[i]), &why))
            __builtin_trap();
    if (catalog_add_function(catalog, TEXT("Busy"), TEXT("(n:long=1)"), TEXT("Events | where Count > n"),
                             &wrong))
        __builtin_trap();
}

static void check_place(const struct kql_diagnostic *wrong, size_t count)
{
    if (wrong->place.at > count || wrong->place.count > count - wrong->place.at)
        __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct text source = {(const char *)bytes, count};
    const struct kql_options options = {.now_ticks = 1};
    struct kql_statement *statements;
    struct bound_query *queries;
    struct kql_diagnostic wrong;
    struct kql_sql *sql = NULL;
    struct arena arena;
    struct buf out;

    arena_init(&arena);
    buf_init(&out, 16 * 1024 * 1024);
    if (!catalog)
        catalog_fill();
    if (kql_parse(source, &arena, &statements, &wrong)) {
        check_place(&wrong, count);
        kql_diagnostic_print(&wrong, source, &out);
    } else {
        kql_print(statements, &out);
        if (kql_bind(source, catalog, &options, &arena, &queries, &wrong))
            check_place(&wrong, count);
        else if (kql_emit(queries, "kql", &arena, &sql, &wrong))
            check_place(&wrong, count);
    }
    buf_done(&out);
    arena_done(&arena);
    return 0;
}
