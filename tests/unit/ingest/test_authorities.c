#include "ingest/authorities.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "tests/support/certificate_authority.h"
#include "tests/support/check_main.h"

#define ALIKE 40 /* authorities of one name */

static struct problem why;
static struct authorities *authorities;
static struct issued *roots[ALIKE], *leaves[ALIKE], *middle, *below;
static int64_t now_s;

static void setup(void)
{
    const struct certificate_wish root_wish = {.common_name = "root", .authority = true};
    const struct certificate_wish middle_wish = {.common_name = "middle", .authority = true};
    const struct certificate_wish leaf_wish = {.common_name = "d1"};

    now_s = time(NULL);
    authorities = authorities_new();
    for (size_t i = 0; i < ALIKE; i++) {
        roots[i] = certificate_authority_issue(&root_wish, NULL);
        leaves[i] = certificate_authority_issue(&leaf_wish, roots[i]);
    }
    middle = certificate_authority_issue(&middle_wish, roots[0]);
    below = certificate_authority_issue(&leaf_wish, middle);
}

static void teardown(void)
{
    authorities_free(authorities);
    for (size_t i = 0; i < ALIKE; i++) {
        certificate_authority_free(roots[i]);
        certificate_authority_free(leaves[i]);
    }
    certificate_authority_free(middle);
    certificate_authority_free(below);
}

static struct authority authority(int64_t id, uint32_t workspace, const struct issued *certificate, struct text revocations)
{
    struct authority made = {id, workspace, NULL};

    if (x509_authority_new(certificate_authority_der(certificate), revocations, &made.certificate, &why))
        abort();
    return made;
}

/* The first `count` roots, numbered from 1, each with a workspace of the same number. */
static void set_roots(size_t count)
{
    struct authority *list = calloc(count + 1, sizeof *list);

    if (!list)
        abort();
    for (size_t i = 0; i < count; i++)
        list[count - 1 - i] = authority((int64_t)i + 1, (uint32_t)i + 1, roots[i], TEXT_NONE);
    authorities_set(authorities, list, count);
}

static enum status verify(const struct issued *leaf, const struct issued *issuer, struct authority_match *out,
                          struct problem *reason)
{
    struct text der[] = {certificate_authority_der(leaf), issuer ? certificate_authority_der(issuer) : TEXT_NONE};
    struct x509_chain *chain = NULL;

    if (x509_chain_read(der, issuer ? 2 : 1, &chain, reason))
        abort();
    enum status status = authorities_verify(authorities, chain, now_s, out, reason);
    x509_chain_free(chain);
    return status;
}

START_TEST(nobody_vouches_where_there_are_no_authorities)
{
    struct authority_match match;

    ck_assert_int_eq(verify(leaves[0], NULL, &match, &why), STATUS_REJECT);
    ck_assert_ptr_nonnull(strstr(why.text, "no authority that is verified here"));
}
END_TEST

START_TEST(each_of_many_authorities_of_one_name_is_found)
{
    struct authority_match match;

    set_roots(ALIKE);
    for (size_t i = 0; i < ALIKE; i++) {
        ck_assert_msg(verify(leaves[i], NULL, &match, &why) == STATUS_OK, "%zu: %s", i, why.text);
        ck_assert_int_eq(match.id, (int64_t)i + 1);
        ck_assert_uint_eq(match.workspace, i + 1);
    }
    set_roots(ALIKE - 1);
    ck_assert_int_eq(verify(leaves[ALIKE - 1], NULL, &match, &why), STATUS_REJECT);
    ck_assert_ptr_nonnull(strstr(why.text, "signature"));
}
END_TEST

START_TEST(the_authority_nearest_to_the_leaf_vouches)
{
    struct authority_match match;
    struct authority *list = calloc(2, sizeof *list);

    set_roots(1);
    ck_assert_int_eq(verify(below, middle, &match, &why), STATUS_OK);
    ck_assert_int_eq(match.id, 1);
    ck_assert_int_eq(verify(below, NULL, &match, &why), STATUS_REJECT);
    ck_assert_ptr_nonnull(list);
    list[0] = authority(1, 1, roots[0], TEXT_NONE);
    list[1] = authority(2, 2, middle, TEXT_NONE);
    authorities_set(authorities, list, 2);
    ck_assert_int_eq(verify(below, middle, &match, &why), STATUS_OK);
    ck_assert_int_eq(match.id, 2);
    ck_assert_int_eq(verify(below, NULL, &match, &why), STATUS_OK);
    ck_assert_int_eq(match.id, 2);
}
END_TEST

START_TEST(authority_holds_until_it_goes_or_revokes)
{
    const struct issued *gone[] = {leaves[0]};
    struct text list_der = certificate_authority_revoke(roots[0], gone, 1, now_s, now_s + 1000);
    struct authority_match match, other;
    struct authority *list = calloc(2, sizeof *list);

    set_roots(2);
    ck_assert_int_eq(verify(leaves[0], NULL, &match, &why), STATUS_OK);
    ck_assert_int_eq(verify(leaves[1], NULL, &other, &why), STATUS_OK);
    ck_assert(authorities_hold(authorities, match.id, &match.path.revocable));
    uint64_t changes = authorities_changes(authorities);
    ck_assert_ptr_nonnull(list);
    list[0] = authority(1, 1, roots[0], list_der);
    list[1] = authority(2, 2, roots[1], TEXT_NONE);
    authorities_set(authorities, list, 2);
    ck_assert_uint_ne(authorities_changes(authorities), changes);
    ck_assert(!authorities_hold(authorities, match.id, &match.path.revocable));
    ck_assert(authorities_hold(authorities, other.id, &other.path.revocable));
    ck_assert(authorities_hold(authorities, match.id, &other.path.revocable));
    set_roots(1);
    ck_assert(!authorities_hold(authorities, other.id, &other.path.revocable));
    free((void *)(uintptr_t)list_der.bytes);
}
END_TEST

static _Atomic bool swapped_enough;

static void *verify_meanwhile(void *context)
{
    struct authority_match match;
    struct problem reason;
    size_t found = 0;

    (void)context;
    while (!atomic_load(&swapped_enough) || !found) {
        if (verify(leaves[0], NULL, &match, &reason))
            abort(); /* every set has it */
        found += authorities_hold(authorities, match.id, &match.path.revocable);
    }
    return NULL;
}

START_TEST(readers_keep_the_set_that_they_began_with)
{
    pthread_t threads[3];

    atomic_store(&swapped_enough, false);
    set_roots(1);
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, verify_meanwhile, NULL), 0);
    for (size_t i = 0; i < 200; i++)
        set_roots(1 + i % 3);
    atomic_store(&swapped_enough, true);
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        nobody_vouches_where_there_are_no_authorities,
        each_of_many_authorities_of_one_name_is_found,
        the_authority_nearest_to_the_leaf_vouches,
        authority_holds_until_it_goes_or_revokes,
        readers_keep_the_set_that_they_began_with,
    };
    return check_main(&(const struct check_suite){.name = "ingest/authorities",
                                                  .tests = tests,
                                                  .count = sizeof tests / sizeof *tests,
                                                  .setup = setup,
                                                  .teardown = teardown,
                                                  .timeout_seconds = 120});
}
