#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detect/feed_read.h"
#include "runtime/arena.h"
#include "tests/support/check_main.h"

/* What feeds list and how, and that neighbours of what is listed are not. Domains and addresses are those reserved for examples. */
static struct arena arena;
static struct indicators *set;

static void setup(void)
{
    arena_init(&arena);
    set = indicators_new();
}

static void teardown(void)
{
    indicators_free(set);
    arena_done(&arena);
}

static void note(void *context, struct text feed, struct text value)
{
    const char **said = context;

    *said = arena_format(&arena, "%s%s%.*s:%.*s", *said, **said ? " " : "", TEXT_ARGS(feed), TEXT_ARGS(value));
}

static bool seen(const char *kind, const char *value, const char **said)
{
    struct text text = text_of(value);

    *said = "";
    if (!strcmp(kind, "domain"))
        return indicators_find_domain(set, text, note, said);
    if (!strcmp(kind, "url"))
        return indicators_find_url(set, text, note, said);
    if (!strcmp(kind, "hash"))
        return indicators_find_hash(set, text, note, said);
    return indicators_find_ip(set, text, (uint32_t)strtoul(kind, NULL, 10), note, said); /* a port */
}

static void expect(const char *kind, const char *value, const char *wanted)
{
    const char *said;
    bool found = seen(kind, value, &said);

    ck_assert_msg(found == (*wanted != '\0') && strcmp(said, wanted) == 0, "%s %s: \"%s\" and not \"%s\"", kind, value, said, wanted);
}

START_TEST(addresses_networks_and_ports_are_told_apart)
{
    uint16_t feed = indicators_feed(set, TEXT("f"));
    static const char *const listed[] = {"192.0.2.7", "198.51.100.0/25", "203.0.113.9:3333", "2001:db8::5", "2001:db8:7::/48", "[2001:db8::9]:80", "10.0.0.0/8"};

    for (size_t i = 0; i < sizeof listed / sizeof *listed; i++)
        ck_assert_msg(indicators_add(set, feed, text_of(listed[i])), "%s", listed[i]);
    expect("0", "192.0.2.7", "f:192.0.2.7");
    expect("443", "192.0.2.7", "f:192.0.2.7");
    expect("0", "::ffff:192.0.2.7", "f:192.0.2.7");
    expect("0", "192.0.2.8", "");
    expect("0", "198.51.100.127", "f:198.51.100.0/25");
    expect("0", "198.51.100.128", "");
    expect("3333", "203.0.113.9", "f:203.0.113.9:3333");
    expect("3334", "203.0.113.9", "");
    expect("0", "203.0.113.9", "");
    expect("0", "2001:db8:0::5", "f:2001:db8::5");
    expect("0", "2001:db8:7:ffff::1", "f:2001:db8:7::/48");
    expect("0", "2001:db8:8::1", "");
    expect("80", "2001:db8::9", "f:[2001:db8::9]:80");
    expect("81", "2001:db8::9", "");
    expect("0", "10.255.255.255", "f:10.0.0.0/8");
    expect("0", "11.0.0.0", "");
    expect("0", "not an address", "");
    expect("0", "", "");
}
END_TEST

START_TEST(a_domain_covers_what_is_below_it_and_nothing_beside)
{
    uint16_t feed = indicators_feed(set, TEXT("f"));

    ck_assert(indicators_add(set, feed, TEXT("Bad.Example.com.")));
    ck_assert(indicators_add(set, feed, TEXT("evil[.]example")));
    expect("domain", "bad.example.com", "f:Bad.Example.com.");
    expect("domain", "BAD.example.COM.", "f:Bad.Example.com.");
    expect("domain", "a.b.bad.example.com", "f:Bad.Example.com.");
    expect("domain", "xbad.example.com", "");
    expect("domain", "example.com", "");
    expect("domain", "bad.example.com.org", "");
    expect("domain", "evil.example", "f:evil[.]example");
    expect("domain", "", "");
    expect("domain", ".", "");
    ck_assert(indicators_add(set, feed, TEXT("*.stars.example")));
    ck_assert(indicators_add(set, feed, TEXT(".dots.example")));
    ck_assert(!indicators_add(set, feed, TEXT("*.")));
    ck_assert(!indicators_add(set, feed, TEXT("..dots.example")));
    expect("domain", "a.stars.example", "f:*.stars.example");
    expect("domain", "www.dots.example", "f:.dots.example");
    expect("domain", "xdots.example", "");
    ck_assert(indicators_add(set, feed, TEXT("b\u00fccher.example")));
    ck_assert(indicators_add(set, feed, TEXT("xn--strae-oqa.example")));
    expect("domain", "www.xn--bcher-kva.example", "f:b\u00fccher.example");
    expect("domain", "www.B\u00dcCHER.example", "f:b\u00fccher.example");
    expect("domain", "stra\u00dfe.example", "f:xn--strae-oqa.example");
    expect("domain", "bucher.example", "");
}
END_TEST

START_TEST(urls_are_the_same_however_they_are_written)
{
    uint16_t feed = indicators_feed(set, TEXT("f"));
    static const char *const listed[] = {"hxxp://a.example/x.sh", "https://B.example", "c.example/bins/m.arm7", "/only/this.sh", "http://192.0.2.1:8080/i"};

    for (size_t i = 0; i < sizeof listed / sizeof *listed; i++)
        ck_assert_msg(indicators_add(set, feed, text_of(listed[i])), "%s", listed[i]);
    expect("url", "http://a.example/x.sh", "f:hxxp://a.example/x.sh");
    expect("url", "HTTP://A.EXAMPLE:80/x.sh#top", "f:hxxp://a.example/x.sh");
    expect("url", "http://a.example/X.sh", "");
    expect("url", "https://a.example/x.sh", "");
    expect("url", "http://a.example/x.shx", "");
    expect("url", "https://b.example/", "f:https://B.example");
    expect("url", "https://b.example:443", "f:https://B.example");
    expect("url", "https://b.example/a", "");
    expect("url", "ftp://c.example/bins/m.arm7", "f:c.example/bins/m.arm7");
    expect("url", "http://d.example/only/this.sh", "f:/only/this.sh");
    expect("url", "http://d.example/only/this.sh?x=1", "f:/only/this.sh");
    expect("url", "http://d.example/only/this.sh2", "");
    expect("url", "http://user@192.0.2.1:8080/i", "f:http://192.0.2.1:8080/i");
    expect("url", "http://192.0.2.1/i", "");
}
END_TEST

START_TEST(names_within_urls_are_compared_as_dns_has_them)
{
    uint16_t feed = indicators_feed(set, TEXT("f"));

    ck_assert(indicators_add(set, feed, TEXT("http://b\u00fccher.example/\u00fc")));
    expect("url", "http://XN--BCHER-KVA.example:80/\u00fc", "f:http://b\u00fccher.example/\u00fc");
    expect("url", "http://bucher.example/\u00fc", "");
}
END_TEST

START_TEST(hashes_go_by_their_digits)
{
    uint16_t feed = indicators_feed(set, TEXT("f")), other = indicators_feed(set, TEXT("g"));
    const char *md5 = "0123456789ABCDEF0123456789abcdef";

    ck_assert(indicators_add(set, feed, text_of(md5)));
    ck_assert(indicators_add(set, feed, text_of(md5)));
    ck_assert(indicators_add(set, other, text_of(md5)));
    ck_assert_uint_eq(indicators_count(set), 2);
    expect("hash", "0123456789abcdef0123456789abcdef", "f:0123456789ABCDEF0123456789abcdef g:0123456789ABCDEF0123456789abcdef");
    expect("hash", "0123456789abcdef0123456789abcdee", "");
    expect("hash", "0123456789abcdef", "");
    static const char *const none[] = {"", "plain words", "nodots", "300.1.1.1", "10.0.0.0/33", "zz", "..", "a..b", "1.2.3", "-"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        ck_assert_msg(!indicators_add(set, feed, text_of(none[i])), "%s", none[i]);
}
END_TEST

/* ---- feeds ---- */

static struct feed_facts feed(const char *name, const char *content)
{
    struct feed_facts facts;
    struct problem why;

    struct feed_into into = {set, indicators_feed(set, text_of(name))};
    ck_assert_msg(feed_read(text_of(content), FEED_ANY, feed_take_into, &into, &facts, &why) == STATUS_OK, "%s: %s", name, why.text);
    return facts;
}

START_TEST(feeds_are_read_as_what_they_are)
{
    struct feed_facts facts = feed("list", "# a list\n\n192.0.2.1\t7\n  192.0.2.2 # with a name\nbad.example;a comment\n!! no\nnothing here\n");
    ck_assert_int_eq(facts.format, FEED_LIST);
    ck_assert_uint_eq(facts.added, 3);
    ck_assert_uint_eq(facts.ignored, 1);
    ck_assert_uint_eq(facts.first_ignored, 7);
    expect("0", "192.0.2.2", "list:192.0.2.2");
    expect("domain", "bad.example", "list:bad.example");

    ck_assert_int_eq(feed("csv", "Domain,Family,Seen\nc1.example,\"a, b\",2026\n\"c2.example\",x,y\n").format, FEED_CSV);
    expect("domain", "c2.example", "csv:c2.example");
    feed("kinds", "2026-07-01 00:05:00,who.example,url,\"http://u.example/a,b\",#tag,https://post.example/1\n2026,who.example,ip,192.0.2.77,,\n");
    expect("url", "http://u.example/a,b", "kinds:http://u.example/a,b");
    expect("0", "192.0.2.77", "kinds:192.0.2.77");
    expect("domain", "who.example", "");
    expect("url", "https://post.example/1", "");

    ck_assert_uint_eq(feed("marked", "\xef\xbb\xbf""192.0.2.90\r\n192.0.2.91\r\n").added, 2);
    expect("0", "192.0.2.90", "marked:192.0.2.90");

    ck_assert_int_eq(feed("hosts", "# x\n127.0.0.1 localhost\n0.0.0.0 h1.example h2.example # both\n").format, FEED_HOSTS);
    expect("domain", "h2.example", "hosts:h2.example");
    ck_assert_int_eq(feed("adblock", "[Adblock Plus 2.0]\n! x\n||ad.example^$third-party\n||ad2.example^\n").format, FEED_ADBLOCK);
    expect("domain", "www.ad2.example", "adblock:ad2.example");
}
END_TEST

START_TEST(patterns_of_stix_are_read_around_their_quotes)
{
    const struct feed_facts facts = feed("p",
        "[{\"type\":\"indicator\",\"pattern\":\"[url:value = 'http://q.example/it\\\\'s']\"},"
        "{\"type\":\"indicator\",\"pattern\":\"[url:value = 'http://q.example/a AND b']\"},"
        "{\"type\":\"indicator\",\"pattern\":\"[domain-name:value IN ('i1.example','i2.example')] OR [ipv4-addr:value ISSUBSET '192.0.2.96/28']\"},"
        "{\"type\":\"indicator\",\"pattern\":\"[network-traffic:dst_ref.value = '192.0.2.120']\"},"
        "{\"type\":\"indicator\",\"pattern\":\"[network-traffic:dst_ref.value = '192.0.2.121' AND network-traffic:dst_port = 23]\"},"
        "{\"type\":\"indicator\",\"pattern\":\"[url:value LIKE 'http://like.example/%']\"},"
        "{\"type\":\"indicator\",\"pattern\":\"[file:name = 'url:value']\"}]");

    ck_assert_uint_eq(facts.added, 6);
    ck_assert_uint_eq(facts.ignored, 3);
    expect("url", "http://q.example/it's", "p:http://q.example/it's");
    expect("url", "http://q.example/a AND b", "p:http://q.example/a AND b");
    expect("domain", "i2.example", "p:i2.example");
    expect("0", "192.0.2.111", "p:192.0.2.96/28");
    expect("0", "192.0.2.120", "p:192.0.2.120");
    expect("0", "192.0.2.121", "");
}
END_TEST

START_TEST(misp_events_and_stix_bundles_are_read)
{
    static const char misp[] =
        "{\"Event\":{\"info\":\"x\",\"Attribute\":[{\"type\":\"ip-dst|port\",\"value\":\"192.0.2.3|81\"},{\"type\":\"domain|ip\",\"value\":\"m.example|192.0.2.4\"},"
        "{\"type\":\"text\",\"value\":\"t.example\"},{\"type\":\"domain\",\"deleted\":true,\"value\":\"gone.example\"},{\"type\":\"filename|md5\",\"value\":\"a.bin|00000000000000000000000000000001\"}],"
        "\"Object\":[{\"Attribute\":[{\"type\":\"url\",\"value\":\"http://o.example/\"}]}]}}";
    static const char stix[] =
        "{\"type\":\"bundle\",\"objects\":[{\"type\":\"indicator\",\"pattern\":\"[ipv4-addr:value = '192.0.2.5' OR domain-name:value = 's.example']\"},"
        "{\"type\":\"indicator\",\"pattern\":\"[file:hashes.'SHA-1' = '0000000000000000000000000000000000000001']\"},"
        "{\"type\":\"indicator\",\"pattern\":\"[url:value = 'http://both.example/' AND ipv4-addr:value = '192.0.2.6']\"},"
        "{\"type\":\"indicator\",\"revoked\":true,\"pattern\":\"[domain-name:value = 'gone.example']\"},{\"type\":\"malware\",\"name\":\"x\"}]}";
    struct feed_facts facts = feed("misp", misp);
    struct problem why;

    ck_assert_int_eq(facts.format, FEED_MISP);
    ck_assert_uint_eq(facts.added, 5);
    expect("81", "192.0.2.3", "misp:192.0.2.3:81");
    expect("0", "192.0.2.4", "misp:192.0.2.4");
    expect("domain", "m.example", "misp:m.example");
    expect("domain", "t.example", "");
    expect("hash", "00000000000000000000000000000001", "misp:00000000000000000000000000000001");
    expect("url", "http://o.example", "misp:http://o.example/");

    facts = feed("stix", stix);
    ck_assert_int_eq(facts.format, FEED_STIX);
    ck_assert_uint_eq(facts.added, 3);
    ck_assert_uint_eq(facts.ignored, 1);
    expect("0", "192.0.2.5", "stix:192.0.2.5");
    expect("domain", "a.s.example", "stix:s.example");
    expect("hash", "0000000000000000000000000000000000000001", "stix:0000000000000000000000000000000000000001");
    expect("url", "http://both.example/", "");
    expect("domain", "gone.example", "");

    static const char warnings[] = "{\"name\":\"dns\",\"type\":\"cidr\",\"list\":[\"192.0.2.53\",\"198.51.100.0/24\",7]}";
    facts = feed("warning", warnings);
    ck_assert_int_eq(facts.format, FEED_WARNING);
    ck_assert_uint_eq(facts.added, 2);
    ck_assert_uint_eq(facts.ignored, 1);
    expect("0", "192.0.2.53", "warning:192.0.2.53");

    struct feed_into into = {set, 0};
    ck_assert_int_eq(feed_read(TEXT("{\"a\":"), FEED_ANY, feed_take_into, &into, &facts, &why), STATUS_REJECT);
    ck_assert_int_eq(feed_read(TEXT("{\"a\":1}"), FEED_ANY, feed_take_into, &into, &facts, &why), STATUS_REJECT);
    ck_assert_ptr_nonnull(strstr(why.text, "neither a MISP event nor a STIX bundle"));
}
END_TEST

START_TEST(many_are_found_again)
{
    uint16_t feed_id = indicators_feed(set, TEXT("f"));
    const char *said;

    for (int i = 0; i < 50000; i++)
        ck_assert(indicators_add(set, feed_id, text_of(arena_format(&arena, "h%d.example", i))));
    ck_assert_uint_eq(indicators_count(set), 50000);
    for (int i = 0; i < 50000; i++)
        ck_assert(seen("domain", arena_format(&arena, "x.h%d.example", i), &said));
    ck_assert(!seen("domain", "h50000.example", &said));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        addresses_networks_and_ports_are_told_apart,
        a_domain_covers_what_is_below_it_and_nothing_beside,
        urls_are_the_same_however_they_are_written,
        names_within_urls_are_compared_as_dns_has_them,
        hashes_go_by_their_digits,
        feeds_are_read_as_what_they_are,
        patterns_of_stix_are_read_around_their_quotes,
        misp_events_and_stix_bundles_are_read,
        many_are_found_again,
    };
    const struct check_suite suite = {"detect/indicators", tests, sizeof tests / sizeof *tests, setup, teardown, 60};
    return check_main(&suite);
}
