#include "store/replay.h"

#include "runtime/log.h"
#include "store/batch.h"
#include "store/dead_letter.h"
#include "store/store_metrics.h"

static enum status letter_store(struct replay *replay, uint32_t timeout_ms, struct dead_letter_replay *letter,
                                bool *found, struct problem *why);
static enum status record_write(struct replay *replay, const struct dead_letter_replay *letter, uint32_t timeout_ms,
                                struct problem *why);

/* A refusal leaves the transaction unusable, so the letter is settled in one of its own. Should another process have
 * taken it in between, it came to the same conclusion. */
enum status replay_next(struct replay *replay, uint32_t timeout_ms, bool *found, struct problem *why)
{
    struct dead_letter_replay letter = {0};

    arena_clear(&replay->arena);
    enum status status = letter_store(replay, timeout_ms, &letter, found, why);
    if (status) {
        db_rollback(replay->db);
        retention_forget(&replay->days); /* a partition that we know may have been dropped meanwhile */
    }
    if (status == STATUS_REJECT) {
        struct problem reason = *why;
        status = dead_letter_settle(replay->db, &letter, reason.text, timeout_ms, why);
    }
    return status;
}

static enum status letter_store(struct replay *replay, uint32_t timeout_ms, struct dead_letter_replay *letter,
                                bool *found, struct problem *why)
{
    enum status status = db_begin(replay->db, timeout_ms, why);

    *found = false;
    if (!status)
        status = dead_letter_take(replay->db, &replay->arena, timeout_ms, letter, found, why);
    if (!status && *found)
        status = record_write(replay, letter, timeout_ms, why);
    if (!status && *found)
        status = dead_letter_settle(replay->db, letter, NULL, timeout_ms, why);
    if (!status)
        status = db_commit(replay->db, timeout_ms, why);
    if (!status && *found)
        log_info("store.replayed", "dead_letter=%lld workspace=%d", (long long)letter->id, letter->workspace);
    return status;
}

static enum status record_write(struct replay *replay, const struct dead_letter_replay *letter, uint32_t timeout_ms,
                                struct problem *why)
{
    const struct batch_source source = {
        .cluster = letter->cluster,
        .topic = letter->topic,
        .bus_topic_id = letter->bus_topic_id,
        .decoder = replay->decoder,
        .arena = &replay->arena,
        .judge = replay->judge,
    };
    struct batch batch;

    (void)batch_read(&source, &letter->record, 1, &batch);
    if (batch.dead_count)
        return problem_set(why, STATUS_REJECT, "%s", batch.dead[0].reason);
    enum status status = STATUS_OK;
    if (batch.message_count)
        status = retention_ensure(&replay->days, replay->db, batch.messages[0].record.received_at_us, timeout_ms, why);
    if (!status)
        status = batch_write(replay->db, &source, &batch, timeout_ms, why);
    if (!status) {
        metric_add(&store_metrics.messages, (int64_t)batch.message_count - batch.duplicates);
        metric_add(&store_metrics.resends, batch.duplicates);
        metric_add(&store_metrics.events, batch.events);
    }
    return status;
}
