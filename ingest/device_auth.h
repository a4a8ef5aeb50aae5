#ifndef PICKET_INGEST_DEVICE_AUTH_H
#define PICKET_INGEST_DEVICE_AUTH_H

#include "ingest/roster.h"
#include "runtime/secret.h"

/* Credential → identity, or a reason. What a stranger is told depends on the verdict alone: an unknown device, a wrong
 * key and an expired token look and take the same. The reason is for the log and for the device's owner.
 *
 * A token names its workspace by the host in its resource. A certificate that an authority vouches for belongs to the
 * authority's workspace, whatever host was called; one that is known by its thumbprint to that of the host. */
struct device_auth;

enum device_auth_verdict {
    DEVICE_AUTH_PASSED,
    DEVICE_AUTH_UNFIT,    /* 401: the credential does not fit the identity, for whatever reason */
    DEVICE_AUTH_DISABLED, /* 403: it fits, and the identity is switched off */
    DEVICE_AUTH_UNREADY,  /* 503: the roster was not read yet */
};

/* What was wrong with a credential that did not fit, as far as detection tells it apart. */
enum device_auth_flaw {
    DEVICE_AUTH_OTHER_FLAW,
    DEVICE_AUTH_TOKEN_EXPIRED,
    DEVICE_AUTH_TOKEN_SIGNATURE,
    DEVICE_AUTH_CERTIFICATE_MISMATCH, /* neither a thumbprint nor a name of the identity */
    DEVICE_AUTH_CERTIFICATE_EXPIRED,  /* or not valid yet */
};
#define DEVICE_AUTH_FLAWS (DEVICE_AUTH_CERTIFICATE_EXPIRED + 1)

struct device_auth_claim {
    struct text token;          /* SharedAccessSignature …; TEXT_NONE when there is none */
    struct text host;           /* as in the Host header, port and all; names the workspace when the token cannot */
    struct text device, module; /* whom the sender says it is; valid ids */
    bool connects;              /* it opens a connection: a token has to be for the host that the sender named, and
                                   `mark` is wanted */
    const struct text *chain; /* certificates in DER, the leaf first, whose key the sender has: for want of a token */
    size_t chain_count;
};

/* What let a connection in, so that it can be ended when that goes. */
struct device_auth_mark {
    uint64_t generation;              /* of the roster's entry */
    uint8_t key[SECRET_DIGEST_BYTES]; /* digest of the key or of the thumbprint */
    int64_t authority;                /* that vouched for the certificate; 0: none was needed */
    struct x509_serial revocable;     /* of the certificate that this authority issued */
};

struct device_auth_result {
    enum device_auth_verdict verdict;
    bool enrolled;                     /* the identity is known, whether or not the credential fits it */
    bool in_workspace;                 /* `workspace` is known */
    struct roster_workspace workspace; /* the one that the claim addresses */
    struct roster_entry entry;         /* when enrolled */
    int64_t expires_at_s;              /* when passed, and it connects: the connection must end then */
    struct device_auth_mark mark;      /* when passed, and wanted */
    struct problem reason;             /* unless passed */
    enum device_auth_flaw flaw;        /* where it is unfit */
};

struct device_auth *device_auth_new(struct roster *roster);
void device_auth_free(struct device_auth *take_auth);

/* Any thread. */
void device_auth_check(struct device_auth *auth, const struct device_auth_claim *claim, int64_t now_us,
                       struct device_auth_result *out);

/* Whether who was let in by `mark` may stay: the identity is still enabled and has the key or thumbprint still, or the
 * authority is still trusted and has not revoked the certificate. `mark` is brought up to date. Any thread. */
bool device_auth_holds(struct device_auth *auth, const struct identity *identity, struct device_auth_mark *mark);
/* What it may send, brought up to date; as it was where the identity is gone. Any thread. */
void device_auth_limits(struct device_auth *auth, const struct identity *identity, struct roster_entry *entry,
                        struct roster_workspace *workspace);
/* The keys of an identity that is enabled, for the caller to wipe. False: there is none such, or it has none, as those
 * that show a certificate. */
bool device_auth_keys(struct device_auth *auth, const struct identity *identity, struct roster_keys *out);
/* Moves on whenever any answer of device_auth_holds() may have become another. */
uint64_t device_auth_changes(const struct device_auth *auth);

#endif
