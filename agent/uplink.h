#ifndef PICKET_AGENT_UPLINK_H
#define PICKET_AGENT_UPLINK_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/credential.h"

/* The way to the server on Linux: TCP, through an HTTP proxy where one is set, and TLS by Mbed TLS. The server's certificate is
 * always checked, against the authority and its name; ours is shown where there is one. One thread. */
struct uplink_target { /* borrowed until uplink_free() */
    const char *host;
    uint16_t port;
    const char *ca_file;          /* PEM */
    const char *certificate_file; /* PEM, the leaf first; "": none */
    const char *key_file;
    const char *proxy;            /* "http://[user:password@]host:port"; "": none */
};

struct uplink;

/* Connects nothing yet. A wait gives up within half a second once `*stopping` is set, but for a name look-up. NULL when the
 * authority, our certificate or the proxy's address cannot be used. */
struct uplink *uplink_new(const struct uplink_target *target, const volatile sig_atomic_t *stopping, struct reason *why);
void uplink_free(struct uplink *take_uplink); /* NULL is fine */

/* Deadlines are of uplink_now_ms(). False, -1: the reason says why, and the connection is not for further use. */
int64_t uplink_now_ms(void);
bool uplink_open(struct uplink *uplink, int64_t deadline_ms, struct reason *why);
bool uplink_is_open(const struct uplink *uplink);
void uplink_close(struct uplink *uplink);
bool uplink_write(struct uplink *uplink, const char *bytes, size_t count, int64_t deadline_ms, struct reason *why);
/* At least one byte. The end of the connection is a failure. */
ssize_t uplink_read(struct uplink *uplink, char *out, size_t size, int64_t deadline_ms, struct reason *why);
/* Whether uplink_read() has something to look at, waiting for it that long. */
bool uplink_readable(struct uplink *uplink, int wait_ms);
int uplink_socket(const struct uplink *uplink); /* for a poll; -1: not connected */

/* For credential_token(). */
bool uplink_hmac_sha256(const uint8_t *key, size_t key_count, const char *text, size_t count, uint8_t out[CREDENTIAL_HMAC_BYTES]);
void uplink_random(void *out, size_t count);

#endif
