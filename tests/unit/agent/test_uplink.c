#include "agent/uplink.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/http.h"
#include "tests/support/certificate_authority.h"
#include "tests/support/check_main.h"
#include "tests/unit/agent/root_folder.h"

/* The way to a server of ours: its certificate, ours, and a proxy in between. */
#define PATH_SIZE 512
static struct issued *authority, *server_certificate, *client_certificate;
static struct http_server *http;
static struct uplink *uplink;
static struct reason why;
static volatile sig_atomic_t stopping;
static size_t chain_seen; /* certificates that the client showed */
static char ca_file[PATH_SIZE], certificate_file[PATH_SIZE], key_file[PATH_SIZE];

static void look(void *context, struct http_exchange *exchange)
{
    struct text chain[TLS_CHAIN_MAX];

    (void)context;
    chain_seen = http_client_chain(exchange, chain);
    http_code(exchange, 204);
    http_answer(exchange);
}

static const struct http_route routes[] = {{"GET", "/", 0, look}};

static void write_pem(const char *name, const char *pem, char out[PATH_SIZE])
{
    root_write(name, pem);
    snprintf(out, PATH_SIZE, "%s", root_path(name));
}

static uint16_t serve(const struct certificate_wish *wish)
{
    char certificate[PATH_SIZE], key[PATH_SIZE];
    struct problem problem;

    server_certificate = certificate_authority_issue(wish, authority);
    write_pem("/server.pem", certificate_authority_pem(server_certificate), certificate);
    write_pem("/server.key", certificate_authority_key_pem(server_certificate), key);
    const struct http_server_settings settings = {
        .name = "test",
        .address = "127.0.0.1",
        .tls_certificate_file = certificate,
        .tls_key_file = key,
        .ask_client_certificate = true,
        .threads = 1,
        .connections_max = 10,
        .request_timeout_ms = 20000,
        .answer_timeout_ms = 10000,
        .body_bytes_max = 100000,
        .body_budget_bytes = 1000000,
        .routes = routes,
        .route_count = 1,
    };
    ck_assert_msg(http_server_open(&settings, &http, &problem) == STATUS_OK, "%s", problem.text);
    return http_server_port(http);
}

static void setup(void)
{
    root_make();
    authority = certificate_authority_issue(&(struct certificate_wish){.common_name = "CA", .authority = true}, NULL);
    client_certificate = certificate_authority_issue(&(struct certificate_wish){.common_name = "pump-1"}, authority);
    write_pem("/ca.pem", certificate_authority_pem(authority), ca_file);
    write_pem("/client.pem", certificate_authority_pem(client_certificate), certificate_file);
    write_pem("/client.key", certificate_authority_key_pem(client_certificate), key_file);
    stopping = 0;
    chain_seen = 99;
}

static void teardown(void)
{
    uplink_free(uplink);
    uplink = NULL;
    http_server_close(http);
    http = NULL;
    certificate_authority_free(server_certificate);
    server_certificate = NULL;
    certificate_authority_free(client_certificate);
    certificate_authority_free(authority);
    root_remove();
}

static bool make(const char *host, uint16_t port, const char *own, const char *key, const char *proxy)
{
    static char kept_host[64], kept_proxy[PATH_SIZE];

    snprintf(kept_host, sizeof kept_host, "%s", host);
    snprintf(kept_proxy, sizeof kept_proxy, "%s", proxy);
    uplink_free(uplink);
    uplink = uplink_new(&(struct uplink_target){kept_host, port, ca_file, own, key, kept_proxy}, &stopping, &why);
    return uplink != NULL;
}

static bool ask(void)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    char answer[1024];
    int64_t deadline_ms = uplink_now_ms() + 10000;

    if (!uplink_open(uplink, deadline_ms, &why) || !uplink_write(uplink, request, sizeof request - 1, deadline_ms, &why))
        return false;
    ssize_t got = uplink_read(uplink, answer, sizeof answer, deadline_ms, &why);
    ck_assert_msg(got > 12 && memcmp(answer, "HTTP/1.1 204", 12) == 0, "%s", why.text);
    return true;
}

START_TEST(our_certificate_is_shown_where_there_is_one)
{
    uint16_t port = serve(&(struct certificate_wish){.common_name = "s", .dns_name = "localhost"});

    ck_assert(make("localhost", port, "", "", "") && ask());
    ck_assert_uint_eq(chain_seen, 0);
    ck_assert(make("localhost", port, certificate_file, key_file, "") && ask());
    ck_assert_uint_eq(chain_seen, 1);
}
END_TEST

START_TEST(files_that_do_not_fit_are_told_at_once)
{
    char other[PATH_SIZE];

    write_pem("/none.pem", "no certificate\n", other);
    ck_assert(!make("localhost", 1, other, key_file, ""));
    ck_assert_ptr_nonnull(strstr(why.text, other));
    ck_assert(!make("localhost", 1, certificate_file, other, ""));
    ck_assert_ptr_nonnull(strstr(why.text, other));
    write_pem("/ca.key", certificate_authority_key_pem(authority), other);
    ck_assert(!make("localhost", 1, certificate_file, other, ""));
    ck_assert_ptr_nonnull(strstr(why.text, "is not the key of"));
}
END_TEST

START_TEST(an_address_holds_when_the_certificate_has_it)
{
    uint16_t port = serve(&(struct certificate_wish){.common_name = "s", .dns_name = "localhost", .ipv4 = "127.0.0.1"});

    ck_assert_msg(make("127.0.0.1", port, "", "", "") && ask(), "%s", why.text);
    http_server_close(http);
    certificate_authority_free(server_certificate);
    port = serve(&(struct certificate_wish){.common_name = "127.0.0.1", .dns_name = "localhost", .ipv4 = "127.0.0.2"});
    ck_assert(make("127.0.0.1", port, "", "", "") && !ask());
    ck_assert_str_eq(why.text, "the certificate of 127.0.0.1 does not hold: it is for other names");
    ck_assert_int_eq(uplink_socket(uplink), -1);
}
END_TEST

START_TEST(what_is_over_or_not_yet_is_not_trusted)
{
    uint16_t port = serve(&(struct certificate_wish){.common_name = "s", .dns_name = "localhost", .not_before_s = 1000000000, .not_after_s = 1100000000});

    ck_assert(make("localhost", port, "", "", "") && !ask());
    ck_assert_ptr_nonnull(strstr(why.text, "does not hold"));
}
END_TEST

/* ---- proxies ---- */

struct fake_proxy {
    int listener;
    uint16_t port;
    const char *answer; /* NULL: it connects to where it is asked, on loopback */
    char head[2048];
    pthread_t thread;
};

static void pipe_bytes(int from, int to, bool *open)
{
    char bytes[4096];
    ssize_t got = recv(from, bytes, sizeof bytes, MSG_DONTWAIT);

    if (got == 0)
        *open = false;
    else if (got > 0)
        ck_assert_int_eq(send(to, bytes, (size_t)got, MSG_NOSIGNAL), got);
}

static void tunnel_serve(int client, uint16_t port)
{
    const struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int server = socket(AF_INET, SOCK_STREAM, 0);
    bool open = connect(server, (const struct sockaddr *)&address, sizeof address) == 0;

    static const char established[] = "HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n";
    (void)!write(client, established, sizeof established - 1);
    while (open) {
        pipe_bytes(client, server, &open);
        pipe_bytes(server, client, &open);
    }
    close(server);
}

static void *proxy_run(void *context)
{
    struct fake_proxy *proxy = context;
    size_t count = 0;
    unsigned port = 0;
    int client = accept(proxy->listener, NULL, NULL);

    while (!strstr(proxy->head, "\r\n\r\n") && count + 1 < sizeof proxy->head && recv(client, proxy->head + count, 1, 0) == 1)
        count++;
    if (proxy->answer)
        (void)!write(client, proxy->answer, strlen(proxy->answer));
    else if (sscanf(proxy->head, "CONNECT localhost:%u HTTP/1.1\r\n", &port) == 1)
        tunnel_serve(client, (uint16_t)port);
    close(client);
    return NULL;
}

static void proxy_start(struct fake_proxy *proxy, const char *answer)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;

    memset(proxy, 0, sizeof *proxy);
    proxy->answer = answer;
    proxy->listener = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(proxy->listener, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(proxy->listener, 1), 0);
    ck_assert_int_eq(getsockname(proxy->listener, (struct sockaddr *)&address, &size), 0);
    proxy->port = ntohs(address.sin_port);
    ck_assert_int_eq(pthread_create(&proxy->thread, NULL, proxy_run, proxy), 0);
}

static void proxy_end(struct fake_proxy *proxy)
{
    uplink_close(uplink);
    pthread_join(proxy->thread, NULL);
    close(proxy->listener);
}

START_TEST(a_proxy_is_gone_through_with_its_login_and_sees_nothing)
{
    uint16_t port = serve(&(struct certificate_wish){.common_name = "s", .dns_name = "localhost"});
    struct fake_proxy proxy;
    char text[PATH_SIZE], expected[256];

    proxy_start(&proxy, NULL);
    snprintf(text, sizeof text, "http://ada:s3cret@127.0.0.1:%u", proxy.port);
    ck_assert_msg(make("localhost", port, "", "", text) && ask(), "%s", why.text);
    proxy_end(&proxy);
    snprintf(expected, sizeof expected, "CONNECT localhost:%u HTTP/1.1\r\nHost: localhost:%u\r\nProxy-Authorization: Basic YWRhOnMzY3JldA==\r\n\r\n", port, port);
    ck_assert_str_eq(proxy.head, expected);

    proxy_start(&proxy, NULL);
    snprintf(text, sizeof text, "http://127.0.0.1:%u", proxy.port);
    ck_assert_msg(make("localhost", port, "", "", text) && ask(), "%s", why.text);
    proxy_end(&proxy);
    ck_assert_ptr_null(strstr(proxy.head, "Authorization"));
}
END_TEST

START_TEST(a_proxy_that_refuses_or_talks_nonsense_is_told)
{
    static const char *const answers[][2] = {{"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "refuses: HTTP/1.1 407 Proxy Authentication Required"},
                                             {"SSH-2.0-x\r\n\r\n", "refuses: SSH"}, {"", "does not answer in HTTP"}, {"HTTP/1.1 200 OK\r\n", "does not answer in HTTP"}};
    struct fake_proxy proxy;
    char text[PATH_SIZE];

    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        proxy_start(&proxy, answers[i][0]);
        snprintf(text, sizeof text, "http://127.0.0.1:%u", proxy.port);
        ck_assert(make("localhost", 1, "", "", text) && !ask());
        ck_assert_msg(strstr(why.text, answers[i][1]) != NULL, "%s", why.text);
        proxy_end(&proxy);
    }
    static const char *const wrong[] = {"https://p:1", "http://", "http://p:0", "http://p:70000", "socks://p:1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_msg(!make("localhost", 1, "", "", wrong[i]), "%s", wrong[i]);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        our_certificate_is_shown_where_there_is_one,
        files_that_do_not_fit_are_told_at_once,
        an_address_holds_when_the_certificate_has_it,
        what_is_over_or_not_yet_is_not_trusted,
        a_proxy_is_gone_through_with_its_login_and_sees_nothing,
        a_proxy_that_refuses_or_talks_nonsense_is_told,
    };
    const struct check_suite suite = {"agent/uplink", tests, sizeof tests / sizeof *tests, setup, teardown, 60};
    return check_main(&suite);
}
