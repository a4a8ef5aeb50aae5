#ifndef PICKET_DETECT_FALSE_FRIENDS_H
#define PICKET_DETECT_FALSE_FRIENDS_H

#include "detect/feed_read.h"

/* What warning lists know as harmless, whatever feeds say: filled, then only asked, from any thread.
 *
 * A name is meant itself, or with all below it: where the list says so (MISP's "hostname"), and ".name". An address is harmless by itself or by its
 * network; a hash by its digits. A URL is as harmless as its host where it is no more than that: what lies on a harmless host may be none. Patterns
 * look at the whole value: parts of it (MISP's "substring"), or regular expressions. */
struct false_friends;

struct false_friends *false_friends_new(void);
void false_friends_free(struct false_friends *take_friends); /* NULL is fine */

/* What an entry of a feed is kept as: a kind of indicators_kind(), and where the feed warns "below", "substring" or "regex" too. NULL: it is none of these. */
const char *false_friends_kind(bool warns, enum feed_reach reach, struct text value);
/* Adds what was kept so. False: that is no such thing. */
bool false_friends_add(struct false_friends *friends, struct text kind, struct text value);
size_t false_friends_count(const struct false_friends *friends);

/* Whether what is of that kind (those of indicators, and "hash") is harmless; `friends` is a struct false_friends. An indicator_spares. */
bool false_friends_have(const void *friends, const char *kind, struct text value);

#endif
