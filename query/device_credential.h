#ifndef PICKET_QUERY_DEVICE_CREDENTIAL_H
#define PICKET_QUERY_DEVICE_CREDENTIAL_H

#include "query/device_key.h"
#include "query/device_path.h"
#include "runtime/x509.h"

/* How a device or module shows who it is: one credential each, of one kind. Keys in it are the caller's to wipe. */
enum device_credential_kind {
    DEVICE_CREDENTIAL_SAS,        /* two keys that sign tokens */
    DEVICE_CREDENTIAL_THUMBPRINT, /* one or two certificates, known by SHA-1 or SHA-256 */
    DEVICE_CREDENTIAL_AUTHORITY,  /* any certificate that an authority of the workspace vouches for */
};

struct device_thumbprint {
    uint8_t bytes[X509_SHA256_BYTES];
    size_t count; /* 0: there is none */
};

struct device_credential {
    enum device_credential_kind kind;
    struct device_keys keys;
    struct device_thumbprint primary, secondary;
};

/* The body's members that device_credential_wanted() reads. */
#define DEVICE_CREDENTIAL_MEMBERS "authentication", "primary_key", "secondary_key", "primary_thumbprint", "secondary_thumbprint"

/* What the body asks for: "authentication", which is "sas" where it is absent, and what belongs to it; keys that are not
 * given are made. STATUS_REJECT: a member is malformed, missing, or of another kind. */
MUST_CHECK enum status device_credential_wanted(const struct request *request, struct device_credential *out,
                                                struct problem *why);
/* In the place of whatever the identity (workspace, device, module) had. */
MUST_CHECK enum status device_credential_put(const struct query *query, const struct request *request,
                                             const char *const identity[3], const struct device_credential *credential,
                                             struct problem *why);
/* Locked until the transaction ends: two rotations at once would otherwise undo each other. STATUS_REJECT: there is none. */
MUST_CHECK enum status device_credential_get(const struct query *query, const struct request *request,
                                             const struct device_path *path, struct device_credential *out,
                                             struct problem *why);

/* As a bytea parameter; NULL when there is none. */
const char *device_thumbprint_bytea(const struct request *request, const struct device_thumbprint *thumbprint);
/* From a row's kind, sealed_primary, sealed_secondary, thumbprint_primary and thumbprint_secondary, `column` being the
 * first. STATUS_FAULT: a key was sealed with another master key. */
MUST_CHECK enum status device_credential_read(const struct query *query, const struct request *request,
                                              const struct db_rows *rows, size_t row, int column,
                                              struct device_credential *out, struct problem *why);

const char *device_credential_name(const struct device_credential *credential); /* "sas", "thumbprint", "authority" */
/* The keys; or "authentication" and what belongs to it. What is answered with keys stays as scripts know it. */
void device_credential_write(const struct device_credential *credential, struct reply *reply);
/* The same for who may read no keys; from the row, so that nothing is opened. */
MUST_CHECK enum status device_credential_show(const struct request *request, const struct device_path *path,
                                              struct reply *reply, struct problem *why);

#endif
