#include "programs/sas.h"

#include <stdio.h>
#include <string.h>

#include "ingest/sas.h"
#include "tests/support/check_main.h"

/* Tokens as the front door reads them. */
#define KEYS 2048
#define EXPIRES_S 1893456000

static void signature_of(const char *token, uint8_t out[32])
{
    struct problem why = {.text = ""};
    struct sas sas;

    ck_assert_msg(sas_parse(text_of(token), &sas, &why) == STATUS_OK, "%s: %s", token, why.text);
    ck_assert_int_eq(sas.expires_at_s, EXPIRES_S);
    memcpy(out, sas.signature, 32);
}

START_TEST(a_forged_token_is_as_whole_as_the_right_one_and_signed_otherwise_whatever_the_key)
{
    char connection[256], key[TEXT_BASE64_SIZE(32)], right[SAS_TOKEN_SIZE], forged[SAS_TOKEN_SIZE];
    uint8_t bytes[32] = {0}, signatures[2][32];
    struct problem why;

    for (unsigned i = 0; i < KEYS; i++) {
        bytes[0] = (uint8_t)i;
        bytes[9] = (uint8_t)(i >> 8);
        text_base64_encode(bytes, sizeof bytes, key);
        snprintf(connection, sizeof connection, "HostName=hub.local:8443;DeviceId=d;SharedAccessKey=%s", key);
        ck_assert_int_eq(sas_make(connection, EXPIRES_S * INT64_C(1000000), right, &why), STATUS_OK);
        ck_assert_int_eq(sas_forge(connection, EXPIRES_S * INT64_C(1000000), forged, &why), STATUS_OK);
        signature_of(right, signatures[0]);
        signature_of(forged, signatures[1]);
        ck_assert_mem_ne(signatures[0], signatures[1], 32);
    }
}
END_TEST

START_TEST(what_is_no_connection_string_is_refused)
{
    char token[SAS_TOKEN_SIZE];
    struct problem why;

    ck_assert_int_eq(sas_make("HostName=h;DeviceId=d", 0, token, &why), STATUS_REJECT);
    ck_assert_int_eq(sas_make("HostName=h;DeviceId=d;SharedAccessKey=!", 0, token, &why), STATUS_REJECT);
    ck_assert_int_eq(sas_forge("", 0, token, &why), STATUS_REJECT);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {a_forged_token_is_as_whole_as_the_right_one_and_signed_otherwise_whatever_the_key, what_is_no_connection_string_is_refused};

    return CHECK_MAIN("programs/sas", tests);
}
