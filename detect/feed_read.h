#ifndef PICKET_DETECT_FEED_READ_H
#define PICKET_DETECT_FEED_READ_H

#include "detect/indicators.h"
#include "runtime/status.h"

/* What a feed is written as. */
enum feed_format {
    FEED_ANY,     /* as its content says */
    FEED_LIST,    /* an indicator a line, at its beginning; # and ; begin comments */
    FEED_CSV,     /* with or without a header; of each line the first field that is an indicator, or those of one column */
    FEED_HOSTS,   /* "0.0.0.0 domain" */
    FEED_ADBLOCK, /* "||domain^" */
    FEED_MISP,    /* an event, a list of them, or a search's answer */
    FEED_STIX,    /* a STIX 2 bundle, TAXII's envelope, or a list of objects */
    FEED_WARNING, /* one of MISP's warning lists */
};

/* Whether the content is a warning list's: what it names is no threat. */
bool feed_is_warning_list(struct text content);
/* False: there is no such word. */
bool feed_format_of(struct text word, enum feed_format *out);

struct feed_facts {
    enum feed_format format;
    size_t added, ignored; /* lines or attributes; the second are none of the kinds that are looked for */
    size_t first_ignored;  /* the number of a line, or 0 */
};

/* How an entry of a warning list is meant; those of other feeds are FEED_ITSELF. */
enum feed_reach { FEED_ITSELF, FEED_AND_BELOW, FEED_SUBSTRING, FEED_REGEX, FEED_REACHES };
extern const char *const feed_reach_words[FEED_REACHES]; /* as MISP's lists say it in "type" */

/* One entry of a feed. False: it is none of the kinds that are looked for, and another reading of the line may be tried. */
struct feed_entry {
    struct text value;
    enum feed_reach reach;
    int64_t valid_until_us; /* 0: for ever, as far as the feed says */
    int confidence;         /* 0 to 100; -1: the feed does not say */
};
typedef bool feed_take(void *context, const struct feed_entry *entry);

/* Reads a whole feed; what is revoked or not meant for matching is left out. STATUS_REJECT: it is none of that format, and `why` says
 * where; what was taken stays. */
MUST_CHECK enum status feed_read(struct text content, enum feed_format format, feed_take *take, void *context, struct feed_facts *facts, struct problem *why);

/* A `take` that adds to a set. */
struct feed_into {
    struct indicators *set;
    uint16_t feed;
};
bool feed_take_into(void *feed_into, const struct feed_entry *entry);

#endif
