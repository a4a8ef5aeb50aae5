#include "ingest/roster.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/secret.h"
#include "tests/support/check_main.h"

static struct roster *roster;
static struct problem why;

static void setup(void)
{
    ck_assert_int_eq(secret_init(&why), STATUS_OK);
    roster = roster_new(50000);
}

static void teardown(void)
{
    roster_free(roster);
}

static struct identity named(char id[32], unsigned number)
{
    snprintf(id, 32, "device-%u", number);
    return (struct identity){1 + number % 3, text_of(id), TEXT("")};
}

static enum status put(struct identity identity, char fill)
{
    struct roster_entry entry = {.enabled = true, .messages_per_second = -1, .bytes_per_second = 7};
    struct roster_keys keys = {.primary_count = 32, .secondary_count = 16};

    memset(keys.primary, fill, 32);
    memset(keys.secondary, fill + 1, 16);
    return roster_put(roster, &identity, &entry, &keys, &why);
}

START_TEST(many_come_and_go_and_all_others_stay)
{
    char id[32];
    struct roster_entry entry;

    for (unsigned i = 0; i < 20000; i++)
        ck_assert_int_eq(put(named(id, i), (char)i), STATUS_OK);
    ck_assert_uint_eq(roster_count(roster), 20000);
    for (unsigned i = 0; i < 20000; i += 3) {
        struct identity identity = named(id, i);
        roster_remove(roster, &identity);
        roster_remove(roster, &identity);
    }
    ck_assert_uint_eq(roster_count(roster), 20000 - 6667);
    for (unsigned i = 0; i < 20000; i++) {
        struct identity identity = named(id, i);
        struct roster_keys keys;
        ck_assert_int_eq(roster_find(roster, &identity, &entry), i % 3 != 0);
        if (i % 3 == 0)
            continue;
        ck_assert(roster_keys(roster, &identity, entry.generation, &keys));
        ck_assert_int_eq(keys.primary[31], (uint8_t)i);
        ck_assert_uint_eq(keys.secondary_count, 16);
        ck_assert_int_eq(entry.bytes_per_second, 7);
    }
}
END_TEST

START_TEST(workspace_device_and_module_make_the_identity)
{
    const struct identity there = {1, TEXT("ab"), TEXT("c")};
    const struct identity others[] = {{2, TEXT("ab"), TEXT("c")}, {1, TEXT("a"), TEXT("bc")}, {1, TEXT("abc"), TEXT("")},
                                      {1, TEXT("AB"), TEXT("c")}};
    struct roster_entry entry;

    ck_assert_int_eq(put(there, 'k'), STATUS_OK);
    ck_assert(roster_find(roster, &there, &entry));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        ck_assert(!roster_find(roster, &others[i], &entry));
}
END_TEST

START_TEST(generation_changes_with_the_keys_and_never_comes_back)
{
    struct identity identity = {1, TEXT("d"), TEXT("")};
    struct roster_entry first, second, third, fourth;
    struct roster_keys keys;

    ck_assert_int_eq(put(identity, 'a'), STATUS_OK);
    ck_assert(roster_find(roster, &identity, &first));
    ck_assert_int_eq(put(identity, 'a'), STATUS_OK);
    ck_assert(roster_find(roster, &identity, &second));
    ck_assert_uint_eq(first.generation, second.generation);
    ck_assert_int_eq(put(identity, 'b'), STATUS_OK);
    ck_assert(!roster_keys(roster, &identity, first.generation, &keys));
    ck_assert_int_eq(put(identity, 'a'), STATUS_OK);
    ck_assert(roster_find(roster, &identity, &third));
    ck_assert_uint_gt(third.generation, first.generation);
    roster_remove(roster, &identity);
    ck_assert_int_eq(put(identity, 'a'), STATUS_OK);
    ck_assert(roster_find(roster, &identity, &fourth));
    ck_assert_uint_gt(fourth.generation, third.generation);
}
END_TEST

START_TEST(credential_of_another_kind_is_another_also_with_the_same_bytes)
{
    struct identity identity = {1, TEXT("d1"), TEXT("")};
    struct roster_entry given = {.enabled = true}, before, after;
    struct roster_keys keys = {.primary_count = 32}, found;

    ck_assert_int_eq(roster_put(roster, &identity, &given, &keys, &why), STATUS_OK);
    ck_assert(roster_find(roster, &identity, &before));
    ck_assert_int_eq(before.credential, ROSTER_SAS);
    given.credential = ROSTER_THUMBPRINT;
    ck_assert_int_eq(roster_put(roster, &identity, &given, &keys, &why), STATUS_OK);
    ck_assert(roster_find(roster, &identity, &after));
    ck_assert_int_eq(after.credential, ROSTER_THUMBPRINT);
    ck_assert_uint_ne(after.generation, before.generation);
    ck_assert(!roster_keys(roster, &identity, before.generation, &found));
    ck_assert(roster_keys(roster, &identity, after.generation, &found));
}
END_TEST

START_TEST(round_removes_what_it_did_not_see)
{
    char id[32];
    struct roster_entry entry;

    for (unsigned i = 0; i < 3000; i++)
        ck_assert_int_eq(put(named(id, i), 'k'), STATUS_OK);
    roster_round_begin(roster);
    for (unsigned i = 0; i < 3000; i += 2)
        ck_assert_int_eq(put(named(id, i), 'k'), STATUS_OK);
    roster_round_end(roster);
    ck_assert_uint_eq(roster_count(roster), 1500);
    for (unsigned i = 0; i < 3000; i++) {
        struct identity identity = named(id, i);
        ck_assert_int_eq(roster_find(roster, &identity, &entry), i % 2 == 0);
    }
}
END_TEST

START_TEST(full_roster_refuses_new_ones_and_still_changes_old_ones)
{
    struct roster *small = roster_new(2);
    struct roster *large = roster;
    char id[32];

    roster = small;
    ck_assert_int_eq(put(named(id, 1), 'a'), STATUS_OK);
    ck_assert_int_eq(put(named(id, 2), 'a'), STATUS_OK);
    ck_assert_int_eq(put(named(id, 3), 'a'), STATUS_REJECT);
    ck_assert_ptr_nonnull(strstr(why.text, "roster_max"));
    ck_assert_int_eq(put(named(id, 1), 'b'), STATUS_OK);
    roster_free(small);
    roster = large;
}
END_TEST

static uint32_t workspace_of(const char *host)
{
    struct roster_workspace workspace = {0, 0, 0};
    return roster_workspace_of_host(roster, text_of(host), &workspace) ? workspace.workspace : 0;
}

START_TEST(hosts_name_workspaces_and_others_go_to_the_one_without)
{
    const struct roster_host hosts[] = {
        {TEXT("b.example"), {3, 1, 2}}, {TEXT(""), {9, 0, 0}}, {TEXT("a.example"), {2, 0, 0}},
        {TEXT(""), {4, 0, 0}},          {TEXT("a.example"), {7, 0, 0}},
    };

    ck_assert_uint_eq(workspace_of("a.example"), 0);
    roster_workspaces_set(roster, hosts, 5);
    ck_assert_uint_eq(workspace_of("A.Example"), 2);
    ck_assert_uint_eq(workspace_of("b.example"), 3);
    ck_assert_uint_eq(workspace_of("c.example"), 4);
    ck_assert_uint_eq(workspace_of(""), 4);
    roster_workspaces_set(roster, hosts, 1);
    ck_assert_uint_eq(workspace_of("b.example"), 3);
    ck_assert_uint_eq(workspace_of("c.example"), 0);
    ck_assert_uint_eq(workspace_of("a"), 0);
}
END_TEST

struct readers {
    atomic_bool ending;
    atomic_long lookups;
};

static void *read_on(void *context)
{
    struct readers *readers = context;
    char id[32];

    for (unsigned i = 0; !atomic_load(&readers->ending); i++) {
        struct identity identity = named(id, i % 2000);
        struct roster_entry entry;
        struct roster_keys keys;
        struct roster_workspace workspace;
        if (roster_find(roster, &identity, &entry) && roster_keys(roster, &identity, entry.generation, &keys))
            /* Never half an entry: both keys were filled with one letter and its successor. */
            ck_assert_int_eq(keys.primary[0] + 1, keys.secondary[15]);
        (void)roster_workspace_of_host(roster, TEXT("x.example"), &workspace);
        atomic_fetch_add(&readers->lookups, 1);
    }
    return NULL;
}

START_TEST(lookups_go_on_while_the_loader_writes)
{
    const struct roster_host hosts[] = {{TEXT("x.example"), {1, 0, 0}}};
    struct readers readers = {false, 0};
    pthread_t threads[3];
    char id[32];

    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, read_on, &readers), 0);
    for (unsigned i = 0; i < 20000 || atomic_load(&readers.lookups) < 20000; i++) {
        struct identity identity = named(id, (i * 7) % 2000);
        ck_assert_int_eq(put(identity, (char)('a' + i % 20)), STATUS_OK);
        identity = named(id, (i * 3) % 2000);
        roster_remove(roster, &identity);
        if (i % 100 == 0)
            roster_workspaces_set(roster, hosts, 1);
    }
    atomic_store(&readers.ending, true);
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        many_come_and_go_and_all_others_stay,
        workspace_device_and_module_make_the_identity,
        generation_changes_with_the_keys_and_never_comes_back,
        credential_of_another_kind_is_another_also_with_the_same_bytes,
        round_removes_what_it_did_not_see,
        full_roster_refuses_new_ones_and_still_changes_old_ones,
        hosts_name_workspaces_and_others_go_to_the_one_without,
        lookups_go_on_while_the_loader_writes,
    };
    const struct check_suite suite = {.name = "ingest/roster", .tests = tests,
                                     .count = sizeof tests / sizeof *tests, .setup = setup, .teardown = teardown,
                                     .timeout_seconds = 60};
    return check_main(&suite);
}
