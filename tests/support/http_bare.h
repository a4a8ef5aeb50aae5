#ifndef PICKET_TESTS_HTTP_BARE_H
#define PICKET_TESTS_HTTP_BARE_H

#include "runtime/status.h"

#include <stdint.h>

/* The least that libmicrohttpd can do with a request: it reads the body into memory and answers 204. What our servers
 * reach is measured against this one in the same run, with as many threads; libmicrohttpd does its own waiting here. */
struct http_bare;

MUST_CHECK enum status http_bare_open(unsigned threads, struct http_bare **out, struct problem *why);
uint16_t http_bare_port(const struct http_bare *bare);
void http_bare_close(struct http_bare *take_bare);

#endif
