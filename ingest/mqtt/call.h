#ifndef PICKET_INGEST_MQTT_CALL_H
#define PICKET_INGEST_MQTT_CALL_H

#include "ingest/commands.h"
#include "ingest/mqtt/session.h"
#include "ingest/mqtt/topic.h"

/* What a session asks the database: the question goes to a thread of the pool, the answer comes back to the session's
 * own and leaves as a PUBLISH. A session has few under way at once, and waits when it would be more. */

/* A PUBLISH to one of IoT Hub's service topics. */
enum session_verdict call_take(struct session *session, const struct picket_mqtt_publish *packet, const struct topic *topic);

/* Whether it may enrol: handle_connect_judged() comes of it. */
void call_enrolment_judge(struct session *session);

/* Cloud-to-device messages: fetches what waits, when the client wants it and can take more. */
void call_cloud_take(struct session *session);
/* The client acknowledged packet `id`. False: it was none of ours. */
bool call_cloud_settle(struct session *session, uint16_t id, enum cloud_outcome outcome);
/* The client has gone without acknowledging: the messages are to come again at once. */
void call_cloud_abandon(struct session *session);

#endif
