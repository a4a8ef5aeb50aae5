#include "agent/rest.h"

#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS INT64_C(1000000000)
#define REST_FOR_EACH 300
#define REST_MOST_NS (5 * SECOND_NS)

static int64_t work_ns(void)
{
    struct timespec used;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return used.tv_sec * SECOND_NS + used.tv_nsec;
}

bool rest_open(struct rest *rest)
{
    *rest = (struct rest){.timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)};
    return rest->timer >= 0;
}

void rest_close(struct rest *rest)
{
    if (rest->timer >= 0)
        close(rest->timer);
    rest->timer = -1;
}

int rest_socket(const struct rest *rest, int socket)
{
    return rest->resting ? rest->timer : socket;
}

bool rest_end(struct rest *rest)
{
    uint64_t times;
    bool over = rest->resting && read(rest->timer, &times, sizeof times) == (ssize_t)sizeof times;

    rest->resting = false;
    rest->begun_ns = work_ns();
    return over;
}

void rest_begin(struct rest *rest)
{
    int64_t rest_ns = (work_ns() - rest->begun_ns) * REST_FOR_EACH;

    rest_ns = rest_ns < REST_MOST_NS ? rest_ns : REST_MOST_NS;
    const struct itimerspec once = {.it_value = {rest_ns / SECOND_NS, rest_ns % SECOND_NS}};
    rest->resting = rest_ns > 0 && timerfd_settime(rest->timer, 0, &once, NULL) == 0;
}
