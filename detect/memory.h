#ifndef PICKET_DETECT_MEMORY_H
#define PICKET_DETECT_MEMORY_H

#include "runtime/arena.h"
#include "runtime/buf.h"

/* What detections remember of one device from event to event: traces, each of one rule and one key (an address, a user …), which hold
 * what happened when. It is bounded: a rule has at most MEMORY_TRACES_MAX traces on a device, of which the one that was touched
 * longest ago gives way, and a trace at most MEMORY_MARKS_MAX marks, of
 * which the oldest two become one where they are of one value, or the oldest gives way. So a device that makes up a million
 * addresses forgets its own oldest, of that rule, and nobody else's.
 *
 * It is written and read as text, and what it answers depends on nothing but the events it was told. One thread. */
#define MEMORY_TRACES_MAX 32  /* of one rule */
#define MEMORY_MARKS_MAX 256  /* of one trace */
#define MEMORY_RULE_MARKS_MAX 512 /* of all traces of a rule together */
#define MEMORY_VALUE_MAX 100  /* bytes of a key or a value that are kept */
#define MEMORY_BYTES_MAX (4 << 20) /* what all rules together can write at most, with room */

struct memory;

/* An empty one in the arena; it and all that is told live there. */
struct memory *memory_new(struct arena *arena);
/* From what memory_write() wrote; an empty one where that is unreadable. */
struct memory *memory_read(struct text written, struct arena *arena);
void memory_write(const struct memory *memory, struct buf *out);
/* Whether anything was told since it was made or read. */
bool memory_changed(const struct memory *memory);

/* Something of `value` happened so many times at that time; what lies more than `keep_us` before the trace's newest is forgotten. */
void memory_note(struct memory *memory, const char *rule, struct text key, struct text value, uint64_t times, int64_t at_us, int64_t keep_us);
/* Forgets a trace. */
void memory_forget(struct memory *memory, const char *rule, struct text key);

/* A trace in (at - within, at]: how often, how many different values. */
struct memory_sum {
    uint64_t times;
    size_t values;
    int64_t first_us; /* the earliest, where there is any */
};
struct memory_sum memory_sum(const struct memory *memory, const char *rule, struct text key, int64_t at_us, int64_t within_us);
/* Whether that value was noted in (at - within, at]. */
bool memory_has(const struct memory *memory, const char *rule, struct text key, struct text value, int64_t at_us, int64_t within_us);
/* Whether the trace has any mark at all. */
bool memory_knows(const struct memory *memory, const char *rule, struct text key);
/* Calls for each value of a trace, in the order of their notes. */
typedef void memory_each(void *context, struct text value, int64_t at_us, uint64_t times);
void memory_walk(const struct memory *memory, const char *rule, struct text key, memory_each *each, void *context);

#endif
