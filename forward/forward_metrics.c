#include "forward/forward_metrics.h"

struct forward_metrics forward_metrics = {
    .alerts = METRIC_COUNTER_INIT("picket_forward_alerts_total", "Changes of alerts that Kafka has acknowledged."),
    .failed = METRIC_COUNTER_INIT("picket_forward_failed_total", "Rounds that failed and are tried again: database or brokers were away."),
};

void forward_metrics_register(void)
{
    metric_register(&forward_metrics.alerts, 1);
    metric_register(&forward_metrics.failed, 1);
}
