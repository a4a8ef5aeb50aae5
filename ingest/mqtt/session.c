#include "ingest/mqtt/session.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "ingest/ingest.h"
#include "ingest/ingest_metrics.h"
#include "ingest/mqtt/call.h"
#include "ingest/mqtt/reply.h"
#include "runtime/clock.h"
#include "runtime/log.h"

/* Bytes are read into the loop's scratch and packets are taken from there; only what is left of a packet, or cannot be
 * taken yet, moves to memory of the session's own. So an idle connection has none, and a packet that is announced costs
 * what has come of it, charged to the budget that all bodies share.
 *
 * Whoever cannot take a packet leaves it where it is (SESSION_HELD): nothing more is read, and the client feels it as
 * TCP has it. */

#define ROUND_READS 4                       /* then others have their turn */
#define SMALL_BYTES ((size_t)4096)          /* of a packet: not charged */
#define OUT_PAUSE_BYTES ((size_t)64 * 1024) /* nothing is taken from who does not read */
#define CLOSING_MS 2000  /* for the client to close as well, having read what we said last */
#define STOPPING_MS 200  /* the same, when the program ends */
#define BUDGET_RETRY_MS 100

static void watch_ready(struct loop_watch *watch, uint32_t events);
static void timer_fire(struct loop_timer *timer);
static void handshake_go_on(struct session *session);
static void read_go_on(struct session *session);
static bool read_once(struct session *session);
static bool room_for_more(struct session *session);
static void in_free(struct session *session);
static size_t packets_take(struct session *session, const char *bytes, size_t count);
static enum session_verdict packet_take(struct session *session, const struct picket_mqtt_frame *frame);
static void send_go_on(struct session *session);
static void events_update(struct session *session);
static void socket_close(struct session *session);
static void end(struct session *session);

static const char *const state_names[] = {"handshake", "connecting", "judging", "live", "closing", "closed"};

static struct session *session_of_watch(struct loop_watch *watch)
{
    return (struct session *)((char *)watch - offsetof(struct session, watch));
}

static struct session *session_of_timer(struct loop_timer *timer)
{
    return (struct session *)((char *)timer - offsetof(struct session, timer));
}

void session_open(struct mqtt_loop *loop, const struct channel *channel, const char *peer, const char *transport)
{
    struct session *session = calloc(1, sizeof *session);
    struct problem why;

    if (!session)
        abort();
    session->watch = (struct loop_watch){.fd = channel->fd, .events = EPOLLIN, .ready = watch_ready};
    session->timer.fire = timer_fire;
    session->loop = loop;
    session->channel = *channel;
    session->transport = transport;
    session->publishes_end = &session->publishes;
    session->receive_maximum = UINT16_MAX;
    session->opened_ms = session->read_ms = clock_monotonic_ms();
    atomic_init(&session->references, 1);
    memccpy(session->peer, peer, 0, sizeof session->peer - 1);
    session->next = loop->sessions;
    session->previous = &loop->sessions;
    if (session->next)
        session->next->previous = &session->next;
    loop->sessions = session;
    metric_add(&ingest_metrics.mqtt_connections, 1);
    if (loop_add(loop->loop, &session->watch, &why)) {
        session_drop(session, why.text);
        return;
    }
    session_due(session, session->opened_ms + session_parts(session)->settings->request_timeout_ms);
    if (!channel->tls)
        session_enter(session, SESSION_CONNECTING);
}

void session_enter(struct session *session, enum session_state state)
{
    assert(session->state != state);
    log_debug("mqtt.state", "peer=%s device=%.*s from=%s to=%s", session->peer, TEXT_ARGS(session_device(session)),
              state_names[session->state], state_names[state]);
    session->state = (uint8_t)state;
    if (state == SESSION_CLOSING)
        session->closing_ms = clock_monotonic_ms();
}

struct text session_device(const struct session *session)
{
    return session->ids ? session->member.identity.device : TEXT("");
}

void session_hold(struct session *session)
{
    atomic_fetch_add_explicit(&session->references, 1, memory_order_relaxed);
}

void session_release(struct session *session)
{
    if (atomic_fetch_sub_explicit(&session->references, 1, memory_order_acq_rel) != 1)
        return;
    assert(session->state == SESSION_CLOSED && !session->publishes);
    free(session->ids);
    if (session->enrolling)
        arena_done(&session->enrolling->arena);
    free(session->enrolling);
    free(session->will);
    free(session->cloud);
    free(session->out);
    free(session);
}

static int64_t closing_patience_ms(const struct session *session)
{
    return session->loop->stopping ? STOPPING_MS : CLOSING_MS;
}

void session_close(struct session *session, enum picket_mqtt_reason reason, const char *sentence)
{
    static struct log_rate rate;

    if (session->state >= SESSION_CLOSING)
        return;
    if (reason != PICKET_MQTT_SUCCESS)
        log_rated(&rate, LOG_INFO, "mqtt.closed", "peer=%s device=%.*s reason=0x%02x why=\"%s\"", session->peer,
                  TEXT_ARGS(session_device(session)), (unsigned)reason, sentence);
    if (session->state == SESSION_LIVE && reason != PICKET_MQTT_SUCCESS)
        reply_disconnect(session, reason, sentence);
    if (session->state == SESSION_CLOSED)
        return; /* there was too much to say */
    session_enter(session, SESSION_CLOSING);
    end(session);
    session_due(session, session->closing_ms + closing_patience_ms(session));
}

void session_drop(struct session *session, const char *sentence)
{
    if (session->state == SESSION_CLOSED)
        return;
    log_debug("mqtt.dropped", "peer=%s device=%.*s why=\"%s\"", session->peer, TEXT_ARGS(session_device(session)), sentence);
    bool live = session->state < SESSION_CLOSING;
    session_enter(session, SESSION_CLOSED);
    if (live)
        end(session);
    socket_close(session);
}

/* It is no longer one that anybody can reach. The will is its last message. */
static void end(struct session *session)
{
    in_free(session);
    if (session->will)
        handle_will(session);
    call_cloud_abandon(session);
    if (session->present) {
        session->present = false;
        if (presence_leave(session_parts(session)->presence, &session->member, session->keep ? session->keep_ms : 0))
            deliveries_disconnected(session_parts(session)->deliveries, &session->member.identity,
                                    session->member.connected_at_us, session->peer, session->transport);
        metric_add(&ingest_metrics.mqtt_sessions, -1);
    }
}

static void socket_close(struct session *session)
{
    struct mqtt_loop *loop = session->loop;

    loop_remove(loop->loop, &session->watch);
    loop_timer_clear(loop->loop, &session->timer);
    channel_close(&session->channel);
    *session->previous = session->next;
    if (session->next)
        session->next->previous = session->previous;
    free(session->out);
    session->out = NULL;
    session->out_count = session->out_sent = session->out_room = 0;
    metric_add(&ingest_metrics.mqtt_connections, -1);
    session_release(session);
}

void session_wants(struct session *session, uint32_t wants)
{
    presence_want(session_parts(session)->presence, &session->member, wants);
}

void session_pause(struct session *session, int64_t ms)
{
    session->retry_ms = clock_monotonic_ms() + ms;
    session_due(session, session->retry_ms);
}

void session_due(struct session *session, int64_t due_ms)
{
    if (!session->timer.place || due_ms < session->timer.due_ms)
        loop_timer_set(session->loop->loop, &session->timer, due_ms);
}

void session_go_on(struct session *session)
{
    session_hold(session);
    if (session->state != SESSION_HANDSHAKE)
        read_go_on(session);
    if (session->state != SESSION_CLOSED)
        send_go_on(session);
    if (session->state != SESSION_CLOSED)
        events_update(session);
    session_release(session);
}

static bool takes(const struct session *session)
{
    const struct ingest_settings *settings = session_parts(session)->settings;
    /* MQTT 5 clients know the maximum, and who passes it is told so: that has to be read. */
    unsigned most = (unsigned)settings->mqtt_inflight_max * (session->version == PICKET_MQTT_5 ? 2 : 1);

    return (session->state == SESSION_CONNECTING || session->state == SESSION_LIVE) && session->inflight < most &&
           session->out_count - session->out_sent <= OUT_PAUSE_BYTES && !session->retry_ms && !session->loop->stopping;
}

static void watch_ready(struct loop_watch *watch, uint32_t events)
{
    struct session *session = session_of_watch(watch);

    session_hold(session);
    if (session->state == SESSION_HANDSHAKE)
        handshake_go_on(session);
    else if ((events & (EPOLLERR | EPOLLHUP)) && !takes(session))
        session_drop(session, "the client has left"); /* it would be told again and again */
    if (session->state != SESSION_CLOSED)
        session_go_on(session);
    session_release(session);
}

static void handshake_go_on(struct session *session)
{
    static struct log_rate rate;
    const char *why = "";

    enum channel_step step = channel_handshake(&session->channel, &why);
    session->handshake_writes = step == CHANNEL_WANTS_WRITE;
    switch (step) {
    case CHANNEL_DONE:
        session_enter(session, SESSION_CONNECTING);
        break;
    case CHANNEL_WANTS_READ:
    case CHANNEL_WANTS_WRITE:
        break;
    case CHANNEL_CLOSED:
        session_drop(session, "the client left in the middle of the handshake");
        break;
    case CHANNEL_BROKEN:
        metric_add(&ingest_metrics.mqtt_handshakes_failed, 1);
        log_rated(&rate, LOG_INFO, "mqtt.handshake", "peer=%s reason=\"%s\"", session->peer, why);
        session_drop(session, why);
        break;
    }
}

static void read_go_on(struct session *session)
{
    if (session->in_count && takes(session)) {
        size_t used = packets_take(session, session->in, session->in_count);
        if (session->in) { /* it may have ended meanwhile */
            memmove(session->in, session->in + used, session->in_count - used);
            session->in_count -= used;
            if (!session->in_count)
                in_free(session);
        }
    }
    for (size_t i = 0; (i < ROUND_READS || channel_pending(&session->channel)) && session->state != SESSION_CLOSED; i++)
        if (!read_once(session))
            return;
}

/* False: there is nothing to read, or no wish to. */
static bool read_once(struct session *session)
{
    struct mqtt_loop *loop = session->loop;
    const char *why = "";
    size_t got, used;

    bool discards = session->state == SESSION_CLOSING;
    if (!discards && !takes(session))
        return false;
    bool own = session->in_count && !discards;
    if (own && !room_for_more(session))
        return false;
    char *into = own ? session->in + session->in_count : loop->scratch;
    switch (channel_read(&session->channel, into, own ? session->in_room - session->in_count : SESSION_SCRATCH_BYTES, &got,
                         &why)) {
    case CHANNEL_DONE:
        break;
    case CHANNEL_WANTS_READ:
    case CHANNEL_WANTS_WRITE:
        return false;
    case CHANNEL_CLOSED:
        session_drop(session, "the client has left");
        return false;
    case CHANNEL_BROKEN:
        session_drop(session, why);
        return false;
    }
    if (discards)
        return true;
    session->read_ms = clock_monotonic_ms();
    if (own) {
        session->in_count += got;
        used = packets_take(session, session->in, session->in_count);
    } else {
        used = packets_take(session, loop->scratch, got);
    }
    if (session->state >= SESSION_CLOSING)
        return session->state == SESSION_CLOSING;
    if (own) {
        memmove(session->in, session->in + used, session->in_count - used);
        session->in_count -= used;
        if (!session->in_count)
            in_free(session);
    } else if (used < got) {
        session->in = malloc(got - used > SMALL_BYTES ? got - used : SMALL_BYTES);
        if (!session->in)
            abort();
        session->in_count = got - used;
        session->in_room = got - used > SMALL_BYTES ? got - used : SMALL_BYTES;
        memcpy(session->in, loop->scratch + used, got - used);
    }
    return true;
}

/* Makes room behind an incomplete packet, as far as the packet reaches and the budget of all bodies allows. */
static bool room_for_more(struct session *session)
{
    struct mqtt_front_parts *parts = session_parts(session);
    struct picket_mqtt_frame frame;
    struct picket_mqtt_fault fault;

    if (session->in_room > session->in_count)
        return true;
    (void)picket_mqtt_frame_read(session->in, session->in_count, &frame, &fault);
    size_t room = 2 * session->in_room;
    if (frame.total > session->in_count && room > frame.total)
        room = frame.total;
    size_t more = room - session->in_charged;
    if (atomic_fetch_add(parts->body_bytes_used, more) + more > (size_t)parts->settings->body_budget_bytes) {
        atomic_fetch_sub(parts->body_bytes_used, more);
        session_pause(session, BUDGET_RETRY_MS);
        return false;
    }
    session->in_charged = room;
    session->in_room = room;
    session->in = realloc(session->in, room);
    if (!session->in)
        abort();
    return true;
}

static void in_free(struct session *session)
{
    free(session->in);
    if (session->in_charged)
        atomic_fetch_sub(session_parts(session)->body_bytes_used, session->in_charged);
    session->in = NULL;
    session->in_count = session->in_room = session->in_charged = 0;
    session->packet_ms = 0;
}

/* Takes whole packets off the start; returns the bytes used. */
static size_t packets_take(struct session *session, const char *bytes, size_t count)
{
    size_t used = 0, packet_max = (size_t)session_parts(session)->settings->body_bytes_max + SESSION_SCRATCH_BYTES;
    struct picket_mqtt_frame frame;
    struct picket_mqtt_fault fault;

    while (used < count && takes(session)) {
        enum picket_mqtt_step step = picket_mqtt_frame_read(bytes + used, count - used, &frame, &fault);
        if (step == PICKET_MQTT_BROKEN) {
            session_close(session, fault.reason, fault.sentence);
            break;
        }
        if (frame.total > packet_max) {
            session_close(session, PICKET_MQTT_TOO_LARGE, "a packet is longer than this server takes");
            break;
        }
        if (step == PICKET_MQTT_MORE) {
            if (!session->packet_ms) {
                session->packet_ms = clock_monotonic_ms();
                session_due(session, session->packet_ms + session_parts(session)->settings->request_timeout_ms);
            }
            break;
        }
        if (packet_take(session, &frame) == SESSION_HELD)
            break;
        session->packet_ms = 0;
        used += frame.total;
    }
    return used;
}

static enum session_verdict ping_take(struct session *session, const struct picket_mqtt_frame *frame)
{
    struct picket_mqtt_fault fault;

    if (!picket_mqtt_read_ping(frame, &fault))
        session_close(session, fault.reason, fault.sentence);
    else
        reply_pong(session);
    return SESSION_TAKEN;
}

static enum session_verdict disconnect_take(struct session *session, const struct picket_mqtt_frame *frame)
{
    struct picket_mqtt_disconnect disconnect;
    struct picket_mqtt_fault fault;

    if (!picket_mqtt_read_disconnect(frame, session_version(session), &disconnect, &fault)) {
        session_close(session, fault.reason, fault.sentence);
        return SESSION_TAKEN;
    }
    if (disconnect.reason != PICKET_MQTT_DISCONNECT_WITH_WILL) {
        free(session->will);
        session->will = NULL;
    }
    if (disconnect.properties.has_session_expiry && session->keep) {
        session->keep_ms = (int64_t)disconnect.properties.session_expiry * 1000;
        session->keep = session->keep_ms > 0;
    }
    session_close(session, PICKET_MQTT_SUCCESS, "");
    return SESSION_TAKEN;
}

static enum session_verdict packet_take(struct session *session, const struct picket_mqtt_frame *frame)
{
    if (session->state == SESSION_CONNECTING) {
        if (frame->type == PICKET_MQTT_CONNECT)
            return handle_connect(session, frame);
        session_drop(session, "the first packet is no CONNECT");
        return SESSION_TAKEN;
    }
    switch (frame->type) {
    case PICKET_MQTT_PUBLISH:
        return handle_publish(session, frame);
    case PICKET_MQTT_PUBACK:
        return handle_puback(session, frame);
    case PICKET_MQTT_SUBSCRIBE:
    case PICKET_MQTT_UNSUBSCRIBE:
        return handle_subscribe(session, frame);
    case PICKET_MQTT_PINGREQ:
        return ping_take(session, frame);
    case PICKET_MQTT_DISCONNECT:
        return disconnect_take(session, frame);
    case PICKET_MQTT_CONNECT:
        session_close(session, PICKET_MQTT_PROTOCOL_ERROR, "a second CONNECT");
        return SESSION_TAKEN;
    case PICKET_MQTT_AUTH:
    case PICKET_MQTT_CONNACK:
    case PICKET_MQTT_PUBREC:
    case PICKET_MQTT_PUBREL:
    case PICKET_MQTT_PUBCOMP:
    case PICKET_MQTT_SUBACK:
    case PICKET_MQTT_UNSUBACK:
    case PICKET_MQTT_PINGRESP:
        break;
    }
    session_close(session, PICKET_MQTT_PROTOCOL_ERROR, "a packet that a client may not send here");
    return SESSION_TAKEN;
}

static void send_go_on(struct session *session)
{
    while (session->out_sent < session->out_count) {
        size_t sent;
        enum channel_step step = channel_write(&session->channel, session->out + session->out_sent,
                                               session->out_count - session->out_sent, &sent);
        session->out_sent += sent;
        if (sent || !session->wrote_ms)
            session->wrote_ms = clock_monotonic_ms();
        if (step == CHANNEL_WANTS_READ || step == CHANNEL_WANTS_WRITE) {
            session_due(session, session->wrote_ms + session_parts(session)->settings->request_timeout_ms);
            return;
        }
        if (step != CHANNEL_DONE) {
            session_drop(session, "the client has left");
            return;
        }
    }
    if (session->out) {
        free(session->out);
        session->out = NULL;
        session->out_count = session->out_sent = session->out_room = 0;
    }
    if (session->state == SESSION_CLOSING && !session->drains) {
        /* Closing a socket with unread bytes resets it, and the reset may overtake what we said last. */
        session->drains = true;
        shutdown(session->channel.fd, SHUT_WR);
    }
}

static void events_update(struct session *session)
{
    uint32_t events = 0;

    if (session->state == SESSION_HANDSHAKE)
        events = session->handshake_writes ? EPOLLOUT : EPOLLIN;
    else if (takes(session) || session->state == SESSION_CLOSING)
        events = EPOLLIN;
    if (session->out_count > session->out_sent)
        events |= EPOLLOUT;
    loop_change(session->loop->loop, &session->watch, events);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Whatever may be due is looked at here; what is not yet says when to look again. */
static void timer_fire(struct loop_timer *timer)
{
    struct session *session = session_of_timer(timer);
    int64_t now_ms = clock_monotonic_ms(), patience_ms = session_parts(session)->settings->request_timeout_ms;
    int64_t next_ms = INT64_MAX;

    session_hold(session);
    if (session->retry_ms && session->retry_ms <= now_ms)
        session->retry_ms = 0;
    if (session->state == SESSION_CLOSING) {
        next_ms = session->closing_ms + closing_patience_ms(session);
        if (next_ms <= now_ms)
            session_drop(session, "the client does not close");
    } else if (session->state < SESSION_LIVE) {
        next_ms = session->opened_ms + patience_ms;
        if (next_ms <= now_ms)
            session_drop(session, "the client did not connect in time");
    } else if (session->state == SESSION_LIVE) {
        int64_t packet_ms = session->packet_ms ? session->packet_ms + patience_ms : INT64_MAX;
        int64_t silent_ms = session->keep_alive_ms ? session->read_ms + session->keep_alive_ms : INT64_MAX;
        int64_t deaf_ms = session->out_count > session->out_sent ? session->wrote_ms + patience_ms : INT64_MAX;
        next_ms = earlier(earlier(packet_ms, silent_ms), earlier(deaf_ms, session->expires_at_ms));
        if (!takes(session))
            silent_ms = INT64_MAX; /* we do not listen, so it cannot be heard */
        if (packet_ms <= now_ms)
            session_close(session, PICKET_MQTT_UNSPECIFIED, "a packet did not come whole in time");
        else if (silent_ms <= now_ms)
            session_close(session, PICKET_MQTT_KEEP_ALIVE_OVER, "nothing came for one and a half times the keep-alive");
        else if (deaf_ms <= now_ms)
            session_drop(session, "the client does not read");
        else if (session->expires_at_ms <= now_ms)
            session_close(session, PICKET_MQTT_NOT_AUTHORIZED, "the token has expired");
        else if (next_ms <= now_ms)
            next_ms = now_ms + patience_ms;
    }
    if (session->state != SESSION_CLOSED) {
        next_ms = earlier(next_ms, session->retry_ms ? session->retry_ms : INT64_MAX);
        if (next_ms != INT64_MAX)
            session_due(session, next_ms > now_ms ? next_ms : now_ms + 1);
        session_go_on(session);
    }
    session_release(session);
}
