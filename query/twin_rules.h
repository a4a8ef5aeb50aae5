#ifndef PICKET_QUERY_TWIN_RULES_H
#define PICKET_QUERY_TWIN_RULES_H

#include <jansson.h>

#include "runtime/arena.h"
#include "runtime/status.h"

/* What IoT Hub lets stand in a twin. */
#define TWIN_TAGS_MAX 8192
#define TWIN_DESIRED_MAX 32768

/* Checks an object that operators give, and prints it. STATUS_REJECT: the sentence names the member. */
MUST_CHECK enum status twin_rules_check(struct arena *arena, const char *section, const json_t *object, size_t bytes_max,
                                        const char **out, struct problem *why);

/* A desired property of the classic agent's or the micro agent's module that neither reads, or whose value it would not
 * take: a sentence, valid until the thread's next call, else NULL. Both agents say nothing of unknown names. */
const char *twin_rules_wrong(const char *module, const char *name, const json_t *value);

#endif
