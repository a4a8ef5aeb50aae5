#ifndef PICKET_KQL_CELL_H
#define PICKET_KQL_CELL_H

#include "kql/types.h"
#include "runtime/buf.h"

/* Where they differ: a dynamic value is the JSON that it is, or a string that holds JSON; a decimal is a number, or a
 * string for clients that would round it. */
enum cell_form {
    CELL_PLAIN,         /* JSON, number: `picket kql run` */
    CELL_KUSTO,         /* JSON, string */
    CELL_LOG_ANALYTICS, /* string, string */
};

/* Appends one cell of a result as JSON. `text` is what PostgreSQL answered for a column of a statement of kql_emit(),
 * TEXT_NONE for null: numbers and bools become literals, NaN and the infinities strings, a datetime
 * "2020-01-31T10:20:30.1234567Z", a timespan "[-][d.]hh:mm:ss[.fffffff]". */
void kql_cell_write(struct buf *out, enum kql_type type, struct text text, enum cell_form form);

#endif
