#ifndef PICKET_TESTS_SUPPORT_RELAY_H
#define PICKET_TESTS_SUPPORT_RELAY_H

#include <stdbool.h>
#include <stdint.h>

/* A way from a port of its own to another one on loopback, which can be cut: a thread that passes bytes on, both ways. */
struct relay;

/* Open at first. Aborts the test when it cannot listen. */
struct relay *relay_start(uint16_t to_port);
uint16_t relay_port(const struct relay *relay);
/* Cut: what is connected is dropped, and whoever connects is dropped at once. Open again: as before. Holds when it returns. */
void relay_open(struct relay *relay, bool open);
/* Drops what is connected; new connections pass. */
void relay_drop(struct relay *relay);
void relay_stop(struct relay *take_relay); /* NULL is fine */

#endif
