#include "agent/credential.h"

#include <stdio.h>
#include <string.h>

#include "runtime/secret.h"
#include "tests/support/check_main.h"

#define KEY "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=" /* the bytes 0 to 31 */
#define EXPIRES_S 1700003600

static struct credential credential;
static struct reason why;

static bool hmac(const uint8_t *key, size_t key_count, const char *text, size_t count, uint8_t out[CREDENTIAL_HMAC_BYTES])
{
    secret_hmac_sha256(key, key_count, (struct text){text, count}, out);
    return true;
}

static bool no_hmac(const uint8_t *key, size_t key_count, const char *text, size_t count,
                    uint8_t out[CREDENTIAL_HMAC_BYTES])
{
    (void)key;
    (void)key_count;
    (void)text;
    (void)count;
    (void)out;
    return false;
}

static void read_string(const char *connection_string)
{
    ck_assert_msg(credential_read(connection_string, &credential, &why), "%s", why.text);
}

START_TEST(a_connection_string_is_read)
{
    read_string("HostName=hub.example;DeviceId=dev-1;SharedAccessKey=" KEY);
    ck_assert_str_eq(credential.host, "hub.example");
    ck_assert_uint_eq(credential.port, 443);
    ck_assert_str_eq(credential.device, "dev-1");
    ck_assert_str_eq(credential.module, "");
    ck_assert_uint_eq(credential.key_count, 32);
    for (unsigned i = 0; i < 32; i++)
        ck_assert_uint_eq(credential.key[i], i);
}
END_TEST

START_TEST(parts_come_in_any_order_and_values_may_hold_equals_signs)
{
    read_string("SharedAccessKey=" KEY ";ModuleId=m=1;DeviceId=a=b;HostName=127.0.0.1:8443;");
    ck_assert_str_eq(credential.host, "127.0.0.1");
    ck_assert_uint_eq(credential.port, 8443);
    ck_assert_str_eq(credential.device, "a=b");
    ck_assert_str_eq(credential.module, "m=1");
}
END_TEST

START_TEST(an_ipv6_host_stands_in_brackets)
{
    read_string("HostName=[fe80::1];DeviceId=d;SharedAccessKey=" KEY);
    ck_assert_str_eq(credential.host, "fe80::1");
    ck_assert_uint_eq(credential.port, 443);
    read_string("HostName=[::1]:8443;DeviceId=d;SharedAccessKey=" KEY);
    ck_assert_str_eq(credential.host, "::1");
    ck_assert_uint_eq(credential.port, 8443);
}
END_TEST

START_TEST(with_a_certificate_there_is_no_key)
{
    ck_assert_msg(credential_read("HostName=h;DeviceId=d;x509=true", &credential, &why), "%s", why.text);
    ck_assert(credential.by_certificate && !credential.key_count);
}
END_TEST

START_TEST(a_wrong_connection_string_is_told_without_its_key)
{
    static const struct {
        const char *string, *reason;
    } wrong[] = {
        {"", "no HostName"},
        {"HostName=h;SharedAccessKey=" KEY, "no DeviceId"},
        {"HostName=h;DeviceId=d", "no SharedAccessKey"},
        {"HostName=h;DeviceId=d;" KEY "x", "without a name"},
        {"HostName=h;DeviceId=d;AAECAwQFBgcICQoLDA0ODw==", "without a name"},
        {"HostName=h;DeviceId=d;SharedAccessKeyName=n", "unknown here: SharedAccessKeyName"},
        {"HostName=h;DeviceId=d;nothing", "without '='"},
        {"HostName=h;DeviceId=d;SharedAccessKey=AAEC", "not base64 of 16 to 64"},
        {"HostName=h;DeviceId=d;SharedAccessKey=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", "not base64"},
        {"HostName=h;DeviceId=d;SharedAccessKey=A*ECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "not base64"},
        {"HostName=h;DeviceId=d;SharedAccessKey=" KEY ";x509=true", "one of them says who it is"},
        {"HostName=h;DeviceId=d;x509=yes", "x509 is true"},
        {"HostName=h:0;DeviceId=d;SharedAccessKey=" KEY, "port"},
        {"HostName=h:65536;DeviceId=d;SharedAccessKey=" KEY, "port"},
        {"HostName=h:;DeviceId=d;SharedAccessKey=" KEY, "port"},
        {"HostName=[::1;DeviceId=d;SharedAccessKey=" KEY, "without ']'"},
        {"HostName=[::1]x;DeviceId=d;SharedAccessKey=" KEY, "after ']'"},
        {"HostName=h;DeviceId=d\r\nX: y;SharedAccessKey=" KEY, "no name has"},
        {"HostName=h h;DeviceId=d;SharedAccessKey=" KEY, "no name has"},
        {"HostName=;DeviceId=d;SharedAccessKey=" KEY, "HostName has 1 to 253"},
    };

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct credential before = credential;
        ck_assert_msg(!credential_read(wrong[i].string, &credential, &why), "%s", wrong[i].string);
        ck_assert_msg(strstr(why.text, wrong[i].reason) != NULL, "%s: %s", wrong[i].string, why.text);
        ck_assert_ptr_null(strstr(why.text, "ECAwQFBg"));
        ck_assert_mem_eq(&credential, &before, sizeof before);
    }
}
END_TEST

START_TEST(keys_of_every_length_are_read)
{
    char string[256], text[TEXT_BASE64_SIZE(PICKET_KEY_MAX + 3)];
    uint8_t key[PICKET_KEY_MAX + 3];

    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)(250 - i);
    for (size_t count = 1; count <= sizeof key; count++) {
        text_base64_encode(key, count, text);
        snprintf(string, sizeof string, "HostName=h;DeviceId=d;SharedAccessKey=%s", text);
        bool fits = count >= PICKET_KEY_MIN && count <= PICKET_KEY_MAX;
        ck_assert_msg(credential_read(string, &credential, &why) == fits, "%zu bytes", count);
        if (fits) {
            ck_assert_uint_eq(credential.key_count, count);
            ck_assert_mem_eq(credential.key, key, count);
        }
    }
}
END_TEST

/* Both tokens were computed apart from this program. */
START_TEST(the_token_is_the_one_that_iot_hub_would_make)
{
    char token[CREDENTIAL_TOKEN_SIZE];

    read_string("HostName=hub.example:8443;DeviceId=dev-1;SharedAccessKey=" KEY);
    ck_assert(credential_token(&credential, EXPIRES_S, hmac, token));
    ck_assert_str_eq(token, "SharedAccessSignature sr=hub.example%2Fdevices%2Fdev-1"
                            "&sig=45LFJQegV6pGEACyqjXCsT5emH35x4AIKd8SuPFPjE8%3D&se=1700003600");
    read_string("HostName=hub.example;DeviceId=a%b#c;ModuleId=azureiotsecurity;SharedAccessKey=" KEY);
    ck_assert(credential_token(&credential, EXPIRES_S, hmac, token));
    ck_assert_str_eq(token, "SharedAccessSignature sr=hub.example%2Fdevices%2Fa%2525b%2523c%2Fmodules%2Fazureiotsecurity"
                            "&sig=cUkvOMapxIpa5hmlcVQqQOCP9eGBsfdpl7yNfgUBtzQ%3D&se=1700003600");
}
END_TEST

START_TEST(a_token_that_cannot_be_made_is_told)
{
    char token[CREDENTIAL_TOKEN_SIZE], string[1024], device[PICKET_ID_MAX + 1];

    read_string("HostName=hub.example;DeviceId=dev-1;SharedAccessKey=" KEY);
    ck_assert(!credential_token(&credential, EXPIRES_S, no_hmac, token));
    memset(device, '#', sizeof device - 1);
    device[sizeof device - 1] = '\0';
    snprintf(string, sizeof string, "HostName=h;DeviceId=%s;ModuleId=%s;SharedAccessKey=" KEY, device, device);
    read_string(string);
    ck_assert(!credential_token(&credential, EXPIRES_S, hmac, token));
}
END_TEST

START_TEST(the_path_escapes_ids_and_the_longest_fit)
{
    char path[CREDENTIAL_PATH_SIZE], string[1024], device[PICKET_ID_MAX + 1];

    read_string("HostName=h;DeviceId=a#b;ModuleId=m;SharedAccessKey=" KEY);
    ck_assert(credential_events_path(&credential, path));
    ck_assert_str_eq(path, "/devices/a%23b/modules/m/messages/events?api-version=2020-03-13");
    memset(device, '#', sizeof device - 1);
    device[sizeof device - 1] = '\0';
    snprintf(string, sizeof string, "HostName=h;DeviceId=%s;ModuleId=%s;SharedAccessKey=" KEY, device, device);
    read_string(string);
    ck_assert(credential_events_path(&credential, path));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_connection_string_is_read,
        parts_come_in_any_order_and_values_may_hold_equals_signs,
        an_ipv6_host_stands_in_brackets,
        with_a_certificate_there_is_no_key,
        a_wrong_connection_string_is_told_without_its_key,
        keys_of_every_length_are_read,
        the_token_is_the_one_that_iot_hub_would_make,
        a_token_that_cannot_be_made_is_told,
        the_path_escapes_ids_and_the_longest_fit,
    };

    return CHECK_MAIN("agent/credential", tests);
}
