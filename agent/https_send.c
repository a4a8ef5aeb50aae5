#include "agent/https_send.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "agent/http_answer.h"
#include "wire/device_api.h"

#define CONNECT_MS 10000
#define EXCHANGE_MS 30000 /* past what the server gives itself to reach its bus */
#define TOKEN_LIFE_S 3600
#define TOKEN_RENEW_S (TOKEN_LIFE_S * 8 / 10)
#define ANSWER_HEAD_MAX 8192
#define ANSWER_BODY_MAX 65536 /* a longer one costs the connection */
#define REQUEST_HEAD_MAX (CREDENTIAL_PATH_SIZE + CREDENTIAL_TOKEN_SIZE + PICKET_HOST_MAX + 1024)

static bool token_renew(struct https_sender *sender, int64_t now_s)
{
    int64_t age_s = now_s - sender->token_made_s;

    if (sender->by_certificate || (sender->token_made_s && age_s >= 0 && age_s < TOKEN_RENEW_S))
        return true;
    if (!credential_token(sender->credential, now_s + TOKEN_LIFE_S, uplink_hmac_sha256, sender->token))
        return false;
    sender->token_made_s = now_s;
    return true;
}

static bool head_make(struct https_sender *sender, const struct picket_message *message, int64_t now_s, char out[REQUEST_HEAD_MAX], size_t *count, struct reason *why)
{
    const struct credential *credential = sender->credential;
    bool bare_ipv6 = strchr(credential->host, ':') != NULL;
    char path[CREDENTIAL_PATH_SIZE], port[8] = "";

    if (!token_renew(sender, now_s) || !credential_events_path(credential, path))
        return reason_set(why, "the identity is too long for a request");
    if (credential->port != CREDENTIAL_PORT)
        snprintf(port, sizeof port, ":%u", credential->port);
    int length = snprintf(out, REQUEST_HEAD_MAX,
                          "POST %s HTTP/1.1\r\nHost: %s%s%s%s\r\n%s%s%sContent-Type: application/json\r\n"
                          "Content-Length: %zu\r\n" PICKET_HEADER_MESSAGE_ID ": %s\r\n"
                          PICKET_HEADER_INTERFACE_ID ": " PICKET_INTERFACE_ID "\r\n\r\n",
                          path, bare_ipv6 ? "[" : "", credential->host, bare_ipv6 ? "]" : "", port, sender->by_certificate ? "" : "Authorization: ", sender->token,
                          sender->by_certificate ? "" : "\r\n", message->body_count, message->id);
    assert(length > 0 && length < (int)REQUEST_HEAD_MAX);
    *count = (size_t)length;
    return true;
}

static size_t put(char *reply, size_t size, size_t used, const char *bytes, size_t count)
{
    count = count < size - 1 - used ? count : size - 1 - used;
    memcpy(reply + used, bytes, count);
    reply[used + count] = '\0';
    return used + count;
}

/* What comes of the body goes to `reply`, as much as fits; NULL: nowhere. */
static bool answer_read(struct uplink *uplink, int64_t deadline_ms, struct http_answer *out, char *reply, size_t reply_size, struct reason *why)
{
    char bytes[ANSWER_HEAD_MAX];
    size_t count = 0, head = 0;

    while (!head) {
        ssize_t got = count < sizeof bytes ? uplink_read(uplink, bytes + count, sizeof bytes - count, deadline_ms, why) : 0;
        if (got < 0)
            return false;
        count += (size_t)got;
        head = http_answer_head(bytes, count);
        if (!got || (head && !http_answer_read(bytes, head, out)))
            return reason_set(why, "the server does not answer in HTTP/1.1");
    }
    if (!out->body_known || out->body_count > ANSWER_BODY_MAX)
        out->close = true;
    size_t kept = reply ? put(reply, reply_size, 0, bytes + head, count - head) : 0;
    uint64_t left = out->close || out->body_count <= count - head ? 0 : out->body_count - (count - head);
    while (left) {
        ssize_t got = uplink_read(uplink, bytes, left < sizeof bytes ? (size_t)left : sizeof bytes, deadline_ms, why);
        if (got < 0) {
            out->close = true; /* the answer itself has come */
            break;
        }
        left -= (uint64_t)got;
        kept = reply ? put(reply, reply_size, kept, bytes, (size_t)got) : 0;
    }
    return true;
}

bool https_call(struct uplink *uplink, const char *head, size_t head_count, const char *body, size_t body_count, struct http_answer *out, char *reply, size_t reply_size,
                struct reason *why)
{
    if (!uplink_is_open(uplink) && !uplink_open(uplink, uplink_now_ms() + CONNECT_MS, why))
        return false;
    int64_t deadline_ms = uplink_now_ms() + EXCHANGE_MS;
    bool answered = uplink_write(uplink, head, head_count, deadline_ms, why) && (!body_count || uplink_write(uplink, body, body_count, deadline_ms, why));
    /* A server that refuses from the head closes while the body is still on its way: its answer may be there all the same. */
    answered = (answered || uplink_readable(uplink, 0)) && answer_read(uplink, deadline_ms, out, reply, reply_size, why);
    if (!answered || out->close)
        uplink_close(uplink);
    return answered;
}

static bool exchange(struct https_sender *sender, const struct picket_message *message, int64_t now_s, struct http_answer *out, struct reason *why)
{
    char head[REQUEST_HEAD_MAX];
    size_t count = 0;

    bool answered = head_make(sender, message, now_s, head, &count, why) &&
                    https_call(sender->uplink, head, count, message->body, message->body_count, out, NULL, 0, why);
    explicit_bzero(head, sizeof head);
    return answered;
}

/* A kept-alive connection may have been closed by the other end meanwhile, so what fails on one is tried once more on a
 * new one. The message's id makes that harmless. */
void https_send(struct https_sender *sender, const struct picket_message *message, int64_t now_s, struct picket_send_answer *out, struct reason *why)
{
    struct http_answer answer;
    bool reused = uplink_is_open(sender->uplink);

    out->status = PICKET_SEND_LATER;
    bool answered = exchange(sender, message, now_s, &answer, why);
    if (!answered && reused)
        answered = exchange(sender, message, now_s, &answer, why);
    if (!answered)
        return;
    out->code = answer.code;
    out->retry_after_s = answer.retry_after_s;
    out->status = http_answer_status(answer.code);
    if (out->status != PICKET_SEND_DONE)
        reason_set(why, "%s answers %u", sender->credential->host, answer.code);
    if (out->status == PICKET_SEND_DONE)
        sender->credential->refused = 0;
    if (answer.code == 401) {
        sender->token_made_s = 0; /* the clock may have been set since */
        credential_refused(sender->credential);
    }
}
