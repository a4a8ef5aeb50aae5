#include "runtime/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>

#define BLOCK_BYTES 4096
#define BLOCK_BYTES_MOST ((size_t)1 << 20) /* blocks double up to here, so that large batches need few */

struct arena_block {
    struct arena_block *older;
    size_t used, size;
    alignas(max_align_t) unsigned char bytes[];
};

static struct arena_block *block_add(struct arena *arena, size_t bytes);
static size_t aligned(size_t bytes);

void arena_init(struct arena *arena)
{
    assert(arena);

    *arena = (struct arena){0};
}

void arena_done(struct arena *arena)
{
    struct arena_block *block = arena->newest;

    while (block) {
        struct arena_block *older = block->older;
        free(block);
        block = older;
    }
    *arena = (struct arena){0};
}

/* The newest block is the one kept: it is the largest but for single huge allocations, and those would otherwise stay
 * with an arena for good. */
void arena_clear(struct arena *arena)
{
    struct arena_block *keep = arena->newest;

    if (keep && keep->size > BLOCK_BYTES_MOST) {
        arena_done(arena);
        return;
    }
    if (keep) {
        arena->newest = keep->older;
        keep->older = NULL;
        keep->used = 0;
    }
    arena_done(arena);
    arena->newest = keep;
}

void *arena_alloc(struct arena *arena, size_t size, size_t count)
{
    size_t bytes;

    assert(arena);

    if (__builtin_mul_overflow(size, count, &bytes) || bytes > SIZE_MAX / 2)
        abort();
    bytes = aligned(bytes ? bytes : 1);
    struct arena_block *block = arena->newest;
    if (!block || block->size - block->used < bytes)
        block = block_add(arena, bytes);
    void *at = block->bytes + block->used;
    block->used += bytes;
    arena->used_bytes += bytes;
    return memset(at, 0, bytes);
}

struct text arena_text(struct arena *arena, struct text copy)
{
    if (!copy.bytes)
        return TEXT_NONE;
    return (struct text){arena_string(arena, copy), copy.count};
}

char *arena_string(struct arena *arena, struct text copy)
{
    char *string = arena_alloc(arena, 1, copy.count + 1);

    if (copy.count)
        memcpy(string, copy.bytes, copy.count);
    return string;
}

char *arena_format(struct arena *arena, const char *format, ...)
{
    va_list arguments, again;

    va_start(arguments, format);
    va_copy(again, arguments);
    int count = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    assert(count >= 0);
    char *string = arena_alloc(arena, 1, (size_t)count + 1);
    vsnprintf(string, (size_t)count + 1, format, again);
    va_end(again);
    return string;
}

/* What is left of the block before is given up: looking through older blocks would cost every allocation. */
static struct arena_block *block_add(struct arena *arena, size_t bytes)
{
    size_t size = arena->newest ? arena->newest->size * 2 : BLOCK_BYTES;

    if (size > BLOCK_BYTES_MOST)
        size = BLOCK_BYTES_MOST;
    if (size < bytes)
        size = bytes;
    struct arena_block *block = malloc(sizeof *block + size);
    if (!block)
        abort();
    block->older = arena->newest;
    block->used = 0;
    block->size = size;
    arena->newest = block;
    return block;
}

static size_t aligned(size_t bytes)
{
    return (bytes + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
}
