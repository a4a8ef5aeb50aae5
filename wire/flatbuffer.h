#ifndef PICKET_WIRE_FLATBUFFER_H
#define PICKET_WIRE_FLATBUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/span.h"

/* Reading FlatBuffers that strangers made: nothing is followed that does not lie, whole and aligned, within the buffer,
 * and no part may lie over another, so that a small buffer cannot stand for a large message and nothing can hold itself.
 * Only vtables and strings may be shared, whole, as builders share them. The format is that of flatbuffers.dev,
 * "Internals". C99, no heap, no recursion.
 *
 * A reader remembers its first failure: everything read after that is absent. */
#define PICKET_FLATBUFFER_MAX (1024 * 1024)
#define PICKET_FLATBUFFER_TEXT_MAX (4 * 1024 * 1024) /* bytes that all strings come to, shared ones counted each time */
#define PICKET_FLATBUFFER_MARKS(bytes) (3 * ((bytes) / 16 + 1)) /* three maps of a bit for every two bytes */

struct picket_flatbuffer {
    const uint8_t *bytes;
    size_t count;
    uint8_t *marks;    /* what is taken, and by what; NULL: was checked before, by whoever made the marks */
    size_t text_bytes;
    const char *error; /* a sentence, NULL while all is well */
    size_t error_at;
};

struct picket_flatbuffer_table {
    uint32_t at; /* 0: absent */
    uint32_t vtable;
    uint16_t vtable_size, size;
};

struct picket_flatbuffer_vector {
    uint32_t at; /* of the first element; 0: absent */
    uint32_t count;
};

/* `marks` has PICKET_FLATBUFFER_MARKS(count) bytes, or is NULL. */
void picket_flatbuffer_init(struct picket_flatbuffer *buffer, const char *bytes, size_t count, uint8_t *marks);
struct picket_flatbuffer_table picket_flatbuffer_root(struct picket_flatbuffer *buffer);

/* Where a field lies that is stored in the table itself (a number, an offset or a struct), 0 when it is absent. */
uint32_t picket_flatbuffer_field(struct picket_flatbuffer *buffer, const struct picket_flatbuffer_table *table,
                                 unsigned slot, size_t size, size_t align);
uint32_t picket_flatbuffer_number(struct picket_flatbuffer *buffer, const struct picket_flatbuffer_table *table,
                                  unsigned slot, size_t size, uint32_t otherwise); /* of 1, 2 or 4 bytes */
/* Absent ones have bytes NULL. */
struct picket_span picket_flatbuffer_string(struct picket_flatbuffer *buffer, const struct picket_flatbuffer_table *table,
                                            unsigned slot);
struct picket_flatbuffer_table picket_flatbuffer_child(struct picket_flatbuffer *buffer,
                                                       const struct picket_flatbuffer_table *table, unsigned slot);
struct picket_flatbuffer_vector picket_flatbuffer_vector(struct picket_flatbuffer *buffer,
                                                         const struct picket_flatbuffer_table *table, unsigned slot,
                                                         size_t element_size, size_t align);
/* The table that an element of a vector of offsets leads to. */
struct picket_flatbuffer_table picket_flatbuffer_element(struct picket_flatbuffer *buffer,
                                                         const struct picket_flatbuffer_vector *vector, uint32_t index);
/* For what has to be there. */
void picket_flatbuffer_fail(struct picket_flatbuffer *buffer, size_t at, const char *sentence);

#endif
