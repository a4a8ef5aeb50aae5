#include "programs/sas.h"

#include "programs/client.h"
#include "runtime/buf.h"
#include "runtime/secret.h"
#include "wire/limits.h"

struct parts {
    struct text host, device, module, key;
};

static bool parts_read(struct text connection_string, struct parts *out);
static void escape(struct buf *out, struct text text);
static enum status token_make(const char *connection_string, int64_t expires_us, bool forged, char out[SAS_TOKEN_SIZE], struct problem *why);

enum status sas_make(const char *connection_string, int64_t expires_us, char out[SAS_TOKEN_SIZE], struct problem *why)
{
    return token_make(connection_string, expires_us, false, out, why);
}

enum status sas_forge(const char *connection_string, int64_t expires_us, char out[SAS_TOKEN_SIZE], struct problem *why)
{
    return token_make(connection_string, expires_us, true, out, why);
}

static enum status token_make(const char *connection_string, int64_t expires_us, bool forged, char out[SAS_TOKEN_SIZE], struct problem *why)
{
    struct parts parts = {TEXT_NONE, TEXT_NONE, TEXT_NONE, TEXT_NONE};
    uint8_t key[PICKET_KEY_MAX], signature[SECRET_HMAC_BYTES];
    char signature_text[TEXT_BASE64_SIZE(SECRET_HMAC_BYTES)];
    struct buf resource, path, token;
    size_t key_count = 0;

    if (!parts_read(text_of(connection_string), &parts))
        return problem_set(why, STATUS_REJECT,
                           "a connection string reads HostName=…;DeviceId=…;SharedAccessKey=…, and this one does not");
    if (!text_base64_decode(parts.key, key, sizeof key, &key_count))
        return problem_set(why, STATUS_REJECT, "the connection string's SharedAccessKey is not base64");
    if (forged) /* its signature is as long and as well escaped as the right one */
        key[0] ^= 1;
    buf_init(&resource, SAS_TOKEN_SIZE);
    buf_init(&path, SAS_TOKEN_SIZE);
    buf_init(&token, SAS_TOKEN_SIZE - 1);
    buf_text(&path, parts.host);
    buf_string(&path, "/devices/");
    escape(&path, parts.device);
    if (parts.module.bytes) {
        buf_string(&path, "/modules/");
        escape(&path, parts.module);
    }
    client_escape(&resource, path.bytes);
    buf_clear(&path);
    buf_format(&path, "%s\n%lld", resource.bytes, (long long)(expires_us / 1000000));
    secret_hmac_sha256(key, key_count, buf_as_text(&path), signature);
    text_base64_encode(signature, sizeof signature, signature_text);
    buf_format(&token, "SharedAccessSignature sr=%s&sig=", resource.bytes);
    client_escape(&token, signature_text);
    buf_format(&token, "&se=%lld", (long long)(expires_us / 1000000));
    bool failed = buf_failed(&resource) || buf_failed(&path) || buf_failed(&token);
    if (!failed)
        memcpy(out, token.bytes, token.count + 1);
    secret_wipe(key, sizeof key);
    buf_done(&resource);
    buf_done(&path);
    buf_done(&token);
    return failed ? problem_set(why, STATUS_REJECT, "the connection string is too long") : STATUS_OK;
}

static bool parts_read(struct text connection_string, struct parts *out)
{
    struct text rest = text_trim(connection_string), part, name;

    while (rest.bytes) {
        rest = text_cut(rest, ';', &part);
        struct text value = text_cut(part, '=', &name); /* the key itself ends with '=' */
        if (text_equal(name, TEXT("HostName")))
            out->host = value;
        else if (text_equal(name, TEXT("DeviceId")))
            out->device = value;
        else if (text_equal(name, TEXT("ModuleId")))
            out->module = value;
        else if (text_equal(name, TEXT("SharedAccessKey")))
            out->key = value;
    }
    return out->host.count && out->device.count && out->key.count;
}

/* An id may hold characters that a path escapes; the whole is escaped once more as a query value. */
static void escape(struct buf *out, struct text text)
{
    char id[PICKET_ID_MAX + 1];
    if (text.count > PICKET_ID_MAX) {
        out->failed = true;
        return;
    }
    memcpy(id, text.bytes, text.count);
    id[text.count] = '\0';
    client_escape(out, id);
}
