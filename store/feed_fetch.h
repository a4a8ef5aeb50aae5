#ifndef PICKET_STORE_FEED_FETCH_H
#define PICKET_STORE_FEED_FETCH_H

#include "detect/feed_read.h"

/* Fetches a feed over HTTP(S) and reads it: one document, or the pages of a TAXII 2.1 collection (format "taxii"; OASIS TAXII 2.1, 3.4 and
 * 5.4: objects of a collection, `more` and `next`). Certificates are verified. `stop` is looked at now and then: true gives up.
 * STATUS_RETRY: the server cannot be reached, or is busy. STATUS_REJECT: it refuses, or what it sends is no feed. */
#define FEED_FETCH_BYTES_MAX ((size_t)256 << 20)
MUST_CHECK enum status feed_fetch(const char *url, const char *format, feed_take *take, void *context, struct feed_facts *facts, const _Atomic bool *stop,
                                  struct problem *why);

#endif
