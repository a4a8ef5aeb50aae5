#ifndef PICKET_QUERY_METHOD_WAITER_H
#define PICKET_QUERY_METHOD_WAITER_H

#include "query/reply.h"

/* Waits for devices to answer direct methods, in the place of workers: one thread for all calls under way, woken by an
 * empty NOTIFY and looking anyway. */
struct method_waiter;

#define METHOD_WAIT_MAX_MS 600000 /* connect and response timeout together */

MUST_CHECK enum status method_waiter_open(const char *conninfo, struct method_waiter **out, struct problem *why);
/* Who still waits is answered 503. Nobody may give it calls any more. */
void method_waiter_close(struct method_waiter *take_waiter);

/* Answers `take_exchange` when the call of `reply` has come to something: 200 with the device's code and payload, 404
 * when the device was not connected in time, 504 when it did not answer in time. */
void method_waiter_take(struct method_waiter *waiter, struct http_exchange *take_exchange, const struct reply *reply);

#endif
