#include "tests/support/http_bare.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BARE_BODY_MAX ((size_t)1 << 20)

struct http_bare {
    struct MHD_Daemon *mhd;
    struct MHD_Response *response;
    int listen_fd;
    uint16_t port;
    pthread_t acceptor;
    bool accepting;
};

struct request {
    size_t count, room;
    char *body;
};

static enum MHD_Result serve(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                             const char *version, const char *data, size_t *data_count, void **slot)
{
    struct http_bare *bare = context;
    struct request *request = *slot;

    (void)url;
    (void)method;
    (void)version;
    if (!request) {
        *slot = calloc(1, sizeof *request);
        return *slot ? MHD_YES : MHD_NO;
    }
    if (!*data_count)
        return MHD_queue_response(connection, 204, bare->response);
    if (request->count + *data_count > request->room) {
        request->room = request->count + *data_count;
        char *body = request->room <= BARE_BODY_MAX ? realloc(request->body, request->room) : NULL;
        if (!body)
            return MHD_NO;
        request->body = body;
    }
    memcpy(request->body + request->count, data, *data_count);
    request->count += *data_count;
    *data_count = 0;
    return MHD_YES;
}

static void completed(void *context, struct MHD_Connection *connection, void **slot,
                      enum MHD_RequestTerminationCode how)
{
    struct request *request = *slot;

    (void)context;
    (void)connection;
    (void)how;
    if (request)
        free(request->body);
    free(request);
    *slot = NULL;
}

static void *accept_all(void *context)
{
    struct http_bare *bare = context;
    int fd;

    while ((fd = accept4(bare->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        struct sockaddr_in peer = {.sin_family = AF_INET};
        if (MHD_add_connection(bare->mhd, fd, (struct sockaddr *)&peer, sizeof peer) != MHD_YES)
            break;
    }
    return NULL;
}

/* Threads of libmicrohttpd that wait for one listening socket side by side leave some connections unaccepted, so a
 * thread of ours accepts, as runtime/http has it. */
static enum status listen_open(struct http_bare *bare, struct problem *why)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;

    bare->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bare->listen_fd < 0 || bind(bare->listen_fd, (struct sockaddr *)&address, sizeof address) ||
        listen(bare->listen_fd, SOMAXCONN) || getsockname(bare->listen_fd, (struct sockaddr *)&address, &size))
        return problem_set(why, STATUS_FAULT, "no port on loopback: %m");
    bare->port = ntohs(address.sin_port);
    if (pthread_create(&bare->acceptor, NULL, accept_all, bare))
        return problem_set(why, STATUS_FAULT, "no thread that accepts");
    bare->accepting = true;
    return STATUS_OK;
}

enum status http_bare_open(unsigned threads, struct http_bare **out, struct problem *why)
{
    struct http_bare *bare = calloc(1, sizeof *bare);
    enum status status = STATUS_OK;

    if (!bare)
        abort();
    bare->listen_fd = -1;
    bare->response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    bare->mhd = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC |
                                     MHD_USE_NO_LISTEN_SOCKET | MHD_USE_SUPPRESS_DATE_NO_CLOCK,
                                 0, NULL, NULL, serve, bare, MHD_OPTION_NOTIFY_COMPLETED, completed, bare,
                                 MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)32768, MHD_OPTION_CONNECTION_LIMIT, 10000u,
                                 MHD_OPTION_THREAD_POOL_SIZE, threads > 1 ? threads : 0u, MHD_OPTION_END);
    status = bare->mhd ? listen_open(bare, why) : problem_set(why, STATUS_FAULT, "libmicrohttpd did not start");
    if (status) {
        http_bare_close(bare);
        return status;
    }
    *out = bare;
    return STATUS_OK;
}

uint16_t http_bare_port(const struct http_bare *bare)
{
    return bare->port;
}

void http_bare_close(struct http_bare *take_bare)
{
    if (!take_bare)
        return;
    if (take_bare->accepting) {
        shutdown(take_bare->listen_fd, SHUT_RDWR);
        pthread_join(take_bare->acceptor, NULL);
    }
    if (take_bare->listen_fd >= 0)
        close(take_bare->listen_fd);
    if (take_bare->mhd)
        MHD_stop_daemon(take_bare->mhd);
    MHD_destroy_response(take_bare->response);
    free(take_bare);
}
