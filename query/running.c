#include "query/running.h"

#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "runtime/clock.h"

#define LOOK_MS 200 /* between two looks at who has left */

struct running_question {
    struct running_question *next, *previous;
    struct running_fact fact;
    struct db *db;
    const struct http_exchange *exchange;
    bool stopped;
};

struct running {
    pthread_mutex_t lock;
    pthread_cond_t ending;
    pthread_t thread;
    struct running_question *first;
    bool ends;
};

/* The statement's connection is cancelled under the lock, and the question leaves the list under it, so that nothing else
 * is ever cancelled. */
static void stop(struct running_question *question)
{
    question->stopped = true;
    db_cancel(question->db);
}

static void *look_run(void *context)
{
    struct running *running = context;

    pthread_mutex_lock(&running->lock);
    while (!running->ends) {
        int64_t until_ms = clock_monotonic_ms() + LOOK_MS;
        struct timespec until = {(time_t)(until_ms / 1000), (long)(until_ms % 1000) * 1000000};
        (void)pthread_cond_timedwait(&running->ending, &running->lock, &until);
        for (struct running_question *question = running->first; question; question = question->next)
            if (question->stopped || http_abandoned(question->exchange) || http_client_left(question->exchange))
                stop(question); /* again, too: between two statements there was nothing to cancel */
    }
    pthread_mutex_unlock(&running->lock);
    return NULL;
}

struct running *running_new(void)
{
    struct running *running = calloc(1, sizeof *running);
    pthread_condattr_t attributes;

    if (!running)
        abort();
    pthread_mutex_init(&running->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&running->ending, &attributes);
    pthread_condattr_destroy(&attributes);
    if (pthread_create(&running->thread, NULL, look_run, running))
        abort();
    return running;
}

void running_free(struct running *running)
{
    if (!running)
        return;
    pthread_mutex_lock(&running->lock);
    running->ends = true;
    pthread_cond_signal(&running->ending);
    pthread_mutex_unlock(&running->lock);
    pthread_join(running->thread, NULL);
    pthread_cond_destroy(&running->ending);
    pthread_mutex_destroy(&running->lock);
    free(running);
}

static void id_make(char out[RUNNING_ID_SIZE])
{
    unsigned char bytes[16];

    randombytes_buf(bytes, sizeof bytes);
    bytes[6] = (unsigned char)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80);
    for (size_t i = 0, at = 0; i < sizeof bytes; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[at++] = '-';
        snprintf(out + at, 3, "%02x", bytes[i]);
        at += 2;
    }
}

const char *running_id_new(struct arena *arena)
{
    char id[RUNNING_ID_SIZE];

    id_make(id);
    return arena_string(arena, text_of(id));
}

struct running_question *running_begin(struct running *running, struct db *db, const struct http_exchange *exchange,
                                       int64_t token_id, const char *workspace, struct text kql)
{
    struct running_question *question = calloc(1, sizeof *question);
    size_t count = kql.count < RUNNING_TEXT_SIZE ? kql.count : RUNNING_TEXT_SIZE - 1;

    if (!question)
        abort();
    while (count && count < kql.count && (kql.bytes[count] & 0xC0) == 0x80)
        count--; /* not within a character */
    memcpy(question->fact.text, kql.bytes, count);
    id_make(question->fact.id);
    snprintf(question->fact.workspace, sizeof question->fact.workspace, "%s", workspace);
    question->fact.token_id = token_id;
    question->fact.started_us = clock_utc_us();
    question->db = db;
    question->exchange = exchange;
    pthread_mutex_lock(&running->lock);
    question->next = running->first;
    if (running->first)
        running->first->previous = question;
    running->first = question;
    pthread_mutex_unlock(&running->lock);
    return question;
}

bool running_end(struct running *running, struct running_question *question)
{
    pthread_mutex_lock(&running->lock);
    if (question->previous)
        question->previous->next = question->next;
    else
        running->first = question->next;
    if (question->next)
        question->next->previous = question->previous;
    pthread_mutex_unlock(&running->lock);
    bool stopped = question->stopped;
    free(question);
    return stopped;
}

void running_each(struct running *running, void (*each)(void *context, const struct running_fact *fact), void *context)
{
    pthread_mutex_lock(&running->lock);
    for (const struct running_question *question = running->first; question; question = question->next)
        each(context, &question->fact);
    pthread_mutex_unlock(&running->lock);
}

bool running_cancel(struct running *running, struct text id, int64_t token_id)
{
    bool found = false;

    pthread_mutex_lock(&running->lock);
    for (struct running_question *question = running->first; question && !found; question = question->next) {
        found = text_equal_nocase(text_of(question->fact.id), id) && (!token_id || question->fact.token_id == token_id);
        if (found)
            stop(question);
    }
    pthread_mutex_unlock(&running->lock);
    return found;
}
