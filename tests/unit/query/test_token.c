#include "query/token.h"

#include "query/base64url.h"
#include "tests/support/check_main.h"

#define SOUND "pkt_abcdefgh_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static const struct secret_master master = {{1, 2, 3}}, other = {{9}};

START_TEST(a_token_has_a_public_prefix_beside_its_secret)
{
    struct token_parts parts;

    ck_assert_uint_eq(strlen(SOUND), TOKEN_TEXT_SIZE - 1);
    ck_assert(token_parse(TEXT(SOUND), &parts));
    ck_assert(text_equal(parts.prefix, TEXT("abcdefgh")));
    ck_assert_uint_eq(parts.secret.count, TOKEN_SECRET_COUNT);
}
END_TEST

START_TEST(what_is_no_token_is_refused)
{
    static const char *const wrong[] = {
        "", "pkt_", "Bearer", "pkt_abcdefgh_short",
        "pkx_abcdefgh_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",  /* another kind */
        "pkt_abcdefgh-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",  /* no separator */
        "pkt_abcdef'h_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",  /* a prefix with a quote */
        "pkt_abcdefgh_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA+A",  /* not base64url */
        "pkt_abcdefgh_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB",  /* bits beyond the 256 */
        "pkt_abcdefgh_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", /* too long */
    };
    struct token_parts parts;

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ck_assert_msg(!token_parse(text_of(wrong[i]), &parts), "%s", wrong[i]);
    ck_assert(!token_parse(TEXT_NONE, &parts));
}
END_TEST

START_TEST(a_digest_depends_on_key_prefix_and_secret)
{
    uint8_t digest[SECRET_DIGEST_BYTES], again[SECRET_DIGEST_BYTES], different[SECRET_DIGEST_BYTES];
    struct token_parts parts, changed;

    ck_assert(token_parse(TEXT(SOUND), &parts));
    token_digest(&master, &parts, digest);
    token_digest(&master, &parts, again);
    ck_assert_mem_eq(digest, again, sizeof digest);
    token_digest(&other, &parts, different);
    ck_assert_mem_ne(digest, different, sizeof digest);
    changed = parts;
    changed.prefix = TEXT("abcdefgi");
    token_digest(&master, &changed, different);
    ck_assert_mem_ne(digest, different, sizeof digest);
}
END_TEST

START_TEST(base64url_gives_back_what_it_took)
{
    uint8_t bytes[70], back[70];
    char text[BASE64URL_SIZE(sizeof bytes)];
    size_t count;

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 37 + 250);
    for (size_t n = 0; n <= sizeof bytes; n++) {
        base64url_encode(bytes, n, text);
        ck_assert_ptr_null(strpbrk(text, "+/="));
        ck_assert(base64url_decode(text_of(text), back, sizeof back, &count));
        ck_assert_uint_eq(count, n);
        ck_assert(n == 0 || memcmp(bytes, back, n) == 0);
        ck_assert(n == 0 || !base64url_decode(text_of(text), back, n - 1, &count));
    }
    ck_assert(!base64url_decode(TEXT("A"), back, sizeof back, &count));
    ck_assert(!base64url_decode(TEXT("AA=="), back, sizeof back, &count));
    ck_assert(!base64url_decode(((struct text){"A\0AA", 4}), back, sizeof back, &count));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_token_has_a_public_prefix_beside_its_secret,
        what_is_no_token_is_refused,
        a_digest_depends_on_key_prefix_and_secret,
        base64url_gives_back_what_it_took,
    };
    struct problem why;

    return secret_init(&why) ? 1 : CHECK_MAIN("query/token", tests);
}
