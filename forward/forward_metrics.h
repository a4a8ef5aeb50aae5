#ifndef PICKET_FORWARD_FORWARD_METRICS_H
#define PICKET_FORWARD_FORWARD_METRICS_H

#include "runtime/metrics.h"

struct forward_metrics {
    struct metric alerts, failed;
};
extern struct forward_metrics forward_metrics;

void forward_metrics_register(void);

#endif
