#ifndef PICKET_RUNTIME_SETTINGS_FILE_H
#define PICKET_RUNTIME_SETTINGS_FILE_H

#include "runtime/arena.h"
#include "runtime/status.h"

#define SETTINGS_FILE_BYTES_MAX \
    (1024 * 1024) /* a settings file of thousands of lines; longer is some other file */

struct settings_line {
    const char *name;
    const char *value; /* "" where the file says nothing, ~ or null */
    size_t number;     /* of its line, from 1 */
};

/* Reads a flat YAML file: one mapping of names to scalars. Everything lives in `arena`.
 * STATUS_REJECT: it cannot be read, is not YAML, is not flat, or has a name twice; the sentence says file:line. */
MUST_CHECK enum status settings_file_read(const char *path, struct arena *arena, struct settings_line **out,
                                          size_t *count, struct problem *why);

#endif
