#include "runtime/loop.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/clock.h"

struct loop {
    int epoll_fd;
    struct loop_watch wake; /* an event descriptor, written to by those who post */
    struct epoll_event events[LOOP_EVENTS_MAX];
    int event_count;
    struct loop_timer **heap; /* from 1; the earliest is heap[1] */
    uint32_t timer_count, timer_room;
    pthread_t thread;
    bool started;
    _Atomic bool stopping;
    _Alignas(64) _Atomic(struct loop_post *) posts; /* the newest first */
};

static void wake_ready(struct loop_watch *watch, uint32_t events);
static void *thread_run(void *loop);
static void events_wait(struct loop *loop);
static void timers_fire(struct loop *loop);
static void posts_run(struct loop *loop);
static void heap_place(struct loop *loop, uint32_t place, struct loop_timer *timer);
static void heap_up(struct loop *loop, struct loop_timer *timer);
static void heap_down(struct loop *loop, struct loop_timer *timer);

enum status loop_open(struct loop **out, struct problem *why)
{
    struct loop *loop = aligned_alloc(64, (sizeof *loop + 63) / 64 * 64);

    if (!loop)
        abort();
    memset(loop, 0, sizeof *loop);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->wake = (struct loop_watch){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .events = EPOLLIN, .ready = wake_ready};
    enum status status = STATUS_OK;
    if (loop->epoll_fd < 0 || loop->wake.fd < 0)
        status = problem_set(why, STATUS_FAULT, "no descriptor to wait with: %m");
    else
        status = loop_add(loop, &loop->wake, why);
    if (status) {
        loop_close(loop);
        return status;
    }
    *out = loop;
    return STATUS_OK;
}

void loop_close(struct loop *take_loop)
{
    if (!take_loop)
        return;
    assert(!take_loop->started);
    posts_run(take_loop);
    if (take_loop->wake.fd >= 0)
        close(take_loop->wake.fd);
    if (take_loop->epoll_fd >= 0)
        close(take_loop->epoll_fd);
    free(take_loop->heap);
    free(take_loop);
}

enum status loop_start(struct loop *loop, const char *name, struct problem *why)
{
    int failed = pthread_create(&loop->thread, NULL, thread_run, loop);

    if (failed)
        return problem_set(why, STATUS_FAULT, "no thread for %s: %s", name, strerror(failed));
    loop->started = true;
    pthread_setname_np(loop->thread, name);
    return STATUS_OK;
}

void loop_run(struct loop *loop)
{
    while (!atomic_load(&loop->stopping)) {
        events_wait(loop);
        for (int i = 0; i < loop->event_count; i++) {
            struct loop_watch *watch = loop->events[i].data.ptr;
            if (!watch)
                continue; /* removed meanwhile */
            watch->slot = -1;
            watch->ready(watch, loop->events[i].events);
        }
        loop->event_count = 0;
        posts_run(loop);
        timers_fire(loop);
    }
}

void loop_stop(struct loop *loop)
{
    atomic_store(&loop->stopping, true);
    if (write(loop->wake.fd, &(uint64_t){1}, sizeof(uint64_t)) < 0 && errno != EAGAIN)
        abort();
    if (loop->started)
        pthread_join(loop->thread, NULL);
    loop->started = false;
}

void loop_flush(struct loop *loop)
{
    assert(!loop->started);
    posts_run(loop);
}

enum status loop_add(struct loop *loop, struct loop_watch *watch, struct problem *why)
{
    struct epoll_event event = {.events = watch->events, .data.ptr = watch};

    watch->slot = -1;
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, watch->fd, &event) != 0)
        return problem_set(why, STATUS_FAULT, "a descriptor cannot be waited for: %m");
    watch->added = true;
    return STATUS_OK;
}

void loop_change(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};

    assert(watch->added);
    if (watch->events == events)
        return;
    watch->events = events;
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event) != 0)
        abort(); /* it was added, and nobody else closes it */
}

void loop_remove(struct loop *loop, struct loop_watch *watch)
{
    if (!watch->added)
        return;
    watch->added = false;
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    if (watch->slot >= 0)
        loop->events[watch->slot].data.ptr = NULL;
    watch->slot = -1;
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t due_ms)
{
    timer->due_ms = due_ms;
    if (!timer->place) {
        if (loop->timer_count + 1 >= loop->timer_room) {
            loop->timer_room = loop->timer_room ? 2 * loop->timer_room : 64;
            loop->heap = realloc(loop->heap, loop->timer_room * sizeof(struct loop_timer *));
            if (!loop->heap)
                abort();
        }
        heap_place(loop, ++loop->timer_count, timer);
    }
    heap_up(loop, timer);
    heap_down(loop, timer);
}

void loop_timer_clear(struct loop *loop, struct loop_timer *timer)
{
    uint32_t place = timer->place;

    if (!place)
        return;
    struct loop_timer *last = loop->heap[loop->timer_count--];
    timer->place = 0;
    if (last == timer)
        return;
    heap_place(loop, place, last);
    heap_up(loop, last);
    heap_down(loop, last);
}

void loop_post(struct loop *loop, struct loop_post *post)
{
    struct loop_post *newest = atomic_load_explicit(&loop->posts, memory_order_relaxed);

    do
        post->next = newest;
    while (!atomic_compare_exchange_weak_explicit(&loop->posts, &newest, post, memory_order_release,
                                                  memory_order_relaxed));
    /* Who finds others waiting leaves the waking to the first of them. */
    if (!newest && write(loop->wake.fd, &(uint64_t){1}, sizeof(uint64_t)) < 0 && errno != EAGAIN)
        abort();
}

static void *thread_run(void *loop)
{
    loop_run(loop);
    return NULL;
}

static void wake_ready(struct loop_watch *watch, uint32_t events)
{
    uint64_t ignored;

    (void)events;
    (void)!read(watch->fd, &ignored, sizeof ignored); /* the posts are looked at in each round anyway */
}

static void events_wait(struct loop *loop)
{
    int64_t wait_ms = -1;

    if (loop->timer_count) {
        wait_ms = loop->heap[1]->due_ms - clock_monotonic_ms();
        wait_ms = wait_ms < 0 ? 0 : wait_ms > INT_MAX ? INT_MAX : wait_ms;
    }
    int count = epoll_wait(loop->epoll_fd, loop->events, LOOP_EVENTS_MAX, (int)wait_ms);
    loop->event_count = count < 0 ? 0 : count; /* interrupted */
    for (int i = 0; i < loop->event_count; i++)
        ((struct loop_watch *)loop->events[i].data.ptr)->slot = i;
}

static void timers_fire(struct loop *loop)
{
    int64_t now_ms = clock_monotonic_ms();

    while (loop->timer_count && loop->heap[1]->due_ms <= now_ms && !atomic_load(&loop->stopping)) {
        struct loop_timer *timer = loop->heap[1];
        loop_timer_clear(loop, timer);
        timer->fire(timer);
    }
}

static void posts_run(struct loop *loop)
{
    struct loop_post *newest = atomic_exchange_explicit(&loop->posts, NULL, memory_order_acquire), *oldest = NULL;

    while (newest) {
        struct loop_post *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct loop_post *next = oldest->next;
        oldest->run(oldest);
        oldest = next;
    }
}

static void heap_place(struct loop *loop, uint32_t place, struct loop_timer *timer)
{
    loop->heap[place] = timer;
    timer->place = place;
}

static void heap_up(struct loop *loop, struct loop_timer *timer)
{
    uint32_t place = timer->place;

    while (place > 1 && loop->heap[place / 2]->due_ms > timer->due_ms) {
        heap_place(loop, place, loop->heap[place / 2]);
        place /= 2;
    }
    heap_place(loop, place, timer);
}

static void heap_down(struct loop *loop, struct loop_timer *timer)
{
    uint32_t place = timer->place;

    for (uint32_t child; (child = 2 * place) <= loop->timer_count; place = child) {
        if (child < loop->timer_count && loop->heap[child + 1]->due_ms < loop->heap[child]->due_ms)
            child++;
        if (loop->heap[child]->due_ms >= timer->due_ms)
            break;
        heap_place(loop, place, loop->heap[child]);
    }
    heap_place(loop, place, timer);
}
