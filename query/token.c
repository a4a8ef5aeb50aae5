#include "query/token.h"

#include <stdio.h>

#include "query/base64url.h"

#define SECRET_BYTES 32
#define BYTEA_SIZE (2 + 2 * SECRET_DIGEST_BYTES + 1)

static void token_write(char out[TOKEN_TEXT_SIZE]);
static enum status wish_check(const struct token_wish *wish, struct problem *why);
static enum status audit_append(struct db *db, const struct token_wish *wish, const struct db_rows *token,
                                uint32_t timeout_ms, struct problem *why);

bool token_parse(struct text token, struct token_parts *out)
{
    uint8_t secret[SECRET_BYTES];
    size_t count = 0;

    if (token.count != TOKEN_TEXT_SIZE - 1 || !text_starts(token, TEXT("pkt_")) ||
        token.bytes[4 + TOKEN_PREFIX_COUNT] != '_')
        return false;
    struct token_parts parts = {{token.bytes + 4, TOKEN_PREFIX_COUNT},
                                {token.bytes + 4 + TOKEN_PREFIX_COUNT + 1, TOKEN_SECRET_COUNT}};
    bool sound = base64url_decode(parts.secret, secret, sizeof secret, &count) && count == sizeof secret;
    secret_wipe(secret, sizeof secret);
    for (size_t i = 0; i < parts.prefix.count; i++)
        sound = sound && ((parts.prefix.bytes[i] >= 'a' && parts.prefix.bytes[i] <= 'z') ||
                          (parts.prefix.bytes[i] >= '2' && parts.prefix.bytes[i] <= '9'));
    if (sound)
        *out = parts;
    return sound;
}

void token_digest(const struct secret_master *master, const struct token_parts *parts, uint8_t out[SECRET_DIGEST_BYTES])
{
    const struct text digested[] = {TEXT("picket token"), parts->prefix, parts->secret};

    secret_digest(digested, 3, master, out);
}

enum status token_create(struct db *db, const struct secret_master *master, const struct token_wish *wish,
                         uint32_t timeout_ms, struct arena *arena, struct token_made *out, struct problem *why)
{
    static const char insert[] =
        "WITH wanted AS (SELECT workspace_id, name FROM picket.workspace WHERE $1::text IS NULL OR name = $1)"
        " INSERT INTO picket.token (prefix, digest, role, workspaces, description)"
        " SELECT $2, $3::bytea, $4, array_agg(workspace_id ORDER BY workspace_id), $5 FROM wanted HAVING count(*) > 0"
        " RETURNING token_id, workspaces, (SELECT json_agg(name ORDER BY workspace_id)::text FROM wanted)";
    uint8_t digest[SECRET_DIGEST_BYTES];
    char prefix[TOKEN_PREFIX_COUNT + 1], bytea[BYTEA_SIZE] = "\\x";
    struct token_made made = {0};
    struct token_parts parts;
    struct db_rows *rows = NULL;

    enum status status = wish_check(wish, why);
    if (status)
        return status;
    token_write(made.text);
    if (!token_parse(text_of(made.text), &parts))
        return problem_set(why, STATUS_FAULT, "a token just made cannot be read back");
    token_digest(master, &parts, digest);
    text_hex_encode(digest, sizeof digest, bytea + 2);
    snprintf(prefix, sizeof prefix, "%.*s", TEXT_ARGS(parts.prefix));
    const char *const parameters[] = {wish->workspace, prefix, bytea, wish->role,
                                      wish->description ? wish->description : ""};
    status = db_query(db, insert, parameters, 5, timeout_ms, &rows, why);
    if (!status && db_rows_count(rows) == 0)
        status = problem_set(why, STATUS_REJECT, wish->workspace ? "there is no workspace %s" : "there is no workspace%s",
                             wish->workspace ? wish->workspace : "");
    if (!status)
        status = audit_append(db, wish, rows, timeout_ms, why);
    if (!status) {
        made.id = db_i64(rows, 0, 0);
        made.workspaces = arena_text(arena, db_text(rows, 0, 2));
        *out = made;
    }
    secret_wipe(made.text, sizeof made.text);
    db_rows_free(rows);
    return status;
}

static void token_write(char out[TOKEN_TEXT_SIZE])
{
    /* 32 characters that nobody mistakes for one another when a prefix is read out. */
    static const char prefix_digits[] = "abcdefghijkmnpqrstuvwxyz23456789";
    uint8_t prefix[TOKEN_PREFIX_COUNT], secret[SECRET_BYTES];
    char encoded[BASE64URL_SIZE(SECRET_BYTES)];

    secret_random(prefix, sizeof prefix);
    secret_random(secret, sizeof secret);
    for (size_t i = 0; i < sizeof prefix; i++)
        prefix[i] = (uint8_t)prefix_digits[prefix[i] & 31];
    base64url_encode(secret, sizeof secret, encoded);
    snprintf(out, TOKEN_TEXT_SIZE, "pkt_%.*s_%.*s", TOKEN_PREFIX_COUNT, (const char *)prefix, TOKEN_SECRET_COUNT, encoded);
    secret_wipe(secret, sizeof secret);
    secret_wipe(encoded, sizeof encoded);
}

static enum status wish_check(const struct token_wish *wish, struct problem *why)
{
    struct text role = text_of(wish->role);

    if (text_equal(role, TEXT("reader")) || text_equal(role, TEXT("analyst")) || text_equal(role, TEXT("admin")))
        return STATUS_OK;
    return problem_set(why, STATUS_REJECT, "role is \"%.40s\": expected reader, analyst or admin", wish->role);
}

/* One row per workspace that the token opens: each one's admins see it. */
static enum status audit_append(struct db *db, const struct token_wish *wish, const struct db_rows *token,
                                uint32_t timeout_ms, struct problem *why)
{
    static const char append[] =
        "SELECT picket.audit_append(w, $2, 'token.create', 'token ' || $3, jsonb_build_object('role', $4::text,"
        " 'description', $5::text)) FROM unnest($1::int[]) w ORDER BY w";
    const char *const parameters[] = {db_text(token, 0, 1).bytes, wish->actor, db_text(token, 0, 0).bytes, wish->role,
                                      wish->description ? wish->description : ""};

    return db_query(db, append, parameters, 5, timeout_ms, NULL, why);
}
