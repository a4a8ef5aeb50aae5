#ifndef PICKET_AGENT_DIGEST_H
#define PICKET_AGENT_DIGEST_H

#include <stddef.h>
#include <stdint.h>

/* FNV-1a, 64 bits: tells what is the same from what is not, and a write that was cut; it holds nobody off. Begin with DIGEST_BEGIN, and go on with
 * what came out. */
#define DIGEST_BEGIN UINT64_C(0xcbf29ce484222325)

static inline uint64_t digest(uint64_t value, const void *bytes, size_t count)
{
    const unsigned char *at = bytes;

    for (size_t i = 0; i < count; i++)
        value = (value ^ at[i]) * UINT64_C(0x100000001b3);
    return value;
}

#endif
