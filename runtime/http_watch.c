#include "runtime/http_exchange.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/clock.h"

#define WATCH_TICK_MS_MAX 100 /* how late a deadline may be noticed */
#define WATCH_SPARES_MAX 64   /* per shard: what a burst used is given back beyond that */
#define WATCH_ACCEPT_MAX 64   /* connections taken in a row before deadlines have their turn */
#define WATCH_LINGER_MS 2000

/* One thread per server accepts connections and keeps both kinds of deadline: a client that does not deliver its
 * request is cut, a handler that does not answer is answered for. */

static void *watch_run(void *server);
static bool watch_is_full(const struct http_server *server);
static void watch_accept(struct http_server *server, int listen_fd);
static void watch_shard(struct http_server *server, struct http_shard *shard, int64_t now_ms);
static struct http_connection *shard_abandon(struct http_server *server, struct http_shard *shard, int64_t until_ms);
static void resume_all(struct http_connection *abandoned);
static void linger_poll(struct http_server *server, const struct pollfd *polls, size_t count, int64_t now_ms);

static void list_append(struct http_list *list, struct http_connection *connection, int64_t deadline_ms)
{
    assert(!connection->list);
    connection->list = list;
    connection->deadline_ms = deadline_ms;
    connection->next = NULL;
    connection->previous = list->tail;
    *(list->tail ? &list->tail->next : &list->head) = connection;
    list->tail = connection;
}

static void list_remove(struct http_connection *connection)
{
    struct http_list *list = connection->list;

    if (!list)
        return;
    *(connection->previous ? &connection->previous->next : &list->head) = connection->next;
    *(connection->next ? &connection->next->previous : &list->tail) = connection->previous;
    connection->list = NULL;
}

enum status http_watch_start(struct http_server *server, struct problem *why)
{
    char name[16];

    server->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (server->wake_fd < 0)
        return problem_set(why, STATUS_FAULT, "%s: no event descriptor: %m", server->settings.name);
    int failed = pthread_create(&server->watch_thread, NULL, watch_run, server);
    if (failed)
        return problem_set(why, STATUS_FAULT, "%s: no thread: %s", server->settings.name, strerror(failed));
    server->watch_started = true;
    snprintf(name, sizeof name, "%.8s-watch", server->settings.name);
    pthread_setname_np(server->watch_thread, name);
    return STATUS_OK;
}

void http_watch_stop(struct http_server *server)
{
    if (!server->watch_started)
        return;
    atomic_store(&server->watch_ends, true);
    http_watch_wake(server);
    pthread_join(server->watch_thread, NULL);
    server->watch_started = false;
}

void http_watch_done(struct http_server *server)
{
    int listen_fd = atomic_load(&server->listen_fd);

    for (size_t i = 0; i < HTTP_SHARDS; i++)
        for (struct http_exchange *spare; (spare = http_watch_spare(&server->shards[i]));)
            http_exchange_free(spare);
    /* MHD may have refused someone after the thread's last look. */
    for (size_t i = 0; i < server->lingerer_count; i++)
        close(server->lingerers[i].fd);
    if (listen_fd >= 0)
        close(listen_fd);
    if (server->wake_fd >= 0)
        close(server->wake_fd);
}

void http_watch_wake(struct http_server *server)
{
    uint64_t one = 1;
    ssize_t written = write(server->wake_fd, &one, sizeof one);
    (void)written; /* full means that it is awake already */
}

void http_watch_enter(struct http_connection *connection)
{
    int64_t deadline_ms = clock_monotonic_ms() + connection->server->settings.request_timeout_ms;

    pthread_mutex_lock(&connection->shard->lock);
    list_append(&connection->shard->receiving, connection, deadline_ms);
    pthread_mutex_unlock(&connection->shard->lock);
}

/* MHD closes the descriptor after this, so nobody ever shuts down a number that came to mean another connection. */
void http_watch_leave(struct http_connection *connection)
{
    pthread_mutex_lock(&connection->shard->lock);
    list_remove(connection);
    pthread_mutex_unlock(&connection->shard->lock);
}

void http_watch_answering(struct http_connection *connection, struct http_exchange *exchange)
{
    struct http_shard *shard = connection->shard;
    int64_t deadline_ms = clock_monotonic_ms() + connection->server->settings.answer_timeout_ms;

    pthread_mutex_lock(&shard->lock);
    list_remove(connection);
    list_append(&shard->answering, connection, deadline_ms);
    connection->exchange = exchange;
    connection->deferred = true;
    shard->pending++;
    pthread_mutex_unlock(&shard->lock);
}

void http_watch_receiving(struct http_connection *connection, struct http_exchange *take_spare)
{
    struct http_shard *shard = connection->shard;
    int64_t deadline_ms = clock_monotonic_ms() + connection->server->settings.request_timeout_ms;

    atomic_store_explicit(&connection->receiving, true, memory_order_relaxed);
    pthread_mutex_lock(&shard->lock);
    list_remove(connection);
    list_append(&shard->receiving, connection, deadline_ms);
    connection->exchange = NULL;
    if (connection->deferred)
        shard->pending--;
    connection->deferred = false;
    if (take_spare && shard->spare_count < WATCH_SPARES_MAX) {
        take_spare->next_spare = shard->spares;
        shard->spares = take_spare;
        shard->spare_count++;
        take_spare = NULL;
    }
    pthread_mutex_unlock(&shard->lock);
    http_exchange_free(take_spare);
}

struct http_exchange *http_watch_spare(struct http_shard *shard)
{
    pthread_mutex_lock(&shard->lock);
    struct http_exchange *spare = shard->spares;
    if (spare) {
        shard->spares = spare->next_spare;
        shard->spare_count--;
    }
    pthread_mutex_unlock(&shard->lock);
    return spare;
}

size_t http_watch_pending(struct http_server *server)
{
    size_t pending = 0;

    for (size_t i = 0; i < HTTP_SHARDS; i++) {
        pthread_mutex_lock(&server->shards[i].lock);
        pending += server->shards[i].pending;
        pthread_mutex_unlock(&server->shards[i].lock);
    }
    return pending;
}

void http_watch_abandon_all(struct http_server *server)
{
    for (size_t i = 0; i < HTTP_SHARDS; i++)
        resume_all(shard_abandon(server, &server->shards[i], INT64_MAX));
}

/* The duplicate keeps the socket open after MHD has sent the reply, shut down its side and closed its descriptor. */
void http_watch_linger(struct http_connection *connection)
{
    struct http_server *server = connection->server;

    pthread_mutex_lock(&server->lingerers_lock);
    int fd = server->lingerer_count < HTTP_LINGERERS_MAX ? fcntl(connection->fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (fd >= 0)
        server->lingerers[server->lingerer_count++] =
            (struct http_lingerer){fd, clock_monotonic_ms() + WATCH_LINGER_MS};
    pthread_mutex_unlock(&server->lingerers_lock);
    if (fd >= 0)
        http_watch_wake(server);
}

static int tick_ms(const struct http_server *server)
{
    uint32_t shortest = server->settings.request_timeout_ms < server->settings.answer_timeout_ms
                            ? server->settings.request_timeout_ms
                            : server->settings.answer_timeout_ms;
    uint32_t tick = shortest / 8;
    return tick < 5 ? 5 : tick > WATCH_TICK_MS_MAX ? WATCH_TICK_MS_MAX : (int)tick;
}

/* Fills `polls` with the lingering sockets; their number is what the answers are read back for. */
static size_t linger_list(struct http_server *server, struct pollfd *polls)
{
    pthread_mutex_lock(&server->lingerers_lock);
    size_t count = server->lingerer_count;
    for (size_t i = 0; i < count; i++)
        polls[i] = (struct pollfd){.fd = server->lingerers[i].fd, .events = POLLIN};
    pthread_mutex_unlock(&server->lingerers_lock);
    return count;
}

static void *watch_run(void *context)
{
    struct http_server *server = context;
    struct pollfd polls[2 + HTTP_LINGERERS_MAX] = {0};
    int tick = tick_ms(server);
    uint64_t woken;

    while (!atomic_load(&server->watch_ends)) {
        int listen_fd = atomic_load(&server->listen_fd);
        if (listen_fd >= 0 && atomic_load(&server->draining)) {
            close(listen_fd);
            atomic_store(&server->listen_fd, listen_fd = -1);
        }
        polls[0] = (struct pollfd){.fd = watch_is_full(server) ? -1 : listen_fd, .events = POLLIN};
        polls[1] = (struct pollfd){.fd = server->wake_fd, .events = POLLIN};
        size_t lingering = linger_list(server, polls + 2);
        if (poll(polls, 2 + lingering, tick) < 0)
            continue; /* interrupted */
        if (polls[1].revents && read(server->wake_fd, &woken, sizeof woken) < 0)
            assert(errno == EAGAIN);
        if (polls[0].revents)
            watch_accept(server, listen_fd);
        int64_t now_ms = clock_monotonic_ms();
        linger_poll(server, polls + 2, lingering, now_ms);
        for (size_t i = 0; i < HTTP_SHARDS; i++)
            watch_shard(server, &server->shards[i], now_ms);
    }
    linger_poll(server, polls + 2, 0, INT64_MAX);
    return NULL;
}

static bool watch_is_full(const struct http_server *server)
{
    return atomic_load(&server->connections) >= (long)server->settings.connections_max;
}

static void watch_accept(struct http_server *server, int listen_fd)
{
    for (int i = 0; i < WATCH_ACCEPT_MAX && !watch_is_full(server); i++) {
        struct sockaddr_storage address;
        socklen_t address_size = sizeof address;
        int fd = accept4(listen_fd, (struct sockaddr *)&address, &address_size, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0) {
            /* Out of descriptors: the client waits in the backlog, and polling at full speed would not help it. */
            if (errno == EMFILE || errno == ENFILE)
                poll(NULL, 0, tick_ms(server));
            return;
        }
        struct http_connection *connection = http_connection_new(server, fd, &address);
        if (connection)
            http_worker_give(connection);
        else
            close(fd);
    }
}

static void watch_shard(struct http_server *server, struct http_shard *shard, int64_t now_ms)
{
    struct http_connection *connection;

    pthread_mutex_lock(&shard->lock);
    while ((connection = shard->receiving.head) && connection->deadline_ms <= now_ms) {
        list_remove(connection);
        /* In the middle of an answer it is MHD's own timeout that counts; we look again later. */
        if (atomic_load_explicit(&connection->receiving, memory_order_relaxed))
            shutdown(connection->fd, SHUT_RDWR);
        else
            list_append(&shard->receiving, connection, now_ms + server->settings.request_timeout_ms);
    }
    pthread_mutex_unlock(&shard->lock);
    resume_all(shard_abandon(server, shard, now_ms));
}

/* Takes the place of handlers whose deadline is up. What comes back must be resumed, without the lock: MHD has locks of
 * its own. */
static struct http_connection *shard_abandon(struct http_server *server, struct http_shard *shard, int64_t until_ms)
{
    struct http_connection *abandoned = NULL, *connection, *next;

    pthread_mutex_lock(&shard->lock);
    for (connection = shard->answering.head; connection && connection->deadline_ms <= until_ms; connection = next) {
        int state = HTTP_SUSPENDED;
        next = connection->next;
        if (atomic_compare_exchange_strong(&connection->exchange->state, &state, HTTP_ABANDONED)) {
            atomic_fetch_add(&server->references, 1);
            list_remove(connection);
            connection->next = abandoned;
            abandoned = connection;
        } else if (state == HTTP_ANSWERED) {
            list_remove(connection);
        }
    }
    pthread_mutex_unlock(&shard->lock);
    return abandoned;
}

static void resume_all(struct http_connection *abandoned)
{
    while (abandoned) {
        struct http_connection *next = abandoned->next;
        http_worker_resume(abandoned->worker, abandoned->mhd);
        abandoned = next;
    }
}

/* Only this thread takes lingerers away, so positions up to `count` mean the same as when they were listed. */
static void linger_poll(struct http_server *server, const struct pollfd *polls, size_t count, int64_t now_ms)
{
    char waste[16384];
    size_t kept = 0;

    pthread_mutex_lock(&server->lingerers_lock);
    for (size_t i = 0; i < server->lingerer_count; i++) {
        struct http_lingerer *lingerer = &server->lingerers[i];
        ssize_t got = 1;
        if (i < count && polls[i].revents)
            got = recv(lingerer->fd, waste, sizeof waste, MSG_DONTWAIT);
        bool ended = got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
        if (ended || lingerer->deadline_ms <= now_ms)
            close(lingerer->fd);
        else
            server->lingerers[kept++] = *lingerer;
    }
    server->lingerer_count = kept;
    pthread_mutex_unlock(&server->lingerers_lock);
}
