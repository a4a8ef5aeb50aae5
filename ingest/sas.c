#include "ingest/sas.h"

#include <assert.h>

#define DECODED_MAX PICKET_TOKEN_MAX
#define TIMES_ESCAPED_MAX 2 /* Node's SDK escapes the id, and then the resource with it */

struct parameters {
    struct text resource, signature, expiry;
};

static enum status parameters_read(struct text token, struct parameters *out, struct problem *why);
static enum status host_read(struct sas *sas, struct problem *why);
static bool resource_covers(const struct sas *sas, struct text wanted_host, const struct text *wanted, size_t count);
static bool path_covers(struct text path, const struct text *wanted, size_t wanted_count, bool by_prefix);
static bool unescape(struct text *text, char *room);

enum status sas_parse(struct text token, struct sas *out, struct problem *why)
{
    struct parameters parameters;
    char sig[PICKET_TOKEN_MAX];
    size_t sig_count, count = 0;
    struct sas sas;

    enum status status = parameters_read(token, &parameters, why);
    if (status)
        return status;
    sas.resource = parameters.resource;
    sas.expiry = parameters.expiry;
    if (!sas.expiry.count || sas.expiry.bytes[0] == '-' || !text_to_i64(sas.expiry, &sas.expires_at_s))
        return problem_set(why, STATUS_REJECT, "the expiry (se) of the token is not a decimal number");
    if (!text_percent_decode(parameters.signature, sig, sizeof sig, &sig_count) ||
        !text_base64_decode((struct text){sig, sig_count}, sas.signature, sizeof sas.signature, &count) ||
        count != sizeof sas.signature)
        return problem_set(why, STATUS_REJECT, "the signature (sig) of the token is not 32 bytes in base64");
    status = host_read(&sas, why);
    if (status)
        return status;
    *out = sas;
    return STATUS_OK;
}

bool sas_covers(const struct sas *sas, struct text device, struct text module)
{
    const struct text wanted[] = {TEXT("devices"), device, TEXT("modules"), module};

    return resource_covers(sas, TEXT_NONE, wanted, module.count ? 4 : 2);
}

bool sas_covers_registration(const struct sas *sas, struct text id_scope, struct text registration_id)
{
    const struct text wanted[] = {TEXT("registrations"), registration_id};

    return resource_covers(sas, id_scope, wanted, 2);
}

/* `wanted_host` TEXT_NONE: any, and a prefix of the path will do. */
static bool resource_covers(const struct sas *sas, struct text wanted_host, const struct text *wanted, size_t count)
{
    char room[TIMES_ESCAPED_MAX][DECODED_MAX];
    struct text resource = sas->resource;

    /* Each reading is tried as a whole. An id may itself contain '%', so the one with the fewest escapes
     * comes first. */
    for (int times = 0;; times++) {
        struct text host, path = text_cut(resource, '/', &host);
        /* A host has no escapes: where there are some, what looks like a bare host is a whole resource. */
        bool plain = host.count && !memchr(host.bytes, '%', host.count);
        bool fits = plain && (!wanted_host.bytes || (text_equal(host, wanted_host) && path.bytes));
        if (fits && path_covers(path, wanted, count, !wanted_host.bytes))
            return true;
        if (times == TIMES_ESCAPED_MAX || !unescape(&resource, room[times]))
            return false;
    }
}

bool sas_signed_with(const struct sas *sas, const uint8_t *key, size_t key_count)
{
    char message[PICKET_TOKEN_MAX + 1];
    uint8_t signature[SECRET_HMAC_BYTES];
    size_t count = sas->resource.count;

    assert(sas->resource.count + 1 + sas->expiry.count <= sizeof message);
    memcpy(message, sas->resource.bytes, count);
    message[count++] = '\n';
    memcpy(message + count, sas->expiry.bytes, sas->expiry.count);
    count += sas->expiry.count;
    secret_hmac_sha256(key, key_count, (struct text){message, count}, signature);
    bool same = secret_equal(signature, sas->signature, sizeof signature);
    secret_wipe(signature, sizeof signature);
    return same;
}

/* A parameter given twice is refused: which of the two was signed would depend on the reader. Others than these (skn,
 * the name of a policy) are not signed and mean nothing here. */
static enum status parameters_read(struct text token, struct parameters *out, struct problem *why)
{
    struct parameters found = {TEXT_NONE, TEXT_NONE, TEXT_NONE};
    struct text scheme, rest = text_cut(text_trim(token), ' ', &scheme);

    if (!text_equal_nocase(scheme, TEXT("SharedAccessSignature")))
        return problem_set(why, STATUS_REJECT, "the credential is not a SharedAccessSignature");
    if (token.count > PICKET_TOKEN_MAX)
        return problem_set(why, STATUS_REJECT, "the token is longer than %d bytes", PICKET_TOKEN_MAX);
    for (rest = text_trim(rest); rest.bytes;) {
        struct text pair, name, value;
        rest = text_cut(rest, '&', &pair);
        value = text_cut(pair, '=', &name);
        struct text *slot = text_equal(name, TEXT("sr"))    ? &found.resource
                            : text_equal(name, TEXT("sig")) ? &found.signature
                            : text_equal(name, TEXT("se"))  ? &found.expiry
                                                            : NULL;
        if (slot && slot->bytes)
            return problem_set(why, STATUS_REJECT, "the token has its %.*s twice", TEXT_ARGS(name));
        if (slot)
            *slot = value;
    }
    if (!found.resource.count || !found.signature.count || !found.expiry.count)
        return problem_set(why, STATUS_REJECT, "the token lacks %s",
                           !found.resource.count    ? "its resource (sr)"
                           : !found.signature.count ? "its signature (sig)"
                                                    : "its expiry (se)");
    *out = found;
    return STATUS_OK;
}

static enum status host_read(struct sas *sas, struct problem *why)
{
    char room[DECODED_MAX];
    struct text resource = sas->resource, host, name;

    /* Escaped or not: what stands before the first slash is the same, once all escapes are undone. */
    for (int times = 0; times < TIMES_ESCAPED_MAX; times++) {
        (void)text_cut(resource, '/', &host);
        if (!memchr(host.bytes, '%', host.count))
            break;
        if (!unescape(&resource, room))
            return problem_set(why, STATUS_REJECT, "the resource (sr) of the token has a broken escape");
    }
    (void)text_cut(resource, '/', &host);
    (void)text_cut(host, ':', &name);
    if (!name.count || name.count > sizeof sas->host)
        return problem_set(why, STATUS_REJECT, "the resource (sr) of the token does not begin with a host name");
    memcpy(sas->host, name.bytes, name.count);
    sas->host_count = name.count;
    return STATUS_OK;
}

/* `path` is what follows the host and its slash; TEXT_NONE when nothing does. */
static bool path_covers(struct text path, const struct text *wanted, size_t wanted_count, bool by_prefix)
{
    size_t i = 0;

    for (; path.bytes; i++) {
        struct text segment;
        path = text_cut(path, '/', &segment);
        if (i == wanted_count || !text_equal(segment, wanted[i]))
            return false;
    }
    return by_prefix || i == wanted_count;
}

/* False when there is nothing to undo, or it is broken. `room` may be where the text lies already: what is written
 * never overtakes what is read. */
static bool unescape(struct text *text, char *room)
{
    size_t count;

    if (!memchr(text->bytes, '%', text->count) || !text_percent_decode(*text, room, DECODED_MAX, &count))
        return false;
    *text = (struct text){room, count};
    return true;
}
