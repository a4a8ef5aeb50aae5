#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "ingest/http_front.h"
#include "ingest/ingest_metrics.h"
#include "runtime/clock.h"
#include "runtime/secret.h"
#include "tests/support/broker.h"
#include "tests/support/classic_message.h"
#include "tests/support/device_token.h"
#include "tests/support/http_bare.h"
#include "tests/support/http_load.h"
#include "wire/limits.h"

/* Messages of 10 events (about 4 KB) a second through the whole front door: token (remembered), quota, check of JSON with
 * its identity, and Kafka's acknowledgement by librdkafka's mock brokers in this process. As a ratio of what a bare
 * libmicrohttpd server does with the same requests in the same run, so that the machine does not count. Then once more with
 * a real broker.
 *
 *   bench_ingest [seconds each] [connections] [server threads] */

#define RATIO_MIN 0.35
#define DEVICES 256
#define REQUEST_SIZE 16384
#define MOCK_BROKERS 1
#define ROUNDS 3 /* in turns, and the middle counts: neighbours on the machine come and go */
#define PORT_FIRST 39100
#define PORTS 100

static const uint8_t key[32] = "the key of all devices of this";

struct parts {
    struct ingest_settings settings;
    struct bus *bus;
    struct roster *roster;
    struct door *door;
    struct device_auth *auth;
    struct intake *intake;
    struct http_front *front;
};

static struct buf requests[DEVICES];
static struct http_load_settings load;

static void give_up(const char *what, const struct problem *why)
{
    fprintf(stderr, "bench_ingest: %s: %s\n", what, why->text);
    exit(1);
}

/* The headers are those of the C SDK. */
static void requests_make(void)
{
    struct buf body;
    char token[DEVICE_TOKEN_SIZE], resource[64];

    buf_init(&body, REQUEST_SIZE);
    for (unsigned i = 0; i < DEVICES; i++) {
        buf_clear(&body);
        classic_message_append(&body, 10, i);
        snprintf(resource, sizeof resource, "localhost/devices/device-%u", i);
        device_token_make(resource, key, sizeof key, clock_utc_us() / 1000000 + 3600, token);
        buf_init(&requests[i], REQUEST_SIZE);
        buf_format(&requests[i],
                   "POST /devices/device-%u/messages/events?api-version=2016-11-14 HTTP/1.1\r\nHost: localhost\r\n"
                   "Authorization: %s\r\nContent-Type: application/octet-stream\r\nAccept: application/json\r\n"
                   "iothub-to: /devices/device-%u/messages/events\r\niothub-contentencoding: application/json\r\n"
                   "iothub-interface-id: urn:azureiot:Security:SecurityAgent:1\r\n"
                   "User-Agent: iothubclient/1.3.9\r\nContent-Length: %zu\r\n\r\n",
                   i, token, i, body.count);
        buf_text(&requests[i], buf_as_text(&body));
    }
    printf("body       bytes=%zu\n", body.count);
    buf_done(&body);
}

static void request_write(void *context, unsigned connection, uint64_t number, struct buf *out)
{
    (void)context;
    (void)connection;
    buf_text(out, buf_as_text(&requests[number % DEVICES]));
}

static double measure(const char *name, uint16_t port)
{
    struct http_load_result result;
    struct problem why;
    struct buf line;

    load.port = port;
    if (http_load_run(&load, &result, &why) != STATUS_OK)
        give_up(name, &why);
    buf_init(&line, 1024);
    http_load_print(&result, &line);
    printf("%-10s %s\n", name, line.bytes);
    buf_done(&line);
    if (result.refused || result.broken) {
        fprintf(stderr, "bench_ingest: %s refused or broke requests\n", name);
        exit(1);
    }
    return result.requests_per_second;
}

static double measure_bare(unsigned threads)
{
    struct http_bare *bare = NULL;
    struct problem why;

    if (http_bare_open(threads, &bare, &why) != STATUS_OK)
        give_up("bare", &why);
    double rate = measure("bare", http_bare_port(bare));
    http_bare_close(bare);
    return rate;
}

static void roster_fill(struct roster *roster)
{
    const struct roster_host hosts[] = {{TEXT(""), {1, 0, 0}}};
    struct roster_entry entry = {.enabled = true, .messages_per_second = 1000000, .bytes_per_second = 1LL << 40};
    struct roster_keys keys = {.primary_count = sizeof key, .secondary_count = 0};
    struct problem why;
    char id[32];

    memcpy(keys.primary, key, sizeof key);
    roster_workspaces_set(roster, hosts, 1);
    for (unsigned i = 0; i < DEVICES; i++) {
        snprintf(id, sizeof id, "device-%u", i);
        struct identity identity = {1, text_of(id), TEXT("")};
        if (roster_put(roster, &identity, &entry, &keys, &why))
            give_up("roster", &why);
    }
    roster_set_loaded(roster);
}

/* `kafka_brokers` "": the mock ones. */
static void parts_open(struct parts *parts, unsigned threads, const char *kafka_brokers)
{
    const struct bus_settings bus_settings = {.bus = "kafka", .kafka_brokers = kafka_brokers,
                                              .kafka_topic = "picket.messages", .kafka_group = "bench",
                                              .kafka_partitions = 8, .bus_shards = 1, .bus_queue_bytes = 256 << 20,
                                              .bus_send_timeout_ms = 15000};
    struct problem why;

    *parts = (struct parts){0};
    parts->settings = (struct ingest_settings){.ingest_address = "127.0.0.1", .ingest_threads = threads,
                                               .connections_max = 10000, .request_timeout_ms = 60000,
                                               .answer_timeout_ms = 20000, .body_bytes_max = PICKET_BODY_MAX,
                                               .body_budget_bytes = 256 << 20,
                                               .json_depth_max = PICKET_JSON_DEPTH_MAX};
    if (bus_open(&bus_settings, 20000, *kafka_brokers ? 0 : MOCK_BROKERS, &parts->bus, &why))
        give_up("bus", &why);
    parts->roster = roster_new(DEVICES);
    roster_fill(parts->roster);
    if (door_open(parts->bus, DOOR_WINDOW_MS, &parts->door, &why))
        give_up("door", &why);
    parts->auth = device_auth_new(parts->roster);
    parts->intake = intake_open(&parts->settings, parts->bus, parts->door);
    struct http_front_parts front = {.auth = parts->auth, .intake = parts->intake, .door = parts->door};
    for (int64_t i = 0; i < PORTS && !parts->front; i++) {
        parts->settings.http_port = PORT_FIRST + i;
        if (http_front_open(&parts->settings, &front, &parts->front, &why) && i == PORTS - 1)
            give_up("front", &why);
    }
}

static void parts_close(struct parts *parts)
{
    http_front_stop(parts->front);
    if (!intake_idle(parts->intake, 30000)) {
        fprintf(stderr, "bench_ingest: messages were not answered\n");
        exit(1);
    }
    http_front_free(parts->front);
    intake_close(parts->intake);
    door_close(parts->door);
    device_auth_free(parts->auth);
    roster_free(parts->roster);
    bus_close(parts->bus);
}

static unsigned argument(char **arguments, int count, int index, unsigned otherwise)
{
    return index < count ? (unsigned)strtoul(arguments[index], NULL, 10) : otherwise;
}

/* Besides, and without a limit: Kafka's own process takes its share of the machine. */
static void measure_real(unsigned threads)
{
    struct parts parts;

    broker_start();
    parts_open(&parts, threads, broker_bootstrap());
    double bare = measure_bare(threads);
    double rate = measure("real", http_front_http_port(parts.front));
    parts_close(&parts);
    printf("ratio      ingest_with_real_kafka_to_bare=%.2f\n", rate / bare);
}

static int ratio_compare(const void *a, const void *b)
{
    const double *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

int main(int count, char **arguments)
{
    unsigned seconds = argument(arguments, count, 1, 2), threads = argument(arguments, count, 3, 2);
    struct parts parts;
    struct problem why;
    double ratios[ROUNDS];

    if (!seconds || !threads || secret_init(&why))
        return 2;
    load.duration_ms = seconds * 1000;
    load.connections = argument(arguments, count, 2, 1024);
    load.build = request_write;
    requests_make();
    parts_open(&parts, threads, "");
    for (size_t i = 0; i < ROUNDS; i++) {
        double bare = measure_bare(threads);
        ratios[i] = measure("ingest", http_front_http_port(parts.front)) / bare;
    }
    parts_close(&parts);
    printf("auth       checks=%" PRId64 " cache_hits=%" PRId64 "\n", metric_get(&ingest_metrics.auth_checks),
           metric_get(&ingest_metrics.auth_cache_hits));
    qsort(ratios, ROUNDS, sizeof ratios[0], ratio_compare);
    double ratio = ratios[ROUNDS / 2];
    printf("ratio      ingest_to_bare=%.2f limit=%.2f %s\n", ratio, RATIO_MIN, ratio >= RATIO_MIN ? "met" : "MISSED");
    measure_real(threads);
    return ratio >= RATIO_MIN ? 0 : 1;
}
