#include "runtime/x509.h"

#include <gnutls/x509.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "tests/support/certificate_authority.h"
#include "tests/support/check_main.h"

#define CA_USAGE (GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN)
#define SERVERS_ONLY GNUTLS_KP_TLS_WWW_SERVER

static struct problem why;
static struct arena arena;
static struct issued *root, *middle, *leaf;
static int64_t now_s;

static struct issued *issue(const struct certificate_wish *wish, const struct issued *by)
{
    return certificate_authority_issue(wish, by);
}

static void setup(void)
{
    const struct certificate_wish root_wish = {.common_name = "root", .authority = true, .key_usage = CA_USAGE};
    const struct certificate_wish middle_wish = {.common_name = "middle", .authority = true, .key_usage = CA_USAGE};
    const struct certificate_wish leaf_wish = {.common_name = "d1"};

    arena_init(&arena);
    now_s = time(NULL);
    root = issue(&root_wish, NULL);
    middle = issue(&middle_wish, root);
    leaf = issue(&leaf_wish, middle);
}

static void teardown(void)
{
    certificate_authority_free(leaf);
    certificate_authority_free(middle);
    certificate_authority_free(root);
    arena_done(&arena);
}

static struct x509_chain *chain_of(const struct issued *const *certificates, size_t count)
{
    struct text der[X509_CHAIN_MAX];
    struct x509_chain *chain = NULL;

    for (size_t i = 0; i < count; i++)
        der[i] = certificate_authority_der(certificates[i]);
    ck_assert_msg(x509_chain_read(der, count, &chain, &why) == STATUS_OK, "%s", why.text);
    return chain;
}

static struct x509_authority *authority_of(const struct issued *certificate, struct text revocations)
{
    struct x509_authority *authority = NULL;

    ck_assert_msg(x509_authority_new(certificate_authority_der(certificate), revocations, &authority, &why) == STATUS_OK,
                  "%s", why.text);
    return authority;
}

/* NULL when it passes, else the sentence. */
static const char *verdict_at(const struct issued *const *certificates, size_t count, const struct issued *trusted,
                              int64_t at_s)
{
    struct x509_chain *chain = chain_of(certificates, count);
    struct x509_authority *authority = authority_of(trusted, TEXT_NONE);
    struct x509_path path;

    enum status status = x509_verify(chain, authority, at_s, &path, &why);
    ck_assert(status == STATUS_OK || status == STATUS_REJECT);
    x509_chain_free(chain);
    x509_authority_free(authority);
    return status ? why.text : NULL;
}

static const char *verdict(const struct issued *const *certificates, size_t count, const struct issued *trusted)
{
    return verdict_at(certificates, count, trusted, now_s);
}

static void passes(const char *refusal)
{
    ck_assert_msg(refusal == NULL, "%s", refusal);
}

static void refused(const char *refusal, const char *part_of_it)
{
    ck_assert_msg(refusal != NULL, "passed, instead of: %s", part_of_it);
    ck_assert_msg(strstr(refusal, part_of_it) != NULL, "%s", refusal);
}

/* A leaf of the wish, straight from the root. */
static const char *leaf_verdict(const struct certificate_wish *wish)
{
    struct issued *made = issue(wish, root);
    const struct issued *chain[] = {made};
    const char *refusal = verdict(chain, 1, root);

    certificate_authority_free(made);
    return refusal;
}

/* A leaf below an authority of the wish, which is below the root. */
static const char *issuer_verdict(const struct certificate_wish *wish)
{
    const struct certificate_wish leaf_wish = {.common_name = "d2", .dns_name = "d2.example.com"};
    struct issued *issuer = issue(wish, root), *made = issue(&leaf_wish, issuer);
    const struct issued *chain[] = {made, issuer};
    const char *refusal = verdict(chain, 2, root);

    certificate_authority_free(made);
    certificate_authority_free(issuer);
    return refusal;
}

START_TEST(path_leads_to_a_root_or_to_any_authority_on_it)
{
    const struct issued *whole[] = {leaf, middle, root}, *shuffled[] = {leaf, root, middle}, *two[] = {leaf, middle},
                        *alone[] = {leaf};

    passes(verdict(whole, 3, root));
    passes(verdict(shuffled, 3, root));
    passes(verdict(two, 2, root));
    passes(verdict(whole, 3, middle));
    passes(verdict(two, 2, middle));
    passes(verdict(alone, 1, middle));
    refused(verdict(alone, 1, root), "the issuer of CN=d1 is neither in the chain nor the authority");
}
END_TEST

START_TEST(another_authority_of_the_same_name_is_another)
{
    const struct certificate_wish impostor_wish = {.common_name = "root", .authority = true};
    const struct certificate_wish leaf_wish = {.common_name = "d1"};
    struct issued *impostor = issue(&impostor_wish, NULL), *made = issue(&leaf_wish, impostor);
    const struct issued *chain[] = {made}, *with_it[] = {made, impostor};

    refused(verdict(chain, 1, root), "a signature of the chain is wrong");
    refused(verdict(with_it, 2, root), "");
    passes(verdict(chain, 1, impostor));
    certificate_authority_free(made);
    certificate_authority_free(impostor);
}
END_TEST

START_TEST(self_signed_leaf_and_the_authority_itself_lead_nowhere)
{
    const struct certificate_wish wish = {.common_name = "d1"}, named_alike = {.common_name = "root"};
    struct issued *own = issue(&wish, NULL), *alike = issue(&named_alike, NULL);
    const struct issued *chain[] = {own}, *itself[] = {root}, *alike_chain[] = {alike};

    refused(verdict(chain, 1, root), "neither in the chain");
    refused(verdict(itself, 1, root), "the certificate of the authority itself");
    refused(verdict(alike_chain, 1, root), "");
    certificate_authority_free(own);
    certificate_authority_free(alike);
}
END_TEST

START_TEST(every_date_on_the_path_counts_to_the_second)
{
    const struct certificate_wish short_wish = {.common_name = "short", .authority = true,
                                                .not_before_s = now_s - 10, .not_after_s = now_s + 10};
    const struct certificate_wish leaf_wish = {.common_name = "d2"};
    struct issued *issuer = issue(&short_wish, root), *below = issue(&leaf_wish, issuer);
    const struct issued *chain[] = {below, issuer}, *alone[] = {below};

    passes(verdict_at(chain, 2, root, now_s - 10));
    passes(verdict_at(chain, 2, root, now_s + 10));
    refused(verdict_at(chain, 2, root, now_s - 11), "CN=short is not valid before 2");
    refused(verdict_at(chain, 2, root, now_s + 11), "CN=short expired on 2");
    refused(verdict_at(alone, 1, issuer, now_s + 11), "CN=short expired on 2");
    refused(verdict_at(chain, 2, root, now_s + 3601), "CN=d2 expired on 2");
    refused(verdict_at(chain, 2, root, now_s - 3602), "CN=d2 is not valid before");
    certificate_authority_free(below);
    certificate_authority_free(issuer);
}
END_TEST

START_TEST(path_tells_until_when_it_is_good)
{
    const struct certificate_wish short_wish = {.common_name = "d2", .not_after_s = now_s + 100};
    struct issued *brief = issue(&short_wish, middle);
    const struct issued *certificates[] = {brief, middle};
    struct x509_chain *chain = chain_of(certificates, 2);
    struct x509_authority *authority = authority_of(root, TEXT_NONE);
    struct x509_path path;

    ck_assert_int_eq(x509_verify(chain, authority, now_s, &path, &why), STATUS_OK);
    ck_assert_int_eq(path.valid_until_s, now_s + 100);
    ck_assert_int_eq(x509_chain_in_time(chain, now_s + 100, &why), STATUS_OK);
    ck_assert_int_eq(x509_chain_in_time(chain, now_s + 101, &why), STATUS_REJECT);
    x509_authority_free(authority);
    x509_chain_free(chain);
    certificate_authority_free(brief);
}
END_TEST

START_TEST(only_authorities_issue_and_only_as_deep_as_they_may)
{
    passes(issuer_verdict(&(struct certificate_wish){.common_name = "ca", .authority = true}));
    passes(issuer_verdict(&(struct certificate_wish){.common_name = "ca", .authority = true, .path_limited = true}));
    refused(issuer_verdict(&(struct certificate_wish){.common_name = "ca"}), "issued by one that is no authority");
    refused(issuer_verdict(&(struct certificate_wish){.common_name = "ca", .authority = true,
                                                      .key_usage = GNUTLS_KEY_DIGITAL_SIGNATURE}),
            "may not issue this");

    const struct certificate_wish shallow_wish = {.common_name = "shallow", .authority = true, .path_limited = true};
    const struct certificate_wish ca_wish = {.common_name = "ca", .authority = true}, leaf_wish = {.common_name = "d2"};
    struct issued *shallow = issue(&shallow_wish, root), *deep = issue(&ca_wish, shallow), *made = issue(&leaf_wish, deep);
    const struct issued *chain[] = {made, deep, shallow};
    refused(verdict(chain, 3, root), "may not issue this");
    refused(verdict(chain, 3, shallow), "may not issue this");
    passes(verdict(chain, 3, deep));
    certificate_authority_free(made);
    certificate_authority_free(deep);
    certificate_authority_free(shallow);
}
END_TEST

START_TEST(names_that_an_authority_may_not_give_are_refused)
{
    passes(issuer_verdict(&(struct certificate_wish){.common_name = "ca", .authority = true, .permitted_dns = "example.com"}));
    refused(issuer_verdict(&(struct certificate_wish){.common_name = "ca", .authority = true, .permitted_dns = "other.org"}),
            "may not issue this");

    const struct certificate_wish bound_wish = {.common_name = "ca", .authority = true, .permitted_dns = "other.org"};
    const struct certificate_wish leaf_wish = {.common_name = "d2", .dns_name = "d2.example.com"};
    struct issued *bound = issue(&bound_wish, root), *made = issue(&leaf_wish, bound);
    const struct issued *chain[] = {made};
    refused(verdict(chain, 1, bound), "may not issue this");
    certificate_authority_free(made);
    certificate_authority_free(bound);
}
END_TEST

START_TEST(leaf_has_to_be_for_clients_that_sign)
{
    passes(leaf_verdict(&(struct certificate_wish){.common_name = "d", .purpose = GNUTLS_KP_TLS_WWW_CLIENT}));
    passes(leaf_verdict(&(struct certificate_wish){.common_name = "d", .purpose = GNUTLS_KP_ANY}));
    passes(leaf_verdict(&(struct certificate_wish){.common_name = "d", .key_usage = GNUTLS_KEY_DIGITAL_SIGNATURE}));
    refused(leaf_verdict(&(struct certificate_wish){.common_name = "d", .purpose = SERVERS_ONLY}), "CN=d does not have clientAuth");
    refused(leaf_verdict(&(struct certificate_wish){.common_name = "d", .key_usage = GNUTLS_KEY_KEY_AGREEMENT}),
            "the key usage of CN=d is not for signing in");
}
END_TEST

START_TEST(weak_and_unknown_is_refused_by_name)
{
    refused(leaf_verdict(&(struct certificate_wish){.common_name = "d", .sha1 = true}), "CN=d is signed with ECDSA-SHA1");
    refused(leaf_verdict(&(struct certificate_wish){.common_name = "d", .rsa_bits = 1024}),
            "the key of CN=d is too weak: RSA of 1024 bits");
    passes(leaf_verdict(&(struct certificate_wish){.common_name = "d", .rsa_bits = 2048}));
    refused(leaf_verdict(&(struct certificate_wish){.common_name = "d", .critical_oid = "1.3.6.1.4.1.99999.1"}),
            "a critical extension that is not known");
}
END_TEST

START_TEST(authority_has_to_be_one)
{
    const struct certificate_wish wishes[] = {
        {.common_name = "a"},
        {.common_name = "a", .authority = true, .key_usage = GNUTLS_KEY_DIGITAL_SIGNATURE},
        {.common_name = "a", .authority = true, .rsa_bits = 1024},
    };
    static const char *const sentences[] = {"CN=a is no authority", "CN=a does not have keyCertSign",
                                            "the key of CN=a is too weak: RSA of 1024 bits"};
    struct x509_authority *authority = NULL;

    for (size_t i = 0; i < 3; i++) {
        struct issued *made = issue(&wishes[i], NULL);
        ck_assert_int_eq(x509_authority_new(certificate_authority_der(made), TEXT_NONE, &authority, &why), STATUS_REJECT);
        refused(why.text, sentences[i]);
        certificate_authority_free(made);
    }
    ck_assert_ptr_null(authority);
    authority = authority_of(middle, TEXT_NONE);
    struct text subject = x509_authority_subject(authority);
    const struct issued *certificates[] = {leaf, middle};
    struct x509_chain *chain = chain_of(certificates, 2);
    ck_assert_uint_eq(x509_chain_count(chain), 2);
    ck_assert(text_equal(x509_chain_issuer(chain, 0), subject));
    ck_assert(!text_equal(x509_chain_issuer(chain, 1), subject));
    x509_chain_free(chain);
    x509_authority_free(authority);
}
END_TEST

START_TEST(revoked_certificates_and_all_below_them_are_refused)
{
    const struct certificate_wish other_wish = {.common_name = "other", .authority = true}, leaf_wish = {.common_name = "d2"};
    struct issued *other = issue(&other_wish, root), *below = issue(&leaf_wish, other);
    const struct issued *gone[] = {other}, *good[] = {leaf, middle}, *bad[] = {below, other};
    /* Long out of date, and still heeded. */
    struct text list = certificate_authority_revoke(root, gone, 1, now_s - 1000000, now_s - 900000);
    struct x509_authority *authority = authority_of(root, list);
    struct x509_path path;

    struct x509_chain *chain = chain_of(good, 2);
    ck_assert_msg(x509_verify(chain, authority, now_s, &path, &why) == STATUS_OK, "%s", why.text);
    ck_assert(!x509_authority_revoked(authority, &path.revocable));
    x509_chain_free(chain);
    chain = chain_of(bad, 2);
    ck_assert_int_eq(x509_verify(chain, authority, now_s, &path, &why), STATUS_REJECT);
    refused(why.text, "CN=other was revoked");

    struct x509_authority *before = authority_of(root, TEXT_NONE);
    ck_assert_int_eq(x509_verify(chain, before, now_s, &path, &why), STATUS_OK);
    ck_assert(!x509_authority_revoked(before, &path.revocable));
    ck_assert(x509_authority_revoked(authority, &path.revocable));
    x509_authority_free(before);
    x509_chain_free(chain);
    x509_authority_free(authority);
    free((void *)(uintptr_t)list.bytes);
    certificate_authority_free(below);
    certificate_authority_free(other);
}
END_TEST

START_TEST(list_is_read_from_pem_and_der_and_has_to_be_the_authoritys)
{
    const struct issued *gone[] = {leaf, middle};
    const struct certificate_wish alike_wish = {.common_name = "root", .authority = true},
                                  mute_wish = {.common_name = "root", .authority = true, .key_usage = GNUTLS_KEY_KEY_CERT_SIGN};
    struct issued *alike = issue(&alike_wish, NULL), *mute = issue(&mute_wish, NULL);
    struct text list = certificate_authority_revoke(root, gone, 2, now_s, now_s + 86400);
    struct text forged = certificate_authority_revoke(alike, gone, 2, now_s, now_s + 86400);
    struct text unfit = certificate_authority_revoke(mute, gone, 1, now_s, now_s + 86400);
    struct x509_authority *authority = authority_of(root, TEXT_NONE), *other = authority_of(middle, TEXT_NONE),
                          *muted = authority_of(mute, TEXT_NONE);
    struct x509_revocations facts = {.count = 0};
    char *pem = certificate_authority_list_pem(list);

    ck_assert_int_eq(x509_revocations_read(text_of(pem), authority, &arena, &facts, &why), STATUS_OK);
    ck_assert(text_equal(facts.der, list));
    ck_assert_uint_eq(facts.count, 2);
    ck_assert_int_eq(facts.this_update_s, now_s);
    ck_assert_int_eq(facts.next_update_s, now_s + 86400);
    ck_assert_int_eq(x509_revocations_read(list, authority, &arena, &facts, &why), STATUS_OK);
    ck_assert_int_eq(x509_revocations_read(list, other, &arena, &facts, &why), STATUS_REJECT);
    refused(why.text, "not issued by this authority");
    ck_assert_int_eq(x509_revocations_read(forged, authority, &arena, &facts, &why), STATUS_REJECT);
    refused(why.text, "not validly signed by this authority");
    ck_assert_int_eq(x509_revocations_read(unfit, muted, &arena, &facts, &why), STATUS_REJECT);
    refused(why.text, "cRLSign");
    ck_assert_int_eq(x509_revocations_read(TEXT("nothing"), authority, &arena, &facts, &why), STATUS_REJECT);
    refused(why.text, "no list of revoked certificates");
    free(pem);
    free((void *)(uintptr_t)list.bytes);
    free((void *)(uintptr_t)forged.bytes);
    free((void *)(uintptr_t)unfit.bytes);
    x509_authority_free(authority);
    x509_authority_free(other);
    x509_authority_free(muted);
    certificate_authority_free(alike);
    certificate_authority_free(mute);
}
END_TEST

/* Made by OpenSSL: GnuTLS makes no lists with an issuing distribution point. */
static const char partial_authority[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBejCCAR+gAwIBAgIUHyMvSZTf9kqT5Gc1FjprAt1/EIEwCgYIKoZIzj0EAwIw\n"
    "EjEQMA4GA1UEAwwHcGFydGlhbDAeFw0yNjExMjUxMzI2NTFaFw0zNjExMjIxMzI2\n"
    "NTFaMBIxEDAOBgNVBAMMB3BhcnRpYWwwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC\n"
    "AAQA6IZymqMZ+lmcK+i9IlALCtZgAaRbx6QaZKUrCxIn6GXQwW7VkL9oO6j0/ZIE\n"
    "LGvnEIHoO8WsTyUJhqQGmmsIo1MwUTAdBgNVHQ4EFgQUsuX//YjZB9LROJi/oVLK\n"
    "rQfzWlgwHwYDVR0jBBgwFoAUsuX//YjZB9LROJi/oVLKrQfzWlgwDwYDVR0TAQH/\n"
    "BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEAoJ8btMx1TyzlcjVLuvbYeN+Oik4h\n"
    "KFkE8ojlCe0K+aUCIQCe5333WbdvFro24kdAKU9hyP7HSROHDWMgIj0nByIHeg==\n"
    "-----END CERTIFICATE-----\n";
static const char partial_list[] =
    "-----BEGIN X509 CRL-----\n"
    "MIG6MGICAQEwCgYIKoZIzj0EAwIwEjEQMA4GA1UEAwwHcGFydGlhbBcNMjYxMTI1\n"
    "MTMyNjUxWhcNMjYxMjI1MTMyNjUxWqAfMB0wDwYDVR0cAQH/BAUwA4EB/zAKBgNV\n"
    "HRQEAwIBATAKBggqhkjOPQQDAgNIADBFAiEAwOnTk4Lrmq6zwQvxHrz4jdARg0Pf\n"
    "At+Uxw0HS6ywAPECIGfWbdMkK6Pmh5CoEZm5G7HM6xHkDrV+GDuul37xePZy\n"
    "-----END X509 CRL-----\n";

START_TEST(list_for_a_part_of_the_certificates_is_refused)
{
    struct x509_authority *authority = NULL;
    struct x509_chain *chain = NULL;
    struct x509_revocations facts;

    ck_assert_msg(x509_chain_read_pem(text_of(partial_authority), &chain, &why) == STATUS_OK, "%s", why.text);
    ck_assert_msg(x509_authority_new(x509_chain_leaf(chain, &arena), TEXT_NONE, &authority, &why) == STATUS_OK, "%s", why.text);
    ck_assert_int_eq(x509_revocations_read(text_of(partial_list), authority, &arena, &facts, &why), STATUS_REJECT);
    refused(why.text, "critical extension (2.5.29.28)");
    x509_authority_free(authority);
    x509_chain_free(chain);
}
END_TEST

START_TEST(facts_are_those_of_the_leaf)
{
    const struct issued *certificates[] = {leaf, middle};
    struct x509_chain *chain = chain_of(certificates, 2);
    struct x509_facts facts;

    x509_chain_facts(chain, &facts);
    ck_assert_str_eq(facts.subject, "CN=d1");
    ck_assert_str_eq(facts.common_name, "d1");
    ck_assert_int_le(facts.not_before_s, now_s);
    ck_assert_int_gt(facts.not_after_s, now_s);
    ck_assert_mem_eq(facts.sha1, certificate_authority_sha1(leaf), sizeof facts.sha1);
    ck_assert_mem_eq(facts.sha256, certificate_authority_sha256(leaf), sizeof facts.sha256);
    ck_assert(text_equal(x509_chain_leaf(chain, &arena), certificate_authority_der(leaf)));
    x509_chain_free(chain);
}
END_TEST

static const char *common_name_of(const struct certificate_wish *wish)
{
    static char name[X509_COMMON_NAME_SIZE];
    struct issued *made = issue(wish, NULL);
    const struct issued *certificates[] = {made};
    struct x509_chain *chain = chain_of(certificates, 1);
    struct x509_facts facts;

    x509_chain_facts(chain, &facts);
    memcpy(name, facts.common_name, sizeof name);
    x509_chain_free(chain);
    certificate_authority_free(made);
    return name;
}

START_TEST(common_name_is_taken_as_it_is_or_not_at_all)
{
    char longest[X509_COMMON_NAME_SIZE + 1];

    ck_assert_str_eq(common_name_of(&(struct certificate_wish){.common_name = "-:.+%_#*?!(),=@;$'"}), "-:.+%_#*?!(),=@;$'");
    ck_assert_str_eq(common_name_of(&(struct certificate_wish){.common_name = "device/module"}), "device/module");
    ck_assert_str_eq(common_name_of(&(struct certificate_wish){.common_name = NULL}), "");
    ck_assert_str_eq(common_name_of(&(struct certificate_wish){.common_name = "d1", .second_common_name = "d2"}), "");
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = 0;
    ck_assert_str_eq(common_name_of(&(struct certificate_wish){.common_name = longest}), "");
    longest[X509_COMMON_NAME_SIZE - 1] = 0;
    ck_assert_str_eq(common_name_of(&(struct certificate_wish){.common_name = longest}), longest);
}
END_TEST

/* The name is patched in the DER, since no tool makes one with a NUL. */
START_TEST(common_name_with_a_nul_is_none)
{
    const struct certificate_wish wish = {.common_name = "admin_x"};
    struct issued *made = issue(&wish, root);
    struct text der = certificate_authority_der(made);
    char *copy = arena_string(&arena, der), *name = memmem(copy, der.count, "admin_x", 7);
    struct x509_chain *chain = NULL;
    struct x509_facts facts;

    ck_assert_ptr_nonnull(name);
    name[5] = 0;
    der.bytes = copy;
    ck_assert_msg(x509_chain_read(&der, 1, &chain, &why) == STATUS_OK, "%s", why.text);
    x509_chain_facts(chain, &facts);
    ck_assert_str_eq(facts.common_name, "");
    x509_chain_free(chain);
    certificate_authority_free(made);
}
END_TEST

START_TEST(sentences_quote_nothing_that_ends_a_line)
{
    const struct certificate_wish wish = {.common_name = "d\n\"x", .purpose = SERVERS_ONLY};

    refused(leaf_verdict(&wish), "CN=d");
    ck_assert_ptr_null(strchr(why.text, '\n'));
    ck_assert_ptr_null(strchr(why.text, '"'));
}
END_TEST

START_TEST(garbage_is_refused)
{
    const struct text garbage[] = {TEXT(""), TEXT("x"), TEXT("\x30\x82\xff\xff")};
    struct text many[X509_CHAIN_MAX + 1], der = certificate_authority_der(leaf);
    struct x509_chain *chain = NULL;
    struct x509_authority *authority = NULL;
    char *copy = malloc(der.count);

    ck_assert_ptr_nonnull(copy);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(x509_chain_read(&garbage[i], 1, &chain, &why), STATUS_REJECT);
        ck_assert_int_eq(x509_chain_read_pem(garbage[i], &chain, &why), STATUS_REJECT);
        ck_assert_int_eq(x509_authority_new(garbage[i], TEXT_NONE, &authority, &why), STATUS_REJECT);
    }
    for (size_t i = 0; i <= X509_CHAIN_MAX; i++)
        many[i] = der;
    ck_assert_int_eq(x509_chain_read(many, X509_CHAIN_MAX + 1, &chain, &why), STATUS_REJECT);
    ck_assert_int_eq(x509_chain_read(many, 0, &chain, &why), STATUS_REJECT);
    /* Each byte cut off, and each bit turned: it is refused or read, and never more than that. */
    for (size_t i = 0; i < der.count; i++) {
        struct text cut = {copy, i};
        memcpy(copy, der.bytes, der.count);
        ck_assert_int_eq(x509_chain_read(&cut, 1, &chain, &why), STATUS_REJECT);
        for (int bit = 0; bit < 8; bit++) {
            struct text turned = {copy, der.count};
            struct x509_facts facts;
            memcpy(copy, der.bytes, der.count);
            copy[i] = (char)(copy[i] ^ (1 << bit));
            if (x509_chain_read(&turned, 1, &chain, &why))
                continue;
            x509_chain_facts(chain, &facts);
            x509_chain_free(chain);
            chain = NULL;
        }
    }
    free(copy);
    ck_assert_ptr_null(authority);
}
END_TEST

START_TEST(pem_takes_a_chain_with_text_around_it)
{
    const char *both = arena_format(&arena, "subject: d1\n%s\nissuer: middle\n%s", certificate_authority_pem(leaf),
                                    certificate_authority_pem(middle));
    struct x509_chain *chain = NULL;

    ck_assert_msg(x509_chain_read_pem(text_of(both), &chain, &why) == STATUS_OK, "%s", why.text);
    ck_assert_uint_eq(x509_chain_count(chain), 2);
    ck_assert(text_equal(x509_chain_leaf(chain, &arena), certificate_authority_der(leaf)));
    x509_chain_free(chain);
    ck_assert_int_eq(x509_chain_read_pem(text_of(certificate_authority_key_pem(leaf)), &chain, &why), STATUS_REJECT);
}
END_TEST

START_TEST(thumbprints_are_read_as_people_write_them)
{
    static const char *const good[] = {
        "00112233445566778899AABBCCDDEEFF00112233",
        "00112233445566778899aabbccddeeff00112233",
        "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33",
        " 00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee ff 00 11 22 33 ",
    };
    static const char *const bad[] = {"", "00", "0011223344556677889900112233445566778899001122334455667788990", "zz112233445566778899aabbccddeeff00112233",
                                      "00112233445566778899aabbccddeeff0011223", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff00"};
    uint8_t bytes[X509_SHA256_BYTES];
    size_t count;

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        ck_assert_msg(x509_thumbprint_read(text_of(good[i]), bytes, &count), "%s", good[i]);
        ck_assert_uint_eq(count, X509_SHA1_BYTES);
        ck_assert_mem_eq(bytes, "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff\x00\x11\x22\x33", 20);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!x509_thumbprint_read(text_of(bad[i]), bytes, &count), "%s", bad[i]);
    ck_assert(x509_thumbprint_read(TEXT("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"), bytes, &count));
    ck_assert_uint_eq(count, X509_SHA256_BYTES);
}
END_TEST

static void *verify_often(void *context)
{
    const struct issued *certificates[] = {leaf, middle};
    struct x509_path path;
    struct problem sentence;

    for (int i = 0; i < 50; i++) {
        struct text der[] = {certificate_authority_der(certificates[0]), certificate_authority_der(certificates[1])};
        struct x509_chain *chain = NULL;
        if (x509_chain_read(der, 2, &chain, &sentence) || x509_verify(chain, context, now_s, &path, &sentence))
            abort();
        x509_chain_free(chain);
    }
    return NULL;
}

START_TEST(one_authority_serves_many_threads)
{
    const struct issued *gone[] = {leaf};
    struct text list = certificate_authority_revoke(root, gone, 1, now_s, now_s + 1);
    struct x509_authority *authority = authority_of(root, list);
    pthread_t threads[4];

    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, verify_often, authority), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    x509_authority_free(authority);
    free((void *)(uintptr_t)list.bytes);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        path_leads_to_a_root_or_to_any_authority_on_it,
        another_authority_of_the_same_name_is_another,
        self_signed_leaf_and_the_authority_itself_lead_nowhere,
        every_date_on_the_path_counts_to_the_second,
        path_tells_until_when_it_is_good,
        only_authorities_issue_and_only_as_deep_as_they_may,
        names_that_an_authority_may_not_give_are_refused,
        leaf_has_to_be_for_clients_that_sign,
        weak_and_unknown_is_refused_by_name,
        authority_has_to_be_one,
        revoked_certificates_and_all_below_them_are_refused,
        list_is_read_from_pem_and_der_and_has_to_be_the_authoritys,
        list_for_a_part_of_the_certificates_is_refused,
        facts_are_those_of_the_leaf,
        common_name_is_taken_as_it_is_or_not_at_all,
        common_name_with_a_nul_is_none,
        sentences_quote_nothing_that_ends_a_line,
        garbage_is_refused,
        pem_takes_a_chain_with_text_around_it,
        thumbprints_are_read_as_people_write_them,
        one_authority_serves_many_threads,
    };
    return check_main(&(const struct check_suite){.name = "runtime/x509",
                                                  .tests = tests,
                                                  .count = sizeof tests / sizeof *tests,
                                                  .setup = setup,
                                                  .teardown = teardown,
                                                  .timeout_seconds = 60});
}
