#include "runtime/http_exchange.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/tls.h"

#define HTTP_CONNECTION_MEMORY ((size_t)32768) /* MHD's own, per connection: all headers must fit */
#define WORKER_ARRIVALS 64                     /* connections taken over at a time */

/* Each worker is a thread with a libmicrohttpd of its own, which knows the worker's connections and no others.
 *
 * The waiting is ours: libmicrohttpd's own threads take events by 128, and when there are exactly so many they wait for
 * more before they serve those (0.9.75, MHD_epoll()), which is for ever when all clients wait for a reply.
 * MHD_run() does not wait, so it has no such case.
 *
 * Only a worker's thread may touch its libmicrohttpd, except to resume a connection; so whoever accepts a connection
 * hands it over through a pipe. Pointers are far shorter than PIPE_BUF: each write is whole. */

static enum status worker_open(struct http_server *server, struct http_worker *worker, const struct http_pem *pem,
                               struct problem *why);
static void *worker_run(void *worker);
static bool arrivals_take(struct http_worker *worker);
static void client_certificate_ask(struct MHD_Connection *mhd);
static size_t keep_raw(void *context, struct MHD_Connection *mhd, char *escaped);

enum status http_workers_start(struct http_server *server, const struct http_pem *pem, struct problem *why)
{
    enum status status = STATUS_OK;

    size_t bytes = server->settings.threads * sizeof *server->workers;
    server->workers = aligned_alloc(_Alignof(struct http_worker), bytes);
    if (!server->workers)
        abort();
    memset(server->workers, 0, bytes);
    while (!status && server->worker_count < server->settings.threads)
        status = worker_open(server, &server->workers[server->worker_count++], pem, why);
    return status;
}

void http_workers_stop(struct http_server *server)
{
    for (size_t i = 0; i < server->worker_count; i++) {
        struct http_worker *worker = &server->workers[i];
        if (worker->arrivals[1] >= 0)
            close(worker->arrivals[1]); /* and the thread ends when it has taken all that came before */
        if (worker->started)
            pthread_join(worker->thread, NULL);
        if (worker->arrivals[0] >= 0)
            close(worker->arrivals[0]);
        if (worker->wake_fd >= 0)
            close(worker->wake_fd);
        if (worker->mhd)
            MHD_stop_daemon(worker->mhd);
    }
    free(server->workers);
    server->workers = NULL;
    server->worker_count = 0;
}

void http_worker_give(struct http_connection *take_connection)
{
    struct http_server *server = take_connection->server;
    struct http_worker *least = &server->workers[0];

    for (size_t i = 1; i < server->worker_count; i++)
        if (atomic_load_explicit(&server->workers[i].connections, memory_order_relaxed) <
            atomic_load_explicit(&least->connections, memory_order_relaxed))
            least = &server->workers[i];
    atomic_fetch_add_explicit(&least->connections, 1, memory_order_relaxed);
    take_connection->worker = least;
    ssize_t written;
    do
        written = write(least->arrivals[1], &take_connection, sizeof take_connection);
    while (written < 0 && errno == EINTR);
    assert(written == sizeof take_connection);
}

void http_worker_resume(struct http_worker *worker, struct MHD_Connection *mhd)
{
    MHD_resume_connection(mhd);
    http_worker_wake(worker);
    atomic_fetch_sub(&worker->suspended, 1); /* the last: then the server may be closed */
}

void http_worker_wake(struct http_worker *worker)
{
    if (!atomic_exchange(&worker->woken, true) && write(worker->wake_fd, &(uint64_t){1}, sizeof(uint64_t)) < 0)
        abort(); /* an event descriptor takes 2^64-2 of these */
}

long http_workers_suspended(const struct http_server *server)
{
    long suspended = 0;

    for (size_t i = 0; i < server->worker_count; i++)
        suspended += atomic_load(&server->workers[i].suspended);
    return suspended;
}

/* For a new connection it runs within arrivals_take(), on the same thread. */
void http_worker_notified(void *context, struct MHD_Connection *mhd, void **slot,
                          enum MHD_ConnectionNotificationCode what)
{
    struct http_worker *worker = context;
    struct http_connection *connection = *slot;

    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        http_watch_leave(connection);
        if (connection->closing)
            atomic_fetch_sub(&worker->closing, 1);
        http_connection_free(connection);
        atomic_fetch_sub_explicit(&worker->connections, 1, memory_order_relaxed);
        *slot = NULL;
        return;
    }
    *slot = connection = worker->arriving;
    worker->arriving = NULL;
    connection->mhd = mhd;
    if (worker->server->settings.ask_client_certificate)
        client_certificate_ask(mhd);
    http_watch_enter(connection);
}

/* Before the handshake. libmicrohttpd asks only where it is given authorities to name, and then names them, so that
 * clients whose authority is not among them keep their certificate to themselves. */
static void client_certificate_ask(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);

    if (!info || !info->tls_session)
        return; /* plain HTTP */
    gnutls_certificate_server_set_request(info->tls_session, GNUTLS_CERT_REQUEST);
    gnutls_certificate_send_x509_rdn_sequence(info->tls_session, 1); /* that is, not to send it */
}

static enum status mhd_start(struct http_server *server, struct http_worker *worker, const struct http_pem *pem,
                             struct problem *why)
{
    const struct http_server_settings *settings = &server->settings;
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE | MHD_USE_NO_LISTEN_SOCKET |
                     MHD_USE_SUPPRESS_DATE_NO_CLOCK | (pem->key.data ? MHD_USE_TLS : 0);
    /* The limit is kept where connections are accepted; MHD's only has to be out of the way. */
    unsigned connections = settings->connections_max + 64;
    /* For clients that do not read their reply; a request that does not arrive is http_watch's. */
    unsigned idle_seconds = settings->request_timeout_ms / 1000 + 2;
    struct MHD_OptionItem tls[4] = {{MHD_OPTION_END, 0, NULL}};

    if (pem->key.data) {
        tls[0] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, pem->certificate.data};
        tls[1] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, pem->key.data};
        tls[2] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)TLS_PRIORITIES};
        tls[3] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    }
    worker->mhd = MHD_start_daemon(
        flags, 0, NULL, NULL, http_serve, server,                   //
        MHD_OPTION_NOTIFY_COMPLETED, http_serve_completed, server,  //
        MHD_OPTION_NOTIFY_CONNECTION, http_worker_notified, worker, //
        MHD_OPTION_UNESCAPE_CALLBACK, keep_raw, NULL,               //
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, HTTP_CONNECTION_MEMORY, //
        MHD_OPTION_CONNECTION_LIMIT, connections,                   //
        MHD_OPTION_CONNECTION_TIMEOUT, idle_seconds,                //
        MHD_OPTION_STRICT_FOR_CLIENT, 1,                            //
        MHD_OPTION_ARRAY, tls,                                      //
        MHD_OPTION_END);
    if (!worker->mhd)
        return problem_set(why, STATUS_FAULT, "%s: libmicrohttpd %s did not start", settings->name, MHD_get_version());
    return STATUS_OK;
}

static enum status worker_open(struct http_server *server, struct http_worker *worker, const struct http_pem *pem,
                               struct problem *why)
{
    const char *name = server->settings.name;
    char thread_name[16];

    worker->server = server;
    worker->arrivals[0] = worker->arrivals[1] = worker->wake_fd = -1;
    enum status status = mhd_start(server, worker, pem, why);
    if (status)
        return status;
    if (pipe2(worker->arrivals, O_CLOEXEC) != 0 || fcntl(worker->arrivals[0], F_SETFL, O_NONBLOCK) != 0)
        return problem_set(why, STATUS_FAULT, "%s: no pipe: %m", name);
    worker->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (worker->wake_fd < 0)
        return problem_set(why, STATUS_FAULT, "%s: no event descriptor: %m", name);
    int failed = pthread_create(&worker->thread, NULL, worker_run, worker);
    if (failed)
        return problem_set(why, STATUS_FAULT, "%s: no thread: %s", name, strerror(failed));
    worker->started = true;
    snprintf(thread_name, sizeof thread_name, "%.8s-%zu", name, (size_t)(worker - server->workers));
    pthread_setname_np(worker->thread, thread_name);
    return STATUS_OK;
}

static void *worker_run(void *context)
{
    struct http_worker *worker = context;
    struct pollfd polls[3] = {
        {.fd = MHD_get_daemon_info(worker->mhd, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd, .events = POLLIN},
        {.fd = worker->arrivals[0], .events = POLLIN},
        {.fd = worker->wake_fd, .events = POLLIN},
    };
    uint64_t wakes;

    for (bool open = true; open;) {
        MHD_UNSIGNED_LONG_LONG timeout_ms;
        bool timed = MHD_get_timeout(worker->mhd, &timeout_ms) == MHD_YES;
        if (poll(polls, 3, !timed ? -1 : timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms) < 0)
            continue; /* interrupted */
        /* In this order: who resumes after `woken` is reset wakes us again, who did before is seen by MHD_run(). */
        if (polls[2].revents && read(worker->wake_fd, &wakes, sizeof wakes) == sizeof wakes)
            atomic_store(&worker->woken, false);
        if (polls[1].revents)
            open = arrivals_take(worker);
        MHD_run(worker->mhd);
        /* What is left of a tunnel over TLS is found in one run and cleaned up in the next, which nothing announces. */
        if (atomic_load(&worker->closing))
            MHD_run(worker->mhd);
    }
    return NULL;
}

/* False: no more will come. */
static bool arrivals_take(struct http_worker *worker)
{
    struct http_connection *arrived[WORKER_ARRIVALS];
    ssize_t got = read(worker->arrivals[0], arrived, sizeof arrived);

    if (got <= 0)
        return got < 0; /* interrupted */
    for (size_t i = 0; i < (size_t)got / sizeof arrived[0]; i++) {
        struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = arrived[i]->address};
        worker->arriving = arrived[i];
        MHD_add_connection(worker->mhd, arrived[i]->fd, (struct sockaddr *)&address, sizeof address);
        if (!worker->arriving)
            continue;
        /* Refused before it was told: the socket is closed. */
        http_connection_free(worker->arriving);
        worker->arriving = NULL;
        atomic_fetch_sub_explicit(&worker->connections, 1, memory_order_relaxed);
    }
    return true;
}

/* Paths stay as sent: a signature may cover them. Queries are decoded by http_serve. */
static size_t keep_raw(void *context, struct MHD_Connection *mhd, char *escaped)
{
    (void)context;
    (void)mhd;
    return strlen(escaped);
}
