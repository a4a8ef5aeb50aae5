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
};

/* False: there is no such word. */
bool feed_format_of(struct text word, enum feed_format *out);

struct feed_facts {
    enum feed_format format;
    size_t added, ignored; /* lines or attributes; the second are none of the kinds that are looked for */
    size_t first_ignored;  /* the number of a line, or 0 */
};

/* Reads a whole feed into the set. STATUS_REJECT: it is none of that format, and `why` says where; what was added stays. */
MUST_CHECK enum status feed_read(struct indicators *set, uint16_t feed, struct text content, enum feed_format format,
                                 struct feed_facts *facts, struct problem *why);

#endif
