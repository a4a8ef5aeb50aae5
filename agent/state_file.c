#include "agent/state_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/digest.h"
#include "agent/file.h"

#define PLACE_BYTES 4096 /* of most disks, what is written at once */
#define PLACES 2
#define HEAD "picket state 1 %016" PRIx64 " %020" PRIu64 " %04zu\n" /* digest of all that follows it, which writing it was, length of the text */
#define HEAD_SIZE 58
#define DIGEST_END 31

_Static_assert(HEAD_SIZE + STATE_TEXT_MAX <= PLACE_BYTES, "the longest text has room");

struct place {
    char bytes[PLACE_BYTES + 1];
    uint64_t order; /* 0: there is nothing whole in it */
    size_t count;
};

static void place_fill(struct place *place, const char *text, size_t count, uint64_t order)
{
    char head[HEAD_SIZE + 1];

    memset(place->bytes, 0, sizeof place->bytes);
    place->order = order;
    place->count = count;
    snprintf(head, sizeof head, HEAD, UINT64_C(0), order, count);
    memcpy(place->bytes, head, HEAD_SIZE);
    if (count)
        memcpy(place->bytes + HEAD_SIZE, text, count);
    snprintf(head, sizeof head, HEAD, digest(DIGEST_BEGIN, place->bytes + DIGEST_END, HEAD_SIZE - DIGEST_END + count), order, count);
    memcpy(place->bytes, head, DIGEST_END);
}

static void place_read(int file, int at, struct place *place)
{
    struct place whole;
    uint64_t value, order;
    size_t count;

    place->order = 0;
    place->count = 0;
    if (pread(file, place->bytes, PLACE_BYTES, (off_t)at * PLACE_BYTES) != PLACE_BYTES)
        return;
    place->bytes[PLACE_BYTES] = '\0';
    if (sscanf(place->bytes, "picket state 1 %16" SCNx64 " %20" SCNu64 " %4zu\n", &value, &order, &count) != 3 || count > STATE_TEXT_MAX)
        return;
    place_fill(&whole, place->bytes + HEAD_SIZE, count, order);
    if (memcmp(whole.bytes, place->bytes, HEAD_SIZE + count) != 0)
        return;
    place->order = order;
    place->count = count;
}

/* The place that was written last; -1: none was. */
static int newest(const struct place places[PLACES])
{
    int best = -1;

    for (int i = 0; i < PLACES; i++)
        if (places[i].order && (best < 0 || places[i].order > places[best].order))
            best = i;
    return best;
}

static int file_open(const char *folder, const char *name, int flags)
{
    char path[FILE_PATH_SIZE];

    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return open(path, flags | O_CLOEXEC | O_NOFOLLOW);
}

static int places_read(const char *folder, const char *name, int flags, struct place places[PLACES])
{
    int file = file_open(folder, name, flags);

    for (int i = 0; i < PLACES; i++) {
        places[i].order = 0;
        if (file >= 0)
            place_read(file, i, &places[i]);
    }
    return file;
}

bool state_file_write(const char *folder, const char *name, const char *text, size_t count, struct reason *why)
{
    struct place places[PLACES];
    int file = places_read(folder, name, O_RDWR, places), last = newest(places);

    assert(count <= STATE_TEXT_MAX);
    if (last < 0) { /* it is made whole, with both places */
        if (file >= 0)
            close(file);
        place_fill(&places[0], text, count, 1);
        memset(places[1].bytes, 0, sizeof places[1].bytes);
        const struct iovec parts[] = {{places[0].bytes, PLACE_BYTES}, {places[1].bytes, PLACE_BYTES}};
        return file_write(folder, name, parts, 2, why);
    }
    struct place *next = &places[!last];
    place_fill(next, text, count, places[last].order + 1);
    bool written = pwrite(file, next->bytes, PLACE_BYTES, (off_t)(!last) * PLACE_BYTES) == PLACE_BYTES && fdatasync(file) == 0;
    int error = errno;
    close(file);
    return written || reason_set(why, "%s/%s cannot be written: %s", folder, name, strerror(error));
}

size_t state_file_read(const char *folder, const char *name, char *out, size_t size)
{
    struct place places[PLACES];
    int file = places_read(folder, name, O_RDONLY, places), last = newest(places);

    if (file >= 0)
        close(file);
    if (last < 0 || places[last].count > size)
        return 0;
    memcpy(out, places[last].bytes + HEAD_SIZE, places[last].count);
    return places[last].count;
}
