#ifndef PICKET_DETECT_INDICATORS_H
#define PICKET_DETECT_INDICATORS_H

#include "runtime/text.h"

/* Indicators of threat feeds: what is listed, and by which feed. A set is filled, then only asked, from any thread; a newer
 * one takes its place as a whole. A million take some 60 MB. What may be listed:
 * - an address or a network, IPv4 or IPv6; an address with a port means that port alone
 * - a domain, with all below it
 * - a URL; without a scheme it means any, and a path alone any host
 * - an MD5, SHA-1 or SHA-256 in hexadecimal digits */
struct indicators;

struct indicators *indicators_new(void);
void indicators_free(struct indicators *take_set); /* NULL is fine */

/* A feed by its name, for those that follow. The name is copied. */
uint16_t indicators_feed(struct indicators *set, struct text name);
/* What the text is an indicator of, as people write it ("hxxp", "[.]", capitals are put right), and adds it. False: none of these. */
bool indicators_add(struct indicators *set, uint16_t feed, struct text value);
/* The same without adding: "ip", "network", "ip_port", "domain", "url", "path", "md5", "sha1" or "sha256"; NULL: none of these. */
const char *indicators_kind(struct text value);
size_t indicators_count(const struct indicators *set); /* different ones of a feed */

/* What people write, with hxxp, [.] and (.) put right, in `room`; where it is longer than that, as it is. */
#define INDICATOR_ROOM 2208
struct text indicators_put_right(struct text value, char room[INDICATOR_ROOM]);

/* What was seen: IP with a port of 0 where there is none. `each` is called for every indicator that it is one of, `value` as it was
 * listed. False: none. */
typedef void indicator_each(void *context, struct text feed, struct text value);
bool indicators_find_ip(const struct indicators *set, struct text address, uint32_t port, indicator_each *each, void *context);
bool indicators_find_domain(const struct indicators *set, struct text domain, indicator_each *each, void *context);
bool indicators_find_url(const struct indicators *set, struct text url, indicator_each *each, void *context);
bool indicators_find_hash(const struct indicators *set, struct text digits, indicator_each *each, void *context);
/* Whether the name itself is listed, and not only one above it. */
bool indicators_has_domain(const struct indicators *set, struct text domain);

/* What is listed is not found all the same where `spares` is true of what was seen: an "ip", "domain", "url" or "hash". It is asked on a hit only,
 * by any thread; the context outlives the set. */
typedef bool indicator_spares(const void *context, const char *kind, struct text seen);
void indicators_spare(struct indicators *set, indicator_spares *spares, const void *context);

#endif
