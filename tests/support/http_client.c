#include "tests/support/http_client.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define REPLY_BYTES_MAX ((size_t)64 << 20)

int http_client_connect(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval wait = {.tv_sec = HTTP_CLIENT_WAIT_MS / 1000};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

bool http_client_send(int fd, struct text bytes)
{
    while (bytes.count) {
        ssize_t sent = send(fd, bytes.bytes, bytes.count, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        bytes.bytes += sent;
        bytes.count -= (size_t)sent;
    }
    return true;
}

bool http_client_request(int fd, const char *method, const char *path, const char *headers, struct text body)
{
    struct buf request;

    buf_init(&request, REPLY_BYTES_MAX);
    buf_format(&request, "%s %s HTTP/1.1\r\nHost: test\r\n%s", method, path, headers);
    if (body.count)
        buf_format(&request, "Content-Length: %zu\r\n", body.count);
    buf_string(&request, "\r\n");
    buf_text(&request, body);
    bool sent = http_client_send(fd, buf_as_text(&request));
    buf_done(&request);
    return sent;
}

static bool head_read(int fd, struct buf *head)
{
    char byte;

    buf_clear(head);
    while (!text_ends(buf_as_text(head), TEXT("\r\n\r\n"))) {
        if (recv(fd, &byte, 1, 0) != 1)
            return false;
        buf_byte(head, byte);
    }
    return true;
}

static bool body_read(int fd, struct http_client_reply *reply)
{
    uint64_t length = 0;
    char bytes[16384];

    if (!text_to_u64(http_client_header(reply, "Content-Length"), &length))
        return reply->code == 204 || reply->code == 304;
    while (reply->body.count < length) {
        size_t left = (size_t)length - reply->body.count;
        ssize_t got = recv(fd, bytes, left < sizeof bytes ? left : sizeof bytes, 0);
        if (got <= 0)
            return false;
        buf_append(&reply->body, bytes, (size_t)got);
    }
    return true;
}

bool http_client_reply(int fd, bool bodiless, struct http_client_reply *out)
{
    out->code = 0;
    buf_init(&out->head, REPLY_BYTES_MAX);
    buf_init(&out->body, REPLY_BYTES_MAX);
    do {
        if (!head_read(fd, &out->head))
            return false;
        out->code = (unsigned)strtoul(out->head.bytes + sizeof "HTTP/1.1", NULL, 10);
    } while (out->code == 100);
    return bodiless || body_read(fd, out);
}

struct text http_client_header(const struct http_client_reply *reply, const char *name)
{
    struct text rest = buf_as_text(&reply->head), line, key;

    while (rest.bytes && rest.count) {
        rest = text_cut(rest, '\n', &line);
        struct text value = text_cut(line, ':', &key);
        if (value.bytes && text_equal_nocase(key, text_of(name)))
            return text_trim(value);
    }
    return TEXT_NONE;
}

void http_client_reply_done(struct http_client_reply *reply)
{
    buf_done(&reply->head);
    buf_done(&reply->body);
}

bool http_client_closed(int fd)
{
    char byte;
    return recv(fd, &byte, 1, 0) == 0;
}
