/* All that can be done to a small spool ring in a few steps, over a storage of a size that nothing divides: no read or write outside it. */
#include "__fc_builtin.h"

#include "agent/spool_ring.h"

#define SIZE 456
#define STEPS 6

static char memory[SIZE], buffer[SIZE];
static const char text[SIZE];

static bool within_read(void *context, size_t at, void *out, size_t count)
{
    //@ assert at <= SIZE && count <= SIZE - at;
    return picket_storage_ram_read(context, at, out, count);
}

static bool within_write(void *context, size_t at, const void *bytes, size_t count)
{
    //@ assert at <= SIZE && count <= SIZE - at;
    return picket_storage_ram_write(context, at, bytes, count);
}

int main(void)
{
    const struct picket_storage storage = {memory, SIZE, within_read, within_write, 0};
    struct picket_spool_ring ring;
    struct picket_message message, out;

    picket_spool_ring_open(&ring, &storage);
    for (int step = 0; step < STEPS; step++) {
        int act = Frama_C_interval(0, 5);
        //@ split act;
        if (act < 3) {
            message = (struct picket_message){.count = 1, .body = text, .body_count = act == 0 ? 1 : act == 1 ? 64 : SIZE - PICKET_SPOOL_HEAD};
            (void)picket_spool_ring_keep(&ring, &message);
        } else if (act == 3) {
            picket_spool_ring_forget(&ring);
        } else if (act == 4) {
            memory[ring.oldest] = 0; /* the storage loses a head */
        } else {
            picket_spool_ring_open(&ring, &storage);
        }
        (void)picket_spool_ring_oldest(&ring, buffer, sizeof buffer, &out);
        (void)picket_spool_ring_newest(&ring, &out);
    }
    return 0;
}
