#ifndef PICKET_QUERY_REQUEST_H
#define PICKET_QUERY_REQUEST_H

#include <jansson.h>

#include "query/page.h"
#include "query/query.h"
#include "query/reply.h"
#include "query/sign_in.h"

/* One request as its handler sees it: signed in, its body parsed, inside a transaction that sees the workspaces in
 * question and no others. The transaction is committed when the handler returns STATUS_OK, rolled back otherwise. */
struct request {
    struct http_exchange *exchange;
    struct arena *arena;
    const struct caller *caller; /* NULL where no sign-in is needed */
    struct db *db;               /* without a transaction where the handler makes its own */
    struct db *admin;            /* of handlers that make their own transactions: as picket_admin */
    uint32_t timeout_ms;
    const char *scope; /* array literal of the workspaces it is about: a parameter of every statement */
    size_t scope_count;
    json_t *body; /* an object where the route has one; {} when nothing was sent */
};

/* Runs a statement of the request's transaction. As db_query(). */
MUST_CHECK enum status request_query(const struct request *request, const char *sql, const char *const *parameters,
                                     size_t count, struct db_rows **out, struct problem *why);

/* A query argument as a string, NULL when absent or empty. */
const char *request_argument(const struct request *request, const char *name);
/* A path parameter as a string; never NULL for a name that the route has. */
const char *request_parameter(const struct request *request, const char *name);
/* limit and cursor of the query. */
MUST_CHECK enum status request_page(const struct request *request, const char *list, size_t field_count, struct page *out,
                                    struct problem *why);
/* An argument that has to be one of `words` (NULL ends them); absent is fine. */
MUST_CHECK enum status request_word(const struct request *request, const char *name, const char *const *words,
                                    const char **out, struct problem *why);

/* A time as callers may say it: ISO 8601, or a duration back from `now_us`; `absent_us` where `text` is NULL. `name` is what it is called. */
MUST_CHECK enum status request_time(const char *text, const char *name, int64_t now_us, int64_t absent_us, int64_t *out,
                                    struct problem *why);

/* STATUS_REJECT when the body has a member that is not among `names` (NULL ends them). */
MUST_CHECK enum status request_members(const struct request *request, const char *const *names, struct problem *why);
/* A member that has to be a string; NULL when absent or null. */
MUST_CHECK enum status request_string(const struct request *request, const char *name, const char **out,
                                      struct problem *why);

/* A rate that the body's member sets: decimal text; NULL when it is absent or null, which means the default. 0 is no limit. */
MUST_CHECK enum status request_rate(const struct request *request, const char *name, int64_t maximum, const char **out,
                                    struct problem *why);

/* The one workspace that something is made in: the body's "workspace", the query's, or the only one there is. */
MUST_CHECK enum status request_workspace(const struct request *request, int64_t *id, const char **name,
                                         struct problem *why);

/* Puts down what the caller changed, in the same transaction. `take_details` may be NULL. */
MUST_CHECK enum status request_audit(const struct request *request, int64_t workspace, const char *action,
                                     const char *target, json_t *take_details, struct problem *why);

/* Ends a list: "next" is a cursor to the key in `columns` of the last row given, or null when `rows` has no row beyond
 * those; then the answer's object is closed. */
void request_page_end(const struct request *request, struct reply *reply, const char *list, const struct page *page,
                      const struct db_rows *rows, const int *columns, size_t column_count);
/* The whole answer of a list: each row of the page as an object that `write` gives its members, and the end as above. */
void request_page_write(const struct request *request, struct reply *reply, const char *list, const struct page *page, const struct db_rows *rows,
                        void (*write)(const struct db_rows *rows, size_t row, struct reply *reply), const int *columns, size_t column_count);
/* How many of the rows belong to the page: statements ask for one more. */
size_t request_page_rows(const struct page *page, const struct db_rows *rows);

/* Decimal text for a parameter; lives in the request's arena. */
const char *request_decimal(const struct request *request, int64_t number);

/* What the role has, for its handlers. */
struct console;
struct catalogs;
struct running;
struct catalogs *query_catalogs_of(const struct query *query);
struct running *query_running_of(const struct query *query);
const struct query_settings *query_settings_of(const struct query *query);
const struct secret_master *query_master_of(const struct query *query);
struct sign_in *query_sign_in_of(const struct query *query);
const struct console *query_console_of(const struct query *query);

#endif
