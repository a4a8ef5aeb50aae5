#ifndef PICKET_QUERY_CATALOGS_H
#define PICKET_QUERY_CATALOGS_H

#include "kql/catalog.h"
#include "query/request.h"

/* What the questions of a workspace may name: the views of the schema analytics, with the columns that the published
 * tables have beside those that are filled; the published tables that nothing fills, which are empty; the workspace's own
 * tables and saved functions. Made when first asked for and kept until any of it changes. Any thread. */
struct catalogs;

struct catalogs *catalogs_new(const char *share_path);
void catalogs_free(struct catalogs *take_catalogs); /* when nobody holds one any more; NULL is fine */

/* The one for the workspaces that the request's transaction sees, to be given back. Statuses as db_query(); a saved
 * function that is no KQL is left out, and logged. */
MUST_CHECK enum status catalogs_take(struct catalogs *catalogs, const struct request *request, const char *scope,
                                     const struct catalog **out, struct problem *why);
void catalogs_give_back(struct catalogs *catalogs, const struct catalog *catalog); /* NULL is fine */

/* A declaration of a table's own: "TimeGenerated:datetime,Name:string". STATUS_REJECT: what is wrong with it. */
MUST_CHECK enum status catalogs_columns_check(struct text columns, struct problem *why);

#endif
