#ifndef PICKET_AGENT_REST_H
#define PICKET_AGENT_REST_H

#include <stdbool.h>
#include <stdint.h>

/* A collector that the kernel wakes rests after each round, as long as its share of a processor asks for: what happens in between waits in the
 * kernel. */
struct rest {
    int timer;
    bool resting;
    int64_t begun_ns; /* of the work under way: this thread's time */
};

/* False: the kernel gives no timer. */
bool rest_open(struct rest *rest);
void rest_close(struct rest *rest);
/* What to poll for instead of `socket`, while it rests. */
int rest_socket(const struct rest *rest, int socket);
/* Begins a round. True: it is because a rest is over, and not for anything else. */
bool rest_end(struct rest *rest);
/* Ends a round: rests 300 times as long as it took, which is a third of a per cent of one processor, but 5 s at most. */
void rest_begin(struct rest *rest);

#endif
