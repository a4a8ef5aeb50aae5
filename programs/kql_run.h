#ifndef PICKET_PROGRAMS_KQL_RUN_H
#define PICKET_PROGRAMS_KQL_RUN_H

#include "runtime/status.h"

/* Runs each query of a file that needs no tables, and prints an object a line: what it gives, or why it was refused. */
MUST_CHECK enum status kql_run_file(const char *path, const char *conninfo, struct problem *why);

#endif
