#ifndef PICKET_INGEST_MQTT_REPLY_H
#define PICKET_INGEST_MQTT_REPLY_H

#include "ingest/mqtt/session.h"

/* Every packet we send, appended to what a session has to send; it goes out at the end of the event at hand. A client
 * that does not read is cut when too much waits for it. */

/* Code of MQTT 5; of 3.1.1 it becomes the one that fits. */
void reply_connack(struct session *session, enum picket_mqtt_reason reason, bool resumed, const char *sentence);
void reply_puback(struct session *session, uint16_t id, enum picket_mqtt_reason reason, const char *sentence,
                  const struct bus_receipt *receipt);
void reply_suback(struct session *session, uint16_t id, const uint8_t *codes, size_t count);
void reply_unsuback(struct session *session, uint16_t id, const uint8_t *codes, size_t count);
void reply_pong(struct session *session);
void reply_disconnect(struct session *session, enum picket_mqtt_reason reason, const char *sentence);
/* `id` 0: QoS 0. */
void reply_publish(struct session *session, struct text topic, uint16_t id, struct text payload);

#endif
