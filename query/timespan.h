#ifndef PICKET_QUERY_TIMESPAN_H
#define PICKET_QUERY_TIMESPAN_H

#include "runtime/status.h"
#include "runtime/text.h"

/* The four forms of Log Analytics' `timespan`: "PT12H" (back from now), "start/end", "start/duration", "duration/end"; a
 * duration is ISO 8601 and its seconds may have a fraction. Ticks as kql/types.h has them. STATUS_REJECT: it is none. */
MUST_CHECK enum status timespan_read(struct text timespan, int64_t now_ticks, int64_t *from_ticks, int64_t *to_ticks,
                                     struct problem *why);

#endif
