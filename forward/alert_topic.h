#ifndef PICKET_FORWARD_ALERT_TOPIC_H
#define PICKET_FORWARD_ALERT_TOPIC_H

#include "runtime/bus.h"
#include "runtime/db.h"

/* Alerts as records of a topic: the key is the alert's id, the value is JSON, as GET /v1/alerts answers with reasons, entities, remediation and
 * the ids of events besides. Each change sends the alert as it is then; of several changes in short order the last one is sent. Records of one
 * alert keep their order. A record may come twice, and none is left out: the cursor moves once Kafka has acknowledged what is before it. */
#define ALERT_TOPIC_VERSION 1
#define ALERT_TOPIC_STATEMENT_MS 30000

/* Sends what was changed since, at most a round's worth; `*more` says whether there is more. Where another process sends, nothing is done.
 * STATUS_RETRY: database or brokers are away, and nothing is lost. */
MUST_CHECK enum status alert_topic_round(struct db *db, struct bus *bus, bool *more, struct problem *why);

#endif
