#include "runtime/http.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/http_client.h"

#define BODY_MAX 100000
#define BUDGET 150000

/* One server per test; held exchanges are answered by the test itself, so at most one is needed. */
struct fixture {
    struct http_server *server;
    struct http_exchange *_Atomic held;
    _Atomic int admitted, ended;
};

static struct fixture fixture;

static void hello(void *context, struct http_exchange *exchange)
{
    (void)context;
    buf_string(http_reply_body(exchange, "text/plain"), "hello");
    http_reply_header(exchange, "X-Peer", http_peer(exchange));
    http_code(exchange, 200);
    http_answer(exchange);
}

static void echo(void *context, struct http_exchange *exchange)
{
    (void)context;
    buf_text(http_reply_body(exchange, "application/octet-stream"), http_body(exchange));
    http_code(exchange, 200);
    http_answer(exchange);
}

/* Everything a handler can see, a line each. */
static void show(void *context, struct http_exchange *exchange)
{
    struct buf *body = http_reply_body(exchange, "text/plain");

    (void)context;
    buf_format(body, "method=%.*s\n", TEXT_ARGS(http_method(exchange)));
    buf_format(body, "path=%.*s\n", TEXT_ARGS(http_path(exchange)));
    buf_format(body, "id=%.*s\n", TEXT_ARGS(http_parameter(exchange, "id")));
    buf_format(body, "rest=%.*s\n", TEXT_ARGS(http_parameter(exchange, "rest")));
    buf_format(body, "q=%.*s\n", TEXT_ARGS(http_query(exchange, "q")));
    buf_format(body, "flag=%s\n", http_query(exchange, "flag").bytes ? "there" : "absent");
    buf_format(body, "x-test=%.*s\n", TEXT_ARGS(http_header(exchange, "X-TEST")));
    buf_format(body, "cookie=%.*s\n", TEXT_ARGS(http_cookie(exchange, "session")));
    http_code(exchange, 200);
    http_answer(exchange);
}

static void no_content(void *context, struct http_exchange *exchange)
{
    (void)context;
    buf_string(http_reply_body(exchange, "text/plain"), "must not be sent");
    http_code(exchange, 204);
    http_reply_header(exchange, "Picket-Receipt", "direct/0@7");
    http_answer(exchange);
}

static void status_reply(void *context, struct http_exchange *exchange)
{
    struct text which = http_parameter(exchange, "id");
    struct problem why;

    (void)context;
    enum status status = problem_set(&why, text_equal(which, TEXT("reject"))  ? STATUS_REJECT
                                           : text_equal(which, TEXT("retry")) ? STATUS_RETRY
                                                                              : STATUS_FAULT,
                                     "the inner \"reason\"");
    http_reply_status(exchange, status, &why);
    http_answer(exchange);
}

static void count_end(void *context, void *user)
{
    struct fixture *mine = context;
    (void)user;
    mine->ended++;
}

static void hold(void *context, struct http_exchange *exchange)
{
    struct fixture *mine = context;
    http_on_end(exchange, count_end);
    mine->held = exchange;
}

static bool admit(void *context, struct http_exchange *exchange, const struct http_route *route)
{
    struct fixture *mine = context;

    mine->admitted++;
    if (route->role == 0)
        return true;
    http_reply_error(exchange, 401, "Unauthorized", "No.", 0, 0);
    return false;
}

static const struct http_route routes[] = {
    {"GET", "/hello", 0, hello},
    {"POST", "/echo", 0, echo},
    {"GET", "/devices/:id", 0, show},
    {"DELETE", "/devices/:id", 0, no_content},
    {"PUT", "/devices/:id/modules/:rest", 0, show},
    {"GET", "/files/:rest*", 0, show},
    {"GET", "/status/:id", 0, status_reply},
    {"POST", "/secret", 1, echo},
    {"POST", "/hold", 0, hold},
};

static struct http_server_settings plain_settings(void)
{
    return (struct http_server_settings){
        .name = "test",
        .address = "127.0.0.1",
        .threads = 2,
        .connections_max = 100,
        .request_timeout_ms = 5000,
        .answer_timeout_ms = 10000,
        .body_bytes_max = BODY_MAX,
        .body_budget_bytes = BUDGET,
        .routes = routes,
        .route_count = sizeof routes / sizeof routes[0],
        .context = &fixture,
        .admit = admit,
    };
}

static void set_up(void)
{
    struct http_server_settings settings = plain_settings();
    struct problem why;

    fixture.held = NULL;
    fixture.admitted = fixture.ended = 0;
    ck_assert_msg(http_server_open(&settings, &fixture.server, &why) == STATUS_OK, "%s", why.text);
}

static void tear_down(void)
{
    http_server_close(fixture.server);
    fixture.server = NULL;
}

static int dial(void)
{
    int fd = http_client_connect(http_server_port(fixture.server));
    ck_assert_int_ge(fd, 0);
    return fd;
}

/* One request on a connection of its own. */
static void ask(const char *method, const char *path, const char *headers, struct text body,
                struct http_client_reply *reply)
{
    int fd = dial();
    ck_assert(http_client_request(fd, method, path, headers, body));
    ck_assert(http_client_reply(fd, strcmp(method, "HEAD") == 0, reply));
    close(fd);
}

static void assert_has(const struct http_client_reply *reply, const char *part)
{
    ck_assert_msg(reply->body.bytes && strstr(reply->body.bytes, part), "%s is not in %s", part,
                  reply->body.bytes ? reply->body.bytes : "nothing");
}

static void assert_error(const struct http_client_reply *reply, unsigned code, const char *name)
{
    ck_assert_uint_eq(reply->code, code);
    ck_assert(text_equal(http_client_header(reply, "Content-Type"), TEXT("application/json")));
    assert_has(reply, "{\"error\":{\"code\":\"");
    assert_has(reply, name);
}

static struct text long_body(size_t count)
{
    static char bytes[4 << 20];
    ck_assert_uint_le(count, sizeof bytes);
    memset(bytes, 'x', sizeof bytes);
    return (struct text){bytes, count};
}

static struct http_exchange *wait_held(void)
{
    for (int i = 0; i < HTTP_CLIENT_WAIT_MS && !fixture.held; i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    ck_assert_ptr_nonnull(fixture.held);
    return fixture.held;
}

START_TEST(route_answers_with_its_body)
{
    struct http_client_reply reply;
    ask("GET", "/hello", "", TEXT_NONE, &reply);
    ck_assert_uint_eq(reply.code, 200);
    ck_assert_str_eq(reply.body.bytes, "hello");
    ck_assert(text_equal(http_client_header(&reply, "content-type"), TEXT("text/plain")));
    ck_assert(text_equal(http_client_header(&reply, "x-peer"), TEXT("127.0.0.1")));
    http_client_reply_done(&reply);
}
END_TEST

START_TEST(parameters_are_decoded_and_the_path_is_as_sent)
{
    struct http_client_reply reply;
    ask("GET", "/devices/a%2Fb%20c", "", TEXT_NONE, &reply);
    assert_has(&reply, "path=/devices/a%2Fb%20c\n");
    assert_has(&reply, "id=a/b c\n");
    http_client_reply_done(&reply);

    ask("PUT", "/devices/d1/modules/m2", "", TEXT_NONE, &reply);
    assert_has(&reply, "id=d1\nrest=m2\n");
    http_client_reply_done(&reply);
}
END_TEST

START_TEST(last_parameter_with_a_star_takes_slashes)
{
    struct http_client_reply reply;
    ask("GET", "/files/views/a.js", "", TEXT_NONE, &reply);
    assert_has(&reply, "rest=views/a.js\n");
    http_client_reply_done(&reply);
    ask("GET", "/files/", "", TEXT_NONE, &reply);
    assert_has(&reply, "rest=\n");
    http_client_reply_done(&reply);
}
END_TEST

START_TEST(query_headers_and_cookies_are_found)
{
    struct http_client_reply reply;
    ask("GET", "/devices/d1?q=a+b%2Bc&flag", "x-Test: one, two\r\nCookie: a=b; session=s3cret\r\n", TEXT_NONE, &reply);
    assert_has(&reply, "path=/devices/d1\n");
    assert_has(&reply, "q=a b+c\nflag=there\nx-test=one, two\ncookie=s3cret\n");
    http_client_reply_done(&reply);
}
END_TEST

START_TEST(unknown_paths_are_404)
{
    static const char *const paths[] = {"/", "/hell", "/hello/", "/devices/", "/devices/a/b", "/files", "//hello"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct http_client_reply reply;
        ask("GET", paths[i], "", TEXT_NONE, &reply);
        assert_error(&reply, 404, "NotFound");
        http_client_reply_done(&reply);
    }
    ck_assert_int_eq(fixture.admitted, 0);
}
END_TEST

START_TEST(another_method_is_405_and_says_which)
{
    struct http_client_reply reply;
    ask("POST", "/devices/d1", "", TEXT("body"), &reply);
    assert_error(&reply, 405, "MethodNotAllowed");
    ck_assert(text_equal(http_client_header(&reply, "Allow"), TEXT("GET, DELETE, HEAD")));
    http_client_reply_done(&reply);
}
END_TEST

START_TEST(head_is_served_as_get_without_the_body)
{
    struct http_client_reply reply;
    int fd = dial();
    ck_assert(http_client_request(fd, "HEAD", "/hello", "", TEXT_NONE));
    ck_assert(http_client_reply(fd, true, &reply));
    ck_assert_uint_eq(reply.code, 200);
    ck_assert(text_equal(http_client_header(&reply, "Content-Length"), TEXT("5")));
    http_client_reply_done(&reply);
    /* Were the body sent, the next reply would begin with it. */
    ck_assert(http_client_request(fd, "GET", "/hello", "", TEXT_NONE));
    ck_assert(http_client_reply(fd, false, &reply));
    ck_assert_uint_eq(reply.code, 200);
    http_client_reply_done(&reply);
    close(fd);
}
END_TEST

START_TEST(broken_escapes_are_400)
{
    struct http_client_reply reply;
    ask("GET", "/devices/a%2", "", TEXT_NONE, &reply);
    assert_error(&reply, 400, "BadRequest");
    http_client_reply_done(&reply);
    ask("GET", "/devices/a?q=%zz", "", TEXT_NONE, &reply);
    assert_error(&reply, 400, "BadRequest");
    http_client_reply_done(&reply);
}
END_TEST

START_TEST(code_204_has_headers_but_no_body)
{
    struct http_client_reply reply;
    int fd = dial();
    for (int i = 0; i < 2; i++) {
        ck_assert(http_client_request(fd, "DELETE", "/devices/d1", "", TEXT_NONE));
        ck_assert(http_client_reply(fd, false, &reply));
        ck_assert_uint_eq(reply.code, 204);
        ck_assert(text_equal(http_client_header(&reply, "Picket-Receipt"), TEXT("direct/0@7")));
        ck_assert_ptr_null(http_client_header(&reply, "Content-Type").bytes);
        http_client_reply_done(&reply);
    }
    close(fd);
}
END_TEST

START_TEST(each_status_has_its_code)
{
    struct http_client_reply reply;
    ask("GET", "/status/reject", "", TEXT_NONE, &reply);
    assert_error(&reply, 400, "the inner \\\"reason\\\"");
    http_client_reply_done(&reply);
    ask("GET", "/status/retry", "", TEXT_NONE, &reply);
    assert_error(&reply, 503, "Unavailable");
    ck_assert_ptr_nonnull(http_client_header(&reply, "Retry-After").bytes);
    http_client_reply_done(&reply);
    ask("GET", "/status/fault", "", TEXT_NONE, &reply);
    assert_error(&reply, 500, "InternalError");
    ck_assert_ptr_null(strstr(reply.body.bytes, "reason"));
    http_client_reply_done(&reply);
}
END_TEST

START_TEST(connection_is_reused_for_many_requests)
{
    char body[64];
    int fd = dial();
    for (int i = 0; i < 500; i++) {
        struct http_client_reply reply;
        snprintf(body, sizeof body, "request %d", i);
        ck_assert(http_client_request(fd, "POST", "/echo", "", text_of(body)));
        ck_assert(http_client_reply(fd, false, &reply));
        ck_assert_str_eq(reply.body.bytes, body);
        http_client_reply_done(&reply);
    }
    close(fd);
}
END_TEST

START_TEST(bodies_up_to_the_limit_arrive_whole)
{
    for (size_t count = BODY_MAX - 1; count <= BODY_MAX; count++) {
        struct http_client_reply reply;
        ask("POST", "/echo", "", long_body(count), &reply);
        ck_assert_uint_eq(reply.code, 200);
        ck_assert_uint_eq(reply.body.count, count);
        http_client_reply_done(&reply);
    }
}
END_TEST

START_TEST(expect_100_continue_is_followed)
{
    struct http_client_reply reply;
    ask("POST", "/echo", "Expect: 100-continue\r\n", TEXT("body"), &reply);
    ck_assert_str_eq(reply.body.bytes, "body");
    http_client_reply_done(&reply);
}
END_TEST

START_TEST(chunks_are_put_together)
{
    struct http_client_reply reply;
    int fd = dial();
    ck_assert(http_client_send(fd, TEXT("POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
                                        "4\r\nabcd\r\n3\r\nefg\r\n0\r\n\r\n")));
    ck_assert(http_client_reply(fd, false, &reply));
    ck_assert_str_eq(reply.body.bytes, "abcdefg");
    http_client_reply_done(&reply);
    close(fd);
}
END_TEST

START_TEST(refused_by_admit_before_the_body_is_sent)
{
    static const char *const headers[] = {"Content-Length: 90000\r\n", "Content-Length: 5\r\nExpect: 100-continue\r\n",
                                          "Transfer-Encoding: chunked\r\n"};
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        struct http_client_reply reply;
        int fd = dial();
        ck_assert(http_client_request(fd, "POST", "/secret", headers[i], TEXT_NONE));
        ck_assert(http_client_reply(fd, false, &reply));
        assert_error(&reply, 401, "Unauthorized");
        http_client_reply_done(&reply);
        close(fd);
    }
}
END_TEST

START_TEST(refused_short_body_leaves_the_connection_usable)
{
    int fd = dial();
    for (int i = 0; i < 3; i++) {
        struct http_client_reply reply;
        ck_assert(http_client_request(fd, "POST", "/secret", "", TEXT("short")));
        ck_assert(http_client_reply(fd, false, &reply));
        assert_error(&reply, 401, "Unauthorized");
        http_client_reply_done(&reply);
    }
    close(fd);
}
END_TEST

START_TEST(length_over_the_limit_is_413_before_the_body_is_sent)
{
    struct http_client_reply reply;
    int fd = dial();
    ck_assert(http_client_request(fd, "POST", "/echo", "Content-Length: 100001\r\n", TEXT_NONE));
    ck_assert(http_client_reply(fd, false, &reply));
    assert_error(&reply, 413, "BodyTooLarge");
    http_client_reply_done(&reply);
    close(fd);
}
END_TEST

START_TEST(client_that_sends_all_of_a_refused_body_still_gets_its_413)
{
    for (int i = 0; i < 20; i++) {
        struct http_client_reply reply;
        int fd = dial();
        ck_assert(http_client_request(fd, "POST", "/echo", "", long_body(1 << 20)));
        ck_assert(http_client_reply(fd, false, &reply));
        assert_error(&reply, 413, "BodyTooLarge");
        http_client_reply_done(&reply);
        close(fd);
    }
}
END_TEST

START_TEST(chunks_over_the_limit_are_413)
{
    struct http_client_reply reply;
    struct text piece = long_body(50000);
    int fd = dial();
    ck_assert(http_client_send(fd, TEXT("POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")));
    for (int i = 0; i < 3; i++) {
        ck_assert(http_client_send(fd, TEXT("C350\r\n")));
        ck_assert(http_client_send(fd, piece));
        ck_assert(http_client_send(fd, TEXT("\r\n")));
    }
    ck_assert(http_client_send(fd, TEXT("0\r\n\r\n")));
    ck_assert(http_client_reply(fd, false, &reply));
    assert_error(&reply, 413, "BodyTooLarge");
    http_client_reply_done(&reply);
    close(fd);
}
END_TEST

START_TEST(bodies_over_the_budget_are_503_until_one_is_gone)
{
    struct http_client_reply reply;
    int fd = dial();
    ck_assert(http_client_request(fd, "POST", "/hold", "", long_body(90000)));
    struct http_exchange *held = wait_held();

    ask("POST", "/echo", "", long_body(80000), &reply);
    assert_error(&reply, 503, "Busy");
    ck_assert_ptr_nonnull(http_client_header(&reply, "Retry-After").bytes);
    http_client_reply_done(&reply);
    ask("POST", "/echo", "", long_body(10000), &reply);
    ck_assert_uint_eq(reply.code, 200);
    http_client_reply_done(&reply);

    http_answer(held);
    ck_assert(http_client_reply(fd, false, &reply));
    http_client_reply_done(&reply);
    /* The reply is sent just before its body is given back. */
    for (int i = 0; i < 1000 && !fixture.ended; i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    ask("POST", "/echo", "", long_body(80000), &reply);
    ck_assert_uint_eq(reply.code, 200);
    http_client_reply_done(&reply);
    close(fd);
}
END_TEST

START_TEST(chunks_over_the_budget_are_503)
{
    struct http_client_reply reply;
    struct text piece = long_body(0xC350);
    int holder = dial(), fd = dial();
    ck_assert(http_client_request(holder, "POST", "/hold", "", long_body(99000)));
    struct http_exchange *held = wait_held();
    ck_assert(http_client_send(fd, TEXT("POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")));
    for (int i = 0; i < 2; i++) {
        ck_assert(http_client_send(fd, TEXT("C350\r\n")));
        ck_assert(http_client_send(fd, piece));
        ck_assert(http_client_send(fd, TEXT("\r\n")));
    }
    ck_assert(http_client_send(fd, TEXT("0\r\n\r\n")));
    ck_assert(http_client_reply(fd, false, &reply));
    assert_error(&reply, 503, "Busy");
    http_client_reply_done(&reply);
    http_answer(held);
    close(fd);
    close(holder);
}
END_TEST

START_TEST(contradicting_lengths_are_400)
{
    static const char *const headers[] = {"Content-Length: 4\r\nContent-Length: 5\r\n",
                                          "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
                                          "Transfer-Encoding: gzip\r\n"};
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        struct http_client_reply reply;
        int fd = dial();
        ck_assert(http_client_request(fd, "POST", "/echo", headers[i], TEXT_NONE));
        ck_assert(http_client_reply(fd, false, &reply));
        assert_error(&reply, 400, "BadRequest");
        http_client_reply_done(&reply);
        close(fd);
    }
}
END_TEST

START_TEST(more_than_a_hundred_fields_are_431)
{
    struct http_client_reply reply;
    struct buf headers;
    buf_init(&headers, 100000);
    for (int i = 0; i < 120; i++)
        buf_format(&headers, "X-%d: y\r\n", i);
    ask("GET", "/hello", headers.bytes, TEXT_NONE, &reply);
    assert_error(&reply, 431, "TooManyFields");
    http_client_reply_done(&reply);
    buf_done(&headers);
}
END_TEST

START_TEST(body_that_ends_early_is_dropped)
{
    struct http_client_reply reply;
    int fd = dial();
    ck_assert(http_client_send(fd, TEXT("POST /hold HTTP/1.1\r\nHost: t\r\nContent-Length: 50\r\n\r\nonly this")));
    close(fd);
    ask("GET", "/hello", "", TEXT_NONE, &reply);
    ck_assert_uint_eq(reply.code, 200);
    ck_assert_ptr_null(fixture.held);
    http_client_reply_done(&reply);
}
END_TEST

START_TEST(taken_port_is_said)
{
    struct http_server_settings settings = plain_settings();
    struct http_server *second = NULL;
    struct problem why;
    settings.port = http_server_port(fixture.server);
    ck_assert_int_eq(http_server_open(&settings, &second, &why), STATUS_REJECT);
    ck_assert_ptr_null(second);
    ck_assert_ptr_nonnull(strstr(why.text, "taken"));
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, route_answers_with_its_body);
    tcase_add_test(tests, parameters_are_decoded_and_the_path_is_as_sent);
    tcase_add_test(tests, last_parameter_with_a_star_takes_slashes);
    tcase_add_test(tests, query_headers_and_cookies_are_found);
    tcase_add_test(tests, unknown_paths_are_404);
    tcase_add_test(tests, another_method_is_405_and_says_which);
    tcase_add_test(tests, head_is_served_as_get_without_the_body);
    tcase_add_test(tests, broken_escapes_are_400);
    tcase_add_test(tests, code_204_has_headers_but_no_body);
    tcase_add_test(tests, each_status_has_its_code);
    tcase_add_test(tests, connection_is_reused_for_many_requests);
    tcase_add_test(tests, bodies_up_to_the_limit_arrive_whole);
    tcase_add_test(tests, expect_100_continue_is_followed);
    tcase_add_test(tests, chunks_are_put_together);
    tcase_add_test(tests, refused_by_admit_before_the_body_is_sent);
    tcase_add_test(tests, refused_short_body_leaves_the_connection_usable);
    tcase_add_test(tests, length_over_the_limit_is_413_before_the_body_is_sent);
    tcase_add_test(tests, client_that_sends_all_of_a_refused_body_still_gets_its_413);
    tcase_add_test(tests, chunks_over_the_limit_are_413);
    tcase_add_test(tests, bodies_over_the_budget_are_503_until_one_is_gone);
    tcase_add_test(tests, chunks_over_the_budget_are_503);
    tcase_add_test(tests, contradicting_lengths_are_400);
    tcase_add_test(tests, more_than_a_hundred_fields_are_431);
    tcase_add_test(tests, body_that_ends_early_is_dropped);
    tcase_add_test(tests, taken_port_is_said);
}

int main(void)
{
    Suite *suite = suite_create("http");
    TCase *tests = tcase_create("http");
    SRunner *runner = srunner_create(suite);

    add_tests(tests);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
