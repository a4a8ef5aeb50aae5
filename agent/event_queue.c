#include "agent/event_queue.h"

#include <assert.h>
#include <string.h>

/* In front of each text. Copied in and out, since texts leave it unaligned. */
struct head {
    uint64_t number;
    uint32_t count;
};

void picket_queue_init(struct picket_queue *queue, void *memory, size_t size)
{
    assert(memory && size > sizeof(struct head));

    queue->bytes = memory;
    queue->size = size;
    queue->used = 0;
}

char *picket_queue_room(struct picket_queue *queue, size_t *room)
{
    if (queue->size - queue->used <= sizeof(struct head))
        return NULL;
    *room = queue->size - queue->used - sizeof(struct head);
    return queue->bytes + queue->used + sizeof(struct head);
}

void picket_queue_add(struct picket_queue *queue, uint64_t number, size_t count)
{
    struct head head;

    assert(count > 0 && count <= UINT32_MAX);
    assert(queue->used + sizeof head + count <= queue->size);

    memset(&head, 0, sizeof head);
    head.number = number;
    head.count = (uint32_t)count;
    memcpy(queue->bytes + queue->used, &head, sizeof head);
    queue->used += sizeof head + count;
}

bool picket_queue_next(const struct picket_queue *queue, size_t *at, struct picket_queued *out)
{
    struct head head;

    if (*at == queue->used)
        return false;
    assert(queue->used - *at > sizeof head);
    memcpy(&head, queue->bytes + *at, sizeof head);
    out->number = head.number;
    out->text = queue->bytes + *at + sizeof head;
    out->count = head.count;
    *at += sizeof head + head.count;
    return true;
}

void picket_queue_remove(struct picket_queue *queue, uint32_t count)
{
    struct picket_queued event;
    size_t at = 0;

    for (uint32_t i = 0; i < count; i++) {
        bool found = picket_queue_next(queue, &at, &event);
        assert(found);
        (void)found;
    }
    queue->used -= at;
    if (queue->used) /* else it would begin where the memory ends */
        memmove(queue->bytes, queue->bytes + at, queue->used);
}
