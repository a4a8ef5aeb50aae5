#include "agent/sequence.h"

#include <assert.h>
#include <string.h>

#include "agent/stamp.h"
#include "wire/json_reader.h"

#define STATE_DEPTH 3
#define NUMBER_MAX ((uint64_t)INT64_MAX) /* what the wire format can say */

static bool read_members(struct picket_json_reader *reader, struct picket_sequence *out);
static bool read_member(struct picket_json_reader *reader, const struct picket_json_token *name,
                        struct picket_sequence *out);
static bool read_guid(struct picket_json_reader *reader, char out[PICKET_GUID_SIZE]);
static bool read_number(struct picket_json_reader *reader, uint64_t *out);
static bool read_stream(struct picket_json_reader *reader, uint8_t *out);
static bool read_dropped(struct picket_json_reader *reader, struct picket_sequence *out);
static bool read_range(struct picket_json_reader *reader, struct picket_dropped *out);
static bool read_reason(struct picket_json_reader *reader, char out[PICKET_SEQUENCE_REASON_SIZE]);
static void write_dropped(const struct picket_sequence *sequence, size_t count, struct picket_json_writer *writer);

void picket_sequence_begin(struct picket_sequence *sequence, const struct picket_port *port, uint8_t stream)
{
    assert(stream <= PICKET_STREAM_LAST);

    memset(sequence, 0, sizeof *sequence);
    picket_guid_make(port, sequence->agent_id);
    picket_guid_make(port, sequence->epoch);
    sequence->stream = stream;
    sequence->next = 1;
    sequence->changed = true;
}

bool picket_sequence_read(struct picket_sequence *sequence, const char *state, size_t count)
{
    struct picket_json_reader reader;
    struct picket_json_token token;
    struct picket_sequence read;

    memset(&read, 0, sizeof read);
    picket_json_init(&reader, state, count, STATE_DEPTH);
    if (picket_json_next(&reader, &token) != PICKET_JSON_OBJECT_OPEN || !read_members(&reader, &read) ||
        picket_json_next(&reader, &token) != PICKET_JSON_END)
        return false;
    if (!read.agent_id[0] || !read.epoch[0] || read.next == 0 || read.settled >= read.next)
        return false;
    for (size_t i = 0; i < read.dropped_count; i++) {
        if (read.dropped[i].to >= read.next)
            return false;
    }
    *sequence = read;
    return true;
}

size_t picket_sequence_write(struct picket_sequence *sequence, char *out, size_t size)
{
    struct picket_json_writer writer;

    picket_json_write_init(&writer, out, size);
    picket_json_open_object(&writer);
    picket_json_write_name(&writer, "AgentId");
    picket_json_write_terminated(&writer, sequence->agent_id);
    picket_json_write_name(&writer, "Epoch");
    picket_json_write_terminated(&writer, sequence->epoch);
    picket_json_write_name(&writer, "Stream");
    picket_json_write_int(&writer, sequence->stream);
    picket_json_write_name(&writer, "Next");
    picket_json_write_int(&writer, (int64_t)sequence->next);
    picket_json_write_name(&writer, "Settled");
    picket_json_write_int(&writer, (int64_t)sequence->settled);
    write_dropped(sequence, sequence->dropped_count, &writer);
    picket_json_close_object(&writer);
    return picket_json_written(&writer);
}

void picket_sequence_restart(struct picket_sequence *sequence)
{
    if (sequence->settled + 1 < sequence->next)
        picket_sequence_drop(sequence, sequence->settled + 1, sequence->next - 1, "restart");
    picket_sequence_settle(sequence, sequence->next - 1);
}

void picket_sequence_drop(struct picket_sequence *sequence, uint64_t from, uint64_t to, const char *reason)
{
    size_t length = strlen(reason);

    assert(from >= 1 && from <= to && to < sequence->next);
    assert(length < PICKET_SEQUENCE_REASON_SIZE);

    sequence->changed = true;
    for (size_t i = sequence->carried; i < sequence->dropped_count; i++) {
        struct picket_dropped *range = &sequence->dropped[i];
        if (from == range->to + 1 && strcmp(range->reason, reason) == 0) {
            range->to = to;
            return;
        }
    }
    if (sequence->dropped_count == PICKET_SEQUENCE_DROPPED_MAX)
        return;
    struct picket_dropped *range = &sequence->dropped[sequence->dropped_count++];
    range->from = from;
    range->to = to;
    memcpy(range->reason, reason, length + 1);
}

void picket_sequence_settle(struct picket_sequence *sequence, uint64_t last)
{
    assert(last < sequence->next);

    if (last <= sequence->settled)
        return;
    sequence->settled = last;
    sequence->changed = true;
}

void picket_sequence_told(struct picket_sequence *sequence)
{
    assert(sequence->carried <= sequence->dropped_count);

    if (!sequence->carried)
        return;
    sequence->dropped_count -= sequence->carried;
    memmove(sequence->dropped, sequence->dropped + sequence->carried,
            sequence->dropped_count * sizeof *sequence->dropped);
    sequence->carried = 0;
    sequence->changed = true;
}

void picket_sequence_write_member(const struct picket_sequence *sequence, uint64_t first, uint32_t count,
                                  struct picket_json_writer *writer)
{
    picket_json_write_name(writer, "Sequence");
    picket_json_open_object(writer);
    picket_json_write_name(writer, "Epoch");
    picket_json_write_terminated(writer, sequence->epoch);
    picket_json_write_name(writer, "Stream");
    picket_json_write_int(writer, sequence->stream);
    picket_json_write_name(writer, "First");
    picket_json_write_int(writer, (int64_t)first);
    picket_json_write_name(writer, "Count");
    picket_json_write_int(writer, count);
    write_dropped(sequence, sequence->carried, writer);
    picket_json_close_object(writer);
}

static void write_dropped(const struct picket_sequence *sequence, size_t count, struct picket_json_writer *writer)
{
    picket_json_write_name(writer, "Dropped");
    picket_json_open_array(writer);
    for (size_t i = 0; i < count; i++) {
        picket_json_open_object(writer);
        picket_json_write_name(writer, "From");
        picket_json_write_int(writer, (int64_t)sequence->dropped[i].from);
        picket_json_write_name(writer, "To");
        picket_json_write_int(writer, (int64_t)sequence->dropped[i].to);
        picket_json_write_name(writer, "Reason");
        picket_json_write_terminated(writer, sequence->dropped[i].reason);
        picket_json_close_object(writer);
    }
    picket_json_close_array(writer);
}

/* To the object's close. */
static bool read_members(struct picket_json_reader *reader, struct picket_sequence *out)
{
    struct picket_json_token token;

    while (picket_json_next(reader, &token) == PICKET_JSON_NAME) {
        if (!read_member(reader, &token, out))
            return false;
    }
    return token.kind == PICKET_JSON_OBJECT_CLOSE;
}

static bool read_member(struct picket_json_reader *reader, const struct picket_json_token *name,
                        struct picket_sequence *out)
{
    if (PICKET_JSON_IS(name, "AgentId"))
        return read_guid(reader, out->agent_id);
    if (PICKET_JSON_IS(name, "Epoch"))
        return read_guid(reader, out->epoch);
    if (PICKET_JSON_IS(name, "Stream"))
        return read_stream(reader, &out->stream);
    if (PICKET_JSON_IS(name, "Next"))
        return read_number(reader, &out->next);
    if (PICKET_JSON_IS(name, "Settled"))
        return read_number(reader, &out->settled);
    if (PICKET_JSON_IS(name, "Dropped"))
        return read_dropped(reader, out);
    return picket_json_skip(reader, name, NULL, NULL);
}

static bool read_guid(struct picket_json_reader *reader, char out[PICKET_GUID_SIZE])
{
    struct picket_json_token token;

    if (picket_json_next(reader, &token) != PICKET_JSON_STRING || !picket_guid_valid(token.text, token.count))
        return false;
    memcpy(out, token.text, token.count);
    out[token.count] = '\0';
    return true;
}

static bool read_number(struct picket_json_reader *reader, uint64_t *out)
{
    struct picket_json_token token;

    return picket_json_next(reader, &token) == PICKET_JSON_NUMBER &&
           picket_number_read(token.text, token.count, out) && *out < NUMBER_MAX;
}

static bool read_stream(struct picket_json_reader *reader, uint8_t *out)
{
    uint64_t stream;

    if (!read_number(reader, &stream) || stream > PICKET_STREAM_LAST)
        return false;
    *out = (uint8_t)stream;
    return true;
}

static bool read_dropped(struct picket_json_reader *reader, struct picket_sequence *out)
{
    struct picket_json_token token;

    if (picket_json_next(reader, &token) != PICKET_JSON_ARRAY_OPEN)
        return false;
    out->dropped_count = 0;
    while (picket_json_next(reader, &token) == PICKET_JSON_OBJECT_OPEN) {
        if (out->dropped_count == PICKET_SEQUENCE_DROPPED_MAX ||
            !read_range(reader, &out->dropped[out->dropped_count]))
            return false;
        out->dropped_count++;
    }
    return token.kind == PICKET_JSON_ARRAY_CLOSE;
}

static bool read_range(struct picket_json_reader *reader, struct picket_dropped *out)
{
    struct picket_json_token token;

    while (picket_json_next(reader, &token) == PICKET_JSON_NAME) {
        if (PICKET_JSON_IS(&token, "From")) {
            if (!read_number(reader, &out->from))
                return false;
        } else if (PICKET_JSON_IS(&token, "To")) {
            if (!read_number(reader, &out->to))
                return false;
        } else if (PICKET_JSON_IS(&token, "Reason")) {
            if (!read_reason(reader, out->reason))
                return false;
        } else if (!picket_json_skip(reader, &token, NULL, NULL)) {
            return false;
        }
    }
    return token.kind == PICKET_JSON_OBJECT_CLOSE && out->from >= 1 && out->from <= out->to && out->reason[0];
}

/* Ours are plain: one that would have to be escaped was damaged, and may not fit when it is written again. */
static bool read_reason(struct picket_json_reader *reader, char out[PICKET_SEQUENCE_REASON_SIZE])
{
    struct picket_json_token token;

    if (picket_json_next(reader, &token) != PICKET_JSON_STRING || token.count == 0 ||
        token.count >= PICKET_SEQUENCE_REASON_SIZE)
        return false;
    for (size_t i = 0; i < token.count; i++) {
        char c = token.text[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == ' '))
            return false;
    }
    memcpy(out, token.text, token.count);
    out[token.count] = '\0';
    return true;
}
