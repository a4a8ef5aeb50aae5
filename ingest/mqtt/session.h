#ifndef PICKET_INGEST_MQTT_SESSION_H
#define PICKET_INGEST_MQTT_SESSION_H

#include <netinet/in.h>

#include "ingest/device_auth.h"
#include "ingest/intake.h"
#include "ingest/mqtt/channel.h"
#include "ingest/mqtt_front.h"
#include "ingest/presence.h"
#include "runtime/buf.h"
#include "runtime/loop.h"
#include "wire/mqtt_packet.h"

/* What the files of this folder share; mqtt_front.c includes it as well. A session belongs to one loop, and all of it
 * but what is said to be for any thread is for that loop's thread alone. */

#define SESSION_SCRATCH_BYTES ((size_t)128 * 1024) /* of a loop: what is read goes through it, and mostly stays there */
#define SESSION_KEEP_ALIVE_MAX_S 1178 /* IoT Hub's: half as much again is 1767 s, after which a silent client is cut */
#define SESSION_KEEP_ALIVE_MAX_MS 1767000
#define SESSION_CLOUD_MAX 10 /* cloud-to-device messages under way to one device */

enum session_state {
    SESSION_HANDSHAKE,  /* of TLS */
    SESSION_CONNECTING, /* CONNECT is awaited */
    SESSION_JUDGING,    /* the database is asked whether it may come in */
    SESSION_LIVE,
    SESSION_CLOSING, /* the last packets go out; nothing is taken any more */
    SESSION_CLOSED,  /* the socket is gone; others may still point here */
};

/* One thread's worth of the front. */
struct mqtt_loop {
    struct mqtt_front *front;
    struct loop *loop;
    char *scratch;
    struct session *sessions; /* all that are not closed */
    struct loop_timer sweep;
    uint64_t changes_seen; /* of device_auth_changes() */
    struct loop_post stop;
    bool stopping;
};

/* The will of a client, kept until it leaves without a word. */
struct session_will {
    struct picket_span topic, payload;
    struct text content_type;
    unsigned qos;
    bool retain;
    char bytes[];
};

/* A message of the cloud on its way to the device: what its acknowledgement will settle. */
struct session_cloud {
    uint16_t id; /* 0: free */
    char lock[40];
};

/* What a session for enrolment has shown: it counts anew with each thing that is asked, on threads that outlive the
 * connection's TLS. */
struct session_enrolment {
    struct registration_claim claim;
    struct text chain[TLS_CHAIN_MAX];
    struct arena arena; /* of all this */
};

struct session {
    struct loop_watch watch;
    struct loop_timer timer; /* the earliest of all that may be due; looked at when it fires */
    struct presence_member member;
    struct mqtt_loop *loop;
    struct session *next, **previous; /* of the loop */
    struct channel channel;
    _Atomic unsigned references; /* any thread */
    uint8_t state;               /* enum session_state; session_enter() alone changes it */
    uint8_t version;             /* enum picket_mqtt_version, once CONNECT was read */
    bool present;                /* it is in presence */
    bool keep;                   /* its subscriptions are kept when it leaves */
    bool explain;                /* MQTT 5: the client wants reason strings */
    bool handshake_writes;
    bool drains;                 /* all was sent: only the client's close is awaited */
    char peer[INET6_ADDRSTRLEN];
    const char *transport; /* "mqtt" or "mqtt-ws" */
    char *ids;             /* device, then module; or the id scope, then the registration id */
    struct session_enrolment *enrolling; /* NULL unless it speaks to $dps */
    struct roster_entry entry;
    struct roster_workspace workspace;
    struct device_auth_mark mark;
    int64_t expires_at_ms; /* monotonic; of its token */
    int64_t keep_ms;       /* how long its subscriptions are kept */
    struct session_will *will;

    int64_t opened_ms, read_ms, wrote_ms, packet_ms, closing_ms; /* packet_ms: since when one is incomplete, or 0 */
    int64_t retry_ms;      /* nothing is taken before, 0: at once */
    unsigned keep_alive_ms; /* 0: none */
    char *in;              /* a packet that is not whole, or that nobody could take yet */
    size_t in_count, in_room, in_charged;
    char *out;
    size_t out_count, out_sent, out_room;

    struct publish *publishes, **publishes_end; /* in the order in which they came */
    unsigned inflight, inflight_acknowledged;   /* of these with QoS 1 */
    unsigned calls;                             /* under way to the database */
    uint16_t receive_maximum;                   /* of the client */
    uint32_t packet_maximum;                    /* of the client; 0: none */
    uint16_t next_id;
    int64_t desired_told; /* version that the device knows; 0: none */
    struct session_cloud *cloud; /* SESSION_CLOUD_MAX of them, or NULL */
    bool cloud_asking, cloud_more; /* the database is being asked for some; more wait there */
};

/* session.c: from the first byte to the last. */
void session_open(struct mqtt_loop *loop, const struct channel *channel, const char *peer, const char *transport);
void session_enter(struct session *session, enum session_state state);
/* Says good-bye (MQTT 5), to close when that is out: outside the session's own events session_go_on() has to follow.
 * `sentence` is for the log, and for a client that wants it. */
void session_close(struct session *session, enum picket_mqtt_reason reason, const char *sentence);
/* Closes at once: there is nobody to say anything to. */
void session_drop(struct session *session, const char *sentence);
void session_hold(struct session *session); /* any thread */
void session_release(struct session *session);
/* Takes what waits, sends what is written, and looks at the clock anew: after anything that happened outside its own
 * events. */
void session_go_on(struct session *session);
/* Nothing is taken for so long; then the same packet is tried again. */
void session_pause(struct session *session, int64_t ms);
/* Has to be looked at no later than then. */
void session_due(struct session *session, int64_t due_ms);
void session_wants(struct session *session, uint32_t wants);
struct text session_device(const struct session *session);

static inline enum picket_mqtt_version session_version(const struct session *session)
{
    return (enum picket_mqtt_version)session->version;
}

static inline struct mqtt_front_parts *session_parts(const struct session *session)
{
    return mqtt_front_parts_of(session->loop->front);
}

/* What became of a packet. */
enum session_verdict {
    SESSION_TAKEN,
    SESSION_HELD, /* it could not be taken now, and stays where it is; session_pause() was called, or something under way
                     will go on with it */
};

/* handle_connect.c */
enum session_verdict handle_connect(struct session *session, const struct picket_mqtt_frame *frame);
/* What the database said of one for enrolment. */
void handle_connect_judged(struct session *session, unsigned code);

/* handle_publish.c */
enum session_verdict handle_publish(struct session *session, const struct picket_mqtt_frame *frame);
enum session_verdict handle_puback(struct session *session, const struct picket_mqtt_frame *frame);
void handle_will(struct session *session);
/* Takes its place in the order of acknowledgements, for a message that is not the intake's; until publish_settle(). */
struct publish *publish_open(struct session *session, const struct picket_mqtt_publish *packet);
void publish_settle(struct publish *publish);

/* handle_subscribe.c */
enum session_verdict handle_subscribe(struct session *session, const struct picket_mqtt_frame *frame);

#endif
