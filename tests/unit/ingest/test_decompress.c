#include "ingest/decompress.h"

#include <zlib.h>
#include <zstd.h>

#include "runtime/arena.h"
#include "tests/support/check_main.h"

#define LIMIT 262144

static struct buf out;
static struct arena arena; /* of what the tests make */

static void setup(void)
{
    buf_init(&out, LIMIT);
    arena_init(&arena);
}

static void teardown(void)
{
    buf_done(&out);
    arena_done(&arena);
}

static struct text pack(int window_bits, struct text plain)
{
    z_stream stream = {0};
    size_t room = plain.count + 1000;
    unsigned char *packed = ARENA_ARRAY(&arena, unsigned char, room);
    unsigned char *copy = ARENA_ARRAY(&arena, unsigned char, plain.count + 1);

    memcpy(copy, plain.bytes, plain.count);
    ck_assert_int_eq(deflateInit2(&stream, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = copy;
    stream.avail_in = (uInt)plain.count;
    stream.next_out = packed;
    stream.avail_out = (uInt)room;
    ck_assert_int_eq(deflate(&stream, Z_FINISH), Z_STREAM_END);
    struct text result = {(char *)packed, stream.total_out};
    deflateEnd(&stream);
    return result;
}

static struct text pack_zstd(struct text plain)
{
    size_t room = ZSTD_compressBound(plain.count);
    char *packed = ARENA_ARRAY(&arena, char, room);
    size_t count = ZSTD_compress(packed, room, plain.bytes, plain.count, 3);

    ck_assert(!ZSTD_isError(count));
    return (struct text){packed, count};
}

static struct text filled(size_t count, char byte)
{
    char *bytes = ARENA_ARRAY(&arena, char, count);

    memset(bytes, byte, count);
    return (struct text){bytes, count};
}

static void expect(enum coding coding, struct text packed, struct text plain)
{
    buf_clear(&out);
    ck_assert_int_eq(decompress(coding, packed, &out), DECOMPRESS_OK);
    ck_assert(text_equal(buf_as_text(&out), plain));
}

START_TEST(known_names_are_read_in_any_case_and_others_refused)
{
    enum coding coding;

    ck_assert(decompress_coding(TEXT_NONE, &coding) && coding == CODING_IDENTITY);
    ck_assert(decompress_coding(TEXT(" GZip "), &coding) && coding == CODING_GZIP);
    ck_assert(decompress_coding(TEXT("x-gzip"), &coding) && coding == CODING_GZIP);
    ck_assert(decompress_coding(TEXT("deflate"), &coding) && coding == CODING_DEFLATE);
    ck_assert(decompress_coding(TEXT("ZSTD"), &coding) && coding == CODING_ZSTD);
    ck_assert(!decompress_coding(TEXT("br"), &coding));
    ck_assert(!decompress_coding(TEXT("gzip, zstd"), &coding));
    ck_assert(!decompress_coding(TEXT("application/json"), &coding));
}
END_TEST

START_TEST(every_coding_gives_the_body_back)
{
    struct text plain = TEXT("{\"Events\":[{\"Id\":\"1\"}]}");

    expect(CODING_IDENTITY, plain, plain);
    expect(CODING_GZIP, pack(16 + 15, plain), plain);
    expect(CODING_DEFLATE, pack(15, plain), plain);
    expect(CODING_DEFLATE, pack(-15, plain), plain);
    expect(CODING_ZSTD, pack_zstd(plain), plain);
    expect(CODING_GZIP, pack(16 + 15, TEXT("")), TEXT(""));
    expect(CODING_ZSTD, pack_zstd(TEXT("")), TEXT(""));
}
END_TEST

START_TEST(several_members_are_one_body)
{
    struct text one = pack(16 + 15, TEXT("[1,")), two = pack(16 + 15, TEXT("2]"));
    struct text first = pack_zstd(TEXT("[1,")), second = pack_zstd(TEXT("2]"));
    struct buf both;

    buf_init(&both, 1000);
    buf_text(&both, one);
    buf_text(&both, two);
    expect(CODING_GZIP, buf_as_text(&both), TEXT("[1,2]"));
    buf_clear(&both);
    buf_text(&both, first);
    buf_text(&both, second);
    expect(CODING_ZSTD, buf_as_text(&both), TEXT("[1,2]"));
    buf_done(&both);
}
END_TEST

START_TEST(exactly_the_limit_passes_and_one_byte_more_does_not)
{
    struct text fits = filled(LIMIT, 'a'), longer = filled(LIMIT + 1, 'a');

    expect(CODING_GZIP, pack(16 + 15, fits), fits);
    expect(CODING_ZSTD, pack_zstd(fits), fits);
    buf_clear(&out);
    ck_assert_int_eq(decompress(CODING_GZIP, pack(16 + 15, longer), &out), DECOMPRESS_TOO_LONG);
    buf_clear(&out);
    ck_assert_int_eq(decompress(CODING_ZSTD, pack_zstd(longer), &out), DECOMPRESS_TOO_LONG);
    buf_clear(&out);
    ck_assert_int_eq(decompress(CODING_IDENTITY, longer, &out), DECOMPRESS_TOO_LONG);
}
END_TEST

START_TEST(bombs_stop_at_the_limit)
{
    struct text huge = filled((size_t)64 << 20, 0);
    struct text bomb = pack(16 + 15, huge), zstd_bomb = pack_zstd(huge);

    ck_assert_uint_lt(bomb.count, LIMIT);
    ck_assert_int_eq(decompress(CODING_GZIP, bomb, &out), DECOMPRESS_TOO_LONG);
    ck_assert_uint_le(out.room, 2 * LIMIT + 64);
    buf_clear(&out);
    ck_assert_int_eq(decompress(CODING_DEFLATE, pack(15, huge), &out), DECOMPRESS_TOO_LONG);
    buf_clear(&out);
    ck_assert_int_eq(decompress(CODING_ZSTD, zstd_bomb, &out), DECOMPRESS_TOO_LONG);
    ck_assert_uint_le(out.room, 2 * LIMIT + 64);
}
END_TEST

START_TEST(frame_with_a_huge_window_is_broken)
{
    /* A zstd frame whose header asks for 2^31 bytes of window. */
    struct text frame = {"\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00", 9};

    ck_assert_int_eq(decompress(CODING_ZSTD, frame, &out), DECOMPRESS_BROKEN);
}
END_TEST

START_TEST(cut_off_anywhere_is_broken)
{
    struct text plain = TEXT("{\"a\":\"some text that is long enough\"}");
    struct text gzip = pack(16 + 15, plain), zstd = pack_zstd(plain);

    for (size_t count = 0; count < gzip.count; count++) {
        buf_clear(&out);
        ck_assert_int_eq(decompress(CODING_GZIP, (struct text){gzip.bytes, count}, &out), DECOMPRESS_BROKEN);
    }
    for (size_t count = 0; count < zstd.count; count++) {
        buf_clear(&out);
        ck_assert_int_eq(decompress(CODING_ZSTD, (struct text){zstd.bytes, count}, &out), DECOMPRESS_BROKEN);
    }
}
END_TEST

START_TEST(something_behind_the_end_is_broken)
{
    struct text packed[] = {pack(16 + 15, TEXT("{}")), pack_zstd(TEXT("{}"))};
    const enum coding codings[] = {CODING_GZIP, CODING_ZSTD};
    struct buf longer;

    for (size_t i = 0; i < 2; i++) {
        buf_init(&longer, 1000);
        buf_text(&longer, packed[i]);
        buf_string(&longer, "tail");
        buf_clear(&out);
        ck_assert_int_eq(decompress(codings[i], buf_as_text(&longer), &out), DECOMPRESS_BROKEN);
        buf_done(&longer);
    }
}
END_TEST

START_TEST(another_format_is_broken)
{
    struct text plain = TEXT("{\"not\":\"compressed\"}");

    ck_assert_int_eq(decompress(CODING_GZIP, plain, &out), DECOMPRESS_BROKEN);
    ck_assert_int_eq(decompress(CODING_DEFLATE, plain, &out), DECOMPRESS_BROKEN);
    ck_assert_int_eq(decompress(CODING_ZSTD, plain, &out), DECOMPRESS_BROKEN);
    ck_assert_int_eq(decompress(CODING_GZIP, pack(15, plain), &out), DECOMPRESS_BROKEN);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        known_names_are_read_in_any_case_and_others_refused,
        every_coding_gives_the_body_back,
        several_members_are_one_body,
        exactly_the_limit_passes_and_one_byte_more_does_not,
        bombs_stop_at_the_limit,
        frame_with_a_huge_window_is_broken,
        cut_off_anywhere_is_broken,
        something_behind_the_end_is_broken,
        another_format_is_broken,
    };
    const struct check_suite suite = {.name = "ingest/decompress", .tests = tests,
                                     .count = sizeof tests / sizeof *tests, .setup = setup, .teardown = teardown,
                                     .timeout_seconds = 60};
    return check_main(&suite);
}
