#include "detect/false_friends.h"

#include <string.h>

#include "tests/support/check_main.h"

/* What warning lists say is harmless, and what lies near it is not. Domains and addresses are those reserved for examples. */
static struct false_friends *friends;

static void setup(void)
{
    friends = false_friends_new();
}

static void teardown(void)
{
    false_friends_free(friends);
}

/* Entries of MISP's lists as they are kept. */
static bool keep(void *ignored, const struct feed_entry *entry)
{
    const char *kind = false_friends_kind(true, entry->reach, entry->value);

    (void)ignored;
    return kind && false_friends_add(friends, text_of(kind), entry->value);
}

static struct feed_facts list(const char *content)
{
    struct feed_facts facts;
    struct problem why;

    ck_assert(feed_is_warning_list(text_of(content)));
    ck_assert_msg(feed_read(text_of(content), FEED_ANY, keep, NULL, &facts, &why) == STATUS_OK, "%s", why.text);
    ck_assert_int_eq(facts.format, FEED_WARNING);
    return facts;
}

static bool harmless(const char *kind, const char *value)
{
    return false_friends_have(friends, kind, text_of(value));
}

START_TEST(a_text_is_itself_and_a_host_is_all_below_it)
{
    ck_assert_uint_eq(list("{\"type\":\"string\",\"list\":[\"a.example\",\"D41D8CD98F00B204E9800998ECF8427E\",\".c.example\"]}").added, 3);
    ck_assert_uint_eq(list("{\"type\":\"hostname\",\"list\":[\"b.example\",\"192.0.2.1\"]}").added, 2);
    ck_assert(harmless("domain", "A.example."));
    ck_assert(harmless("domain", "a[.]example"));
    ck_assert(harmless("domain", "*.a.example"));
    ck_assert(!harmless("domain", "www.a.example"));
    ck_assert(!harmless("domain", "nota.example"));
    ck_assert(harmless("domain", "b.example"));
    ck_assert(harmless("domain", "x.y.B.example"));
    ck_assert(!harmless("domain", "notb.example"));
    ck_assert(harmless("domain", "x.c.example"));
    ck_assert(harmless("ip", "192.0.2.1"));
    ck_assert(harmless("md5", "d41d8cd98f00b204e9800998ecf8427e"));
    ck_assert(!harmless("md5", "d41d8cd98f00b204e9800998ecf8427f"));
    ck_assert_uint_eq(false_friends_count(friends), 5);
}
END_TEST

START_TEST(an_address_is_harmless_by_its_network_with_any_port)
{
    (void)list("{\"type\":\"cidr\",\"list\":[\"192.0.2.0/25\",\"2001:db8::53\"]}");
    ck_assert(harmless("ip", "192.0.2.127"));
    ck_assert(!harmless("ip", "192.0.2.128"));
    ck_assert(harmless("ip_port", "192.0.2.1:443"));
    ck_assert(harmless("ip_port", "[2001:db8::53]:853"));
    ck_assert(harmless("network", "192.0.2.0/28"));
    ck_assert(!harmless("network", "192.0.2.128/28"));
}
END_TEST

START_TEST(a_url_is_as_harmless_as_its_host_where_it_is_no_more)
{
    (void)list("{\"type\":\"hostname\",\"list\":[\"b.example\",\"192.0.2.1\",\"2001:db8::1\"]}");
    ck_assert(harmless("url", "https://www.b.example"));
    ck_assert(harmless("url", "https://b.example:8443/"));
    ck_assert(harmless("url", "http://192.0.2.1/"));
    ck_assert(harmless("url", "http://[2001:db8::1]:8080/"));
    ck_assert(!harmless("url", "https://b.example/payload"));
    ck_assert(!harmless("url", "https://b.example?x"));
    ck_assert(!harmless("url", "https://b.example@c.example/"));
    ck_assert(!harmless("url", "https://c.example/"));
}
END_TEST

START_TEST(patterns_look_at_the_whole_value)
{
    ck_assert_uint_eq(list("{\"type\":\"substring\",\"list\":[\"cdn.\",\"+\"]}").added, 2);
    ck_assert_uint_eq(list("{\"type\":\"regex\",\"matching_attributes\":[\"domain\"],\"list\":[\"^ns[0-9]+\\\\.\",\"/^Mirror\\\\./i\",\"(\"]}").ignored, 1);
    ck_assert(harmless("domain", "x.CDN.example"));
    ck_assert(!harmless("domain", "cdnx.example"));
    ck_assert(harmless("url", "http://a.example/a+b"));
    ck_assert(harmless("domain", "ns12.example"));
    ck_assert(!harmless("domain", "x.ns12.example"));
    ck_assert(harmless("domain", "mirror.example"));
    ck_assert(!harmless("ip", "192.0.2.1"));
}
END_TEST

START_TEST(patterns_of_what_is_not_looked_for_are_left_out)
{
    ck_assert_uint_eq(list("{\"type\":\"regex\",\"matching_attributes\":[\"phone-number\"],\"list\":[\"1\"]}").added, 0);
    ck_assert(!harmless("ip", "192.0.2.1"));
}
END_TEST

START_TEST(a_pattern_built_to_blow_up_is_bounded_and_fits_nothing)
{
    static char many[40000];

    (void)list("{\"type\":\"regex\",\"list\":[\"^(a+)+$\"]}");
    memset(many, 'a', sizeof many - 2);
    many[sizeof many - 2] = '!';
    ck_assert(!harmless("domain", many));
    ck_assert(harmless("domain", "aaa"));
}
END_TEST

static void note(void *context, struct text feed, struct text value)
{
    (void)feed, (void)value;
    ++*(int *)context;
}

START_TEST(what_was_seen_is_spared_though_its_network_or_the_name_above_it_is_listed)
{
    struct indicators *set = indicators_new();
    uint16_t feed = indicators_feed(set, TEXT("f"));
    int times = 0;

    (void)list("{\"type\":\"string\",\"list\":[\"good.evil.example\",\"198.51.100.8\"]}");
    ck_assert(indicators_add(set, feed, TEXT("evil.example")) && indicators_add(set, feed, TEXT("198.51.100.0/24")));
    indicators_spare(set, false_friends_have, friends);
    ck_assert(!indicators_find_domain(set, TEXT("Good.evil.example"), note, &times));
    ck_assert(!indicators_find_ip(set, TEXT("198.51.100.8"), 443, note, &times));
    ck_assert_int_eq(times, 0);
    ck_assert(indicators_find_domain(set, TEXT("bad.evil.example"), note, &times));
    ck_assert(indicators_find_ip(set, TEXT("198.51.100.9"), 443, note, &times));
    ck_assert_int_eq(times, 2);
    indicators_free(set);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_text_is_itself_and_a_host_is_all_below_it,
        an_address_is_harmless_by_its_network_with_any_port,
        a_url_is_as_harmless_as_its_host_where_it_is_no_more,
        patterns_look_at_the_whole_value,
        patterns_of_what_is_not_looked_for_are_left_out,
        a_pattern_built_to_blow_up_is_bounded_and_fits_nothing,
        what_was_seen_is_spared_though_its_network_or_the_name_above_it_is_listed,
    };
    return check_main(&(const struct check_suite){.name = "detect/false_friends", .tests = tests, .count = sizeof tests / sizeof *tests, .setup = setup, .teardown = teardown});
}
