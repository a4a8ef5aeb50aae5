#include "query/sign_in.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "query/base64url.h"
#include "runtime/clock.h"

#define CACHE_SLOTS 128 /* by prefix; two that meet push each other out */
#define EXPIRY_COUNT 10 /* hexadecimal seconds since 1970, padded */
#define SESSION_DIGEST_COUNT 22

struct known {
    char prefix[TOKEN_PREFIX_COUNT];
    uint8_t digest[SECRET_DIGEST_BYTES];
    int64_t until_ms; /* monotonic */
    struct caller caller;
};

struct sign_in {
    struct secret_master master;
    pthread_mutex_t lock;
    struct known slots[CACHE_SLOTS];
};

static enum status token_check(struct sign_in *sign_in, struct db *db, struct text token, uint32_t timeout_ms,
                               struct known *out, struct problem *why);
static enum status session_check(struct sign_in *sign_in, struct db *db, struct text session, uint32_t timeout_ms,
                                 struct known *out, struct problem *why);
static enum status known_find(struct sign_in *sign_in, struct db *db, struct text prefix, uint32_t timeout_ms,
                              struct known *out, struct problem *why);
static enum status known_load(struct db *db, struct text prefix, uint32_t timeout_ms, struct known *out,
                              struct problem *why);
static enum query_role role_read(struct text name);
static struct known *slot_of(struct sign_in *sign_in, struct text prefix);
static void session_digest(const struct sign_in *sign_in, const struct known *known, struct text expiry,
                           char out[SESSION_DIGEST_COUNT + 1]);
static enum status refused(struct problem *why);

struct sign_in *sign_in_new(const struct secret_master *master)
{
    struct sign_in *sign_in = calloc(1, sizeof *sign_in);

    if (!sign_in)
        abort();
    sign_in->master = *master;
    pthread_mutex_init(&sign_in->lock, NULL);
    return sign_in;
}

void sign_in_free(struct sign_in *take_sign_in)
{
    if (!take_sign_in)
        return;
    pthread_mutex_destroy(&take_sign_in->lock);
    secret_wipe(take_sign_in, sizeof *take_sign_in);
    free(take_sign_in);
}

enum status sign_in_check(struct sign_in *sign_in, struct db *db, struct text authorization, struct text cookie,
                          uint32_t timeout_ms, struct caller *out, struct problem *why)
{
    struct text scheme, token = text_cut(text_trim(authorization), ' ', &scheme);
    struct known known;
    enum status status;

    if (!authorization.bytes && !cookie.bytes)
        return problem_set(why, STATUS_REJECT, "A token is needed: Authorization: Bearer pkt_…");
    if (!authorization.bytes)
        status = session_check(sign_in, db, cookie, timeout_ms, &known, why);
    else if (token.bytes && text_equal_nocase(scheme, TEXT("Bearer")))
        status = token_check(sign_in, db, text_trim(token), timeout_ms, &known, why);
    else
        return problem_set(why, STATUS_REJECT, "The Authorization header has to be: Bearer pkt_…");
    if (status)
        return status;
    *out = known.caller;
    out->by_session = !authorization.bytes;
    return STATUS_OK;
}

enum status sign_in_session(struct sign_in *sign_in, struct db *db, struct text token, uint32_t timeout_ms,
                            struct caller *caller, char out[SESSION_TEXT_SIZE], struct problem *why)
{
    char expiry[EXPIRY_COUNT + 1], digest[SESSION_DIGEST_COUNT + 1];
    long long until_s = (long long)(clock_utc_us() / 1000000) + SESSION_SECONDS;
    struct known known;

    enum status status = token_check(sign_in, db, text_trim(token), timeout_ms, &known, why);
    if (status)
        return status;
    snprintf(expiry, sizeof expiry, "%0*llx", EXPIRY_COUNT, (unsigned long long)until_s & 0xffffffffffULL);
    session_digest(sign_in, &known, text_of(expiry), digest);
    snprintf(out, SESSION_TEXT_SIZE, "pks_%.*s_%s_%s", TOKEN_PREFIX_COUNT, known.prefix, expiry, digest);
    *caller = known.caller;
    return STATUS_OK;
}

void sign_in_forget(struct sign_in *sign_in, int64_t token_id)
{
    pthread_mutex_lock(&sign_in->lock);
    for (size_t i = 0; i < CACHE_SLOTS; i++)
        if (sign_in->slots[i].caller.token_id == token_id)
            sign_in->slots[i].until_ms = 0;
    pthread_mutex_unlock(&sign_in->lock);
}

static enum status token_check(struct sign_in *sign_in, struct db *db, struct text token, uint32_t timeout_ms,
                               struct known *out, struct problem *why)
{
    uint8_t digest[SECRET_DIGEST_BYTES];
    struct token_parts parts;

    if (!token_parse(token, &parts))
        return refused(why);
    enum status status = known_find(sign_in, db, parts.prefix, timeout_ms, out, why);
    if (status)
        return status;
    token_digest(&sign_in->master, &parts, digest);
    return secret_equal(digest, out->digest, sizeof digest) ? STATUS_OK : refused(why);
}

static enum status session_check(struct sign_in *sign_in, struct db *db, struct text session, uint32_t timeout_ms,
                                 struct known *out, struct problem *why)
{
    const size_t expiry_at = 4 + TOKEN_PREFIX_COUNT + 1, digest_at = expiry_at + EXPIRY_COUNT + 1;
    char digest[SESSION_DIGEST_COUNT + 1], expiry[EXPIRY_COUNT + 1];

    if (session.count != digest_at + SESSION_DIGEST_COUNT || !text_starts(session, TEXT("pks_")))
        return refused(why);
    struct text prefix = {session.bytes + 4, TOKEN_PREFIX_COUNT};
    memcpy(expiry, session.bytes + expiry_at, EXPIRY_COUNT);
    expiry[EXPIRY_COUNT] = '\0';
    enum status status = known_find(sign_in, db, prefix, timeout_ms, out, why);
    if (status)
        return status;
    session_digest(sign_in, out, text_of(expiry), digest);
    if (!secret_equal(digest, session.bytes + digest_at, SESSION_DIGEST_COUNT))
        return refused(why);
    /* Signed by us, so it is the number that we wrote. */
    if (strtoll(expiry, NULL, 16) < clock_utc_us() / 1000000)
        return problem_set(why, STATUS_REJECT, "The session has ended; sign in again.");
    return STATUS_OK;
}

static enum status known_find(struct sign_in *sign_in, struct db *db, struct text prefix, uint32_t timeout_ms,
                              struct known *out, struct problem *why)
{
    struct known *slot = slot_of(sign_in, prefix);
    int64_t now_ms = clock_monotonic_ms();

    pthread_mutex_lock(&sign_in->lock);
    bool found = slot->until_ms > now_ms && memcmp(slot->prefix, prefix.bytes, TOKEN_PREFIX_COUNT) == 0;
    if (found)
        *out = *slot;
    pthread_mutex_unlock(&sign_in->lock);
    if (found)
        return STATUS_OK;
    enum status status = known_load(db, prefix, timeout_ms, out, why);
    if (status)
        return status;
    out->until_ms = now_ms + SIGN_IN_CACHE_MS; /* from before the query: what it saw may be as old as that */
    pthread_mutex_lock(&sign_in->lock);
    *slot = *out;
    pthread_mutex_unlock(&sign_in->lock);
    return STATUS_OK;
}

static enum status known_load(struct db *db, struct text prefix, uint32_t timeout_ms, struct known *out,
                              struct problem *why)
{
    static const char find[] = "SELECT token_id, encode(digest, 'hex'), role, workspaces, cardinality(workspaces)"
                               " FROM picket.token_find($1)";
    char wanted[TOKEN_PREFIX_COUNT + 1];
    const char *const parameters[] = {wanted};
    struct db_rows *rows = NULL;

    snprintf(wanted, sizeof wanted, "%.*s", TEXT_ARGS(prefix));
    if (!text_utf8_valid(text_of(wanted)))
        return refused(why);
    enum status status = db_query(db, find, parameters, 1, timeout_ms, &rows, why);
    if (status)
        return status;
    if (db_rows_count(rows) == 0) {
        db_rows_free(rows);
        return refused(why);
    }
    struct text workspaces = db_text(rows, 0, 3);
    memset(out, 0, sizeof *out);
    memcpy(out->prefix, prefix.bytes, TOKEN_PREFIX_COUNT);
    out->caller.token_id = db_i64(rows, 0, 0);
    out->caller.role = role_read(db_text(rows, 0, 2));
    out->caller.workspace_count = (size_t)db_i64(rows, 0, 4);
    if (!text_hex_decode(db_text(rows, 0, 1), out->digest, sizeof out->digest))
        status = problem_set(why, STATUS_FAULT, "the digest of token %lld is malformed", (long long)out->caller.token_id);
    else if (workspaces.count >= sizeof out->caller.workspaces)
        status = problem_set(why, STATUS_FAULT, "token %lld opens too many workspaces", (long long)out->caller.token_id);
    else
        memcpy(out->caller.workspaces, workspaces.bytes, workspaces.count);
    db_rows_free(rows);
    return status;
}

static enum query_role role_read(struct text name)
{
    if (text_equal(name, TEXT("admin")))
        return ROLE_ADMIN;
    return text_equal(name, TEXT("analyst")) ? ROLE_ANALYST : ROLE_READER;
}

static struct known *slot_of(struct sign_in *sign_in, struct text prefix)
{
    unsigned hash = 0;

    for (size_t i = 0; i < prefix.count; i++)
        hash = hash * 31 + (unsigned char)prefix.bytes[i];
    return &sign_in->slots[hash % CACHE_SLOTS];
}

static void session_digest(const struct sign_in *sign_in, const struct known *known, struct text expiry,
                           char out[SESSION_DIGEST_COUNT + 1])
{
    const struct text digested[] = {TEXT("picket session"),
                                    {known->prefix, TOKEN_PREFIX_COUNT},
                                    {(const char *)known->digest, sizeof known->digest},
                                    expiry};
    uint8_t digest[SECRET_DIGEST_BYTES];

    _Static_assert(BASE64URL_SIZE(SECRET_DIGEST_BYTES) >= SESSION_DIGEST_COUNT + 1, "16 bytes are 22 characters");
    char encoded[BASE64URL_SIZE(SECRET_DIGEST_BYTES)];
    secret_digest(digested, 4, &sign_in->master, digest);
    base64url_encode(digest, sizeof digest, encoded);
    memcpy(out, encoded, SESSION_DIGEST_COUNT + 1);
}

/* One sentence for every reason: which part was wrong is nothing a stranger needs to know. */
static enum status refused(struct problem *why)
{
    return problem_set(why, STATUS_REJECT, "The token is not one that this server knows.");
}
