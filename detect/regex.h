#ifndef PICKET_DETECT_REGEX_H
#define PICKET_DETECT_REGEX_H

#include "runtime/status.h"
#include "runtime/text.h"

/* Regular expressions that people wrote down: PCRE2's, and bounded. One that would take more than 100,000 steps, or a megabyte, on a value does
 * not match it. Immutable once made; matched by any thread. */
struct regex;

enum regex_option { REGEX_CASELESS = 1, REGEX_MULTILINE = 2, REGEX_DOTALL = 4 };

/* NULL: it is none, and `why` says what is wrong, and where. */
struct regex *regex_new(struct text pattern, unsigned options, struct problem *why);
void regex_free(struct regex *take_regex); /* NULL is fine */
bool regex_fits(const struct regex *regex, struct text value);

#endif
