#ifndef PICKET_INGEST_DECOMPRESS_H
#define PICKET_INGEST_DECOMPRESS_H

#include "runtime/buf.h"

/* Content codings of HTTP: what a body is wrapped in on its way. */
enum coding {
    CODING_IDENTITY,
    CODING_GZIP,
    CODING_DEFLATE, /* zlib's format by the standard; bare deflate is what some clients send, and is taken too */
    CODING_ZSTD,
};

/* The value of Content-Encoding, any case; absent and empty are identity. False: unknown, or several. */
bool decompress_coding(struct text name, enum coding *out);

enum decompress_result {
    DECOMPRESS_OK,
    DECOMPRESS_BROKEN,   /* not what it says, cut off, or followed by something else */
    DECOMPRESS_TOO_LONG, /* the output would be longer than `out` may become; it stopped there */
};

/* Several members or frames in a row are one body, as their standards have it. Memory is bounded by the maximum of
 * `out` and 8 MB. Any thread. */
enum decompress_result decompress(enum coding coding, struct text body, struct buf *out);

#endif
