#include "runtime/http.h"

#include <check.h>
#include <gnutls/gnutls.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/certificate.h"
#include "tests/support/check_main.h"
#include "tests/support/http_client.h"

#define UPGRADE "GET /echo HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
#define CROWD 100

static struct http_server *server;
static _Atomic int open_tunnels;

struct echo {
    struct http_tunnel *tunnel;
    int fd;
    size_t early_count;
    char early[64];
};

/* Gives everything back until the client leaves or says '.'. */
static void *echo_run(void *context)
{
    struct echo *echo = context;
    char bytes[4096];
    ssize_t count = (ssize_t)echo->early_count;

    memcpy(bytes, echo->early, echo->early_count);
    for (;;) {
        if (count > 0 && send(echo->fd, bytes, (size_t)count, MSG_NOSIGNAL) != count)
            break;
        if (count > 0 && memchr(bytes, '.', (size_t)count))
            break;
        struct pollfd readable = {.fd = echo->fd, .events = POLLIN};
        poll(&readable, 1, -1);
        count = recv(echo->fd, bytes, sizeof bytes, 0);
        if (count <= 0)
            break;
    }
    http_tunnel_close(echo->tunnel);
    free(echo);
    open_tunnels--;
    return NULL;
}

static void echo_open(void *user, struct http_tunnel *tunnel, int fd, struct text early)
{
    struct echo *echo = calloc(1, sizeof *echo);
    pthread_t thread;

    (void)user;
    ck_assert_uint_lt(early.count, sizeof echo->early);
    echo->tunnel = tunnel;
    echo->fd = fd;
    echo->early_count = early.count;
    memcpy(echo->early, early.bytes, early.count);
    open_tunnels++;
    ck_assert_int_eq(pthread_create(&thread, NULL, echo_run, echo), 0);
    pthread_detach(thread);
}

static void echo(void *context, struct http_exchange *exchange)
{
    (void)context;
    http_upgrade(exchange, "echo", echo_open, NULL);
}

static void server_open(const struct certificate *certificate)
{
    static const struct http_route routes[] = {{"GET", "/echo", 0, echo}};
    struct http_server_settings settings = {
        .name = "test",
        .address = "127.0.0.1",
        .threads = 2,
        .connections_max = CROWD + 10,
        .request_timeout_ms = 200, /* which an upgraded connection outlives */
        .answer_timeout_ms = 200,
        .body_bytes_max = 1000,
        .body_budget_bytes = 10000,
        .routes = routes,
        .route_count = 1,
        .tls_certificate_file = certificate ? certificate->certificate_file : NULL,
        .tls_key_file = certificate ? certificate->key_file : NULL,
    };
    struct problem why;

    ck_assert_msg(http_server_open(&settings, &server, &why) == STATUS_OK, "%s", why.text);
}

/* Waits for what the tunnels' own threads still do. */
static void server_end(void)
{
    while (open_tunnels)
        poll(NULL, 0, 1);
    http_server_close(server);
}

static void expect(int fd, const char *bytes)
{
    char got[256];
    size_t count = 0, wanted = strlen(bytes);

    while (count < wanted) {
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        ck_assert_int_eq(poll(&readable, 1, HTTP_CLIENT_WAIT_MS), 1);
        ssize_t came = recv(fd, got + count, wanted - count, 0);
        ck_assert_int_gt(came, 0);
        count += (size_t)came;
    }
    ck_assert_mem_eq(got, bytes, wanted);
}

static int dial(const char *early)
{
    int fd = http_client_connect(http_server_port(server));
    char head[512] = "";

    ck_assert(http_client_send(fd, TEXT(UPGRADE)));
    ck_assert(http_client_send(fd, text_of(early)));
    for (size_t count = 0; !strstr(head, "\r\n\r\n"); count++) {
        ck_assert_uint_lt(count, sizeof head - 1);
        expect(fd, "");
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        ck_assert_int_eq(poll(&readable, 1, HTTP_CLIENT_WAIT_MS), 1);
        ck_assert_int_eq(recv(fd, head + count, 1, 0), 1);
    }
    ck_assert_ptr_nonnull(strstr(head, " 101 "));
    ck_assert_ptr_nonnull(strstr(head, "Upgrade: echo"));
    expect(fd, early);
    return fd;
}

START_TEST(bytes_go_both_ways_past_all_deadlines)
{
    server_open(NULL);
    int fd = dial("early");
    poll(NULL, 0, 500); /* more than the deadlines of a request: nothing is awaited */
    ck_assert(http_client_send(fd, TEXT("later")));
    expect(fd, "later");
    ck_assert(http_client_send(fd, TEXT(".")));
    expect(fd, ".");
    ck_assert(http_client_closed(fd));
    close(fd);
    server_end();
}
END_TEST

START_TEST(clients_that_leave_and_many_at_once_are_served)
{
    int fds[CROWD];

    server_open(NULL);
    for (size_t i = 0; i < CROWD; i++)
        fds[i] = dial("");
    for (size_t i = 0; i < CROWD; i++)
        ck_assert(http_client_send(fds[i], TEXT("hello")));
    for (size_t i = 0; i < CROWD; i++)
        expect(fds[i], "hello");
    for (size_t i = 0; i < CROWD; i++)
        close(fds[i]);
    server_end();
}
END_TEST

static void tls_expect(gnutls_session_t session, const char *wanted, char *got, size_t size)
{
    size_t count = 0;

    got[0] = 0;
    while (!strstr(got, wanted)) {
        ssize_t came = gnutls_record_recv(session, got + count, size - count - 1);
        ck_assert_msg(came > 0, "%s", gnutls_strerror((int)came));
        count += (size_t)came;
        got[count] = 0;
    }
}

START_TEST(bytes_go_both_ways_over_tls)
{
    gnutls_certificate_credentials_t credentials;
    struct certificate certificate;
    gnutls_session_t session;
    char got[1024];

    certificate_make(&certificate);
    server_open(&certificate);
    int fd = http_client_connect(http_server_port(server));
    gnutls_certificate_allocate_credentials(&credentials);
    gnutls_init(&session, GNUTLS_CLIENT);
    gnutls_set_default_priority(session);
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
    gnutls_transport_set_int(session, fd);
    ck_assert_int_eq(gnutls_handshake(session), 0);
    gnutls_record_send(session, UPGRADE, sizeof UPGRADE - 1);
    tls_expect(session, "\r\n\r\n", got, sizeof got);
    for (size_t i = 0; i < 100; i++) {
        gnutls_record_send(session, "ping", 4);
        tls_expect(session, "ping", got, sizeof got);
    }
    gnutls_record_send(session, ".", 1);
    tls_expect(session, ".", got, sizeof got);
    ck_assert_int_le(gnutls_record_recv(session, got, sizeof got), 0);
    gnutls_deinit(session);
    gnutls_certificate_free_credentials(credentials);
    close(fd);
    server_end();
    certificate_remove(&certificate);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        bytes_go_both_ways_past_all_deadlines,
        clients_that_leave_and_many_at_once_are_served,
        bytes_go_both_ways_over_tls,
    };
    return CHECK_MAIN("runtime/http_upgrade", tests);
}
