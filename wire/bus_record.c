#include "wire/bus_record.h"

#include <assert.h>
#include <string.h>

#include "wire/limits.h"

#define SPAN(literal) {(literal), sizeof(literal) - 1}
#define DIGITS_MAX 20 /* of a 64-bit number with its sign */

/* What a reader cannot do without. */
enum {
    SEEN_VERSION = 1,
    SEEN_KIND = 2,
    SEEN_WORKSPACE = 4,
    SEEN_DEVICE = 8,
    SEEN_RECEIVED = 16,
    SEEN_ALL = 31,
};

static const struct picket_span kind_names[] = {SPAN("message"), SPAN("door")};

/* Where the header fields are gathered, and the scratch that numbers are written into. */
struct list {
    struct picket_record_header *headers;
    size_t count;
    char *scratch;
    size_t scratch_used;
};

static void add(struct list *list, const char *name, struct picket_span value);
static void add_present(struct list *list, const char *name, struct picket_span value);
static void add_number(struct list *list, const char *name, int64_t value);
static size_t print_number(int64_t value, char out[DIGITS_MAX]);
static const char *read_header(const struct picket_record_header *header, struct picket_record *out, unsigned *seen);
static const char *read_identity(const struct picket_record_header *header, struct picket_record *out,
                                 unsigned *seen);
static const char *read_optional(const struct picket_record_header *header, struct picket_record *out);
static bool read_number(struct picket_span digits, uint64_t most, uint64_t *out);

static inline bool span_is(struct picket_span span, const char *word)
{
    return span.count == strlen(word) && memcmp(span.bytes, word, span.count) == 0;
}

size_t picket_record_headers(const struct picket_record *record, char scratch[PICKET_RECORD_SCRATCH],
                             struct picket_record_header headers[PICKET_RECORD_HEADERS_MAX])
{
    struct list list = {headers, 0, scratch, 0};
    const struct picket_span yes = SPAN("1");

    assert(record->device.bytes || record->device.count == 0);

    add_number(&list, "v", PICKET_RECORD_VERSION);
    add(&list, "kind", kind_names[record->kind]);
    add_number(&list, "workspace", record->workspace);
    add(&list, "device", record->device);
    add_present(&list, "module", record->module);
    add_number(&list, "received", record->received_at_us);
    add_present(&list, "transport", record->transport);
    add_present(&list, "content-type", record->content_type);
    add_present(&list, "properties", record->properties);
    add_present(&list, "message-id", record->message_id);
    add_present(&list, "refused", record->refused);
    if (record->claims_json)
        add(&list, "json", yes);
    if (record->has_identity) {
        const struct picket_span key = {(const char *)record->message_key, sizeof record->message_key};
        add(&list, "key", key);
    }
    return list.count;
}

const char *picket_record_read(const struct picket_record_header *headers, size_t count, struct picket_record *out)
{
    struct picket_record record;
    unsigned seen = 0;

    memset(&record, 0, sizeof record);
    for (size_t i = 0; i < count; i++) {
        const char *error = read_header(&headers[i], &record, &seen);
        if (error)
            return error;
    }
    if (!(seen & SEEN_VERSION))
        return "the record has no header v";
    if (!(seen & SEEN_KIND))
        return "the record has no header kind";
    if (!(seen & SEEN_WORKSPACE))
        return "the record has no header workspace";
    if (!(seen & SEEN_DEVICE))
        return "the record has no header device";
    if (!(seen & SEEN_RECEIVED))
        return "the record has no header received";
    if (record.kind == PICKET_RECORD_MESSAGE && !record.device.count)
        return "a message without a device";
    *out = record;
    return NULL;
}

size_t picket_record_key(uint32_t workspace, struct picket_span device, char out[PICKET_RECORD_KEY_SIZE])
{
    assert(device.count <= PICKET_ID_MAX);

    size_t count = print_number(workspace, out);
    out[count++] = '/';
    if (device.count)
        memcpy(out + count, device.bytes, device.count);
    return count + device.count;
}

static void add(struct list *list, const char *name, struct picket_span value)
{
    assert(list->count < PICKET_RECORD_HEADERS_MAX);

    struct picket_record_header *header = &list->headers[list->count++];
    header->name.bytes = name;
    header->name.count = strlen(name);
    header->value.bytes = value.bytes ? value.bytes : "";
    header->value.count = value.count;
}

static void add_present(struct list *list, const char *name, struct picket_span value)
{
    if (value.count)
        add(list, name, value);
}

static void add_number(struct list *list, const char *name, int64_t value)
{
    assert(PICKET_RECORD_SCRATCH - list->scratch_used >= DIGITS_MAX);

    char *digits = list->scratch + list->scratch_used;
    const struct picket_span span = {digits, print_number(value, digits)};
    list->scratch_used += span.count;
    add(list, name, span);
}

static size_t print_number(int64_t value, char out[DIGITS_MAX])
{
    char digits[DIGITS_MAX];
    size_t at = sizeof digits;
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    do {
        digits[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left);
    if (value < 0)
        digits[--at] = '-';
    memcpy(out, digits + at, sizeof digits - at);
    return sizeof digits - at;
}

static const char *read_header(const struct picket_record_header *header, struct picket_record *out, unsigned *seen)
{
    uint64_t number;

    if (span_is(header->name, "v")) {
        if (!read_number(header->value, UINT32_MAX, &number) || number != PICKET_RECORD_VERSION)
            return "the record has a version that this program does not know";
        *seen |= SEEN_VERSION;
        return NULL;
    }
    if (span_is(header->name, "kind")) {
        for (size_t i = 0; i < sizeof kind_names / sizeof *kind_names; i++) {
            if (!span_is(header->value, kind_names[i].bytes))
                continue;
            out->kind = (enum picket_record_kind)i;
            *seen |= SEEN_KIND;
            return NULL;
        }
        return "the record has a kind that this program does not know";
    }
    return read_identity(header, out, seen);
}

static const char *read_identity(const struct picket_record_header *header, struct picket_record *out,
                                 unsigned *seen)
{
    uint64_t number;

    if (span_is(header->name, "workspace")) {
        if (!read_number(header->value, UINT32_MAX, &number))
            return "header workspace is not a number of 32 bits";
        out->workspace = (uint32_t)number;
        *seen |= SEEN_WORKSPACE;
    } else if (span_is(header->name, "received")) {
        if (!read_number(header->value, INT64_MAX, &number))
            return "header received is not a number of 63 bits";
        out->received_at_us = (int64_t)number;
        *seen |= SEEN_RECEIVED;
    } else if (span_is(header->name, "device")) {
        if (header->value.count > PICKET_ID_MAX)
            return "header device is longer than an id can be";
        out->device = header->value;
        *seen |= SEEN_DEVICE;
    } else if (span_is(header->name, "module")) {
        if (header->value.count > PICKET_ID_MAX)
            return "header module is longer than an id can be";
        out->module = header->value;
    } else {
        return read_optional(header, out);
    }
    return NULL;
}

static const char *read_optional(const struct picket_record_header *header, struct picket_record *out)
{
    if (span_is(header->name, "transport")) {
        out->transport = header->value;
    } else if (span_is(header->name, "content-type")) {
        out->content_type = header->value;
    } else if (span_is(header->name, "properties")) {
        out->properties = header->value;
    } else if (span_is(header->name, "message-id")) {
        out->message_id = header->value;
    } else if (span_is(header->name, "refused")) {
        out->refused = header->value;
    } else if (span_is(header->name, "json")) {
        if (!span_is(header->value, "1"))
            return "header json is not 1";
        out->claims_json = true;
    } else if (span_is(header->name, "key")) {
        if (header->value.count != sizeof out->message_key)
            return "header key is not 16 bytes long";
        memcpy(out->message_key, header->value.bytes, sizeof out->message_key);
        out->has_identity = true;
    }
    return NULL;
}

/* Decimal digits only, at most `most`. */
static bool read_number(struct picket_span digits, uint64_t most, uint64_t *out)
{
    uint64_t value = 0;

    if (digits.count == 0)
        return false;
    for (size_t i = 0; i < digits.count; i++) {
        if (digits.bytes[i] < '0' || digits.bytes[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(digits.bytes[i] - '0');
        if (value > (most - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}
