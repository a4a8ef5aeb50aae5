#include "wire/bus_record.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/check_main.h"
#include "wire/limits.h"

#define SPAN(literal) {(literal), sizeof(literal) - 1}

static struct picket_record_header headers[PICKET_RECORD_HEADERS_MAX + 1];
static char scratch[PICKET_RECORD_SCRATCH];

static const struct picket_record full = {
    .kind = PICKET_RECORD_MESSAGE,
    .workspace = UINT32_MAX,
    .device = SPAN("meter-17"),
    .module = SPAN("azureiotsecurity"),
    .received_at_us = INT64_MAX,
    .transport = SPAN("https"),
    .content_type = SPAN("application/json"),
    .properties = SPAN("{\"mti\":\"2.3-1-0-0\"}"),
    .message_id = SPAN("m1"),
    .refused = SPAN("not JSON"),
    .claims_json = true,
    .has_identity = true,
    .message_key = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255},
};

static struct picket_record_header *header(size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (headers[i].name.count == strlen(name) && memcmp(headers[i].name.bytes, name, strlen(name)) == 0)
            return &headers[i];
    }
    return NULL;
}

static void assert_span(struct picket_span span, struct picket_span expected)
{
    ck_assert_uint_eq(span.count, expected.count);
    if (expected.count)
        ck_assert_mem_eq(span.bytes, expected.bytes, expected.count);
}

static void assert_round_trip(const struct picket_record *record)
{
    struct picket_record read;
    size_t count = picket_record_headers(record, scratch, headers);

    ck_assert_uint_le(count, PICKET_RECORD_HEADERS_MAX);
    ck_assert_ptr_null(picket_record_read(headers, count, &read));
    ck_assert_int_eq(read.kind, record->kind);
    ck_assert_uint_eq(read.workspace, record->workspace);
    ck_assert_int_eq(read.received_at_us, record->received_at_us);
    assert_span(read.device, record->device);
    assert_span(read.module, record->module);
    assert_span(read.transport, record->transport);
    assert_span(read.content_type, record->content_type);
    assert_span(read.properties, record->properties);
    assert_span(read.message_id, record->message_id);
    assert_span(read.refused, record->refused);
    ck_assert_int_eq(read.claims_json, record->claims_json);
    ck_assert_int_eq(read.has_identity, record->has_identity);
    if (record->has_identity)
        ck_assert_mem_eq(read.message_key, record->message_key, sizeof read.message_key);
}

START_TEST(what_was_written_is_read_back)
{
    const struct picket_record least = {.workspace = 1, .device = SPAN("d")};
    const struct picket_record door = {
        .kind = PICKET_RECORD_DOOR, .workspace = 7, .received_at_us = 1, .transport = SPAN("https")};

    assert_round_trip(&full);
    assert_round_trip(&least);
    assert_round_trip(&door); /* of no known identity */
}
END_TEST

START_TEST(absent_fields_have_no_header)
{
    const struct picket_record least = {.workspace = 1, .device = SPAN("d")};

    ck_assert_uint_eq(picket_record_headers(&least, scratch, headers), 5);
}
END_TEST

START_TEST(headers_are_readable_text)
{
    size_t count = picket_record_headers(&full, scratch, headers);

    assert_span(header(count, "v")->value, (struct picket_span)SPAN("1"));
    assert_span(header(count, "kind")->value, (struct picket_span)SPAN("message"));
    assert_span(header(count, "workspace")->value, (struct picket_span)SPAN("4294967295"));
    assert_span(header(count, "received")->value, (struct picket_span)SPAN("9223372036854775807"));
    assert_span(header(count, "json")->value, (struct picket_span)SPAN("1"));
    ck_assert_uint_eq(header(count, "key")->value.count, 16);
}
END_TEST

START_TEST(a_needed_header_that_is_missing_is_named)
{
    static const char *const needed[] = {"v", "kind", "workspace", "device", "received"};
    struct picket_record read = {.workspace = 42};

    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        size_t count = picket_record_headers(&full, scratch, headers);
        *header(count, needed[i]) = (struct picket_record_header){SPAN("unknown"), SPAN("x")};
        const char *error = picket_record_read(headers, count, &read);
        ck_assert_ptr_nonnull(error);
        ck_assert_msg(strstr(error, needed[i]) != NULL, "%s: %s", needed[i], error);
        ck_assert_uint_eq(read.workspace, 42);
    }
    ck_assert_ptr_nonnull(picket_record_read(NULL, 0, &read));
}
END_TEST

START_TEST(malformed_headers_are_refused)
{
    static char long_id[PICKET_ID_MAX + 1];
    static const struct {
        const char *name;
        struct picket_span value;
    } bad[] = {
        {"v", SPAN("2")},          {"v", SPAN("")},      {"kind", SPAN("messages")},
        {"kind", SPAN("")},        {"workspace", SPAN("-1")}, {"workspace", SPAN("4294967296")},
        {"workspace", SPAN("1 ")}, {"received", SPAN("9223372036854775808")}, {"received", SPAN("x")},
        {"received", SPAN("")},    {"device", SPAN("")}, {"device", {long_id, sizeof long_id}},
        {"module", {long_id, sizeof long_id}}, {"json", SPAN("0")}, {"key", SPAN("short")},
    };
    struct picket_record read = {.workspace = 42};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t count = picket_record_headers(&full, scratch, headers);
        header(count, bad[i].name)->value = bad[i].value;
        ck_assert_msg(picket_record_read(headers, count, &read) != NULL, "%s, case %zu", bad[i].name, i);
        ck_assert_uint_eq(read.workspace, 42);
    }
}
END_TEST

START_TEST(unknown_headers_are_ignored)
{
    struct picket_record read;
    size_t count = picket_record_headers(&full, scratch, headers);

    headers[count++] = (struct picket_record_header){SPAN("trace"), SPAN("\x00\xff")};
    ck_assert_ptr_null(picket_record_read(headers, count, &read));
    assert_span(read.device, full.device);
}
END_TEST

START_TEST(the_key_is_workspace_and_device)
{
    char key[PICKET_RECORD_KEY_SIZE];
    char longest[PICKET_ID_MAX];

    ck_assert_uint_eq(picket_record_key(12, (struct picket_span)SPAN("meter-17"), key), 11);
    ck_assert_mem_eq(key, "12/meter-17", 11);
    ck_assert_uint_eq(picket_record_key(0, (struct picket_span){NULL, 0}, key), 2);
    memset(longest, 'd', sizeof longest);
    ck_assert_uint_eq(picket_record_key(UINT32_MAX, (struct picket_span){longest, sizeof longest}, key),
                      PICKET_RECORD_KEY_SIZE - 1);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        what_was_written_is_read_back,
        absent_fields_have_no_header,
        headers_are_readable_text,
        a_needed_header_that_is_missing_is_named,
        malformed_headers_are_refused,
        unknown_headers_are_ignored,
        the_key_is_workspace_and_device,
    };

    return CHECK_MAIN("wire/bus_record", tests);
}
