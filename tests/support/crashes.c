#include "tests/support/crashes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/clock.h"

uint64_t crashes_seed(void)
{
    const char *given = getenv("PICKET_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)clock_utc_us();

    printf("PICKET_TEST_SEED=%" PRIu64 "\n", seed);
    fflush(stdout);
    return seed ? seed : 1;
}

/* xorshift64* */
uint64_t crashes_draw(uint64_t *state, uint64_t below)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (*state * UINT64_C(0x2545f4914f6cdd1d) >> 33) % below;
}

void crashes_shuffle(uint64_t *state, unsigned *out, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned other = (unsigned)crashes_draw(state, i + 1);
        out[i] = out[other];
        out[other] = i;
    }
}
