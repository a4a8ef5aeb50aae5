#ifndef PICKET_AGENT_HTTPS_SEND_H
#define PICKET_AGENT_HTTPS_SEND_H

#include "agent/port.h"
#include "agent/uplink.h"

/* Messages by HTTPS, in IoT Hub's dialect, over a connection that is kept. */
struct https_sender {
    struct uplink *uplink;
    struct credential *credential; /* borrowed */
    bool by_certificate;                 /* the connection says who we are, and no token is sent */
    char token[CREDENTIAL_TOKEN_SIZE];
    int64_t token_made_s; /* 0: none */
};

/* One request that is written whole, and its answer; of the body as much as fits into `reply`, terminated. False: the connection is closed. */
struct http_answer;
bool https_call(struct uplink *uplink, const char *head, size_t head_count, const char *body, size_t body_count, struct http_answer *out, char *reply, size_t reply_size,
                struct reason *why);

/* `now_s` is UTC, for the token. On failure the reason says what it was. */
void https_send(struct https_sender *sender, const struct picket_message *message, int64_t now_s, struct picket_send_answer *out, struct reason *why);

#endif
