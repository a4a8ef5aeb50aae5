#ifndef PICKET_AGENT_HTTP_ANSWER_H
#define PICKET_AGENT_HTTP_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/port.h"

/* The head of an HTTP/1.1 answer: as much of it as an agent that only posts has to know. */
struct http_answer {
    unsigned code;
    bool body_known;      /* its length is told, or there is none */
    uint64_t body_count;
    bool close;           /* the connection is not for another request */
    uint32_t retry_after_s; /* 0: not asked for, or asked for as a date */
};

/* Length of the head with its empty line, or 0 while that has not come. */
size_t http_answer_head(const char *bytes, size_t count);
/* False when it is not an HTTP/1 answer. */
bool http_answer_read(const char *head, size_t count, struct http_answer *out);

/* What it means for the message. Codes that are about who asks (401, 403), where (3xx, 404) or when (408, 429, 5xx) are no
 * word about the message: it waits, bounded by the spool, and is not lost to a key that was changed, a device disabled for
 * an hour or a name that led to another server. Other 4xx refuse it for good, so that no message blocks those behind it. */
enum picket_send_status http_answer_status(unsigned code);

#endif
