#ifndef PICKET_INGEST_DOOR_H
#define PICKET_INGEST_DOOR_H

#include "ingest/identity.h"
#include "runtime/bus.h"

/* What the front door saw: refusals, summed per identity and window of ten seconds, and identities that go back and forth
 * between two addresses. Sent to the bus as records of kind `door` (docs/bus.md), so that an owner can see why nothing
 * arrives and who is there twice. A thread of its own sends them. */
struct door;

#define DOOR_WINDOW_MS 10000
#define DOOR_IDENTITIES_MAX 10000 /* per window; what comes beyond is put down to the workspace */

/* `bus` is borrowed until door_close(). `window_ms` is DOOR_WINDOW_MS but in tests. */
MUST_CHECK enum status door_open(struct bus *bus, uint32_t window_ms, struct door **out, struct problem *why);
/* Sends what was counted and waits for its outcome, for a few seconds at most. */
void door_close(struct door *take_door);

/* Counts one refusal. `identity` is one that is enrolled, or has an empty device: then the workspace's sum.
 * Any thread. */
void door_refused(struct door *door, const struct identity *identity, unsigned code, const char *sentence);

/* The same for a credential that was turned away, and a line in the log. Nothing is counted where no workspace is
 * addressed. `peer` is the sender's address. */
struct device_auth_claim;
struct device_auth_result;
void door_refused_credential(struct door *door, const struct device_auth_claim *claim,
                             const struct device_auth_result *result, unsigned code, const char *peer);

/* Notes from where a credential of `identity` came that was let in: see sightings.h. Any thread. */
void door_passed(struct door *door, const struct identity *identity, const char *peer);

#endif
