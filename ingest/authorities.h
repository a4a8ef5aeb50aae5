#ifndef PICKET_INGEST_AUTHORITIES_H
#define PICKET_INGEST_AUTHORITIES_H

#include "runtime/x509.h"

/* The authorities whose word lets devices in: those of all workspaces that are verified and not disabled, each with what
 * it revoked. The loader swaps them whole; a reader keeps the set that it began with, so that verifying holds up nobody. */
struct authorities;

#define AUTHORITIES_MAX 10000
#define AUTHORITIES_ALIKE_MAX 64 /* of one name that are tried for one certificate: each costs a signature */

struct authority {
    int64_t id; /* of its row, never used again; not 0 */
    uint32_t workspace;
    struct x509_authority *certificate;
};

struct authorities *authorities_new(void);
void authorities_free(struct authorities *take_authorities);
uint64_t authorities_changes(const struct authorities *authorities); /* moves on with every swap */

/* The authority that vouches for a chain, and so the workspace of whoever shows it. */
struct authority_match {
    int64_t id;
    uint32_t workspace;
    struct x509_path path;
};

/* Where several do, it is the nearest to the leaf. STATUS_REJECT: none does. Any thread. */
MUST_CHECK enum status authorities_verify(struct authorities *authorities, const struct x509_chain *chain, int64_t now_s,
                                          struct authority_match *out, struct problem *why);

/* Whether the authority is still here, and has not revoked that certificate since. Any thread. */
bool authorities_hold(struct authorities *authorities, int64_t id, const struct x509_serial *serial);

/* Replaces all, array and certificates included. The loader's thread. */
void authorities_set(struct authorities *authorities, struct authority *take_list, size_t count);
/* For a list that was never set. */
void authorities_list_free(struct authority *take_list, size_t count);

#endif
