#ifndef PICKET_RUNTIME_LOOP_H
#define PICKET_RUNTIME_LOOP_H

#include "runtime/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One thread that waits for descriptors, times and posts of other threads, and calls back. All but loop_post() and
 * loop_stop() is for that thread alone, or for before loop_start(). Nothing is allocated: what is waited for lies in its
 * owner, who takes it out before it goes. */
struct loop;

#define LOOP_EVENTS_MAX 256 /* of descriptors per round; timers and posts have their turn after each */

struct loop_watch {
    int fd;
    uint32_t events; /* EPOLLIN | EPOLLOUT …, level-triggered; 0 is kept, and costs nothing */
    void (*ready)(struct loop_watch *watch, uint32_t events);
    int32_t slot; /* the loop's: where it stands in this round's events, or -1 */
    bool added;
};

struct loop_timer {
    int64_t due_ms; /* clock_monotonic_ms() */
    void (*fire)(struct loop_timer *timer);
    uint32_t place; /* the loop's: in its heap, from 1; 0: not set. Zeroed by the owner at first. */
};

struct loop_post {
    struct loop_post *next;
    void (*run)(struct loop_post *post); /* the post is its owner's again */
};

MUST_CHECK enum status loop_open(struct loop **out, struct problem *why);
/* What was posted and did not run yet runs now, on the caller's thread; nothing else does. */
void loop_close(struct loop *take_loop);

/* Runs it on a thread of its own, of this name (15 bytes). */
MUST_CHECK enum status loop_start(struct loop *loop, const char *name, struct problem *why);
/* Runs it on the caller's thread until loop_stop(). */
void loop_run(struct loop *loop);
/* Ends the thread, and waits for it. Any other thread; harmless when it does not run. */
void loop_stop(struct loop *loop);

/* Runs what was posted, on the caller's thread: when the loop's own has ended. */
void loop_flush(struct loop *loop);

/* `watch->fd`, `events` and `ready` are set. */
MUST_CHECK enum status loop_add(struct loop *loop, struct loop_watch *watch, struct problem *why);
void loop_change(struct loop *loop, struct loop_watch *watch, uint32_t events);
/* No event reaches it any more, not even one of this round. Before the descriptor is closed. Fine when not added. */
void loop_remove(struct loop *loop, struct loop_watch *watch);

/* Sets or moves it. */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t due_ms);
void loop_timer_clear(struct loop *loop, struct loop_timer *timer); /* fine when not set */

/* Runs `post->run` on the loop's thread, in the order of posting. Any thread. */
void loop_post(struct loop *loop, struct loop_post *post);

#endif
