#include "ingest/presence.h"

#include <pthread.h>
#include <stdlib.h>

#include "tests/support/check_main.h"

#define THREADS 4
#define ROUNDS 20000
#define FOREVER INT64_MAX

struct person {
    struct presence_member member;
    _Atomic int heard;
    void *last;
};

static struct presence *presence;

static void hear(struct presence_member *member, void *note)
{
    struct person *person = (struct person *)member;

    person->heard++;
    person->last = note;
}

static struct identity identity_of(const char *device)
{
    return (struct identity){1, text_of(device), TEXT("")};
}

static struct person person_of(const char *device, int64_t connected_at_us)
{
    return (struct person){.member = {.identity = identity_of(device), .connected_at_us = connected_at_us, .hear = hear}};
}

static bool enter(struct person *person, bool resume, bool *turned)
{
    return presence_enter(presence, &person->member, resume, "out", turned);
}

static void setup(void)
{
    presence = presence_new();
}

static void teardown(void)
{
    presence_free(presence);
}

START_TEST(newer_connection_turns_the_older_out)
{
    struct person old = person_of("d", 1), new = person_of("d", 2), other = person_of("e", 3);
    struct identity d = identity_of("d");
    bool turned;

    ck_assert(!enter(&old, true, &turned) && !turned);
    ck_assert(!enter(&other, true, &turned) && !turned);
    ck_assert(!enter(&new, true, &turned) && turned);
    ck_assert_int_eq(old.heard, 1);
    ck_assert_ptr_eq(old.last, "out");
    ck_assert_uint_eq(presence_count(presence), 2);
    ck_assert(!presence_leave(presence, &old.member, 0));
    ck_assert(presence_here(presence, &d, 0));
    ck_assert(presence_leave(presence, &new.member, 0));
    ck_assert(!presence_here(presence, &d, 0));
    ck_assert(presence_leave(presence, &other.member, 0));
}
END_TEST

START_TEST(notes_reach_those_who_want_them_and_are_old_enough)
{
    struct person person = person_of("d", 100);
    struct identity d = identity_of("d"), e = identity_of("e");
    bool turned;

    enter(&person, true, &turned);
    ck_assert(!presence_tell(presence, &d, PRESENCE_METHODS, FOREVER, "x"));
    presence_want(presence, &person.member, PRESENCE_METHODS);
    ck_assert(presence_here(presence, &d, PRESENCE_METHODS | PRESENCE_DESIRED));
    ck_assert(!presence_here(presence, &d, PRESENCE_DESIRED));
    ck_assert(presence_tell(presence, &d, PRESENCE_METHODS, FOREVER, "x"));
    ck_assert(presence_tell(presence, &d, 0, 101, "y"));
    ck_assert(!presence_tell(presence, &d, 0, 100, "y"));
    ck_assert(!presence_tell(presence, &e, 0, FOREVER, "z"));
    ck_assert_int_eq(person.heard, 2);
    presence_leave(presence, &person.member, 0);
}
END_TEST

START_TEST(subscriptions_are_kept_for_who_comes_back_in_time)
{
    struct person person = person_of("d", 1);
    bool turned;

    enter(&person, true, &turned);
    presence_want(presence, &person.member, PRESENCE_METHODS);
    presence_leave(presence, &person.member, 600000);
    ck_assert(enter(&person, true, &turned));
    ck_assert_uint_eq(person.member.wants, PRESENCE_METHODS);
    presence_leave(presence, &person.member, 600000);
    ck_assert_msg(!enter(&person, false, &turned), "a clean start forgets");
    ck_assert_uint_eq(person.member.wants, 0);
    presence_leave(presence, &person.member, 600000);
    ck_assert_msg(!enter(&person, true, &turned), "there was nothing to keep");
    presence_want(presence, &person.member, PRESENCE_METHODS);
    presence_leave(presence, &person.member, 0);
    ck_assert_msg(!enter(&person, true, &turned), "it was not to be kept");
    presence_leave(presence, &person.member, FOREVER);
}
END_TEST

static void *come_and_go(void *unused)
{
    static const char *const names[] = {"a", "b", "c"};
    struct identity b = identity_of("b");
    bool turned;

    (void)unused;
    for (size_t i = 0; i < ROUNDS; i++) {
        struct person *person = malloc(sizeof *person);
        *person = person_of(names[i % 3], 1);
        enter(person, i % 2, &turned);
        presence_want(presence, &person->member, PRESENCE_DESIRED);
        presence_tell(presence, &b, PRESENCE_DESIRED, FOREVER, "x");
        bool left = presence_leave(presence, &person->member, i % 5 ? 1000 : 0);
        ck_assert_msg(left || person->heard, "who is not here any more was told so");
        free(person);
    }
    return NULL;
}

START_TEST(threads_that_share_identities_leave_nobody_behind)
{
    pthread_t threads[THREADS];

    for (size_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, come_and_go, NULL), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(presence_count(presence), 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        newer_connection_turns_the_older_out,
        notes_reach_those_who_want_them_and_are_old_enough,
        subscriptions_are_kept_for_who_comes_back_in_time,
        threads_that_share_identities_leave_nobody_behind,
    };
    return check_main(&(const struct check_suite){.name = "ingest/presence",
                                                  .tests = tests,
                                                  .count = sizeof tests / sizeof *tests,
                                                  .setup = setup,
                                                  .teardown = teardown,
                                                  .timeout_seconds = 60});
}
