#include <stdlib.h>

#include "runtime/x509.h"

/* What a client's certificate, and an operator's upload, meet first. The first byte chooses; seeds are a certificate of
 * each kind and a list. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_chain(struct x509_chain *take_chain)
{
    struct x509_authority *authority = NULL;
    struct x509_facts facts;
    struct x509_path path;
    struct problem why;
    struct arena arena;

    arena_init(&arena);
    x509_chain_facts(take_chain, &facts);
    if (memchr(facts.subject, 0, sizeof facts.subject) == NULL || strchr(facts.subject, '\n'))
        abort();
    (void)!x509_chain_in_time(take_chain, 1800000000, &why);
    if (x509_authority_new(x509_chain_leaf(take_chain, &arena), TEXT_NONE, &authority, &why) == STATUS_OK)
        (void)!x509_verify(take_chain, authority, 1800000000, &path, &why);
    x509_authority_free(authority);
    x509_chain_free(take_chain);
    arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text rest = {size ? (const char *)data + 1 : "", size ? size - 1 : 0}, two[2];
    struct x509_chain *chain = NULL;
    struct x509_authority *authority = NULL;
    struct problem why;
    uint8_t thumbprint[X509_SHA256_BYTES];
    size_t count;

    switch (size ? data[0] % 4 : 0) {
    case 0:
        if (x509_chain_read(&rest, 1, &chain, &why) == STATUS_OK)
            fuzz_chain(chain);
        break;
    case 1:
        if (x509_chain_read_pem(rest, &chain, &why) == STATUS_OK)
            fuzz_chain(chain);
        break;
    case 2: /* two bytes say where the list begins */
        if (rest.count < 2)
            break;
        count = (size_t)data[1] << 8 | data[2];
        if (count > rest.count - 2)
            break;
        two[0] = (struct text){rest.bytes + 2, count};
        two[1] = (struct text){rest.bytes + 2 + count, rest.count - 2 - count};
        if (x509_authority_new(two[0], two[1], &authority, &why) == STATUS_OK)
            x509_authority_free(authority);
        break;
    default:
        (void)x509_thumbprint_read(rest, thumbprint, &count);
        break;
    }
    return 0;
}
