#include "runtime/http_exchange.h"

#include <arpa/inet.h>
#include <search.h>
#include <stdlib.h>

/* An address that has connections; the tree holds no others. */
struct http_address {
    struct in6_addr address;
    unsigned connections;
};

static struct in6_addr address_of(const struct sockaddr_storage *peer);
static bool address_enter(struct http_server *server, const struct in6_addr *address);
static void address_leave(struct http_server *server, const struct in6_addr *address);

struct http_connection *http_connection_new(struct http_server *server, int fd, const struct sockaddr_storage *peer)
{
    struct in6_addr address = address_of(peer);

    if (!address_enter(server, &address))
        return NULL;
    struct http_connection *connection = calloc(1, sizeof *connection);
    if (!connection)
        abort();
    connection->server = server;
    connection->fd = fd;
    connection->address = address;
    connection->shard = &server->shards[(unsigned)fd % HTTP_SHARDS];
    atomic_init(&connection->receiving, true);
    /* An IPv4 client of a socket for both families: "::ffff:192.0.2.1" is nothing anyone looks for in a log. */
    if (IN6_IS_ADDR_V4MAPPED(&address))
        inet_ntop(AF_INET, &address.s6_addr[12], connection->peer, sizeof connection->peer);
    else
        inet_ntop(AF_INET6, &address, connection->peer, sizeof connection->peer);
    atomic_fetch_add(&server->connections, 1);
    return connection;
}

void http_connection_free(struct http_connection *take_connection)
{
    address_leave(take_connection->server, &take_connection->address);
    atomic_fetch_sub(&take_connection->server->connections, 1);
    free(take_connection);
}

static struct in6_addr address_of(const struct sockaddr_storage *peer)
{
    struct in6_addr address = {.s6_addr = {[10] = 0xff, [11] = 0xff}};

    if (peer->ss_family == AF_INET6)
        return ((const struct sockaddr_in6 *)peer)->sin6_addr;
    memcpy(&address.s6_addr[12], &((const struct sockaddr_in *)peer)->sin_addr, 4);
    return address;
}

static int address_compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct in6_addr)); /* the first member */
}

static bool address_enter(struct http_server *server, const struct in6_addr *address)
{
    unsigned most = server->settings.connections_per_address_max;
    bool entered = true;

    if (!most)
        return true;
    struct http_address *mine = calloc(1, sizeof *mine);
    if (!mine)
        abort();
    mine->address = *address;
    pthread_mutex_lock(&server->addresses_lock);
    struct http_address **found = tsearch(mine, &server->addresses, address_compare);
    if (!found)
        abort();
    if ((*found)->connections < most)
        (*found)->connections++;
    else
        entered = false;
    if (*found != mine)
        free(mine);
    pthread_mutex_unlock(&server->addresses_lock);
    return entered;
}

static void address_leave(struct http_server *server, const struct in6_addr *address)
{
    if (!server->settings.connections_per_address_max)
        return;
    pthread_mutex_lock(&server->addresses_lock);
    struct http_address *found = *(struct http_address **)tfind(address, &server->addresses, address_compare);
    if (--found->connections == 0) {
        tdelete(found, &server->addresses, address_compare);
        free(found);
    }
    pthread_mutex_unlock(&server->addresses_lock);
}
