#ifndef PICKET_RUNTIME_METRICS_H
#define PICKET_RUNTIME_METRICS_H

#include <stdatomic.h>

#include "runtime/buf.h"

/* Counters and gauges of this process, printed in Prometheus text format 0.0.4.
 *
 * A metric is a static object of the module that counts it, joined to the list by metric_register()
 * when its role opens. At most one label per metric, with values fixed at compile time: label values
 * that strangers choose would grow without limit. */
enum metric_kind { METRIC_COUNTER, METRIC_GAUGE };

struct metric {
    const char *name;  /* "picket_ingest_messages_total" */
    const char *help;  /* one sentence */
    enum metric_kind kind;
    const char *label;        /* "status", or NULL */
    const char *label_value;  /* "204"; metrics of one name stand next to each other when registered in a row */
    _Atomic int64_t value;
    struct metric *next; /* metrics.c */
};

#define METRIC_COUNTER_INIT(name, help) {name, help, METRIC_COUNTER, NULL, NULL, 0, NULL}
#define METRIC_GAUGE_INIT(name, help) {name, help, METRIC_GAUGE, NULL, NULL, 0, NULL}
#define METRIC_LABELLED_INIT(name, help, label, value) {name, help, METRIC_COUNTER, label, value, 0, NULL}

/* Once per metric and process; a second time is harmless. Start-up only. */
void metric_register(struct metric *metrics, size_t count);

static inline void metric_add(struct metric *metric, int64_t by)
{
    atomic_fetch_add_explicit(&metric->value, by, memory_order_relaxed);
}
static inline void metric_set(struct metric *metric, int64_t to)
{
    atomic_store_explicit(&metric->value, to, memory_order_relaxed);
}
static inline int64_t metric_get(const struct metric *metric)
{
    return atomic_load_explicit(&metric->value, memory_order_relaxed);
}

/* The sum over all metrics of that name; 0 when there is none. */
int64_t metric_total(const char *name);
void metrics_print(struct buf *out);

#endif
