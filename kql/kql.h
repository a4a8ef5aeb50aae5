#ifndef PICKET_KQL_KQL_H
#define PICKET_KQL_KQL_H

#include "kql/bound.h"

/* What a compilation is told beside the query's text. */
struct kql_options {
    int64_t now_ticks;            /* what now() means, everywhere in the query */
    int64_t from_ticks, to_ticks; /* TimeGenerated of every table lies within; 0: unbounded */
};

/* Finds the names and the types of a query; gives its results in their order. Pure: no database, no clock; any number of
 * threads may bind against one catalog. Everything lies in `arena`. STATUS_REJECT: `wrong` says what, and where. */
MUST_CHECK enum status kql_bind(struct text source, const struct catalog *catalog,
                                const struct kql_options *options, struct arena *arena,
                                struct bound_query **out, struct kql_diagnostic *wrong);

#endif
