#ifndef PICKET_QUERY_REPLY_H
#define PICKET_QUERY_REPLY_H

#include "runtime/db.h"
#include "runtime/http.h"

/* What a handler answers: 200 and JSON, unless it says otherwise. Members are appended in the order of the calls; commas
 * come by themselves. `name` is NULL inside arrays. */
struct reply {
    struct http_exchange *exchange;
    struct buf *body;
    unsigned refused_code;     /* set by reply_refuse() */
    const char *refused_name;
    int64_t method_call;   /* its answer comes later: method_waiter.h gives it; 0: the reply is whole */
    int64_t method_connect_ms, method_response_ms;
    int64_t tried_workspace; /* set by reply_tries() */
    const char *tried_action, *tried_target;
    int64_t changed_token; /* its cached facts are forgotten once the transaction is committed */
};

void reply_code(struct reply *reply, unsigned code);
/* After each row of an answer that may be long: moves what has gathered out of memory. Statuses as http_reply_spill(). */
MUST_CHECK enum status reply_flush(struct reply *reply, struct problem *why);
void reply_open_object(struct reply *reply, const char *name);
void reply_close_object(struct reply *reply);
void reply_open_array(struct reply *reply, const char *name);
void reply_close_array(struct reply *reply);
void reply_text(struct reply *reply, const char *name, struct text value); /* TEXT_NONE: null */
void reply_string(struct reply *reply, const char *name, const char *value);
void reply_number(struct reply *reply, const char *name, int64_t value);
void reply_flag(struct reply *reply, const char *name, bool value);
void reply_null(struct reply *reply, const char *name);
void reply_raw(struct reply *reply, const char *name, struct text json); /* JSON text as it is; TEXT_NONE: null */
/* "dev" or "dev/module". */
void reply_identity(struct reply *reply, const char *name, struct text device, struct text module);

/* From a column. Times are bigint µs since 1970 and become ISO 8601; NULL becomes null. */
void reply_column_text(struct reply *reply, const char *name, const struct db_rows *rows, size_t row, int column);
void reply_column_number(struct reply *reply, const char *name, const struct db_rows *rows, size_t row, int column);
void reply_column_time(struct reply *reply, const char *name, const struct db_rows *rows, size_t row, int column);
void reply_column_raw(struct reply *reply, const char *name, const struct db_rows *rows, size_t row, int column);

/* From here on a refusal is audited as well, as "action.refused" with the reason, in a transaction of its own. Both texts live as long as the
 * request. */
void reply_tries(struct reply *reply, int64_t workspace, const char *action, const char *target);
/* A refusal other than 400: `return reply_refuse(…)` from a handler. STATUS_REJECT always. */
enum status reply_refuse(struct reply *reply, struct problem *why, unsigned code, const char *name, const char *format,
                         ...) __attribute__((format(printf, 5, 6)));

#endif
