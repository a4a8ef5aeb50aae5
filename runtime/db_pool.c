#include "runtime/db_pool.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct pool_worker {
    struct db_pool *pool;
    struct db *db;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct db_pool_job *first, **last;
    size_t count;
    bool stopping;
};

struct db_pool {
    size_t queue_max;
    unsigned worker_count;
    struct pool_worker workers[];
};

static void *worker_run(void *worker);
static struct db_pool_job *worker_next(struct pool_worker *worker, bool *stopping);

enum status db_pool_open(const char *conninfo, const char *user, const char *application, unsigned threads,
                         size_t queue_max, struct db_pool **out, struct problem *why)
{
    struct db_pool *pool = calloc(1, sizeof *pool + threads * sizeof pool->workers[0]);
    char name[16];
    enum status status = STATUS_OK;

    if (!pool)
        abort();
    pool->queue_max = queue_max;
    while (!status && pool->worker_count < threads) {
        struct pool_worker *worker = &pool->workers[pool->worker_count];
        worker->pool = pool;
        worker->last = &worker->first;
        pthread_mutex_init(&worker->lock, NULL);
        pthread_cond_init(&worker->changed, NULL);
        status = db_open(conninfo, user, application, &worker->db, why);
        if (!status && pthread_create(&worker->thread, NULL, worker_run, worker))
            status = problem_set(why, STATUS_FAULT, "%s: no thread", application);
        worker->started = !status;
        if (worker->started) {
            snprintf(name, sizeof name, "db-pool-%u", pool->worker_count % 1000);
            pthread_setname_np(worker->thread, name);
        }
        pool->worker_count++;
    }
    if (status) {
        db_pool_close(pool);
        return status;
    }
    *out = pool;
    return STATUS_OK;
}

void db_pool_close(struct db_pool *take_pool)
{
    if (!take_pool)
        return;
    for (unsigned i = 0; i < take_pool->worker_count; i++) {
        struct pool_worker *worker = &take_pool->workers[i];
        pthread_mutex_lock(&worker->lock);
        worker->stopping = true;
        pthread_cond_signal(&worker->changed);
        pthread_mutex_unlock(&worker->lock);
        if (worker->db)
            db_interrupt(worker->db);
    }
    for (unsigned i = 0; i < take_pool->worker_count; i++) {
        struct pool_worker *worker = &take_pool->workers[i];
        if (worker->started)
            pthread_join(worker->thread, NULL);
        db_close(worker->db);
        pthread_cond_destroy(&worker->changed);
        pthread_mutex_destroy(&worker->lock);
    }
    free(take_pool);
}

enum status db_pool_give(struct db_pool *pool, struct db_pool_job *job, struct problem *why)
{
    struct pool_worker *worker = &pool->workers[job->key % pool->worker_count];
    enum status status = STATUS_OK;

    pthread_mutex_lock(&worker->lock);
    if (worker->count >= pool->queue_max) {
        status = problem_set(why, STATUS_RETRY, "%zu requests wait for the database already", worker->count);
    } else {
        job->next = NULL;
        *worker->last = job;
        worker->last = &job->next;
        worker->count++;
        pthread_cond_signal(&worker->changed);
    }
    pthread_mutex_unlock(&worker->lock);
    return status;
}

/* Waits for a job; NULL when the pool closes and none is left. */
static struct db_pool_job *worker_next(struct pool_worker *worker, bool *stopping)
{
    pthread_mutex_lock(&worker->lock);
    while (!worker->first && !worker->stopping)
        pthread_cond_wait(&worker->changed, &worker->lock);
    struct db_pool_job *job = worker->first;
    if (job) {
        worker->first = job->next;
        if (!worker->first)
            worker->last = &worker->first;
        worker->count--;
    }
    *stopping = worker->stopping;
    pthread_mutex_unlock(&worker->lock);
    return job;
}

static void *worker_run(void *context)
{
    struct pool_worker *worker = context;
    bool stopping;

    for (struct db_pool_job *job; (job = worker_next(worker, &stopping));)
        job->run(job, stopping ? NULL : worker->db);
    return NULL;
}
