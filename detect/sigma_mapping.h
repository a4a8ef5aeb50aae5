#ifndef PICKET_DETECT_SIGMA_MAPPING_H
#define PICKET_DETECT_SIGMA_MAPPING_H

#include "detect/command_line.h"
#include "detect/event.h"
#include "detect/sigma_rule.h"
#include "runtime/status.h"

/* Which events a Sigma log source means, and what its fields are in them: see sigma_mapping.yml, which is built in and can be replaced
 * by another file of that form. */
struct sigma_mapping;
struct sigma_source;

#define SIGMA_SOURCES_MAX 200
#define SIGMA_SOURCE_FIELDS_MAX 100

/* The mapping lies in the arena. STATUS_REJECT: `why` says where it is not of the form. */
MUST_CHECK enum status sigma_mapping_read(struct text yaml, struct arena *arena, struct sigma_mapping **out, struct problem *why);
struct text sigma_mapping_builtin(void); /* the text of sigma_mapping.yml */

size_t sigma_mapping_count(const struct sigma_mapping *mapping);
const struct sigma_source *sigma_mapping_source(const struct sigma_mapping *mapping, size_t i);

/* The kinds of events of a source, as EVENT_BIT()s. */
unsigned sigma_source_kinds(const struct sigma_source *source);
/* Whether a rule is meant for the source. */
bool sigma_source_covers(const struct sigma_source *source, const struct sigma_rule *rule);
/* The event as the source's rules see it. */
void sigma_source_fields(const struct sigma_source *source, const struct event *event, const struct command_line *line, struct arena *arena, struct sigma_event *out);

/* Why the rule cannot match any event, as a sentence in the arena; NULL: it can. */
const char *sigma_mapping_never(const struct sigma_mapping *mapping, const struct sigma_rule *rule, struct arena *arena);

#endif
