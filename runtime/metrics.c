#include "runtime/metrics.h"

#include <assert.h>
#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct metric *first, **end = &first;

static bool registered(const struct metric *metric);
static void print_value(struct buf *out, const struct metric *metric);
static void print_label_value(struct buf *out, const char *value);

void metric_register(struct metric *metrics, size_t count)
{
    assert(metrics || count == 0);

    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < count; i++) {
        assert(metrics[i].name && metrics[i].help);
        if (registered(&metrics[i]))
            continue;
        metrics[i].next = NULL;
        *end = &metrics[i];
        end = &metrics[i].next;
    }
    pthread_mutex_unlock(&lock);
}

int64_t metric_total(const char *name)
{
    int64_t total = 0;

    pthread_mutex_lock(&lock);
    for (const struct metric *metric = first; metric; metric = metric->next)
        if (strcmp(metric->name, name) == 0)
            total += metric_get(metric);
    pthread_mutex_unlock(&lock);
    return total;
}

void metrics_print(struct buf *out)
{
    const char *name = "";

    pthread_mutex_lock(&lock);
    for (const struct metric *metric = first; metric; metric = metric->next) {
        if (strcmp(metric->name, name) != 0) {
            const char *kind = metric->kind == METRIC_COUNTER ? "counter" : "gauge";
            buf_format(out, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help, metric->name, kind);
        }
        name = metric->name;
        print_value(out, metric);
    }
    pthread_mutex_unlock(&lock);
}

static bool registered(const struct metric *metric)
{
    for (const struct metric *at = first; at; at = at->next)
        if (at == metric)
            return true;
    return false;
}

static void print_value(struct buf *out, const struct metric *metric)
{
    buf_string(out, metric->name);
    if (metric->label) {
        buf_format(out, "{%s=\"", metric->label);
        print_label_value(out, metric->label_value);
        buf_string(out, "\"}");
    }
    buf_byte(out, ' ');
    buf_i64(out, metric_get(metric));
    buf_byte(out, '\n');
}

static void print_label_value(struct buf *out, const char *value)
{
    for (; *value; value++) {
        if (*value == '\\' || *value == '"')
            buf_byte(out, '\\');
        if (*value == '\n')
            buf_string(out, "\\n");
        else
            buf_byte(out, *value);
    }
}
