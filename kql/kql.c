#include "kql/binder.h"

#include <string.h>
#include "kql/emit.h"

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
    bool asks = binder.asks && wrong->code && !strcmp(wrong->code, "unsupported.schema") && options->discovered_count < KQL_DISCOVERED_MAX;
    if (asks) {
        *out = ARENA_NEW(arena, struct bound_query);
        (*out)->rows = binder.asks;
    }
    if (*out) {
        (*out)->shared = binder.shared;
        (*out)->ids = binder.ids;
    }
    return asks ? STATUS_RETRY : binder_failed(&binder) ? STATUS_REJECT : STATUS_OK;
}

bool kql_discovered_read(struct text json, struct arena *arena, struct kql_discovered *out)
{
    struct kql_expression *value, *items;
    struct kql_statement *statements;
    struct kql_diagnostic ignored;
    struct kql_named *columns;
    unsigned count = 0;

    /* A dynamic literal is JSON and more. */
    if (kql_parse(text_of(arena_format(arena, "let v = dynamic(%.*s);", TEXT_ARGS(json))), arena, &statements, &ignored) ||
        !(value = statements->value) || value->kind != KQL_DYNAMIC || !value->left)
        return false;
    items = value->left->items;
    for (const struct kql_expression *item = items; item; item = item->next)
        count++;
    columns = ARENA_ARRAY(arena, struct kql_named, count + 1);
    *out = (struct kql_discovered){columns, count};
    for (const struct kql_expression *item = items; item; item = item->next)
        *columns++ = (struct kql_named){item->text, item->kind == KQL_BAG_MEMBER && item->left ? item->left->text : TEXT("")};
    return true;
}

static void emit_shared_rows(struct emitter *emitter, const struct bound_shared *shared)
{
    const char *before = "WITH ";

    for (; shared; shared = shared->next) {
        if (!shared->marked)
            continue; /* this result does not read it */
        buf_format(&emitter->out, "%ss%u AS MATERIALIZED (", before, shared->number);
        emit_rows(emitter, shared->rows);
        before = "), ";
    }
    if (before[0] == ')')
        buf_string(&emitter->out, ") ");
}

static struct kql_sql *emit_query(const struct bound_query *query, const struct bound_query *first, unsigned *passes,
                                  const char *helpers, struct arena *arena, struct kql_diagnostic *wrong)
{
    struct emitter emitter = {.helpers = helpers, .arena = arena, .passes = passes};
    struct kql_sql *statement = ARENA_NEW(arena, struct kql_sql);

    buf_init(&emitter.out, KQL_SQL_BYTES_MAX);
    emitter.used = ARENA_ARRAY(arena, uint64_t, first->ids / 64 + 1);
    emit_mark_used(&emitter, query);
    emit_shared_rows(&emitter, first->shared);
    buf_string(&emitter.out, "SELECT ");
    for (unsigned i = 0; i < query->rows->count; i++) {
        struct bound_value column = {
            .kind = BOUND_COLUMN, .type = query->rows->columns[i]->type, .column = query->rows->columns[i]};
        buf_string(&emitter.out, i ? ", " : "");
        emit_value(&emitter, &column, false);
    }
    buf_string(&emitter.out, " FROM (");
    emit_rows(&emitter, query->rows);
    buf_format(&emitter.out, ") t%u ", ++emitter.tables);
    emit_order(&emitter, query->rows->order);
    if (buf_failed(&emitter.out))
        kql_wrong(wrong, "semantic.too_large", query->rows->place, "this is too much for one statement");
    statement->sql = arena_text(arena, buf_as_text(&emitter.out));
    statement->parameters = emitter.parameters;
    statement->parameter_count = emitter.parameter_count;
    statement->columns = query->rows->columns;
    statement->column_count = query->rows->count;
    statement->ordered = query->rows->order != NULL;
    statement->render = query->render;
    buf_done(&emitter.out);
    return statement;
}

enum status kql_emit(const struct bound_query *queries, const char *helpers, struct arena *arena,
                     struct kql_sql **out, struct kql_diagnostic *wrong)
{
    unsigned passes = 0;

    *wrong = (struct kql_diagnostic){0};
    for (const struct bound_query *query = queries; query && !wrong->code;
         query = query->next, out = &(*out)->next)
        *out = emit_query(query, queries, &passes, helpers, arena, wrong);
    return wrong->code ? STATUS_REJECT : STATUS_OK;
}
