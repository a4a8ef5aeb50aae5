#include <stdlib.h>

#include "ingest/decode.h"
#include "ingest/decompress.h"
#include "ingest/sas.h"

#define BODY_BYTES_MAX 65536

/* What a stranger's bytes meet before anyone has said that they are fine: decompression, the check of JSON with its
 * search for identity, and the reading of a token. The first byte chooses. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_json(struct text body)
{
    static const struct decode_claim as_json = {.content_type = {"application/json", 16}}, as_nothing;
    struct decoded decoded;
    struct problem why;

    if (decode(&as_json, body, 64, &decoded, &why) == STATUS_OK) {
        if (!decoded.claims_json || decoded.line)
            abort();
    } else if (!decoded.line || !decoded.column || decoded.has_identity) {
        abort();
    }
    (void)!decode(&as_nothing, body, 8, &decoded, &why);
}

static void fuzz_token(struct text token)
{
    static const uint8_t key[32];
    struct sas sas;
    struct problem why;

    if (sas_parse(token, &sas, &why))
        return;
    (void)sas_covers(&sas, TEXT("d1"), TEXT(""));
    (void)sas_covers(&sas, TEXT("d1"), TEXT("m"));
    (void)sas_signed_with(&sas, key, sizeof key);
}

static void fuzz_coding(enum coding coding, struct text body)
{
    struct buf out;

    buf_init(&out, BODY_BYTES_MAX);
    if (decompress(coding, body, &out) == DECOMPRESS_OK && out.count > BODY_BYTES_MAX)
        abort();
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text rest = {size ? (const char *)data + 1 : "", size ? size - 1 : 0};

    switch (size ? data[0] % 8 : 0) {
    case 0:
        fuzz_coding(CODING_GZIP, rest);
        break;
    case 1:
        fuzz_coding(CODING_DEFLATE, rest);
        break;
    case 2:
        fuzz_coding(CODING_ZSTD, rest);
        break;
    case 3:
    case 4:
        fuzz_token(rest);
        break;
    default:
        fuzz_json(rest);
        break;
    }
    return 0;
}
