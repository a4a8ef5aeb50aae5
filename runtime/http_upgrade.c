#include "runtime/http_exchange.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>

/* libmicrohttpd decrypts for us: with TLS the socket that we get is one end of a pair whose other end it serves, on the
 * connection's worker. */
struct http_tunnel {
    struct http_connection *connection;
    struct MHD_UpgradeResponseHandle *handle;
};

static void upgraded(void *context, struct MHD_Connection *mhd, void *request, const char *early, size_t early_count,
                     MHD_socket fd, struct MHD_UpgradeResponseHandle *handle);

void http_upgrade(struct http_exchange *take_exchange, const char *protocol, http_upgrade_open open, void *user)
{
    take_exchange->upgrade_open = open;
    take_exchange->upgrade_user = user;
    http_code(take_exchange, 101);
    http_reply_header(take_exchange, "Upgrade", protocol);
    http_answer(take_exchange);
}

struct MHD_Response *http_upgrade_response(struct http_exchange *exchange)
{
    return MHD_create_response_for_upgrade(upgraded, exchange);
}

void http_tunnel_close(struct http_tunnel *take_tunnel)
{
    struct http_worker *worker = take_tunnel->connection->worker;

    take_tunnel->connection->closing = true;
    atomic_fetch_add(&worker->closing, 1);
    MHD_upgrade_action(take_tunnel->handle, MHD_UPGRADE_ACTION_CLOSE);
    http_worker_wake(worker);
    free(take_tunnel);
}

/* On the worker's thread, when the 101 has left. The exchange stays until the connection ends. */
static void upgraded(void *context, struct MHD_Connection *mhd, void *request, const char *early, size_t early_count,
                     MHD_socket fd, struct MHD_UpgradeResponseHandle *handle)
{
    struct http_exchange *exchange = context;
    struct http_connection *connection =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    struct http_tunnel *tunnel = malloc(sizeof *tunnel);

    (void)request;
    if (!tunnel)
        abort();
    *tunnel = (struct http_tunnel){connection, handle};
    http_watch_leave(connection);
    /* libmicrohttpd leaves the socket corked: the 101 would wait for 200 ms. */
    setsockopt(connection->fd, IPPROTO_TCP, TCP_CORK, &(int){0}, sizeof(int));
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    exchange->upgrade_open(exchange->upgrade_user, tunnel, fd, (struct text){early ? early : "", early_count});
}
