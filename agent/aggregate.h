#ifndef PICKET_AGENT_AGGREGATE_H
#define PICKET_AGENT_AGGREGATE_H

#include "agent/agent.h"

/* Events that repeat are counted instead of sent: the first of a kind leaves at once, and those that follow within the window
 * leave as one event at its end, with HitCount. So what is new is told without delay, and a
 * process that starts ten thousand times costs two events.
 *
 * What makes two events the same is their key: the event's one payload object without what differs each time (process ids,
 * the port that a caller happened to have). No count is lost while the program runs: an entry that has to make room is sent
 * early. The counts of the window that runs lie in memory only.
 *
 * Facts: the classic agents' aggregation (device contract, "Aggregation"), whose category "Aggregated" the published schema does not have: these
 * are Triggered. C99, memory from the caller, no clock but the
 * agent's. */
struct picket_aggregate {
    char *bytes;
    size_t size, used; /* of the entries */
    char *scratch;     /* one payload is made here, of key_max and what is added */
    size_t key_max;
    unsigned count, count_max;
    int64_t window_ms;
    int64_t from_utc_ms, due_at_ms; /* of the window that runs; of none while there are no entries */
};

#define PICKET_AGGREGATE_EXTRA_MAX 320 /* what is added to a key */
#define PICKET_AGGREGATE_HEAD_MAX 64   /* what an entry takes beside its key */

/* `size` holds at least one entry of `key_max` bytes beside the scratch: 2 * (key_max + PICKET_AGGREGATE_EXTRA_MAX). A window of 0:
 * nothing is counted. */
void picket_aggregate_init(struct picket_aggregate *aggregate, void *memory, size_t size, size_t key_max, unsigned entries_max, int64_t window_ms);

/* Sends `event` when it is new, or counts it. `key` is a JSON object that is not empty and has no ExtraDetails, of the event's payload; one that
 * is longer than key_max is not counted: its event is sent each time. `event->name` is kept, not copied. */
void picket_aggregate_observe(struct picket_aggregate *aggregate, struct picket_agent *agent, const struct picket_event *event, const char *key, size_t key_count, uint64_t hits);

/* Ends the window when it is over; returns in how many milliseconds it will be, UINT32_MAX when there is none. */
uint32_t picket_aggregate_tick(struct picket_aggregate *aggregate, struct picket_agent *agent);
/* Ends it now: before other settings, and at the program's end. */
void picket_aggregate_flush(struct picket_aggregate *aggregate, struct picket_agent *agent);
void picket_aggregate_configure(struct picket_aggregate *aggregate, struct picket_agent *agent, unsigned entries_max, int64_t window_ms);

#endif
