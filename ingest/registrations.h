#ifndef PICKET_INGEST_REGISTRATIONS_H
#define PICKET_INGEST_REGISTRATIONS_H

#include "ingest/authorities.h"
#include "ingest/identity.h"
#include "runtime/db.h"
#include "runtime/secret.h"

/* Enrolment the DPS way: a device that holds a key derived from a group's or one of its own, or shows a certificate that
 * a group's authority vouches for or that was enrolled by its thumbprint, becomes a device of the workspace that the id
 * scope names, and learns where to connect. Same answers over HTTPS and MQTT. Each call asks the database; any thread
 * that has a connection.
 *
 * Facts: Microsoft's pages on symmetric key attestation (the derived key is base64 of HMAC-SHA256 of the registration id
 * under the group's decoded key) and on DPS over MQTT and HTTPS. */
#define REGISTRATION_QUERY_MS 10000

struct registration_claim {
    struct text id_scope, registration_id; /* as the path or the user name has them, decoded */
    struct text token;                     /* SharedAccessSignature …, or TEXT_NONE */
    const struct text *chain; /* certificates in DER, the leaf first, whose key the sender has: for want of a token */
    size_t chain_count;
};

/* An answer as DPS gives it, over either front; the text lies in the caller's arena. */
struct registration_answer {
    unsigned code; /* 200, 202, 400, 401, 404, 503, 500 */
    unsigned retry_after_s; /* 202 and 503 */
    struct text body; /* JSON */
    struct text operation_id; /* 202 */
};

struct registration_settings {
    struct secret_master master;
    struct authorities *authorities; /* of the roster */
    const char *hub_host_name; /* where the workspace names no host; "host:port" gives its host */
};

/* Who may speak to DPS at all: the credential is checked, nothing is written. 200 with an empty body, or a refusal. */
void registration_authenticate(struct db *db, const struct registration_settings *settings,
                               const struct registration_claim *claim, int64_t now_us, struct arena *arena,
                               struct registration_answer *out);
/* PUT …/register: checks the credential, makes the device or renews its key, answers 202 with an operation. */
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
/* The same refusal for what a front cannot pass on: `name` is a code of DPS such as 400004. */
void registration_refuse(unsigned code, unsigned dps_code, const char *sentence, int64_t now_us, struct arena *arena,
                         struct registration_answer *out);

#endif
