/* A storage with anything in it: it is taken up, emptied message by message, and then holds what it is given. */
#include <stdlib.h>
#include <string.h>

#include "agent/spool_ring.h"

#define SIZE 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned char bytes[SIZE];

static bool bounded_read(void *context, size_t at, void *out, size_t count)
{
    if (at > SIZE || count > SIZE - at)
        abort();
    return picket_storage_ram_read(context, at, out, count);
}

static bool bounded_write(void *context, size_t at, const void *from, size_t count)
{
    if (at > SIZE || count > SIZE - at)
        abort();
    return picket_storage_ram_write(context, at, from, count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct picket_storage storage = {bytes, SIZE, bounded_read, bounded_write, NULL};
    static const struct picket_message wanted = {.id = "11111111-2222-4333-8444-555555555555-7", .count = 3, .body = "{\"Events\":[]}", .body_count = 13};
    struct picket_spool_ring ring;
    struct picket_message message;
    char buffer[SIZE];

    memset(bytes, 0, sizeof bytes);
    memcpy(bytes, data, size < SIZE ? size : SIZE);
    picket_spool_ring_open(&ring, &storage);
    for (int i = 0; picket_spool_ring_newest(&ring, &message) != PICKET_KEPT_NONE; i++) {
        if (i > SIZE / PICKET_SPOOL_ALIGN)
            abort(); /* more messages than there is room for */
        (void)picket_spool_ring_oldest(&ring, buffer, sizeof buffer, &message);
        picket_spool_ring_forget(&ring);
    }
    if (picket_spool_ring_keep(&ring, &wanted) != PICKET_KEEP_DONE || picket_spool_ring_oldest(&ring, buffer, sizeof buffer, &message) != PICKET_KEPT_FOUND)
        abort();
    if (strcmp(message.id, wanted.id) != 0 || message.count != wanted.count || message.body_count != wanted.body_count || memcmp(message.body, wanted.body, wanted.body_count) != 0)
        abort();
    picket_spool_ring_open(&ring, &storage);
    if (picket_spool_ring_newest(&ring, &message) != PICKET_KEPT_FOUND || strcmp(message.id, wanted.id) != 0)
        abort(); /* it did not outlive a restart */
    return 0;
}
