#include "ingest/registrations.h"

#include <stdio.h>

#include "ingest/roster.h"
#include "ingest/sas.h"
#include "runtime/buf.h"
#include "runtime/clock.h"
#include "runtime/log.h"

#define POLL_S 3 /* as DPS tells devices */
#define US_PER_S 1000000
#define BODY_MAX 65536
#define MODULES_MAX 32
#define KEY_NEW_BYTES 32

/* DPS' own codes for the body of a refusal. */
enum {
    DPS_BAD_REQUEST = 400004,
    DPS_UNAUTHORIZED = 401002,
    DPS_NOT_FOUND = 404201,
    DPS_INTERNAL = 500000,
    DPS_UNAVAILABLE = 503000,
};

/* Of a row that picket.enrolment_find() gives. */
enum {
    COLUMN_WORKSPACE,
    COLUMN_GROUP,
    COLUMN_DEVICE,
    COLUMN_ENABLED,
    COLUMN_MODULES,
    COLUMN_KEY_PRIMARY,
    COLUMN_KEY_SECONDARY,
    COLUMN_THUMBPRINT_PRIMARY,
    COLUMN_THUMBPRINT_SECONDARY,
    COLUMN_AUTHORITY,
};

/* What the claim shows, as far as that can be judged without knowing the enrolments. */
struct evidence {
    bool is_token;
    struct sas sas;
    struct x509_chain *chain;
    struct x509_facts facts;   /* of the leaf */
    int64_t authority;         /* that vouches for it; 0: none does */
    bool in_time;
};

/* An enrolment that the claim's evidence fits. */
struct match {
    uint32_t workspace;
    bool enabled;
    struct text group; /* TEXT_NONE: an individual enrolment */
    struct text device;
    struct text modules; /* array literal */
    const char *kind;    /* of the device's credential, as picket.credential has it */
    struct roster_keys keys; /* of kind "sas": derived, or its own */
    struct text thumbprints[2]; /* of kind "thumbprint": bytea text, or TEXT_NONE */
};

static bool match_find(struct db *db, const struct registration_settings *settings, const struct registration_claim *claim,
                       int64_t now_us, struct arena *arena, struct match *out, struct registration_answer *refusal);
static bool evidence_read(const struct registration_settings *settings, const struct registration_claim *claim,
                          int64_t now_s, struct evidence *out);
static bool keys_fit(const struct registration_settings *settings, const struct registration_claim *claim,
                     const struct sas *sas, const struct db_rows *rows, size_t row, struct arena *arena,
                     struct roster_keys *keys);
static bool candidate_fits(const struct registration_settings *settings, const struct registration_claim *claim,
                           const struct evidence *evidence, const struct db_rows *rows, size_t row, struct arena *arena,
                           struct match *out);
static size_t key_open(const struct registration_settings *settings, const struct db_rows *rows, size_t row, int column,
                       struct arena *arena, uint8_t key[PICKET_KEY_MAX]);
static enum status device_make(struct db *db, const struct registration_settings *settings,
                               const struct registration_claim *claim, const struct match *match, struct arena *arena,
                               struct text *operation, struct problem *why);
static const char *key_seal(const struct registration_settings *settings, struct arena *arena, const uint8_t *key,
                            size_t count);
static void refuse_status(enum status status, const struct problem *why, int64_t now_us, struct arena *arena,
                          struct registration_answer *out);
static bool state_read(struct db *db, const struct registration_settings *settings, const struct registration_claim *claim,
                       const struct match *match, int64_t now_us, struct arena *arena, struct text *state,
                       struct text *operation, struct registration_answer *refusal);

void registration_authenticate(struct db *db, const struct registration_settings *settings,
                               const struct registration_claim *claim, int64_t now_us, struct arena *arena,
                               struct registration_answer *out)
{
    struct match match;

    if (match_find(db, settings, claim, now_us, arena, &match, out))
        *out = (struct registration_answer){.code = 200, .body = TEXT("")};
    secret_wipe(&match.keys, sizeof match.keys);
}

/* The body names the registration once more; everything else in it is for custom allocation, which is not offered. */
static bool body_fits(const struct registration_claim *claim, struct text body)
{
    return body.count <= BODY_MAX && (!body.count || body.bytes[0] == '{' || !text_trim(body).count ||
                                      text_equal(body, claim->registration_id));
}

void registration_register(struct db *db, const struct registration_settings *settings,
                           const struct registration_claim *claim, struct text body, int64_t now_us, struct arena *arena,
                           struct registration_answer *out)
{
    struct text operation = TEXT_NONE;
    struct match match;
    struct problem why;

    if (!body_fits(claim, text_trim(body))) {
        registration_refuse(400, DPS_BAD_REQUEST, "the body is no JSON object", now_us, arena, out);
        return;
    }
    if (!match_find(db, settings, claim, now_us, arena, &match, out))
        return;
    enum status status = device_make(db, settings, claim, &match, arena, &operation, &why);
    secret_wipe(&match.keys, sizeof match.keys);
    if (status) {
        refuse_status(status, &why, now_us, arena, out);
        return;
    }
    log_info("device.registered", "workspace=%u device=%.*s group=%.*s", (unsigned)match.workspace, TEXT_ARGS(match.device),
             TEXT_ARGS(match.group));
    *out = (struct registration_answer){
        .code = 202,
        .retry_after_s = POLL_S,
        .operation_id = operation,
        .body = text_of(arena_format(arena, "{\"operationId\":\"%.*s\",\"status\":\"assigning\"}", TEXT_ARGS(operation))),
    };
}

void registration_operation(struct db *db, const struct registration_settings *settings,
                            const struct registration_claim *claim, struct text operation_id, int64_t now_us,
                            struct arena *arena, struct registration_answer *out)
{
    struct text state = TEXT_NONE, operation = TEXT_NONE;
    struct match match;

    bool fits = match_find(db, settings, claim, now_us, arena, &match, out);
    secret_wipe(&match.keys, sizeof match.keys);
    if (!fits || !state_read(db, settings, claim, &match, now_us, arena, &state, &operation, out))
        return;
    if (!text_equal(operation, operation_id)) {
        registration_refuse(404, DPS_NOT_FOUND, "there is no such operation", now_us, arena, out);
        return;
    }
    *out = (struct registration_answer){
        .code = 200,
        .body = text_of(arena_format(arena, "{\"operationId\":\"%.*s\",\"status\":\"assigned\",\"registrationState\":%.*s}",
                                     TEXT_ARGS(operation), TEXT_ARGS(state))),
    };
}

void registration_show(struct db *db, const struct registration_settings *settings, const struct registration_claim *claim,
                       int64_t now_us, struct arena *arena, struct registration_answer *out)
{
    struct text state = TEXT_NONE, operation = TEXT_NONE;
    struct match match;

    bool fits = match_find(db, settings, claim, now_us, arena, &match, out);
    secret_wipe(&match.keys, sizeof match.keys);
    if (fits && state_read(db, settings, claim, &match, now_us, arena, &state, &operation, out))
        *out = (struct registration_answer){.code = 200, .body = state};
}

void registration_refuse(unsigned code, unsigned dps_code, const char *sentence, int64_t now_us, struct arena *arena,
                         struct registration_answer *out)
{
    char now[CLOCK_TEXT_SIZE];
    uint8_t id[16];
    char tracking[2 * sizeof id + 1];
    struct buf body;

    secret_random(id, sizeof id);
    text_hex_encode(id, sizeof id, tracking);
    clock_format(now_us, now);
    buf_init(&body, 4096);
    buf_format(&body, "{\"errorCode\":%u,\"trackingId\":\"%s\",\"message\":", dps_code, tracking);
    buf_json_string(&body, text_of(sentence));
    buf_format(&body, ",\"timestampUtc\":\"%s\"}", now);
    *out = (struct registration_answer){.code = code,
                                        .retry_after_s = code == 503 ? POLL_S : 0,
                                        .body = arena_text(arena, buf_as_text(&body))};
    buf_done(&body);
}

static void refuse_status(enum status status, const struct problem *why, int64_t now_us, struct arena *arena,
                          struct registration_answer *out)
{
    static struct log_rate rate;

    if (status == STATUS_REJECT) {
        registration_refuse(400, DPS_BAD_REQUEST, why->text, now_us, arena, out);
    } else if (status == STATUS_RETRY) {
        registration_refuse(503, DPS_UNAVAILABLE, "the database is away; try again", now_us, arena, out);
    } else {
        log_rated(&rate, LOG_ERROR, "registration.failed", "reason=\"%s\"", why->text);
        registration_refuse(500, DPS_INTERNAL, "something is wrong on the server; its log says what", now_us, arena, out);
    }
}

/* All that does not fit is refused alike: a stranger learns nothing of which scopes, groups or devices there are. */
static bool match_find(struct db *db, const struct registration_settings *settings, const struct registration_claim *claim,
                       int64_t now_us, struct arena *arena, struct match *out, struct registration_answer *refusal)
{
    static const char find[] = "SELECT workspace_id, group_name, device_id, enabled, modules, sealed_primary, sealed_secondary,"
                               " thumbprint_primary, thumbprint_secondary, authority_id FROM picket.enrolment_find($1, $2)";
    const char *const parameters[] = {arena_string(arena, claim->id_scope), arena_string(arena, claim->registration_id)};
    struct evidence evidence = {.chain = NULL};
    struct db_rows *rows = NULL;
    struct problem why;
    bool found = false;

    *out = (struct match){.group = TEXT_NONE};
    bool valid = identity_id_valid(claim->registration_id) && text_utf8_valid(claim->id_scope) &&
                 !memchr(claim->id_scope.bytes, 0, claim->id_scope.count) &&
                 evidence_read(settings, claim, now_us / US_PER_S, &evidence);
    enum status status = valid ? db_query(db, find, parameters, 2, REGISTRATION_QUERY_MS, &rows, &why) : STATUS_OK;
    for (size_t row = 0; !status && valid && !found && row < db_rows_count(rows); row++)
        found = candidate_fits(settings, claim, &evidence, rows, row, arena, out);
    x509_chain_free(evidence.chain);
    db_rows_free(rows);
    if (status) {
        refuse_status(status, &why, now_us, arena, refusal);
        return false;
    }
    if (found && out->enabled)
        return true;
    registration_refuse(401, DPS_UNAUTHORIZED, found ? "the enrolment is disabled" : "the credential fits no enrolment", now_us,
                        arena, refusal);
    secret_wipe(&out->keys, sizeof out->keys);
    return false;
}

/* A token counts where there are both, as everywhere. The certificate's common name is the registration id. */
static bool evidence_read(const struct registration_settings *settings, const struct registration_claim *claim,
                          int64_t now_s, struct evidence *out)
{
    struct authority_match match;
    struct problem why;

    out->is_token = claim->token.count > 0;
    if (out->is_token)
        return sas_parse(claim->token, &out->sas, &why) == STATUS_OK && out->sas.expires_at_s >= now_s - SAS_TOLERANCE_S &&
               sas_covers_registration(&out->sas, claim->id_scope, claim->registration_id);
    if (!claim->chain_count || x509_chain_read(claim->chain, claim->chain_count, &out->chain, &why))
        return false;
    x509_chain_facts(out->chain, &out->facts);
    out->in_time = !x509_chain_in_time(out->chain, now_s, &why);
    out->authority = authorities_verify(settings->authorities, out->chain, now_s, &match, &why) ? 0 : match.id;
    return text_equal(text_of(out->facts.common_name), claim->registration_id);
}

static bool candidate_fits(const struct registration_settings *settings, const struct registration_claim *claim,
                           const struct evidence *evidence, const struct db_rows *rows, size_t row, struct arena *arena,
                           struct match *out)
{
    struct match match = {
        .workspace = (uint32_t)db_i64(rows, row, COLUMN_WORKSPACE),
        .enabled = db_bool(rows, row, COLUMN_ENABLED),
        .group = arena_text(arena, db_text(rows, row, COLUMN_GROUP)),
        .device = arena_text(arena, db_text(rows, row, COLUMN_DEVICE)),
        .modules = arena_text(arena, db_text(rows, row, COLUMN_MODULES)),
    };
    bool fits = false;

    if (evidence->is_token) {
        match.kind = "sas";
        fits = keys_fit(settings, claim, &evidence->sas, rows, row, arena, &match.keys);
    } else if (!db_is_null(rows, row, COLUMN_AUTHORITY)) {
        match.kind = "authority";
        fits = evidence->authority && evidence->authority == db_i64(rows, row, COLUMN_AUTHORITY);
    } else {
        match.kind = "thumbprint";
        for (int i = 0; i < 2; i++) {
            struct text wanted = db_bytea(rows, row, COLUMN_THUMBPRINT_PRIMARY + i, arena);
            match.thumbprints[i] = arena_text(arena, db_text(rows, row, COLUMN_THUMBPRINT_PRIMARY + i));
            const uint8_t *shown = wanted.count == X509_SHA1_BYTES ? evidence->facts.sha1 : evidence->facts.sha256;
            fits = fits || (wanted.count && evidence->in_time && secret_equal(shown, (const uint8_t *)wanted.bytes, wanted.count));
        }
    }
    if (fits)
        *out = match;
    secret_wipe(&match.keys, sizeof match.keys);
    return fits;
}

/* A group's keys become those that the device derived from them. */
static bool keys_fit(const struct registration_settings *settings, const struct registration_claim *claim,
                     const struct sas *sas, const struct db_rows *rows, size_t row, struct arena *arena,
                     struct roster_keys *keys)
{
    keys->primary_count = key_open(settings, rows, row, COLUMN_KEY_PRIMARY, arena, keys->primary);
    keys->secondary_count = key_open(settings, rows, row, COLUMN_KEY_SECONDARY, arena, keys->secondary);
    if (!db_is_null(rows, row, COLUMN_GROUP) && keys->primary_count && keys->secondary_count) {
        uint8_t primary[SECRET_HMAC_BYTES], secondary[SECRET_HMAC_BYTES];
        secret_hmac_sha256(keys->primary, keys->primary_count, claim->registration_id, primary);
        secret_hmac_sha256(keys->secondary, keys->secondary_count, claim->registration_id, secondary);
        memcpy(keys->primary, primary, sizeof primary);
        memcpy(keys->secondary, secondary, sizeof secondary);
        keys->primary_count = keys->secondary_count = SECRET_HMAC_BYTES;
        secret_wipe(primary, sizeof primary);
        secret_wipe(secondary, sizeof secondary);
    }
    return (keys->primary_count && sas_signed_with(sas, keys->primary, keys->primary_count)) ||
           (keys->secondary_count && sas_signed_with(sas, keys->secondary, keys->secondary_count));
}

static size_t key_open(const struct registration_settings *settings, const struct db_rows *rows, size_t row, int column,
                       struct arena *arena, uint8_t key[PICKET_KEY_MAX])
{
    const size_t envelope = SECRET_SEALED_BYTES(0);
    struct text sealed = db_bytea(rows, row, column, arena);

    if (sealed.count < envelope + PICKET_KEY_MIN || sealed.count > envelope + PICKET_KEY_MAX ||
        !secret_open(&settings->master, (const uint8_t *)sealed.bytes, sealed.count, key))
        return 0;
    return sealed.count - envelope;
}

/* bytea text. */
static const char *key_seal(const struct registration_settings *settings, struct arena *arena, const uint8_t *key,
                            size_t count)
{
    uint8_t sealed[SECRET_SEALED_BYTES(PICKET_KEY_MAX)];
    char *text = arena_alloc(arena, 1, 2 * sizeof sealed + 3);

    secret_seal(&settings->master, key, count, sealed);
    memcpy(text, "\\x", 2);
    text_hex_encode(sealed, SECRET_SEALED_BYTES(count), text + 2);
    return text;
}

/* One new key, sealed, for each element of an array literal of plain ids: as array literal. */
static const char *module_keys(const struct registration_settings *settings, struct arena *arena, struct text modules)
{
    const char *list = "{";
    struct text inner = modules.count > 2 ? (struct text){modules.bytes + 1, modules.count - 2} : TEXT(""), element;
    uint8_t key[KEY_NEW_BYTES];
    size_t count = 0;

    while (inner.count && count++ < MODULES_MAX) {
        inner = text_cut(inner, ',', &element);
        secret_random(key, sizeof key);
        /* Within an array literal the backslash of \x… has to be escaped. */
        list = arena_format(arena, "%s%s\"\\%s\"", list, count > 1 ? "," : "", key_seal(settings, arena, key, sizeof key));
    }
    secret_wipe(key, sizeof key);
    return arena_format(arena, "%s}", list);
}

static enum status device_make(struct db *db, const struct registration_settings *settings,
                               const struct registration_claim *claim, const struct match *match, struct arena *arena,
                               struct text *operation, struct problem *why)
{
    static const char make[] = "SELECT picket.enrolment_register($1::int, $2, $3, $4, $5, $6::bytea, $7::bytea, $8::bytea,"
                               " $9::bytea, $10::text[], $11::bytea[], $12::bytea[])";
    bool keys = match->keys.primary_count > 0;
    const char *const parameters[] = {
        arena_format(arena, "%u", (unsigned)match->workspace),
        arena_string(arena, claim->registration_id),
        match->group.bytes ? arena_string(arena, match->group) : NULL,
        arena_string(arena, match->device),
        match->kind,
        keys ? key_seal(settings, arena, match->keys.primary, match->keys.primary_count) : NULL,
        keys ? key_seal(settings, arena, match->keys.secondary, match->keys.secondary_count) : NULL,
        match->thumbprints[0].bytes ? arena_string(arena, match->thumbprints[0]) : NULL,
        match->thumbprints[1].bytes ? arena_string(arena, match->thumbprints[1]) : NULL,
        arena_string(arena, match->modules),
        module_keys(settings, arena, match->modules),
        module_keys(settings, arena, match->modules),
    };
    struct db_rows *rows = NULL;

    enum status status = db_query(db, make, parameters, 12, REGISTRATION_QUERY_MS, &rows, why);
    if (!status && db_is_null(rows, 0, 0))
        status = problem_set(why, STATUS_REJECT, "the device was disabled by an operator");
    if (!status)
        *operation = arena_text(arena, db_text(rows, 0, 0));
    db_rows_free(rows);
    return status;
}

static bool state_read(struct db *db, const struct registration_settings *settings, const struct registration_claim *claim,
                       const struct match *match, int64_t now_us, struct arena *arena, struct text *state,
                       struct text *operation, struct registration_answer *refusal)
{
    static const char find[] = "SELECT device_id, operation_id, substatus, device_status, created_us, updated_us, host_name"
                               " FROM picket.registration_show($1::int, $2)";
    const char *const parameters[] = {arena_format(arena, "%u", (unsigned)match->workspace),
                                      arena_string(arena, claim->registration_id)};
    char created[CLOCK_TEXT_SIZE], updated[CLOCK_TEXT_SIZE];
    struct text host = text_of(settings->hub_host_name), name;
    struct db_rows *rows = NULL;
    struct problem why;

    enum status status = db_query(db, find, parameters, 2, REGISTRATION_QUERY_MS, &rows, &why);
    if (status || !db_rows_count(rows)) {
        if (status)
            refuse_status(status, &why, now_us, arena, refusal);
        else
            registration_refuse(404, DPS_NOT_FOUND, "the device has not registered yet", now_us, arena, refusal);
        db_rows_free(rows);
        return false;
    }
    if (!db_is_null(rows, 0, 6))
        host = db_text(rows, 0, 6);
    (void)text_cut(host, ':', &name);
    clock_format(db_i64(rows, 0, 4), created);
    clock_format(db_i64(rows, 0, 5), updated);
    bool assigned = text_equal(db_text(rows, 0, 3), TEXT("enabled"));
    *operation = arena_text(arena, db_text(rows, 0, 1));
    *state = text_of(arena_format(
        arena, "{\"registrationId\":\"%.*s\",\"createdDateTimeUtc\":\"%s\",\"assignedHub\":\"%.*s\",\"deviceId\":\"%.*s\","
               "\"status\":\"%s\",\"substatus\":\"%.*s\",\"lastUpdatedDateTimeUtc\":\"%s\",\"etag\":\"%.*s\"}",
        TEXT_ARGS(claim->registration_id), created, TEXT_ARGS(name), TEXT_ARGS(db_text(rows, 0, 0)),
        assigned ? "assigned" : "disabled", TEXT_ARGS(db_text(rows, 0, 2)), updated, TEXT_ARGS(*operation)));
    db_rows_free(rows);
    return true;
}
