#ifndef PICKET_PROGRAMS_SIMULATED_H
#define PICKET_PROGRAMS_SIMULATED_H

#include <jansson.h>

#include "programs/cli.h"
#include "programs/sas.h"
#include "runtime/buf.h"
#include "runtime/status.h"
#include "runtime/text.h"

/* Devices that do not exist: made and asked about over the API, and sending over HTTPS as any other does. All that is found on them is
 * marked as simulated, and goes with `picket simulate remove`. One thread. */
struct simulator;
MUST_CHECK enum status simulator_open(const struct cli *cli, struct simulator **out, struct problem *why);
void simulator_close(struct simulator *take_simulator); /* NULL is fine */

/* As client_call(), in the workspace that the flags name. */
MUST_CHECK enum status simulator_call(struct simulator *simulator, const char *method, const char *path, json_t *take_body, json_t **out, struct problem *why);
/* Makes the feed "simulated" of rule_sample_indicators, which are nobody's addresses and names; one that is there stays. */
MUST_CHECK enum status simulator_feed(struct simulator *simulator, struct problem *why);

struct simulated {
    char id[64];
    char token[SAS_TOKEN_SIZE], url[1200];                        /* how it sends */
    char token_over[SAS_TOKEN_SIZE], token_forged[SAS_TOKEN_SIZE]; /* and how it must not */
};
/* Makes the device, or finds it again, and tags it. */
MUST_CHECK enum status simulated_open(struct simulator *simulator, const char *id, struct simulated *out, struct problem *why);

/* A message: opened, its events one after the other, closed. `payload` is what stands between the brackets of an event's payload. */
void simulated_message_open(struct buf *out);
void simulated_message_event(struct buf *out, struct text name, int64_t at_us, struct text payload);
void simulated_message_close(struct buf *out);
/* What the server answered: 204 where it took the message, 0 where there was no answer. What went wrong is told on stderr. */
long simulated_send(struct simulator *simulator, const struct simulated *device, const struct buf *message);

/* The same, as often as that, in a way that the server has to refuse: with a token that is over, with one that no key of the device signed, or, once its
 * rate was lowered to a message a second, too fast. Returns how many were refused as they should be. */
enum simulated_fault { SIMULATED_TOKEN_OVER, SIMULATED_TOKEN_FORGED, SIMULATED_TOO_FAST };
unsigned simulated_offend(struct simulator *simulator, const struct simulated *device, enum simulated_fault fault, unsigned times);

#endif
