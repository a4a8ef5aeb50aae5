#ifndef PICKET_QUERY_KUSTO_COMMANDS_H
#define PICKET_QUERY_KUSTO_COMMANDS_H

#include "query/question.h"

/* Kusto's management commands, as far as clients and editors need them: what there is (.show …), functions and tables of a
 * workspace (.create-or-alter function …, .drop function …, .create table …), and stopping a query. `database` is a
 * workspace's name or id, NULL for the token's own. Statuses as a handler's. */
MUST_CHECK enum status kusto_command_run(struct query *query, const struct request *request, struct reply *reply,
                                         const char *database, struct text command, struct problem *why);

#endif
