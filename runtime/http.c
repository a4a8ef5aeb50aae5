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

#define HTTP_DRAIN_MS 1000                     /* for open exchanges to be answered, and again for replies to be sent */

/* The parts: http_route finds the route, http_worker runs libmicrohttpd, http_serve is what that calls, http_exchange
 * is what handlers see, http_connection is a client, http_watch accepts clients and keeps the deadlines. Here the
 * server is put together and taken apart. */

static enum status listen_open(struct http_server *server, struct problem *why);
static enum status pem_load(const struct http_server_settings *settings, struct http_pem *out, struct problem *why);
static void pem_done(struct http_pem *pem);
static void pause_briefly(void);

enum status http_server_open(const struct http_server_settings *settings, struct http_server **out,
                             struct problem *why)
{
    struct http_pem pem = {{NULL, 0}, {NULL, 0}};
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
    pthread_mutex_init(&server->addresses_lock, NULL);
    server->late_response =
        http_serve_error_response("Timeout", "The server could not finish this request in time; try again.");
    server->stopping_response = http_serve_error_response("Unavailable", "The server is stopping; try again.");

    enum status status = listen_open(server, why);
    if (!status)
        status = pem_load(settings, &pem, why);
    if (!status)
        status = http_workers_start(server, &pem, why);
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
        } while (http_workers_suspended(server));
        int64_t deadline_ms = clock_monotonic_ms() + HTTP_DRAIN_MS;
        while (http_watch_pending(server) && clock_monotonic_ms() < deadline_ms)
            pause_briefly();
    }
    http_watch_stop(server);
    http_workers_stop(server);
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
static enum status pem_check(const struct http_server_settings *settings, const struct http_pem *pem, struct problem *why)
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

static enum status pem_load(const struct http_server_settings *settings, struct http_pem *out, struct problem *why)
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

static void pem_done(struct http_pem *pem)
{
    if (pem->key.data)
        explicit_bzero(pem->key.data, pem->key.size);
    gnutls_free(pem->certificate.data);
    gnutls_free(pem->key.data);
}
