#ifndef PICKET_PROGRAMS_KQL_RUN_H
#define PICKET_PROGRAMS_KQL_RUN_H

#include "kql/bound.h"
#include "runtime/buf.h"
#include "runtime/status.h"

/* The moment, as now() has it. */
int64_t kql_now_ticks(void);

/* Appends ,"columns":[{"name":…,"type":…},…] */
void kql_columns_print(struct buf *line, struct bound_column *const *columns, unsigned count);

/* Runs each query of a file that needs no tables, and prints an object a line: what it gives, or why it was refused.
 * STATUS_RETRY: the database cannot be reached, or went away; the lines so far count. */
MUST_CHECK enum status kql_run_file(const char *path, const char *conninfo, struct problem *why);

#endif
