#ifndef PICKET_TESTS_SUPPORT_TOPIC_H
#define PICKET_TESTS_SUPPORT_TOPIC_H

#include "runtime/bus.h"

/* A topic of the broker as a stranger sees it, by librdkafka alone. Aborts with a sentence when something fails; while
 * the broker starts again it is asked for up to a minute. */
struct topic;

struct topic *topic_open(const char *name); /* it has to exist */
void topic_close(struct topic *take_topic);
int32_t topic_partitions(const struct topic *topic);
/* Offset of the oldest record, and the one that the next record will get. */
int64_t topic_begin(struct topic *topic, int32_t partition);
int64_t topic_end(struct topic *topic, int32_t partition);
/* Puts a record on `record->partition`; returns its offset. */
int64_t topic_put(struct topic *topic, const struct bus_record *record);
/* Deletes records below `offset`, as retention does. */
void topic_delete_before(struct topic *topic, int32_t partition, int64_t offset);
/* Deletes the topic and makes it anew, with as many partitions; its records start at 0 again. */
void topic_recreate(struct topic *topic);

#endif
