#include "runtime/bus_kafka.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREADS_ARE_WATCHED 1
#endif
#elif defined(__SANITIZE_THREAD__)
#define THREADS_ARE_WATCHED 1
#endif

#ifndef THREADS_ARE_WATCHED

void kafka_threads_known(void) {}

#else

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <threads.h>

/* Its reference counts are atomics that were compiled without ThreadSanitizer, so what it frees looks like a race. Our
 * own callbacks and what they touch stay watched. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:librdkafka.so\nrace:^mtx_\nrace:^cnd_\n";
}

/* librdkafka uses C11's threads, which ThreadSanitizer does not know: the first allocation in a thread that it did not
 * see start crashes it. So, in builds for it only, C11's functions are made of POSIX's, which it knows. In glibc the two
 * have the same objects. */
static_assert(sizeof(mtx_t) == sizeof(pthread_mutex_t) && sizeof(cnd_t) == sizeof(pthread_cond_t) &&
                  sizeof(thrd_t) == sizeof(pthread_t),
              "C11 and POSIX threads differ here");

struct thread_start {
    thrd_start_t function;
    void *argument;
};

static int outcome(int error)
{
    return error == 0 ? thrd_success : error == ETIMEDOUT ? thrd_timedout : error == EBUSY ? thrd_busy : thrd_error;
}

static void *thread_run(void *context)
{
    struct thread_start start = *(struct thread_start *)context;

    free(context);
    return (void *)(intptr_t)start.function(start.argument);
}

void kafka_threads_known(void) {}

int thrd_create(thrd_t *thread, thrd_start_t function, void *argument)
{
    struct thread_start *start = malloc(sizeof *start);

    if (!start)
        return thrd_nomem;
    *start = (struct thread_start){function, argument};
    int error = pthread_create(thread, NULL, thread_run, start);
    if (error)
        free(start);
    return outcome(error);
}

int thrd_join(thrd_t thread, int *result)
{
    void *value = NULL;
    int error = pthread_join(thread, &value);

    if (result)
        *result = (int)(intptr_t)value;
    return outcome(error);
}

int thrd_detach(thrd_t thread) { return outcome(pthread_detach(thread)); }

int mtx_init(mtx_t *mutex, int type)
{
    pthread_mutexattr_t attributes;

    pthread_mutexattr_init(&attributes);
    if (type & mtx_recursive)
        pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    int error = pthread_mutex_init((pthread_mutex_t *)mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return outcome(error);
}

int mtx_lock(mtx_t *mutex) { return outcome(pthread_mutex_lock((pthread_mutex_t *)mutex)); }
int mtx_trylock(mtx_t *mutex) { return outcome(pthread_mutex_trylock((pthread_mutex_t *)mutex)); }
int mtx_unlock(mtx_t *mutex) { return outcome(pthread_mutex_unlock((pthread_mutex_t *)mutex)); }
void mtx_destroy(mtx_t *mutex) { pthread_mutex_destroy((pthread_mutex_t *)mutex); }
int cnd_init(cnd_t *condition) { return outcome(pthread_cond_init((pthread_cond_t *)condition, NULL)); }
int cnd_signal(cnd_t *condition) { return outcome(pthread_cond_signal((pthread_cond_t *)condition)); }
int cnd_broadcast(cnd_t *condition) { return outcome(pthread_cond_broadcast((pthread_cond_t *)condition)); }
void cnd_destroy(cnd_t *condition) { pthread_cond_destroy((pthread_cond_t *)condition); }

int cnd_wait(cnd_t *condition, mtx_t *mutex)
{
    return outcome(pthread_cond_wait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex));
}

int cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *until)
{
    return outcome(pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex, until));
}

#endif
