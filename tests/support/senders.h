#ifndef PICKET_TESTS_SUPPORT_SENDERS_H
#define PICKET_TESTS_SUPPORT_SENDERS_H

#include "runtime/text.h"

/* Devices under load that behave as the promise supposes: a message is kept until it was acknowledged; one whose answer
 * was 503 or never came is sent again, byte for byte; and now and then one that was acknowledged is sent again as well.
 * A thread of its own sends to the pipeline's device port, whoever listens there, and a book remembers what became of
 * each message. Each is a classic one of two events whose ids are made of its number. */
struct senders;

#define SENDERS_EVENTS 2 /* in each message */

/* Nothing is sent yet. Messages are dealt out to "device-0" … of pipeline_prepare(). */
struct senders *senders_open(unsigned devices, unsigned connections, uint64_t seed);
/* The same over MQTT 5 with QoS 1, a connection for each device. */
struct senders *senders_open_mqtt(unsigned devices, uint64_t seed);
void senders_start(struct senders *senders);
void senders_stop(struct senders *senders); /* waits for the answers that still come */
/* Sends everything unanswered again until each message was acknowledged. Stopped. */
void senders_settle(struct senders *senders);
/* Compares the book with the database: every acknowledged message is stored exactly once, nothing twice, nothing that
 * was not sent, all where their receipts say. Fails the test with what is wrong. Stopped, and the bus drained. */
void senders_check(struct senders *senders);
void senders_close(struct senders *take_senders);

/* Messages that were acknowledged (each counts once), answers that were 503, and other answers: always 0. */
uint64_t senders_acknowledged(struct senders *senders);
uint64_t senders_refused(struct senders *senders);
/* Waits until `more` answers 204 came, resends included; aborts after a minute. */
void senders_wait(struct senders *senders, uint64_t more);

#endif
