#ifndef PICKET_KQL_EMIT_H
#define PICKET_KQL_EMIT_H

#include "kql/kql.h"
#include "runtime/buf.h"

/* What the two halves of the emitter share. */
struct emitter {
    const char *helpers; /* the schema of the helper functions */
    struct arena *arena;
    struct buf out;
    struct kql_parameter_value *parameters;
    unsigned parameter_count, parameter_room, tables;
    uint64_t *used; /* a bit for each column's id */
    unsigned pass, *passes; /* of looking for those; `passes` counts them over all results of a query */
};

/* emit_used.c */
void emit_mark_used(struct emitter *emitter, const struct bound_query *query);
bool emit_is_used(const struct emitter *emitter, const struct bound_column *column);

/* emit_value.c. `filters`: only whether it is true counts, so that a null may do for false. */
void emit_value(struct emitter *emitter, const struct bound_value *value, bool filters);
void emit_order(struct emitter *emitter,
                const struct bound_order *order);            /* "ORDER BY …", nothing where there is none */
void emit_null(struct emitter *emitter, enum kql_type type); /* "" of a string */
/* Every `step`-th of the constants as one array. */
void emit_constants(struct emitter *emitter, enum kql_type type, struct bound_value *const *values,
                    unsigned from, unsigned count, unsigned step);
void emit_parameter(struct emitter *emitter, struct kql_parameter_value parameter);

/* emit_rows.c: a SELECT without parentheses. */
void emit_rows(struct emitter *emitter, const struct bound_rows *rows);

#endif
