#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "runtime/clock.h"
#include "tests/support/broker.h"
#include "tests/support/classic_message.h"
#include "tests/support/database.h"
#include "tests/support/http_load.h"
#include "tests/support/pipeline.h"

/* How soon an alert is a row: from the answer to its message, over HTTP and a real Kafka, while other devices send 5,000 events a second.
 *
 *   bench_alerts [probes] */

#define LIMIT_MS 2000.0 /* of the 99th percentile */
#define DEVICES 64
#define EVENTS 10
#define MESSAGES_PER_SECOND 500
#define PROBES_MAX 2000
#define WAIT_MS 20000
#define REQUEST_SIZE 16384

static const char *const unlimited[] = {"messages_per_second: 0", "bytes_per_second: 0", NULL};
static _Atomic bool stopping;
static char authorizations[DEVICES][1200];
static uint64_t sent;
static int64_t began_us;

/* Holds the sender back to its rate; after the end it only waits for what is under way. */
static void request_write(void *context, unsigned connection, uint64_t number, struct buf *out)
{
    struct buf body;
    int64_t due_us = began_us + (int64_t)number * (1000000 / MESSAGES_PER_SECOND), now_us = clock_utc_us();
    char id[32];

    (void)context;
    (void)connection;
    if (now_us < due_us) {
        const struct timespec pause = {0, (long)(due_us - now_us < 900000 ? due_us - now_us : 900000) * 1000};
        nanosleep(&pause, NULL);
    }
    buf_init(&body, REQUEST_SIZE);
    classic_message_append(&body, EVENTS, number + 1);
    snprintf(id, sizeof id, "device-%u", (unsigned)(1 + number % (DEVICES - 1)));
    buf_format(out,
               "POST /devices/%s/messages/events?api-version=2020-03-13 HTTP/1.1\r\nHost: localhost\r\nAuthorization: %s\r\nContent-Type: application/json\r\n"
               "Content-Length: %zu\r\n\r\n",
               id, authorizations[1 + number % (DEVICES - 1)], body.count);
    buf_text(out, buf_as_text(&body));
    buf_done(&body);
    sent = number + 1;
}

static void *load_run(void *context)
{
    const struct http_load_settings *load = context;
    struct http_load_result result;
    struct problem why;

    if (http_load_run(load, &result, &why))
        fprintf(stderr, "bench_alerts: %s\n", why.text);
    atomic_store(&stopping, true);
    return NULL;
}

static int compare(const void *a, const void *b)
{
    const double *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

/* A watched file was created, under a name of its own: the alert's cause. */
static double probe_ms(unsigned number)
{
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    struct program_reply reply = {.code = 0};
    char body[1024];

    snprintf(body, sizeof body,
             "{\"AgentVersion\":\"0.0.6\",\"AgentId\":\"5aebd46d-3a56-4d4f-9f6b-9d5e2a4b6c70\",\"MessageSchemaVersion\":\"1.0\",\"Events\":[{\"Category\":\"Triggered\",\"EventType\":\"Security\","
             "\"Name\":\"FileSystem\",\"PayloadSchemaVersion\":\"1.0\",\"Id\":\"00000000-0000-4000-8000-%012u\",\"IsEmpty\":false,\"Payload\":[{\"Path\":\"/probe/%u\",\"Mask\":\"Created\"}]}]}",
             number, number);
    pipeline_post(0, headers, text_of(body), &reply);
    if (reply.code != 204) {
        fprintf(stderr, "bench_alerts: answer %ld\n", reply.code);
        exit(1);
    }
    program_reply_done(&reply);
    int64_t from_us = clock_utc_us();
    while (!pipeline_number("SELECT count(*) FROM picket.alert WHERE device_id = 'device-0' AND cause = '/probe/%u'", number)) {
        if (clock_utc_us() - from_us > WAIT_MS * INT64_C(1000)) {
            fprintf(stderr, "bench_alerts: no alert after %d ms\n", WAIT_MS);
            exit(1);
        }
        poll(NULL, 0, 2);
    }
    return (double)(clock_utc_us() - from_us) / 1000.0;
}

int main(int count, char **arguments)
{
    unsigned probes = count > 1 ? (unsigned)strtoul(arguments[1], NULL, 10) : 300;
    double took[PROBES_MAX];
    struct http_load_settings load = {.connections = 16, .build = request_write};
    pthread_t thread;

    if (probes < 10 || probes > PROBES_MAX)
        return 2;
    database_start(DATABASE_DURABLE);
    broker_start();
    pipeline_prepare(DEVICES);
    pipeline_open(BUS_KAFKA);
    for (unsigned i = 0; i < DEVICES; i++)
        snprintf(authorizations[i], sizeof authorizations[i], "%s", pipeline_authorization(i));
    pipeline_start("ingest", unlimited);
    pipeline_start("store", NULL);
    load.port = pipeline_device_port();
    load.duration_ms = probes * 60 + 5000;
    began_us = clock_utc_us();
    if (pthread_create(&thread, NULL, load_run, &load))
        return 1;
    for (unsigned i = 0; i < probes; i++) {
        took[i] = probe_ms(i);
        poll(NULL, 0, 30);
    }
    double seconds = (double)(clock_utc_us() - began_us) / 1e6, rate = (double)sent * EVENTS / seconds;
    pthread_join(thread, NULL);
    qsort(took, probes, sizeof *took, compare);
    double p99 = took[probes * 99 / 100];
    printf("alerts   probes=%u beside_events_per_s=%.0f median_ms=%.1f p99_ms=%.1f longest_ms=%.1f limit=%.0f %s\n", probes, rate, took[probes / 2], p99, took[probes - 1], LIMIT_MS,
           p99 <= LIMIT_MS ? "met" : "MISSED");
    pipeline_close();
    return p99 <= LIMIT_MS ? 0 : 1;
}
