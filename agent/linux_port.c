#include "agent/linux_port.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "agent/http_answer.h"
#include "agent/spool.h"
#include "wire/device_api.h"

#define CONNECT_MS 10000
#define EXCHANGE_MS 30000 /* past what the server gives itself to reach its bus */
#define SLICE_MS 500      /* how long a wait goes on unaware that the program has to stop */
#define TOKEN_LIFE_S 3600
#define TOKEN_RENEW_S (TOKEN_LIFE_S * 8 / 10)
#define ANSWER_HEAD_MAX 8192
#define ANSWER_BODY_MAX 65536 /* a longer one costs the connection */
#define STATE_NAME_SIZE 32
#define REQUEST_HEAD_MAX (CREDENTIAL_PATH_SIZE + CREDENTIAL_TOKEN_SIZE + PICKET_HOST_MAX + 1024)

struct linux_port {
    const struct agent_config *config;
    const volatile sig_atomic_t *stopping;
    struct spool *spool;
    gnutls_certificate_credentials_t trust;
    gnutls_session_t session; /* NULL: not connected */
    int socket;
    char token[CREDENTIAL_TOKEN_SIZE];
    int64_t token_made_s; /* 0: none */
    struct reason trouble;
};

static void fill_port(struct linux_port *port, struct picket_port *out);
static int64_t utc_ms(void *context);
static int64_t monotonic_ms(void *context);
static int32_t utc_offset_s(void *context, int64_t utc_s);
static void random_bytes(void *context, void *out, size_t count);
static void send_message(void *context, const struct picket_message *message, struct picket_send_answer *out);
static void print_message(void *context, const struct picket_message *message, struct picket_send_answer *out);
static enum picket_keep_status print_kept(void *context, const struct picket_message *message);
static enum picket_kept_status find_no_oldest(void *context, char *buffer, size_t size, struct picket_message *out);
static enum picket_kept_status find_no_newest(void *context, struct picket_message *out);
static void forget_nothing(void *context);
static bool save_state(void *context, unsigned stream, const char *state, size_t count);
static size_t load_state(void *context, unsigned stream, char *state, size_t size);
static enum picket_keep_status keep_message(void *context, const struct picket_message *message);
static enum picket_kept_status oldest_message(void *context, char *buffer, size_t size, struct picket_message *out);
static enum picket_kept_status newest_message(void *context, struct picket_message *out);
static void forget_message(void *context);
static bool exchange(struct linux_port *port, const struct picket_message *message, struct http_answer *out);
static bool make_request_head(struct linux_port *port, const struct picket_message *message,
                              char out[REQUEST_HEAD_MAX], size_t *count);
static bool renew_token(struct linux_port *port);
static bool hmac_sha256(const uint8_t *key, size_t key_count, const char *text, size_t count,
                        uint8_t out[CREDENTIAL_HMAC_BYTES]);
static bool connect_server(struct linux_port *port);
static int connect_address(struct linux_port *port, const struct addrinfo *address, int64_t deadline_ms);
static bool start_tls(struct linux_port *port, int64_t deadline_ms);
static void disconnect(struct linux_port *port);
static bool may_wait(struct linux_port *port, int64_t deadline_ms, const char *doing);
static bool write_all(struct linux_port *port, const char *bytes, size_t count, int64_t deadline_ms);
static ssize_t read_some(struct linux_port *port, char *out, size_t size, int64_t deadline_ms);
static bool read_answer(struct linux_port *port, int64_t deadline_ms, struct http_answer *out);

struct linux_port *linux_port_open(const struct agent_config *config, const volatile sig_atomic_t *stopping,
                                   struct picket_port *port, struct reason *why)
{
    struct linux_port *opened = calloc(1, sizeof *opened);

    if (!opened)
        abort();
    opened->config = config;
    opened->stopping = stopping;
    opened->socket = -1;
    int error = gnutls_certificate_allocate_credentials(&opened->trust);
    if (error == 0)
        error = gnutls_certificate_set_x509_trust_file(opened->trust, config->ca_file, GNUTLS_X509_FMT_PEM);
    if (error <= 0) {
        reason_set(why, "ca_file %s: %s", config->ca_file, error ? gnutls_strerror(error) : "no certificate in it");
        linux_port_close(opened);
        return NULL;
    }
    opened->spool = spool_open(config->spool_folder, (uint64_t)config->spool_bytes, why);
    if (!opened->spool) {
        linux_port_close(opened);
        return NULL;
    }
    fill_port(opened, port);
    return opened;
}

void linux_port_dry(struct picket_port *port)
{
    *port = (struct picket_port){
        .utc_ms = utc_ms,
        .monotonic_ms = monotonic_ms,
        .utc_offset_s = utc_offset_s,
        .random = random_bytes,
        .send = print_message,
        .keep = print_kept,
        .oldest = find_no_oldest,
        .newest = find_no_newest,
        .forget = forget_nothing,
    };
}

const char *linux_port_trouble(const struct linux_port *port)
{
    return port->trouble.text;
}

size_t linux_port_kept(const struct linux_port *port)
{
    return spool_count(port->spool);
}

void linux_port_close(struct linux_port *take_port)
{
    if (!take_port)
        return;
    disconnect(take_port);
    if (take_port->trust)
        gnutls_certificate_free_credentials(take_port->trust);
    spool_close(take_port->spool);
    explicit_bzero(take_port->token, sizeof take_port->token);
    free(take_port);
}

static void fill_port(struct linux_port *port, struct picket_port *out)
{
    *out = (struct picket_port){
        .context = port,
        .utc_ms = utc_ms,
        .monotonic_ms = monotonic_ms,
        .utc_offset_s = utc_offset_s,
        .random = random_bytes,
        .send = send_message,
        .save = save_state,
        .load = load_state,
        .keep = keep_message,
        .oldest = oldest_message,
        .newest = newest_message,
        .forget = forget_message,
    };
}

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t utc_ms(void *context)
{
    (void)context;
    return clock_ms(CLOCK_REALTIME);
}

static int64_t monotonic_ms(void *context)
{
    (void)context;
    return clock_ms(CLOCK_MONOTONIC);
}

static int32_t utc_offset_s(void *context, int64_t utc_s)
{
    time_t moment = (time_t)utc_s;
    struct tm local;

    (void)context;
    return localtime_r(&moment, &local) ? (int32_t)local.tm_gmtoff : 0;
}

static void random_bytes(void *context, void *out, size_t count)
{
    (void)context;
    assert(count <= 256 && "more may come back short");
    while (getrandom(out, count, 0) != (ssize_t)count) {
        if (errno != EINTR)
            abort();
    }
}

static void print_message(void *context, const struct picket_message *message, struct picket_send_answer *out)
{
    (void)context;
    fwrite(message->body, 1, message->body_count, stdout);
    putchar('\n');
    fflush(stdout);
    out->status = PICKET_SEND_DONE;
}

static enum picket_keep_status print_kept(void *context, const struct picket_message *message)
{
    struct picket_send_answer ignored;

    print_message(context, message, &ignored);
    return PICKET_KEEP_DONE;
}

static enum picket_kept_status find_no_oldest(void *context, char *buffer, size_t size, struct picket_message *out)
{
    (void)context;
    (void)buffer;
    (void)size;
    (void)out;
    return PICKET_KEPT_NONE;
}

static enum picket_kept_status find_no_newest(void *context, struct picket_message *out)
{
    (void)context;
    (void)out;
    return PICKET_KEPT_NONE;
}

static void forget_nothing(void *context)
{
    (void)context;
}

/* "numbering.json", "numbering-1.json" … */
static void state_name(unsigned stream, char out[STATE_NAME_SIZE])
{
    if (stream)
        snprintf(out, STATE_NAME_SIZE, "numbering-%u.json", stream);
    else
        snprintf(out, STATE_NAME_SIZE, "numbering.json");
}

static bool save_state(void *context, unsigned stream, const char *state, size_t count)
{
    struct linux_port *port = context;
    const struct iovec part = {(void *)(uintptr_t)state, count};
    char name[STATE_NAME_SIZE];

    state_name(stream, name);
    return file_write(port->config->spool_folder, name, &part, 1, &port->trouble);
}

static size_t load_state(void *context, unsigned stream, char *state, size_t size)
{
    const struct linux_port *port = context;
    char path[FILE_PATH_SIZE + STATE_NAME_SIZE], name[STATE_NAME_SIZE];

    state_name(stream, name);
    snprintf(path, sizeof path, "%s/%s", port->config->spool_folder, name);
    long count = file_read(path, state, size);
    return count < 0 ? 0 : (size_t)count;
}

static enum picket_keep_status keep_message(void *context, const struct picket_message *message)
{
    struct linux_port *port = context;

    return spool_keep(port->spool, message, &port->trouble);
}

static enum picket_kept_status oldest_message(void *context, char *buffer, size_t size, struct picket_message *out)
{
    struct linux_port *port = context;

    return spool_oldest(port->spool, buffer, size, out);
}

static enum picket_kept_status newest_message(void *context, struct picket_message *out)
{
    const struct linux_port *port = context;

    return spool_newest(port->spool, out);
}

static void forget_message(void *context)
{
    struct linux_port *port = context;

    spool_forget(port->spool);
}

/* A kept-alive connection may have been closed by the other end meanwhile, so what fails on one is tried once more on a
 * new one. The message's id makes that harmless. */
static void send_message(void *context, const struct picket_message *message, struct picket_send_answer *out)
{
    struct linux_port *port = context;
    struct http_answer answer;
    bool reused = port->session != NULL;

    out->status = PICKET_SEND_LATER;
    bool answered = exchange(port, message, &answer);
    if (!answered && reused && !*port->stopping)
        answered = exchange(port, message, &answer);
    if (!answered)
        return;
    out->code = answer.code;
    out->retry_after_s = answer.retry_after_s;
    out->status = http_answer_status(answer.code);
    if (out->status != PICKET_SEND_DONE)
        reason_set(&port->trouble, "%s answers %u", port->config->credential.host, answer.code);
    if (answer.code == 401)
        port->token_made_s = 0; /* the clock may have been set since */
}

static bool exchange(struct linux_port *port, const struct picket_message *message, struct http_answer *out)
{
    char head[REQUEST_HEAD_MAX];
    size_t count = 0;

    if (!port->session && !connect_server(port))
        return false;
    int64_t deadline_ms = monotonic_ms(NULL) + EXCHANGE_MS;
    bool answered = make_request_head(port, message, head, &count) && write_all(port, head, count, deadline_ms) &&
                    write_all(port, message->body, message->body_count, deadline_ms) &&
                    read_answer(port, deadline_ms, out);
    explicit_bzero(head, sizeof head);
    if (!answered || out->close)
        disconnect(port);
    return answered;
}

static bool make_request_head(struct linux_port *port, const struct picket_message *message,
                              char out[REQUEST_HEAD_MAX], size_t *count)
{
    const struct credential *credential = &port->config->credential;
    bool bare_ipv6 = strchr(credential->host, ':') != NULL;
    char path[CREDENTIAL_PATH_SIZE], port_text[8] = "";

    if (!renew_token(port) || !credential_events_path(credential, path))
        return reason_set(&port->trouble, "the identity is too long for a request");
    if (credential->port != CREDENTIAL_PORT)
        snprintf(port_text, sizeof port_text, ":%u", credential->port);
    int length = snprintf(out, REQUEST_HEAD_MAX,
                          "POST %s HTTP/1.1\r\nHost: %s%s%s%s\r\nAuthorization: %s\r\nContent-Type: application/json\r\n"
                          "Content-Length: %zu\r\n" PICKET_HEADER_MESSAGE_ID ": %s\r\n"
                          PICKET_HEADER_INTERFACE_ID ": " PICKET_INTERFACE_ID "\r\n\r\n",
                          path, bare_ipv6 ? "[" : "", credential->host, bare_ipv6 ? "]" : "", port_text, port->token,
                          message->body_count, message->id);
    assert(length > 0 && length < (int)REQUEST_HEAD_MAX);
    *count = (size_t)length;
    return true;
}

static bool renew_token(struct linux_port *port)
{
    int64_t now_s = utc_ms(NULL) / 1000;
    int64_t age_s = now_s - port->token_made_s;

    if (port->token_made_s && age_s >= 0 && age_s < TOKEN_RENEW_S)
        return true;
    if (!credential_token(&port->config->credential, now_s + TOKEN_LIFE_S, hmac_sha256, port->token))
        return false;
    port->token_made_s = now_s;
    return true;
}

static bool hmac_sha256(const uint8_t *key, size_t key_count, const char *text, size_t count,
                        uint8_t out[CREDENTIAL_HMAC_BYTES])
{
    return gnutls_hmac_fast(GNUTLS_MAC_SHA256, key, key_count, text, count, out) == 0;
}

static bool connect_server(struct linux_port *port)
{
    const struct credential *credential = &port->config->credential;
    const struct addrinfo wanted = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *addresses = NULL;
    char service[8];
    int64_t deadline_ms = monotonic_ms(NULL) + CONNECT_MS;

    snprintf(service, sizeof service, "%u", credential->port);
    int error = getaddrinfo(credential->host, service, &wanted, &addresses);
    if (error)
        return reason_set(&port->trouble, "%s has no address: %s", credential->host, gai_strerror(error));
    for (const struct addrinfo *address = addresses; address && port->socket < 0; address = address->ai_next)
        port->socket = connect_address(port, address, deadline_ms);
    freeaddrinfo(addresses);
    if (port->socket < 0)
        return false;
    if (!start_tls(port, deadline_ms)) {
        disconnect(port);
        return false;
    }
    return true;
}

/* The connected socket, whose reads and writes return after SLICE_MS; -1 when it failed. */
static int connect_address(struct linux_port *port, const struct addrinfo *address, int64_t deadline_ms)
{
    const struct timeval slice = {.tv_usec = SLICE_MS * 1000};
    const char *host = port->config->credential.host;
    const int on = 1;
    int error = 0;
    socklen_t error_size = sizeof error;
    int made = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (made < 0) {
        reason_set(&port->trouble, "no socket: %s", strerror(errno));
        return -1;
    }
    if (connect(made, address->ai_addr, address->ai_addrlen) != 0)
        error = errno;
    while (error == EINPROGRESS) {
        struct pollfd writable = {.fd = made, .events = POLLOUT};
        if (!may_wait(port, deadline_ms, "connecting")) {
            close(made);
            return -1;
        }
        if (poll(&writable, 1, SLICE_MS) > 0 && getsockopt(made, SOL_SOCKET, SO_ERROR, &error, &error_size) != 0)
            error = errno;
    }
    if (error || fcntl(made, F_SETFL, 0) != 0 || setsockopt(made, SOL_SOCKET, SO_RCVTIMEO, &slice, sizeof slice) != 0 ||
        setsockopt(made, SOL_SOCKET, SO_SNDTIMEO, &slice, sizeof slice) != 0) {
        reason_set(&port->trouble, "%s cannot be reached: %s", host, strerror(error ? error : errno));
        close(made);
        return -1;
    }
    (void)setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return made;
}

static bool start_tls(struct linux_port *port, int64_t deadline_ms)
{
    const char *host = port->config->credential.host;
    struct in6_addr address;
    bool named = inet_pton(AF_INET, host, &address) != 1 && inet_pton(AF_INET6, host, &address) != 1;
    int error = gnutls_init(&port->session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL);

    if (error) {
        port->session = NULL;
        return reason_set(&port->trouble, "no TLS session: %s", gnutls_strerror(error));
    }
    error = gnutls_set_default_priority(port->session);
    if (!error)
        error = gnutls_credentials_set(port->session, GNUTLS_CRD_CERTIFICATE, port->trust);
    if (!error && named) /* an address is no server name, and is checked against the certificate all the same */
        error = gnutls_server_name_set(port->session, GNUTLS_NAME_DNS, host, strlen(host));
    if (error)
        return reason_set(&port->trouble, "no TLS session: %s", gnutls_strerror(error));
    gnutls_session_set_verify_cert(port->session, host, 0);
    gnutls_transport_set_int(port->session, port->socket);
    gnutls_handshake_set_timeout(port->session, GNUTLS_INDEFINITE_TIMEOUT); /* the deadline is ours */
    while ((error = gnutls_handshake(port->session)) != GNUTLS_E_SUCCESS) {
        if (error == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR) {
            gnutls_datum_t text = {NULL, 0};
            gnutls_certificate_verification_status_print(gnutls_session_get_verify_cert_status(port->session),
                                                         GNUTLS_CRT_X509, &text, 0);
            reason_set(&port->trouble, "the certificate of %s does not hold: %s", host,
                       text.data ? (const char *)text.data : "unknown reason");
            gnutls_free(text.data);
            return false;
        }
        if (gnutls_error_is_fatal(error))
            return reason_set(&port->trouble, "TLS with %s failed: %s", host, gnutls_strerror(error));
        if (!may_wait(port, deadline_ms, "the TLS handshake"))
            return false;
    }
    return true;
}

static void disconnect(struct linux_port *port)
{
    if (port->session) {
        gnutls_bye(port->session, GNUTLS_SHUT_WR);
        gnutls_deinit(port->session);
        port->session = NULL;
    }
    if (port->socket >= 0)
        close(port->socket);
    port->socket = -1;
}

static bool may_wait(struct linux_port *port, int64_t deadline_ms, const char *doing)
{
    if (*port->stopping)
        return reason_set(&port->trouble, "the agent is stopping");
    if (monotonic_ms(NULL) >= deadline_ms)
        return reason_set(&port->trouble, "%s takes too long: %s", port->config->credential.host, doing);
    return true;
}

static inline bool try_again(ssize_t error)
{
    return error == GNUTLS_E_AGAIN || error == GNUTLS_E_INTERRUPTED;
}

static bool write_all(struct linux_port *port, const char *bytes, size_t count, int64_t deadline_ms)
{
    while (count) {
        ssize_t put = gnutls_record_send(port->session, bytes, count);
        if (put < 0 && try_again(put) && may_wait(port, deadline_ms, "sending"))
            continue; /* GnuTLS wants the same bytes again */
        if (put < 0 && try_again(put))
            return false;
        if (put < 0)
            return reason_set(&port->trouble, "sending to %s failed: %s", port->config->credential.host,
                              gnutls_strerror((int)put));
        bytes += put;
        count -= (size_t)put;
    }
    return true;
}

/* Bytes read, or -1. The end of the connection is a failure here: an answer is never ended by it. */
static ssize_t read_some(struct linux_port *port, char *out, size_t size, int64_t deadline_ms)
{
    for (;;) {
        ssize_t got = gnutls_record_recv(port->session, out, size);
        if (got > 0)
            return got;
        if (got == GNUTLS_E_REHANDSHAKE || (got < 0 && try_again(got))) {
            if (!may_wait(port, deadline_ms, "the answer"))
                return -1;
            continue;
        }
        reason_set(&port->trouble, "%s closed the connection%s%s", port->config->credential.host, got ? ": " : "",
                   got ? gnutls_strerror((int)got) : "");
        return -1;
    }
}

static bool read_answer(struct linux_port *port, int64_t deadline_ms, struct http_answer *out)
{
    char bytes[ANSWER_HEAD_MAX];
    size_t count = 0, head = 0;

    while (!head) {
        ssize_t got = count < sizeof bytes ? read_some(port, bytes + count, sizeof bytes - count, deadline_ms) : 0;
        if (got < 0)
            return false;
        count += (size_t)got;
        head = http_answer_head(bytes, count);
        if (!got || (head && !http_answer_read(bytes, head, out)))
            return reason_set(&port->trouble, "%s does not answer in HTTP/1.1", port->config->credential.host);
    }
    if (!out->body_known || out->body_count > ANSWER_BODY_MAX)
        out->close = true;
    uint64_t left = out->close || out->body_count <= count - head ? 0 : out->body_count - (count - head);
    while (left) {
        ssize_t got = read_some(port, bytes, left < sizeof bytes ? (size_t)left : sizeof bytes, deadline_ms);
        if (got < 0) {
            out->close = true; /* the answer itself has come */
            break;
        }
        left -= (uint64_t)got;
    }
    return true;
}
