#ifndef PICKET_PROGRAMS_JSON_LINES_H
#define PICKET_PROGRAMS_JSON_LINES_H

#include <jansson.h>

#include "runtime/status.h"

/* Hands over the objects of a file with one on each line, in their order; empty lines are passed over. `object` is borrowed for the
 * call; `number` counts lines from 1. What `each` says in `why` is returned with the file and the line before it, and ends it; so
 * does a line that is no object, which STATUS_REJECT tells as "`what` is a JSON object". */
typedef enum status json_line_take(void *context, json_t *object, size_t number, struct problem *why);
MUST_CHECK enum status json_lines_each(const char *path, const char *what, json_line_take *each, void *context, struct problem *why);

#endif
