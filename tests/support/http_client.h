#ifndef PICKET_TESTS_HTTP_CLIENT_H
#define PICKET_TESTS_HTTP_CLIENT_H

#include "runtime/buf.h"

/* A plain HTTP client for tests: what is sent is given byte for byte, so that it can also be wrong or incomplete. Each
 * wait ends after HTTP_CLIENT_WAIT_MS at the latest. */
#define HTTP_CLIENT_WAIT_MS 20000

struct http_client_reply {
    unsigned code;   /* 0: the server closed without a reply */
    struct buf head; /* status line and headers */
    struct buf body;
};

int http_client_connect(uint16_t port);
bool http_client_send(int fd, struct text bytes);
/* "POST /path HTTP/1.1" with Host, Content-Length and `headers` (each with its CRLF; may be ""). */
bool http_client_request(int fd, const char *method, const char *path, const char *headers, struct text body);
/* Reads exactly one final reply. `bodiless` for replies to HEAD. False: closed or out of time; then code is 0. The
 * reply is the caller's to http_client_reply_done(), also then. */
bool http_client_reply(int fd, bool bodiless, struct http_client_reply *out);
/* Value of a header of the reply, TEXT_NONE when it is not there. */
struct text http_client_header(const struct http_client_reply *reply, const char *name);
void http_client_reply_done(struct http_client_reply *reply);
/* True when the server closes within HTTP_CLIENT_WAIT_MS without sending anything. */
bool http_client_closed(int fd);

#endif
