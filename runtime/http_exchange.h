#ifndef PICKET_RUNTIME_HTTP_EXCHANGE_H
#define PICKET_RUNTIME_HTTP_EXCHANGE_H

#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "runtime/http.h"

/* What the http_*.c files share. Nobody else includes this. */

#define HTTP_SHARDS 16        /* locks for deadlines: enough that two of MHD's threads seldom want the same one */
#define HTTP_LINGERERS_MAX 128 /* refused clients we still listen to, so that they can read their refusal */

/* Who holds an exchange. MHD's side is the one thread of libmicrohttpd that serves the connection, the handler's side
 * is whoever will call http_answer(). Leaving is a compare-and-swap, so that no lock and no count is needed. */
enum http_state {
    HTTP_READING,   /* MHD's side alone: headers or body are coming */
    HTTP_HANDLING,  /* both: the handler has begun, the connection is not suspended yet */
    HTTP_SUSPENDED, /* both: whoever changes this state must resume the connection */
    HTTP_ANSWERED,  /* MHD's side alone: the reply is whole */
    HTTP_ABANDONED, /* both: the server answers in the handler's place */
    HTTP_LEFT,      /* one of the two, having been abandoned, is gone: the other frees it */
};

struct http_field {
    enum MHD_ValueKind kind;
    struct text name, value; /* copies: MHD's own go with the connection, a late handler may still look */
};

struct http_reply_header {
    struct http_reply_header *next;
    const char *name, *value;
};

struct http_exchange {
    _Atomic int state;
    struct http_server *server;
    struct MHD_Connection *mhd; /* valid for MHD's side, and for whoever moved the state on from SUSPENDED */
    struct http_worker *worker;
    const struct http_route *route;
    struct arena arena;
    struct text method, path;
    size_t parameter_count;
    struct text parameter_names[HTTP_PARAMETERS_MAX], parameters[HTTP_PARAMETERS_MAX];
    struct http_field *fields;
    size_t field_count;
    int64_t received_at_us;
    char peer[INET6_ADDRSTRLEN];

    char *body;
    size_t body_count, body_room, body_charged;
    uint64_t body_expected; /* Content-Length; UINT64_MAX when chunked */
    uint64_t discarded;
    bool expects_continue;
    bool refused; /* the reply is known, what comes of the body is thrown away */

    unsigned code;
    struct http_reply_header *headers, **headers_end;
    struct buf reply;
    int spill_fd; /* the file that has what came before `reply`; -1: none */
    size_t spilled;
    int client_fd; /* its socket, to see it leave: a number of our own, since MHD closes the other; -1: not watched */
    const char *content_type;

    http_upgrade_open upgrade_open; /* NULL: it stays HTTP */
    void *upgrade_user;
    void *user;
    void (*end)(void *context, void *user);
    struct http_exchange *next_spare;
};

struct http_list {
    struct http_connection *head, *tail;
};

struct http_connection {
    struct http_server *server;
    struct http_worker *worker;
    struct http_shard *shard;
    struct MHD_Connection *mhd;
    int fd;
    struct in6_addr address;
    _Atomic bool receiving; /* false from the last byte of a request to the last of its reply */
    bool deferred;          /* MHD's thread: this reply counts in the shard's `pending` */
    bool closing;           /* its tunnel was closed: it counts in the worker's `closing` */
    char peer[INET6_ADDRSTRLEN];
    /* Under the shard's lock: */
    struct http_list *list; /* where it stands, or NULL */
    struct http_connection *previous, *next;
    int64_t deadline_ms;
    struct http_exchange *exchange; /* while it stands in `answering` */
};

/* Timeouts are constant, so appending keeps a list ordered by deadline and only its head needs a look. */
struct http_shard {
    _Alignas(64) pthread_mutex_t lock;
    struct http_list receiving, answering;
    struct http_exchange *spares;
    size_t spare_count;
    size_t pending; /* suspended once, reply not sent yet */
};

struct http_lingerer {
    int fd;
    int64_t deadline_ms;
};

struct http_worker {
    struct http_server *server;
    struct MHD_Daemon *mhd;
    int arrivals[2]; /* pipe of struct http_connection *: accepted, and now this worker's */
    struct http_connection *arriving; /* its thread's: what MHD is being told of */
    int wake_fd;
    pthread_t thread;
    bool started;
    _Atomic unsigned connections;
    _Alignas(64) _Atomic bool woken; /* `wake_fd` was written to and not read yet */
    _Atomic long closing;            /* connections whose tunnels were closed, and which MHD has not let go yet */
    _Atomic long suspended;          /* connections that someone still has to resume: MHD cannot stop before */
};

struct http_pem {
    gnutls_datum_t certificate, key; /* no data: plain HTTP */
};

struct http_server {
    struct http_server_settings settings;
    _Atomic unsigned references; /* the owner's, and one per exchange that was abandoned */
    _Atomic size_t body_bytes;   /* of all bodies in memory, unless settings.body_budget_used counts them */
    _Atomic long connections;
    _Atomic bool draining, stopping;
    uint16_t port;
    struct http_worker *workers;
    size_t worker_count;
    pthread_mutex_t addresses_lock;
    void *addresses; /* a tree for tsearch(), see http_connection.c */
    struct MHD_Response *late_response, *stopping_response; /* built once: the handler may be writing in its own */
    pthread_t watch_thread;
    bool watch_started;
    _Atomic int listen_fd;
    int wake_fd;
    _Atomic bool watch_ends;
    pthread_mutex_t lingerers_lock;
    struct http_lingerer lingerers[HTTP_LINGERERS_MAX];
    size_t lingerer_count;
    struct http_shard shards[HTTP_SHARDS];
};

/* http_exchange.c */
struct http_exchange *http_exchange_new(struct http_server *server);
void http_exchange_clear(struct http_exchange *exchange); /* calls `end`, gives the budget back, keeps small memory */
void http_exchange_free(struct http_exchange *take_exchange);
/* Appends to the body. STATUS_REJECT: over the server's limit. STATUS_RETRY: over the budget of all bodies. */
MUST_CHECK enum status http_exchange_body_add(struct http_exchange *exchange, const char *bytes, size_t count);
void http_exchange_body_drop(struct http_exchange *exchange); /* and gives its budget back */
void http_reply_unspill(struct http_exchange *exchange); /* forgets the file */
void http_server_release(struct http_server *server);

/* http_serve.c: what libmicrohttpd calls, with the server as `context`. */
enum MHD_Result http_serve(void *context, struct MHD_Connection *mhd, const char *url, const char *method,
                           const char *version, const char *data, size_t *data_count, void **exchange);
void http_serve_completed(void *context, struct MHD_Connection *mhd, void **exchange,
                          enum MHD_RequestTerminationCode how);
struct MHD_Response *http_serve_error_response(const char *name, const char *message);

/* http_upgrade.c: connections that stop being HTTP. */
struct MHD_Response *http_upgrade_response(struct http_exchange *exchange);

/* http_connection.c: a client from its acceptance to its end. NULL: its address has as many as it may have. */
struct http_connection *http_connection_new(struct http_server *server, int fd, const struct sockaddr_storage *peer);
void http_connection_free(struct http_connection *take_connection);

/* http_worker.c: the threads that serve connections. */
MUST_CHECK enum status http_workers_start(struct http_server *server, const struct http_pem *pem, struct problem *why);
void http_workers_stop(struct http_server *server); /* when nobody gives any more; also after a failed start */
void http_worker_give(struct http_connection *take_connection);
void http_worker_resume(struct http_worker *worker, struct MHD_Connection *mhd); /* once per suspension; any thread */
void http_worker_wake(struct http_worker *worker); /* there is something for MHD_run() to do; any thread */
long http_workers_suspended(const struct http_server *server);
void http_worker_notified(void *worker, struct MHD_Connection *mhd, void **connection,
                          enum MHD_ConnectionNotificationCode what);

/* http_watch.c: deadlines, the spare exchanges that lie behind the same locks, and the thread that accepts. */
MUST_CHECK enum status http_watch_start(struct http_server *server, struct problem *why);
void http_watch_stop(struct http_server *server);
void http_watch_done(struct http_server *server); /* after the workers have stopped; also when nothing was started */
void http_watch_wake(struct http_server *server);
void http_watch_enter(struct http_connection *connection);
void http_watch_leave(struct http_connection *connection);
void http_watch_answering(struct http_connection *connection, struct http_exchange *exchange);
/* The request is over. `take_spare` may be NULL. */
void http_watch_receiving(struct http_connection *connection, struct http_exchange *take_spare);
struct http_exchange *http_watch_spare(struct http_shard *shard); /* NULL when there is none */
/* Keeps listening to a client that is about to be cut in the middle of its request: closing a socket with unread
 * bytes resets the connection, and the reset can overtake our reply in the client. */
void http_watch_linger(struct http_connection *connection);
void http_watch_abandon_all(struct http_server *server);
size_t http_watch_pending(struct http_server *server);

#endif
