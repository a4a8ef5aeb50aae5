#ifndef PICKET_DETECT_ENGINE_H
#define PICKET_DETECT_ENGINE_H

#include "detect/rule.h"
#include "detect/sigma_mapping.h"
#include "detect/sigma_rule.h"

/* All rules over one event: the built-in ones, the indicators that they ask, and Sigma's, in one pass. It is made once, then only read; any
 * thread may judge with it, each with a scratch of its own. What it answers depends on the event and the device's memory alone. */
struct engine_content {
    const struct indicators *indicators; /* borrowed; NULL: none */
    /* Of a built-in rule whether it is off; NULL: none is. By its number in `builtin_rules`. */
    const bool *off;
    /* Borrowed as well. Those that no source of the mapping covers are never asked. */
    const struct sigma_mapping *mapping;
    const struct sigma_rule *const *sigma;
    size_t sigma_count;
};

/* A Sigma level as an alert's severity: critical is High, and no level Informational. */
struct text engine_severity(struct text level);

struct engine;
struct engine *engine_new(const struct engine_content *content);
void engine_free(struct engine *take_engine); /* NULL is fine */

struct engine_scratch;
struct engine_scratch *engine_scratch_new(const struct engine *engine);
void engine_scratch_free(struct engine_scratch *take_scratch); /* NULL is fine */

/* Whether judging the event may ask, or tell, the device's memory. */
bool engine_remembers(const struct engine *engine, const struct event *event);

/* Judges the events of one message of a device, in their order; those of one `group` that stand together are elements of one event of
 * the sender's. What is found is added to `findings`, in the arena, and what counts over all devices; both borrow from the events. `memory` may be NULL where
 * engine_remembers() says no of each event. */
void engine_judge(const struct engine *engine, struct engine_scratch *scratch, const struct event *events, size_t count, struct memory *memory, struct arena *arena,
                  struct findings *findings);

/* The correlation over all devices that has that id; false: there is none, any more. */
struct engine_spanning {
    size_t by; /* for its hits */
    const struct finding_about *about;
    const struct sigma_correlation *correlation;
};
bool engine_spanning(const struct engine *engine, struct text id, struct engine_spanning *out);
/* Whether it is full with that hit: sigma_hit_completes(). */
bool engine_hit_completes(const struct engine *engine, const struct sigma_hit *hit, struct memory *memory, struct arena *arena);

#endif
