#ifndef PICKET_AGENT_EVENT_QUEUE_H
#define PICKET_AGENT_EVENT_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Events that wait for a message, oldest first, in memory of the caller. Each is its finished JSON text. */
struct picket_queue {
    char *bytes;
    size_t size, used;
};

struct picket_queued {
    uint64_t number;
    const char *text;
    size_t count;
};

void picket_queue_init(struct picket_queue *queue, void *memory, size_t size);

/* Where the text of the next event may be written, of `*room` bytes; NULL when the queue is full. Then
 * picket_queue_add() takes it in with its number. */
char *picket_queue_room(struct picket_queue *queue, size_t *room);
void picket_queue_add(struct picket_queue *queue, uint64_t number, size_t count);

/* Walks the queue: `*at` begins as 0. False at its end. Texts stay where they are until the next add or remove. */
bool picket_queue_next(const struct picket_queue *queue, size_t *at, struct picket_queued *out);
void picket_queue_remove(struct picket_queue *queue, uint32_t count); /* the oldest `count` events */

#endif
