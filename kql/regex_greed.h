#ifndef PICKET_KQL_REGEX_GREED_H
#define PICKET_KQL_REGEX_GREED_H

#include "runtime/text.h"

#include <stdbool.h>

/* RE2 decides at each repetition whether it takes much or little; PostgreSQL decides once for the whole expression. The
 * two agree where all repetitions are of one kind. Many are of either: one that ends where something else has to begin,
 * as \d+ before a letter, matches the same both ways. */
enum greed {
    GREED_AS_SAID,
    GREED_MUCH,
    GREED_LITTLE,
    GREED_LEAST, /* always as few as there may be: what follows takes the others as well */
};

#define GREED_SITES_MAX 128

struct greed_plan {
    enum greed sites[GREED_SITES_MAX]; /* for each repetition, in their order */
    size_t skip;                       /* bytes at the beginning that only say "somewhere" */
};

/* `whole`: how far the match reaches is wanted, not only what its groups have. False: it cannot be brought to one kind.
 * Facts: PostgreSQL's documentation of regular expression matching rules. */
bool greed_plan(struct text pattern, bool whole, struct greed_plan *out);

#endif
