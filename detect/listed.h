#ifndef PICKET_DETECT_LISTED_H
#define PICKET_DETECT_LISTED_H

#include "detect/rule.h"

/* A value that a threat feed lists, on its way to a finding: the first indicator of those that match makes it, and a second says the same. */
struct listed {
    struct judging *judging;
    struct finding *finding;
    struct text cause;
    const char *field, *clause;
    struct text seen;
};
/* For the lookups of detect/indicators.h: adds the finding at the first, and a reason for each. */
void listed_add(void *context, struct text feed, struct text value);

#endif
