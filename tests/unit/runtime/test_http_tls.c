#include "runtime/http.h"

#include <check.h>
#include <gnutls/gnutls.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/certificate.h"
#include "tests/support/http_client.h"

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

static const struct http_route routes[] = {
    {"GET", "/hello", 0, hello},
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
    gnutls_certificate_credentials_t credentials;
    gnutls_session_t session;
    size_t count = 0;
    ssize_t got = 1;
    int fd = http_client_connect(port), failed;

    gnutls_certificate_allocate_credentials(&credentials);
    gnutls_init(&session, GNUTLS_CLIENT);
    gnutls_priority_set_direct(session, priorities, NULL);
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
    gnutls_transport_set_int(session, fd);
    do
        failed = gnutls_handshake(session);
    while (failed < 0 && !gnutls_error_is_fatal(failed));
    if (!failed) {
        gnutls_record_send(session, request, sizeof request - 1);
        while (got > 0 && count < out_size - 1)
            if ((got = gnutls_record_recv(session, out + count, out_size - 1 - count)) > 0)
                count += (size_t)got;
    }
    out[count] = 0;
    gnutls_deinit(session);
    gnutls_certificate_free_credentials(credentials);
    close(fd);
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

static void add_tests(TCase *tests)
{
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, tls_1_2_and_1_3_are_served_and_older_ones_not);
    tcase_add_test(tests, client_without_a_handshake_is_cut);
    tcase_add_test(tests, unusable_certificates_are_said);
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
