#ifndef PICKET_INGEST_MQTT_CHANNEL_H
#define PICKET_INGEST_MQTT_CHANNEL_H

#include "ingest/mqtt/websocket.h"
#include "runtime/http.h"
#include "runtime/tls.h"

/* The bytes of a connection, whatever they travel in: a plain socket, TLS, or WebSocket frames on a connection that the
 * HTTP server gave away. Nothing waits here. */
struct channel {
    int fd;
    struct tls *tls;                   /* or NULL */
    struct channel_websocket *websocket; /* or NULL */
};

enum channel_step {
    CHANNEL_DONE,
    CHANNEL_WANTS_READ,
    CHANNEL_WANTS_WRITE,
    CHANNEL_CLOSED, /* the peer is gone */
    CHANNEL_BROKEN, /* it does not speak the protocol: `*why` is a sentence */
};

void channel_plain(struct channel *out, int fd);
void channel_tls(struct channel *out, int fd, const struct tls_server *server);
void channel_websocket(struct channel *out, int fd, struct http_tunnel *take_tunnel);

/* Until it is done, nothing else can be asked of a channel. */
enum channel_step channel_handshake(struct channel *channel, const char **why);
/* `*got` bytes, at least one when done. `out` needs a few bytes more than payload: frames are opened in place. */
enum channel_step channel_read(struct channel *channel, char *out, size_t size, size_t *got, const char **why);
/* As many as go. After WANTS_… the same bytes are to be given again. */
enum channel_step channel_write(struct channel *channel, const char *bytes, size_t count, size_t *sent);
/* Bytes are here that no event will tell of. */
bool channel_pending(const struct channel *channel);
void channel_close(struct channel *channel);

#endif
