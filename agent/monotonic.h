#ifndef PICKET_AGENT_MONOTONIC_H
#define PICKET_AGENT_MONOTONIC_H

#include <stdint.h>
#include <time.h>

/* Milliseconds of the clock that nobody sets. */
static inline int64_t monotonic_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#endif
