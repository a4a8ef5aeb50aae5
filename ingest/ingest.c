#include "ingest/ingest.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "ingest/device_auth.h"
#include "ingest/door.h"
#include "ingest/http_front.h"
#include "ingest/ingest_metrics.h"
#include "ingest/intake.h"
#include "ingest/mqtt_front.h"
#include "ingest/roster_loader.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/process.h"

#define BUS_LOOK_MS 1000
#define POOL_THREADS 4
#define POOL_WAITING_MAX 10000 /* per thread: a device's questions are small */
#define CLOSE_MORE_MS 10000 /* on top of the answer timeout, for the bus to say what became of everything */

struct ingest {
    struct ingest_settings settings;
    struct bus *bus;
    struct roster *roster;
    struct roster_loader *loader;
    struct device_auth *auth;
    struct door *door;
    struct intake *intake;
    struct presence *presence;
    struct db_pool *pool;
    struct deliveries *deliveries;
    struct mqtt_front *mqtt;
    struct http_front *front;
    struct registration_settings registration;
    _Atomic size_t body_bytes; /* of all bodies in memory, on all ports */
    pthread_t watcher; /* of the bus, for readiness */
    bool watching;
    pthread_mutex_t lock;
    pthread_cond_t stop;
    bool stopping;
};

static enum status parts_open(struct ingest *ingest, struct problem *why);
static enum status mqtt_open(struct ingest *ingest, struct problem *why);
static void *watch_run(void *context);
static void watch_start(struct ingest *ingest);
static void watch_stop(struct ingest *ingest);

enum status ingest_open(const struct ingest_settings *settings, struct bus *bus, struct ingest **out,
                        struct problem *why)
{
    struct ingest *ingest = calloc(1, sizeof *ingest);
    pthread_condattr_t attributes;

    if (!ingest)
        abort();
    ingest->settings = *settings;
    ingest->bus = bus;
    pthread_mutex_init(&ingest->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&ingest->stop, &attributes);
    pthread_condattr_destroy(&attributes);
    ingest_metrics_register();
    enum status status = parts_open(ingest, why);
    if (status) {
        ingest_close(ingest);
        return status;
    }
    log_info("ingest.open", "https_port=%u http_port=%u mqtts_port=%u mqtt_port=%u", (unsigned)ingest_https_port(ingest),
             (unsigned)ingest_http_port(ingest), (unsigned)ingest_mqtts_port(ingest), (unsigned)ingest_mqtt_port(ingest));
    *out = ingest;
    return STATUS_OK;
}

uint16_t ingest_https_port(const struct ingest *ingest)
{
    return http_front_https_port(ingest->front);
}

uint16_t ingest_http_port(const struct ingest *ingest)
{
    return http_front_http_port(ingest->front);
}

uint16_t ingest_mqtts_port(const struct ingest *ingest)
{
    return ingest->mqtt ? mqtt_front_mqtts_port(ingest->mqtt) : 0;
}

uint16_t ingest_mqtt_port(const struct ingest *ingest)
{
    return ingest->mqtt ? mqtt_front_mqtt_port(ingest->mqtt) : 0;
}

void ingest_drain(struct ingest *ingest)
{
    if (ingest->mqtt)
        mqtt_front_drain(ingest->mqtt);
    http_front_drain(ingest->front);
}

void ingest_close(struct ingest *take_ingest)
{
    struct ingest *ingest = take_ingest;

    if (!ingest)
        return;
    if (ingest->mqtt)
        mqtt_front_stop(ingest->mqtt); /* its WebSockets are the HTTP front's connections */
    if (ingest->front)
        http_front_stop(ingest->front);
    if (ingest->intake && !intake_idle(ingest->intake, (uint32_t)ingest->settings.answer_timeout_ms + CLOSE_MORE_MS)) {
        /* The bus will still call back for them, so what they point to has to stay: the process ends anyway. */
        log_error("ingest.unanswered", "messages=%lld", (long long)metric_get(&ingest_metrics.messages_in_flight));
        return;
    }
    watch_stop(ingest);
    roster_loader_close(ingest->loader);
    db_pool_close(ingest->pool);
    deliveries_close(ingest->deliveries);
    mqtt_front_free(ingest->mqtt);
    presence_free(ingest->presence);
    http_front_free(ingest->front);
    intake_close(ingest->intake);
    door_close(ingest->door);
    device_auth_free(ingest->auth);
    roster_free(ingest->roster);
    pthread_cond_destroy(&ingest->stop);
    pthread_mutex_destroy(&ingest->lock);
    secret_wipe(&ingest->registration, sizeof ingest->registration);
    free(ingest);
}

static enum status parts_open(struct ingest *ingest, struct problem *why)
{
    const struct ingest_settings *settings = &ingest->settings;
    struct secret_master master;

    if (!settings->https_port && !settings->http_port && !settings->mqtts_port && !settings->mqtt_port)
        return problem_set(why, STATUS_REJECT,
                           "https_port, http_port, mqtts_port and mqtt_port are all 0: no device could send anything");
    enum status status = secret_master_load(settings->master_key_file, &master, why);
    if (status)
        return status;
    ingest->roster = roster_new((size_t)settings->roster_max);
    ingest->registration = (struct registration_settings){master, roster_authorities(ingest->roster), settings->device_host_name};
    status = roster_loader_open(settings->database, &master, ingest->roster, &ingest->loader, why);
    secret_wipe(&master, sizeof master);
    if (!status)
        status = door_open(ingest->bus, DOOR_WINDOW_MS, &ingest->door, why);
    if (status)
        return status;
    ingest->auth = device_auth_new(ingest->roster);
    ingest->intake = intake_open(settings, ingest->bus, ingest->door);
    watch_start(ingest);
    status = mqtt_open(ingest, why);
    if (status)
        return status;
    struct http_front_parts parts = {
        .auth = ingest->auth,
        .intake = ingest->intake,
        .door = ingest->door,
        .mqtt = ingest->mqtt,
        .calls = {ingest->pool, &ingest->registration, ingest->auth},
        .body_bytes = &ingest->body_bytes,
    };
    return http_front_open(settings, &parts, &ingest->front, why);
}

/* Without a port of its own it still serves those who come over WebSocket. */
static enum status mqtt_open(struct ingest *ingest, struct problem *why)
{
    struct deliveries_hooks hooks;

    ingest->presence = presence_new();
    mqtt_front_hooks(ingest->presence, &hooks);
    enum status status = db_pool_open(ingest->settings.database, "picket_ingest", "picket ingest devices", POOL_THREADS,
                                      POOL_WAITING_MAX, &ingest->pool, why);
    if (!status)
        status = deliveries_open(ingest->settings.database, &hooks, &ingest->deliveries, why);
    if (status)
        return status;
    struct mqtt_front_parts parts = {
        .settings = &ingest->settings,
        .auth = ingest->auth,
        .intake = ingest->intake,
        .door = ingest->door,
        .presence = ingest->presence,
        .deliveries = ingest->deliveries,
        .pool = ingest->pool,
        .body_bytes_used = &ingest->body_bytes,
        .registration = &ingest->registration,
    };
    return mqtt_front_open(&parts, &ingest->mqtt, why);
}

static void watch_start(struct ingest *ingest)
{
    if (pthread_create(&ingest->watcher, NULL, watch_run, ingest))
        abort();
    pthread_setname_np(ingest->watcher, "ingest-watch");
    ingest->watching = true;
}

static void watch_stop(struct ingest *ingest)
{
    if (!ingest->watching)
        return;
    pthread_mutex_lock(&ingest->lock);
    ingest->stopping = true;
    pthread_cond_signal(&ingest->stop);
    pthread_mutex_unlock(&ingest->lock);
    pthread_join(ingest->watcher, NULL);
}

static void *watch_run(void *context)
{
    struct ingest *ingest = context;

    pthread_mutex_lock(&ingest->lock);
    while (!ingest->stopping) {
        int64_t until_ms = clock_monotonic_ms() + BUS_LOOK_MS;
        struct timespec until = {(time_t)(until_ms / 1000), (long)(until_ms % 1000) * 1000000};
        pthread_mutex_unlock(&ingest->lock);
        bool ready = bus_ready(ingest->bus);
        process_set_ready("ingest.bus", ready, ready ? "" : "the bus takes no messages");
        pthread_mutex_lock(&ingest->lock);
        if (!ingest->stopping)
            (void)pthread_cond_timedwait(&ingest->stop, &ingest->lock, &until);
    }
    pthread_mutex_unlock(&ingest->lock);
    return NULL;
}
