#include "kql/kql.h"
#include "kql/print.h"

#include <stddef.h>

/* Whatever is asked: it is read or refused with a place within it, and what was read can be printed, and bound against
 * a catalog or refused the same way. */
static struct catalog *catalog;

static void catalog_fill(void)
{
    static const char *const tables[] = {
        "Events(TimeGenerated:datetime, Device:string, Count:long, Port:int, Details:dynamic, Id:guid)",
        "T(a:long, b:string, c:real, d:dynamic, x:long, s:string)",
        "Syslog(TimeGenerated:datetime, SyslogMessage:string)"};
    struct kql_diagnostic wrong;
    struct problem why;

    catalog = catalog_new();
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
    }
    buf_done(&out);
    arena_done(&arena);
    return 0;
}
