#include "agent/sequence.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/check_main.h"
#include "tests/unit/agent/fake_port.h"

static struct fake fake;
static struct picket_sequence sequence;
static char text[PICKET_SEQUENCE_STATE_MAX];

static void begin(uint64_t next)
{
    fake_init(&fake);
    picket_sequence_begin(&sequence, &fake.port, 2);
    sequence.next = next;
}

static void assert_range(size_t at, uint64_t from, uint64_t to, const char *reason)
{
    ck_assert_uint_lt(at, sequence.dropped_count);
    ck_assert_uint_eq(sequence.dropped[at].from, from);
    ck_assert_uint_eq(sequence.dropped[at].to, to);
    ck_assert_str_eq(sequence.dropped[at].reason, reason);
}

static const char *member(uint64_t first, uint32_t count)
{
    static char out[PICKET_SEQUENCE_MEMBER_MAX + 3];
    struct picket_json_writer writer;

    picket_json_write_init(&writer, out, sizeof out - 1);
    picket_json_open_object(&writer);
    picket_sequence_write_member(&sequence, first, count, &writer);
    picket_json_close_object(&writer);
    out[picket_json_written(&writer)] = '\0';
    return out;
}

START_TEST(the_member_is_the_wire_format_of_the_ledger)
{
    char expected[512];

    begin(21);
    picket_sequence_drop(&sequence, 3, 5, "spool-full");
    sequence.carried = 1;
    snprintf(expected, sizeof expected,
             "{\"Sequence\":{\"Epoch\":\"%s\",\"Stream\":2,\"First\":6,\"Count\":15,"
             "\"Dropped\":[{\"From\":3,\"To\":5,\"Reason\":\"spool-full\"}]}}",
             sequence.epoch);
    ck_assert_str_eq(member(6, 15), expected);
}
END_TEST

START_TEST(a_state_is_read_back_as_it_was)
{
    struct picket_sequence read;

    begin(100);
    picket_sequence_settle(&sequence, 90);
    picket_sequence_drop(&sequence, 1, 4, "refused 400");
    picket_sequence_drop(&sequence, 7, 7, "too-large");
    size_t count = picket_sequence_write(&sequence, text, sizeof text);
    ck_assert_uint_gt(count, 0);
    ck_assert(picket_sequence_read(&read, text, count));
    ck_assert_str_eq(read.agent_id, sequence.agent_id);
    ck_assert_str_eq(read.epoch, sequence.epoch);
    ck_assert_uint_eq(read.stream, 2);
    ck_assert_uint_eq(read.next, 100);
    ck_assert_uint_eq(read.settled, 90);
    ck_assert_uint_eq(read.dropped_count, 2);
    ck_assert_mem_eq(read.dropped, sequence.dropped, 2 * sizeof *read.dropped);
}
END_TEST

START_TEST(the_longest_state_and_member_fit_their_limits)
{
    struct picket_sequence read;

    begin((uint64_t)INT64_MAX - 1);
    picket_sequence_settle(&sequence, sequence.next - 1);
    for (uint64_t i = 0; i < PICKET_SEQUENCE_DROPPED_MAX; i++)
        picket_sequence_drop(&sequence, sequence.next - 100 + 2 * i, sequence.next - 100 + 2 * i, "twenty-three-characters");
    ck_assert_uint_eq(sequence.dropped_count, PICKET_SEQUENCE_DROPPED_MAX);
    size_t count = picket_sequence_write(&sequence, text, sizeof text);
    ck_assert_uint_gt(count, 0);
    ck_assert(picket_sequence_read(&read, text, count));
    sequence.carried = PICKET_SEQUENCE_DROPPED_MAX;
    ck_assert_uint_gt(strlen(member(sequence.next - 2, UINT32_MAX)), 0);
    ck_assert_uint_le(strlen(member(sequence.next - 2, UINT32_MAX)), PICKET_SEQUENCE_MEMBER_MAX);
}
END_TEST

START_TEST(a_state_cut_anywhere_is_none)
{
    struct picket_sequence read;

    begin(100);
    picket_sequence_drop(&sequence, 1, 4, "refused 400");
    size_t count = picket_sequence_write(&sequence, text, sizeof text);
    memset(&read, 7, sizeof read);
    struct picket_sequence before = read;
    for (size_t cut = 0; cut < count; cut++)
        ck_assert_msg(!picket_sequence_read(&read, text, cut), "cut at %zu", cut);
    ck_assert_mem_eq(&read, &before, sizeof read);
}
END_TEST

#define IDS "\"AgentId\":\"d61da809-9e6f-40ef-ba7a-e7a296f832a8\",\"Epoch\":\"00000000-9e6f-40ef-ba7a-e7a296f832a8\""

START_TEST(a_state_that_cannot_be_is_none)
{
    static const char *const wrong[] = {
        "[]",
        "{}",
        "{" IDS ",\"Stream\":4,\"Next\":5,\"Settled\":0}",
        "{" IDS ",\"Next\":0,\"Settled\":0}",
        "{" IDS ",\"Next\":-4,\"Settled\":0}",
        "{" IDS ",\"Next\":4.5,\"Settled\":0}",
        "{" IDS ",\"Next\":9223372036854775807,\"Settled\":0}",
        "{" IDS ",\"Next\":5,\"Settled\":5}",
        "{\"Epoch\":\"d61da809-9e6f-40ef-ba7a-e7a296f832a8\",\"Next\":5,\"Settled\":0}",
        "{\"AgentId\":\"x\",\"Epoch\":\"d61da809-9e6f-40ef-ba7a-e7a296f832a8\",\"Next\":5,\"Settled\":0}",
        "{" IDS ",\"Next\":5,\"Settled\":1,\"Dropped\":[{\"From\":0,\"To\":1,\"Reason\":\"r\"}]}",
        "{" IDS ",\"Next\":5,\"Settled\":1,\"Dropped\":[{\"From\":3,\"To\":2,\"Reason\":\"r\"}]}",
        "{" IDS ",\"Next\":5,\"Settled\":1,\"Dropped\":[{\"From\":1,\"To\":5,\"Reason\":\"r\"}]}",
        "{" IDS ",\"Next\":5,\"Settled\":1,\"Dropped\":[{\"From\":1,\"To\":2}]}",
        "{" IDS ",\"Next\":5,\"Settled\":1,\"Dropped\":[{\"From\":1,\"To\":2,\"Reason\":\"twenty-four-characters-xx\"}]}",
        "{" IDS ",\"Next\":5,\"Settled\":1,\"Dropped\":[{\"From\":1,\"To\":2,\"Reason\":\"\\u0001\\u0001\"}]}",
        "{" IDS ",\"Next\":5,\"Settled\":1,\"Dropped\":[7]}",
        "{" IDS ",\"Next\":5,\"Settled\":1}{}",
    };
    static const char right[] = "{" IDS ",\"Next\":5,\"Settled\":1,\"Later\":[{}],\"Dropped\":[{\"From\":1,\"To\":4,\"Reason\":\"r\"}]}";
    struct picket_sequence read;

    ck_assert(picket_sequence_read(&read, right, sizeof right - 1));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_msg(!picket_sequence_read(&read, wrong[i], strlen(wrong[i])), "%s", wrong[i]);
}
END_TEST

START_TEST(neighbours_lost_for_one_reason_are_one_range)
{
    begin(100);
    picket_sequence_drop(&sequence, 3, 5, "spool-full");
    picket_sequence_drop(&sequence, 6, 8, "spool-full");
    picket_sequence_drop(&sequence, 9, 9, "too-large");
    picket_sequence_drop(&sequence, 11, 12, "spool-full");
    ck_assert_uint_eq(sequence.dropped_count, 3);
    assert_range(0, 3, 8, "spool-full");
    assert_range(1, 9, 9, "too-large");
    assert_range(2, 11, 12, "spool-full");
}
END_TEST

START_TEST(what_a_message_carries_stays_as_it_is_until_it_is_told)
{
    begin(100);
    picket_sequence_drop(&sequence, 3, 5, "spool-full");
    sequence.carried = 1;
    picket_sequence_drop(&sequence, 6, 8, "spool-full");
    assert_range(0, 3, 5, "spool-full");
    assert_range(1, 6, 8, "spool-full");
    sequence.changed = false;
    picket_sequence_told(&sequence);
    ck_assert(sequence.changed);
    ck_assert_uint_eq(sequence.dropped_count, 1);
    assert_range(0, 6, 8, "spool-full");
}
END_TEST

START_TEST(a_restart_drops_what_was_in_memory)
{
    begin(10);
    picket_sequence_settle(&sequence, 6);
    picket_sequence_restart(&sequence);
    assert_range(0, 7, 9, "restart");
    picket_sequence_restart(&sequence);
    ck_assert_uint_eq(sequence.dropped_count, 1);
}
END_TEST

START_TEST(settling_never_goes_back)
{
    begin(10);
    picket_sequence_settle(&sequence, 6);
    picket_sequence_settle(&sequence, 4);
    ck_assert_uint_eq(sequence.settled, 6);
}
END_TEST

START_TEST(a_list_that_is_full_loses_reasons_only)
{
    begin(1000);
    for (uint64_t i = 1; i < 100; i += 2)
        picket_sequence_drop(&sequence, i, i, "too-large");
    ck_assert_uint_eq(sequence.dropped_count, PICKET_SEQUENCE_DROPPED_MAX);
    assert_range(0, 1, 1, "too-large");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        the_member_is_the_wire_format_of_the_ledger,
        a_state_is_read_back_as_it_was,
        the_longest_state_and_member_fit_their_limits,
        a_state_cut_anywhere_is_none,
        a_state_that_cannot_be_is_none,
        neighbours_lost_for_one_reason_are_one_range,
        what_a_message_carries_stays_as_it_is_until_it_is_told,
        a_restart_drops_what_was_in_memory,
        settling_never_goes_back,
        a_list_that_is_full_loses_reasons_only,
    };

    return CHECK_MAIN("agent/sequence", tests);
}
