#ifndef PICKET_PROGRAMS_RULE_FILES_H
#define PICKET_PROGRAMS_RULE_FILES_H

#include "runtime/buf.h"

/* Hands over the text of a file, or of every .yml and .yaml file within a folder, in the order of their names. `content` is borrowed for
 * the call. What `each` says in `why` ends it. STATUS_REJECT also where there is no such file. */
typedef enum status rule_file_take(void *context, const char *path, struct text content, struct problem *why);
MUST_CHECK enum status rule_files_each(const char *path, rule_file_take *each, void *context, struct problem *why);

#endif
