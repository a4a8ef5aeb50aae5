#include "store/drain.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "runtime/db_schema.h"
#include "runtime/log.h"
#include "runtime/process.h"
#include "store/batch.h"
#include "store/fence.h"
#include "store/retention.h"
#include "store/store_metrics.h"

#define STORE_SCHEMA_NEEDED 17 /* the last migration that our statements depend on */
#define TAKE_WAIT_MS 1000
#define TRIES_MAX 3          /* of a transaction that a deadlock or its like ended */
#define CAREFUL_RECORDS 1000 /* taken one by one after the program ended twice at one place: more than one batch's half */
#define DECODED_BYTES_MAX ((size_t)64 << 20) /* and what the last record adds; some thousand usual messages */
#define PARTITION_NONE (-1)

struct drain {
    const struct store_settings *settings;
    struct bus *bus;
    struct bus_reader *reader;
    struct db *db;
    bool schema_checked, gave_up;
    struct fence fence;
    struct fence_move moves[FENCE_PARTITIONS_MAX];
    int32_t lost; /* the partition that the last transaction found in other hands */
    struct classic_decoder decoder;
    struct ruleset *ruleset;
    struct judge *judge;
    struct retention_days days;
    struct arena arena;
    int64_t waiting; /* our share of store_metrics.waiting */
    pthread_t thread;
    bool started;
    _Atomic bool stopping;
};

static enum status partition_assigned(void *context, int32_t partition, int64_t *next_offset, struct problem *why);
static void partition_revoked(void *context, int32_t partition);
static enum status partition_gap(void *context, int32_t partition, int64_t expected, int64_t available,
                                 struct problem *why);
static void *drain_run(void *context);
static void give_up(struct drain *drain, const struct problem *why);
static void batch_store(struct drain *drain, struct bus_batch *batch);
static void batch_give_back(struct drain *drain, struct bus_batch *batch, enum status status, const struct problem *why);
static enum status records_store(struct drain *drain, const struct bus_record *records, size_t count,
                                 struct problem *why);
static bool record_careful(struct drain *drain, const struct bus_record *record);
static enum status record_store_alone(struct drain *drain, const struct bus_record *record, struct problem *why);
static enum status run_store(struct drain *drain, const struct bus_record *records, size_t count, struct problem *why);
static enum status refused_store(struct drain *drain, const struct bus_record *records, size_t count,
                                 struct problem *why);
static enum status transaction_run(struct drain *drain, const struct bus_record *records, size_t count,
                                   const char *dead_reason, size_t *taken, struct problem *why);
static enum status transaction_try(struct drain *drain, const struct batch_source *source, struct batch *batch,
                                   size_t move_count, bool *committing, struct problem *why);
static enum status partitions_ensure(struct drain *drain, const struct batch *batch, struct problem *why);
static size_t moves_make(struct drain *drain, const struct bus_record *records, size_t count);
static void batch_count(const struct batch *batch);
static void waiting_tell(struct drain *drain, int64_t waiting);

enum status drain_open(const struct store_settings *settings, struct bus *bus, struct ruleset *ruleset,
                       struct drain **out, struct problem *why)
{
    struct drain *drain = calloc(1, sizeof *drain);
    const struct bus_reader_hooks hooks = {drain, partition_assigned, partition_revoked, partition_gap};

    if (!drain)
        abort();
    drain->settings = settings;
    drain->bus = bus;
    drain->ruleset = ruleset;
    drain->judge = settings->detection ? judge_new(ruleset) : NULL;
    arena_init(&drain->arena);
    classic_decoder_init(&drain->decoder, (unsigned)settings->json_depth_max);
    fence_init(&drain->fence, text_of(bus_cluster(bus)), text_of(bus_topic(bus)), CAREFUL_RECORDS, STORE_STATEMENT_MS);
    enum status status = db_open(settings->database, "picket_store", "picket store", &drain->db, why);
    if (!status)
        status = bus_reader_open(bus, &hooks, &drain->reader, why);
    if (status) {
        drain_close(drain);
        return status;
    }
    *out = drain;
    return STATUS_OK;
}

enum status drain_start(struct drain *drain, struct problem *why)
{
    if (pthread_create(&drain->thread, NULL, drain_run, drain))
        return problem_set(why, STATUS_FAULT, "no thread for a worker of store");
    pthread_setname_np(drain->thread, "store-drain");
    drain->started = true;
    return STATUS_OK;
}

void drain_stop(struct drain *drain)
{
    atomic_store(&drain->stopping, true);
    if (drain->started)
        bus_wake(drain->reader);
}

void drain_close(struct drain *take_drain)
{
    if (!take_drain)
        return;
    drain_stop(take_drain);
    if (take_drain->started)
        pthread_join(take_drain->thread, NULL);
    bus_reader_close(take_drain->reader); /* revokes what it has */
    db_close(take_drain->db);
    judge_free(take_drain->judge);
    classic_decoder_done(&take_drain->decoder);
    arena_done(&take_drain->arena);
    waiting_tell(take_drain, 0);
    free(take_drain);
}

static enum status partition_assigned(void *context, int32_t partition, int64_t *next_offset, struct problem *why)
{
    struct drain *drain = context;
    enum status status = drain->schema_checked ? STATUS_OK : db_schema_check(drain->db, STORE_SCHEMA_NEEDED,
                                                                                STORE_STATEMENT_MS, why);

    if (status)
        return status;
    drain->schema_checked = true;
    status = ruleset_refresh(drain->ruleset, drain->db, STORE_STATEMENT_MS, why); /* nothing is stored before rules are known */
    if (status)
        return status;
    return fence_assign(&drain->fence, drain->db, partition, next_offset, why);
}

static void partition_revoked(void *context, int32_t partition)
{
    struct drain *drain = context;

    if (drain->gave_up)
        fence_forget(&drain->fence, partition); /* and let the next holder see how this one ended */
    else
        fence_release(&drain->fence, drain->db, partition);
}

static enum status partition_gap(void *context, int32_t partition, int64_t expected, int64_t available,
                                 struct problem *why)
{
    struct drain *drain = context;
    enum status status = fence_gap(&drain->fence, drain->db, partition, expected, available, why);

    if (!status)
        metric_add(&store_metrics.gaps, 1);
    return status;
}

static void *drain_run(void *context)
{
    struct drain *drain = context;
    const struct bus_take_limits limits = {
        .records_max = (size_t)drain->settings->batch_records_max,
        .bytes_max = (size_t)drain->settings->batch_bytes_max,
        .wait_ms = TAKE_WAIT_MS,
        .linger_ms = (uint32_t)drain->settings->batch_linger_ms,
    };

    while (!atomic_load(&drain->stopping)) {
        struct bus_batch batch;
        struct problem why;
        enum status status = bus_take(drain->reader, &limits, &batch, &why);
        if (status)
            give_up(drain, &why);
        else if (batch.count)
            batch_store(drain, &batch);
        waiting_tell(drain, bus_lag(drain->reader));
    }
    return NULL;
}

/* The supervisor starts us again, and if it is one record's doing, the attempts tell which. */
static void give_up(struct drain *drain, const struct problem *why)
{
    log_error("store.gave_up", "reason=\"%s\"", why->text);
    drain->gave_up = true;
    atomic_store(&drain->stopping, true);
    process_give_up();
}

static void batch_store(struct drain *drain, struct bus_batch *batch)
{
    struct problem why;

    enum status status = records_store(drain, batch->records, batch->count, &why);
    if (status)
        batch_give_back(drain, batch, status, &why);
    else
        bus_done(drain->reader, batch);
    arena_clear(&drain->arena);
}

/* With the direct bus a fault is the senders' to hear, and nothing that we were handed is lost: no reason to end. */
static void batch_give_back(struct drain *drain, struct bus_batch *batch, enum status status, const struct problem *why)
{
    static struct log_rate rate;
    int32_t lost = drain->lost;
    bool direct = text_equal(text_of(bus_cluster(drain->bus)), TEXT("direct"));

    metric_add(lost == PARTITION_NONE ? &store_metrics.failed : &store_metrics.lost, 1);
    log_rated(&rate, status == STATUS_RETRY ? LOG_WARN : LOG_ERROR, "store.batch_failed", "records=%zu reason=\"%s\"",
              batch->count, why->text);
    bus_failed(drain->reader, batch, status, why);
    if (lost != PARTITION_NONE) {
        bus_drop_partition(drain->reader, lost);
        fence_forget(&drain->fence, lost);
    }
    if (status == STATUS_FAULT && !direct)
        give_up(drain, why);
}

/* In runs: a record that may have ended the program goes alone, all others together. */
static enum status records_store(struct drain *drain, const struct bus_record *records, size_t count,
                                 struct problem *why)
{
    enum status status = STATUS_OK;

    drain->lost = PARTITION_NONE;
    for (size_t at = 0, run; !status && at < count; at += run) {
        run = 0;
        while (at + run < count && !record_careful(drain, &records[at + run]))
            run++;
        if (run) {
            status = run_store(drain, records + at, run, why);
        } else {
            run = 1;
            status = record_store_alone(drain, &records[at], why);
        }
    }
    return status;
}

static bool record_careful(struct drain *drain, const struct bus_record *record)
{
    const struct fence_partition *ours = fence_find(&drain->fence, record->partition);
    return ours && record->offset < ours->careful_until;
}

static enum status record_store_alone(struct drain *drain, const struct bus_record *record, struct problem *why)
{
    const struct fence_partition *ours = fence_find(&drain->fence, record->partition);
    size_t taken;

    if (ours->doomed == ours->next)
        return transaction_run(drain, record, 1, "store ended again and again while it had this record alone in hand",
                               &taken, why);
    enum status status = fence_note_alone(&drain->fence, drain->db, record->partition, why);
    return status ? status : run_store(drain, record, 1, why);
}

/* In as few transactions as the memory for decoding allows, nearly always one. */
static enum status run_store(struct drain *drain, const struct bus_record *records, size_t count, struct problem *why)
{
    enum status status = STATUS_OK;

    for (size_t at = 0, taken; !status && at < count; at += taken) {
        status = transaction_run(drain, records + at, count - at, NULL, &taken, why);
        if (status == STATUS_REJECT)
            status = refused_store(drain, records + at, taken, why);
    }
    return status;
}

/* `why` holds the reason. */
static enum status refused_store(struct drain *drain, const struct bus_record *records, size_t count, struct problem *why)
{
    size_t taken;

    if (count == 1) {
        struct problem reason = *why;
        enum status status = transaction_run(drain, records, 1, reason.text, &taken, why);
        return status == STATUS_REJECT ? STATUS_FAULT : status; /* even a dead letter is refused: that is our doing */
    }
    metric_add(&store_metrics.halved, 1);
    enum status status = run_store(drain, records, count / 2, why);
    return status ? status : run_store(drain, records + count / 2, count - count / 2, why);
}

/* `dead_reason` NULL: the first `*taken` records are decoded and stored. Otherwise the one record becomes a dead letter. A transaction
 * that the server ended before its commit did nothing for certain, and is tried again here. */
static enum status transaction_run(struct drain *drain, const struct bus_record *records, size_t count,
                                   const char *dead_reason, size_t *taken, struct problem *why)
{
    const struct batch_source source = {
        .cluster = drain->fence.cluster,
        .topic = drain->fence.topic,
        .bus_topic_id = drain->fence.bus_topic_id,
        .decoder = &drain->decoder,
        .arena = &drain->arena,
        .judge = drain->judge,
        .memory_max = DECODED_BYTES_MAX,
    };
    struct batch batch;
    bool committing = false;

    arena_clear(&drain->arena);
    *taken = count;
    if (dead_reason)
        batch_read_dead(&source, records, dead_reason, &batch);
    else
        *taken = batch_read(&source, records, count, &batch);
    size_t move_count = moves_make(drain, records, *taken);
    enum status status = STATUS_RETRY;
    for (unsigned tries = 0; status == STATUS_RETRY && tries < TRIES_MAX; tries++) {
        status = partitions_ensure(drain, &batch, why);
        if (!status)
            status = transaction_try(drain, &source, &batch, move_count, &committing, why);
        if (status)
            retention_forget(&drain->days); /* a partition that we know may have been dropped meanwhile */
        if (committing || drain->lost != PARTITION_NONE || db_sqlstate(drain->db)[0] == '\0')
            break;
    }
    if (status)
        return status;
    fence_committed(&drain->fence, drain->moves, move_count);
    if (drain->judge)
        judge_committed(drain->judge);
    batch_count(&batch);
    return STATUS_OK;
}

static enum status transaction_try(struct drain *drain, const struct batch_source *source, struct batch *batch,
                                   size_t move_count, bool *committing, struct problem *why)
{
    bool moved = false;

    enum status status = db_begin(drain->db, STORE_STATEMENT_MS, why);
    if (!status)
        status = fence_move(&drain->fence, drain->db, drain->moves, move_count, &moved, &drain->lost, why);
    if (!status && !moved)
        status = problem_set(why, STATUS_RETRY, "another store writes partition %d", (int)drain->lost);
    if (!status)
        status = batch_write(drain->db, source, batch, STORE_STATEMENT_MS, why);
    *committing = !status;
    if (!status)
        status = db_commit(drain->db, STORE_STATEMENT_MS, why);
    if (status)
        db_rollback(drain->db);
    return status;
}

static enum status partitions_ensure(struct drain *drain, const struct batch *batch, struct problem *why)
{
    enum status status = STATUS_OK;

    for (size_t i = 0; !status && i < batch->message_count; i++)
        status = retention_ensure(&drain->days, drain->db, batch->messages[i].record.received_at_us, STORE_STATEMENT_MS,
                                  why);
    return status;
}

/* Records come grouped by partition, so the last of each group says where its partition goes. */
static size_t moves_make(struct drain *drain, const struct bus_record *records, size_t count)
{
    size_t moves = 0;

    for (size_t i = 0; i < count; i++) {
        if (i == 0 || records[i].partition != records[i - 1].partition) {
            assert(moves < FENCE_PARTITIONS_MAX);
            drain->moves[moves++].partition = records[i].partition;
        }
        drain->moves[moves - 1].next = records[i].offset + 1;
    }
    return moves;
}

static void batch_count(const struct batch *batch)
{
    metric_add(&store_metrics.committed, 1);
    metric_add(&store_metrics.messages, (int64_t)batch->message_count - batch->duplicates);
    metric_add(&store_metrics.resends, batch->duplicates);
    metric_add(&store_metrics.events, batch->events);
    metric_add(&store_metrics.dead_letters, (int64_t)batch->dead_count);
}

static void waiting_tell(struct drain *drain, int64_t waiting)
{
    metric_add(&store_metrics.waiting, waiting - drain->waiting);
    drain->waiting = waiting;
}
