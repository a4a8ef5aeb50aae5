#ifndef PICKET_QUERY_SAVED_H
#define PICKET_QUERY_SAVED_H

#include "query/request.h"

/* What a workspace keeps for its questions: functions, queries, tables of its own. Each runs in the request's transaction,
 * as picket_admin, and is audited. STATUS_REJECT: what is wrong with it, in a sentence. */
#define SAVED_NAME_MAX 128

struct saved_function {
    const char *name, *parameters, *body, *folder, *description; /* parameters "(a:long, b:string='x')", or "" */
};
enum saved_mode { SAVED_CREATE, SAVED_ALTER, SAVED_EITHER };

MUST_CHECK enum status saved_function_put(const struct request *request, int64_t workspace, const struct saved_function *function,
                                          enum saved_mode mode, struct problem *why);
MUST_CHECK enum status saved_query_put(const struct request *request, int64_t workspace, const char *name, const char *kql,
                                       const char *description, struct problem *why);
/* `columns` "TimeGenerated:datetime,Name:string". A table that is there gets the columns it lacks. */
MUST_CHECK enum status saved_table_put(const struct request *request, int64_t workspace, const char *name, const char *columns,
                                       const char *description, struct problem *why);
/* `kind` function, query or table. `*found` false: there was none. */
MUST_CHECK enum status saved_drop(const struct request *request, int64_t workspace, const char *kind, const char *name,
                                  bool *found, struct problem *why);

#endif
