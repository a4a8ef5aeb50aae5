#ifndef PICKET_TESTS_HTTP_LOAD_H
#define PICKET_TESTS_HTTP_LOAD_H

#include "runtime/buf.h"

/* A load generator for plain HTTP/1.1 on loopback: one thread, epoll, many kept connections, one request at a time on
 * each. It is made to cost less than any server it measures. */
struct http_load_settings {
    uint16_t port;
    unsigned connections;
    uint32_t duration_ms;  /* stops sending after that, then waits for what is under way; 0: no limit */
    uint64_t requests_max; /* stops sending after that many; 0: no limit */
    const char *method, *path;
    const char *headers; /* each with its CRLF; may be "" */
    struct text body;    /* Content-Length is added */
    void *context;       /* for both functions */
    /* When set it writes the whole request in place of the four above: `out` is empty, `number` counts from 0. */
    void (*build)(void *context, unsigned connection, uint64_t number, struct buf *out);
    /* When set it sees each reply. `head` is the status line with all headers. */
    void (*replied)(void *context, unsigned connection, unsigned code, struct text head, struct text body);
};

struct http_load_result {
    uint64_t succeeded; /* 2xx */
    uint64_t refused;   /* any other code */
    uint64_t broken;    /* connections lost with a request under way; they are opened again */
    int64_t elapsed_us; /* from the first request to the last reply */
    double requests_per_second; /* succeeded / elapsed */
    int64_t median_us, p99_us, longest_us; /* from request to reply; to a few percent */
};

/* STATUS_RETRY: no connection to the port, or no reply at all for ten seconds. Blocks. */
MUST_CHECK enum status http_load_run(const struct http_load_settings *settings, struct http_load_result *out,
                                     struct problem *why);

/* "requests_per_second=… succeeded=… refused=… broken=… median_us=… p99_us=… longest_us=…" */
void http_load_print(const struct http_load_result *result, struct buf *out);

#endif
