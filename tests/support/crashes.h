#ifndef PICKET_TESTS_SUPPORT_CRASHES_H
#define PICKET_TESTS_SUPPORT_CRASHES_H

#include <stdint.h>

/* Random moments that can be had again: $PICKET_TEST_SEED, else from the clock; printed either way. */
uint64_t crashes_seed(void);
/* 0 … below-1. */
uint64_t crashes_draw(uint64_t *state, uint64_t below);
/* Puts 0 … count-1 into a random order. */
void crashes_shuffle(uint64_t *state, unsigned *out, unsigned count);

#endif
