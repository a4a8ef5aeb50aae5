#include "store/store.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/process.h"
#include "store/alerts.h"
#include "store/correlations.h"
#include "store/custom.h"
#include "store/drain.h"
#include "store/feeds.h"
#include "store/replay.h"
#include "store/retention.h"
#include "store/store_metrics.h"

#define PART "store.database"
#define ROUND_MS 1000        /* how soon a replay is noticed */
#define JUDGE_EVERY_MS 60000 /* ledger gaps and silent devices, which are judged by the day */
#define PARTITIONS_EVERY_MS 600000
#define REPLAYS_PER_ROUND 100

struct store {
    struct store_settings settings;
    struct drain **drains;
    size_t drain_count;
    struct db *db; /* housekeeping's */
    struct classic_decoder decoder;
    struct ruleset *ruleset;
    struct feeds *feeds;
    struct replay replay;
    int64_t judge_at_ms, partitions_at_ms;
    bool away;
    pthread_t housekeeper;
    bool housekeeping;
    pthread_mutex_t lock;
    pthread_cond_t stop;
    bool stopping;
};

static enum status parts_open(struct store *store, struct bus *bus, struct problem *why);
static void *housekeeper_run(void *context);
static enum status housekeep(struct store *store, struct problem *why);
static enum status partitions_keep(struct store *store, struct problem *why);
static enum status replays_keep(struct store *store, struct problem *why);
static void readiness_tell(struct store *store, enum status status, const struct problem *why);

enum status store_open(const struct store_settings *settings, struct bus *bus, struct store **out, struct problem *why)
{
    struct store *store = calloc(1, sizeof *store);
    pthread_condattr_t attributes;

    if (!store)
        abort();
    store->settings = *settings;
    pthread_mutex_init(&store->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&store->stop, &attributes);
    pthread_condattr_destroy(&attributes);
    classic_decoder_init(&store->decoder, (unsigned)settings->json_depth_max);
    store->ruleset = ruleset_new();
    store->replay.decoder = &store->decoder;
    store->replay.judge = settings->detection ? judge_new(store->ruleset) : NULL;
    arena_init(&store->replay.arena);
    store_metrics_register();
    process_set_ready(PART, false, "the database was not reached yet");
    enum status status = parts_open(store, bus, why);
    if (status) {
        store_close(store);
        return status;
    }
    log_info("store.open", "workers=%zu topic=%s", store->drain_count, bus_topic(bus));
    *out = store;
    return STATUS_OK;
}

void store_close(struct store *take_store)
{
    struct store *store = take_store;

    if (!store)
        return;
    for (size_t i = 0; i < store->drain_count; i++)
        drain_stop(store->drains[i]); /* all at once; then each is waited for */
    for (size_t i = 0; i < store->drain_count; i++)
        drain_close(store->drains[i]);
    free(store->drains);
    feeds_close(store->feeds);
    if (store->housekeeping) {
        pthread_mutex_lock(&store->lock);
        store->stopping = true;
        pthread_cond_signal(&store->stop);
        pthread_mutex_unlock(&store->lock);
        db_interrupt(store->db);
        pthread_join(store->housekeeper, NULL);
    }
    db_close(store->db);
    judge_free(store->replay.judge);
    arena_done(&store->replay.arena);
    ruleset_free(store->ruleset);
    classic_decoder_done(&store->decoder);
    pthread_cond_destroy(&store->stop);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

/* All readers before the first worker, since the direct bus deals its shards out by their number. */
static enum status parts_open(struct store *store, struct bus *bus, struct problem *why)
{
    size_t partitions = (size_t)bus_partitions(bus), workers = (size_t)store->settings.store_workers;

    workers = workers < partitions ? workers : partitions;
    store->drains = calloc(workers, sizeof(struct drain *));
    if (!store->drains)
        abort();
    enum status status = db_open(store->settings.database, "picket_store", "picket store (housekeeping)", &store->db, why);
    store->replay.db = store->db;
    while (!status && store->drain_count < workers) {
        status = drain_open(&store->settings, bus, store->ruleset, &store->drains[store->drain_count], why);
        store->drain_count += !status;
    }
    for (size_t i = 0; !status && i < workers; i++)
        status = drain_start(store->drains[i], why);
    if (!status)
        status = feeds_open(&store->settings, &store->feeds, why);
    if (!status && pthread_create(&store->housekeeper, NULL, housekeeper_run, store))
        status = problem_set(why, STATUS_FAULT, "no thread for store's housekeeping");
    if (status)
        return status;
    pthread_setname_np(store->housekeeper, "store-keeper");
    store->housekeeping = true;
    return STATUS_OK;
}

static void *housekeeper_run(void *context)
{
    struct store *store = context;

    pthread_mutex_lock(&store->lock);
    while (!store->stopping) {
        int64_t until_ms = clock_monotonic_ms() + ROUND_MS;
        struct timespec until = {(time_t)(until_ms / 1000), (long)(until_ms % 1000) * 1000000};
        struct problem why;
        pthread_mutex_unlock(&store->lock);
        enum status status = housekeep(store, &why);
        pthread_mutex_lock(&store->lock);
        if (!store->stopping) /* which interrupts what was under way */
            readiness_tell(store, status, &why);
        if (!store->stopping)
            (void)pthread_cond_timedwait(&store->stop, &store->lock, &until);
    }
    pthread_mutex_unlock(&store->lock);
    return NULL;
}

static enum status housekeep(struct store *store, struct problem *why)
{
    int64_t now_ms = clock_monotonic_ms();
    enum status status = STATUS_OK;

    if (store->partitions_at_ms <= now_ms) {
        status = partitions_keep(store, why);
        if (!status)
            store->partitions_at_ms = now_ms + PARTITIONS_EVERY_MS;
    }
    if (!status && store->judge_at_ms <= now_ms) {
        status = alerts_judge_gaps(store->db, STORE_STATEMENT_MS, why);
        if (!status)
            status = alerts_judge_silence(store->db, STORE_STATEMENT_MS, why);
        if (!status)
            status = custom_judge_few(store->db, STORE_STATEMENT_MS, why);
        if (!status)
            store->judge_at_ms = now_ms + JUDGE_EVERY_MS;
    }
    if (!status)
        status = ruleset_refresh(store->ruleset, store->db, STORE_STATEMENT_MS, why);
    if (!status)
        status = correlations_judge(store->ruleset, store->db, STORE_STATEMENT_MS, why);
    if (!status)
        status = db_query(store->db, "SELECT picket.custom_waiting_judge(), picket.addresses_judge(), picket.incidents_group(1000)", NULL, 0, STORE_STATEMENT_MS, NULL, why);
    return status ? status : replays_keep(store, why);
}

static enum status partitions_keep(struct store *store, struct problem *why)
{
    enum status status =
        retention_make_ahead(store->db, store->settings.partitions_ahead_days, STORE_STATEMENT_MS, why);
    return status ? status
                  : retention_drop(store->db, store->settings.event_retention_days, store->settings.resend_window_days,
                                   STORE_STATEMENT_MS, why);
}

static enum status replays_keep(struct store *store, struct problem *why)
{
    enum status status = STATUS_OK;
    bool found = true;

    for (unsigned i = 0; !status && found && i < REPLAYS_PER_ROUND; i++)
        status = replay_next(&store->replay, STORE_STATEMENT_MS, &found, why);
    return status;
}

static void readiness_tell(struct store *store, enum status status, const struct problem *why)
{
    bool away = status != STATUS_OK;

    if (away && !store->away)
        log_warn("store.database_away", "reason=\"%s\"", why->text);
    else if (!away && store->away)
        log_info("store.database_back", "workers=%zu", store->drain_count);
    store->away = away;
    process_set_ready(PART, !away, away ? why->text : "");
}
