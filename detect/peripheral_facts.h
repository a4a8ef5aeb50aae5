#ifndef PICKET_DETECT_PERIPHERAL_FACTS_H
#define PICKET_DETECT_PERIPHERAL_FACTS_H

#include "detect/rule.h"

/* What peripherals tell of themselves. */

/* Actions, in the words of several agents; NULL ends them. */
extern const char *const peripheral_arrivals[];
extern const char *const peripheral_departures[];
/* Agents name no device: its bus and number tell one from the other. */
struct text peripheral_usb_place(struct judging *judging);
/* A finding for `what`, where the event's action is among these. */
void peripheral_judge(struct judging *judging, const char *const *actions, struct text what, const char *clause);

#endif
