#ifndef PICKET_AGENT_AGENT_H
#define PICKET_AGENT_AGENT_H

#include "agent/event_queue.h"
#include "agent/port.h"
#include "agent/sequence.h"

/* The device side of Picket: takes events, numbers them for the ledger, packs them into messages of the classic JSON
 * schema, sends these, and keeps them while the server is away. C99, no heap, no threads, no globals: memory comes from
 * the caller, and everything outside from the port. One thread at a time. */
enum picket_event_type { PICKET_EVENT_SECURITY, PICKET_EVENT_OPERATIONAL, PICKET_EVENT_DIAGNOSTIC }; /* the last two are about the agent itself */
enum picket_event_category { PICKET_EVENT_TRIGGERED, PICKET_EVENT_PERIODIC };

/* How soon an event leaves. Each priority has a queue and a numbering (the ledger's stream) of its own, so that what is
 * urgent waits for nothing and crowds nothing out. */
enum picket_priority { PICKET_HIGH, PICKET_MEDIUM, PICKET_LOW, PICKET_PRIORITIES };

struct picket_event {
    const char *name; /* "ProcessCreate" */
    enum picket_event_category category;
    int64_t utc_ms;      /* when it happened; 0: now */
    const char *payload; /* a JSON array of objects, checked by nobody; "[]" only when periodic */
    size_t payload_count;
    enum picket_priority priority;
    enum picket_event_type type;
};

struct picket_agent_settings {
    const char *version;       /* AgentVersion in messages */
    uint32_t interval_ms[PICKET_PRIORITIES]; /* how long an event may wait for others before its message leaves */
    uint32_t message_bytes; /* events share a message up to here; one that is longer goes alone. 0: as long as there is memory for */
};

/* What picket_agent_init() is given to work in. Events that do not fit into their queue, and those longer than a message or
 * the whole queue can be, are dropped and told so. A priority without a queue (size 0) shares the one above it; that of
 * PICKET_HIGH has to be there. */
#define PICKET_AGENT_MESSAGE_MIN 8192
struct picket_agent_memory {
    struct {
        void *bytes;
        size_t size;
    } queues[PICKET_PRIORITIES];
    char *message; /* one message at a time is made or read back here */
    size_t message_size;
};

/* Events, since picket_agent_init(). */
struct picket_agent_counts {
    uint64_t observed, sent, kept, dropped;
    uint64_t messages, messages_small, failed; /* sent; of these, of fewer than 4096 bytes; tries that failed */
    uint64_t saves_failed; /* the numbering could not be saved: after a power cut, numbers may be given twice */
};

/* Events of one priority. */
struct picket_lane {
    struct picket_sequence sequence;
    struct picket_queue queue; /* size 0: there is none */
    uint32_t pending;    /* events of the message that was tried and is still in the queue; 0: none */
    int64_t due_at_ms;   /* when the oldest queued event has waited long enough */
};

struct picket_agent {
    const struct picket_port *port;
    struct picket_agent_settings settings;
    struct picket_lane lanes[PICKET_PRIORITIES];
    char *message;
    size_t message_size;
    int64_t retry_at_ms; /* not before this is the server tried again */
    unsigned failures;   /* in a row */
    struct picket_agent_counts counts;
};

/* Takes the numbering up where the port's saved state ends, or begins a new epoch. `port` and the memory stay the
 * caller's and must outlive the agent. */
void picket_agent_init(struct picket_agent *agent, const struct picket_port *port,
                       const struct picket_agent_settings *settings, const struct picket_agent_memory *memory);

/* Queues one event; the payload is copied. False when it had to be dropped. Keeps waiting messages when room is short,
 * and never sends. */
bool picket_agent_observe(struct picket_agent *agent, const struct picket_event *event);

/* So many happenings went before they could be observed: they are numbered and told as dropped. */
void picket_agent_lose(struct picket_agent *agent, enum picket_priority priority, uint64_t count, const char *reason);

/* Other intervals and another length of messages from now on; what waits is due at once. `version` stays as it was. */
void picket_agent_configure(struct picket_agent *agent, const struct picket_agent_settings *settings);

/* Whether any event waits in memory. */
bool picket_agent_waiting(const struct picket_agent *agent);

/* Sends or keeps what is due; returns in how many milliseconds there is something to do again, UINT32_MAX when nothing
 * waits. Blocks for as long as the port's send does, at most PICKET_AGENT_BURST times. */
#define PICKET_AGENT_BURST 16
uint32_t picket_agent_tick(struct picket_agent *agent);

/* Sends all that waits, without waiting for intervals, until the server fails once. True when nothing is left. */
bool picket_agent_flush(struct picket_agent *agent);

/* Keeps what is queued and saves the numbering. The agent is not used after it. */
void picket_agent_done(struct picket_agent *agent);

#endif
