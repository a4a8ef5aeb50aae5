#ifndef PICKET_DETECT_ENGINE_H
#define PICKET_DETECT_ENGINE_H

#include "detect/rule.h"

/* All rules over one event: the built-in ones and the indicators that they ask, in one pass. It is made once, then only read; any
 * thread may judge with it, each with a scratch of its own. What it answers depends on the event and the device's memory alone. */
struct engine_content {
    const struct indicators *indicators; /* borrowed; NULL: none */
    /* Of a built-in rule whether it is off; NULL: none is. By its number in `rules`. */
    const bool *off;
};

struct engine;
struct engine *engine_new(const struct engine_content *content);
void engine_free(struct engine *take_engine); /* NULL is fine */

struct engine_scratch;
struct engine_scratch *engine_scratch_new(const struct engine *engine);
void engine_scratch_free(struct engine_scratch *take_scratch); /* NULL is fine */

/* Whether judging the event may ask, or tell, the device's memory. */
bool engine_remembers(const struct engine *engine, const struct event *event);

/* Judges the events of one message of a device, in their order; those of one `group` that stand together are elements of one event of
 * the sender's. What is found is added to `findings`, in the arena; it borrows from the events. `memory` may be NULL where
 * engine_remembers() says no of each event. */
void engine_judge(const struct engine *engine, struct engine_scratch *scratch, const struct event *events, size_t count, struct memory *memory, struct arena *arena,
                  struct findings *findings);

#endif
