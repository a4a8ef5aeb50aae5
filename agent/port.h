#ifndef PICKET_AGENT_PORT_H
#define PICKET_AGENT_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What firmware supplies, so that the agent's core knows neither an operating system nor a network.
 *
 * Calls come from whoever calls the agent, one at a time, and may block: picket_agent_tick() takes as long as they do. */
#define PICKET_GUID_SIZE 37 /* text, terminated */
#define PICKET_AGENT_MESSAGE_ID_SIZE (PICKET_GUID_SIZE + 21)

/* One message as it leaves the device. */
struct picket_message {
    char id[PICKET_AGENT_MESSAGE_ID_SIZE]; /* epoch, '-', first number: the same when it is sent again */
    uint32_t count;                        /* events in it */
    const char *body;                      /* borrowed for the call */
    size_t body_count;
};

enum picket_send_status {
    PICKET_SEND_DONE,    /* the server has it */
    PICKET_SEND_REFUSED, /* the server will never take this message: `code` says why */
    PICKET_SEND_LATER,   /* no server, or one that is busy or does not know us: the same call may work later */
};

struct picket_send_answer {
    enum picket_send_status status;
    unsigned code;          /* HTTP's; 0 without an answer */
    uint32_t retry_after_s; /* what the server asked for; 0: nothing */
};

enum picket_keep_status { PICKET_KEEP_DONE, PICKET_KEEP_FULL, PICKET_KEEP_FAILED };
enum picket_kept_status { PICKET_KEPT_NONE, PICKET_KEPT_FOUND, PICKET_KEPT_DAMAGED };

struct picket_port {
    void *context;

    int64_t (*utc_ms)(void *context);                        /* since 1970 */
    int64_t (*monotonic_ms)(void *context);                  /* never goes back */
    int32_t (*utc_offset_s)(void *context, int64_t utc_s);   /* of local time at that moment, east is positive */
    void (*random)(void *context, void *out, size_t count);  /* good enough for GUIDs */

    void (*send)(void *context, const struct picket_message *message, struct picket_send_answer *out);

    /* A small text for each stream (0 to 2), which must survive a restart, replaced whole or not at all. load gives its
     * length, 0 when there is none. Both NULL: each start is a numbering of its own. */
    bool (*save)(void *context, unsigned stream, const char *state, size_t count);
    size_t (*load)(void *context, unsigned stream, char *state, size_t size);

    /* Messages kept while the server is away, oldest first, that must survive a restart. All NULL: events wait in memory.
     * `oldest` fills id and count, and with a buffer also the body, which then lies there; DAMAGED when the body is not
     * what was kept. `newest` fills id and count. `forget` removes the oldest. */
    enum picket_keep_status (*keep)(void *context, const struct picket_message *message);
    enum picket_kept_status (*oldest)(void *context, char *buffer, size_t size, struct picket_message *out);
    enum picket_kept_status (*newest)(void *context, struct picket_message *out);
    void (*forget)(void *context);
    /* Whether the oldest kept one has waited longer than it may: then it is dropped, and told so. NULL: each may wait for good. */
    bool (*expired)(void *context);
};

#endif
