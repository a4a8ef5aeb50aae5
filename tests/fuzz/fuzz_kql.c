#include "kql/print.h"

#include <stddef.h>

/* Whatever is asked: it is read or refused with a place within it, and what was read can be printed. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct text source = {(const char *)bytes, count};
    struct kql_statement *statements;
    struct kql_diagnostic wrong;
    struct arena arena;
    struct buf out;

    arena_init(&arena);
    buf_init(&out, 16 * 1024 * 1024);
    if (kql_parse(source, &arena, &statements, &wrong)) {
        if (wrong.place.at > count || wrong.place.count > count - wrong.place.at)
            __builtin_trap();
        kql_diagnostic_print(&wrong, source, &out);
    } else {
        kql_print(statements, &out);
    }
    buf_done(&out);
    arena_done(&arena);
    return 0;
}
