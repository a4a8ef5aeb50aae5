#include "detect/needles.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

struct state {
    uint32_t parent, fail, needle, output; /* `output`: the nearest state along `fail` that has a needle */
    uint8_t byte;
};

struct needles {
    struct state *states; /* 0 is the root */
    size_t count, room;
    uint32_t *children; /* while it is filled: states, found by their parent and byte */
    size_t needle_count;
    uint8_t classes[256];
    size_t class_count;
    uint32_t *moves; /* for each state and class */
};

static unsigned char small(char byte)
{
    return (unsigned char)(byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte);
}

static void *grown(void *list, size_t size)
{
    list = realloc(list, size);
    if (!list)
        abort();
    return list;
}

static uint32_t state_new(struct needles *needles, uint32_t parent, uint8_t byte)
{
    if (needles->count == needles->room) {
        needles->room = 2 * needles->room + 64;
        needles->states = grown(needles->states, needles->room * sizeof *needles->states);
    }
    needles->states[needles->count] = (struct state){.parent = parent, .needle = NONE, .output = NONE, .byte = byte};
    return (uint32_t)needles->count++;
}

struct needles *needles_new(void)
{
    struct needles *needles = calloc(1, sizeof *needles);

    if (!needles)
        abort();
    (void)state_new(needles, NONE, 0);
    return needles;
}

void needles_free(struct needles *needles)
{
    if (!needles)
        return;
    free(needles->states);
    free(needles->children);
    free(needles->moves);
    free(needles);
}

size_t needles_count(const struct needles *needles)
{
    return needles->needle_count;
}

/* ---- filling: children of a state hang in a table of pairs ---- */

static uint64_t pair_of(uint32_t state, uint8_t byte)
{
    return (uint64_t)state << 8 | byte;
}

static uint32_t *child_slot(struct needles *needles, uint32_t state, uint8_t byte, size_t slots)
{
    size_t at = (pair_of(state, byte) * UINT64_C(0x9E3779B97F4A7C15)) >> 20 & (slots - 1);

    while (needles->children[at]) {
        const struct state *child = &needles->states[needles->children[at]];
        if (child->parent == state && child->byte == byte)
            break;
        at = (at + 1) & (slots - 1);
    }
    return &needles->children[at];
}

/* As many as a power of two, more than twice the states. */
static size_t slots_for(size_t states)
{
    size_t slots = 1024;

    while (slots < 2 * states + 2)
        slots *= 2;
    return slots;
}

static uint32_t child_of(struct needles *needles, uint32_t state, uint8_t byte)
{
    size_t slots = slots_for(needles->count);

    if (!needles->children || slots_for(needles->count + 1) != slots || needles->count == 1) {
        slots = slots_for(needles->count + 1);
        free(needles->children);
        needles->children = calloc(slots, sizeof *needles->children);
        if (!needles->children)
            abort();
        for (uint32_t i = 1; i < needles->count; i++)
            *child_slot(needles, needles->states[i].parent, needles->states[i].byte, slots) = i;
    }
    uint32_t found = *child_slot(needles, state, byte, slots);
    if (found)
        return found;
    found = state_new(needles, state, byte);
    *child_slot(needles, state, byte, slots) = found;
    return found;
}

uint32_t needles_add(struct needles *needles, struct text text)
{
    uint32_t state = 0;

    assert(text.count && !needles->moves);
    for (size_t i = 0; i < text.count; i++)
        state = child_of(needles, state, small(text.bytes[i]));
    if (needles->states[state].needle == NONE)
        needles->states[state].needle = (uint32_t)needles->needle_count++;
    return needles->states[state].needle;
}

/* ---- building ---- */

static void classes_make(struct needles *needles)
{
    needles->class_count = 1; /* 0: bytes that no needle has */
    for (size_t i = 1; i < needles->count; i++)
        if (!needles->classes[needles->states[i].byte])
            needles->classes[needles->states[i].byte] = (uint8_t)needles->class_count++;
    for (int byte = 'A'; byte <= 'Z'; byte++)
        needles->classes[byte] = needles->classes[byte | 0x20];
}

/* States come after their parents, but not by depth: they are taken by depth, level by level. */
void needles_build(struct needles *needles)
{
    size_t count = needles->count, taken = 0, queued = 1;
    uint32_t *queue = grown(NULL, count * sizeof *queue), *first = calloc(count, sizeof *first), *next = calloc(count, sizeof *next);

    classes_make(needles);
    size_t width = needles->class_count;
    needles->moves = calloc(count * width, sizeof *needles->moves);
    if (!first || !next || !needles->moves)
        abort();
    for (uint32_t i = 1; i < count; i++) {
        next[i] = first[needles->states[i].parent];
        first[needles->states[i].parent] = i;
    }
    queue[0] = 0;
    while (taken < queued) {
        uint32_t at = queue[taken++];
        struct state *state = &needles->states[at];
        uint32_t *moves = needles->moves + at * width;
        if (at) { /* what it fails to is less deep, and complete */
            state->fail = state->parent ? needles->moves[needles->states[state->parent].fail * width + needles->classes[state->byte]] : 0;
            const struct state *fail = &needles->states[state->fail];
            state->output = fail->needle != NONE ? state->fail : fail->output;
            memcpy(moves, needles->moves + state->fail * width, width * sizeof *moves);
        }
        for (uint32_t child = first[at]; child; child = next[child])
            queue[queued++] = child;
        for (uint32_t child = first[at]; child; child = next[child])
            moves[needles->classes[needles->states[child].byte]] = child;
    }
    free(queue);
    free(first);
    free(next);
    free(needles->children);
    needles->children = NULL;
}

void needles_scan(const struct needles *needles, struct text value, needle_each *each, void *context)
{
    size_t width = needles->class_count;
    uint32_t at = 0;

    for (size_t i = 0; i < value.count; i++) {
        at = needles->moves[at * width + needles->classes[(unsigned char)value.bytes[i]]];
        for (uint32_t found = needles->states[at].needle != NONE ? at : needles->states[at].output; found != NONE;
             found = needles->states[found].output)
            each(context, needles->states[found].needle);
    }
}
