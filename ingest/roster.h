#ifndef PICKET_INGEST_ROSTER_H
#define PICKET_INGEST_ROSTER_H

#include "ingest/authorities.h"
#include "ingest/identity.h"
#include "runtime/status.h"

/* The identities this process is willing to listen to, with their keys, the authorities that vouch for those that have
 * none, and the workspaces by host name.
 *
 * Written by the loader thread alone (roster_loader.h), read by any thread: a lookup copies the small answer out under
 * one of many locks, so nobody ever sees half an entry and nothing is borrowed. */
struct roster;

#define ROSTER_LIMIT_DEFAULT (-1) /* the row says nothing: the settings' limit holds */

/* How an identity shows who it is, and that is the only way that counts for it. */
enum roster_credential {
    ROSTER_SAS,        /* tokens, signed with one of its keys */
    ROSTER_THUMBPRINT, /* a certificate with one of its thumbprints, which stand in the place of keys */
    ROSTER_AUTHORITY,  /* a certificate that an authority of its workspace vouches for */
};

struct roster_entry {
    bool enabled;
    enum roster_credential credential;
    uint64_t generation; /* changes with the credential, and never comes back: what was verified before is void then */
    int64_t messages_per_second, bytes_per_second; /* 0: no limit; ROSTER_LIMIT_DEFAULT */
};

struct roster_keys {
    uint8_t primary[PICKET_KEY_MAX], secondary[PICKET_KEY_MAX];
    size_t primary_count, secondary_count; /* 0: there is none */
};

struct roster_workspace {
    uint32_t workspace;
    int64_t messages_per_second, bytes_per_second; /* of all its devices together */
};

struct roster *roster_new(size_t entries_max);
void roster_free(struct roster *take_roster); /* wipes all keys */

/* False until it was read once: until then nobody can be called unknown. */
bool roster_loaded(const struct roster *roster);
size_t roster_count(const struct roster *roster);
uint64_t roster_changes(const struct roster *roster); /* moves on with every change of an identity or an authority */
struct authorities *roster_authorities(const struct roster *roster);

/* False when the identity is not enrolled. */
bool roster_find(struct roster *roster, const struct identity *identity, struct roster_entry *out);
/* Its keys, for the caller to wipe. False when it is gone, or its keys are no longer those of `generation`. */
bool roster_keys(struct roster *roster, const struct identity *identity, uint64_t generation, struct roster_keys *out);

/* The workspace that names this host (without port, any case), else the one that names none. False: neither exists. */
bool roster_workspace_of_host(struct roster *roster, struct text host, struct roster_workspace *out);
/* By its number. */
bool roster_workspace_find(struct roster *roster, uint32_t workspace, struct roster_workspace *out);

/* What follows is the loader's, one thread. */

/* Adds or replaces. STATUS_REJECT: `entries_max` identities are here already. */
MUST_CHECK enum status roster_put(struct roster *roster, const struct identity *identity,
                                  const struct roster_entry *entry, const struct roster_keys *keys,
                                  struct problem *why);
void roster_remove(struct roster *roster, const struct identity *identity);

/* Around a reading of everything: what was not put in between is removed by roster_round_end(). */
void roster_round_begin(struct roster *roster);
void roster_round_end(struct roster *roster);

struct roster_host {
    struct text name; /* lower case; empty for a workspace that names none */
    struct roster_workspace workspace;
};
/* Replaces all workspaces, which is a change where one differs; copied. Where two claim one host (or none), the lower number has it. */
void roster_workspaces_set(struct roster *roster, const struct roster_host *hosts, size_t count);
void roster_set_loaded(struct roster *roster);

#endif
