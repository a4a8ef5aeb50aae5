#ifndef PICKET_INGEST_SAS_H
#define PICKET_INGEST_SAS_H

#include "ingest/roster.h"
#include "runtime/secret.h"
#include "runtime/status.h"

/* Shared access signatures, as IoT Hub's devices make them: "SharedAccessSignature sr=R&sig=S&se=E[&skn=K]" with the
 * parameters in any order. Signed is R as it stands in the token, a newline, and E as it stands there. */
#define SAS_TOLERANCE_S 300 /* for clocks that are wrong on devices that have no better one */

struct sas {
    struct text resource; /* as sent: what is signed; borrowed, like the next */
    struct text expiry;
    int64_t expires_at_s;
    char host[PICKET_HOST_MAX];
    size_t host_count; /* of the decoded resource, without port */
    uint8_t signature[SECRET_HMAC_BYTES];
};

/* STATUS_REJECT: it is malformed, and `why` says how (for the log: a stranger is not told). */
MUST_CHECK enum status sas_parse(struct text token, struct sas *out, struct problem *why);

/* Whether the resource covers this identity: {host}/devices/{device}[/modules/{module}], or a prefix of that by whole
 * segments, down to the host. SDKs escape the resource not at all, once, or the ids twice. */
bool sas_covers(const struct sas *sas, struct text device, struct text module);

/* Whether it is for just this registration of Azure's Device Provisioning: {id scope}/registrations/{id}. */
bool sas_covers_registration(const struct sas *sas, struct text id_scope, struct text registration_id);

/* Constant time in the keys. */
bool sas_signed_with(const struct sas *sas, const uint8_t *key, size_t key_count);

static inline struct text sas_host(const struct sas *sas)
{
    return (struct text){sas->host, sas->host_count};
}

#endif
