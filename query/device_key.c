#include "query/device_key.h"

#include <string.h>

#define KEY_NEW_BYTES 32
#define SEALED_MAX SECRET_SEALED_BYTES(PICKET_KEY_MAX)

static void key_set(struct device_key *key, const uint8_t *bytes, size_t count);

enum status device_key_wanted(const struct request *request, const char *member, struct device_key *out, struct problem *why)
{
    const char *text = NULL;
    uint8_t bytes[PICKET_KEY_MAX];
    size_t count = 0;

    enum status status = request_string(request, member, &text, why);
    if (status)
        return status;
    if (!text) {
        device_key_random(out);
        return STATUS_OK;
    }
    if (!text_base64_decode(text_of(text), bytes, sizeof bytes, &count) || count < PICKET_KEY_MIN)
        return problem_set(why, STATUS_REJECT, "\"%s\" has to be base64 of %d to %d bytes", member, PICKET_KEY_MIN,
                           PICKET_KEY_MAX);
    key_set(out, bytes, count);
    secret_wipe(bytes, sizeof bytes);
    return STATUS_OK;
}

static void key_set(struct device_key *key, const uint8_t *bytes, size_t count)
{
    memcpy(key->bytes, bytes, count);
    key->count = count;
    text_base64_encode(bytes, count, key->text);
}

void device_key_random(struct device_key *key)
{
    uint8_t bytes[KEY_NEW_BYTES];

    secret_random(bytes, sizeof bytes);
    key_set(key, bytes, sizeof bytes);
    secret_wipe(bytes, sizeof bytes);
}

const char *device_key_seal(const struct query *query, const struct request *request, const struct device_key *key)
{
    uint8_t sealed[SEALED_MAX];
    size_t count = SECRET_SEALED_BYTES(key->count);
    char *text = arena_alloc(request->arena, 1, 2 + 2 * count + 1);

    secret_seal(query_master_of(query), key->bytes, key->count, sealed);
    memcpy(text, "\\x", 2);
    text_hex_encode(sealed, count, text + 2);
    return text;
}

enum status device_key_open(const struct query *query, struct text sealed, struct device_key *out, struct problem *why)
{
    uint8_t plain[PICKET_KEY_MAX];
    size_t count = sealed.count - SECRET_SEALED_BYTES(0);

    if (sealed.count < SECRET_SEALED_BYTES(0) || count > sizeof plain ||
        !secret_open(query_master_of(query), (const uint8_t *)sealed.bytes, sealed.count, plain))
        return problem_set(why, STATUS_FAULT, "a device's key does not open with this master key");
    key_set(out, plain, count);
    secret_wipe(plain, sizeof plain);
    return STATUS_OK;
}
