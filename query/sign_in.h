#ifndef PICKET_QUERY_SIGN_IN_H
#define PICKET_QUERY_SIGN_IN_H

#include "query/token.h"

/* Who asks. Roles include the ones below them. */
enum query_role { ROLE_NONE, ROLE_READER, ROLE_ANALYST, ROLE_ADMIN };

#define CALLER_WORKSPACES_SIZE 4096 /* hundreds of workspaces; who has more uses several tokens */
#define SESSION_COOKIE "picket_session"
#define SESSION_SECONDS (12 * 60 * 60)
#define SESSION_TEXT_SIZE 64
#define SIGN_IN_CACHE_MS 5000 /* a revoked token is refused after this, everywhere */

struct caller {
    int64_t token_id;
    enum query_role role;
    size_t workspace_count;
    char workspaces[CALLER_WORKSPACES_SIZE]; /* array literal: "{1,2}" */
    bool by_session; /* a browser's cookie, which it also sends when another page asks it to */
};

/* Tokens looked up in the last seconds, so that a client which asks often costs no query each time.
 *
 * A session is a cookie made from a token: prefix, expiry, and a digest of both with the token's own digest under the
 * master key. Nothing is kept on the server, so every replica takes it, and it ends with its token. */
struct sign_in;

struct sign_in *sign_in_new(const struct secret_master *master);
void sign_in_free(struct sign_in *take_sign_in);

/* `authorization` is the header, `cookie` the session's; TEXT_NONE where absent. The header wins. STATUS_REJECT: nobody
 * we know. Otherwise as db_query(). Any thread. */
MUST_CHECK enum status sign_in_check(struct sign_in *sign_in, struct db *db, struct text authorization, struct text cookie,
                                     uint32_t timeout_ms, struct caller *out, struct problem *why);

/* Exchanges a token for the text of a session cookie. Statuses as sign_in_check(). */
MUST_CHECK enum status sign_in_session(struct sign_in *sign_in, struct db *db, struct text token, uint32_t timeout_ms,
                                       struct caller *caller, char out[SESSION_TEXT_SIZE], struct problem *why);

/* A token was changed or revoked by this process: the next request reads it anew. */
void sign_in_forget(struct sign_in *sign_in, int64_t token_id);

#endif
