#define PCRE2_CODE_UNIT_WIDTH 8
#include "detect/regex.h"

#include <pcre2.h>
#include <pthread.h>
#include <stdlib.h>

#define STEPS_MAX 100000
#define DEPTH_MAX 1000
#define HEAP_KB 1024
#define MESSAGE_SIZE 120

/* It is a pcre2_code under another name, so that who uses it needs no PCRE2. */
static pcre2_code *code_of(const struct regex *regex) { return (pcre2_code *)(uintptr_t)regex; }

struct regex *regex_new(struct text pattern, unsigned options, struct problem *why)
{
    PCRE2_UCHAR message[MESSAGE_SIZE];
    PCRE2_SIZE at;
    int error;
    uint32_t wanted = PCRE2_NEVER_BACKSLASH_C | (options & REGEX_CASELESS ? PCRE2_CASELESS : 0) | (options & REGEX_MULTILINE ? PCRE2_MULTILINE : 0) |
                      (options & REGEX_DOTALL ? PCRE2_DOTALL : 0);

    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern.bytes, pattern.count, wanted, &error, &at, NULL);
    if (!code) {
        pcre2_get_error_message(error, message, sizeof message);
        problem_set(why, STATUS_REJECT, "the regular expression %.*s: %s at %zu", pattern.count < 60 ? (int)pattern.count : 60, pattern.bytes, (const char *)message, (size_t)at);
        return NULL;
    }
    (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    return (struct regex *)code;
}

void regex_free(struct regex *regex)
{
    pcre2_code_free(code_of(regex));
}

/* ---- matching ---- */

/* What matching needs beside the code; each thread has its own. */
struct room {
    pcre2_match_data *data;
    pcre2_match_context *context;
};

static pthread_key_t room_key;
static pthread_once_t room_once = PTHREAD_ONCE_INIT;

static void room_free(void *take_room)
{
    struct room *room = take_room;

    pcre2_match_data_free(room->data);
    pcre2_match_context_free(room->context);
    free(room);
}

static void room_key_make(void)
{
    if (pthread_key_create(&room_key, room_free))
        abort();
}

static struct room *room_here(void)
{
    pthread_once(&room_once, room_key_make);
    struct room *room = pthread_getspecific(room_key);
    if (room)
        return room;
    room = calloc(1, sizeof *room);
    if (!room || !(room->data = pcre2_match_data_create(1, NULL)) || !(room->context = pcre2_match_context_create(NULL)))
        abort();
    pcre2_set_match_limit(room->context, STEPS_MAX);
    pcre2_set_depth_limit(room->context, DEPTH_MAX);
    pcre2_set_heap_limit(room->context, HEAP_KB);
    if (pthread_setspecific(room_key, room))
        abort();
    return room;
}

bool regex_fits(const struct regex *regex, struct text value)
{
    struct room *room = room_here();

    return pcre2_match(code_of(regex), (PCRE2_SPTR)value.bytes, value.count, 0, 0, room->data, room->context) >= 0;
}
