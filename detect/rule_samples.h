#ifndef PICKET_DETECT_RULE_SAMPLES_H
#define PICKET_DETECT_RULE_SAMPLES_H

#include "detect/rule.h"

/* A sample's lines as events, in the form that rule.h describes: for tests, for `picket rule test --samples`, and for canaries that send
 * them. `at_us` of the first is `from_us`. False: the text is not of that form. */
typedef void rule_sample_each(void *context, const struct event_source *event);
bool rule_sample_read(const char *events, int64_t from_us, struct arena *arena, rule_sample_each *each, void *context);

/* What the samples of detections that ask feeds take for listed. */
extern const char *const rule_sample_indicators[]; /* NULL at the end */

#endif
