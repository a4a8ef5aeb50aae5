#include "runtime/http.h"

#include <assert.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "runtime/clock.h"
#include "runtime/http_exchange.h"

#define HTTP_CONNECTION_MEMORY ((size_t)32768) /* MHD's own, per connection: all headers must fit */
#define HTTP_DRAIN_MS 1000                     /* for open exchanges to be answered, and again for replies to be sent */
#define HTTP_TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

/* The parts: http_route finds the route, http_serve is what libmicrohttpd calls, http_exchange is what handlers see,
 * http_watch keeps the deadlines and accepts connections. Here the server is put together and taken apart. */

struct pem {
    gnutls_datum_t certificate, key;
};

static enum status listen_open(struct http_server *server, struct problem *why);
static enum status pem_load(const struct http_server_settings *settings, struct pem *out, struct problem *why);
static void pem_done(struct pem *pem);
static enum status mhd_start(struct http_server *server, const struct pem *pem, struct problem *why);
static void pause_briefly(void);
static size_t keep_raw(void *context, struct MHD_Connection *mhd, char *escaped);

enum status http_server_open(const struct http_server_settings *settings, struct http_server **out,
                             struct problem *why)
{
    struct pem pem = {{NULL, 0}, {NULL, 0}};
    struct http_server *server = NULL;

    assert(settings->name && settings->address && settings->route_count && settings->threads);
    assert(settings->request_timeout_ms && settings->answer_timeout_ms && settings->connections_max);
    assert(!settings->tls_certificate_file == !settings->tls_key_file);

    server = aligned_alloc(_Alignof(struct http_server), sizeof *server);
    if (!server)
        abort();
    memset(server, 0, sizeof *server);
    server->settings = *settings;
    if (!server->settings.body_budget_used)
        server->settings.body_budget_used = &server->body_bytes;
    atomic_init(&server->references, 1);
    atomic_init(&server->listen_fd, -1);
    server->wake_fd = -1;
    for (size_t i = 0; i < HTTP_SHARDS; i++)
        pthread_mutex_init(&server->shards[i].lock, NULL);
    pthread_mutex_init(&server->lingerers_lock, NULL);
    server->late_response =
        http_serve_error_response("Timeout", "The server could not finish this request in time; try again.");
    server->stopping_response = http_serve_error_response("Unavailable", "The server is stopping; try again.");

    enum status status = listen_open(server, why);
    if (!status)
        status = pem_load(settings, &pem, why);
    if (!status)
        status = mhd_start(server, &pem, why);
    if (!status)
        status = http_watch_start(server, why);
    if (status)
        goto out;

    *out = server;
    server = NULL;
out:
    pem_done(&pem);
    http_server_close(server);
    return status;
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port;
}

void http_server_drain(struct http_server *server)
{
    int64_t deadline_ms = clock_monotonic_ms() + HTTP_DRAIN_MS;

    atomic_store(&server->draining, true);
    if (!server->watch_started)
        return;
    http_watch_wake(server);
    while (atomic_load(&server->listen_fd) >= 0)
        pause_briefly();
    while (http_watch_pending(server) && clock_monotonic_ms() < deadline_ms)
        pause_briefly();
}

void http_server_close(struct http_server *take_server)
{
    struct http_server *server = take_server;

    if (!server)
        return;
    if (!atomic_load(&server->draining))
        http_server_drain(server);
    atomic_store(&server->stopping, true);
    if (server->watch_started) {
        /* Each round answers for the handlers that have their exchange by then; after `stopping` no more are added. */
        do {
            http_watch_abandon_all(server);
            pause_briefly();
        } while (http_watch_suspended(server));
        int64_t deadline_ms = clock_monotonic_ms() + HTTP_DRAIN_MS;
        while (http_watch_pending(server) && clock_monotonic_ms() < deadline_ms)
            pause_briefly();
    }
    http_watch_stop(server);
    if (server->mhd)
        MHD_stop_daemon(server->mhd);
    http_watch_done(server);
    MHD_destroy_response(server->late_response);
    MHD_destroy_response(server->stopping_response);
    http_server_release(server);
}

/* Closing waits for other threads a millisecond at a time: it happens once, and a condition variable would cost each
 * request a signal. */
static void pause_briefly(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static int bind_try(const struct addrinfo *address)
{
    int yes = 1, no = 0;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (address->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
    if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static enum status listen_open(struct http_server *server, struct problem *why)
{
    const struct http_server_settings *settings = &server->settings;
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *address = NULL;
    struct sockaddr_storage bound;
    socklen_t bound_size = sizeof bound;
    char port[8];

    snprintf(port, sizeof port, "%u", (unsigned)settings->port);
    int failed = getaddrinfo(settings->address, port, &hints, &address);
    if (failed)
        return problem_set(why, STATUS_REJECT, "%s cannot listen on \"%s\": %s; give a numeric address of this host",
                           settings->name, settings->address, gai_strerror(failed));
    int fd = bind_try(address);
    int error = errno;
    freeaddrinfo(address);
    if (fd < 0 && error == EADDRINUSE)
        return problem_set(why, STATUS_REJECT,
                           "%s: port %s of %s is taken by another program; stop that one or choose another port",
                           settings->name, port, settings->address);
    if (fd < 0)
        return problem_set(why, STATUS_REJECT, "%s cannot listen on port %s of %s: %s", settings->name, port,
                           settings->address, strerror(error));
    atomic_store(&server->listen_fd, fd);
    if (getsockname(fd, (struct sockaddr *)&bound, &bound_size) != 0)
        return problem_set(why, STATUS_FAULT, "%s: no name of its own socket: %m", settings->name);
    in_port_t network_port = bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                                         : ((struct sockaddr_in *)&bound)->sin_port;
    server->port = ntohs(network_port);
    return STATUS_OK;
}

/* Tries the pair in GnuTLS first: libmicrohttpd would only say that it did not start. */
static enum status pem_check(const struct http_server_settings *settings, const struct pem *pem, struct problem *why)
{
    gnutls_certificate_credentials_t credentials = NULL;

    int failed = gnutls_certificate_allocate_credentials(&credentials);
    if (!failed)
        failed = gnutls_certificate_set_x509_key_mem(credentials, &pem->certificate, &pem->key, GNUTLS_X509_FMT_PEM);
    if (credentials)
        gnutls_certificate_free_credentials(credentials);
    if (failed < 0)
        return problem_set(why, STATUS_REJECT, "%s: certificate %s and key %s cannot be used: %s; give PEM files that belong together",
                           settings->name, settings->tls_certificate_file, settings->tls_key_file,
                           gnutls_strerror(failed));
    return STATUS_OK;
}

static enum status pem_load(const struct http_server_settings *settings, struct pem *out, struct problem *why)
{
    if (!settings->tls_certificate_file)
        return STATUS_OK;
    int failed = gnutls_load_file(settings->tls_certificate_file, &out->certificate);
    if (failed)
        return problem_set(why, STATUS_REJECT, "%s: certificate %s cannot be read: %s", settings->name,
                           settings->tls_certificate_file, gnutls_strerror(failed));
    failed = gnutls_load_file(settings->tls_key_file, &out->key);
    if (failed)
        return problem_set(why, STATUS_REJECT, "%s: key %s cannot be read: %s", settings->name, settings->tls_key_file,
                           gnutls_strerror(failed));
    return pem_check(settings, out, why);
}

static void pem_done(struct pem *pem)
{
    if (pem->key.data)
        explicit_bzero(pem->key.data, pem->key.size);
    gnutls_free(pem->certificate.data);
    gnutls_free(pem->key.data);
}

static enum status mhd_start(struct http_server *server, const struct pem *pem, struct problem *why)
{
    const struct http_server_settings *settings = &server->settings;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | MHD_USE_NO_LISTEN_SOCKET |
                     MHD_USE_SUPPRESS_DATE_NO_CLOCK | (pem->key.data ? MHD_USE_TLS : 0);
    /* MHD divides its limit among the pool's threads. Ours is kept where connections are accepted, so MHD's only has to
     * be out of the way however they fall. */
    unsigned connections = (settings->connections_max + 64) * settings->threads;
    unsigned pool = settings->threads > 1 ? settings->threads : 0;
    /* For clients that do not read their reply; a request that does not arrive is http_watch's. */
    unsigned idle_seconds = settings->request_timeout_ms / 1000 + 2;
    struct MHD_OptionItem tls[4] = {{MHD_OPTION_END, 0, NULL}};

    if (pem->key.data) {
        tls[0] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, pem->certificate.data};
        tls[1] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, pem->key.data};
        tls[2] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)HTTP_TLS_PRIORITIES};
        tls[3] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    }
    server->mhd = MHD_start_daemon(
        flags, 0, NULL, NULL, http_serve, server,                                                   //
        MHD_OPTION_NOTIFY_COMPLETED, http_serve_completed, server,                                  //
        MHD_OPTION_NOTIFY_CONNECTION, http_serve_connection, server,                                //
        MHD_OPTION_UNESCAPE_CALLBACK, keep_raw, NULL,                                               //
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, HTTP_CONNECTION_MEMORY,                                 //
        MHD_OPTION_CONNECTION_LIMIT, connections,                                                   //
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, settings->connections_per_address_max,                  //
        MHD_OPTION_CONNECTION_TIMEOUT, idle_seconds,                                                //
        MHD_OPTION_STRICT_FOR_CLIENT, 1,                                                            //
        MHD_OPTION_THREAD_POOL_SIZE, pool,                                                          //
        MHD_OPTION_ARRAY, tls,                                                                      //
        MHD_OPTION_END);
    if (!server->mhd)
        return problem_set(why, STATUS_FAULT, "%s: libmicrohttpd %s did not start", settings->name, MHD_get_version());
    return STATUS_OK;
}

/* Paths stay as sent: a signature may cover them. Queries are decoded by http_serve. */
static size_t keep_raw(void *context, struct MHD_Connection *mhd, char *escaped)
{
    (void)context;
    (void)mhd;
    return strlen(escaped);
}
