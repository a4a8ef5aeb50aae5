#ifndef PICKET_INGEST_PRESENCE_H
#define PICKET_INGEST_PRESENCE_H

#include "ingest/identity.h"

#include <stdatomic.h>

/* Who is connected to this process, and what they listen to. One connection per identity: a new one turns the old one
 * out. Locks are held for a few instructions; any thread. */
struct presence;

/* What a connection subscribed to, as bits; QoS 1 where PRESENCE_QOS1 of the same bit is set. */
enum {
    PRESENCE_CLOUD_MESSAGES = 1,
    PRESENCE_METHODS = 2,
    PRESENCE_DESIRED = 4,
    PRESENCE_TWIN_REPLIES = 8,
    PRESENCE_MODULE_INPUTS = 16,
    PRESENCE_ENROLMENT_REPLIES = 32,
    PRESENCE_ALL = 63,
};
#define PRESENCE_QOS1(bits) ((bits) << 8)
#define PRESENCE_PARKED_MAX 1000000 /* subscriptions of those who are away; about 100 bytes each */

/* Lies in the connection, which stays until it has left; the fields are presence's but where said. */
struct presence_member {
    struct presence_member *next;
    uint64_t hash;
    struct identity identity;  /* the connection's, with texts that live as long; set before presence_enter() */
    int64_t connected_at_us;   /* likewise */
    uint32_t wants;
    /* Called under a lock, from any thread: hands `note` to the connection's own thread, and never waits. Set before
     * presence_enter(). */
    void (*hear)(struct presence_member *member, void *note);
};

struct presence *presence_new(void);
void presence_free(struct presence *take_presence); /* nobody is in it any more */

/* `resume` takes up the subscriptions that the identity left behind, into member->wants, and says whether there were
 * any; otherwise they are forgotten. Who was here under this identity hears `turned_out`, and has left; true in
 * `*turned` then: the note was taken. */
bool presence_enter(struct presence *presence, struct presence_member *member, bool resume, void *turned_out,
                    bool *turned);
/* False when it had left already, since a newer one turned it out. `keep_ms` > 0 keeps its subscriptions for so long,
 * for the next connection. */
bool presence_leave(struct presence *presence, struct presence_member *member, int64_t keep_ms);

/* Only the member's own connection changes it. */
void presence_want(struct presence *presence, struct presence_member *member, uint32_t wants);

/* Whether somebody is here who wants any of `bits`; 0: whoever. */
bool presence_here(struct presence *presence, const struct identity *identity, uint32_t bits);
/* Hands `note` to the connection when it wants any of `bits` (0: whatever it wants) and is not newer than
 * `connected_before_us`. False: nobody such is here, and the note is still the caller's. */
bool presence_tell(struct presence *presence, const struct identity *identity, uint32_t bits,
                   int64_t connected_before_us, void *note);

size_t presence_count(const struct presence *presence);

#endif
