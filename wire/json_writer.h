#ifndef PICKET_WIRE_JSON_WRITER_H
#define PICKET_WIRE_JSON_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* JSON text into a fixed buffer of the caller, escaped and bounded, no blanks. It remembers its first failure (the
 * buffer is full, or a call out of place): write freely, then ask picket_json_written() once. C99, no heap. */
struct picket_json_writer {
    char *out;
    size_t size, count;
    unsigned depth;
    bool failed;
    bool comma; /* the next item needs one in front */
    bool named; /* a member's name was written and its value comes next */
    uint64_t objects; /* bit per open level: an object, not an array */
};

#define PICKET_JSON_WRITE_DEPTH_MAX 64 /* opening more is a failure */

void picket_json_write_init(struct picket_json_writer *writer, char *out, size_t size);
void picket_json_open_object(struct picket_json_writer *writer);
void picket_json_close_object(struct picket_json_writer *writer);
void picket_json_open_array(struct picket_json_writer *writer);
void picket_json_close_array(struct picket_json_writer *writer);
void picket_json_write_name(struct picket_json_writer *writer, const char *name);
void picket_json_write_string(struct picket_json_writer *writer, const char *bytes, size_t count); /* not UTF-8: U+FFFD */
void picket_json_write_terminated(struct picket_json_writer *writer, const char *string);
void picket_json_write_int(struct picket_json_writer *writer, int64_t value);
void picket_json_write_bool(struct picket_json_writer *writer, bool value);
void picket_json_write_null(struct picket_json_writer *writer);
void picket_json_write_raw(struct picket_json_writer *writer, const char *json, size_t count); /* one finished value */

/* The length, or 0 when anything failed or something is still open. */
size_t picket_json_written(const struct picket_json_writer *writer);

#endif
