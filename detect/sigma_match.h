#ifndef PICKET_DETECT_SIGMA_MATCH_H
#define PICKET_DETECT_SIGMA_MATCH_H

#include "detect/sigma_rule.h"

/* An event as rules see it: names and values. A name may come several times, for a list. */
struct sigma_field {
    struct text name, value; /* TEXT_NONE: null */
};
struct sigma_event {
    const struct sigma_field *fields;
    size_t count;
};

/* Which clauses held, and by which field of the event; of alternatives the first. */
struct sigma_found {
    const struct sigma_clause *clause;
    const struct sigma_field *field; /* NULL: by there being none */
};
#define SIGMA_FOUND_MAX 64 /* what is beyond is not listed */

/* Whether the event is one that the rule describes. `found` has room for SIGMA_FOUND_MAX; NULL: not wanted. Pure. A regular
 * expression that goes beyond its limit of steps does not match. */
bool sigma_match(const struct sigma_rule *rule, const struct sigma_event *event, struct sigma_found *found, size_t *found_count);

#endif
