#ifndef PICKET_STORE_FEEDS_H
#define PICKET_STORE_FEEDS_H

#include "store/store.h"

/* The role's dealings with threat feeds, on a thread of its own: those that are due are fetched and put in force, and what a feed lists
 * anew is looked for in what was stored before, which raises alerts that are marked as found later. */
struct feeds;

/* The settings are borrowed. STATUS_REJECT: a malformed connection string; STATUS_FAULT: no thread. */
MUST_CHECK enum status feeds_open(const struct store_settings *settings, struct feeds **out, struct problem *why);
void feeds_close(struct feeds *take_feeds); /* gives up what is under way; NULL is fine */

#endif
