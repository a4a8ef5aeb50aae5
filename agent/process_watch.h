#ifndef PICKET_AGENT_PROCESS_WATCH_H
#define PICKET_AGENT_PROCESS_WATCH_H

#include "agent/process_table.h"
#include "agent/reason.h"

/* Processes the moment they begin, as the kernel tells them (the process connector of netlink; needs CAP_NET_ADMIN). A thread of
 * its own looks at each right away, since one may be gone within a millisecond; what it saw waits here for the collector. */
struct process_watch;

/* NULL where the kernel or our rights do not allow it. `buffer_bytes` is the socket's, for what comes in a burst. */
struct process_watch *process_watch_open(size_t buffer_bytes, struct reason *why);
void process_watch_close(struct process_watch *take_watch); /* NULL is fine */

/* The oldest that waits, with how often it began in a row; one that was gone too soon has "(gone)" for its executable. False: none does. */
bool process_watch_next(struct process_watch *watch, struct process *out, uint64_t *times);
/* How many began that could not be kept, since it was asked last. */
uint64_t process_watch_lost(struct process_watch *watch);
/* Whether the kernel had to leave some out since it was asked last: what runs has to be listed to know. */
bool process_watch_overran(struct process_watch *watch);
/* Readable when half of the room is used: the rest may wait for its time. */
int process_watch_socket(const struct process_watch *watch);

#endif
