#ifndef PICKET_RUNTIME_HTTP_H
#define PICKET_RUNTIME_HTTP_H

#include "runtime/arena.h"
#include "runtime/buf.h"
#include "runtime/status.h"
#include "runtime/tls.h"

/* An HTTP/1.1 server on libmicrohttpd behind a route table, made for answers that come later.
 *
 * An exchange is one request and its reply. A handler fills the reply and calls http_answer(), at once or later from
 * any thread: meanwhile the connection is suspended and costs no thread. libmicrohttpd neither times out a suspended
 * connection nor notices that its client left, so each exchange has the server's own deadline, after which the client
 * has its 503 and a late http_answer() is quietly ignored.
 *
 * Clients that are slow or idle are cut: a connection has `request_timeout_ms` from its start, or from its last
 * answer, to deliver a whole request. Bodies are held in memory up to the route's limit and all of them together up
 * to `body_budget_bytes`. */
struct http_server;
struct http_exchange;

#define HTTP_PARAMETERS_MAX 4

struct http_route {
    const char *method;
    const char *path; /* "/devices/:id/modules/:module/messages/events"; a segment ":x" takes one segment; a last
                         segment ":x*" takes the rest, slashes included */
    unsigned role;    /* for the server's admit or dispatch function; http itself does not look */
    void (*handle)(void *context, struct http_exchange *exchange);
};

struct http_server_settings {
    const char *name;    /* "ingest": in logs and thread names */
    const char *address; /* "0.0.0.0", "::", "127.0.0.1" */
    uint16_t port;       /* 0: any free one, see http_server_port() */
    const char *tls_certificate_file, *tls_key_file; /* PEM; both NULL: plain HTTP */
    bool ask_client_certificate; /* without insisting, and none is judged: see http_client_chain() */
    bool watch_clients; /* so that http_client_left() may be asked; a file descriptor more for each request under way */
    unsigned threads;
    unsigned connections_max, connections_per_address_max; /* 0: no limit for the second */
    uint32_t request_timeout_ms, answer_timeout_ms;
    size_t body_bytes_max;    /* 413 beyond */
    size_t body_budget_bytes; /* 503 with Retry-After beyond */
    _Atomic size_t *body_budget_used; /* of a budget that several servers share; outlives their exchanges. NULL: its own */
    const struct http_route *routes;
    size_t route_count;
    void *context; /* for all functions below and the handlers */
    /* Called when the headers are in, before the body: false refuses, with the reply already filled. NULL: all. */
    bool (*admit)(void *context, struct http_exchange *exchange, const struct http_route *route);
    /* When set it is called in place of route->handle (a server that hands requests to worker threads). */
    void (*dispatch)(void *context, struct http_exchange *exchange, const struct http_route *route);
};

/* Routes and strings of `settings` are borrowed until http_server_close(). The first route that fits is taken, so
 * literal paths stand before those with parameters; a HEAD without a route of its own is served as GET. At most 100
 * headers, cookies and query arguments (431).
 * STATUS_REJECT: the port is taken or the certificate unusable: says which and what to do. */
MUST_CHECK enum status http_server_open(const struct http_server_settings *settings, struct http_server **out,
                                        struct problem *why);
uint16_t http_server_port(const struct http_server *server);
void http_server_drain(struct http_server *server); /* no new connections; open exchanges get a second to finish */
/* Clients still waiting for an answer get a 503. Their handlers may answer later, and are ignored; `end` functions of
 * http_on_end() run then, so `context` has to live until the last handler has answered. */
void http_server_close(struct http_server *take_server);

/* What the client asked. Borrowed until http_answer(). Names are matched without regard to case; NULL texts are absent. */
struct text http_method(const struct http_exchange *exchange);
struct text http_path(const struct http_exchange *exchange);                       /* as sent, without the query */
struct text http_parameter(const struct http_exchange *exchange, const char *name); /* ":id" → "id", percent-decoded */
struct text http_query(const struct http_exchange *exchange, const char *name);     /* percent-decoded, '+' is a blank */
struct text http_header(const struct http_exchange *exchange, const char *name);
/* Calls `each` for every request header. */
void http_headers(const struct http_exchange *exchange, void (*each)(void *context, struct text name, struct text value),
                  void *context);
struct text http_cookie(const struct http_exchange *exchange, const char *name);
struct text http_body(const struct http_exchange *exchange);
const char *http_peer(const struct http_exchange *exchange); /* "192.0.2.1" */
/* The client's certificates, the leaf first, DER: it has the leaf's key, and nothing else is known of them. Returns how
 * many; borrowed until the admit function, or the handler, returns, and to be asked for on its thread. */
size_t http_client_chain(const struct http_exchange *exchange, struct text out[TLS_CHAIN_MAX]);
int64_t http_received_at_us(const struct http_exchange *exchange);
struct arena *http_arena(struct http_exchange *exchange); /* lives as long as the exchange */
void http_set_user(struct http_exchange *exchange, void *user); /* a handler's own pointer; memory from http_arena() */
void *http_user(const struct http_exchange *exchange);
/* Runs when the exchange goes, whichever way it ended. */
void http_on_end(struct http_exchange *exchange, void (*end)(void *context, void *user));

/* The reply. Before http_answer() only; one thread at a time. Without http_code() it is 200, or 204 with no body. */
void http_code(struct http_exchange *exchange, unsigned code);
void http_reply_header(struct http_exchange *exchange, const char *name, const char *value); /* copied */
struct buf *http_reply_body(struct http_exchange *exchange, const char *content_type);       /* static string */
/* Moves what the body has into a temporary file once it is more than `keep_bytes`, so that an answer of any length takes
 * little memory, its code may still change, and a slow client holds nothing but that file. STATUS_RETRY: no room on the disk
 * ($TMPDIR, else /var/tmp). */
MUST_CHECK enum status http_reply_spill(struct http_exchange *exchange, size_t keep_bytes, struct problem *why);
/* {"error":{"code","message"}}, with line and column when line > 0. Replaces a body begun before. */
void http_reply_error(struct http_exchange *exchange, unsigned code, const char *name, const char *message,
                      unsigned line, unsigned column);
/* STATUS_REJECT 400, STATUS_RETRY 503 with Retry-After, STATUS_FAULT 500 without details. */
void http_reply_status(struct http_exchange *exchange, enum status status, const struct problem *why);
void http_retry_after(struct http_exchange *exchange, unsigned seconds);

/* Sends the reply. Exactly once per handled exchange; the caller must not touch the exchange afterwards. Any thread. */
void http_answer(struct http_exchange *take_exchange);

/* Switches protocols, in place of http_answer(): a 101 with the reply's headers goes out, and then `open` is called on a
 * thread of the server with a non-blocking socket that carries the client's bytes both ways, decrypted, and with those
 * that came early. From then on no deadline of the server holds. The tunnel's owner closes it, which closes the socket
 * as well, before http_server_close(); any thread. `open` is not called when the client has left; see http_on_end(). */
struct http_tunnel;
typedef void (*http_upgrade_open)(void *user, struct http_tunnel *tunnel, int fd, struct text early);
void http_upgrade(struct http_exchange *take_exchange, const char *protocol, http_upgrade_open open, void *user);
void http_tunnel_close(struct http_tunnel *take_tunnel);

/* Whether the client has closed its connection, as far as can be seen. The handler's thread, or another one while the handler
 * waits for it; only of a server with `watch_clients`. */
bool http_client_left(const struct http_exchange *exchange);

/* A client that will answer later takes a reference where http_answer() may come after the deadline: a handler has
 * one until it answers, so nothing more is needed. True when the deadline has answered already: skip costly work. */
bool http_abandoned(const struct http_exchange *exchange);

#endif
