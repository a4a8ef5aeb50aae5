/* What a server, or who pretends to be one, sends to the agent by MQTT: the first two bytes say in what portions it comes. This stands for
 * agent/uplink.c, which is not linked: every write works, and the connection ends with the input. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "agent/hub.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct uplink {
    const uint8_t *data;
    size_t left, portion;
    bool open;
};

static struct uplink server;
static int64_t now_ms;

struct uplink *uplink_new(const struct uplink_target *target, const volatile sig_atomic_t *stopping, struct reason *why)
{
    (void)target;
    (void)stopping;
    (void)why;
    return &server;
}

void uplink_free(struct uplink *take_uplink)
{
    (void)take_uplink;
}

int64_t uplink_now_ms(void)
{
    return now_ms += 10;
}

bool uplink_open(struct uplink *uplink, int64_t deadline_ms, struct reason *why)
{
    (void)deadline_ms;
    (void)why;
    uplink->open = true;
    return true;
}

bool uplink_is_open(const struct uplink *uplink)
{
    return uplink->open;
}

void uplink_close(struct uplink *uplink)
{
    uplink->open = false;
}

bool uplink_write(struct uplink *uplink, const char *bytes, size_t count, int64_t deadline_ms, struct reason *why)
{
    unsigned sum = 0;

    (void)deadline_ms;
    (void)why;
    for (size_t i = 0; i < count; i++) /* each byte is there */
        sum += (unsigned char)bytes[i];
    return uplink->open && sum < UINT32_MAX;
}

ssize_t uplink_read(struct uplink *uplink, char *out, size_t size, int64_t deadline_ms, struct reason *why)
{
    size_t count = uplink->left < uplink->portion ? uplink->left : uplink->portion;

    (void)deadline_ms;
    count = count < size ? count : size;
    if (!count) {
        reason_set(why, "the server has closed the connection");
        return -1;
    }
    memcpy(out, uplink->data, count);
    uplink->data += count;
    uplink->left -= count;
    return (ssize_t)count;
}

bool uplink_readable(struct uplink *uplink, int wait_ms)
{
    (void)uplink;
    (void)wait_ms;
    return true;
}

int uplink_socket(const struct uplink *uplink)
{
    return uplink->open ? 3 : -1;
}

bool uplink_hmac_sha256(const uint8_t *key, size_t key_count, const char *text, size_t count, uint8_t out[CREDENTIAL_HMAC_BYTES])
{
    (void)key;
    (void)key_count;
    (void)text;
    (void)count;
    memset(out, 1, CREDENTIAL_HMAC_BYTES);
    return true;
}

void uplink_random(void *out, size_t count)
{
    memset(out, 1, count);
}

static void twin(void *context, const char *json, size_t count)
{
    *(size_t *)context += count ? (unsigned char)json[count - 1] : 1;
}

static unsigned method(void *context, const char *name, const char *payload, size_t count, char *answer, size_t size, size_t *answer_count)
{
    *(size_t *)context += strlen(name) + (count ? (unsigned char)payload[count - 1] : 1);
    *answer_count = count < size ? count : size;
    memcpy(answer, payload, *answer_count);
    return 200;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct credential credential;
    static const volatile sig_atomic_t stopping;
    static const struct picket_message message = {.id = "11111111-2222-4333-8444-555555555555-7", .count = 1, .body = "{}", .body_count = 2};
    size_t seen = 0;
    const struct hub_hooks hooks = {&seen, twin, method};
    struct picket_send_answer answer;
    struct reason why;

    if (size < 2)
        return 0;
    if (!credential.host[0] && !credential_read("HostName=localhost;DeviceId=d1;SharedAccessKey=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", &credential, &why))
        abort();
    server = (struct uplink){.data = data + 2, .left = size - 2, .portion = 1 + (size_t)data[0] + 256 * (size_t)data[1]};
    struct hub *hub = hub_new(&server, &credential, &hooks, &stopping);
    hub_send(hub, &message, 1700000000, &answer, &why);
    (void)hub_serve(hub, 1700000000, &why);
    if (server.open)
        (void)hub_report(hub, "{}", 2, &why);
    hub_free(hub);
    return 0;
}
