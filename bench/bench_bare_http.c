#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/http.h"
#include "tests/support/http_bare.h"
#include "tests/support/http_load.h"

/* What runtime/http costs on top of libmicrohttpd: requests per second of a bare server, of a route that answers at
 * once, and of one that answers from another thread, as ingest does when the bus has a record. One run, one machine,
 * the same load: the ratios are what counts.
 *
 *   bench_bare_http [seconds each] [connections] [server threads] [body bytes] */

struct answerer {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct http_exchange *newest; /* linked through their user pointers */
    bool ending;
};

static struct http_load_settings load = {.method = "POST", .headers = "Content-Type: application/json\r\n"};

static void at_once(void *context, struct http_exchange *exchange)
{
    (void)context;
    http_code(exchange, 204);
    http_reply_header(exchange, "Picket-Receipt", "direct/0@1234567");
    http_answer(exchange);
}

static void later(void *context, struct http_exchange *exchange)
{
    struct answerer *answerer = context;

    pthread_mutex_lock(&answerer->lock);
    bool idle = !answerer->newest;
    http_set_user(exchange, answerer->newest);
    answerer->newest = exchange;
    if (idle)
        pthread_cond_signal(&answerer->changed);
    pthread_mutex_unlock(&answerer->lock);
}

static void *answer_all(void *context)
{
    struct answerer *answerer = context;

    pthread_mutex_lock(&answerer->lock);
    while (!answerer->ending) {
        struct http_exchange *exchange = answerer->newest, *next;
        answerer->newest = NULL;
        if (!exchange) {
            pthread_cond_wait(&answerer->changed, &answerer->lock);
            continue;
        }
        pthread_mutex_unlock(&answerer->lock);
        for (; exchange; exchange = next) {
            next = http_user(exchange);
            at_once(NULL, exchange);
        }
        pthread_mutex_lock(&answerer->lock);
    }
    pthread_mutex_unlock(&answerer->lock);
    return NULL;
}

static double measure(const char *name, uint16_t port, const char *path)
{
    struct http_load_result result;
    struct problem why;
    struct buf line;

    load.port = port;
    load.path = path;
    if (http_load_run(&load, &result, &why) != STATUS_OK) {
        fprintf(stderr, "%s: %s\n", name, why.text);
        exit(1);
    }
    buf_init(&line, 1024);
    http_load_print(&result, &line);
    printf("%-10s %s\n", name, line.bytes);
    buf_done(&line);
    return result.requests_per_second;
}

static double measure_bare(unsigned threads)
{
    struct http_bare *bare = NULL;
    struct problem why;

    if (http_bare_open(threads, &bare, &why) != STATUS_OK) {
        fprintf(stderr, "%s\n", why.text);
        exit(1);
    }
    double rate = measure("bare", http_bare_port(bare), "/devices/d1/messages/events");
    http_bare_close(bare);
    return rate;
}

static void measure_layer(unsigned threads, double bare)
{
    static const struct http_route routes[] = {
        {"GET", "/healthz", 0, at_once},
        {"POST", "/devices/:id/messages/events", 0, at_once},
        {"POST", "/devices/:id/messages/later", 0, later},
    };
    struct answerer answerer = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, false};
    struct http_server_settings settings = {.name = "bench", .address = "127.0.0.1", .threads = threads,
                                            .connections_max = 10000, .request_timeout_ms = 30000,
                                            .answer_timeout_ms = 20000, .body_bytes_max = 262144,
                                            .body_budget_bytes = 256 << 20, .routes = routes, .route_count = 3,
                                            .context = &answerer};
    struct http_server *server = NULL;
    struct problem why;
    pthread_t thread;

    if (http_server_open(&settings, &server, &why) != STATUS_OK || pthread_create(&thread, NULL, answer_all, &answerer)) {
        fprintf(stderr, "%s\n", why.text);
        exit(1);
    }
    double layer = measure("at_once", http_server_port(server), "/devices/d1/messages/events");
    double deferred = measure("later", http_server_port(server), "/devices/d1/messages/later");
    printf("ratio      at_once_to_bare=%.2f later_to_bare=%.2f\n", layer / bare, deferred / bare);
    http_server_close(server);
    pthread_mutex_lock(&answerer.lock);
    answerer.ending = true;
    pthread_cond_signal(&answerer.changed);
    pthread_mutex_unlock(&answerer.lock);
    pthread_join(thread, NULL);
}

static unsigned argument(char **arguments, int count, int index, unsigned otherwise)
{
    return index < count ? (unsigned)strtoul(arguments[index], NULL, 10) : otherwise;
}

int main(int count, char **arguments)
{
    static char body[262144];
    unsigned seconds = argument(arguments, count, 1, 3), threads = argument(arguments, count, 3, 2);
    size_t body_bytes = argument(arguments, count, 4, 512);

    if (seconds == 0 || threads == 0 || body_bytes > sizeof body) {
        fprintf(stderr, "usage: %s [seconds each] [connections] [server threads] [body bytes]\n", arguments[0]);
        return 2;
    }
    memset(body, 'x', sizeof body);
    load.duration_ms = seconds * 1000;
    load.connections = argument(arguments, count, 2, 64);
    load.body = (struct text){body, body_bytes};
    measure_layer(threads, measure_bare(threads));
    return 0;
}
