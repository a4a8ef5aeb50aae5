#include "runtime/db_pool.h"

#include <pthread.h>
#include <stdlib.h>

#include "tests/support/check_main.h"
#include "tests/support/database.h"

#define JOBS 200
#define THREADS 3

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

struct asked {
    struct db_pool_job job;
    int64_t number, answer;
};

static struct asked *done[JOBS];
static size_t done_count, handed_back;
static bool held;

static void setup(void)
{
    done_count = handed_back = 0;
    held = false;
}

static struct asked *asked_new(int64_t number, uint64_t key, void (*run)(struct db_pool_job *job, struct db *db))
{
    struct asked *asked = calloc(1, sizeof *asked);

    if (!asked)
        abort();
    asked->job = (struct db_pool_job){.key = key, .run = run};
    asked->number = number;
    return asked;
}

static void ask(struct db_pool_job *job, struct db *db)
{
    struct asked *asked = (struct asked *)job;
    struct db_rows *rows = NULL;
    struct problem why;

    if (db && db_query(db, "SELECT 6 * 7", NULL, 0, 10000, &rows, &why) == STATUS_OK)
        asked->answer = db_i64(rows, 0, 0);
    db_rows_free(rows);
    pthread_mutex_lock(&lock);
    if (!db)
        handed_back++;
    done[done_count++] = asked;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* Keeps its thread until the pool closes. */
static void hold(struct db_pool_job *job, struct db *db)
{
    struct db_rows *rows = NULL;
    struct problem why;

    pthread_mutex_lock(&lock);
    held = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    ck_assert_ptr_nonnull(db);
    (void)!db_query(db, "SELECT pg_sleep(600)", NULL, 0, 600000, &rows, &why);
    db_rows_free(rows);
    free(job);
}

static struct db_pool *pool_open(unsigned threads, size_t queue_max)
{
    struct db_pool *pool = NULL;
    struct problem why;

    ck_assert_msg(db_pool_open(database_conninfo(), NULL, "pool", threads, queue_max, &pool, &why) == STATUS_OK,
                  "%s", why.text);
    return pool;
}

START_TEST(jobs_of_one_key_keep_their_order)
{
    struct db_pool *pool = pool_open(THREADS, JOBS);
    int64_t last[THREADS] = {-1, -1, -1};
    struct problem why;

    for (int64_t i = 0; i < JOBS; i++)
        ck_assert_int_eq(db_pool_give(pool, &asked_new(i, (uint64_t)i % THREADS, ask)->job, &why), STATUS_OK);
    pthread_mutex_lock(&lock);
    while (done_count < JOBS)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    for (size_t i = 0; i < JOBS; i++) {
        ck_assert_int_eq(done[i]->answer, 42);
        ck_assert_int_gt(done[i]->number, last[done[i]->job.key]);
        last[done[i]->job.key] = done[i]->number;
        free(done[i]);
    }
    db_pool_close(pool);
}
END_TEST

START_TEST(closing_hands_waiting_jobs_back)
{
    struct db_pool *pool = pool_open(1, 5);
    struct problem why;

    ck_assert_int_eq(db_pool_give(pool, &asked_new(0, 0, hold)->job, &why), STATUS_OK);
    pthread_mutex_lock(&lock);
    while (!held)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    for (int64_t i = 0; i < 5; i++)
        ck_assert_int_eq(db_pool_give(pool, &asked_new(i, 0, ask)->job, &why), STATUS_OK);
    struct asked *too_many = asked_new(5, 0, ask);
    ck_assert_int_eq(db_pool_give(pool, &too_many->job, &why), STATUS_RETRY);
    free(too_many);
    db_pool_close(pool);
    ck_assert_uint_eq(handed_back, 5);
    for (size_t i = 0; i < done_count; i++)
        free(done[i]);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        jobs_of_one_key_keep_their_order,
        closing_hands_waiting_jobs_back,
    };
    database_start(DATABASE_FAST);
    return check_main(&(const struct check_suite){.name = "runtime/db_pool",
                                                  .tests = tests,
                                                  .count = sizeof tests / sizeof *tests,
                                                  .setup = setup,
                                                  .timeout_seconds = 60});
}
