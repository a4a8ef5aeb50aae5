#ifndef PICKET_INGEST_REGISTRATIONS_H
#define PICKET_INGEST_REGISTRATIONS_H

#include "ingest/identity.h"
#include "runtime/db.h"
#include "runtime/secret.h"

/* Enrolment the DPS way: a device that holds a group's derived key, an individual key or a certificate becomes a device
 * of the workspace that the id scope names, and learns where to connect. Same answers over HTTPS and MQTT. Each call
 * asks the database; any thread that has a connection. */

struct registration_claim {
    struct text id_scope, registration_id; /* as the path or the user name has them, decoded */
    struct text token;                     /* SharedAccessSignature …; TEXT_NONE with a certificate */
    const struct text *chain;              /* DER certificates, leaf first */
    size_t chain_count;
};

/* An answer as DPS gives it, over either front; the text lies in the caller's arena. */
struct registration_answer {
    unsigned code; /* 200, 202, 400, 401, 404, 409, 412, 429, 500, 503 */
    unsigned retry_after_s; /* 202, 429 and 503 */
    struct text body; /* JSON */
    struct text operation_id; /* 202 */
};

struct registration_settings {
    const struct secret_master *master;
    const char *hub_host_name; /* where the workspace names no host */
};

/* Who may speak to DPS at all: the credential is checked, nothing is written. 200 with an empty body, or a refusal. */
void registration_authenticate(struct db *db, const struct registration_settings *settings,
                               const struct registration_claim *claim, int64_t now_us, struct arena *arena,
                               struct registration_answer *out);
/* PUT …/register: checks the credential, makes or renews the device, answers 202 with an operation. */
void registration_register(struct db *db, const struct registration_settings *settings,
                           const struct registration_claim *claim, struct text body, int64_t now_us,
                           struct arena *arena, struct registration_answer *out);
/* GET …/operations/{id}. */
void registration_operation(struct db *db, const struct registration_settings *settings,
                            const struct registration_claim *claim, struct text operation_id, int64_t now_us,
                            struct arena *arena, struct registration_answer *out);
/* POST …/registrations/{id}: the state of a registration, as classic agents ask for it. */
void registration_show(struct db *db, const struct registration_settings *settings,
                       const struct registration_claim *claim, int64_t now_us, struct arena *arena,
                       struct registration_answer *out);

#endif
