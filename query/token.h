#ifndef PICKET_QUERY_TOKEN_H
#define PICKET_QUERY_TOKEN_H

#include "runtime/db.h"
#include "runtime/secret.h"

/* API tokens: "pkt_<prefix>_<secret>". The prefix is public and finds the row; the secret is 256 random bits in base64url,
 * shown once. What rests in the database is a digest under the master key, so a copy of the database alone lets nobody in. */
#define TOKEN_PREFIX_COUNT 8
#define TOKEN_SECRET_COUNT 43
#define TOKEN_TEXT_SIZE (4 + TOKEN_PREFIX_COUNT + 1 + TOKEN_SECRET_COUNT + 1)

struct token_parts {
    struct text prefix, secret; /* point into what was parsed */
};

/* False when the text is no token of ours. */
bool token_parse(struct text token, struct token_parts *out);
void token_digest(const struct secret_master *master, const struct token_parts *parts, uint8_t out[SECRET_DIGEST_BYTES]);

struct token_wish {
    const char *role;      /* reader, analyst, admin */
    const char *workspace; /* NULL: all that the connection sees */
    const char *description;
    const char *actor; /* for the audit */
};

struct token_made {
    int64_t id;
    char text[TOKEN_TEXT_SIZE]; /* the caller wipes it */
    struct text workspaces;     /* JSON list of names, in the arena */
};

/* Makes a token within the caller's transaction, and audits it. As picket_admin the workspaces of `picket.workspaces` are
 * seen, as a superuser all. STATUS_REJECT: no such role or workspace. Otherwise as db_query(). */
MUST_CHECK enum status token_create(struct db *db, const struct secret_master *master, const struct token_wish *wish,
                                    uint32_t timeout_ms, struct arena *arena, struct token_made *out, struct problem *why);

#endif
