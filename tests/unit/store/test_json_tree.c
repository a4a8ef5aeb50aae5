#include "store/json_tree.h"

#include "runtime/buf.h"
#include "tests/support/check_main.h"
#include "tests/unit/store/message.h"

static struct arena arena;
static struct problem why;

static void setup(void)
{
    arena_init(&arena);
}

static void teardown(void)
{
    arena_done(&arena);
}

static struct json_node *tree(const char *source)
{
    struct json_node *node = NULL;

    ck_assert_msg(json_tree_read(text_of(source), 64, &arena, &node, &why) == STATUS_OK, "%s: %s", source, why.text);
    ck_assert_ptr_nonnull(node);
    return node;
}

START_TEST(members_keep_the_order_of_their_sender)
{
    struct json_node *node = tree("{\"b\":1,\"aa\":[true,null,\"x\"],\"a\":{}}");
    static const char *const names[] = {"b", "aa", "a"};
    static const uint32_t ranks[] = {1, 2, 0}; /* jsonb: by length, then bytes */
    size_t i = 0;

    ck_assert_uint_eq(node->count, 3);
    ck_assert(!node->sorted);
    for (const struct json_node *child = node->first; child; child = child->next, i++) {
        ck_assert_text_eq(child->name, names[i]);
        ck_assert_uint_eq(child->rank, ranks[i]);
    }
    ck_assert_uint_eq(i, 3);
    const struct json_node *list = node_member(node, "aa");
    ck_assert_uint_eq(list->count, 3);
    ck_assert_int_eq(list->first->kind, PICKET_JSON_TRUE);
    ck_assert_int_eq(list->first->next->kind, PICKET_JSON_NULL);
    ck_assert_text_eq(node_string(list->first->next->next), "x");
}
END_TEST

START_TEST(an_object_that_jsonb_would_not_reorder_says_so)
{
    ck_assert(tree("{\"a\":1,\"b\":2,\"aa\":3}")->sorted);
    ck_assert(tree("{\"a\":1}")->sorted);
    ck_assert(tree("{}")->sorted);
    ck_assert(!tree("{\"aa\":1,\"a\":2}")->sorted);
}
END_TEST

START_TEST(escapes_are_undone_in_names_and_values)
{
    struct json_node *node = tree("{\"\\u0041\\n\":\"\\/\\ud83d\\ude00\\\"\"}");

    ck_assert_text_eq(node->first->name, "A\n");
    ck_assert_text_eq(node->first->text, "/\xf0\x9f\x98\x80\"");
    ck_assert_uint_eq(node->first->replaced, 0);
    ck_assert_uint_eq(node->replaced, 0);
}
END_TEST

START_TEST(what_postgresql_cannot_hold_is_replaced_with_a_mark)
{
    struct json_node *node = tree("{\"n\":\"a\\u0000b\",\"s\":[\"\\ud800\"],\"\\u0000\":1}");

    ck_assert_text_eq(node->first->text, "a\xef\xbf\xbd" "b");
    ck_assert_uint_eq(node->first->replaced, JSON_NODE_NUL);
    const struct json_node *list = node_member(node, "s");
    ck_assert_uint_eq(list->replaced, JSON_NODE_BELOW);
    ck_assert_uint_eq(list->first->replaced, JSON_NODE_SURROGATE);
    ck_assert_text_eq(list->first->text, "\xef\xbf\xbd");
    const struct json_node *named = node_member(node, "\xef\xbf\xbd");
    ck_assert_ptr_nonnull(named);
    ck_assert_uint_eq(named->replaced, JSON_NODE_NUL);
    ck_assert_uint_eq(node->replaced, JSON_NODE_BELOW);
}
END_TEST

START_TEST(of_members_with_one_name_the_last_stays_where_it_stood)
{
    struct json_node *node = tree("{\"a\":1,\"b\":2,\"a\":3,\"c\":4,\"a\":5}");

    ck_assert_uint_eq(node->count, 3);
    ck_assert_text_eq(node->first->name, "b");
    ck_assert_text_eq(node->first->next->name, "c");
    ck_assert_text_eq(node->first->next->next->name, "a");
    ck_assert_text_eq(node->first->next->next->text, "5");
    ck_assert(node->first->next->next->replaced & JSON_NODE_DUPLICATE);
    ck_assert(!(node->first->replaced & JSON_NODE_DUPLICATE));
    ck_assert_ptr_null(node->first->next->next->next);
    /* Ranks are of what stayed: a is first, then b, then c. */
    ck_assert_uint_eq(node->first->rank, 1);
    ck_assert_uint_eq(node->first->next->rank, 2);
    ck_assert_uint_eq(node->first->next->next->rank, 0);
}
END_TEST

START_TEST(names_that_became_one_by_replacing_are_duplicates_too)
{
    struct json_node *node = tree("{\"\\ud800\":1,\"\\u0000\":2}");

    ck_assert_uint_eq(node->count, 1);
    ck_assert_text_eq(node->first->text, "2");
    ck_assert(node->first->replaced & JSON_NODE_DUPLICATE);
}
END_TEST

START_TEST(a_duplicate_far_down_is_seen_from_the_root)
{
    struct json_node *node = tree("[{\"x\":{\"y\":[{\"a\":1,\"a\":2}]}}]");

    ck_assert_uint_eq(node->replaced, JSON_NODE_BELOW);
    ck_assert_uint_eq(node->first->replaced, JSON_NODE_BELOW);
}
END_TEST

START_TEST(numbers_that_numeric_should_not_hold_become_text)
{
    static const struct {
        const char *number;
        bool big;
    } cases[] = {
        {"1e300", false}, {"1E+300", false}, {"1e-300", false}, {"1e301", true}, {"1e-301", true},
        {"-0.5e+0000000300", false}, {"1e131000", true}, {"1e99999999999999999999", true},
        {"12345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901", true},
        {"1234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890", false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json_node *node = tree(cases[i].number);
        ck_assert_text_eq(node->text, cases[i].number);
        ck_assert_msg(node->kind == (cases[i].big ? PICKET_JSON_STRING : PICKET_JSON_NUMBER), "%s", cases[i].number);
        ck_assert_uint_eq(node->replaced, cases[i].big ? JSON_NODE_BIG_NUMBER : 0);
    }
}
END_TEST

START_TEST(large_objects_are_ranked_like_small_ones)
{
    struct buf source;
    enum { MEMBERS = 700 };

    buf_init(&source, 1 << 20);
    buf_byte(&source, '{');
    for (int i = 0; i < MEMBERS; i++)
        buf_format(&source, "%s\"%d\":%d", i ? "," : "", MEMBERS - 1 - i, i);
    buf_string(&source, ",\"5\":\"again\"}");
    struct json_node *node = tree(source.bytes);
    ck_assert_uint_eq(node->count, MEMBERS);
    uint32_t seen = 0;
    for (const struct json_node *child = node->first; child; child = child->next, seen++) {
        int64_t name;
        ck_assert(text_to_i64(child->name, &name));
        ck_assert_uint_eq(child->rank, (uint32_t)name); /* decimal numbers sort by length, then digits */
    }
    ck_assert_uint_eq(seen, MEMBERS);
    ck_assert_text_eq(node_member(node, "5")->text, "again");
    buf_done(&source);
}
END_TEST

START_TEST(what_is_not_json_is_refused_with_its_place)
{
    struct json_node *node = (struct json_node *)&arena; /* any address: it has to stay */

    ck_assert_int_eq(json_tree_read(TEXT("{\n\"a\":1,}"), 64, &arena, &node, &why), STATUS_REJECT);
    ck_assert_ptr_nonnull(strstr(why.text, "line 2, column 7"));
    ck_assert_ptr_eq(node, (struct json_node *)&arena);
    ck_assert_int_eq(json_tree_read(TEXT_NONE, 64, &arena, &node, &why), STATUS_REJECT);
    ck_assert_int_eq(json_tree_read(TEXT("[[[]]]"), 2, &arena, &node, &why), STATUS_REJECT);
    ck_assert_int_eq(json_tree_read(TEXT("[[[]]]"), 3, &arena, &node, &why), STATUS_OK);
}
END_TEST

START_TEST(a_body_nested_to_the_limit_is_read)
{
    char source[2 * PICKET_JSON_DEPTH_LIMIT];
    struct json_node *node = NULL;

    memset(source, '[', PICKET_JSON_DEPTH_LIMIT);
    memset(source + PICKET_JSON_DEPTH_LIMIT, ']', PICKET_JSON_DEPTH_LIMIT);
    ck_assert_int_eq(json_tree_read((struct text){source, sizeof source}, PICKET_JSON_DEPTH_LIMIT, &arena, &node, &why),
                     STATUS_OK);
    for (int i = 1; i < PICKET_JSON_DEPTH_LIMIT; i++)
        node = node->first;
    ck_assert_uint_eq(node->count, 0);
}
END_TEST

START_TEST(integers_are_read_from_numbers_and_from_text)
{
    int64_t number = 7;

    ck_assert(node_integer(tree("12"), &number) && number == 12);
    ck_assert(node_integer(tree("\"-13\""), &number) && number == -13);
    ck_assert(!node_integer(tree("1.0"), &number));
    ck_assert(!node_integer(tree("\"1x\""), &number));
    ck_assert(!node_integer(tree("true"), &number));
    ck_assert(!node_integer(tree("9223372036854775808"), &number));
    ck_assert(!node_integer(NULL, &number));
    ck_assert_int_eq(number, -13);
}
END_TEST

START_TEST(looking_into_what_is_no_object_finds_nothing)
{
    ck_assert_ptr_null(node_member(NULL, "a"));
    ck_assert_ptr_null(node_member(tree("[1]"), "a"));
    ck_assert_ptr_null(node_member(tree("{\"ab\":1}"), "a"));
    ck_assert_none(node_string(NULL));
    ck_assert_none(node_string(tree("1")));
    ck_assert_text_eq(node_string(tree("\"\"")), "");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        members_keep_the_order_of_their_sender,
        an_object_that_jsonb_would_not_reorder_says_so,
        escapes_are_undone_in_names_and_values,
        what_postgresql_cannot_hold_is_replaced_with_a_mark,
        of_members_with_one_name_the_last_stays_where_it_stood,
        names_that_became_one_by_replacing_are_duplicates_too,
        a_duplicate_far_down_is_seen_from_the_root,
        numbers_that_numeric_should_not_hold_become_text,
        large_objects_are_ranked_like_small_ones,
        what_is_not_json_is_refused_with_its_place,
        a_body_nested_to_the_limit_is_read,
        integers_are_read_from_numbers_and_from_text,
        looking_into_what_is_no_object_finds_nothing,
    };
    return check_main(&(const struct check_suite){.name = "store/json_tree",
                                                  .tests = tests,
                                                  .count = sizeof tests / sizeof *tests,
                                                  .setup = setup,
                                                  .teardown = teardown,
                                                  .timeout_seconds = 30});
}
