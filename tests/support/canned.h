#ifndef PICKET_TESTS_CANNED_H
#define PICKET_TESTS_CANNED_H

#include <stdint.h>

/* An HTTP server on loopback that answers what it was told to: for what we fetch from others. */
struct canned_answer {
    const char *target; /* "/feed?next=2", as the request line has it */
    int code;
    const char *body;
};
struct canned;

/* `answers` is borrowed until canned_close(), NULL in `target` ends it. Anything else is 404. */
struct canned *canned_open(const struct canned_answer *answers);
uint16_t canned_port(const struct canned *canned);
/* The header lines of the last request. */
const char *canned_request(const struct canned *canned);
void canned_close(struct canned *take_canned);

#endif
