#include "query/page.h"

#include "query/base64url.h"
#include "tests/support/check_main.h"

static struct arena arena;
static struct problem why;

static enum status read_page(struct text limit, struct text cursor, const char *list, size_t fields, struct page *out)
{
    return page_read(limit, cursor, list, fields, &arena, out, &why);
}

START_TEST(a_list_begins_with_a_hundred_rows)
{
    struct page page;

    ck_assert_int_eq(read_page(TEXT_NONE, TEXT_NONE, "devices", 2, &page), STATUS_OK);
    ck_assert_int_eq(page.limit, 100);
    ck_assert(!page.continued);
    ck_assert_ptr_null(page.fields[0]);
}
END_TEST

START_TEST(a_limit_is_from_one_to_a_thousand)
{
    static const char *const wrong[] = {"0", "1001", "-1", "", "ten", "10 ", "1e3", "99999999999999999999"};
    struct page page = {.limit = 7};

    ck_assert_int_eq(read_page(TEXT("1"), TEXT_NONE, "devices", 2, &page), STATUS_OK);
    ck_assert_int_eq(page.limit, 1);
    ck_assert_int_eq(read_page(TEXT("1000"), TEXT_NONE, "devices", 2, &page), STATUS_OK);
    ck_assert_int_eq(page.limit, 1000);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ck_assert_msg(read_page(text_of(wrong[i]), TEXT_NONE, "devices", 2, &page) == STATUS_REJECT, "%s", wrong[i]);
    ck_assert_int_eq(page.limit, 1000);
}
END_TEST

START_TEST(a_cursor_gives_back_the_key_of_its_list)
{
    const struct text key[] = {TEXT("1"), TEXT("pump-17"), TEXT("")};
    struct text cursor = page_cursor("devices", key, 3, &arena);
    struct page page;

    ck_assert_int_eq(read_page(TEXT_NONE, cursor, "devices", 3, &page), STATUS_OK);
    ck_assert(page.continued);
    ck_assert_str_eq(page.fields[0], "1");
    ck_assert_str_eq(page.fields[1], "pump-17");
    ck_assert_str_eq(page.fields[2], "");
}
END_TEST

START_TEST(a_cursor_that_is_not_of_this_list_is_refused)
{
    const struct text key[] = {TEXT("1"), TEXT("pump-17")};
    struct text cursor = page_cursor("devices", key, 2, &arena);
    char with_nul[BASE64URL_SIZE(11)];
    struct page page;

    ck_assert_int_eq(read_page(TEXT_NONE, cursor, "events", 2, &page), STATUS_REJECT);
    ck_assert_int_eq(read_page(TEXT_NONE, cursor, "devices", 1, &page), STATUS_REJECT);
    ck_assert_int_eq(read_page(TEXT_NONE, cursor, "devices", 3, &page), STATUS_REJECT);
    ck_assert_int_eq(read_page(TEXT_NONE, TEXT("!!!"), "devices", 2, &page), STATUS_REJECT);
    ck_assert_int_eq(read_page(TEXT_NONE, TEXT(""), "devices", 2, &page), STATUS_REJECT);
    base64url_encode((const uint8_t *)"devices\x1f" "1\x1f\0", 11, with_nul);
    ck_assert_int_eq(read_page(TEXT_NONE, text_of(with_nul), "devices", 2, &page), STATUS_REJECT);
}
END_TEST

START_TEST(a_cursor_of_any_length_is_met_with_a_refusal)
{
    struct page page;
    static char long_one[100000];

    memset(long_one, 'A', sizeof long_one);
    ck_assert_int_eq(read_page(TEXT_NONE, (struct text){long_one, sizeof long_one}, "devices", 2, &page), STATUS_REJECT);
}
END_TEST

static void setup(void)
{
    arena_init(&arena);
}

static void teardown(void)
{
    arena_done(&arena);
}

int main(void)
{
    const TTest *const tests[] = {
        a_list_begins_with_a_hundred_rows,
        a_limit_is_from_one_to_a_thousand,
        a_cursor_gives_back_the_key_of_its_list,
        a_cursor_that_is_not_of_this_list_is_refused,
        a_cursor_of_any_length_is_met_with_a_refusal,
    };
    const struct check_suite suite = {.name = "query/page", .tests = tests, .count = sizeof tests / sizeof tests[0],
                                      .setup = setup, .teardown = teardown, .timeout_seconds = 30};

    return check_main(&suite);
}
