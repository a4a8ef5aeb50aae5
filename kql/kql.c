#include "kql/binder.h"

enum status kql_bind(struct text source, const struct catalog *catalog, const struct kql_options *options,
                     struct arena *arena, struct bound_query **out, struct kql_diagnostic *wrong)
{
    struct binder binder = {.options = options, .catalog = catalog, .arena = arena, .wrong = wrong};
    struct kql_statement *statements;

    *wrong = (struct kql_diagnostic){0};
    *out = NULL;
    if (kql_parse(source, arena, &statements, wrong))
        return STATUS_REJECT;
    binder.shared_end = &binder.shared;
    *out = bind_queries(&binder, ARENA_NEW(arena, struct scope), statements);
    if (*out)
        (*out)->shared = binder.shared;
    return binder_failed(&binder) ? STATUS_REJECT : STATUS_OK;
}
