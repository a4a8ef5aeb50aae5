#ifndef PICKET_STORE_FENCE_H
#define PICKET_STORE_FENCE_H

#include "runtime/db.h"

/* Who may write a partition: the reader whose idea of the next offset agrees with the table. A batch's transaction moves
 * the offset by compare-and-set, so each partition has one writer whatever the bus believes.
 *
 * Offsets on Kafka have holes (control records, compaction): what is compared is the value this reader was given or moved
 * to last, never the offset of the record at hand. A partition that the table does not know starts at 0. When the bus
 * has nothing that old any more, it says so as a gap, which is recorded: a database that was attached to a topic in use
 * has in fact never seen those records. */
#define FENCE_PARTITIONS_MAX 1024

struct fence_partition {
    int32_t partition;
    int64_t next;       /* as the table has it, to our knowledge */
    int64_t careful_until; /* below this offset records are taken one by one, each noted first */
    int64_t doomed;        /* this record ended the program twice while it was alone in hand; -1: none */
};

/* One reader's partitions. One thread. */
struct fence {
    struct text cluster, topic;
    int bus_topic_id; /* 0 until the first assignment */
    int64_t careful_records;
    uint32_t timeout_ms;
    struct fence_partition partitions[FENCE_PARTITIONS_MAX];
    size_t count;
};

struct fence_move {
    int32_t partition;
    int64_t next; /* last offset of the batch, plus 1 */
};

void fence_init(struct fence *fence, struct text cluster, struct text topic, int64_t careful_records,
                uint32_t timeout_ms);

/* A partition came: `*next` is where to read on. Statuses as db_query(). */
MUST_CHECK enum status fence_assign(struct fence *fence, struct db *db, int32_t partition, int64_t *next,
                                    struct problem *why);
/* It goes, or all of them: hands it back so that the next reader knows that all was well. Failing is harmless. */
void fence_release(struct fence *fence, struct db *db, int32_t partition);
void fence_release_all(struct fence *fence, struct db *db);
/* Another store owns it: forgotten, and nothing is written about it. */
void fence_forget(struct fence *fence, int32_t partition);
/* NULL when it is not ours. */
struct fence_partition *fence_find(struct fence *fence, int32_t partition);

/* Records that `expected`..`available`-1 are gone from the bus, raises the alert and moves the offset, in a transaction
 * of its own. STATUS_RETRY also when another store moved it meanwhile. */
MUST_CHECK enum status fence_gap(struct fence *fence, struct db *db, int32_t partition, int64_t expected,
                                 int64_t available, struct problem *why);

/* First statement of a batch's transaction. `*moved` is false when a partition is not ours any more, and `*lost` says
 * which: roll back, and forget it. Statuses as db_query(). */
MUST_CHECK enum status fence_move(struct fence *fence, struct db *db, const struct fence_move *moves, size_t count,
                                  bool *moved, int32_t *lost, struct problem *why);
/* The transaction was committed: the moves hold. */
void fence_committed(struct fence *fence, const struct fence_move *moves, size_t count);

/* Before the partition's next record is touched alone: see `careful_until`. */
MUST_CHECK enum status fence_note_alone(struct fence *fence, struct db *db, int32_t partition, struct problem *why);

#endif
