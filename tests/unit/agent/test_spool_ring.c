#include "agent/spool_ring.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/check_main.h"

#define SIZE 4096
#define BODY_MAX 3000

/* A storage whose power can be cut in the middle of a write, and that says so when it is asked for what is not its own. */
static struct {
    unsigned char bytes[SIZE];
    unsigned writes_left; /* until the power goes; 0: never */
    bool fails;
    jmp_buf cut;
    uint64_t dice;
} disk;

static struct picket_spool_ring ring;
static char buffer[BODY_MAX];

static uint64_t roll(void)
{
    disk.dice = disk.dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return disk.dice >> 33;
}

static bool disk_read(void *context, size_t at, void *out, size_t count)
{
    (void)context;
    ck_assert(at <= SIZE && count <= SIZE - at);
    return picket_storage_ram_read(disk.bytes, at, out, count);
}

static bool disk_write(void *context, size_t at, const void *bytes, size_t count)
{
    (void)context;
    ck_assert(at <= SIZE && count <= SIZE - at);
    if (disk.fails)
        return false;
    bool goes = disk.writes_left && --disk.writes_left == 0;
    size_t done = goes ? roll() % (count + 1) : count;
    (void)picket_storage_ram_write(disk.bytes, at, bytes, done);
    if (goes)
        longjmp(disk.cut, 1);
    return true;
}

static const struct picket_storage storage = {NULL, SIZE, disk_read, disk_write, NULL};

static void setup(void)
{
    memset(&disk, 0, sizeof disk);
    disk.dice = 7;
    picket_spool_ring_open(&ring, &storage);
}

static enum picket_keep_status keep(unsigned number, size_t body_count)
{
    static char body[BODY_MAX];
    struct picket_message message = {.count = number, .body = body, .body_count = body_count};

    ck_assert_uint_le(body_count, sizeof body);
    memset(body, 'a' + (char)(number % 26), body_count);
    snprintf(message.id, sizeof message.id, "epoch-%u", number);
    return picket_spool_ring_keep(&ring, &message);
}

/* The number of the oldest one, whole; 0: there is none. */
static unsigned oldest(void)
{
    struct picket_message message;
    char id[PICKET_AGENT_MESSAGE_ID_SIZE];
    enum picket_kept_status status = picket_spool_ring_oldest(&ring, buffer, sizeof buffer, &message);

    if (status == PICKET_KEPT_NONE)
        return 0;
    ck_assert_int_eq(status, PICKET_KEPT_FOUND);
    snprintf(id, sizeof id, "epoch-%u", message.count);
    ck_assert_str_eq(message.id, id);
    for (size_t i = 0; i < message.body_count; i++)
        ck_assert_int_eq(message.body[i], 'a' + (char)(message.count % 26));
    return message.count;
}

START_TEST(messages_come_back_oldest_first_also_after_a_restart)
{
    struct picket_message message;

    ck_assert_uint_eq(oldest(), 0);
    ck_assert_int_eq(picket_spool_ring_newest(&ring, &message), PICKET_KEPT_NONE);
    for (unsigned i = 1; i <= 5; i++)
        ck_assert_int_eq(keep(i, 100 * i), PICKET_KEEP_DONE);
    for (unsigned i = 1; i <= 5; i++) {
        picket_spool_ring_open(&ring, &storage);
        ck_assert_uint_eq(ring.count, 6 - i);
        ck_assert_uint_eq(oldest(), i);
        ck_assert_int_eq(picket_spool_ring_newest(&ring, &message), PICKET_KEPT_FOUND);
        ck_assert_uint_eq(message.count, 5);
        picket_spool_ring_forget(&ring);
    }
    ck_assert_uint_eq(oldest(), 0);
    picket_spool_ring_forget(&ring);
    picket_spool_ring_open(&ring, &storage);
    ck_assert_uint_eq(ring.count, 0);
}
END_TEST

START_TEST(a_full_ring_says_so_and_goes_round)
{
    unsigned first = 1, next = 1;

    for (int round = 0; round < 500; round++) {
        enum picket_keep_status status = keep(next, 1 + roll() % 900);
        if (status == PICKET_KEEP_DONE) {
            next++;
        } else {
            ck_assert_int_eq(status, PICKET_KEEP_FULL);
            ck_assert_uint_eq(oldest(), first);
            picket_spool_ring_forget(&ring);
            first++;
        }
        if (round % 7 == 0)
            picket_spool_ring_open(&ring, &storage);
        ck_assert_uint_eq(ring.count, next - first);
    }
    while (ring.count) {
        ck_assert_uint_eq(oldest(), first++);
        picket_spool_ring_forget(&ring);
    }
    ck_assert_uint_eq(first, next);
}
END_TEST

START_TEST(what_never_fits_fails_and_what_just_fits_is_kept)
{
    ck_assert_int_eq(keep(1, SIZE - PICKET_SPOOL_HEAD + 1 > BODY_MAX ? BODY_MAX : 0), PICKET_KEEP_DONE);
    picket_spool_ring_forget(&ring);
    const struct picket_storage small = {NULL, 256, disk_read, disk_write, NULL};
    picket_spool_ring_open(&ring, &small);
    ck_assert_int_eq(keep(1, 129), PICKET_KEEP_FAILED);
    ck_assert_int_eq(keep(1, 128), PICKET_KEEP_DONE);
    ck_assert_int_eq(keep(2, 1), PICKET_KEEP_FULL);
    const struct picket_storage none = {NULL, 0, disk_read, disk_write, NULL};
    picket_spool_ring_open(&ring, &none);
    ck_assert_int_eq(keep(1, 1), PICKET_KEEP_FAILED);
    setup();
    disk.fails = true;
    ck_assert_int_eq(keep(1, 1), PICKET_KEEP_FAILED);
    ck_assert_uint_eq(ring.count, 0);
}
END_TEST

START_TEST(a_damaged_body_is_known_by_its_head)
{
    struct picket_message message;

    ck_assert_int_eq(keep(1, 300), PICKET_KEEP_DONE);
    ck_assert_int_eq(keep(2, 300), PICKET_KEEP_DONE);
    disk.bytes[PICKET_SPOOL_HEAD + 100] ^= 4;
    ck_assert_int_eq(picket_spool_ring_oldest(&ring, buffer, sizeof buffer, &message), PICKET_KEPT_DAMAGED);
    ck_assert_uint_eq(message.count, 1);
    ck_assert_str_eq(message.id, "epoch-1");
    picket_spool_ring_forget(&ring);
    ck_assert_uint_eq(oldest(), 2);
    ck_assert_int_eq(picket_spool_ring_oldest(&ring, buffer, 299, &message), PICKET_KEPT_DAMAGED); /* no room for it */
}
END_TEST

/* Whatever lies there: the ring ends, and never reads or writes beside its storage. */
START_TEST(any_damage_is_lived_with)
{
    struct picket_message message;

    for (int round = 0; round < 1000; round++) {
        unsigned number = 1;
        setup();
        disk.dice = (uint64_t)round * 7919 + 3;
        while (keep(number, 1 + roll() % 700) == PICKET_KEEP_DONE)
            number++;
        for (uint64_t flips = 1 + roll() % 40; flips; flips--)
            disk.bytes[roll() % SIZE] = (unsigned char)roll();
        if (round % 2)
            picket_spool_ring_open(&ring, &storage);
        for (int left = 100; ring.count && left; left--) {
            (void)picket_spool_ring_oldest(&ring, buffer, sizeof buffer, &message);
            (void)picket_spool_ring_newest(&ring, &message);
            if (roll() % 3 == 0)
                (void)keep(number++, 1 + roll() % 700);
            picket_spool_ring_forget(&ring);
            ck_assert_msg(left > 1, "round %d does not end", round);
        }
        ck_assert_int_eq(keep(1, 100), PICKET_KEEP_DONE);
        picket_spool_ring_open(&ring, &storage);
        ck_assert_uint_ge(ring.count, 1);
    }
}
END_TEST

/* After a cut each message is there whole or not at all, and those before it are as they were. */
START_TEST(a_power_cut_leaves_each_message_whole_or_not_there)
{
    for (volatile int round = 0; round < 1000; round++) {
        volatile unsigned first = 1, next = 1;
        setup();
        disk.dice = (uint64_t)round * 104729 + 1;
        if (setjmp(disk.cut) == 0) {
            disk.writes_left = 1 + (unsigned)(roll() % 40);
            for (;;) {
                if (keep(next, 1 + roll() % 600) == PICKET_KEEP_DONE) {
                    next++;
                } else {
                    first++; /* from here on it may be gone */
                    picket_spool_ring_forget(&ring);
                }
            }
        }
        disk.writes_left = 0;
        picket_spool_ring_open(&ring, &storage);
        unsigned seen = oldest();
        ck_assert_msg(!seen || seen == first || seen + 1 == first, "%u and not %u", seen, first);
        for (unsigned expected = seen; ring.count; expected++) {
            ck_assert_uint_eq(oldest(), expected);
            ck_assert_uint_le(expected, next); /* the one that was on its way may have come */
            picket_spool_ring_forget(&ring);
        }
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        messages_come_back_oldest_first_also_after_a_restart,
        a_full_ring_says_so_and_goes_round,
        what_never_fits_fails_and_what_just_fits_is_kept,
        a_damaged_body_is_known_by_its_head,
        any_damage_is_lived_with,
        a_power_cut_leaves_each_message_whole_or_not_there,
    };
    const struct check_suite suite = {"agent/spool_ring", tests, sizeof tests / sizeof *tests, setup, NULL, 60};
    return check_main(&suite);
}
