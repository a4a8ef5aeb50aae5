#ifndef PICKET_WIRE_SPAN_H
#define PICKET_WIRE_SPAN_H

#include <stddef.h>

/* A borrowed run of bytes. */
struct picket_span {
    const char *bytes;
    size_t count;
};

#endif
