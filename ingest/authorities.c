#include "ingest/authorities.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* One state of all authorities. Freed by whoever lets go of it last. */
struct set {
    _Atomic size_t holders;
    struct authority *by_name; /* by subject, then id */
    struct authority **by_id;
    size_t count;
};

struct authorities {
    pthread_mutex_t lock; /* for taking hold of `now` */
    struct set *now;
    _Atomic uint64_t changes;
};

static struct set *set_new(struct authority *take_list, size_t count);
static struct set *set_hold(struct authorities *authorities);
static void set_drop(struct set *take_set);
static size_t first_named(const struct set *set, struct text name);
static int name_compare(const void *a, const void *b);
static int id_compare(const void *a, const void *b);

struct authorities *authorities_new(void)
{
    struct authorities *authorities = calloc(1, sizeof *authorities);

    if (!authorities)
        abort();
    pthread_mutex_init(&authorities->lock, NULL);
    authorities->now = set_new(NULL, 0);
    return authorities;
}

void authorities_free(struct authorities *take_authorities)
{
    if (!take_authorities)
        return;
    set_drop(take_authorities->now);
    pthread_mutex_destroy(&take_authorities->lock);
    free(take_authorities);
}

uint64_t authorities_changes(const struct authorities *authorities)
{
    return atomic_load(&authorities->changes);
}

enum status authorities_verify(struct authorities *authorities, const struct x509_chain *chain, int64_t now_s,
                               struct authority_match *out, struct problem *why)
{
    struct set *set = set_hold(authorities);
    enum status status = STATUS_REJECT;
    bool tried = false;
    struct problem reason;

    for (size_t i = 0; status && i < x509_chain_count(chain); i++) {
        struct text issuer = x509_chain_issuer(chain, i);
        size_t first = first_named(set, issuer);
        for (size_t at = first; status && at < set->count && at - first < AUTHORITIES_ALIKE_MAX; at++) {
            const struct authority *authority = &set->by_name[at];
            struct x509_path path;
            if (!text_equal(x509_authority_subject(authority->certificate), issuer))
                break;
            status = x509_verify(chain, authority->certificate, now_s, &path, &reason);
            if (!status)
                *out = (struct authority_match){authority->id, authority->workspace, path};
            else if (!tried)
                *why = reason; /* what the nearest has against it */
            tried = true;
        }
    }
    set_drop(set);
    if (status && !tried)
        problem_set(why, STATUS_REJECT, "no authority that is verified here issued the certificate");
    return status;
}

bool authorities_hold(struct authorities *authorities, int64_t id, const struct x509_serial *serial)
{
    struct authority wanted = {.id = id}, *key = &wanted;
    struct set *set = set_hold(authorities);
    struct authority **found = set->count ? bsearch(&key, set->by_id, set->count, sizeof *set->by_id, id_compare) : NULL;

    bool holds = found && !x509_authority_revoked((*found)->certificate, serial);
    set_drop(set);
    return holds;
}

void authorities_set(struct authorities *authorities, struct authority *take_list, size_t count)
{
    struct set *set = set_new(take_list, count), *before;

    pthread_mutex_lock(&authorities->lock);
    before = authorities->now;
    authorities->now = set;
    pthread_mutex_unlock(&authorities->lock);
    atomic_fetch_add(&authorities->changes, 1); /* after the swap: who sees it moved sees the new set */
    set_drop(before);
}

void authorities_list_free(struct authority *take_list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        x509_authority_free(take_list[i].certificate);
    free(take_list);
}

static struct set *set_new(struct authority *take_list, size_t count)
{
    struct set *set = calloc(1, sizeof *set);

    if (!set || !(set->by_id = calloc(count + 1, sizeof *set->by_id)))
        abort();
    set->holders = 1;
    set->by_name = take_list;
    set->count = count;
    if (count)
        qsort(take_list, count, sizeof *take_list, name_compare);
    for (size_t i = 0; i < count; i++)
        set->by_id[i] = &take_list[i];
    qsort(set->by_id, count, sizeof *set->by_id, id_compare);
    return set;
}

static struct set *set_hold(struct authorities *authorities)
{
    pthread_mutex_lock(&authorities->lock);
    struct set *set = authorities->now;
    atomic_fetch_add_explicit(&set->holders, 1, memory_order_relaxed);
    pthread_mutex_unlock(&authorities->lock);
    return set;
}

static void set_drop(struct set *take_set)
{
    if (atomic_fetch_sub_explicit(&take_set->holders, 1, memory_order_acq_rel) > 1)
        return;
    authorities_list_free(take_set->by_name, take_set->count);
    free(take_set->by_id);
    free(take_set);
}

static size_t first_named(const struct set *set, struct text name)
{
    size_t low = 0, high = set->count;

    while (low < high) { /* the first that is not smaller than the name */
        size_t middle = low + (high - low) / 2;
        if (text_compare(x509_authority_subject(set->by_name[middle].certificate), name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int name_compare(const void *a, const void *b)
{
    const struct authority *left = a, *right = b;
    int order = text_compare(x509_authority_subject(left->certificate), x509_authority_subject(right->certificate));

    return order ? order : (left->id > right->id) - (left->id < right->id);
}

static int id_compare(const void *a, const void *b)
{
    const struct authority *const *left = a, *const *right = b;

    return ((*left)->id > (*right)->id) - ((*left)->id < (*right)->id);
}
