#include "ingest/mqtt/channel.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Frames that we write are a header and what stands behind it in the caller's buffer: nothing is copied, but a frame that
 * was begun has to be finished with just those bytes. */
struct channel_websocket {
    struct http_tunnel *tunnel;
    struct websocket in;
    uint8_t head[WEBSOCKET_HEADER_MAX + WEBSOCKET_CONTROL_MAX + WEBSOCKET_HEADER_MAX]; /* a pong, and the next header */
    size_t head_count, head_sent;
    size_t left; /* payload bytes of the frame that was begun */
    bool pong;   /* `in.control` is to be sent back */
    bool closing;
};

static enum channel_step socket_read(const struct channel *channel, char *out, size_t size, size_t *got);
static enum channel_step socket_write(const struct channel *channel, const void *bytes, size_t count, size_t *sent);
static enum channel_step websocket_take(struct channel *channel, char *out, size_t size, size_t *got, const char **why);
static enum channel_step websocket_give(struct channel *channel, const char *bytes, size_t count, size_t *sent);

static enum channel_step step_of_tls(enum tls_step step)
{
    switch (step) {
    case TLS_DONE:
        return CHANNEL_DONE;
    case TLS_WANTS_READ:
        return CHANNEL_WANTS_READ;
    case TLS_WANTS_WRITE:
        return CHANNEL_WANTS_WRITE;
    case TLS_CLOSED:
        return CHANNEL_CLOSED;
    case TLS_BROKEN:
        break;
    }
    return CHANNEL_BROKEN;
}

void channel_plain(struct channel *out, int fd)
{
    *out = (struct channel){.fd = fd};
}

void channel_tls(struct channel *out, int fd, const struct tls_server *server)
{
    *out = (struct channel){.fd = fd, .tls = tls_accept(server, fd)};
}

void channel_websocket(struct channel *out, int fd, struct http_tunnel *take_tunnel)
{
    *out = (struct channel){.fd = fd, .websocket = calloc(1, sizeof *out->websocket)};
    if (!out->websocket)
        abort();
    out->websocket->tunnel = take_tunnel;
}

enum channel_step channel_handshake(struct channel *channel, const char **why)
{
    if (!channel->tls)
        return CHANNEL_DONE;
    enum tls_step step = tls_handshake(channel->tls);
    *why = tls_reason(channel->tls);
    return step_of_tls(step);
}

enum channel_step channel_read(struct channel *channel, char *out, size_t size, size_t *got, const char **why)
{
    if (channel->websocket)
        return websocket_take(channel, out, size, got, why);
    if (!channel->tls)
        return socket_read(channel, out, size, got);
    enum tls_step step = tls_read(channel->tls, out, size, got);
    *why = tls_reason(channel->tls);
    return step_of_tls(step);
}

enum channel_step channel_write(struct channel *channel, const char *bytes, size_t count, size_t *sent)
{
    if (channel->websocket)
        return websocket_give(channel, bytes, count, sent);
    return channel->tls ? step_of_tls(tls_write(channel->tls, bytes, count, sent))
                        : socket_write(channel, bytes, count, sent);
}

bool channel_pending(const struct channel *channel)
{
    return channel->tls && tls_pending(channel->tls);
}

void channel_close(struct channel *channel)
{
    if (channel->tls) {
        tls_bye(channel->tls);
        tls_free(channel->tls);
    }
    if (channel->websocket) {
        http_tunnel_close(channel->websocket->tunnel); /* and the socket with it */
        free(channel->websocket);
    } else {
        close(channel->fd);
    }
    *channel = (struct channel){.fd = -1};
}

static enum channel_step socket_read(const struct channel *channel, char *out, size_t size, size_t *got)
{
    ssize_t count;

    do
        count = recv(channel->fd, out, size, 0);
    while (count < 0 && errno == EINTR);
    *got = count > 0 ? (size_t)count : 0;
    if (count > 0)
        return CHANNEL_DONE;
    return count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? CHANNEL_WANTS_READ : CHANNEL_CLOSED;
}

static enum channel_step socket_write(const struct channel *channel, const void *bytes, size_t count, size_t *sent)
{
    ssize_t done;

    do
        done = send(channel->fd, bytes, count, MSG_NOSIGNAL);
    while (done < 0 && errno == EINTR);
    *sent = done > 0 ? (size_t)done : 0;
    if (done >= 0)
        return CHANNEL_DONE;
    return errno == EAGAIN || errno == EWOULDBLOCK ? CHANNEL_WANTS_WRITE : CHANNEL_CLOSED;
}

/* Reads until there is payload, since a frame's header alone is nothing to the caller. */
static enum channel_step websocket_take(struct channel *channel, char *out, size_t size, size_t *got, const char **why)
{
    struct channel_websocket *websocket = channel->websocket;

    *got = 0;
    while (!*got) {
        size_t raw, at = 0;
        if (websocket->closing)
            return CHANNEL_CLOSED;
        enum channel_step step = socket_read(channel, out, size, &raw);
        if (step != CHANNEL_DONE)
            return step;
        while (at < raw) {
            size_t used, payload;
            uint8_t *from = (uint8_t *)out + at;
            enum websocket_event event = websocket_read(&websocket->in, from, raw - at, &used, &payload);
            if (event == WEBSOCKET_BROKEN) {
                *why = "this is not how WebSocket carries MQTT";
                return CHANNEL_BROKEN;
            }
            memmove(out + *got, from, payload);
            *got += payload;
            at += used;
            websocket->pong = websocket->pong || event == WEBSOCKET_PING;
            websocket->closing = websocket->closing || event == WEBSOCKET_CLOSE;
            if (websocket->closing)
                break;
        }
        if (websocket->pong) {
            size_t nothing;
            (void)websocket_give(channel, "", 0, &nothing); /* what does not go now goes with the next bytes */
        }
    }
    return CHANNEL_DONE;
}

static void head_begin(struct channel_websocket *websocket, size_t count)
{
    websocket->head_count = websocket->head_sent = 0;
    if (websocket->pong) {
        size_t header = websocket_header(WEBSOCKET_PONG, websocket->in.control_count, websocket->head);
        memcpy(websocket->head + header, websocket->in.control, websocket->in.control_count);
        websocket->head_count = header + websocket->in.control_count;
        websocket->pong = false;
    }
    if (count)
        websocket->head_count += websocket_header(WEBSOCKET_BINARY, count, websocket->head + websocket->head_count);
    websocket->left = count;
}

static enum channel_step websocket_give(struct channel *channel, const char *bytes, size_t count, size_t *sent)
{
    struct channel_websocket *websocket = channel->websocket;
    size_t done;

    *sent = 0;
    do { /* twice where a pong alone had been begun */
        if (websocket->head_sent == websocket->head_count && !websocket->left)
            head_begin(websocket, count);
        while (websocket->head_sent < websocket->head_count) {
            enum channel_step step = socket_write(channel, websocket->head + websocket->head_sent,
                                                  websocket->head_count - websocket->head_sent, &done);
            if (step != CHANNEL_DONE)
                return step;
            websocket->head_sent += done;
        }
    } while (count && !websocket->left);
    size_t more = count < websocket->left ? count : websocket->left;
    if (!more)
        return CHANNEL_DONE;
    enum channel_step step = socket_write(channel, bytes, more, sent);
    websocket->left -= *sent;
    return step;
}
