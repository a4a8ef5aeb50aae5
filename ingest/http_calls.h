#ifndef PICKET_INGEST_HTTP_CALLS_H
#define PICKET_INGEST_HTTP_CALLS_H

#include "ingest/device_auth.h"
#include "ingest/registrations.h"
#include "runtime/db_pool.h"
#include "runtime/http.h"

/* What devices ask over HTTPS that only the database can answer: enrolment, the key of a module, messages from the
 * cloud. Each takes an exchange and answers it from a thread of the pool. */
struct http_calls {
    struct db_pool *pool;
    const struct registration_settings *registration;
    struct device_auth *auth;
};

enum http_call_kind {
    HTTP_CALL_REGISTER,  /* PUT  /{scope}/registrations/{id}/register */
    HTTP_CALL_OPERATION, /* GET  /{scope}/registrations/{id}/operations/{operation} */
    HTTP_CALL_STATE,     /* POST /{scope}/registrations/{id} */
    HTTP_CALL_MODULE,    /* GET  /devices/{device}/modules/{module} */
    HTTP_CALL_TAKE,      /* GET  /devices/{device}/messages/devicebound */
    HTTP_CALL_SETTLE,    /* DELETE …/devicebound/{lock}[?reject] */
    HTTP_CALL_ABANDON,   /* POST …/devicebound/{lock}/abandon */
};

/* `identity` is who was let in; unused for enrolment. `calls` stays until all exchanges have ended. */
void http_calls_take(const struct http_calls *calls, enum http_call_kind kind, const struct identity *identity,
                     struct http_exchange *take_exchange);

#endif
