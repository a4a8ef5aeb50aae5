/* All that can be done to a small queue in a few steps, each with every size: no read or write outside its memory. */
#include "__fc_builtin.h"

#include "agent/event_queue.h"

#define SIZE 72 /* four events at most */
#define STEPS 6

static char memory[SIZE];

static void walk(const struct picket_queue *queue)
{
    struct picket_queued event;
    size_t at = 0;
    volatile char last = 0;

    while (picket_queue_next(queue, &at, &event)) {
        last = event.text[0];
        last = event.text[event.count - 1];
    }
    (void)last;
}

int main(void)
{
    struct picket_queue queue;
    uint32_t held = 0;

    picket_queue_init(&queue, memory, SIZE);
    for (int step = 0; step < STEPS; step++) {
        int act = Frama_C_interval(0, 1);
        //@ split act;
        if (act == 0) {
            size_t room;
            char *text = picket_queue_room(&queue, &room);
            int choice = Frama_C_interval(0, 2), count;
            //@ split choice;
            count = choice == 0 ? 1 : choice == 1 ? 7 : text ? (int)room : 1; /* least, odd, and all that is left */
            if (text && (size_t)count <= room) {
                for (int i = 0; i < count; i++)
                    text[i] = 'x';
                picket_queue_add(&queue, (uint64_t)step + 1, (size_t)count);
                held++;
            }
        } else if (held) {
            int remove = Frama_C_interval(1, STEPS);
            //@ split remove;
            if ((uint32_t)remove <= held) {
                picket_queue_remove(&queue, (uint32_t)remove);
                held -= (uint32_t)remove;
            }
        }
        walk(&queue);
        //@ assert queue.used <= SIZE;
    }
    return 0;
}
