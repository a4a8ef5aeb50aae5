#include "runtime/http_exchange.h"

#include <assert.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HTTP_REPLY_BYTES_MAX ((size_t)256 << 20) /* pages are limited by those who write them; this is the last wall */
#define HTTP_MEMORY_KEPT_BYTES 16384             /* body and reply room that a spare exchange keeps */
#define HTTP_BODY_FIRST_BYTES 65536              /* a stranger's Content-Length alone moves no more memory than this */
#define HTTP_RETRY_SECONDS 5

static bool body_grow(struct http_exchange *exchange, size_t room);
static struct text find_field(const struct http_exchange *exchange, enum MHD_ValueKind kind, const char *name);

struct http_exchange *http_exchange_new(struct http_server *server)
{
    struct http_exchange *exchange = calloc(1, sizeof *exchange);

    if (!exchange)
        abort();
    exchange->server = server;
    exchange->headers_end = &exchange->headers;
    exchange->spill_fd = exchange->client_fd = -1;
    arena_init(&exchange->arena);
    buf_init(&exchange->reply, HTTP_REPLY_BYTES_MAX);
    return exchange;
}

void http_exchange_clear(struct http_exchange *exchange)
{
    if (exchange->end)
        exchange->end(exchange->server->settings.context, exchange->user);
    http_exchange_body_drop(exchange);
    http_reply_unspill(exchange);
    if (exchange->client_fd >= 0)
        close(exchange->client_fd);
    exchange->client_fd = -1;
    if (exchange->reply.room > HTTP_MEMORY_KEPT_BYTES) {
        buf_done(&exchange->reply);
        buf_init(&exchange->reply, HTTP_REPLY_BYTES_MAX);
    }
    buf_clear(&exchange->reply);
    arena_clear(&exchange->arena);
    exchange->mhd = NULL;
    exchange->route = NULL;
    exchange->method = exchange->path = TEXT_NONE;
    exchange->parameter_count = exchange->field_count = 0;
    exchange->fields = NULL;
    exchange->body_expected = exchange->discarded = 0;
    exchange->expects_continue = exchange->refused = false;
    exchange->code = 0;
    exchange->headers = NULL;
    exchange->headers_end = &exchange->headers;
    exchange->content_type = NULL;
    exchange->upgrade_open = NULL;
    exchange->user = NULL;
    exchange->end = NULL;
    atomic_store_explicit(&exchange->state, HTTP_READING, memory_order_relaxed);
}

void http_exchange_free(struct http_exchange *take_exchange)
{
    if (!take_exchange)
        return;
    http_exchange_clear(take_exchange);
    arena_done(&take_exchange->arena);
    buf_done(&take_exchange->reply);
    free(take_exchange->body);
    free(take_exchange);
}

enum status http_exchange_body_add(struct http_exchange *exchange, const char *bytes, size_t count)
{
    const struct http_server_settings *settings = &exchange->server->settings;
    size_t needed = exchange->body_count + count;

    if (count > settings->body_bytes_max || needed > settings->body_bytes_max)
        return STATUS_REJECT;
    if (needed > exchange->body_charged) {
        size_t room = 2 * exchange->body_charged;
        if (room < HTTP_BODY_FIRST_BYTES)
            room = HTTP_BODY_FIRST_BYTES;
        if (exchange->body_expected != UINT64_MAX && room > exchange->body_expected)
            room = (size_t)exchange->body_expected;
        if (room > settings->body_bytes_max)
            room = settings->body_bytes_max;
        if (exchange->body_expected == UINT64_MAX && needed <= HTTP_BODY_FIRST_BYTES / 16)
            room = HTTP_BODY_FIRST_BYTES / 16;
        if (room < needed)
            room = needed;
        if (!body_grow(exchange, room) && !body_grow(exchange, needed))
            return STATUS_RETRY;
    }
    memcpy(exchange->body + exchange->body_count, bytes, count);
    exchange->body_count = needed;
    exchange->body[needed] = 0;
    return STATUS_OK;
}

void http_exchange_body_drop(struct http_exchange *exchange)
{
    if (exchange->body_charged)
        atomic_fetch_sub_explicit(exchange->server->settings.body_budget_used, exchange->body_charged, memory_order_relaxed);
    if (exchange->body_room > HTTP_MEMORY_KEPT_BYTES) {
        free(exchange->body);
        exchange->body = NULL;
        exchange->body_room = 0;
    }
    exchange->body_count = exchange->body_charged = 0;
}

/* Charges the budget of the server before any memory is taken. */
static bool body_grow(struct http_exchange *exchange, size_t room)
{
    struct http_server *server = exchange->server;
    size_t more = room - exchange->body_charged;
    size_t before = atomic_fetch_add_explicit(server->settings.body_budget_used, more, memory_order_relaxed);

    if (before + more > server->settings.body_budget_bytes) {
        atomic_fetch_sub_explicit(server->settings.body_budget_used, more, memory_order_relaxed);
        return false;
    }
    exchange->body_charged = room;
    if (room + 1 > exchange->body_room) {
        size_t bytes = room + 1 < 1024 ? 1024 : room + 1;
        char *body = realloc(exchange->body, bytes);
        if (!body)
            abort();
        exchange->body = body;
        exchange->body_room = bytes;
    }
    return true;
}

void http_server_release(struct http_server *server)
{
    if (atomic_fetch_sub(&server->references, 1) == 1)
        free(server);
}

void http_answer(struct http_exchange *take_exchange)
{
    struct http_exchange *exchange = take_exchange;
    int state = atomic_load(&exchange->state);

    for (;;) {
        /* Read before the state moves on: after that the exchange is no longer ours to look at. */
        struct MHD_Connection *mhd = exchange->mhd;
        struct http_worker *worker = exchange->worker;
        int next = state == HTTP_ABANDONED ? HTTP_LEFT : HTTP_ANSWERED;

        assert(state != HTTP_READING && state != HTTP_ANSWERED);
        if (state == HTTP_LEFT) {
            struct http_server *server = exchange->server;
            http_exchange_free(exchange);
            http_server_release(server);
            return;
        }
        if (!atomic_compare_exchange_strong(&exchange->state, &state, next))
            continue;
        if (state == HTTP_SUSPENDED)
            http_worker_resume(worker, mhd);
        return;
    }
}

bool http_abandoned(const struct http_exchange *exchange)
{
    int state = atomic_load(&exchange->state);
    return state == HTTP_ABANDONED || state == HTTP_LEFT;
}

bool http_client_left(const struct http_exchange *exchange)
{
    struct pollfd poll_fd = {.fd = exchange->client_fd, .events = POLLRDHUP};

    return exchange->client_fd >= 0 && poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

struct text http_method(const struct http_exchange *exchange)
{
    return exchange->method;
}

struct text http_path(const struct http_exchange *exchange)
{
    return exchange->path;
}

struct text http_parameter(const struct http_exchange *exchange, const char *name)
{
    for (size_t i = 0; i < exchange->parameter_count; i++)
        if (text_equal_nocase(exchange->parameter_names[i], text_of(name)))
            return exchange->parameters[i];
    return TEXT_NONE;
}

struct text http_query(const struct http_exchange *exchange, const char *name)
{
    return find_field(exchange, MHD_GET_ARGUMENT_KIND, name);
}

struct text http_header(const struct http_exchange *exchange, const char *name)
{
    return find_field(exchange, MHD_HEADER_KIND, name);
}

struct text http_cookie(const struct http_exchange *exchange, const char *name)
{
    return find_field(exchange, MHD_COOKIE_KIND, name);
}

void http_headers(const struct http_exchange *exchange, void (*each)(void *context, struct text name, struct text value),
                  void *context)
{
    for (size_t i = 0; i < exchange->field_count; i++)
        if (exchange->fields[i].kind == MHD_HEADER_KIND)
            each(context, exchange->fields[i].name, exchange->fields[i].value);
}

struct text http_body(const struct http_exchange *exchange)
{
    return (struct text){exchange->body_count ? exchange->body : "", exchange->body_count};
}

size_t http_client_chain(const struct http_exchange *exchange, struct text out[TLS_CHAIN_MAX])
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(exchange->mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);

    return info && info->tls_session ? tls_chain_of(info->tls_session, out) : 0;
}

const char *http_peer(const struct http_exchange *exchange)
{
    return exchange->peer;
}

int64_t http_received_at_us(const struct http_exchange *exchange)
{
    return exchange->received_at_us;
}

struct arena *http_arena(struct http_exchange *exchange)
{
    return &exchange->arena;
}

void http_set_user(struct http_exchange *exchange, void *user)
{
    exchange->user = user;
}

void *http_user(const struct http_exchange *exchange)
{
    return exchange->user;
}

void http_on_end(struct http_exchange *exchange, void (*end)(void *context, void *user))
{
    exchange->end = end;
}

void http_code(struct http_exchange *exchange, unsigned code)
{
    exchange->code = code;
}

void http_reply_header(struct http_exchange *exchange, const char *name, const char *value)
{
    struct http_reply_header *header = ARENA_NEW(&exchange->arena, struct http_reply_header);

    header->name = arena_string(&exchange->arena, text_of(name));
    header->value = arena_string(&exchange->arena, text_of(value));
    *exchange->headers_end = header;
    exchange->headers_end = &header->next;
}

struct buf *http_reply_body(struct http_exchange *exchange, const char *content_type)
{
    exchange->content_type = content_type;
    return &exchange->reply;
}

static int spill_open(void)
{
    const char *folder = getenv("TMPDIR");

    return open(folder && *folder ? folder : "/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

enum status http_reply_spill(struct http_exchange *exchange, size_t keep_bytes, struct problem *why)
{
    struct buf *body = &exchange->reply;

    if (body->count <= keep_bytes)
        return STATUS_OK;
    if (exchange->spill_fd < 0)
        exchange->spill_fd = spill_open();
    for (size_t at = 0; at < body->count;) {
        ssize_t written = exchange->spill_fd < 0 ? -1 : write(exchange->spill_fd, body->bytes + at, body->count - at);
        if (written < 0)
            return problem_set(why, STATUS_RETRY, "no room for a long answer in a temporary file: %m");
        at += (size_t)written;
        exchange->spilled += (size_t)written;
    }
    buf_clear(body);
    return STATUS_OK;
}

void http_reply_unspill(struct http_exchange *exchange)
{
    if (exchange->spill_fd >= 0)
        close(exchange->spill_fd);
    exchange->spill_fd = -1;
    exchange->spilled = 0;
}

void http_reply_error(struct http_exchange *exchange, unsigned code, const char *name, const char *message,
                      unsigned line, unsigned column)
{
    struct buf *body = http_reply_body(exchange, "application/json");

    exchange->code = code;
    http_reply_unspill(exchange);
    buf_clear(body);
    buf_string(body, "{\"error\":{\"code\":");
    buf_json_string(body, text_of(name));
    buf_string(body, ",\"message\":");
    buf_json_string(body, text_of(message));
    if (line > 0) {
        buf_string(body, ",\"line\":");
        buf_i64(body, line);
        buf_string(body, ",\"column\":");
        buf_i64(body, column);
    }
    buf_string(body, "}}\n");
}

void http_reply_status(struct http_exchange *exchange, enum status status, const struct problem *why)
{
    switch (status) {
    case STATUS_OK:
        assert(0 && "a success has no error reply");
        break;
    case STATUS_REJECT:
        http_reply_error(exchange, 400, "BadRequest", why->text, 0, 0);
        break;
    case STATUS_RETRY:
        http_reply_error(exchange, 503, "Unavailable", why->text, 0, 0);
        http_retry_after(exchange, HTTP_RETRY_SECONDS);
        break;
    case STATUS_FAULT:
        http_reply_error(exchange, 500, "InternalError", "Something is wrong on the server; its log says what.", 0, 0);
        break;
    }
}

void http_retry_after(struct http_exchange *exchange, unsigned seconds)
{
    char digits[16];

    snprintf(digits, sizeof digits, "%u", seconds);
    http_reply_header(exchange, "Retry-After", digits);
}

static struct text find_field(const struct http_exchange *exchange, enum MHD_ValueKind kind, const char *name)
{
    struct text wanted = text_of(name);

    for (size_t i = 0; i < exchange->field_count; i++) {
        const struct http_field *field = &exchange->fields[i];
        if (field->kind == kind && text_equal_nocase(field->name, wanted))
            return field->value;
    }
    return TEXT_NONE;
}
