#include "tests/support/http_load.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LOAD_REQUEST_BYTES_MAX ((size_t)4 << 20)
#define LOAD_REPLY_BYTES_MAX 65536
#define LOAD_EVENTS 256
#define LOAD_SILENCE_MS 10000
#define LOAD_BUCKETS 1024 /* of latencies: 16 per power of two */

struct peer {
    int fd;
    bool busy;  /* a request is under way */
    bool bulky; /* it did not fit into the socket; EPOLLOUT is asked for */
    struct buf request;
    size_t sent, received;
    int64_t started_us;
    char reply[LOAD_REPLY_BYTES_MAX];
};

struct load {
    const struct http_load_settings *settings;
    struct http_load_result *result;
    struct peer *peers;
    int epoll_fd;
    uint64_t begun, under_way;
    int64_t start_us, last_us, now_us;
    uint64_t buckets[LOAD_BUCKETS];
};

static enum status peer_connect(struct load *load, unsigned index, struct problem *why);
static void peer_next(struct load *load, unsigned index);
static void peer_send(struct load *load, unsigned index);
static bool peer_receive(struct load *load, unsigned index);
static enum status load_loop(struct load *load, struct problem *why);
static int64_t load_percentile(const struct load *load, double share);

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

enum status http_load_run(const struct http_load_settings *settings, struct http_load_result *out, struct problem *why)
{
    struct load *load = calloc(1, sizeof *load);
    enum status status = STATUS_OK;

    assert(settings->connections && (settings->duration_ms || settings->requests_max));
    if (!load || !(load->peers = calloc(settings->connections, sizeof *load->peers)))
        abort();
    memset(out, 0, sizeof *out);
    load->settings = settings;
    load->result = out;
    load->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < settings->connections; i++)
        load->peers[i].fd = -1;
    for (unsigned i = 0; i < settings->connections && !status; i++) {
        buf_init(&load->peers[i].request, LOAD_REQUEST_BYTES_MAX);
        status = peer_connect(load, i, why);
    }
    if (!status)
        status = load_loop(load, why);
    out->elapsed_us = load->last_us - load->start_us;
    if (out->elapsed_us > 0)
        out->requests_per_second = (double)out->succeeded * 1e6 / (double)out->elapsed_us;
    out->median_us = load_percentile(load, 0.5);
    out->p99_us = load_percentile(load, 0.99);
    for (unsigned i = 0; i < settings->connections; i++) {
        if (load->peers[i].fd >= 0)
            close(load->peers[i].fd);
        buf_done(&load->peers[i].request);
    }
    close(load->epoll_fd);
    free(load->peers);
    free(load);
    return status;
}

void http_load_print(const struct http_load_result *result, struct buf *out)
{
    buf_format(out,
               "requests_per_second=%.0f succeeded=%llu refused=%llu broken=%llu median_us=%lld p99_us=%lld "
               "longest_us=%lld",
               result->requests_per_second, (unsigned long long)result->succeeded, (unsigned long long)result->refused,
               (unsigned long long)result->broken, (long long)result->median_us, (long long)result->p99_us,
               (long long)result->longest_us);
}

/* Loopback accepts at once, so connecting may block. */
static enum status peer_connect(struct load *load, unsigned index, struct problem *why)
{
    struct peer *peer = &load->peers[index];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(load->settings->port)};
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
    int yes = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (peer->fd >= 0)
        close(peer->fd);
    peer->busy = peer->bulky = false;
    peer->received = 0;
    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (peer->fd < 0 || connect(peer->fd, (struct sockaddr *)&address, sizeof address) != 0)
        return problem_set(why, STATUS_RETRY, "no connection to port %u: %m", (unsigned)load->settings->port);
    setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, peer->fd, &event) != 0)
        return problem_set(why, STATUS_FAULT, "epoll: %m");
    return STATUS_OK;
}

static bool load_may_begin(const struct load *load)
{
    const struct http_load_settings *settings = load->settings;

    if (settings->requests_max && load->begun >= settings->requests_max)
        return false;
    return !settings->duration_ms || load->now_us - load->start_us < (int64_t)settings->duration_ms * 1000;
}

static void request_build(struct load *load, unsigned index)
{
    const struct http_load_settings *settings = load->settings;
    struct buf *request = &load->peers[index].request;

    if (settings->build) {
        buf_clear(request);
        settings->build(settings->context, index, load->begun, request);
    } else if (!request->count) {
        buf_format(request, "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n%s\r\n", settings->method,
                   settings->path, settings->body.count, settings->headers);
        buf_text(request, settings->body);
    }
    assert(!buf_failed(request));
}

static void peer_next(struct load *load, unsigned index)
{
    struct peer *peer = &load->peers[index];

    if (!load_may_begin(load))
        return;
    request_build(load, index);
    load->begun++;
    load->under_way++;
    peer->busy = true;
    peer->sent = peer->received = 0;
    peer->started_us = load->now_us;
    peer_send(load, index);
}

static void peer_send(struct load *load, unsigned index)
{
    struct peer *peer = &load->peers[index];
    ssize_t sent = send(peer->fd, peer->request.bytes + peer->sent, peer->request.count - peer->sent,
                        MSG_NOSIGNAL | MSG_DONTWAIT);

    if (sent > 0)
        peer->sent += (size_t)sent;
    /* A lost connection shows when it is read. */
    bool bulky = peer->sent < peer->request.count && (sent > 0 || errno == EAGAIN);
    if (bulky == peer->bulky)
        return;
    peer->bulky = bulky;
    struct epoll_event event = {.events = EPOLLIN | (bulky ? EPOLLOUT : 0u), .data.u32 = index};
    epoll_ctl(load->epoll_fd, EPOLL_CTL_MOD, peer->fd, &event);
}

static void latency_note(struct load *load, int64_t latency_us)
{
    uint64_t value = latency_us > 0 ? (uint64_t)latency_us : 0;
    unsigned index = (unsigned)value;

    if (value >= 16) {
        unsigned power = 63u - (unsigned)__builtin_clzll(value);
        index = (power - 3) * 16 + (unsigned)((value >> (power - 4)) & 15);
    }
    load->buckets[index < LOAD_BUCKETS ? index : LOAD_BUCKETS - 1]++;
    if (latency_us > load->result->longest_us)
        load->result->longest_us = latency_us;
}

static int64_t load_percentile(const struct load *load, double share)
{
    uint64_t total = 0, seen = 0;
    size_t i;

    for (i = 0; i < LOAD_BUCKETS; i++)
        total += load->buckets[i];
    for (i = 0; i < LOAD_BUCKETS - 1; i++)
        if ((double)(seen += load->buckets[i]) >= share * (double)total)
            break;
    return i < 16 ? (int64_t)i : (int64_t)(16 + i % 16) << (i / 16 - 1);
}

/* Length of the whole reply that starts in `bytes`, 0 while its head is not complete. */
static size_t reply_length(const char *bytes, size_t count, size_t *head_count)
{
    const char *end = memmem(bytes, count, "\r\n\r\n", 4);

    if (!end)
        return 0;
    *head_count = (size_t)(end - bytes) + 4;
    for (const char *line = bytes; line < end; line = (const char *)memchr(line, '\n', count) + 1)
        if ((size_t)(end - line) > 16 && strncasecmp(line, "content-length: ", 16) == 0)
            return *head_count + (size_t)strtoul(line + 16, NULL, 10);
    return *head_count;
}

static void peer_replied(struct load *load, unsigned index, size_t head_count)
{
    struct peer *peer = &load->peers[index];
    unsigned code = peer->received > 12 ? (unsigned)strtoul(peer->reply + 9, NULL, 10) : 0;

    *(code / 100 == 2 ? &load->result->succeeded : &load->result->refused) += 1;
    latency_note(load, load->now_us - peer->started_us);
    load->last_us = load->now_us;
    load->under_way--;
    peer->busy = false;
    if (load->settings->replied)
        load->settings->replied(load->settings->context, index, code, (struct text){peer->reply, head_count},
                                (struct text){peer->reply + head_count, peer->received - head_count});
}

/* False: the connection is gone. */
static bool peer_receive(struct load *load, unsigned index)
{
    struct peer *peer = &load->peers[index];
    size_t head_count = 0;
    ssize_t got = recv(peer->fd, peer->reply + peer->received, sizeof peer->reply - 1 - peer->received, MSG_DONTWAIT);

    if (got < 0 && errno == EAGAIN)
        return true;
    if (got <= 0)
        return false;
    peer->received += (size_t)got;
    peer->reply[peer->received] = 0;
    size_t length = reply_length(peer->reply, peer->received, &head_count);
    if (!length || peer->received < length)
        return peer->received < sizeof peer->reply - 1;
    if (peer->busy)
        peer_replied(load, index, head_count);
    peer_next(load, index);
    return true;
}

static enum status peer_event(struct load *load, unsigned index, uint32_t events, struct problem *why)
{
    struct peer *peer = &load->peers[index];

    if ((events & EPOLLOUT) && peer->busy)
        peer_send(load, index);
    if (!(events & (EPOLLIN | EPOLLERR | EPOLLHUP)) || peer_receive(load, index))
        return STATUS_OK;
    if (peer->busy) {
        load->result->broken++;
        load->under_way--;
    }
    enum status status = peer_connect(load, index, why);
    if (!status)
        peer_next(load, index);
    return status;
}

static enum status load_loop(struct load *load, struct problem *why)
{
    struct epoll_event events[LOAD_EVENTS];
    enum status status = STATUS_OK;

    load->start_us = load->last_us = load->now_us = now_us();
    for (unsigned i = 0; i < load->settings->connections; i++)
        peer_next(load, i);
    while (load->under_way && !status) {
        int count = epoll_wait(load->epoll_fd, events, LOAD_EVENTS, LOAD_SILENCE_MS);
        if (count == 0)
            status = problem_set(why, STATUS_RETRY, "no reply for %d ms with %llu requests under way", LOAD_SILENCE_MS,
                                 (unsigned long long)load->under_way);
        load->now_us = now_us();
        for (int i = 0; i < count && !status; i++)
            status = peer_event(load, events[i].data.u32, events[i].events, why);
    }
    return status;
}
