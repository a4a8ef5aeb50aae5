#ifndef PICKET_DETECT_NEEDLES_H
#define PICKET_DETECT_NEEDLES_H

#include "runtime/text.h"

/* Many texts looked for at once, without ASCII case: the time that it takes does not depend on how many there are. After Aho and
 * Corasick (Efficient string matching, 1975), with a full table of moves over classes of bytes. Filled, built, then only read,
 * by any number of threads. */
struct needles;

struct needles *needles_new(void);
void needles_free(struct needles *take_needles); /* NULL is fine */

/* The number of a needle, from 0; the same text has the same. It is not empty. */
uint32_t needles_add(struct needles *needles, struct text text);
size_t needles_count(const struct needles *needles);
void needles_build(struct needles *needles); /* no more are added then */

/* Calls `each` for each place where one ends; the same needle may come again. */
typedef void needle_each(void *context, uint32_t needle);
void needles_scan(const struct needles *needles, struct text value, needle_each *each, void *context);

#endif
