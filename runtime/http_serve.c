#include "runtime/http_exchange.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <strings.h>

#include "runtime/clock.h"
#include "runtime/http_route.h"

#define HTTP_FIELDS_MAX 100                     /* headers, cookies and query arguments of one request */
#define HTTP_DISCARD_SMALL 16384                /* a refused body this short is read, and the connection lives on */
#define HTTP_DISCARD_MAX ((uint64_t)16 << 20)   /* of a body found too long on the way; then the client is cut */
#define HTTP_BUSY_SECONDS 5

/* libmicrohttpd calls http_serve() once when the headers are in, once per piece of the body, once when the request is
 * whole, and once more after a resume. A reply can only be queued in the first of these (which ends the connection
 * when a body is outstanding), or in the last two; so a refusal in the middle of a body waits for its end. */

struct framing {
    size_t lengths, encodings; /* how many headers of each kind */
    uint64_t length;
    bool broken;
};

static enum MHD_Result request_begin(struct http_server *server, struct MHD_Connection *mhd, const char *url,
                                     const char *method, void **slot);
static bool request_check(struct http_exchange *exchange, const struct framing *framing);
static enum MHD_Result request_body(struct http_exchange *exchange, const char *data, size_t *count);
static enum MHD_Result request_whole(struct http_exchange *exchange);
static enum MHD_Result request_wait(struct http_exchange *exchange);
static bool fields_read(struct http_exchange *exchange, struct framing *framing);
static bool route_take(struct http_exchange *exchange);
static void refuse(struct http_exchange *exchange, unsigned code, const char *name, const char *message);
static enum MHD_Result reply_queue(struct http_exchange *exchange);
static enum MHD_Result reply_abandoned(struct http_server *server, struct MHD_Connection *mhd);
static struct http_connection *connection_of(struct MHD_Connection *mhd);

enum MHD_Result http_serve(void *context, struct MHD_Connection *mhd, const char *url, const char *method,
                           const char *version, const char *data, size_t *data_count, void **slot)
{
    struct http_exchange *exchange = *slot;

    (void)version;
    if (!exchange)
        return request_begin(context, mhd, url, method, slot);
    switch ((enum http_state)atomic_load(&exchange->state)) {
    case HTTP_READING:
        return *data_count ? request_body(exchange, data, data_count) : request_whole(exchange);
    case HTTP_ANSWERED:
        return reply_queue(exchange);
    case HTTP_ABANDONED:
    case HTTP_LEFT:
        return reply_abandoned(context, mhd);
    case HTTP_HANDLING:
    case HTTP_SUSPENDED:
        break;
    }
    assert(0 && "MHD does not call back for a suspended connection");
    return MHD_NO;
}

void http_serve_completed(void *context, struct MHD_Connection *mhd, void **slot, enum MHD_RequestTerminationCode how)
{
    struct http_exchange *exchange = *slot;
    struct http_server *server = context;
    int state = HTTP_ABANDONED;

    (void)how;
    *slot = NULL;
    if (!exchange)
        return;
    if (atomic_compare_exchange_strong(&exchange->state, &state, HTTP_LEFT)) {
        exchange = NULL; /* the handler still has it */
    } else if (state == HTTP_LEFT) {
        http_exchange_free(exchange);
        http_server_release(server);
        exchange = NULL;
    } else {
        assert(state == HTTP_READING || state == HTTP_ANSWERED);
        http_exchange_clear(exchange);
    }
    http_watch_receiving(connection_of(mhd), exchange);
}

struct MHD_Response *http_serve_error_response(const char *name, const char *message)
{
    struct buf body;

    buf_init(&body, 1024);
    buf_string(&body, "{\"error\":{\"code\":");
    buf_json_string(&body, text_of(name));
    buf_string(&body, ",\"message\":");
    buf_json_string(&body, text_of(message));
    buf_string(&body, "}}\n");
    assert(!buf_failed(&body));
    struct MHD_Response *response = MHD_create_response_from_buffer(body.count, body.bytes, MHD_RESPMEM_MUST_COPY);
    buf_done(&body);
    if (!response || MHD_add_response_header(response, "Content-Type", "application/json") != MHD_YES ||
        MHD_add_response_header(response, "Retry-After", "5") != MHD_YES)
        abort();
    return response;
}

static struct http_connection *connection_of(struct MHD_Connection *mhd)
{
    return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static enum MHD_Result request_begin(struct http_server *server, struct MHD_Connection *mhd, const char *url,
                                     const char *method, void **slot)
{
    struct http_connection *connection = connection_of(mhd);
    struct http_exchange *exchange = http_watch_spare(connection->shard);
    struct framing framing = {0};

    if (!exchange)
        exchange = http_exchange_new(server);
    *slot = exchange;
    exchange->mhd = mhd;
    exchange->worker = connection->worker;
    exchange->received_at_us = clock_utc_us();
    memcpy(exchange->peer, connection->peer, sizeof exchange->peer);
    exchange->method = arena_text(&exchange->arena, text_of(method));
    exchange->path = arena_text(&exchange->arena, text_of(url));

    if (fields_read(exchange, &framing) && request_check(exchange, &framing))
        return MHD_YES;
    exchange->refused = true;
    bool whole = !framing.encodings && !framing.length && !framing.broken;
    bool small = !framing.encodings && !framing.broken && framing.length <= HTTP_DISCARD_SMALL;
    if (whole || (small && !exchange->expects_continue))
        return MHD_YES; /* answered when it is in */
    /* A client that asked first sends nothing; any other may be sending right now. */
    if (!exchange->expects_continue)
        http_watch_linger(connection);
    return reply_queue(exchange);
}

/* All that can be refused before the body; the reply is filled when it is. */
static bool request_check(struct http_exchange *exchange, const struct framing *framing)
{
    struct http_server *server = exchange->server;
    const struct http_server_settings *settings = &server->settings;

    if (framing->broken) {
        refuse(exchange, 400, "BadRequest", "The headers contradict each other about the length of the body.");
        return false;
    }
    if (atomic_load_explicit(&server->stopping, memory_order_relaxed)) {
        refuse(exchange, 503, "Unavailable", "The server is stopping; try again.");
        http_retry_after(exchange, HTTP_BUSY_SECONDS);
        return false;
    }
    if (!route_take(exchange))
        return false;
    if (settings->admit && !settings->admit(settings->context, exchange, exchange->route))
        return false;
    exchange->body_expected = framing->encodings ? UINT64_MAX : framing->length;
    if (framing->length > settings->body_bytes_max) {
        refuse(exchange, 413, "BodyTooLarge", "The body is longer than this server takes.");
        return false;
    }
    if (framing->length &&
        atomic_load_explicit(settings->body_budget_used, memory_order_relaxed) + framing->length >
            settings->body_budget_bytes) {
        refuse(exchange, 503, "Busy", "Too many requests are under way; try again.");
        http_retry_after(exchange, HTTP_BUSY_SECONDS);
        return false;
    }
    return true;
}

static enum MHD_Result request_body(struct http_exchange *exchange, const char *data, size_t *count)
{
    size_t came = *count;

    *count = 0;
    if (!exchange->refused) {
        enum status status = http_exchange_body_add(exchange, data, came);
        if (status == STATUS_OK)
            return MHD_YES;
        if (status == STATUS_REJECT) {
            refuse(exchange, 413, "BodyTooLarge", "The body is longer than this server takes.");
        } else {
            refuse(exchange, 503, "Busy", "Too many requests are under way; try again.");
            http_retry_after(exchange, HTTP_BUSY_SECONDS);
        }
        http_exchange_body_drop(exchange);
    }
    exchange->discarded += came;
    return exchange->discarded > HTTP_DISCARD_MAX ? MHD_NO : MHD_YES;
}

static enum MHD_Result request_whole(struct http_exchange *exchange)
{
    const struct http_server_settings *settings = &exchange->server->settings;

    if (exchange->refused)
        return reply_queue(exchange);
    atomic_store_explicit(&connection_of(exchange->mhd)->receiving, false, memory_order_relaxed);
    if (settings->watch_clients)
        exchange->client_fd = fcntl(connection_of(exchange->mhd)->fd, F_DUPFD_CLOEXEC, 0);
    atomic_store(&exchange->state, HTTP_HANDLING);
    if (settings->dispatch)
        settings->dispatch(settings->context, exchange, exchange->route);
    else
        exchange->route->handle(settings->context, exchange);
    if (atomic_load(&exchange->state) == HTTP_ANSWERED)
        return reply_queue(exchange);
    return request_wait(exchange);
}

/* The handler has not answered yet, but may do so at any moment of this. MHD's side holds the exchange throughout, as
 * only this thread completes requests of this connection. */
static enum MHD_Result request_wait(struct http_exchange *exchange)
{
    struct http_server *server = exchange->server;
    struct MHD_Connection *mhd = exchange->mhd;
    struct http_worker *worker = exchange->worker;
    int state = HTTP_HANDLING;

    /* Counted before `stopping` is looked at: closing sets that first and then looks at the count, so one of us sees
     * the other. */
    atomic_fetch_add(&worker->suspended, 1);
    if (atomic_load(&server->stopping)) {
        atomic_fetch_add(&server->references, 1);
        bool abandoned = atomic_compare_exchange_strong(&exchange->state, &state, HTTP_ABANDONED);
        if (!abandoned)
            http_server_release(server);
        atomic_fetch_sub(&worker->suspended, 1);
        return abandoned ? reply_abandoned(server, mhd) : reply_queue(exchange);
    }
    MHD_suspend_connection(mhd);
    http_watch_answering(connection_of(mhd), exchange);
    if (!atomic_compare_exchange_strong(&exchange->state, &state, HTTP_SUSPENDED)) {
        assert(state == HTTP_ANSWERED);
        http_worker_resume(worker, mhd);
    }
    return MHD_YES;
}

struct field_list {
    struct http_field fields[HTTP_FIELDS_MAX];
    size_t count, bytes;
    bool full;
};

static enum MHD_Result field_take(void *context, enum MHD_ValueKind kind, const char *name, size_t name_count,
                                  const char *value, size_t value_count)
{
    struct field_list *list = context;

    if (list->count == HTTP_FIELDS_MAX) {
        list->full = true;
        return MHD_NO;
    }
    list->fields[list->count++] =
        (struct http_field){kind, {name, name_count}, {value ? value : "", value ? value_count : 0}};
    list->bytes += name_count + value_count;
    return MHD_YES;
}

static bool named(const struct http_field *field, struct text name)
{
    return field->name.count == name.count && strncasecmp(field->name.bytes, name.bytes, name.count) == 0;
}

static void framing_note(struct http_exchange *exchange, const struct http_field *field, struct framing *framing)
{
    if (named(field, TEXT("Content-Length"))) {
        framing->lengths++;
        if (!text_to_u64(field->value, &framing->length))
            framing->broken = true;
    } else if (named(field, TEXT("Transfer-Encoding"))) {
        framing->encodings++;
        if (field->value.count != 7 || strncasecmp(field->value.bytes, "chunked", 7) != 0)
            framing->broken = true;
    } else if (named(field, TEXT("Expect"))) {
        exchange->expects_continue = true;
    }
}

/* Copies `text` to `*at`, undoing escapes when it is part of the query (MHD has turned '+' into a blank already). */
static bool field_copy(char **at, struct text *text, enum MHD_ValueKind kind)
{
    size_t count = text->count;

    if (kind == MHD_GET_ARGUMENT_KIND) {
        if (!text_percent_decode(*text, *at, text->count, &count))
            return false;
    } else {
        memcpy(*at, text->bytes, count);
    }
    *text = (struct text){*at, count};
    *at += count;
    return true;
}

/* One copy of all headers, cookies and query arguments: a handler may look at them after the deadline, when the
 * connection and its memory have gone on to the next request. False: refused. */
static bool fields_read(struct http_exchange *exchange, struct framing *framing)
{
    struct field_list list;

    list.count = list.bytes = 0;
    list.full = false;
    MHD_get_connection_values_n(exchange->mhd, MHD_HEADER_KIND | MHD_COOKIE_KIND | MHD_GET_ARGUMENT_KIND, field_take,
                                &list);
    char *at = ARENA_ARRAY(&exchange->arena, char, list.bytes + 1);
    bool copied = true;
    for (size_t i = 0; i < list.count; i++) {
        struct http_field *field = &list.fields[i];
        if (field->kind == MHD_HEADER_KIND)
            framing_note(exchange, field, framing);
        copied = field_copy(&at, &field->name, field->kind) && field_copy(&at, &field->value, field->kind) && copied;
    }
    /* Two lengths, or a length and chunks, are how requests are smuggled past a proxy. */
    if (framing->lengths + framing->encodings > 1)
        framing->broken = true;
    exchange->fields = ARENA_ARRAY(&exchange->arena, struct http_field, list.count);
    memcpy(exchange->fields, list.fields, list.count * sizeof list.fields[0]);
    exchange->field_count = list.count;
    if (list.full) {
        framing->broken = true; /* its length may be among those left out */
        refuse(exchange, 431, "TooManyFields", "The request has more than 100 headers, cookies and query arguments.");
    } else if (!copied) {
        refuse(exchange, 400, "BadRequest", "The query has a broken percent escape.");
    }
    return !exchange->refused;
}

static void refuse_path(struct http_exchange *exchange, const struct http_match *match)
{
    struct buf methods;

    if (!match->path_known) {
        refuse(exchange, 404, "NotFound", "There is nothing at this path.");
        return;
    }
    refuse(exchange, 405, "MethodNotAllowed", "This path does not take this method; the Allow header says which.");
    buf_init(&methods, 256);
    http_route_methods(exchange->server->settings.routes, exchange->server->settings.route_count, exchange->path,
                       &methods);
    http_reply_header(exchange, "Allow", buf_as_text(&methods).bytes);
    buf_done(&methods);
}

static bool route_take(struct http_exchange *exchange)
{
    const struct http_server_settings *settings = &exchange->server->settings;
    struct http_match match;

    http_route_find(settings->routes, settings->route_count, exchange->method, exchange->path, &match);
    exchange->route = match.route;
    if (!match.route) {
        refuse_path(exchange, &match);
        return false;
    }
    for (size_t i = 0; i < match.count; i++) {
        struct text *value = &exchange->parameters[i];
        *value = match.values[i];
        exchange->parameter_names[i] = match.names[i];
        if (!memchr(value->bytes, '%', value->count))
            continue;
        char *decoded = ARENA_ARRAY(&exchange->arena, char, value->count);
        if (!text_percent_decode(*value, decoded, value->count, &value->count)) {
            refuse(exchange, 400, "BadRequest", "The path has a broken percent escape.");
            return false;
        }
        value->bytes = decoded;
    }
    exchange->parameter_count = match.count;
    return true;
}

static void refuse(struct http_exchange *exchange, unsigned code, const char *name, const char *message)
{
    http_reply_error(exchange, code, name, message, 0, 0);
    exchange->refused = true;
}

static bool code_has_body(unsigned code)
{
    return code >= 200 && code != 204 && code != 304;
}

/* What lies in memory, or in a file; MHD closes that. */
static struct MHD_Response *body_response(struct http_exchange *exchange)
{
    bool bodily = code_has_body(exchange->code);
    union {
        const char *bytes;
        void *memory; /* MHD only reads what is persistent */
    } body = {bodily && exchange->reply.count ? exchange->reply.bytes : ""};

    if (!bodily || exchange->spill_fd < 0)
        return MHD_create_response_from_buffer(bodily ? exchange->reply.count : 0, body.memory, MHD_RESPMEM_PERSISTENT);
    struct MHD_Response *response = MHD_create_response_from_fd64(exchange->spilled, exchange->spill_fd);
    if (response)
        exchange->spill_fd = -1;
    return response;
}

static enum MHD_Result reply_queue(struct http_exchange *exchange)
{
    struct http_server *server = exchange->server;

    atomic_store_explicit(&connection_of(exchange->mhd)->receiving, false, memory_order_relaxed);
    struct problem why;

    if (buf_failed(&exchange->reply))
        http_reply_error(exchange, 500, "InternalError", "The answer became too long.", 0, 0);
    else if (exchange->spill_fd >= 0 && http_reply_spill(exchange, 0, &why))
        http_reply_error(exchange, 503, "Unavailable", "There is no room for the answer.", 0, 0);
    bool bodily = exchange->reply.count || exchange->spilled;
    if (!exchange->code)
        exchange->code = bodily ? 200 : 204;
    bodily = bodily && code_has_body(exchange->code);
    struct MHD_Response *response = exchange->upgrade_open ? http_upgrade_response(exchange) : body_response(exchange);
    if (!response)
        return MHD_NO;
    if (bodily && exchange->content_type)
        MHD_add_response_header(response, "Content-Type", exchange->content_type);
    for (const struct http_reply_header *header = exchange->headers; header; header = header->next)
        MHD_add_response_header(response, header->name, header->value);
    if (atomic_load_explicit(&server->draining, memory_order_relaxed))
        MHD_add_response_header(response, "Connection", "close");
    enum MHD_Result queued = MHD_queue_response(exchange->mhd, exchange->code, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result reply_abandoned(struct http_server *server, struct MHD_Connection *mhd)
{
    return MHD_queue_response(mhd, 503,
                              atomic_load(&server->stopping) ? server->stopping_response : server->late_response);
}
