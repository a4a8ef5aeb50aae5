#include "ingest/decode.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/process.h"
#include "tests/support/check_main.h"
#include "tests/support/classic_message.h"

#define DEPTH 64

static const struct decode_claim as_json = {.content_type = {"application/json", 16}};
static const struct decode_claim as_nothing = {.content_type = {NULL, 0}};
static struct decoded decoded;
static struct problem why;

static bool claims(const char *type, const char *property_type, const char *encoding, const char *body)
{
    struct decode_claim claim = {text_of(type), text_of(property_type), text_of(encoding), TEXT_NONE};
    return decode_claims_json(&claim, text_of(body));
}

static enum status decode_json(struct text body)
{
    return decode(&as_json, body, DEPTH, &decoded, &why);
}

START_TEST(any_of_three_places_claims_json)
{
    ck_assert(claims("application/json", NULL, NULL, "x"));
    ck_assert(claims("Application/JSON; charset=utf-8", NULL, NULL, "x"));
    ck_assert(claims("application/cloudevents+json;charset=utf-8", NULL, NULL, "x"));
    ck_assert(claims(NULL, "application/json", NULL, "x"));
    ck_assert(claims(NULL, NULL, "application/json", "x"));
    ck_assert(claims("application/octet-stream", NULL, "application/json", "x"));
    ck_assert(claims("text/plain", "application/json", NULL, "x"));
    ck_assert(claims("application/vnd.microsoft.iothub.json", NULL, NULL, "x"));
}
END_TEST

START_TEST(without_a_type_the_first_byte_decides)
{
    ck_assert(claims(NULL, NULL, NULL, " \t\r\n{"));
    ck_assert(claims(NULL, NULL, NULL, "["));
    ck_assert(claims("", "", "", "{broken"));
    ck_assert(claims("application/octet-stream", NULL, NULL, "{"));
    ck_assert(claims("application/octet-stream", NULL, "utf-8", "{"));
    ck_assert(!claims(NULL, NULL, NULL, "\"text\""));
    ck_assert(!claims(NULL, NULL, NULL, ""));
    ck_assert(!claims(NULL, NULL, NULL, "\x7f" "ELF"));
}
END_TEST

START_TEST(another_type_claims_nothing)
{
    ck_assert(!claims("text/plain", NULL, NULL, "{"));
    ck_assert(!claims("application/octet-stream", "application/octet-stream", NULL, "{"));
    ck_assert(!claims("application/jsonp", NULL, NULL, "{"));
    ck_assert(!claims("+json", NULL, NULL, "x"));
    ck_assert(!claims(NULL, "application/cbor", NULL, "{"));
}
END_TEST

START_TEST(bytes_that_claim_nothing_always_pass)
{
    struct text bytes = {"\x00\xff\xfe{", 4};

    ck_assert_int_eq(decode(&as_nothing, bytes, DEPTH, &decoded, &why), STATUS_OK);
    ck_assert(!decoded.claims_json && !decoded.has_identity);
    ck_assert_int_eq(decode(&as_nothing, TEXT(""), DEPTH, &decoded, &why), STATUS_OK);
}
END_TEST

static struct text micro_sample(const char *name)
{
    static char bytes[4096];
    char path[256];

    snprintf(path, sizeof path, "tests/unit/store/samples/micro/%s.bin", name);
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s", path);
    struct text body = {bytes, fread(bytes, 1, sizeof bytes, file)};
    fclose(file);
    return body;
}

START_TEST(flatbuffers_that_are_announced_are_checked)
{
    struct decode_claim claim = {.content_type = {"application/octet-stream", 24}, .indicator = {"2.3-1-1-0", 9}};
    struct text body = micro_sample("process");

    ck_assert_int_eq(decode(&claim, body, DEPTH, &decoded, &why), STATUS_OK);
    ck_assert(!decoded.claims_json && decoded.has_identity);
    body.count--;
    ck_assert_int_eq(decode(&claim, body, DEPTH, &decoded, &why), STATUS_REJECT);
    ck_assert(!decoded.claims_json && !decoded.has_identity && !decoded.line);
    ck_assert_str_eq(decoded.refusal, "InvalidFlatBuffer");
    ck_assert_msg(strstr(why.text, "(byte ") != NULL, "%s", why.text);
    ck_assert_int_eq(decode(&claim, TEXT("{}"), DEPTH, &decoded, &why), STATUS_REJECT);
    ck_assert_int_eq(decode(&claim, TEXT(""), DEPTH, &decoded, &why), STATUS_REJECT);

    claim.indicator = TEXT("3.0-1-1-0"); /* nobody knows how to check that */
    ck_assert_int_eq(decode(&claim, body, DEPTH, &decoded, &why), STATUS_OK);
    ck_assert(!decoded.claims_json && !decoded.has_identity);
}
END_TEST

START_TEST(every_shape_of_json_passes)
{
    static const char *const bodies[] = {"{}", "[]", "1", "\"x\"", "null", " true ", "{\"Events\":{}}",
                                         "{\"Events\":[]}", "{\"Events\":[1,null,[]],\"Sequence\":[]}"};

    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        ck_assert_msg(decode_json(text_of(bodies[i])) == STATUS_OK, "%s", bodies[i]);
        ck_assert(decoded.claims_json && !decoded.has_identity);
        ck_assert_uint_eq(decoded.line, 0);
    }
}
END_TEST

START_TEST(broken_json_is_told_with_line_and_column)
{
    ck_assert_int_eq(decode_json(TEXT("{\"a\":1,\n  \"b\" 2}")), STATUS_REJECT);
    ck_assert_str_eq(decoded.refusal, "InvalidJson");
    ck_assert_uint_eq(decoded.line, 2);
    ck_assert_uint_eq(decoded.column, 7);
    ck_assert_ptr_nonnull(strstr(why.text, "line 2, column 7"));
    ck_assert_int_eq(decode_json(TEXT("{\"Events\":[")), STATUS_REJECT);
    ck_assert_int_eq(decode_json(TEXT("{} x")), STATUS_REJECT);
}
END_TEST

START_TEST(empty_bodies_that_claim_json_are_refused)
{
    ck_assert_int_eq(decode_json(TEXT("")), STATUS_REJECT);
    ck_assert_ptr_nonnull(strstr(why.text, "empty"));
    ck_assert_uint_eq(decoded.line, 1);
    ck_assert_int_eq(decode_json(TEXT(" \n\t ")), STATUS_REJECT);
}
END_TEST

START_TEST(nul_bytes_and_broken_utf8_are_refused_with_their_place)
{
    ck_assert_int_eq(decode_json((struct text){"{\"a\":\"\0\"}", 9}), STATUS_REJECT);
    ck_assert_uint_eq(decoded.line, 1);
    ck_assert_uint_eq(decoded.column, 7);
    ck_assert_int_eq(decode_json(TEXT("{\"a\":\"\xc3(\"}")), STATUS_REJECT);
    ck_assert_uint_eq(decoded.line, 1);
    ck_assert_uint_ge(decoded.column, 7);
}
END_TEST

START_TEST(depth_up_to_the_limit_passes_and_no_further)
{
    char body[2 * (DEPTH + 1)];

    memset(body, '[', DEPTH + 1);
    memset(body + DEPTH + 1, ']', DEPTH + 1);
    ck_assert_int_eq(decode_json((struct text){body, sizeof body}), STATUS_REJECT);
    ck_assert_ptr_nonnull(strstr(why.text, "64 levels"));
    ck_assert_int_eq(decode_json((struct text){body + 1, sizeof body - 2}), STATUS_OK);
}
END_TEST

START_TEST(event_ids_and_sequences_are_identity)
{
    static const char *const with[] = {
        "{\"Events\":[{\"Id\":\"x\"}]}",
        "{\"Events\":[{},{\"Payload\":[{\"Id\":\"y\"}],\"Id\":\"x\"}]}",
        "{\"Events\":[[{}],{\"a\":{}},{\"Id\":\"x\"}]}",
        "{\"Sequence\":{}}",
        "{\"Events\":[],\"Sequence\":{\"First\":1}}",
        "{\"\\u0045vents\":[{\"I\\u0064\":\"x\"}]}",
    };
    static const char *const without[] = {
        "{\"Events\":[{\"Id\":1}]}",
        "{\"Events\":[{\"Id\":\"\"}]}",
        "{\"Events\":[{\"Payload\":[{\"Id\":\"x\"}]}]}",
        "{\"Events\":[[{\"Id\":\"x\"}]]}",
        "{\"Events\":{\"a\":{\"Id\":\"x\"}}}",
        "{\"Event\":[{\"Id\":\"x\"}]}",
        "{\"Events\":[],\"Others\":[{\"Id\":\"x\"}]}",
        "{\"Events\":1,\"x\":[{\"Id\":\"x\"}]}",
        "[{\"Events\":[{\"Id\":\"x\"}]}]",
        "{\"a\":{\"Sequence\":{}}}",
        "{\"Sequence\":[{}]}",
        "{\"Id\":\"x\"}",
    };

    for (size_t i = 0; i < sizeof with / sizeof *with; i++) {
        ck_assert_int_eq(decode_json(text_of(with[i])), STATUS_OK);
        ck_assert_msg(decoded.has_identity, "%s", with[i]);
    }
    for (size_t i = 0; i < sizeof without / sizeof *without; i++) {
        ck_assert_int_eq(decode_json(text_of(without[i])), STATUS_OK);
        ck_assert_msg(!decoded.has_identity, "%s", without[i]);
    }
}
END_TEST

START_TEST(classic_message_has_identity)
{
    struct buf body;

    buf_init(&body, 65536);
    classic_message_append(&body, 10, 1);
    ck_assert_int_eq(decode(&as_nothing, buf_as_text(&body), DEPTH, &decoded, &why), STATUS_OK);
    ck_assert(decoded.claims_json && decoded.has_identity);
    buf_done(&body);
}
END_TEST

/* $PICKET_SAMPLES is a folder with messages of real agents, one in a file; without it there is nothing to check. */
START_TEST(messages_of_real_agents_pass)
{
    const char *folder = getenv("PICKET_SAMPLES");
    DIR *directory = folder ? opendir(folder) : NULL;
    struct buf body;
    char path[4096];

    buf_init(&body, 1 << 20);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        if (!text_ends(text_of(entry->d_name), TEXT(".json")) ||
            !text_starts(text_of(entry->d_name), TEXT("classic-")))
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        buf_clear(&body);
        ck_assert_int_eq(process_read_file(path, 1 << 20, &body, &why), STATUS_OK);
        ck_assert_msg(decode_json(buf_as_text(&body)) == STATUS_OK, "%s: %s", path, why.text);
    }
    if (directory)
        closedir(directory);
    buf_done(&body);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        any_of_three_places_claims_json,
        without_a_type_the_first_byte_decides,
        another_type_claims_nothing,
        bytes_that_claim_nothing_always_pass,
        flatbuffers_that_are_announced_are_checked,
        every_shape_of_json_passes,
        broken_json_is_told_with_line_and_column,
        empty_bodies_that_claim_json_are_refused,
        nul_bytes_and_broken_utf8_are_refused_with_their_place,
        depth_up_to_the_limit_passes_and_no_further,
        event_ids_and_sequences_are_identity,
        classic_message_has_identity,
        messages_of_real_agents_pass,
    };
    return CHECK_MAIN("ingest/decode", tests);
}
