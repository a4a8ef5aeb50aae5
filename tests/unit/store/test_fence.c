#include "store/fence.h"

#include "tests/unit/store/fixture.h"

#define CAREFUL 10

static struct fence ours, theirs; /* two stores; each is some 40 kB */

static void fence_new(struct fence *fence)
{
    fence_init(fence, CLUSTER, TOPIC, CAREFUL, SQL_MS);
}

static int64_t assigned(struct fence *fence, int32_t partition)
{
    int64_t next = -1;

    must(fence_assign(fence, fixture.store, partition, &next, &why));
    ck_assert_ptr_nonnull(fence_find(fence, partition));
    return next;
}

/* As a batch's transaction does it. */
static bool moved(struct fence *fence, int32_t partition, int64_t next)
{
    const struct fence_move move = {partition, next};
    bool done = false;
    int32_t lost = -1;

    must(db_begin(fixture.store, SQL_MS, &why));
    must(fence_move(fence, fixture.store, &move, 1, &done, &lost, &why));
    if (!done) {
        ck_assert_int_eq(lost, partition);
        db_rollback(fixture.store);
        return false;
    }
    must(db_commit(fixture.store, SQL_MS, &why));
    fence_committed(fence, &move, 1);
    return true;
}

static const char *offset_row(const char *what)
{
    return sql_text(arena_format(&fixture.arena, "SELECT %s FROM picket.bus_offset WHERE partition = 5", what));
}

/* The program ends without handing anything back, and starts anew. */
static void crash(struct fence *fence)
{
    fence_new(fence);
}

START_TEST(an_unknown_partition_starts_at_zero_and_moves)
{
    fence_new(&ours);
    ck_assert_int_eq(assigned(&ours, 5), 0);
    ck_assert(moved(&ours, 5, 3));
    ck_assert(moved(&ours, 5, 8)); /* offsets have holes */
    ck_assert_str_eq(offset_row("concat_ws('|', bus_topic_id, next_offset, held)"),
                     arena_format(&fixture.arena, "%d|8|t", fixture.bus_topic_id));
    fence_release_all(&ours, fixture.store);
    ck_assert_ptr_null(fence_find(&ours, 5));
    ck_assert_int_eq(assigned(&ours, 5), 8);
}
END_TEST

START_TEST(an_unknown_topic_is_made_once)
{
    fence_init(&ours, TEXT("new cluster"), TOPIC, CAREFUL, SQL_MS);
    fence_init(&theirs, TEXT("new cluster"), TOPIC, CAREFUL, SQL_MS);
    assigned(&ours, 1);
    assigned(&theirs, 2);
    ck_assert_int_eq(ours.bus_topic_id, theirs.bus_topic_id);
    ck_assert_int_ne(ours.bus_topic_id, fixture.bus_topic_id);
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.bus_topic WHERE cluster = 'new cluster'"), 1);
}
END_TEST

START_TEST(a_second_store_takes_over_and_the_first_writes_nothing)
{
    fence_new(&ours);
    fence_new(&theirs);
    assigned(&ours, 5);
    ck_assert(moved(&ours, 5, 10));
    ck_assert_int_eq(assigned(&theirs, 5), 10); /* the group gave it away while we were stopped */
    ck_assert(moved(&theirs, 5, 20));
    ck_assert(!moved(&ours, 5, 15));
    ck_assert(!moved(&ours, 5, 20));
    ck_assert_str_eq(offset_row("next_offset"), "20");
    ck_assert(moved(&theirs, 5, 21));
    fence_release(&ours, fixture.store, 5); /* and it gives back nothing that is not its own */
    ck_assert_str_eq(offset_row("held"), "t");
}
END_TEST

START_TEST(two_moves_at_once_are_one)
{
    struct db *other = NULL;
    const struct fence_move first = {5, 10}, second = {5, 12};
    bool done = false;
    int32_t lost = -1;

    fence_new(&ours);
    fence_new(&theirs);
    assigned(&ours, 5);
    assigned(&theirs, 5);
    store_connect(&other);
    must(db_begin(fixture.store, SQL_MS, &why));
    must(fence_move(&ours, fixture.store, &first, 1, &done, &lost, &why));
    ck_assert(done);
    theirs.timeout_ms = 100;
    must(db_begin(other, SQL_MS, &why));
    ck_assert_int_eq(fence_move(&theirs, other, &second, 1, &done, &lost, &why), STATUS_RETRY); /* waits for the first */
    db_rollback(other);
    must(db_commit(fixture.store, SQL_MS, &why));
    theirs.timeout_ms = SQL_MS;
    must(db_begin(other, SQL_MS, &why));
    must(fence_move(&theirs, other, &second, 1, &done, &lost, &why));
    ck_assert(!done);
    ck_assert_int_eq(lost, 5);
    db_rollback(other);
    db_close(other);
}
END_TEST

/* Its connection lives on, as a frozen process's does, and so would its lock. */
START_TEST(a_transaction_left_open_on_an_assigned_partition_is_ended_and_no_other)
{
    struct db *frozen = NULL, *bystander = NULL;
    const struct fence_move stale = {5, 10}, elsewhere = {6, 7};
    bool done = false;
    int32_t lost = -1;
    int64_t next = -1, deadline_ms = clock_monotonic_ms() + SQL_MS;
    enum status status = STATUS_RETRY;

    fence_new(&ours);
    fence_new(&theirs);
    assigned(&theirs, 5);
    assigned(&theirs, 6);
    store_connect(&frozen);
    store_connect(&bystander);
    must(db_begin(frozen, SQL_MS, &why));
    must(fence_move(&theirs, frozen, &stale, 1, &done, &lost, &why));
    must(db_begin(bystander, SQL_MS, &why));
    must(fence_move(&theirs, bystander, &elsewhere, 1, &done, &lost, &why));
    while (status == STATUS_RETRY && clock_monotonic_ms() < deadline_ms)
        status = fence_assign(&ours, fixture.store, 5, &next, &why);
    must(status);
    ck_assert_int_eq(next, 0);
    ck_assert_int_eq(db_commit(frozen, SQL_MS, &why), STATUS_RETRY);
    must(db_commit(bystander, SQL_MS, &why));
    ck_assert(moved(&ours, 5, 4));
    ck_assert_str_eq(offset_row("next_offset"), "4");
    db_close(frozen);
    db_close(bystander);
}
END_TEST

START_TEST(one_lost_partition_of_a_batch_is_named)
{
    const struct fence_move moves[] = {{4, 1}, {5, 1}, {6, 1}};
    bool done = true;
    int32_t lost = -1;

    fence_new(&ours);
    for (int32_t i = 4; i <= 6; i++)
        assigned(&ours, i);
    sql("UPDATE picket.bus_offset SET next_offset = 100 WHERE partition = 5");
    must(db_begin(fixture.store, SQL_MS, &why));
    must(fence_move(&ours, fixture.store, moves, 3, &done, &lost, &why));
    ck_assert(!done);
    ck_assert_int_eq(lost, 5);
    db_rollback(fixture.store);
    ck_assert_int_eq(sql_number("SELECT sum(next_offset) FROM picket.bus_offset"), 100);
}
END_TEST

START_TEST(a_partition_that_was_never_assigned_cannot_be_moved)
{
    fence_new(&ours);
    fence_new(&theirs);
    assigned(&theirs, 5);
    assigned(&ours, 6);
    ck_assert(!moved(&ours, 5, 1));
    fence_forget(&ours, 6);
    ck_assert_ptr_null(fence_find(&ours, 6));
    ck_assert(!moved(&ours, 6, 1));
}
END_TEST

START_TEST(a_commit_of_unknown_outcome_is_settled_by_asking_again)
{
    const struct fence_move move = {5, 10};
    bool done;
    int32_t lost;

    fence_new(&ours);
    assigned(&ours, 5);
    /* It happened, and its answer never came: fence_committed() was not called. */
    must(db_begin(fixture.store, SQL_MS, &why));
    must(fence_move(&ours, fixture.store, &move, 1, &done, &lost, &why));
    must(db_commit(fixture.store, SQL_MS, &why));
    ck_assert_int_eq(assigned(&ours, 5), 10); /* reading goes on behind it */
    ck_assert(moved(&ours, 5, 11));
    /* It did not happen. */
    must(db_begin(fixture.store, SQL_MS, &why));
    must(fence_move(&ours, fixture.store, &(struct fence_move){5, 20}, 1, &done, &lost, &why));
    db_rollback(fixture.store);
    ck_assert_int_eq(assigned(&ours, 5), 11); /* the same records again */
    ck_assert(moved(&ours, 5, 20));
}
END_TEST

START_TEST(being_asked_again_by_the_holder_counts_no_end)
{
    fence_new(&ours);
    assigned(&ours, 5);
    for (int i = 0; i < 5; i++)
        assigned(&ours, 5); /* a database that comes and goes */
    ck_assert_int_eq(fence_find(&ours, 5)->careful_until, 0);
    ck_assert_int_eq(fence_find(&ours, 5)->doomed, -1);
    ck_assert_str_eq(offset_row("attempts"), "0");
}
END_TEST

START_TEST(a_reader_that_hands_back_leaves_no_suspicion)
{
    fence_new(&ours);
    for (int i = 0; i < 5; i++) {
        assigned(&ours, 5);
        fence_release(&ours, fixture.store, 5);
    }
    ck_assert_str_eq(offset_row("concat_ws('|', held, attempts)"), "f|0");
    assigned(&ours, 5);
    ck_assert_int_eq(fence_find(&ours, 5)->careful_until, 0);
}
END_TEST

START_TEST(after_two_ends_at_one_place_records_go_one_by_one)
{
    fence_new(&ours);
    assigned(&ours, 5);
    ck_assert(moved(&ours, 5, 100));
    crash(&ours);
    assigned(&ours, 5);
    ck_assert_int_eq(fence_find(&ours, 5)->careful_until, 0);
    crash(&ours);
    ck_assert_int_eq(assigned(&ours, 5), 100);
    ck_assert_int_eq(fence_find(&ours, 5)->careful_until, 100 + CAREFUL);
    ck_assert_int_eq(fence_find(&ours, 5)->doomed, -1);
}
END_TEST

START_TEST(progress_between_two_ends_is_no_reason_for_care)
{
    fence_new(&ours);
    for (int64_t i = 1; i < 5; i++) {
        assigned(&ours, 5);
        ck_assert_int_eq(fence_find(&ours, 5)->careful_until, 0);
        ck_assert(moved(&ours, 5, 10 * i));
        crash(&ours);
    }
}
END_TEST

START_TEST(a_record_that_ends_the_program_twice_while_alone_is_doomed)
{
    fence_new(&ours);
    assigned(&ours, 5);
    crash(&ours);
    assigned(&ours, 5);
    crash(&ours);
    assigned(&ours, 5);
    ck_assert_int_eq(fence_find(&ours, 5)->careful_until, CAREFUL);
    must(fence_note_alone(&ours, fixture.store, 5, &why));
    ck_assert(moved(&ours, 5, 1)); /* the first was fine */
    ck_assert_int_eq(fence_find(&ours, 5)->careful_until, CAREFUL);
    must(fence_note_alone(&ours, fixture.store, 5, &why));
    crash(&ours); /* the second was not */
    ck_assert_int_eq(assigned(&ours, 5), 1);
    ck_assert_int_eq(fence_find(&ours, 5)->doomed, -1);
    ck_assert_int_eq(fence_find(&ours, 5)->careful_until, 1 + CAREFUL);
    must(fence_note_alone(&ours, fixture.store, 5, &why));
    crash(&ours);
    ck_assert_int_eq(assigned(&ours, 5), 1);
    ck_assert_int_eq(fence_find(&ours, 5)->doomed, 1);
    ck_assert(moved(&ours, 5, 2)); /* as a dead letter */
    ck_assert_int_eq(fence_find(&ours, 5)->doomed, -1);
    fence_release(&ours, fixture.store, 5);
    ck_assert_int_eq(assigned(&ours, 5), 2);
    ck_assert_int_eq(fence_find(&ours, 5)->doomed, -1);
}
END_TEST

START_TEST(ends_of_an_idle_program_accuse_no_record)
{
    fence_new(&ours);
    for (int i = 0; i < 6; i++) {
        assigned(&ours, 5);
        crash(&ours);
    }
    assigned(&ours, 5);
    must(fence_note_alone(&ours, fixture.store, 5, &why));
    crash(&ours);
    assigned(&ours, 5);
    ck_assert_int_eq(fence_find(&ours, 5)->doomed, -1);
}
END_TEST

START_TEST(a_database_that_goes_away_dooms_no_record)
{
    fence_new(&ours);
    assigned(&ours, 5);
    crash(&ours);
    assigned(&ours, 5);
    crash(&ours);
    assigned(&ours, 5);
    must(fence_note_alone(&ours, fixture.store, 5, &why));
    assigned(&ours, 5); /* the transaction of the one record failed, and the bus asks again */
    ck_assert_int_eq(fence_find(&ours, 5)->doomed, -1);
    ck_assert_int_eq(fence_find(&ours, 5)->careful_until, CAREFUL);
}
END_TEST

START_TEST(the_direct_bus_suspects_no_record)
{
    fence_init(&ours, TEXT("direct"), TEXT("direct"), CAREFUL, SQL_MS);
    for (int i = 0; i < 5; i++) {
        assigned(&ours, 5);
        ck_assert_int_eq(fence_find(&ours, 5)->careful_until, 0);
        must(fence_note_alone(&ours, fixture.store, 5, &why));
        fence_init(&ours, TEXT("direct"), TEXT("direct"), CAREFUL, SQL_MS);
    }
    assigned(&ours, 5);
    ck_assert_int_eq(fence_find(&ours, 5)->doomed, -1);
}
END_TEST

START_TEST(a_gap_of_the_bus_is_recorded_and_everyone_is_told)
{
    fence_new(&ours);
    assigned(&ours, 5);
    ck_assert(moved(&ours, 5, 10));
    must(fence_gap(&ours, fixture.store, 5, 10, 25, &why));
    ck_assert_int_eq(fence_find(&ours, 5)->next, 25);
    ck_assert_str_eq(offset_row("next_offset"), "25");
    ck_assert_str_eq(sql_text("SELECT concat_ws('|', bus_topic_id, partition, expected, available) FROM picket.bus_gap"),
                     arena_format(&fixture.arena, "%d|5|10|25", fixture.bus_topic_id));
    ck_assert_str_eq(sql_text("SELECT string_agg(concat_ws(' ', workspace_id, rule_id, severity, details), ', ' ORDER BY"
                              " workspace_id) FROM picket.alert"),
                     "1 bus.gap High {\"Topic\": \"picket.messages\", \"Expected\": 10, \"Available\": 25, \"Partition\": 5},"
                     " 2 bus.gap High {\"Topic\": \"picket.messages\", \"Expected\": 10, \"Available\": 25, \"Partition\": 5}");
    ck_assert(moved(&ours, 5, 30));
}
END_TEST

START_TEST(a_topic_that_was_made_anew_is_a_gap_too)
{
    fence_new(&ours);
    assigned(&ours, 5);
    ck_assert(moved(&ours, 5, 1000));
    must(fence_gap(&ours, fixture.store, 5, 1000, 0, &why));
    ck_assert_int_eq(assigned(&ours, 5), 0);
    ck_assert(moved(&ours, 5, 3));
    ck_assert_int_eq(sql_number("SELECT available - expected FROM picket.bus_gap"), -1000);
}
END_TEST

START_TEST(a_gap_of_a_partition_that_another_moved_leaves_no_trace)
{
    fence_new(&ours);
    fence_new(&theirs);
    assigned(&ours, 5);
    assigned(&theirs, 5);
    ck_assert(moved(&theirs, 5, 50));
    ck_assert_int_eq(fence_gap(&ours, fixture.store, 5, 0, 25, &why), STATUS_RETRY);
    ck_assert_str_eq(offset_row("next_offset"), "50");
    ck_assert_int_eq(sql_number("SELECT (SELECT count(*) FROM picket.bus_gap) + (SELECT count(*) FROM picket.alert)"), 0);
}
END_TEST

START_TEST(a_reader_has_as_many_partitions_as_fit)
{
    int64_t next;

    fence_new(&ours);
    for (int32_t i = 0; i < FENCE_PARTITIONS_MAX; i++)
        assigned(&ours, i);
    ck_assert_int_eq(fence_assign(&ours, fixture.store, FENCE_PARTITIONS_MAX, &next, &why), STATUS_FAULT);
    assigned(&ours, 7); /* again is no further one */
    ck_assert_uint_eq(ours.count, FENCE_PARTITIONS_MAX);
    fence_release_all(&ours, fixture.store);
    ck_assert_int_eq(sql_number("SELECT count(*) FROM picket.bus_offset WHERE held"), 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        an_unknown_partition_starts_at_zero_and_moves,
        an_unknown_topic_is_made_once,
        a_second_store_takes_over_and_the_first_writes_nothing,
        two_moves_at_once_are_one,
        a_transaction_left_open_on_an_assigned_partition_is_ended_and_no_other,
        one_lost_partition_of_a_batch_is_named,
        a_partition_that_was_never_assigned_cannot_be_moved,
        a_commit_of_unknown_outcome_is_settled_by_asking_again,
        being_asked_again_by_the_holder_counts_no_end,
        a_reader_that_hands_back_leaves_no_suspicion,
        after_two_ends_at_one_place_records_go_one_by_one,
        progress_between_two_ends_is_no_reason_for_care,
        a_record_that_ends_the_program_twice_while_alone_is_doomed,
        ends_of_an_idle_program_accuse_no_record,
        a_database_that_goes_away_dooms_no_record,
        the_direct_bus_suspects_no_record,
        a_gap_of_the_bus_is_recorded_and_everyone_is_told,
        a_topic_that_was_made_anew_is_a_gap_too,
        a_gap_of_a_partition_that_another_moved_leaves_no_trace,
        a_reader_has_as_many_partitions_as_fit,
    };
    return FIXTURE_MAIN("store/fence", tests);
}
