#include "store/store_metrics.h"

#define BY_OUTCOME(outcome) \
    METRIC_LABELLED_INIT("picket_store_batches_total", "Batches by what became of them.", "outcome", outcome)

struct store_metrics store_metrics = {
    .messages = METRIC_COUNTER_INIT("picket_store_messages_total", "Messages written, resends apart."),
    .resends = METRIC_COUNTER_INIT("picket_store_resends_total", "Messages that were known already."),
    .events = METRIC_COUNTER_INIT("picket_store_events_total", "Rows of raw events written."),
    .dead_letters = METRIC_COUNTER_INIT("picket_store_dead_letters_total", "Records that became dead letters."),
    .committed = BY_OUTCOME("committed"),
    .failed = BY_OUTCOME("failed"),
    .halved = BY_OUTCOME("halved"),
    .lost = BY_OUTCOME("lost"),
    .gaps = METRIC_COUNTER_INIT("picket_store_bus_gaps_total", "Gaps found on the bus: records that nobody can read."),
    .waiting = METRIC_GAUGE_INIT("picket_store_bus_lag_records", "Records on the bus that wait to be written."),
    .alerts_opened = METRIC_LABELLED_INIT("picket_store_alerts_total", "Alerts that detection raised, by whether they were open already.", "outcome", "opened"),
    .alerts_repeated = METRIC_LABELLED_INIT("picket_store_alerts_total", "Alerts that detection raised, by whether they were open already.", "outcome", "repeated"),
    .findings_dropped = METRIC_COUNTER_INIT("picket_store_findings_dropped_total", "Findings beyond what one batch, or one device in it, may raise."),
    .judging_failed = METRIC_COUNTER_INIT("picket_store_judging_failed_total", "Batches that were stored without being judged, since the database refused what was found."),
    .judging_microseconds = METRIC_COUNTER_INIT("picket_store_judging_microseconds_total", "Processor time of this process that went into judging, in microseconds."),
};

void store_metrics_register(void)
{
    metric_register(&store_metrics.messages, 1);
    metric_register(&store_metrics.resends, 1);
    metric_register(&store_metrics.events, 1);
    metric_register(&store_metrics.dead_letters, 1);
    metric_register(&store_metrics.committed, 1);
    metric_register(&store_metrics.failed, 1);
    metric_register(&store_metrics.halved, 1);
    metric_register(&store_metrics.lost, 1);
    metric_register(&store_metrics.gaps, 1);
    metric_register(&store_metrics.waiting, 1);
    metric_register(&store_metrics.alerts_opened, 1);
    metric_register(&store_metrics.alerts_repeated, 1);
    metric_register(&store_metrics.findings_dropped, 1);
    metric_register(&store_metrics.judging_failed, 1);
    metric_register(&store_metrics.judging_microseconds, 1);
}
