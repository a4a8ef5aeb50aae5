#ifndef PICKET_DETECT_SIGMA_PARSE_H
#define PICKET_DETECT_SIGMA_PARSE_H

#include "detect/sigma_rule.h"
#include "runtime/status.h"

/* Reads the documents of a YAML text one after the other; `each` gets a rule, or the reason why it is refused: a rule is
 * understood wholly or not at all. `id` is the rule's, or its title, or TEXT_NONE where neither can be told. STATUS_REJECT: the
 * text is no YAML from some place on; the rules before it stand. */
typedef void sigma_each(void *context, const struct sigma_rule *rule, struct text id, const char *reason);
MUST_CHECK enum status sigma_parse(struct text yaml, struct arena *arena, sigma_each *each, void *context, struct problem *why);

/* Frees what does not lie in the arena. */
void sigma_rule_done(const struct sigma_rule *rule);

#endif
