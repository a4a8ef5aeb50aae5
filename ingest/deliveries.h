#ifndef PICKET_INGEST_DELIVERIES_H
#define PICKET_INGEST_DELIVERIES_H

#include "ingest/identity.h"
#include "runtime/status.h"

/* What goes from the database to devices that are connected here: a thread reads new rows behind commit cursors, woken
 * by an empty NOTIFY and looking every second anyway. With several replicas each looks at all rows and takes those of
 * the devices that it holds. */
struct deliveries;

struct desired_change {
    int64_t version;
    int64_t from;      /* who knows this version or a later one has all it needs in `patch` */
    struct text patch; /* {…} with null for what went, without $version */
    struct text whole; /* all desired properties, for who knows only older versions */
};

struct method_request {
    int64_t call;
    struct text name, payload; /* JSON text; "null" when the caller gave none */
    int64_t expires_at_us;
};

/* Called on the deliveries' thread: short, and never blocking. Texts are valid during the call. */
struct deliveries_hooks {
    void *context;
    /* Whether the identity is connected to this process. */
    bool (*here)(void *context, const struct identity *identity);
    bool (*takes_methods)(void *context, const struct identity *identity); /* and has subscribed to them */
    void (*method)(void *context, const struct identity *identity, const struct method_request *request);
    void (*cloud_messages)(void *context, const struct identity *identity); /* some wait: cloud_messages_take() */
    void (*desired)(void *context, const struct identity *identity, const struct desired_change *change);
    /* The identity connected to another process at `connected_at_us`: a session that is older ends. */
    void (*connected_elsewhere)(void *context, const struct identity *identity, int64_t connected_at_us);
};

MUST_CHECK enum status deliveries_open(const char *conninfo, const struct deliveries_hooks *hooks,
                                       struct deliveries **out, struct problem *why);
void deliveries_close(struct deliveries *take_deliveries);

/* Tells operators and the other replicas of a connection made here, and of its end; written in batches, soon.
 * `peer` is the client's address, `transport` "mqtt" or "mqtt-ws". Any thread; never blocks. */
void deliveries_connected(struct deliveries *deliveries, const struct identity *identity, int64_t connected_at_us,
                          const char *peer, const char *transport);
void deliveries_disconnected(struct deliveries *deliveries, const struct identity *identity, int64_t connected_at_us,
                             const char *peer, const char *transport);

#endif
