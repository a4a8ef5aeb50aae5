#include "runtime/http.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/certificate.h"
#include "tests/support/certificate_authority.h"
#include "tests/support/http_client.h"
#include "tests/support/https_client.h"

static void hello(void *context, struct http_exchange *exchange)
{
    (void)context;
    buf_string(http_reply_body(exchange, "text/plain"), "hello");
    http_answer(exchange);
}

static void *answer_later(void *exchange)
{
    http_answer(exchange);
    return NULL;
}

static void later(void *context, struct http_exchange *exchange)
{
    pthread_t thread;

    (void)context;
    buf_string(http_reply_body(exchange, "text/plain"), "later");
    http_code(exchange, 200);
    ck_assert_int_eq(pthread_create(&thread, NULL, answer_later, exchange), 0);
    pthread_detach(thread);
}

static void chain_tell(void *context, struct http_exchange *exchange)
{
    struct text chain[TLS_CHAIN_MAX];

    (void)context;
    size_t count = http_client_chain(exchange, chain);
    buf_format(http_reply_body(exchange, "text/plain"), "chain of %zu, %zu bytes;", count, count ? chain[0].count : 0);
    http_answer(exchange);
}

static const struct http_route routes[] = {
    {"GET", "/hello", 0, hello},
    {"GET", "/chain", 0, chain_tell},
    {"GET", "/later", 0, later},
};

static struct http_server_settings tls_settings(void)
{
    return (struct http_server_settings){
        .name = "test",
        .address = "::",
        .threads = 2,
        .connections_max = 100,
        .request_timeout_ms = 5000,
        .answer_timeout_ms = 10000,
        .body_bytes_max = 1000,
        .body_budget_bytes = 10000,
        .routes = routes,
        .route_count = sizeof routes / sizeof routes[0],
    };
}

/* Two requests on one connection over TLS; what came, or "" when the handshake failed. */
static void tls_ask(uint16_t port, const char *priorities, char *out, size_t out_size)
{
    static const char request[] = "GET /later HTTP/1.1\r\nHost: t\r\n\r\n"
                                  "GET /hello HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";

    https_client_ask(port, priorities, NULL, NULL, request, out, out_size);
}

START_TEST(tls_1_2_and_1_3_are_served_and_older_ones_not)
{
    struct http_server_settings settings = tls_settings();
    struct certificate certificate;
    struct http_server *server = NULL;
    struct problem why;
    char reply[4096];

    certificate_make(&certificate);
    settings.tls_certificate_file = certificate.certificate_file;
    settings.tls_key_file = certificate.key_file;
    ck_assert_msg(http_server_open(&settings, &server, &why) == STATUS_OK, "%s", why.text);
    tls_ask(http_server_port(server), "NORMAL:-VERS-ALL:+VERS-TLS1.3", reply, sizeof reply);
    ck_assert_ptr_nonnull(strstr(reply, "hello"));
    tls_ask(http_server_port(server), "NORMAL:-VERS-ALL:+VERS-TLS1.2", reply, sizeof reply);
    ck_assert_ptr_nonnull(strstr(reply, "later"));
    ck_assert_ptr_nonnull(strstr(reply, "hello"));
    tls_ask(http_server_port(server), "LEGACY:-VERS-ALL:+VERS-TLS1.1", reply, sizeof reply);
    ck_assert_str_eq(reply, "");
    http_server_close(server);
    certificate_remove(&certificate);
}
END_TEST

START_TEST(client_without_a_handshake_is_cut)
{
    struct http_server_settings settings = tls_settings();
    struct certificate certificate;
    struct http_server *server = NULL;
    struct problem why;

    certificate_make(&certificate);
    settings.tls_certificate_file = certificate.certificate_file;
    settings.tls_key_file = certificate.key_file;
    settings.request_timeout_ms = 100;
    ck_assert_int_eq(http_server_open(&settings, &server, &why), STATUS_OK);
    int fd = http_client_connect(http_server_port(server));
    ck_assert(http_client_closed(fd));
    close(fd);
    http_server_close(server);
    certificate_remove(&certificate);
}
END_TEST

START_TEST(unusable_certificates_are_said)
{
    struct http_server_settings settings = tls_settings();
    struct certificate one, other;
    struct http_server *server = NULL;
    struct problem why;

    certificate_make(&one);
    certificate_make(&other);
    settings.tls_certificate_file = one.certificate_file;
    settings.tls_key_file = other.key_file;
    ck_assert_int_eq(http_server_open(&settings, &server, &why), STATUS_REJECT);
    ck_assert_ptr_nonnull(strstr(why.text, other.key_file));
    settings.tls_key_file = "/nonexistent/key.pem";
    ck_assert_int_eq(http_server_open(&settings, &server, &why), STATUS_REJECT);
    ck_assert_ptr_nonnull(strstr(why.text, "/nonexistent/key.pem"));
    certificate_remove(&one);
    certificate_remove(&other);
}
END_TEST

/* Asked twice on one connection, of a server that asks for a certificate or does not. */
static const char *chain_told(bool ask, const char *priorities, const struct issued *client)
{
    static const char request[] = "GET /chain HTTP/1.1\r\nHost: t\r\n\r\n"
                                  "GET /chain HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
    static char reply[4096];
    struct http_server_settings settings = tls_settings();
    struct certificate certificate;
    struct http_server *server = NULL;
    struct problem why;

    certificate_make(&certificate);
    settings.tls_certificate_file = certificate.certificate_file;
    settings.tls_key_file = certificate.key_file;
    settings.ask_client_certificate = ask;
    ck_assert_msg(http_server_open(&settings, &server, &why) == STATUS_OK, "%s", why.text);
    https_client_ask(http_server_port(server), priorities, client ? certificate_authority_pem(client) : NULL,
                     client ? certificate_authority_key_pem(client) : NULL, request, reply, sizeof reply);
    http_server_close(server);
    certificate_remove(&certificate);
    return reply;
}

static size_t times_in(const char *reply, const char *part)
{
    size_t times = 0;

    for (const char *at = reply; (at = strstr(at, part)); at++)
        times++;
    return times;
}

START_TEST(certificate_of_a_client_is_there_in_every_request)
{
    static const char *const versions[] = {"NORMAL:-VERS-ALL:+VERS-TLS1.3", "NORMAL:-VERS-ALL:+VERS-TLS1.2"};
    const struct certificate_wish wish = {.common_name = "client of an authority that nobody named"};
    struct issued *client = certificate_authority_issue(&wish, NULL);
    char told[64];

    snprintf(told, sizeof told, "chain of 1, %zu bytes;", certificate_authority_der(client).count);
    for (size_t i = 0; i < 2; i++) {
        ck_assert_uint_eq(times_in(chain_told(true, versions[i], client), told), 2);
        ck_assert_uint_eq(times_in(chain_told(true, versions[i], NULL), "chain of 0,"), 2);
        ck_assert_uint_eq(times_in(chain_told(false, versions[i], client), "chain of 0,"), 2);
    }
    certificate_authority_free(client);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, tls_1_2_and_1_3_are_served_and_older_ones_not);
    tcase_add_test(tests, client_without_a_handshake_is_cut);
    tcase_add_test(tests, unusable_certificates_are_said);
    tcase_add_test(tests, certificate_of_a_client_is_there_in_every_request);
}

int main(void)
{
    Suite *suite = suite_create("http_tls");
    TCase *tests = tcase_create("http_tls");
    SRunner *runner = srunner_create(suite);

    add_tests(tests);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
