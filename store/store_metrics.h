#ifndef PICKET_STORE_STORE_METRICS_H
#define PICKET_STORE_STORE_METRICS_H

#include "runtime/metrics.h"

/* What this process has written since it started; read by /metrics. */
struct store_metrics {
    struct metric messages, resends, events, dead_letters;
    struct metric committed, failed, halved, lost; /* batches, by outcome */
    struct metric gaps;
    struct metric waiting;
    struct metric alerts_opened, alerts_repeated, findings_dropped, judging_failed, judging_microseconds;
};
extern struct store_metrics store_metrics;

void store_metrics_register(void); /* start-up only */

#endif
