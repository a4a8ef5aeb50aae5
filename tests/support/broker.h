#ifndef PICKET_TESTS_SUPPORT_BROKER_H
#define PICKET_TESTS_SUPPORT_BROKER_H

/* A real Apache Kafka (one broker, KRaft) for this test program, from the jars that tests/support/kafka.sh fetches, in a
 * folder under /tmp, gone with the program. Aborts with a sentence when it cannot be had.
 *
 * Start it in main() or an unchecked fixture; it takes some seconds. Tests, also those that Check forks, may stop, kill
 * and restart it: it keeps its port and its data. Topics are not made by themselves. */
void broker_start(void); /* returns when it answers; a second call is harmless */
void broker_stop(void);
void broker_kill9(void);
void broker_restart(void); /* after stop or kill9; returns when it answers */
void broker_freeze(void);  /* it keeps its connections and says nothing */
void broker_thaw(void);
void broker_end(void); /* earlier than at exit */

const char *broker_bootstrap(void); /* host:port */

#endif
