#ifndef PICKET_STORE_MICRO_H
#define PICKET_STORE_MICRO_H

#include "store/device_message.h"
#include "wire/micro_message.h"

/* Whether the properties announce FlatBuffers that micro_decode() reads; `properties` may be NULL. An indicator that
 * names another form is a departure. */
bool micro_announced(const struct json_node *properties, struct departures *departures,
                     struct picket_micro_indicator *out);

/* The body as events, one row per item of a payload, under the names and keys by which the cloud side kept what the
 * micro agent sent. An event whose payload type nobody knows is a row without details; the body is then kept as well, as
 * one more row of type Custom, and so it is when the schema is newer than 2.3.
 * STATUS_REJECT: the body is not whole, or not FlatBuffers; `why` says where. */
MUST_CHECK enum status micro_decode(struct details_writer *writer, struct device_message *message,
                                    const struct picket_micro_indicator *indicator, struct arena *arena,
                                    struct problem *why);

#endif
