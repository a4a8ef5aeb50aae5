#include "agent/http_answer.h"

#include <string.h>
#include <strings.h>

#include "agent/stamp.h"

static void read_field(const char *line, size_t count, struct http_answer *out);
static bool name_is(const char *line, size_t count, const char *name);
static bool mentions(const char *value, size_t count, const char *word);

size_t http_answer_head(const char *bytes, size_t count)
{
    const char *end = count >= 4 ? memmem(bytes, count, "\r\n\r\n", 4) : NULL;

    return end ? (size_t)(end - bytes) + 4 : 0;
}

bool http_answer_read(const char *head, size_t count, struct http_answer *out)
{
    struct http_answer read = {.close = false};
    uint64_t code;

    if (count < 14 || memcmp(head, "HTTP/1.", 7) != 0 || head[8] != ' ' || !picket_number_read(head + 9, 3, &code) ||
        code < 100 || (head[12] != ' ' && head[12] != '\r'))
        return false;
    read.code = (unsigned)code;
    read.close = head[7] == '0';
    read.body_known = code == 204 || code == 304;
    const char *line = memchr(head, '\n', count);
    while (line && ++line < head + count) {
        const char *end = memchr(line, '\r', (size_t)(head + count - line));
        if (!end || end == line)
            break;
        read_field(line, (size_t)(end - line), &read);
        line = memchr(end, '\n', (size_t)(head + count - end));
    }
    *out = read;
    return true;
}

enum picket_send_status http_answer_status(unsigned code)
{
    if (code >= 200 && code < 300)
        return PICKET_SEND_DONE;
    if (code < 400 || code >= 500)
        return PICKET_SEND_LATER;
    switch (code) {
    case 401: /* who asks */
    case 403:
    case 404: /* where it asks: an address that is not, or not yet, Picket's */
    case 405:
    case 407:
    case 421:
    case 408: /* when */
    case 425:
    case 429:
    case 426: /* how */
        return PICKET_SEND_LATER;
    default:
        return PICKET_SEND_REFUSED;
    }
}

static void read_field(const char *line, size_t count, struct http_answer *out)
{
    const char *colon = memchr(line, ':', count);
    uint64_t number;

    if (!colon)
        return;
    size_t name_count = (size_t)(colon - line);
    const char *value = colon + 1, *end = line + count;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    size_t value_count = (size_t)(end - value);
    if (name_is(line, name_count, "Content-Length") && picket_number_read(value, value_count, &number)) {
        out->body_known = true;
        out->body_count = out->code == 204 || out->code == 304 ? 0 : number;
    } else if (name_is(line, name_count, "Transfer-Encoding")) {
        out->close = true; /* its chunks are not worth reading: the next request has a new connection */
    } else if (name_is(line, name_count, "Connection") && mentions(value, value_count, "close")) {
        out->close = true;
    } else if (name_is(line, name_count, "Retry-After") && picket_number_read(value, value_count, &number)) {
        out->retry_after_s = number > UINT32_MAX ? UINT32_MAX : (uint32_t)number;
    }
}

static bool name_is(const char *line, size_t count, const char *name)
{
    return count == strlen(name) && strncasecmp(line, name, count) == 0;
}

static bool mentions(const char *value, size_t count, const char *word)
{
    size_t length = strlen(word);

    for (size_t i = 0; i + length <= count; i++) {
        if (strncasecmp(value + i, word, length) == 0)
            return true;
    }
    return false;
}
