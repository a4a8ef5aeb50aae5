#ifndef PICKET_AGENT_REASON_H
#define PICKET_AGENT_REASON_H

#include <stdbool.h>

/* One sentence that explains a failure of the reference program's own parts; the portable core has no use for it. */
struct reason {
    char text[512];
};

/* Writes the sentence and returns false, so that a failing path is one line. A longer one is cut. */
bool reason_set(struct reason *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
