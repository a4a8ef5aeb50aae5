#ifndef PICKET_INGEST_SIGHTINGS_H
#define PICKET_INGEST_SIGHTINGS_H

#include <netinet/in.h>

#include "ingest/identity.h"

/* From where each identity was seen last, and before that: one that goes back and forth between two addresses is
 * likely two devices with one credential. A device that only moves on never comes back so soon.
 *
 * Bounded: 64 bytes for an identity, those not seen for a while are forgotten first. Any thread. */
struct sightings;

#define SIGHTINGS_WINDOW_S 600  /* within which an address has to come back for that to count */
#define SIGHTINGS_RETURNS_MIN 3 /* that make a clone */
#define SIGHTINGS_MAX 2097152   /* identities */

struct sighting_clone {
    char addresses[2][INET6_ADDRSTRLEN]; /* the one it was just seen from, and the other */
    uint32_t returns;                    /* since this was said last */
};

struct sightings *sightings_new(void);
void sightings_free(struct sightings *take_sightings);

/* Notes that a credential of `identity` came from `peer` ("192.0.2.1", "2001:db8::1") at `now_s`, seconds that never go
 * back. True: it goes back and forth, and `out` says between which; said of one identity once in a window. */
bool sightings_note(struct sightings *sightings, const struct identity *identity, const char *peer, int64_t now_s,
                    struct sighting_clone *out);

#endif
