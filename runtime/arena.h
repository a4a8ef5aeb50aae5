#ifndef PICKET_RUNTIME_ARENA_H
#define PICKET_RUNTIME_ARENA_H

#include "runtime/text.h"

/* Memory released all at once: each request, batch and compilation has one. Allocation never returns
 * NULL (small allocations abort when memory is gone); whatever a stranger sizes meets a limit first.
 * One thread at a time. */
struct arena_block;
struct arena {
    struct arena_block *newest;
    size_t used_bytes; /* in all blocks, for limits and metrics */
};

void arena_init(struct arena *arena);
void arena_done(struct arena *arena);
void arena_clear(struct arena *arena); /* forgets everything, keeps one block for the next round */

/* Zeroed, aligned for any type; `count` may be 0. */
void *arena_alloc(struct arena *arena, size_t size, size_t count);
struct text arena_text(struct arena *arena, struct text copy); /* TEXT_NONE stays so */
char *arena_string(struct arena *arena, struct text copy);     /* terminated */
char *arena_format(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define ARENA_NEW(arena, type) ((type *)arena_alloc((arena), sizeof(type), 1))
#define ARENA_ARRAY(arena, type, count) ((type *)arena_alloc((arena), sizeof(type), (count)))

#endif
