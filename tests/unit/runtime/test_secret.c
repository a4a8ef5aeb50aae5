#include "runtime/secret.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/check_main.h"

static struct problem why;
static char folder[64], path[96];

static void setup(void)
{
    ck_assert_int_eq(secret_init(&why), STATUS_OK);
    snprintf(folder, sizeof folder, "/tmp/picket-secret-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/master.key", folder);
}

static void teardown(void)
{
    unlink(path);
    rmdir(folder);
}

static void write_key(const char *content, mode_t mode)
{
    unlink(path);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(content, file);
    fclose(file);
    ck_assert_int_eq(chmod(path, mode), 0);
}

START_TEST(created_key_is_private_and_loads_again)
{
    struct secret_master made, loaded;
    struct stat info;

    ck_assert_int_eq(secret_master_create(path, &made, &why), STATUS_OK);
    ck_assert_int_eq(stat(path, &info), 0);
    ck_assert_uint_eq(info.st_mode & 0777, 0600);
    ck_assert_int_eq(info.st_size, 65);
    ck_assert_int_eq(secret_master_load(path, &loaded, &why), STATUS_OK);
    ck_assert_mem_eq(made.key, loaded.key, sizeof made.key);
}
END_TEST

START_TEST(existing_key_is_never_overwritten)
{
    struct secret_master made, again, loaded;

    ck_assert_int_eq(secret_master_create(path, &made, &why), STATUS_OK);
    ck_assert_int_eq(secret_master_create(path, &again, &why), STATUS_REJECT);
    ck_assert_int_eq(secret_master_load(path, &loaded, &why), STATUS_OK);
    ck_assert_mem_eq(made.key, loaded.key, sizeof made.key);
}
END_TEST

START_TEST(key_open_to_others_is_refused_and_the_sentence_mends_it)
{
    struct secret_master loaded;

    ck_assert_int_eq(secret_master_create(path, &loaded, &why), STATUS_OK);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(chmod(path, i ? 0640 : 0604), 0);
        ck_assert_int_eq(secret_master_load(path, &loaded, &why), STATUS_REJECT);
        ck_assert_ptr_nonnull(strstr(why.text, "chmod 600"));
    }
}
END_TEST

START_TEST(missing_and_malformed_keys_are_refused_without_quoting_them)
{
    static const char digits[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    char content[80];
    struct secret_master loaded;

    ck_assert_int_eq(secret_master_load(path, &loaded, &why), STATUS_REJECT);
    ck_assert_ptr_nonnull(strstr(why.text, path));
    ck_assert_int_eq(secret_master_load(folder, &loaded, &why), STATUS_REJECT);
    static const char *const ends[] = {"0\n", "\n\n", "00", " \n", "\r\n"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        snprintf(content, sizeof content, "%s%s", digits, ends[i]);
        write_key(content, 0600);
        ck_assert_msg(secret_master_load(path, &loaded, &why) == STATUS_REJECT, "%zu", i);
        ck_assert_ptr_null(strstr(why.text, "0011"));
    }
    write_key("", 0600);
    ck_assert_int_eq(secret_master_load(path, &loaded, &why), STATUS_REJECT);
    write_key(digits, 0600); /* an editor's missing newline is fine */
    ck_assert_int_eq(secret_master_load(path, &loaded, &why), STATUS_OK);
    ck_assert_uint_eq(loaded.key[1], 0x11);
}
END_TEST

START_TEST(sealed_bytes_open_with_their_key_only)
{
    struct secret_master master, other;
    uint8_t sealed[SECRET_SEALED_BYTES(5)], again[SECRET_SEALED_BYTES(5)], plain[5];

    secret_random(&master, sizeof master);
    secret_random(&other, sizeof other);
    secret_seal(&master, (const uint8_t *)"hello", 5, sealed);
    secret_seal(&master, (const uint8_t *)"hello", 5, again);
    ck_assert_mem_ne(sealed, again, sizeof sealed); /* a fresh nonce each time */
    ck_assert(secret_open(&master, sealed, sizeof sealed, plain));
    ck_assert_mem_eq(plain, "hello", 5);
    ck_assert(!secret_open(&other, sealed, sizeof sealed, plain));
    for (size_t i = 0; i < sizeof sealed; i++) {
        sealed[i] ^= 1;
        ck_assert(!secret_open(&master, sealed, sizeof sealed, plain));
        sealed[i] ^= 1;
    }
    for (size_t count = 0; count < sizeof sealed; count++)
        ck_assert(!secret_open(&master, sealed, count, plain));
}
END_TEST

START_TEST(hmac_of_rfc_4231)
{
    static const char expected[] = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    static const char long_key[] = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54";
    uint8_t out[SECRET_HMAC_BYTES], key[131];
    char digits[2 * SECRET_HMAC_BYTES + 1];

    secret_hmac_sha256((const uint8_t *)"Jefe", 4, TEXT("what do ya want for nothing?"), out);
    text_hex_encode(out, sizeof out, digits);
    ck_assert_str_eq(digits, expected);
    memset(key, 0xaa, sizeof key);
    secret_hmac_sha256(key, sizeof key, TEXT("Test Using Larger Than Block-Size Key - Hash Key First"), out);
    text_hex_encode(out, sizeof out, digits);
    ck_assert_str_eq(digits, long_key);
}
END_TEST

START_TEST(digest_depends_on_boundaries_and_key)
{
    const struct text ab_c[] = {TEXT("ab"), TEXT("c")}, a_bc[] = {TEXT("a"), TEXT("bc")};
    const struct text with_empty[] = {TEXT("ab"), TEXT("c"), TEXT_NONE};
    struct secret_master key;
    uint8_t out[5][SECRET_DIGEST_BYTES];

    memset(&key, 7, sizeof key);
    secret_digest(ab_c, 2, NULL, out[0]);
    secret_digest(a_bc, 2, NULL, out[1]);
    secret_digest(with_empty, 3, NULL, out[2]);
    secret_digest(ab_c, 2, &key, out[3]);
    secret_digest(NULL, 0, NULL, out[4]);
    for (size_t i = 0; i < 5; i++)
        for (size_t k = 0; k < i; k++)
            ck_assert_mem_ne(out[i], out[k], SECRET_DIGEST_BYTES);
    secret_digest(ab_c, 2, NULL, out[1]);
    ck_assert_mem_eq(out[0], out[1], SECRET_DIGEST_BYTES);
}
END_TEST

START_TEST(digest_never_changes_between_versions)
{
    /* Stored ids are made of it. b2sum -l 128 of: 02 00*7 "ab" 01 00*7 "c". */
    const struct text parts[] = {TEXT("ab"), TEXT("c")};
    uint8_t out[SECRET_DIGEST_BYTES];
    char digits[2 * SECRET_DIGEST_BYTES + 1];

    secret_digest(parts, 2, NULL, out);
    text_hex_encode(out, sizeof out, digits);
    ck_assert_str_eq(digits, "4826ed043ab3cdec576d8541fa5d5a80");
}
END_TEST

START_TEST(random_differs_wipe_wipes_and_equal_compares)
{
    uint8_t a[32] = {0}, b[32] = {0};

    ck_assert(secret_equal(a, b, sizeof a));
    secret_random(a, sizeof a);
    secret_random(b, sizeof b);
    ck_assert(!secret_equal(a, b, sizeof a));
    secret_wipe(a, sizeof a);
    memset(b, 0, sizeof b);
    ck_assert(secret_equal(a, b, sizeof a));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        created_key_is_private_and_loads_again,
        existing_key_is_never_overwritten,
        key_open_to_others_is_refused_and_the_sentence_mends_it,
        missing_and_malformed_keys_are_refused_without_quoting_them,
        sealed_bytes_open_with_their_key_only,
        hmac_of_rfc_4231,
        digest_depends_on_boundaries_and_key,
        digest_never_changes_between_versions,
        random_differs_wipe_wipes_and_equal_compares,
    };
    return check_main(&(const struct check_suite){.name = "runtime/secret",
                                                  .tests = tests,
                                                  .count = sizeof tests / sizeof *tests,
                                                  .setup = setup,
                                                  .teardown = teardown,
                                                  .timeout_seconds = 30});
}
