#include "ingest/device_auth.h"

#include <assert.h>
#include <stdlib.h>

#include "ingest/ingest_metrics.h"
#include "ingest/sas.h"
#include "ingest/token_cache.h"

#define CACHED_TOKENS_MAX 65536 /* 1.5 MB; a token that is not here costs two HMACs */
#define US_PER_S 1000000

struct device_auth {
    struct roster *roster;
    struct token_cache *cache;
    struct secret_master digest_key; /* of this process: nobody can prepare tokens that fall together */
};

struct check {
    struct device_auth *auth;
    const struct device_auth_claim *claim;
    int64_t now_s;
    struct sas sas;
    struct identity identity;
    struct device_auth_result *out;
};

static enum status address(struct check *check);
static enum status verify(struct check *check);
static enum status certificate_verify(struct check *check);
static bool thumbprint_known(struct check *check, const struct x509_facts *facts);
static enum status authority_verify(struct check *check, const struct x509_chain *chain, const struct x509_facts *facts);
static bool thumbprint_fits(const struct x509_facts *facts, const uint8_t *thumbprint, size_t count);
static bool names_identity(const char *common_name, const struct device_auth_claim *claim);
static void chain_digest(const struct check *check, uint8_t digest[SECRET_DIGEST_BYTES]);
static bool signature_fits(const struct check *check, const struct roster_keys *keys);
static void key_digest(const struct device_auth *auth, const uint8_t *key, size_t count, uint8_t digest[SECRET_DIGEST_BYTES]);
static void token_digest(const struct check *check, uint8_t digest[SECRET_DIGEST_BYTES]);
static struct text host_without_port(struct text host);

struct device_auth *device_auth_new(struct roster *roster)
{
    struct device_auth *auth = calloc(1, sizeof *auth);

    if (!auth)
        abort();
    auth->roster = roster;
    auth->cache = token_cache_new(CACHED_TOKENS_MAX);
    secret_random(&auth->digest_key, sizeof auth->digest_key);
    return auth;
}

void device_auth_free(struct device_auth *take_auth)
{
    if (!take_auth)
        return;
    token_cache_free(take_auth->cache);
    secret_wipe(take_auth, sizeof *take_auth);
    free(take_auth);
}

void device_auth_check(struct device_auth *auth, const struct device_auth_claim *claim, int64_t now_us,
                       struct device_auth_result *out)
{
    struct check check;

    check.auth = auth;
    check.claim = claim;
    check.now_s = now_us / US_PER_S;
    check.out = out;
    out->enrolled = out->in_workspace = false;
    out->reason.text[0] = 0;
    out->flaw = DEVICE_AUTH_OTHER_FLAW;
    assert(identity_id_valid(claim->device) && (!claim->module.count || identity_id_valid(claim->module)));
    if (!roster_loaded(auth->roster)) {
        out->verdict = DEVICE_AUTH_UNREADY;
        problem_set(&out->reason, STATUS_RETRY, "the list of devices was not read yet");
        return;
    }
    out->verdict = DEVICE_AUTH_UNFIT;
    if (!claim->token.count && claim->chain_count ? certificate_verify(&check) : address(&check) || verify(&check))
        return;
    out->verdict = DEVICE_AUTH_PASSED;
    if (!out->entry.enabled) {
        out->verdict = DEVICE_AUTH_DISABLED;
        problem_set(&out->reason, STATUS_REJECT, "the identity is disabled");
    }
}

bool device_auth_holds(struct device_auth *auth, const struct identity *identity, struct device_auth_mark *mark)
{
    uint8_t digest[SECRET_DIGEST_BYTES];
    struct roster_entry entry;
    struct roster_keys keys;
    bool holds = false;

    if (!roster_find(auth->roster, identity, &entry) || !entry.enabled)
        return false;
    if (mark->authority)
        return entry.credential == ROSTER_AUTHORITY &&
               authorities_hold(roster_authorities(auth->roster), mark->authority, &mark->revocable);
    if (entry.generation == mark->generation)
        return true;
    if (!roster_keys(auth->roster, identity, entry.generation, &keys))
        return true; /* it changes this instant: the next look will tell */
    if (keys.primary_count) {
        key_digest(auth, keys.primary, keys.primary_count, digest);
        holds = secret_equal(digest, mark->key, sizeof digest);
    }
    if (!holds && keys.secondary_count) {
        key_digest(auth, keys.secondary, keys.secondary_count, digest);
        holds = secret_equal(digest, mark->key, sizeof digest);
    }
    secret_wipe(&keys, sizeof keys);
    mark->generation = entry.generation;
    return holds;
}

void device_auth_limits(struct device_auth *auth, const struct identity *identity, struct roster_entry *entry,
                        struct roster_workspace *workspace)
{
    struct roster_entry present;
    struct roster_workspace of_it;

    if (roster_find(auth->roster, identity, &present))
        *entry = present;
    if (roster_workspace_find(auth->roster, identity->workspace, &of_it))
        *workspace = of_it;
}

bool device_auth_keys(struct device_auth *auth, const struct identity *identity, struct roster_keys *out)
{
    struct roster_entry entry;

    return roster_find(auth->roster, identity, &entry) && entry.enabled && entry.credential == ROSTER_SAS &&
           roster_keys(auth->roster, identity, entry.generation, out) && out->primary_count;
}

uint64_t device_auth_changes(const struct device_auth *auth)
{
    return roster_changes(auth->roster);
}

/* Finds out whom the claim speaks of, also where the token is no good, so that the refusal can be put down to the one
 * it concerns. */
static enum status address(struct check *check)
{
    struct device_auth_result *out = check->out;
    const struct device_auth_claim *claim = check->claim;
    enum status status = STATUS_REJECT;

    if (!claim->token.count)
        problem_set(&out->reason, STATUS_REJECT, "there is neither a token nor a certificate");
    else
        status = sas_parse(claim->token, &check->sas, &out->reason);
    struct text host = status ? host_without_port(claim->host) : sas_host(&check->sas);
    if (!status && claim->connects && !text_equal_nocase(host, host_without_port(claim->host)))
        status = problem_set(&out->reason, STATUS_REJECT, "the token is for host %.*s, the user name for another",
                             TEXT_ARGS(host));
    out->in_workspace = roster_workspace_of_host(check->auth->roster, host, &out->workspace);
    if (!out->in_workspace)
        return status ? status
                      : problem_set(&out->reason, STATUS_REJECT, "no workspace has the host name %.*s of the token",
                                    TEXT_ARGS(host));
    check->identity = (struct identity){out->workspace.workspace, claim->device, claim->module};
    out->enrolled = roster_find(check->auth->roster, &check->identity, &out->entry);
    return status;
}

static enum status verify(struct check *check)
{
    struct device_auth_result *out = check->out;
    const struct device_auth_claim *claim = check->claim;
    struct roster_keys keys = {.primary_count = 0, .secondary_count = 0};
    uint8_t digest[SECRET_DIGEST_BYTES];

    if (check->sas.expires_at_s < check->now_s - SAS_TOLERANCE_S) {
        out->flaw = DEVICE_AUTH_TOKEN_EXPIRED;
        return problem_set(&out->reason, STATUS_REJECT, "the token expired %lld s ago",
                           (long long)(check->now_s - check->sas.expires_at_s));
    }
    if (!sas_covers(&check->sas, claim->device, claim->module))
        return problem_set(&out->reason, STATUS_REJECT, "the token is for another resource: %.*s",
                           TEXT_ARGS(check->sas.resource));
    metric_add(&ingest_metrics.auth_checks, 1);
    int64_t last_s = INT64_MAX - SAS_TOLERANCE_S;
    out->expires_at_s = (check->sas.expires_at_s < last_s ? check->sas.expires_at_s : last_s) + SAS_TOLERANCE_S;
    bool has_keys = out->enrolled && out->entry.credential == ROSTER_SAS; /* a thumbprint is no key: everybody sees it */
    if (has_keys) {
        token_digest(check, digest);
        if (!claim->connects && token_cache_has(check->auth->cache, digest, check->now_s)) {
            metric_add(&ingest_metrics.auth_cache_hits, 1);
            return STATUS_OK;
        }
        if (!roster_keys(check->auth->roster, &check->identity, out->entry.generation, &keys))
            keys.primary_count = keys.secondary_count = 0; /* changed this instant: as a token for the old keys */
    }
    bool fits = signature_fits(check, &keys);
    secret_wipe(&keys, sizeof keys);
    if (!out->enrolled)
        return problem_set(&out->reason, STATUS_REJECT, "no such identity is enrolled");
    if (!has_keys)
        return problem_set(&out->reason, STATUS_REJECT, "the identity shows a certificate, so no token fits it");
    out->flaw = fits ? DEVICE_AUTH_OTHER_FLAW : DEVICE_AUTH_TOKEN_SIGNATURE;
    if (!fits)
        return problem_set(&out->reason, STATUS_REJECT, "the token is signed with none of the identity's keys");
    token_cache_add(check->auth->cache, digest, out->expires_at_s);
    return STATUS_OK;
}

/* Both signatures are always made, also for keys that are not there: the time it takes tells nobody which devices
 * exist. */
static bool signature_fits(const struct check *check, const struct roster_keys *keys)
{
    static const uint8_t no_key[32];
    bool has_primary = keys->primary_count >= PICKET_KEY_MIN, has_secondary = keys->secondary_count >= PICKET_KEY_MIN;

    bool primary = sas_signed_with(&check->sas, has_primary ? keys->primary : no_key,
                                   has_primary ? keys->primary_count : sizeof no_key);
    bool secondary = sas_signed_with(&check->sas, has_secondary ? keys->secondary : no_key,
                                     has_secondary ? keys->secondary_count : sizeof no_key);
    check->out->mark = (struct device_auth_mark){.generation = check->out->entry.generation};
    if (check->claim->connects && has_primary && primary)
        key_digest(check->auth, keys->primary, keys->primary_count, check->out->mark.key);
    else if (check->claim->connects && has_secondary && secondary)
        key_digest(check->auth, keys->secondary, keys->secondary_count, check->out->mark.key);
    return (has_primary && primary) || (has_secondary && secondary);
}

/* By its thumbprint where the host leads to an identity that has it, and else by the word of an authority. */
static enum status certificate_verify(struct check *check)
{
    struct device_auth_result *out = check->out;
    const struct device_auth_claim *claim = check->claim;
    uint8_t digest[SECRET_DIGEST_BYTES];
    struct x509_chain *chain = NULL;
    struct x509_facts facts;

    metric_add(&ingest_metrics.auth_checks, 1);
    out->in_workspace = roster_workspace_of_host(check->auth->roster, host_without_port(claim->host), &out->workspace);
    uint32_t of_host = out->in_workspace ? out->workspace.workspace : 0;
    check->identity = (struct identity){of_host, claim->device, claim->module};
    out->enrolled = out->in_workspace && roster_find(check->auth->roster, &check->identity, &out->entry);
    chain_digest(check, digest);
    if (out->enrolled && !claim->connects && token_cache_has(check->auth->cache, digest, check->now_s)) {
        metric_add(&ingest_metrics.auth_cache_hits, 1);
        return STATUS_OK;
    }
    enum status status = x509_chain_read(claim->chain, claim->chain_count, &chain, &out->reason);
    if (status)
        return status;
    x509_chain_facts(chain, &facts);
    status = thumbprint_known(check, &facts) ? x509_chain_in_time(chain, check->now_s, &out->reason)
                                             : authority_verify(check, chain, &facts);
    if (status && out->flaw == DEVICE_AUTH_OTHER_FLAW && (facts.not_after_s < check->now_s || facts.not_before_s > check->now_s))
        out->flaw = DEVICE_AUTH_CERTIFICATE_EXPIRED;
    x509_chain_free(chain);
    if (!status && out->workspace.workspace == of_host)
        token_cache_add(check->auth->cache, digest, out->expires_at_s);
    return status;
}

static bool thumbprint_known(struct check *check, const struct x509_facts *facts)
{
    struct device_auth_result *out = check->out;
    struct roster_keys known;

    if (!out->enrolled || out->entry.credential != ROSTER_THUMBPRINT ||
        !roster_keys(check->auth->roster, &check->identity, out->entry.generation, &known))
        return false;
    out->mark = (struct device_auth_mark){.generation = out->entry.generation};
    out->expires_at_s = facts->not_after_s;
    if (thumbprint_fits(facts, known.primary, known.primary_count))
        key_digest(check->auth, known.primary, known.primary_count, out->mark.key);
    else if (thumbprint_fits(facts, known.secondary, known.secondary_count))
        key_digest(check->auth, known.secondary, known.secondary_count, out->mark.key);
    else
        return false;
    return true;
}

/* The chain is judged before anybody is looked for: the time it takes tells nobody which devices exist. */
static enum status authority_verify(struct check *check, const struct x509_chain *chain, const struct x509_facts *facts)
{
    struct device_auth_result *out = check->out;
    struct roster *roster = check->auth->roster;
    struct authority_match match;

    enum status status = authorities_verify(roster_authorities(roster), chain, check->now_s, &match, &out->reason);
    if (status && out->enrolled && out->entry.credential == ROSTER_SAS)
        problem_set(&out->reason, STATUS_REJECT, "the identity signs tokens, so no certificate fits it");
    if (status && out->enrolled && out->entry.credential == ROSTER_THUMBPRINT) {
        out->flaw = DEVICE_AUTH_CERTIFICATE_MISMATCH;
        problem_set(&out->reason, STATUS_REJECT, "the certificate %s has none of the identity's thumbprints", facts->subject);
    }
    if (status)
        return status;
    if (!roster_workspace_find(roster, match.workspace, &out->workspace))
        return problem_set(&out->reason, STATUS_REJECT, "the workspace of the authority is gone");
    out->in_workspace = true;
    check->identity.workspace = match.workspace;
    out->enrolled = roster_find(roster, &check->identity, &out->entry);
    if (!names_identity(facts->common_name, check->claim)) {
        out->flaw = DEVICE_AUTH_CERTIFICATE_MISMATCH;
        return problem_set(&out->reason, STATUS_REJECT, "the certificate is for another: %s", facts->subject);
    }
    if (!out->enrolled)
        return problem_set(&out->reason, STATUS_REJECT, "no such identity is enrolled");
    if (out->entry.credential != ROSTER_AUTHORITY)
        return problem_set(&out->reason, STATUS_REJECT, "the identity was not enrolled for certificates of an authority");
    out->mark = (struct device_auth_mark){.generation = out->entry.generation, .authority = match.id,
                                          .revocable = match.path.revocable};
    out->expires_at_s = match.path.valid_until_s;
    return STATUS_OK;
}

static bool thumbprint_fits(const struct x509_facts *facts, const uint8_t *thumbprint, size_t count)
{
    return (count == sizeof facts->sha1 && secret_equal(facts->sha1, thumbprint, count)) ||
           (count == sizeof facts->sha256 && secret_equal(facts->sha256, thumbprint, count));
}

/* Its common name is the device's id, or device/module; case counts, as in ids. */
static bool names_identity(const char *common_name, const struct device_auth_claim *claim)
{
    struct text device, module = text_cut(text_of(common_name), '/', &device);

    return text_equal(device, claim->device) && text_equal(module, claim->module) &&
           (module.bytes != NULL) == (claim->module.count > 0);
}

/* Whatever the authorities become, what they vouched for is asked anew. */
static void chain_digest(const struct check *check, uint8_t digest[SECRET_DIGEST_BYTES])
{
    const struct device_auth_claim *claim = check->claim;
    const struct identity *identity = &check->identity;
    uint64_t generations[] = {check->out->enrolled ? check->out->entry.generation : 0,
                              authorities_changes(roster_authorities(check->auth->roster)), identity->workspace};
    struct text parts[3 + X509_CHAIN_MAX] = {
        identity->device, identity->module, {(const char *)generations, sizeof generations},
    };
    size_t count = 3;

    for (size_t i = 0; i < claim->chain_count && i < X509_CHAIN_MAX; i++)
        parts[count++] = claim->chain[i];
    secret_digest(parts, count, &check->auth->digest_key, digest);
}

static void key_digest(const struct device_auth *auth, const uint8_t *key, size_t count, uint8_t digest[SECRET_DIGEST_BYTES])
{
    const struct text part = {(const char *)key, count};

    secret_digest(&part, 1, &auth->digest_key, digest);
}

static void token_digest(const struct check *check, uint8_t digest[SECRET_DIGEST_BYTES])
{
    const struct identity *identity = &check->identity;
    const char *workspace = (const char *)&identity->workspace;
    const char *generation = (const char *)&check->out->entry.generation;
    const struct text parts[] = {
        check->claim->token, identity->device, identity->module,
        {workspace, sizeof identity->workspace}, {generation, sizeof check->out->entry.generation},
    };

    secret_digest(parts, sizeof parts / sizeof parts[0], &check->auth->digest_key, digest);
}

static struct text host_without_port(struct text host)
{
    struct text name;

    if (!host.count)
        return TEXT("");
    (void)text_cut(host, ':', &name);
    return name;
}
