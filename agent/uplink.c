#include "agent/uplink.h"

#include <arpa/inet.h>
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

#include <mbedtls/base64.h>
#include <mbedtls/error.h>
#include <mbedtls/md.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>

#include "agent/monotonic.h"

#define SLICE_MS 500 /* how long a wait goes on unaware that the program has to stop */
#define PROXY_TEXT_MAX 512
#define PROXY_HEAD_MAX 4096
#define PROXY_PORT 3128
#define SAN_ADDRESS 7 /* the choice iPAddress of GeneralName, RFC 5280 section 4.2.1.6 */

struct proxy {
    char host[PICKET_HOST_MAX + 1];
    uint16_t port;
    char login[PROXY_TEXT_MAX * 4 / 3 + 8]; /* in Base64; "": none */
};

struct uplink {
    struct uplink_target target;
    const volatile sig_atomic_t *stopping;
    struct proxy proxy; /* no host: none */
    mbedtls_x509_crt trust, own;
    mbedtls_pk_context key;
    mbedtls_ssl_config config;
    mbedtls_ssl_context session;
    int socket; /* -1: not connected */
    bool open;
};

/* ---- beginning ---- */

static int random_give(void *context, unsigned char *out, size_t count)
{
    (void)context;
    uplink_random(out, count);
    return 0;
}

void uplink_random(void *out, size_t count)
{
    unsigned char *to = out;

    while (count) {
        ssize_t got = getrandom(to, count < 256 ? count : 256, 0);
        if (got < 0 && errno != EINTR)
            abort();
        to += got > 0 ? got : 0;
        count -= got > 0 ? (size_t)got : 0;
    }
}

static bool tls_failed(struct reason *why, const char *doing, const char *of, int error)
{
    char text[128];

    mbedtls_strerror(error, text, sizeof text);
    return reason_set(why, "%s %s: %s", doing, of, text);
}

/* "http://[user:password@]host[:port]" */
static bool proxy_read(const char *text, struct proxy *out, struct reason *why)
{
    static const char scheme[] = "http://";
    const char *from = strncmp(text, scheme, sizeof scheme - 1) == 0 ? text + sizeof scheme - 1 : text, *at = strrchr(from, '@');
    const char *host = at ? at + 1 : from, *colon = strrchr(host, ':');
    size_t length = colon ? (size_t)(colon - host) : strcspn(host, "/"), written = 0;
    long port = colon ? strtol(colon + 1, NULL, 10) : PROXY_PORT;

    out->host[0] = '\0';
    if (!*text)
        return true;
    if (strlen(text) > PROXY_TEXT_MAX || !length || length >= sizeof out->host || port < 1 || port > 65535 || strstr(host, "://"))
        return reason_set(why, "proxy: \"http://[user:password@]host:port\" is wanted");
    memcpy(out->host, host, length);
    out->host[length] = '\0';
    out->port = (uint16_t)port;
    out->login[0] = '\0';
    if (at && mbedtls_base64_encode((unsigned char *)out->login, sizeof out->login, &written, (const unsigned char *)from, (size_t)(at - from)) != 0)
        return reason_set(why, "proxy: the login is too long");
    return true;
}

static bool files_load(struct uplink *uplink, struct reason *why)
{
    const struct uplink_target *target = &uplink->target;
    int error = mbedtls_x509_crt_parse_file(&uplink->trust, target->ca_file);

    if (error)
        return error < 0 ? tls_failed(why, "ca_file", target->ca_file, error)
                         : reason_set(why, "ca_file %s: %d certificates in it cannot be read", target->ca_file, error);
    if (!*target->certificate_file)
        return true;
    if ((error = mbedtls_x509_crt_parse_file(&uplink->own, target->certificate_file)) != 0)
        return tls_failed(why, "certificate_file", target->certificate_file, error);
    if ((error = mbedtls_pk_parse_keyfile(&uplink->key, target->key_file, NULL)) != 0)
        return tls_failed(why, "key_file", target->key_file, error);
    if (mbedtls_pk_check_pair(&uplink->own.pk, &uplink->key) != 0)
        return reason_set(why, "key_file %s is not the key of %s", target->key_file, target->certificate_file);
    return true;
}

static bool config_make(struct uplink *uplink, struct reason *why)
{
    int error = mbedtls_ssl_config_defaults(&uplink->config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);

    if (!error && *uplink->target.certificate_file)
        error = mbedtls_ssl_conf_own_cert(&uplink->config, &uplink->own, &uplink->key);
    if (error)
        return tls_failed(why, "TLS", "settings", error);
    mbedtls_ssl_conf_min_version(&uplink->config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3); /* TLS 1.2 */
    mbedtls_ssl_conf_authmode(&uplink->config, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_ca_chain(&uplink->config, &uplink->trust, NULL);
    mbedtls_ssl_conf_rng(&uplink->config, random_give, NULL);
    return true;
}

struct uplink *uplink_new(const struct uplink_target *target, const volatile sig_atomic_t *stopping, struct reason *why)
{
    struct uplink *uplink = calloc(1, sizeof *uplink);

    if (!uplink)
        abort();
    uplink->target = *target;
    uplink->stopping = stopping;
    uplink->socket = -1;
    mbedtls_x509_crt_init(&uplink->trust);
    mbedtls_x509_crt_init(&uplink->own);
    mbedtls_pk_init(&uplink->key);
    mbedtls_ssl_config_init(&uplink->config);
    mbedtls_ssl_init(&uplink->session);
    if (!proxy_read(target->proxy, &uplink->proxy, why) || !files_load(uplink, why) || !config_make(uplink, why)) {
        uplink_free(uplink);
        return NULL;
    }
    return uplink;
}

void uplink_free(struct uplink *take_uplink)
{
    if (!take_uplink)
        return;
    uplink_close(take_uplink);
    mbedtls_ssl_config_free(&take_uplink->config);
    mbedtls_pk_free(&take_uplink->key);
    mbedtls_x509_crt_free(&take_uplink->own);
    mbedtls_x509_crt_free(&take_uplink->trust);
    explicit_bzero(&take_uplink->proxy, sizeof take_uplink->proxy);
    free(take_uplink);
}

/* ---- connecting ---- */

int64_t uplink_now_ms(void)
{
    return monotonic_now_ms();
}

static bool may_wait(const struct uplink *uplink, int64_t deadline_ms, const char *doing, struct reason *why)
{
    if (*uplink->stopping)
        return reason_set(why, "the agent is stopping");
    if (uplink_now_ms() >= deadline_ms)
        return reason_set(why, "%s takes too long: %s", uplink->target.host, doing);
    return true;
}

/* The connected socket, whose reads and writes return after SLICE_MS; -1 when it failed. */
static int connect_address(const struct uplink *uplink, const struct addrinfo *address, const char *host, int64_t deadline_ms, struct reason *why)
{
    const struct timeval slice = {.tv_usec = SLICE_MS * 1000};
    const int on = 1;
    int error = 0;
    socklen_t error_size = sizeof error;
    int made = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (made < 0) {
        reason_set(why, "no socket: %s", strerror(errno));
        return -1;
    }
    if (connect(made, address->ai_addr, address->ai_addrlen) != 0)
        error = errno;
    while (error == EINPROGRESS) {
        struct pollfd writable = {.fd = made, .events = POLLOUT};
        if (!may_wait(uplink, deadline_ms, "connecting", why)) {
            close(made);
            return -1;
        }
        if (poll(&writable, 1, SLICE_MS) > 0 && getsockopt(made, SOL_SOCKET, SO_ERROR, &error, &error_size) != 0)
            error = errno;
    }
    if (error || fcntl(made, F_SETFL, 0) != 0 || setsockopt(made, SOL_SOCKET, SO_RCVTIMEO, &slice, sizeof slice) != 0 ||
        setsockopt(made, SOL_SOCKET, SO_SNDTIMEO, &slice, sizeof slice) != 0) {
        reason_set(why, "%s cannot be reached: %s", host, strerror(error ? error : errno));
        close(made);
        return -1;
    }
    (void)setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return made;
}

static bool connect_host(struct uplink *uplink, const char *host, uint16_t port, int64_t deadline_ms, struct reason *why)
{
    const struct addrinfo wanted = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *addresses = NULL;
    char service[8];

    snprintf(service, sizeof service, "%u", port);
    int error = getaddrinfo(host, service, &wanted, &addresses);
    if (error)
        return reason_set(why, "%s has no address: %s", host, gai_strerror(error));
    for (const struct addrinfo *address = addresses; address && uplink->socket < 0; address = address->ai_next)
        uplink->socket = connect_address(uplink, address, host, deadline_ms, why);
    freeaddrinfo(addresses);
    return uplink->socket >= 0;
}

/* What the socket did, as Mbed TLS wants to hear it. */
static int socket_result(ssize_t count, int otherwise)
{
    if (count >= 0)
        return (int)count;
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
        return otherwise;
    return errno == EPIPE || errno == ECONNRESET ? MBEDTLS_ERR_SSL_CONN_EOF : MBEDTLS_ERR_SSL_INTERNAL_ERROR;
}

static int socket_send(void *context, const unsigned char *bytes, size_t count)
{
    const struct uplink *uplink = context;

    return socket_result(send(uplink->socket, bytes, count, MSG_NOSIGNAL), MBEDTLS_ERR_SSL_WANT_WRITE);
}

static int socket_receive(void *context, unsigned char *out, size_t size)
{
    const struct uplink *uplink = context;

    return socket_result(recv(uplink->socket, out, size, 0), MBEDTLS_ERR_SSL_WANT_READ);
}

/* A tunnel through the proxy: RFC 9110 section 9.3.6. The answer's head is read byte by byte, since behind it TLS begins. */
static bool tunnel(struct uplink *uplink, int64_t deadline_ms, struct reason *why)
{
    const char *host = uplink->target.host, *open = strchr(host, ':') ? "[" : "", *close = strchr(host, ':') ? "]" : "";
    char head[PROXY_HEAD_MAX];
    size_t count = 0;
    int length = snprintf(head, sizeof head, "CONNECT %s%s%s:%u HTTP/1.1\r\nHost: %s%s%s:%u\r\n%s%s%s\r\n", open, host, close, uplink->target.port, open, host, close,
                          uplink->target.port, uplink->proxy.login[0] ? "Proxy-Authorization: Basic " : "", uplink->proxy.login, uplink->proxy.login[0] ? "\r\n" : "");

    if (send(uplink->socket, head, (size_t)length, MSG_NOSIGNAL) != length)
        return reason_set(why, "the proxy %s does not listen: %s", uplink->proxy.host, strerror(errno));
    for (;;) {
        ssize_t got = recv(uplink->socket, head + count, 1, 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            if (!may_wait(uplink, deadline_ms, "the proxy", why))
                return false;
            continue;
        }
        if (got <= 0 || ++count == sizeof head)
            return reason_set(why, "the proxy %s does not answer in HTTP", uplink->proxy.host);
        if (count >= 4 && memcmp(head + count - 4, "\r\n\r\n", 4) == 0)
            break;
    }
    if (count < 12 || memcmp(head, "HTTP/1.", 7) != 0 || head[9] != '2')
        return reason_set(why, "the proxy %s refuses: %.*s", uplink->proxy.host, (int)strcspn(head, "\r\n"), head);
    return true;
}

/* Mbed TLS 2 compares names alone, so a certificate's addresses are looked at here. */
static bool has_address(const mbedtls_x509_crt *certificate, const void *address, size_t size)
{
    for (const mbedtls_x509_sequence *name = &certificate->subject_alt_names; name; name = name->next)
        if (name->buf.tag == (MBEDTLS_ASN1_CONTEXT_SPECIFIC | SAN_ADDRESS) && name->buf.len == size && memcmp(name->buf.p, address, size) == 0)
            return true;
    return false;
}

static bool address_holds(const struct uplink *uplink)
{
    const mbedtls_x509_crt *certificate = mbedtls_ssl_get_peer_cert(&uplink->session);
    struct in6_addr address;

    if (!certificate)
        return false;
    if (inet_pton(AF_INET, uplink->target.host, &address) == 1)
        return has_address(certificate, &address, 4);
    return inet_pton(AF_INET6, uplink->target.host, &address) == 1 && has_address(certificate, &address, 16);
}

static bool handshake(struct uplink *uplink, int64_t deadline_ms, struct reason *why)
{
    const char *host = uplink->target.host;
    int error;

    while ((error = mbedtls_ssl_handshake(&uplink->session)) != 0) {
        if (error == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED) {
            char text[256];
            int length = mbedtls_x509_crt_verify_info(text, sizeof text, "", mbedtls_ssl_get_verify_result(&uplink->session));
            while (length > 0 && text[length - 1] == '\n')
                text[--length] = '\0';
            return reason_set(why, "the certificate of %s does not hold: %s", host, length > 0 ? text : "unknown reason");
        }
        if (error != MBEDTLS_ERR_SSL_WANT_READ && error != MBEDTLS_ERR_SSL_WANT_WRITE) {
            char text[128];
            mbedtls_strerror(error, text, sizeof text);
            return reason_set(why, "TLS with %s failed: %s", host, text);
        }
        if (!may_wait(uplink, deadline_ms, "the TLS handshake", why))
            return false;
    }
    return true;
}

static bool start_tls(struct uplink *uplink, int64_t deadline_ms, struct reason *why)
{
    const char *host = uplink->target.host;
    struct in6_addr address;
    bool named = inet_pton(AF_INET, host, &address) != 1 && inet_pton(AF_INET6, host, &address) != 1;
    int error = mbedtls_ssl_setup(&uplink->session, &uplink->config);

    if (!error && named)
        error = mbedtls_ssl_set_hostname(&uplink->session, host);
    if (error)
        return tls_failed(why, "TLS with", host, error);
    mbedtls_ssl_set_bio(&uplink->session, uplink, socket_send, socket_receive, NULL);
    if (!handshake(uplink, deadline_ms, why))
        return false;
    if (!named && !address_holds(uplink))
        return reason_set(why, "the certificate of %s does not hold: it is for other names", host);
    return true;
}

bool uplink_open(struct uplink *uplink, int64_t deadline_ms, struct reason *why)
{
    bool proxied = uplink->proxy.host[0] != '\0';

    uplink_close(uplink);
    uplink->open = connect_host(uplink, proxied ? uplink->proxy.host : uplink->target.host, proxied ? uplink->proxy.port : uplink->target.port, deadline_ms, why) &&
                   (!proxied || tunnel(uplink, deadline_ms, why)) && start_tls(uplink, deadline_ms, why);
    if (!uplink->open)
        uplink_close(uplink);
    return uplink->open;
}

bool uplink_is_open(const struct uplink *uplink)
{
    return uplink->open;
}

void uplink_close(struct uplink *uplink)
{
    if (uplink->open)
        (void)mbedtls_ssl_close_notify(&uplink->session);
    mbedtls_ssl_free(&uplink->session);
    mbedtls_ssl_init(&uplink->session);
    if (uplink->socket >= 0)
        close(uplink->socket);
    uplink->socket = -1;
    uplink->open = false;
}

/* ---- talking ---- */

static bool try_again(int error)
{
    return error == MBEDTLS_ERR_SSL_WANT_READ || error == MBEDTLS_ERR_SSL_WANT_WRITE;
}

bool uplink_write(struct uplink *uplink, const char *bytes, size_t count, int64_t deadline_ms, struct reason *why)
{
    while (count) {
        int put = mbedtls_ssl_write(&uplink->session, (const unsigned char *)bytes, count);
        if (try_again(put)) { /* it wants the same bytes again */
            if (!may_wait(uplink, deadline_ms, "sending", why))
                return false;
            continue;
        }
        if (put < 0)
            return tls_failed(why, "sending failed to", uplink->target.host, put);
        bytes += put;
        count -= (size_t)put;
    }
    return true;
}

ssize_t uplink_read(struct uplink *uplink, char *out, size_t size, int64_t deadline_ms, struct reason *why)
{
    for (;;) {
        int got = mbedtls_ssl_read(&uplink->session, (unsigned char *)out, size);
        if (got > 0)
            return got;
        if (!try_again(got)) {
            reason_set(why, "%s closed the connection", uplink->target.host);
            return -1;
        }
        if (!may_wait(uplink, deadline_ms, "the answer", why))
            return -1;
    }
}

bool uplink_readable(struct uplink *uplink, int wait_ms)
{
    struct pollfd readable = {.fd = uplink->socket, .events = POLLIN};

    return uplink->open && (mbedtls_ssl_check_pending(&uplink->session) || poll(&readable, 1, wait_ms) > 0);
}

int uplink_socket(const struct uplink *uplink)
{
    return uplink->open ? uplink->socket : -1;
}

bool uplink_hmac_sha256(const uint8_t *key, size_t key_count, const char *text, size_t count, uint8_t out[CREDENTIAL_HMAC_BYTES])
{
    return mbedtls_md_hmac(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), key, key_count, (const unsigned char *)text, count, out) == 0;
}
