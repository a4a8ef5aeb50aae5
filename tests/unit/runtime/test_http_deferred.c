#include "runtime/http.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "runtime/clock.h"
#include "tests/support/http_client.h"

#define WORKERS 3
#define CLIENTS 8
#define REQUESTS_EACH 500
#define QUEUE_MAX 64
#define HELD_MAX 16
#define CROWD_MAX 140

/* Exchanges that handlers gave away: workers answer those sent to /later, the test itself those sent to /hold. */
struct fixture {
    struct http_server *server;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct http_exchange *queue[QUEUE_MAX], *held[HELD_MAX];
    size_t queued, held_count;
    bool ending, blocked, released;
    pthread_t workers[WORKERS];
    _Atomic int ended;
};

static struct fixture fixture;

static void count_end(void *context, void *user)
{
    struct fixture *mine = context;
    ck_assert_ptr_eq(user, mine);
    mine->ended++;
}

static void later(void *context, struct http_exchange *exchange)
{
    struct fixture *mine = context;

    http_set_user(exchange, mine);
    http_on_end(exchange, count_end);
    pthread_mutex_lock(&mine->lock);
    ck_assert_uint_lt(mine->queued, QUEUE_MAX);
    mine->queue[mine->queued++] = exchange;
    pthread_cond_broadcast(&mine->changed);
    pthread_mutex_unlock(&mine->lock);
}

static void hold(void *context, struct http_exchange *exchange)
{
    struct fixture *mine = context;

    http_set_user(exchange, mine);
    http_on_end(exchange, count_end);
    pthread_mutex_lock(&mine->lock);
    ck_assert_uint_lt(mine->held_count, HELD_MAX);
    mine->held[mine->held_count++] = exchange;
    pthread_cond_broadcast(&mine->changed);
    pthread_mutex_unlock(&mine->lock);
}

static void now(void *context, struct http_exchange *exchange)
{
    (void)context;
    http_code(exchange, 204);
    http_answer(exchange);
}

/* What no handler should do: it keeps the server's own thread until the test lets it go. */
static void block(void *context, struct http_exchange *exchange)
{
    struct fixture *mine = context;

    pthread_mutex_lock(&mine->lock);
    mine->blocked = true;
    pthread_cond_broadcast(&mine->changed);
    while (!mine->released)
        pthread_cond_wait(&mine->changed, &mine->lock);
    mine->blocked = mine->released = false;
    pthread_mutex_unlock(&mine->lock);
    now(context, exchange);
}

static void reply_to(struct http_exchange *exchange)
{
    buf_text(http_reply_body(exchange, "text/plain"), http_body(exchange));
    http_reply_header(exchange, "X-Id", arena_string(http_arena(exchange), http_parameter(exchange, "id")));
    http_code(exchange, 200);
    http_answer(exchange);
}

static void *worker(void *context)
{
    struct fixture *mine = context;

    pthread_mutex_lock(&mine->lock);
    while (!mine->ending) {
        if (!mine->queued) {
            pthread_cond_wait(&mine->changed, &mine->lock);
            continue;
        }
        struct http_exchange *exchange = mine->queue[--mine->queued];
        pthread_mutex_unlock(&mine->lock);
        reply_to(exchange);
        pthread_mutex_lock(&mine->lock);
    }
    pthread_mutex_unlock(&mine->lock);
    return NULL;
}

static const struct http_route routes[] = {
    {"POST", "/later/:id", 0, later},
    {"POST", "/hold/:id", 0, hold},
    {"GET", "/now", 0, now},
    {"GET", "/block", 0, block},
};

static void open_server_of(unsigned threads, uint32_t request_timeout_ms, uint32_t answer_timeout_ms)
{
    struct http_server_settings settings = {
        .name = "test",
        .address = "127.0.0.1",
        .threads = threads,
        .connections_max = CROWD_MAX + 1,
        .request_timeout_ms = request_timeout_ms,
        .answer_timeout_ms = answer_timeout_ms,
        .body_bytes_max = 100000,
        .body_budget_bytes = 1000000,
        .routes = routes,
        .route_count = sizeof routes / sizeof routes[0],
        .context = &fixture,
    };
    struct problem why;

    memset(&fixture, 0, sizeof fixture);
    pthread_mutex_init(&fixture.lock, NULL);
    pthread_cond_init(&fixture.changed, NULL);
    ck_assert_msg(http_server_open(&settings, &fixture.server, &why) == STATUS_OK, "%s", why.text);
}

static void open_server(uint32_t request_timeout_ms, uint32_t answer_timeout_ms)
{
    open_server_of(2, request_timeout_ms, answer_timeout_ms);
}

static int dial(void)
{
    int fd = http_client_connect(http_server_port(fixture.server));
    ck_assert_int_ge(fd, 0);
    return fd;
}

static struct http_exchange *wait_held(size_t count)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += HTTP_CLIENT_WAIT_MS / 1000;
    pthread_mutex_lock(&fixture.lock);
    while (fixture.held_count < count)
        ck_assert_int_eq(pthread_cond_timedwait(&fixture.changed, &fixture.lock, &until), 0);
    struct http_exchange *last = fixture.held[count - 1];
    pthread_mutex_unlock(&fixture.lock);
    return last;
}

static void wait_ended(int count)
{
    for (int i = 0; i < HTTP_CLIENT_WAIT_MS && fixture.ended < count; i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    ck_assert_int_eq(fixture.ended, count);
}

static void expect_code(int fd, unsigned code, const char *part)
{
    struct http_client_reply reply;
    http_client_reply(fd, false, &reply);
    ck_assert_uint_eq(reply.code, code);
    if (part)
        ck_assert_msg(reply.body.bytes && strstr(reply.body.bytes, part), "%s", reply.body.bytes);
    http_client_reply_done(&reply);
}

/* Every reply must be the one for this very request. */
static void *client(void *failures)
{
    char path[64], body[64];
    int fd = http_client_connect(http_server_port(fixture.server));

    for (int i = 0; i < REQUESTS_EACH; i++) {
        struct http_client_reply reply;
        snprintf(path, sizeof path, "/later/c%d-%d", fd, i);
        snprintf(body, sizeof body, "body of %d on %d", i, fd);
        if (!http_client_request(fd, "POST", path, "", text_of(body)) || !http_client_reply(fd, false, &reply) ||
            reply.code != 200 || !text_equal(http_client_header(&reply, "X-Id"), text_of(path + 7)) ||
            !text_equal(buf_as_text(&reply.body), text_of(body)))
            ++*(_Atomic int *)failures;
        http_client_reply_done(&reply);
    }
    close(fd);
    return NULL;
}

static void workers_start(void)
{
    for (int i = 0; i < WORKERS; i++)
        pthread_create(&fixture.workers[i], NULL, worker, &fixture);
}

static void workers_stop(void)
{
    pthread_mutex_lock(&fixture.lock);
    fixture.ending = true;
    pthread_cond_broadcast(&fixture.changed);
    pthread_mutex_unlock(&fixture.lock);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(fixture.workers[i], NULL);
}

START_TEST(thousands_of_answers_from_other_threads_reach_their_clients)
{
    pthread_t clients[CLIENTS];
    _Atomic int failures = 0;

    open_server(10000, 20000);
    workers_start();
    for (int i = 0; i < CLIENTS; i++)
        pthread_create(&clients[i], NULL, client, &failures);
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(clients[i], NULL);
    ck_assert_int_eq(failures, 0);
    wait_ended(CLIENTS * REQUESTS_EACH);
    workers_stop();
    http_server_close(fixture.server);
}
END_TEST

static void wait_blocked(void)
{
    pthread_mutex_lock(&fixture.lock);
    while (!fixture.blocked)
        pthread_cond_wait(&fixture.changed, &fixture.lock);
    pthread_mutex_unlock(&fixture.lock);
}

static void release(void)
{
    pthread_mutex_lock(&fixture.lock);
    fixture.released = true;
    pthread_cond_broadcast(&fixture.changed);
    pthread_mutex_unlock(&fixture.lock);
}

/* libmicrohttpd takes 128 events at a time and waits for the next lot before it serves any when there were exactly so
 * many: the clients of this test would wait for each other. */
START_TEST(crowd_of_any_size_that_comes_at_once_is_served)
{
    int crowd[CROWD_MAX];

    open_server_of(1, HTTP_CLIENT_WAIT_MS * 4, HTTP_CLIENT_WAIT_MS * 4);
    int first = dial();
    for (size_t i = 0; i < CROWD_MAX; i++) {
        crowd[i] = dial();
        ck_assert(http_client_request(crowd[i], "GET", "/now", "", TEXT_NONE));
        expect_code(crowd[i], 204, NULL);
    }
    for (size_t count = 120; count <= CROWD_MAX; count++) {
        ck_assert(http_client_request(first, "GET", "/block", "", TEXT_NONE));
        wait_blocked();
        for (size_t i = 0; i < count; i++)
            ck_assert(http_client_request(crowd[i], "GET", "/now", "", TEXT_NONE));
        release();
        expect_code(first, 204, NULL);
        for (size_t i = 0; i < count; i++)
            expect_code(crowd[i], 204, NULL);
    }
    for (size_t i = 0; i < CROWD_MAX; i++)
        close(crowd[i]);
    close(first);
    http_server_close(fixture.server);
}
END_TEST

START_TEST(deadline_answers_503_and_a_late_answer_is_harmless)
{
    open_server(10000, 100);
    int fd = dial();
    ck_assert(http_client_request(fd, "POST", "/hold/late", "X-Mine: yes\r\n", TEXT("kept")));
    struct http_exchange *held = wait_held(1);
    ck_assert(!http_abandoned(held));
    expect_code(fd, 503, "\"Timeout\"");
    ck_assert(http_abandoned(held));
    /* The connection is at its next requests, yet all of the late one is still there. */
    for (int i = 0; i < 10; i++) {
        ck_assert(http_client_request(fd, "GET", "/now", "", TEXT_NONE));
        expect_code(fd, 204, NULL);
    }
    ck_assert(text_equal(http_body(held), TEXT("kept")));
    ck_assert(text_equal(http_header(held, "x-mine"), TEXT("yes")));
    ck_assert(text_equal(http_parameter(held, "id"), TEXT("late")));
    ck_assert_int_eq(fixture.ended, 0);
    reply_to(held);
    ck_assert_int_eq(fixture.ended, 1);
    ck_assert(http_client_request(fd, "GET", "/now", "", TEXT_NONE));
    expect_code(fd, 204, NULL);
    close(fd);
    http_server_close(fixture.server);
}
END_TEST

START_TEST(answers_racing_with_their_deadline_end_once)
{
    open_server(10000, 20);
    int fd = dial();
    for (size_t i = 0; i < HELD_MAX; i++) {
        struct http_client_reply reply;
        ck_assert(http_client_request(fd, "POST", "/hold/race", "", TEXT("x")));
        struct http_exchange *held = wait_held(i + 1);
        int64_t until_ms = clock_monotonic_ms() + 18 + (int64_t)(i % 8);
        while (clock_monotonic_ms() < until_ms && !http_abandoned(held)) {
        }
        reply_to(held);
        ck_assert(http_client_reply(fd, false, &reply));
        ck_assert(reply.code == 200 || reply.code == 503);
        http_client_reply_done(&reply);
    }
    wait_ended(HELD_MAX);
    close(fd);
    http_server_close(fixture.server);
    ck_assert_int_eq(fixture.ended, HELD_MAX);
}
END_TEST

START_TEST(slow_and_idle_clients_are_cut)
{
    static const char *const begun[] = {
        "",
        "POST /later/a HTTP/1.1\r\nHost: t\r\nX-Half",
        "POST /later/a HTTP/1.1\r\nHost: t\r\nContent-Length: 50\r\n\r\nonly this",
        "POST /later/a HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
    };
    open_server(200, 10000);
    for (size_t i = 0; i < sizeof begun / sizeof begun[0]; i++) {
        int64_t start_ms = clock_monotonic_ms();
        int fd = dial();
        ck_assert(http_client_send(fd, text_of(begun[i])));
        ck_assert(http_client_closed(fd));
        ck_assert_int_ge(clock_monotonic_ms() - start_ms, 190);
        close(fd);
    }
    http_server_close(fixture.server);
}
END_TEST

START_TEST(trickling_client_is_cut_though_it_is_never_idle)
{
    open_server(300, 10000);
    int fd = dial();
    int64_t start_ms = clock_monotonic_ms();
    /* A byte of a header each 5 ms: far below any idle timeout. */
    bool sent = http_client_send(fd, TEXT("GET /now HTTP/1.1\r\nHost: t\r\nX: "));
    while (sent && clock_monotonic_ms() - start_ms < HTTP_CLIENT_WAIT_MS) {
        sent = http_client_send(fd, TEXT("y"));
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    ck_assert(!sent);
    close(fd);
    http_server_close(fixture.server);
}
END_TEST

START_TEST(waiting_for_an_answer_is_not_being_slow)
{
    open_server(100, 10000);
    int fd = dial();
    ck_assert(http_client_request(fd, "POST", "/hold/a", "", TEXT("x")));
    struct http_exchange *held = wait_held(1);
    /* Another connection that idles is the clock: when it is cut, this one's request timeout is long over. */
    int idle = dial();
    ck_assert(http_client_closed(idle));
    close(idle);
    reply_to(held);
    expect_code(fd, 200, "x");
    ck_assert(http_client_request(fd, "GET", "/now", "", TEXT_NONE));
    expect_code(fd, 204, NULL);
    close(fd);
    http_server_close(fixture.server);
}
END_TEST

START_TEST(client_that_left_while_deferred_is_harmless)
{
    open_server(10000, 10000);
    for (size_t i = 0; i < HELD_MAX; i++) {
        int fd = dial();
        ck_assert(http_client_request(fd, "POST", "/hold/a", "", TEXT("x")));
        struct http_exchange *held = wait_held(i + 1);
        if (i % 2)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger)); /* a reset */
        close(fd);
        reply_to(held);
    }
    wait_ended(HELD_MAX);
    http_server_close(fixture.server);
}
END_TEST

START_TEST(closing_answers_what_is_pending_and_ignores_what_comes_later)
{
    struct http_exchange *held[4];
    int fds[4];

    open_server(10000, 20000);
    for (size_t i = 0; i < 4; i++) {
        fds[i] = dial();
        ck_assert(http_client_request(fds[i], "POST", "/hold/a", "", TEXT("body")));
        held[i] = wait_held(i + 1);
    }
    http_server_close(fixture.server);
    for (size_t i = 0; i < 4; i++) {
        expect_code(fds[i], 503, "\"Unavailable\"");
        close(fds[i]);
        ck_assert(http_abandoned(held[i]));
        ck_assert(text_equal(http_body(held[i]), TEXT("body")));
        reply_to(held[i]);
    }
    ck_assert_int_eq(fixture.ended, 4);
}
END_TEST

/* Sends until the server is gone; anything but our replies and the 503 of a stopping server is a failure. */
static void *pester(void *failures)
{
    int fd = http_client_connect(http_server_port(fixture.server));
    bool open = fd >= 0;

    while (open) {
        struct http_client_reply reply;
        if (!http_client_request(fd, "POST", "/later/x", "", TEXT("body")))
            break;
        open = http_client_reply(fd, false, &reply);
        if (open && reply.code != 200 && reply.code != 503)
            ++*(_Atomic int *)failures;
        open = open && !http_client_header(&reply, "Connection").bytes;
        http_client_reply_done(&reply);
    }
    close(fd);
    return NULL;
}

START_TEST(closing_in_the_middle_of_traffic_is_harmless)
{
    for (int round = 0; round < 10; round++) {
        pthread_t clients[CLIENTS];
        _Atomic int failures = 0;

        open_server(10000, 20000);
        workers_start();
        for (int i = 0; i < CLIENTS; i++)
            pthread_create(&clients[i], NULL, pester, &failures);
        for (int i = 0; i < HTTP_CLIENT_WAIT_MS && fixture.ended < 200; i++)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        http_server_close(fixture.server);
        for (int i = 0; i < CLIENTS; i++)
            pthread_join(clients[i], NULL);
        workers_stop();
        ck_assert_int_eq(failures, 0);
    }
}
END_TEST

static void *drain(void *context)
{
    http_server_drain(((struct fixture *)context)->server);
    return NULL;
}

START_TEST(draining_lets_open_exchanges_finish_but_nobody_in)
{
    pthread_t drainer;
    struct http_client_reply reply;

    open_server(10000, 20000);
    int fd = dial();
    ck_assert(http_client_request(fd, "POST", "/hold/a", "", TEXT("x")));
    struct http_exchange *held = wait_held(1);
    pthread_create(&drainer, NULL, drain, &fixture);
    int other;
    int64_t until_ms = clock_monotonic_ms() + HTTP_CLIENT_WAIT_MS;
    while ((other = http_client_connect(http_server_port(fixture.server))) >= 0 && clock_monotonic_ms() < until_ms)
        close(other);
    ck_assert_int_lt(other, 0);
    reply_to(held);
    ck_assert(http_client_reply(fd, false, &reply));
    ck_assert_uint_eq(reply.code, 200);
    ck_assert(text_equal_nocase(http_client_header(&reply, "Connection"), TEXT("close")));
    http_client_reply_done(&reply);
    pthread_join(drainer, NULL);
    close(fd);
    http_server_close(fixture.server);
}
END_TEST

START_TEST(connections_beyond_the_maximum_wait_for_their_turn)
{
    struct http_server_settings settings = {
        .name = "few", .address = "127.0.0.1", .threads = 1, .connections_max = 2, .request_timeout_ms = 10000,
        .answer_timeout_ms = 10000, .body_bytes_max = 100, .body_budget_bytes = 1000, .routes = routes,
        .route_count = sizeof routes / sizeof routes[0], .context = &fixture};
    struct problem why;
    int fds[3];

    memset(&fixture, 0, sizeof fixture);
    ck_assert_int_eq(http_server_open(&settings, &fixture.server, &why), STATUS_OK);
    for (int i = 0; i < 3; i++) {
        fds[i] = dial();
        ck_assert(http_client_request(fds[i], "GET", "/now", "", TEXT_NONE));
        if (i < 2)
            expect_code(fds[i], 204, NULL);
    }
    close(fds[0]);
    expect_code(fds[2], 204, NULL);
    close(fds[1]);
    close(fds[2]);
    http_server_close(fixture.server);
}
END_TEST

START_TEST(address_has_no_more_connections_than_its_share)
{
    struct http_server_settings settings = {
        .name = "share", .address = "::", .threads = 2, .connections_max = 10, .connections_per_address_max = 2,
        .request_timeout_ms = 10000, .answer_timeout_ms = 10000, .body_bytes_max = 10, .body_budget_bytes = 10,
        .routes = routes, .route_count = sizeof routes / sizeof routes[0], .context = &fixture,
    };
    struct problem why;
    int fds[2];

    ck_assert_msg(http_server_open(&settings, &fixture.server, &why) == STATUS_OK, "%s", why.text);
    for (size_t i = 0; i < 2; i++) {
        fds[i] = dial();
        ck_assert(http_client_request(fds[i], "GET", "/now", "", TEXT_NONE));
        expect_code(fds[i], 204, NULL);
    }
    int third = dial();
    ck_assert(http_client_closed(third));
    close(third);
    close(fds[0]);
    /* The server notices in its own time. */
    for (unsigned code = 0; code != 204;) {
        struct http_client_reply reply;
        int fd = dial();
        http_client_request(fd, "GET", "/now", "", TEXT_NONE); /* or it is cut already */
        http_client_reply(fd, false, &reply);
        code = reply.code;
        http_client_reply_done(&reply);
        close(fd);
    }
    close(fds[1]);
    http_server_close(fixture.server);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, thousands_of_answers_from_other_threads_reach_their_clients);
    tcase_add_test(tests, crowd_of_any_size_that_comes_at_once_is_served);
    tcase_add_test(tests, deadline_answers_503_and_a_late_answer_is_harmless);
    tcase_add_test(tests, answers_racing_with_their_deadline_end_once);
    tcase_add_test(tests, slow_and_idle_clients_are_cut);
    tcase_add_test(tests, trickling_client_is_cut_though_it_is_never_idle);
    tcase_add_test(tests, waiting_for_an_answer_is_not_being_slow);
    tcase_add_test(tests, client_that_left_while_deferred_is_harmless);
    tcase_add_test(tests, closing_answers_what_is_pending_and_ignores_what_comes_later);
    tcase_add_test(tests, closing_in_the_middle_of_traffic_is_harmless);
    tcase_add_test(tests, draining_lets_open_exchanges_finish_but_nobody_in);
    tcase_add_test(tests, connections_beyond_the_maximum_wait_for_their_turn);
    tcase_add_test(tests, address_has_no_more_connections_than_its_share);
}

int main(void)
{
    Suite *suite = suite_create("http_deferred");
    TCase *tests = tcase_create("http_deferred");
    SRunner *runner = srunner_create(suite);

    add_tests(tests);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
