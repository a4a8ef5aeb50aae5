#include "forward/forward.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "forward/alert_topic.h"
#include "forward/forward_metrics.h"
#include "runtime/clock.h"
#include "runtime/db_schema.h"
#include "runtime/log.h"
#include "runtime/process.h"

#define PART "forward.alerts"
#define SCHEMA_NEEDED 18
#define BUS_OPEN_MS 10000
#define PAUSE_MS 500       /* between rounds that found nothing */
#define AWAY_PAUSE_MS 2000

struct forward {
    struct bus_settings bus_settings;
    struct db *db;
    struct bus *bus; /* NULL: the brokers were not reached yet */
    bool schema_checked, away;
    pthread_t sender;
    bool sending;
    pthread_mutex_t lock;
    pthread_cond_t stop;
    bool stopping;
};

static enum status round_run(struct forward *forward, bool *more, struct problem *why)
{
    enum status status = STATUS_OK;

    *more = false;
    if (!forward->bus)
        status = bus_open(&forward->bus_settings, BUS_OPEN_MS, 0, &forward->bus, why);
    if (!status && !forward->schema_checked)
        status = db_schema_check(forward->db, SCHEMA_NEEDED, ALERT_TOPIC_STATEMENT_MS, why);
    if (status)
        return status;
    forward->schema_checked = true;
    return alert_topic_round(forward->db, forward->bus, more, why);
}

static void readiness_tell(struct forward *forward, enum status status, const struct problem *why)
{
    bool away = status != STATUS_OK;

    if (away)
        metric_add(&forward_metrics.failed, 1);
    if (away && !forward->away)
        log_warn("forward.away", "reason=\"%s\"", why->text);
    else if (!away && forward->away)
        log_info("forward.back", "topic=%s", bus_topic(forward->bus));
    forward->away = away;
    process_set_ready(PART, !away, away ? why->text : "");
}

static void *sender_run(void *context)
{
    struct forward *forward = context;

    pthread_mutex_lock(&forward->lock);
    while (!forward->stopping) {
        struct problem why;
        bool more;
        pthread_mutex_unlock(&forward->lock);
        enum status status = round_run(forward, &more, &why);
        pthread_mutex_lock(&forward->lock);
        if (!forward->stopping) /* which interrupts what was under way */
            readiness_tell(forward, status, &why);
        int64_t until_ms = clock_monotonic_ms() + (status ? AWAY_PAUSE_MS : PAUSE_MS);
        struct timespec until = {(time_t)(until_ms / 1000), (long)(until_ms % 1000) * 1000000};
        if (!forward->stopping && !more)
            (void)pthread_cond_timedwait(&forward->stop, &forward->lock, &until);
    }
    pthread_mutex_unlock(&forward->lock);
    return NULL;
}

enum status forward_open(const struct forward_settings *settings, const struct bus_settings *bus, struct forward **out, struct problem *why)
{
    struct forward *forward = calloc(1, sizeof *forward);
    pthread_condattr_t attributes;

    if (!forward)
        abort();
    forward->bus_settings = *bus;
    forward->bus_settings.kafka_topic = settings->alerts_topic;
    pthread_mutex_init(&forward->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&forward->stop, &attributes);
    pthread_condattr_destroy(&attributes);
    forward_metrics_register();
    process_set_ready(PART, false, "nothing was sent yet");
    enum status status = db_open(settings->database, "picket_forward", "picket forward", &forward->db, why);
    if (!status && pthread_create(&forward->sender, NULL, sender_run, forward))
        status = problem_set(why, STATUS_FAULT, "no thread for forward");
    if (status) {
        forward_close(forward);
        return status;
    }
    pthread_setname_np(forward->sender, "forward");
    forward->sending = true;
    log_info("forward.open", "alerts_topic=%s", settings->alerts_topic);
    *out = forward;
    return STATUS_OK;
}

void forward_close(struct forward *take_forward)
{
    struct forward *forward = take_forward;

    if (!forward)
        return;
    if (forward->sending) {
        pthread_mutex_lock(&forward->lock);
        forward->stopping = true;
        pthread_cond_signal(&forward->stop);
        pthread_mutex_unlock(&forward->lock);
        db_interrupt(forward->db);
        pthread_join(forward->sender, NULL);
    }
    db_close(forward->db);
    if (forward->bus)
        bus_close(forward->bus);
    pthread_cond_destroy(&forward->stop);
    pthread_mutex_destroy(&forward->lock);
    free(forward);
}
