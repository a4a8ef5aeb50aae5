#ifndef PICKET_DETECT_DOOR_FACTS_H
#define PICKET_DETECT_DOOR_FACTS_H

#include "detect/rule.h"

/* What the front door counts of an identity, in the window that the event is about. */

/* How often; 0 where it is not said. */
uint64_t door_counted(const struct judging *judging, const char *name);
/* A finding where it was counted at all. */
void door_judge_reason(struct judging *judging, const char *field, const char *clause);
/* A finding where at least `min` came within that time, this window's included. */
void door_judge_count(struct judging *judging, uint64_t count, uint64_t min, int64_t within_us, const char *clause);
/* What to do; NULL ends it. */
extern const char *const door_check_key[];
/* Such an event, for samples. */
#define DOOR_EVENT(refused, reasons) "FrontDoor {\"From\":1,\"To\":2,\"Refused\":{" refused "},\"Reasons\":{" reasons "}}"

#endif
