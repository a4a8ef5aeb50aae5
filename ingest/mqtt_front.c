#include "ingest/mqtt_front.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ingest/ingest.h"
#include "ingest/ingest_metrics.h"
#include "ingest/mqtt/session.h"
#include "runtime/clock.h"
#include "runtime/log.h"

/* Every loop waits for the listening sockets itself, so connections spread by who is idle, and none moves later. */

#define LISTENERS 2
#define BACKLOG 4096
#define ACCEPTS_MAX 64 /* per event: then connections that are there have their turn */
#define SWEEP_MS 500   /* between looks at whether sessions may stay, when identities changed */
#define FULL_PAUSE_MS 100
#define DRAIN_MS 3000

struct listener {
    struct loop_watch watch;
    struct loop_timer rest; /* after running out of descriptors */
    struct mqtt_loop *loop;
    bool plain;
};

struct mqtt_front {
    struct mqtt_front_parts parts;
    struct tls_server *tls;
    int fds[LISTENERS]; /* TLS, plain; -1: closed */
    uint16_t ports[LISTENERS];
    struct mqtt_loop *loops;
    struct listener (*listeners)[LISTENERS];
    size_t loop_count;
    _Atomic size_t next_loop; /* for connections that come over WebSocket */
    bool listening;
    pthread_mutex_t lock; /* of the next, and of giving a connection to a loop while it is false */
    bool stopped;
};

/* A connection that another thread has for a loop. */
struct arrival {
    struct loop_post post;
    struct mqtt_loop *loop;
    struct channel channel;
    char peer[INET6_ADDRSTRLEN];
};

static enum status sockets_open(struct mqtt_front *front, struct problem *why);
static enum status socket_open(const char *address, int64_t port, int *out, uint16_t *bound, struct problem *why);
static enum status loops_open(struct mqtt_front *front, struct problem *why);
static void listener_ready(struct loop_watch *watch, uint32_t events);
static void listener_rested(struct loop_timer *timer);
static void accept_one(struct listener *listener, int fd, const struct sockaddr_storage *address);
static void arrival_run(struct loop_post *post);
static void sweep_fire(struct loop_timer *timer);
static void stop_run(struct loop_post *post);

enum status mqtt_front_open(const struct mqtt_front_parts *parts, struct mqtt_front **out, struct problem *why)
{
    const struct ingest_settings *settings = parts->settings;
    struct mqtt_front *front = calloc(1, sizeof *front);
    enum status status = STATUS_OK;

    if (!front)
        abort();
    front->parts = *parts;
    front->fds[0] = front->fds[1] = -1;
    pthread_mutex_init(&front->lock, NULL);
    if (settings->mqtts_port && (!settings->tls_certificate_file || !*settings->tls_certificate_file ||
                                 !settings->tls_key_file || !*settings->tls_key_file))
        status = problem_set(why, STATUS_REJECT,
                             "mqtts_port is open, so tls_certificate_file and tls_key_file have to be given");
    else if (settings->mqtts_port)
        status = tls_server_open(settings->tls_certificate_file, settings->tls_key_file, &front->tls, why);
    if (!status)
        status = sockets_open(front, why);
    if (!status)
        status = loops_open(front, why);
    if (status) {
        mqtt_front_stop(front);
        mqtt_front_free(front);
        return status;
    }
    *out = front;
    return STATUS_OK;
}

uint16_t mqtt_front_mqtts_port(const struct mqtt_front *front)
{
    return front->ports[0];
}

uint16_t mqtt_front_mqtt_port(const struct mqtt_front *front)
{
    return front->ports[1];
}

struct mqtt_front_parts *mqtt_front_parts_of(struct mqtt_front *front)
{
    return &front->parts;
}

void mqtt_front_take(struct mqtt_front *front, int fd, struct http_tunnel *take_tunnel, const char *peer)
{
    struct arrival *arrival;

    pthread_mutex_lock(&front->lock);
    if (front->stopped) {
        pthread_mutex_unlock(&front->lock);
        http_tunnel_close(take_tunnel);
        return;
    }
    arrival = calloc(1, sizeof *arrival);
    if (!arrival)
        abort();
    arrival->post.run = arrival_run;
    arrival->loop = &front->loops[atomic_fetch_add(&front->next_loop, 1) % front->loop_count];
    channel_websocket(&arrival->channel, fd, take_tunnel);
    memccpy(arrival->peer, peer, 0, sizeof arrival->peer - 1);
    loop_post(arrival->loop->loop, &arrival->post);
    pthread_mutex_unlock(&front->lock);
}

static void listeners_close(struct mqtt_front *front)
{
    for (size_t i = 0; i < LISTENERS; i++) {
        if (front->fds[i] >= 0)
            shutdown(front->fds[i], SHUT_RDWR);
    }
}

void mqtt_front_drain(struct mqtt_front *front)
{
    if (!front->listening)
        return;
    front->listening = false;
    listeners_close(front);
    for (size_t i = 0; i < front->loop_count; i++)
        loop_post(front->loops[i].loop, &front->loops[i].stop);
    int64_t until_ms = clock_monotonic_ms() + DRAIN_MS;
    while (metric_get(&ingest_metrics.mqtt_connections) > 0 && clock_monotonic_ms() < until_ms)
        usleep(10000); /* once, while the program stops */
}

void mqtt_front_stop(struct mqtt_front *front)
{
    mqtt_front_drain(front);
    pthread_mutex_lock(&front->lock);
    front->stopped = true;
    pthread_mutex_unlock(&front->lock);
    for (size_t i = 0; i < front->loop_count; i++) {
        struct mqtt_loop *loop = &front->loops[i];
        loop_stop(loop->loop);
        loop->stopping = true;
        loop_flush(loop->loop);
        while (loop->sessions)
            session_drop(loop->sessions, "the server stops");
    }
}

void mqtt_front_free(struct mqtt_front *take_front)
{
    if (!take_front)
        return;
    for (size_t i = 0; i < take_front->loop_count; i++) {
        loop_close(take_front->loops[i].loop); /* and hears the last answers of bus and database */
        free(take_front->loops[i].scratch);
    }
    for (size_t i = 0; i < LISTENERS; i++)
        if (take_front->fds[i] >= 0)
            close(take_front->fds[i]);
    tls_server_close(take_front->tls);
    pthread_mutex_destroy(&take_front->lock);
    free(take_front->listeners);
    free(take_front->loops);
    free(take_front);
}

static enum status sockets_open(struct mqtt_front *front, struct problem *why)
{
    const struct ingest_settings *settings = front->parts.settings;
    enum status status = STATUS_OK;

    if (settings->mqtts_port)
        status = socket_open(settings->ingest_address, settings->mqtts_port, &front->fds[0], &front->ports[0], why);
    /* Tokens are readable in it, so it never leaves the host, whatever address is configured. */
    if (!status && settings->mqtt_port)
        status = socket_open("127.0.0.1", settings->mqtt_port, &front->fds[1], &front->ports[1], why);
    return status;
}

static enum status socket_open(const char *address, int64_t port, int *out, uint16_t *bound, struct problem *why)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    bool is_v4 = inet_pton(AF_INET, address, &v4.sin_addr) == 1;
    socklen_t size = is_v4 ? sizeof v4 : sizeof v6;
    int yes = 1, no = 0;

    if (!is_v4 && inet_pton(AF_INET6, address, &v6.sin6_addr) != 1)
        return problem_set(why, STATUS_REJECT, "%s is no address to listen on", address);
    struct sockaddr *given = is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
    int fd = socket(given->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return problem_set(why, STATUS_FAULT, "no socket: %m");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (!is_v4)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
    if (bind(fd, given, size) != 0 || listen(fd, BACKLOG) != 0) {
        int failed = errno;
        close(fd);
        return problem_set(why, STATUS_REJECT, "MQTT cannot listen on %s port %lld (%s): choose another port", address,
                           (long long)port, strerror(failed));
    }
    *out = fd;
    *bound = (uint16_t)port;
    return STATUS_OK;
}

static enum status loop_prepare(struct mqtt_front *front, size_t i, struct problem *why)
{
    struct mqtt_loop *loop = &front->loops[i];

    loop->front = front;
    loop->stop.run = stop_run;
    loop->sweep.fire = sweep_fire;
    loop->scratch = malloc(SESSION_SCRATCH_BYTES);
    if (!loop->scratch)
        abort();
    enum status status = loop_open(&loop->loop, why);
    for (size_t l = 0; !status && l < LISTENERS; l++) {
        struct listener *listener = &front->listeners[i][l];
        if (front->fds[l] < 0)
            continue;
        *listener = (struct listener){
            .watch = {.fd = front->fds[l], .events = EPOLLIN | EPOLLEXCLUSIVE, .ready = listener_ready},
            .rest = {.fire = listener_rested},
            .loop = loop,
            .plain = l == 1};
        status = loop_add(loop->loop, &listener->watch, why);
    }
    if (!status)
        loop_timer_set(loop->loop, &loop->sweep, clock_monotonic_ms() + SWEEP_MS);
    return status;
}

static enum status loops_open(struct mqtt_front *front, struct problem *why)
{
    int64_t wanted = front->parts.settings->mqtt_threads;
    size_t count = (size_t)(wanted ? wanted : sysconf(_SC_NPROCESSORS_ONLN));
    enum status status = STATUS_OK;

    front->loops = calloc(count, sizeof *front->loops);
    front->listeners = calloc(count, sizeof *front->listeners);
    if (!front->loops || !front->listeners)
        abort();
    while (!status && front->loop_count < count) {
        status = loop_prepare(front, front->loop_count, why);
        front->loop_count += front->loops[front->loop_count].loop != NULL;
    }
    for (size_t i = 0; !status && i < count; i++) {
        char name[16];
        snprintf(name, sizeof name, "mqtt-%zu", i % 1000);
        status = loop_start(front->loops[i].loop, name, why);
    }
    front->listening = true;
    return status;
}

static struct listener *listener_of(struct loop_watch *watch)
{
    return (struct listener *)((char *)watch - offsetof(struct listener, watch));
}

static void listener_ready(struct loop_watch *watch, uint32_t events)
{
    static struct log_rate rate;
    struct listener *listener = listener_of(watch);
    struct mqtt_loop *loop = listener->loop;
    const struct ingest_settings *settings = loop->front->parts.settings;

    (void)events;
    for (size_t i = 0; i < ACCEPTS_MAX; i++) {
        struct sockaddr_storage address;
        socklen_t size = sizeof address;
        bool full = metric_get(&ingest_metrics.mqtt_connections) >= settings->mqtt_connections_max;
        int fd = full ? -1 : accept4(watch->fd, (struct sockaddr *)&address, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            accept_one(listener, fd, &address);
            continue;
        }
        if (full || errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            log_rated(&rate, LOG_WARN, "mqtt.full", "connections=%lld reason=\"%s\"",
                      (long long)metric_get(&ingest_metrics.mqtt_connections), full ? "mqtt_connections_max" : strerror(errno));
            loop_remove(loop->loop, watch);
            loop_timer_set(loop->loop, &listener->rest, clock_monotonic_ms() + FULL_PAUSE_MS);
        } else if (errno == EINVAL) {
            loop_remove(loop->loop, watch); /* shut down: nobody comes any more */
        }
        return;
    }
}

static void listener_rested(struct loop_timer *timer)
{
    struct listener *listener = (struct listener *)((char *)timer - offsetof(struct listener, rest));
    struct problem why;

    if (loop_add(listener->loop->loop, &listener->watch, &why))
        log_error("mqtt.listener", "reason=\"%s\"", why.text);
}

static void peer_print(const struct sockaddr_storage *address, char out[INET6_ADDRSTRLEN])
{
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;

    if (address->ss_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, out, INET6_ADDRSTRLEN);
    else if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
        inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], out, INET6_ADDRSTRLEN);
    else
        inet_ntop(AF_INET6, &v6->sin6_addr, out, INET6_ADDRSTRLEN);
}

static void accept_one(struct listener *listener, int fd, const struct sockaddr_storage *address)
{
    struct channel channel;
    char peer[INET6_ADDRSTRLEN];

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int));
    peer_print(address, peer);
    if (listener->plain)
        channel_plain(&channel, fd);
    else
        channel_tls(&channel, fd, listener->loop->front->tls);
    session_open(listener->loop, &channel, peer, "mqtt");
}

static void arrival_run(struct loop_post *post)
{
    struct arrival *arrival = (struct arrival *)post;

    if (arrival->loop->stopping)
        channel_close(&arrival->channel);
    else
        session_open(arrival->loop, &arrival->channel, arrival->peer, "mqtt-ws");
    free(arrival);
}

/* Whoever lost the right to be here goes within a second, whatever it was that let it in; who stays may have other limits. */
static void sweep_fire(struct loop_timer *timer)
{
    struct mqtt_loop *loop = (struct mqtt_loop *)((char *)timer - offsetof(struct mqtt_loop, sweep));
    struct device_auth *auth = loop->front->parts.auth;
    uint64_t changes = device_auth_changes(auth);

    loop_timer_set(loop->loop, timer, clock_monotonic_ms() + SWEEP_MS);
    if (changes == loop->changes_seen)
        return;
    loop->changes_seen = changes;
    for (struct session *session = loop->sessions, *next; session; session = next) {
        next = session->next;
        if (session->state != SESSION_LIVE || session->enrolling)
            continue;
        if (device_auth_holds(auth, &session->member.identity, &session->mark)) {
            device_auth_limits(auth, &session->member.identity, &session->entry, &session->workspace);
            continue;
        }
        session_hold(session);
        session_close(session, PICKET_MQTT_NOT_AUTHORIZED, "the identity was disabled or removed, or its key changed");
        session_go_on(session);
        next = session->state == SESSION_CLOSED ? next : session->next;
        session_release(session);
    }
}

static void stop_run(struct loop_post *post)
{
    struct mqtt_loop *loop = (struct mqtt_loop *)((char *)post - offsetof(struct mqtt_loop, stop));

    loop->stopping = true;
    for (struct session *session = loop->sessions, *next; session; session = next) {
        next = session->next;
        if (session->publishes)
            continue; /* with the last acknowledgement */
        session_hold(session);
        session_close(session, PICKET_MQTT_SHUTTING_DOWN, "the server stops");
        session_go_on(session);
        session_release(session);
    }
}
