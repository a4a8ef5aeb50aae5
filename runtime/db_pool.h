#ifndef PICKET_RUNTIME_DB_POOL_H
#define PICKET_RUNTIME_DB_POOL_H

#include "runtime/db.h"

/* Threads that each have a database connection and do what others, who must not block, hand to them.
 *
 * Jobs with one key run on one thread, in the order in which they came: what a device asks for twice happens in that
 * order. Queues are bounded; a job is the caller's memory and none is allocated here. */
struct db_pool;

struct db_pool_job {
    struct db_pool_job *next; /* the pool's, while the job waits */
    uint64_t key;             /* well spread, as a hash is */
    /* Called exactly once for a job that was taken, on a thread of the pool; the job is its owner's again. `db` is NULL
     * when the pool closes: nothing can be asked any more. */
    void (*run)(struct db_pool_job *job, struct db *db);
};

/* As db_open(); nothing is connected yet. `queue_max` jobs may wait for each thread. */
MUST_CHECK enum status db_pool_open(const char *conninfo, const char *user, const char *application, unsigned threads,
                                    size_t queue_max, struct db_pool **out, struct problem *why);
/* Interrupts what runs, and hands every waiting job back with NULL. Nobody may give jobs any more. */
void db_pool_close(struct db_pool *take_pool);

/* STATUS_RETRY: too many wait already; the job is still the caller's. Any thread. */
MUST_CHECK enum status db_pool_give(struct db_pool *pool, struct db_pool_job *job, struct problem *why);

#endif
