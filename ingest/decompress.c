#include "ingest/decompress.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>

#include <zlib.h>
#include <zstd.h>

#define CHUNK 16384
#define ZSTD_WINDOW_LOG_MAX 23 /* 8 MB: what RFC 8878 asks every decoder to take, and no more */
#define GZIP_WINDOW_BITS (16 + 15)
#define ZLIB_WINDOW_BITS 15
#define BARE_WINDOW_BITS (-15)

static enum decompress_result inflate_all(int window_bits, struct text body, struct buf *out);
static enum decompress_result zstd_all(struct text body, struct buf *out);
static char *room_take(struct buf *out, size_t *count);
static bool looks_like_zlib(struct text body);

bool decompress_coding(struct text name, enum coding *out)
{
    static const struct {
        struct text name;
        enum coding coding;
    } known[] = {
        {{"identity", 8}, CODING_IDENTITY}, {{"gzip", 4}, CODING_GZIP}, {{"x-gzip", 6}, CODING_GZIP},
        {{"deflate", 7}, CODING_DEFLATE},   {{"zstd", 4}, CODING_ZSTD},
    };

    name = text_trim(name);
    if (!name.count) {
        *out = CODING_IDENTITY;
        return true;
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (text_equal_nocase(name, known[i].name)) {
            *out = known[i].coding;
            return true;
        }
    }
    return false;
}

enum decompress_result decompress(enum coding coding, struct text body, struct buf *out)
{
    if (!body.count && coding != CODING_IDENTITY)
        return DECOMPRESS_BROKEN;
    switch (coding) {
    case CODING_IDENTITY:
        buf_text(out, body);
        return buf_failed(out) ? DECOMPRESS_TOO_LONG : DECOMPRESS_OK;
    case CODING_GZIP:
        return inflate_all(GZIP_WINDOW_BITS, body, out);
    case CODING_DEFLATE:
        return inflate_all(looks_like_zlib(body) ? ZLIB_WINDOW_BITS : BARE_WINDOW_BITS, body, out);
    case CODING_ZSTD:
        return zstd_all(body, out);
    }
    assert(0 && "a coding we do not have");
    return DECOMPRESS_BROKEN;
}

static enum decompress_result inflate_all(int window_bits, struct text body, struct buf *out)
{
    z_stream stream = {.avail_in = (uInt)body.count};
    enum decompress_result result = DECOMPRESS_OK;
    int code = Z_OK;

    assert(body.count <= UINT_MAX);
    union {
        const char *bytes;
        unsigned char *in; /* zlib only reads it */
    } source = {body.bytes};
    stream.next_in = source.in;
    if (inflateInit2(&stream, window_bits) != Z_OK)
        abort();
    while (result == DECOMPRESS_OK && (code != Z_STREAM_END || stream.avail_in)) {
        size_t room;
        if (code == Z_STREAM_END && inflateReset(&stream) != Z_OK) /* the next member */
            abort();
        char *at = room_take(out, &room);
        unsigned char spare;
        bool full = !at;
        stream.next_out = full ? &spare : (unsigned char *)at;
        stream.avail_out = full ? 1 : (uInt)room;
        code = inflate(&stream, Z_NO_FLUSH);
        if (code != Z_OK && code != Z_STREAM_END)
            result = DECOMPRESS_BROKEN; /* Z_BUF_ERROR too: it ended before its end */
        else if (full && !stream.avail_out)
            result = DECOMPRESS_TOO_LONG;
        else if (!full)
            buf_grown(out, room - stream.avail_out);
    }
    inflateEnd(&stream);
    return result;
}

static enum decompress_result zstd_all(struct text body, struct buf *out)
{
    ZSTD_DCtx *context = ZSTD_createDCtx();
    ZSTD_inBuffer in = {body.bytes, body.count, 0};
    enum decompress_result result = DECOMPRESS_OK;
    size_t left = 1;

    if (!context)
        abort();
    ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
    while (result == DECOMPRESS_OK && (left || in.pos < in.size)) {
        size_t room, consumed = in.pos;
        char *at = room_take(out, &room), spare;
        ZSTD_outBuffer to = {at ? at : &spare, at ? room : 1, 0};
        left = ZSTD_decompressStream(context, &to, &in);
        if (ZSTD_isError(left))
            result = DECOMPRESS_BROKEN;
        else if (!at && to.pos)
            result = DECOMPRESS_TOO_LONG;
        else if (!to.pos && in.pos == consumed && left)
            result = DECOMPRESS_BROKEN; /* cut off */
        else if (at)
            buf_grown(out, to.pos);
    }
    ZSTD_freeDCtx(context);
    return result;
}

/* Where the next bytes go. NULL when `out` is full: a decoder may then still be at its end, so it is given one byte to
 * show whether more comes. */
static char *room_take(struct buf *out, size_t *count)
{
    size_t left = out->count_max - out->count;

    *count = left < CHUNK ? left : CHUNK;
    return left ? buf_room(out, *count) : NULL;
}

static bool looks_like_zlib(struct text body)
{
    if (body.count < 2)
        return true;
    unsigned first = (unsigned char)body.bytes[0], second = (unsigned char)body.bytes[1];
    return (first & 0x0f) == 8 && (first << 8 | second) % 31 == 0;
}
