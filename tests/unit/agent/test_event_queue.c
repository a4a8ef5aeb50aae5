#include "agent/event_queue.h"

#include <string.h>

#include "tests/support/check_main.h"

static char memory[256];
static struct picket_queue queue;

static bool put(uint64_t number, const char *text)
{
    size_t room = 0, count = strlen(text);
    char *to = picket_queue_room(&queue, &room);

    if (!to || room < count)
        return false;
    memcpy(to, text, count);
    picket_queue_add(&queue, number, count);
    return true;
}

static void assert_next(size_t *at, uint64_t number, const char *text)
{
    struct picket_queued event;

    ck_assert(picket_queue_next(&queue, at, &event));
    ck_assert_uint_eq(event.number, number);
    ck_assert_uint_eq(event.count, strlen(text));
    ck_assert_mem_eq(event.text, text, event.count);
}

START_TEST(events_come_out_in_the_order_they_went_in)
{
    struct picket_queued event;
    size_t at = 0;

    picket_queue_init(&queue, memory, sizeof memory);
    ck_assert(put(1, "a") && put(2, "bcd") && put(9, "efghijk"));
    assert_next(&at, 1, "a");
    assert_next(&at, 2, "bcd");
    assert_next(&at, 9, "efghijk");
    ck_assert(!picket_queue_next(&queue, &at, &event));
}
END_TEST

START_TEST(what_is_removed_makes_room)
{
    size_t at = 0;
    uint64_t number = 1;

    picket_queue_init(&queue, memory, sizeof memory);
    while (put(number, "0123456789"))
        number++;
    ck_assert_uint_gt(number, 5);
    picket_queue_remove(&queue, 2);
    ck_assert(put(number, "new"));
    assert_next(&at, 3, "0123456789");
    picket_queue_remove(&queue, (uint32_t)(number - 2));
    ck_assert_uint_eq(queue.used, 0);
}
END_TEST

START_TEST(the_queue_can_be_filled_to_its_last_byte)
{
    char text[sizeof memory];
    size_t room = 0, at = 0;

    picket_queue_init(&queue, memory, sizeof memory);
    char *to = picket_queue_room(&queue, &room);
    ck_assert_ptr_nonnull(to);
    memset(text, 'x', sizeof text);
    text[room] = '\0';
    ck_assert(put(1, text));
    ck_assert_ptr_null(picket_queue_room(&queue, &room));
    assert_next(&at, 1, text);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        events_come_out_in_the_order_they_went_in,
        what_is_removed_makes_room,
        the_queue_can_be_filled_to_its_last_byte,
    };

    return CHECK_MAIN("agent/event_queue", tests);
}
