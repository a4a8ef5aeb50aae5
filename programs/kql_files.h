#ifndef PICKET_PROGRAMS_KQL_FILES_H
#define PICKET_PROGRAMS_KQL_FILES_H

#include "kql/catalog.h"
#include "runtime/status.h"

/* Queries and saved functions as people keep them: .kql is one query, or several with blank lines between; .yaml or .yml is Sentinel's, the query under
 * `query`, `FunctionQuery` or `ParserQuery`; .jsonl has an object with `query`, and `id`, on each line. */
typedef void kql_query_sink(void *context, struct text id, struct text parameters, struct text query);

/* STATUS_REJECT: the file cannot be read, or has no query; `why` says where. `id` is TEXT_NONE where the
 * file has none. `parameters` is "(a:long=long(null), …)" of a function, so that its text can be looked at by itself. */
MUST_CHECK enum status kql_file_read(const char *path, kql_query_sink *sink, void *context,
                                     struct problem *why);

/* One saved function: `sink` gets it under each name that the file gives it, its stem the last, with its parameters as it
 * has them, TEXT_NONE for none. */
MUST_CHECK enum status kql_function_read(const char *path, kql_query_sink *sink, void *context, struct problem *why);

/* All files of a folder, each as a function under its file's stem and every other name that it gives itself. One that is
 * no KQL is told of on stderr and left out. */
MUST_CHECK enum status kql_functions_load(const char *folder, struct catalog *catalog, struct problem *why);

/* Lines of Table(column:type,…); empty ones and those that begin with # are passed over. */
MUST_CHECK enum status kql_schema_load(const char *path, struct catalog *catalog, struct problem *why);

#endif
