#include "agent/spool_ring.h"

#include <assert.h>
#include <string.h>

#define ORDER_MAX (UINT64_MAX / 2) /* none of ours gets so far */

/* Two of its bytes are none of UTF-8, so that it stands in no body. */
static const uint32_t mark = UINT32_C(0x4B50FEFF);

struct head {
    uint32_t mark;
    uint32_t sum; /* CRC-32 of all that follows here */
    uint64_t order;
    uint32_t body_count, body_sum, count;
    char id[PICKET_AGENT_MESSAGE_ID_SIZE];
};

/* CRC-32 (IEEE 802.3), four bits at a time; begins as 0. */
static uint32_t sum_add(uint32_t sum, const void *bytes, size_t count)
{
    static const uint32_t table[16] = {0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
                                       0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C};
    const unsigned char *at = bytes;

    sum = ~sum;
    for (size_t i = 0; i < count; i++) {
        sum = table[(sum ^ at[i]) & 15] ^ (sum >> 4);
        sum = table[(sum ^ (uint32_t)(at[i] >> 4)) & 15] ^ (sum >> 4);
    }
    return ~sum;
}

static uint32_t head_sum(const struct head *head)
{
    return sum_add(0, (const unsigned char *)head + 8, sizeof *head - 8);
}

static size_t whole(size_t body_count)
{
    return (PICKET_SPOOL_HEAD + body_count + PICKET_SPOOL_ALIGN - 1) / PICKET_SPOOL_ALIGN * PICKET_SPOOL_ALIGN;
}

/* False: there is none that counts. */
static bool head_read(const struct picket_storage *storage, size_t at, struct head *out)
{
    if (storage->size < PICKET_SPOOL_HEAD || at > storage->size - PICKET_SPOOL_HEAD || !storage->read(storage->context, at, out, sizeof *out))
        return false;
    return out->mark == mark && out->sum == head_sum(out) && out->body_count <= storage->size - PICKET_SPOOL_HEAD - at &&
           out->order < ORDER_MAX && out->id[sizeof out->id - 1] == '\0';
}

static void begin_anew(struct picket_spool_ring *ring)
{
    ring->oldest = ring->newest = ring->end = 0;
    ring->count = 0;
}

/* Looks at all of the storage. */
static void take_up(struct picket_spool_ring *ring)
{
    const struct picket_storage *storage = ring->storage;
    struct head head, first, last;

    memset(&first, 0, sizeof first);
    memset(&last, 0, sizeof last);
    begin_anew(ring);
    for (size_t at = 0; at < storage->size; at += PICKET_SPOOL_ALIGN) {
        if (!head_read(storage, at, &head))
            continue;
        if (!ring->count || head.order < first.order) {
            first = head;
            ring->oldest = at;
        }
        if (!ring->count || head.order > last.order) {
            last = head;
            ring->newest = at;
        }
        ring->count++;
        at += whole(head.body_count) - PICKET_SPOOL_ALIGN;
    }
    ring->end = ring->count ? ring->newest + whole(last.body_count) : 0;
    if (ring->next_order <= last.order)
        ring->next_order = last.order + 1;
}

void picket_spool_ring_open(struct picket_spool_ring *ring, const struct picket_storage *storage)
{
    assert(sizeof(struct head) <= PICKET_SPOOL_HEAD);

    memset(ring, 0, sizeof *ring);
    ring->storage = storage;
    ring->next_order = 1;
    take_up(ring);
}

/* Where so much fits; SIZE_MAX: nowhere now. */
static size_t place_find(const struct picket_spool_ring *ring, size_t size)
{
    if (!ring->count)
        return 0;
    if (ring->end <= ring->oldest)
        return size <= ring->oldest - ring->end ? ring->end : SIZE_MAX;
    if (ring->end <= ring->storage->size && size <= ring->storage->size - ring->end)
        return ring->end;
    return size <= ring->oldest ? 0 : SIZE_MAX;
}

enum picket_keep_status picket_spool_ring_keep(struct picket_spool_ring *ring, const struct picket_message *message)
{
    const struct picket_storage *storage = ring->storage;
    struct head head;

    if (message->body_count > UINT32_MAX || message->body_count > storage->size || whole(message->body_count) > storage->size)
        return PICKET_KEEP_FAILED;
    size_t size = whole(message->body_count), at = place_find(ring, size);
    if (at == SIZE_MAX)
        return PICKET_KEEP_FULL;
    memset(&head, 0, sizeof head);
    head.mark = mark;
    head.order = ring->next_order;
    head.body_count = (uint32_t)message->body_count;
    head.body_sum = sum_add(0, message->body, message->body_count);
    head.count = message->count;
    memcpy(head.id, message->id, sizeof head.id);
    head.sum = head_sum(&head);
    /* The mark last: with it first, half a write would make an old head count again that had only lost its own. */
    bool kept = storage->write(storage->context, at + PICKET_SPOOL_HEAD, message->body, message->body_count) &&
                storage->write(storage->context, at + sizeof mark, (const char *)&head + sizeof mark, sizeof head - sizeof mark) &&
                (!storage->sync || storage->sync(storage->context)) && storage->write(storage->context, at, &mark, sizeof mark) &&
                (!storage->sync || storage->sync(storage->context));
    if (!kept)
        return PICKET_KEEP_FAILED;
    if (!ring->count++)
        ring->oldest = at;
    ring->newest = at;
    ring->end = at + size;
    ring->next_order++;
    return PICKET_KEEP_DONE;
}

static void describe(const struct head *head, struct picket_message *out)
{
    memset(out, 0, sizeof *out);
    memcpy(out->id, head->id, sizeof out->id);
    out->count = head->count;
}

static bool body_read(const struct picket_spool_ring *ring, const struct head *head, char *buffer, size_t size)
{
    const struct picket_storage *storage = ring->storage;

    return head->body_count <= size && storage->read(storage->context, ring->oldest + PICKET_SPOOL_HEAD, buffer, head->body_count) &&
           sum_add(0, buffer, head->body_count) == head->body_sum;
}

enum picket_kept_status picket_spool_ring_oldest(const struct picket_spool_ring *ring, char *buffer, size_t size, struct picket_message *out)
{
    struct head head;

    if (!ring->count)
        return PICKET_KEPT_NONE;
    if (!head_read(ring->storage, ring->oldest, &head)) { /* the storage has lost it since; forget finds the next one */
        memset(out, 0, sizeof *out);
        return PICKET_KEPT_DAMAGED;
    }
    describe(&head, out);
    if (!buffer)
        return PICKET_KEPT_FOUND;
    if (!body_read(ring, &head, buffer, size))
        return PICKET_KEPT_DAMAGED;
    out->body = buffer;
    out->body_count = head.body_count;
    return PICKET_KEPT_FOUND;
}

enum picket_kept_status picket_spool_ring_newest(const struct picket_spool_ring *ring, struct picket_message *out)
{
    struct head head;

    if (!ring->count || !head_read(ring->storage, ring->newest, &head))
        return PICKET_KEPT_NONE;
    describe(&head, out);
    return PICKET_KEPT_FOUND;
}

void picket_spool_ring_forget(struct picket_spool_ring *ring)
{
    static const uint32_t nothing = 0;
    const struct picket_storage *storage = ring->storage;
    struct head head, next;
    size_t at;

    if (!ring->count)
        return;
    bool known = head_read(storage, ring->oldest, &head);
    bool erased = storage->write(storage->context, ring->oldest, &nothing, sizeof nothing);
    if (storage->sync)
        (void)storage->sync(storage->context);
    if (--ring->count == 0) {
        begin_anew(ring);
        return;
    }
    /* It stands right behind, or at the beginning; after damage, somewhere. */
    at = known ? ring->oldest + whole(head.body_count) : 0;
    if (known && head_read(storage, at, &next) && next.order == head.order + 1)
        ring->oldest = at;
    else if (known && head_read(storage, 0, &next) && next.order == head.order + 1)
        ring->oldest = 0;
    else if (erased)
        take_up(ring);
    else
        begin_anew(ring); /* taken up, it would be there for ever */
}

bool picket_storage_ram_read(void *memory, size_t at, void *out, size_t count)
{
    memcpy(out, (const char *)memory + at, count);
    return true;
}

bool picket_storage_ram_write(void *memory, size_t at, const void *bytes, size_t count)
{
    memcpy((char *)memory + at, bytes, count);
    return true;
}
