#ifndef PICKET_PROGRAMS_SIMULATED_H
#define PICKET_PROGRAMS_SIMULATED_H

#include <jansson.h>

#include "programs/cli.h"
#include "programs/sas.h"
#include "programs/simulated_certificate.h"
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
    char id[64], module[64], host[300];
    /* How it sends, and how it must not: one that has certificates signs no tokens. */
    char token[SAS_TOKEN_SIZE], token_over[SAS_TOKEN_SIZE], token_forged[SAS_TOKEN_SIZE];
    struct simulated_certificate certificate, certificate_over, certificate_other;
};
/* Makes the device, or finds it again, and tags it. STATUS_OK: the door lets it in. */
MUST_CHECK enum status simulated_open(struct simulator *simulator, const char *id, struct simulated *out, struct problem *why);
/* Makes a module of the device, that shows a certificate. STATUS_RETRY: the door does not let it in, as where a proxy keeps certificates. It takes
 * simulated_close(), whatever is answered. */
MUST_CHECK enum status simulated_open_certified(struct simulator *simulator, const struct simulated *device, struct simulated *out, struct problem *why);
void simulated_close(struct simulated *device); /* what the server knows of it stays */

/* A message: opened, its events one after the other, closed. `payload` is what stands between the brackets of an event's payload. */
void simulated_message_open(struct buf *out);
void simulated_message_event(struct buf *out, struct text name, int64_t at_us, struct text payload);
void simulated_message_close(struct buf *out);
/* What the server answered: 204 where it took the message, 0 where there was no answer. What went wrong is told on stderr. */
long simulated_send(struct simulator *simulator, const struct simulated *device, const struct buf *message);

/* What a server has to notice. */
enum simulated_fault {
    SIMULATED_TOKEN_OVER,
    SIMULATED_TOKEN_FORGED, /* signed with no key of the device */
    SIMULATED_CERTIFICATE_OVER,
    SIMULATED_CERTIFICATE_OTHER, /* of which the device was not enrolled with the thumbprint */
    SIMULATED_TWO_PLACES,        /* in turns; nothing is refused */
    SIMULATED_TOO_FAST,          /* its rate is lowered to a message a second before */
};
/* Does that as often. False: not as often as that, since the server answered otherwise or this machine has no second address to call from. */
bool simulated_offend(struct simulator *simulator, const struct simulated *device, enum simulated_fault fault, unsigned times);

#endif
