#include "agent/credential.h"

#include <stdio.h>
#include <string.h>

#include "agent/stamp.h"

#define API_VERSION "2020-03-13"
#define PART_NAME_MAX 20 /* what is longer may be a key whose name was forgotten, and is not shown */

/* Text growing in a buffer; it remembers that it did not fit. */
struct growing {
    char *out;
    size_t size, count;
    bool failed;
};

static bool read_part(const char *name, size_t name_count, const char *value, size_t count, struct credential *out,
                      struct reason *why);
static bool copy_value(const char *name, const char *value, size_t count, char *out, size_t size, struct reason *why);
static bool decode_base64(const char *text, size_t count, uint8_t *out, size_t size, size_t *out_count);
static void encode_base64(const uint8_t *bytes, size_t count, char *out);
static void add(struct growing *text, const char *more);
static void add_escaped(struct growing *text, const char *more);
static void add_identity(struct growing *text, const struct credential *credential);

bool credential_read(const char *connection_string, struct credential *out, struct reason *why)
{
    struct credential read = {.port = CREDENTIAL_PORT};
    const char *at = connection_string;

    while (*at) {
        size_t length = strcspn(at, ";");
        const char *equals = memchr(at, '=', length);
        if (length && !equals)
            return reason_set(why, "the connection string has a part without '='");
        if (length && !read_part(at, (size_t)(equals - at), equals + 1, length - (size_t)(equals + 1 - at), &read, why))
            return false;
        at += length + (at[length] == ';');
    }
    if (!read.host[0] || !read.device[0] || (!read.key_count && !read.by_certificate))
        return reason_set(why, "the connection string has no %s: it reads HostName=…;DeviceId=…;SharedAccessKey=…, or x509=true for the key",
                          !read.host[0] ? "HostName" : !read.device[0] ? "DeviceId" : "SharedAccessKey");
    if (read.key_count && read.by_certificate)
        return reason_set(why, "the connection string has a SharedAccessKey and x509=true: one of them says who it is");
    *out = read;
    return true;
}

bool credential_rotate(struct credential *credential, const char *base64, size_t count)
{
    uint8_t key[PICKET_KEY_MAX];
    size_t key_count = 0;

    if (credential->by_certificate || !decode_base64(base64, count, key, sizeof key, &key_count) || key_count < PICKET_KEY_MIN)
        return false;
    memcpy(credential->other_key, credential->key, sizeof credential->key);
    credential->other_key_count = credential->key_count;
    memcpy(credential->key, key, key_count);
    credential->key_count = key_count;
    explicit_bzero(key, sizeof key);
    return true;
}

void credential_refused(struct credential *credential)
{
    struct credential before = *credential;

    credential->refused++;
    if (!credential->other_key_count)
        return;
    memcpy(credential->key, before.other_key, sizeof before.key);
    credential->key_count = before.other_key_count;
    memcpy(credential->other_key, before.key, sizeof before.key);
    credential->other_key_count = before.key_count;
    explicit_bzero(&before, sizeof before);
}

size_t credential_keys_write(const struct credential *credential, char out[CREDENTIAL_KEYS_SIZE])
{
    char one[CREDENTIAL_KEYS_SIZE / 2], other[CREDENTIAL_KEYS_SIZE / 2] = "";

    encode_base64(credential->key, credential->key_count, one);
    if (credential->other_key_count)
        encode_base64(credential->other_key, credential->other_key_count, other);
    int count = snprintf(out, CREDENTIAL_KEYS_SIZE, "%s\n%s\n", one, other);
    explicit_bzero(one, sizeof one);
    explicit_bzero(other, sizeof other);
    return (size_t)count;
}

bool credential_keys_read(struct credential *credential, const char *text, size_t count)
{
    struct credential read = *credential;
    const char *line = memchr(text, '\n', count);
    size_t first = line ? (size_t)(line - text) : count, second = line ? count - first - 1 : 0;

    while (second && line[second] == '\n')
        second--;
    bool fine = decode_base64(text, first, read.key, sizeof read.key, &read.key_count) && read.key_count >= PICKET_KEY_MIN &&
                (!second || decode_base64(line + 1, second, read.other_key, sizeof read.other_key, &read.other_key_count));
    if (fine)
        *credential = read;
    explicit_bzero(&read, sizeof read);
    return fine;
}

bool credential_token(const struct credential *credential, int64_t expires_s,
                      bool (*hmac)(const uint8_t *key, size_t key_count, const char *text, size_t count,
                                   uint8_t out[CREDENTIAL_HMAC_BYTES]),
                      char out[CREDENTIAL_TOKEN_SIZE])
{
    char identity[CREDENTIAL_TOKEN_SIZE];
    struct growing plain = {.out = identity, .size = sizeof identity};

    add(&plain, credential->host);
    add_identity(&plain, credential);
    return !plain.failed && credential_token_for(identity, credential->key, credential->key_count, expires_s, hmac, out);
}

bool credential_token_for(const char *resource_plain, const uint8_t *key, size_t key_count, int64_t expires_s, credential_hmac *hmac, char out[CREDENTIAL_TOKEN_SIZE])
{
    char resource[CREDENTIAL_TOKEN_SIZE], expiry[PICKET_NUMBER_SIZE];
    char text[CREDENTIAL_TOKEN_SIZE + PICKET_NUMBER_SIZE], signature_text[(CREDENTIAL_HMAC_BYTES + 2) / 3 * 4 + 1];
    uint8_t signature[CREDENTIAL_HMAC_BYTES];
    struct growing escaped = {.out = resource, .size = sizeof resource};
    struct growing token = {.out = out, .size = CREDENTIAL_TOKEN_SIZE};

    add_escaped(&escaped, resource_plain);
    if (escaped.failed)
        return false;
    picket_number_print((uint64_t)expires_s, expiry);
    int length = snprintf(text, sizeof text, "%s\n%s", resource, expiry);
    if (length < 0 || (size_t)length >= sizeof text || !hmac(key, key_count, text, (size_t)length, signature))
        return false;
    encode_base64(signature, sizeof signature, signature_text);
    add(&token, "SharedAccessSignature sr=");
    add(&token, resource);
    add(&token, "&sig=");
    add_escaped(&token, signature_text);
    add(&token, "&se=");
    add(&token, expiry);
    return !token.failed;
}

bool credential_derive(const char *group_key, const char *registration_id, credential_hmac *hmac, char out[CREDENTIAL_DERIVED_SIZE])
{
    uint8_t key[PICKET_KEY_MAX], derived[CREDENTIAL_HMAC_BYTES];
    size_t key_count = 0;
    bool fine = decode_base64(group_key, strlen(group_key), key, sizeof key, &key_count) && key_count >= PICKET_KEY_MIN &&
                hmac(key, key_count, registration_id, strlen(registration_id), derived);

    if (fine)
        encode_base64(derived, sizeof derived, out);
    explicit_bzero(key, sizeof key);
    explicit_bzero(derived, sizeof derived);
    return fine;
}

bool credential_events_path(const struct credential *credential, char out[CREDENTIAL_PATH_SIZE])
{
    struct growing path = {.out = out, .size = CREDENTIAL_PATH_SIZE};

    add_identity(&path, credential);
    add(&path, "/messages/events?api-version=" API_VERSION);
    return !path.failed;
}

static bool read_part(const char *name, size_t name_count, const char *value, size_t count, struct credential *out,
                      struct reason *why)
{
    if (name_count == 8 && memcmp(name, "HostName", 8) == 0)
        return credential_host_read("the connection string's HostName", value, count, out->host, &out->port, why);
    if (name_count == 8 && memcmp(name, "DeviceId", 8) == 0)
        return copy_value("the connection string's DeviceId", value, count, out->device, sizeof out->device, why);
    if (name_count == 8 && memcmp(name, "ModuleId", 8) == 0)
        return copy_value("the connection string's ModuleId", value, count, out->module, sizeof out->module, why);
    if (name_count == 15 && memcmp(name, "SharedAccessKey", 15) == 0) {
        if (!decode_base64(value, count, out->key, sizeof out->key, &out->key_count) || out->key_count < PICKET_KEY_MIN)
            return reason_set(why, "the connection string's SharedAccessKey is not base64 of %d to %d bytes",
                              PICKET_KEY_MIN, PICKET_KEY_MAX);
        return true;
    }
    if (name_count == 4 && memcmp(name, "x509", 4) == 0) {
        out->by_certificate = count == 4 && memcmp(value, "true", 4) == 0;
        return out->by_certificate || reason_set(why, "the connection string's x509 is true, or is left out");
    }
    if (name_count > PART_NAME_MAX)
        return reason_set(why, "the connection string has a part without a name");
    return reason_set(why, "the connection string has a part that is unknown here: %.*s", (int)name_count, name);
}

/* Control bytes and blanks would end up in a request line. */
static bool copy_value(const char *name, const char *value, size_t count, char *out, size_t size, struct reason *why)
{
    if (count == 0 || count >= size)
        return reason_set(why, "%s has 1 to %zu characters", name, size - 1);
    for (size_t i = 0; i < count; i++) {
        if ((unsigned char)value[i] <= ' ' || (unsigned char)value[i] >= 0x7f)
            return reason_set(why, "%s has a character that no name has", name);
    }
    memcpy(out, value, count);
    out[count] = '\0';
    return true;
}

bool credential_host_read(const char *what, const char *value, size_t count, char host[PICKET_HOST_MAX + 1], uint16_t *port_out, struct reason *why)
{
    const char *colon = memchr(value, ':', count);
    size_t name_count = count;
    uint64_t port;

    if (count && *value == '[') {
        const char *bracket = memchr(value, ']', count);
        if (!bracket)
            return reason_set(why, "%s has '[' without ']'", what);
        colon = bracket + 1 < value + count ? bracket + 1 : NULL;
        if (colon && *colon != ':')
            return reason_set(why, "%s has more after ']'", what);
        value++;
        count--;
        name_count = (size_t)(bracket - value);
    } else if (colon) {
        name_count = (size_t)(colon - value);
    }
    if (colon) {
        if (!picket_number_read(colon + 1, (size_t)(value + count - colon - 1), &port) || port == 0 || port > 65535)
            return reason_set(why, "%s has a port that is not 1 to 65535", what);
        *port_out = (uint16_t)port;
    }
    return copy_value(what, value, name_count, host, PICKET_HOST_MAX + 1, why);
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static bool decode_base64(const char *text, size_t count, uint8_t *out, size_t size, size_t *out_count)
{
    size_t padding = 0, used = 0;
    uint32_t bits = 0;

    while (padding < 2 && count > padding && text[count - 1 - padding] == '=')
        padding++;
    if (count == 0 || count % 4 != 0 || count / 4 * 3 - padding > size)
        return false;
    for (size_t i = 0; i < count - padding; i++) {
        int digit = base64_digit(text[i]);
        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4 != 0)
            out[used++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    *out_count = used;
    return true;
}

static void encode_base64(const uint8_t *bytes, size_t count, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < count; i += 3) {
        uint32_t bits = (uint32_t)bytes[i] << 16;
        bits |= i + 1 < count ? (uint32_t)bytes[i + 1] << 8 : 0;
        bits |= i + 2 < count ? bytes[i + 2] : 0;
        *out++ = digits[bits >> 18];
        *out++ = digits[bits >> 12 & 63];
        *out++ = i + 1 < count ? digits[bits >> 6 & 63] : '=';
        *out++ = i + 2 < count ? digits[bits & 63] : '=';
    }
    *out = '\0';
}

static void add_bytes(struct growing *text, const char *bytes, size_t count)
{
    if (text->failed || count >= text->size - text->count) {
        text->failed = true;
        return;
    }
    memcpy(text->out + text->count, bytes, count);
    text->count += count;
    text->out[text->count] = '\0';
}

static void add(struct growing *text, const char *more)
{
    add_bytes(text, more, strlen(more));
}

static void add_escaped(struct growing *text, const char *more)
{
    static const char hex[] = "0123456789ABCDEF";

    for (; *more; more++) {
        unsigned char byte = (unsigned char)*more;
        char escape[3] = {'%', hex[byte >> 4], hex[byte & 15]};
        bool plain = (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') ||
                     strchr("-_.~", byte);
        if (plain)
            add_bytes(text, more, 1);
        else
            add_bytes(text, escape, sizeof escape);
    }
}

static void add_identity(struct growing *text, const struct credential *credential)
{
    add(text, "/devices/");
    add_escaped(text, credential->device);
    if (credential->module[0]) {
        add(text, "/modules/");
        add_escaped(text, credential->module);
    }
}
