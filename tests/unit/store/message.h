#ifndef PICKET_TESTS_UNIT_STORE_MESSAGE_H
#define PICKET_TESTS_UNIT_STORE_MESSAGE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/classic.h"
#include "wire/limits.h"

/* Messages for tests, made without a bus. */
#define MESSAGE_RECEIVED_US INT64_C(1767348000000000) /* 2026-01-02T10:00:00Z */

/* An envelope and one event whose members and payload the test chooses; all the rest is as the schema has it. */
#define ENVELOPE_OPEN                                                                     \
    "{\"AgentVersion\":\"0.0.6\",\"AgentId\":\"5aebd46d-3a56-4d4f-9f6b-9d5e2a4b6c70\"," \
    "\"MessageSchemaVersion\":\"1.0\",\"Events\":["
#define ENVELOPE_CLOSE "]}"
#define EVENT_OPEN(category, name, type, empty)                                                                \
    "{\"Category\":\"" category "\",\"EventType\":\"" type "\",\"Name\":\"" name "\","                         \
    "\"PayloadSchemaVersion\":\"1.0\",\"Id\":\"072f3eca-3db0-45ba-8174-fa383bc93caf\","                        \
    "\"TimestampLocal\":\"2026-01-02T11:00:00+01:00\",\"TimestampUTC\":\"2026-01-02T10:00:00Z\",\"IsEmpty\":" empty \
    ",\"Payload\":"
#define EVENT_CLOSE "}"
#define PROCESS_CREATE(element) \
    ENVELOPE_OPEN EVENT_OPEN("Triggered", "ProcessCreate", "Security", "false") "[" element "]" EVENT_CLOSE ENVELOPE_CLOSE
#define PROCESS_ELEMENT                                                                                  \
    "{\"Executable\":\"/bin/sh\",\"CommandLine\":\"sh -c true\",\"UserId\":\"0\",\"ProcessId\":42," \
    "\"ParentProcessId\":1}"

static inline struct picket_span message_span(struct text text)
{
    return (struct picket_span){text.bytes, text.count};
}

static inline struct device_message message_of(struct text body)
{
    return (struct device_message){
        .record = {.workspace = 1,
                   .device = {"pump-1", 6},
                   .received_at_us = MESSAGE_RECEIVED_US,
                   .transport = {"https", 5},
                   .claims_json = true},
        .body = body,
    };
}

/* Decodes a body that has to be accepted. The decoder's scratch room is made anew, so that no test leans on another. */
static inline void message_decode(struct device_message *message, struct arena *arena)
{
    struct classic_decoder decoder;
    struct problem why;

    classic_decoder_init(&decoder, PICKET_JSON_DEPTH_MAX);
    enum status status = classic_decode(&decoder, message, arena, &why);
    classic_decoder_done(&decoder);
    ck_assert_msg(status == STATUS_OK, "%.*s: %s", TEXT_ARGS(message->body), status ? why.text : "");
}

static inline bool departures_have(const struct departures *list, const char *code)
{
    for (const struct departure *at = list->first; at; at = at->next)
        if (text_equal(at->code, text_of(code)))
            return true;
    return false;
}

/* "a b c", in the order they were noted. */
static inline const char *departures_text(const struct departures *list, struct arena *arena)
{
    const char *text = "";

    for (const struct departure *at = list->first; at; at = at->next)
        text = arena_format(arena, "%s%s%.*s", text, *text ? " " : "", TEXT_ARGS(at->code));
    return text;
}

#define ck_assert_text_eq(found, expected)                                                                           \
    do {                                                                                                             \
        struct text found_ = (found), expected_ = text_of(expected);                                                 \
        ck_assert_msg(text_equal(found_, expected_), "%s is \"%.*s\", not \"%s\"", #found, (int)found_.count,        \
                      found_.bytes ? found_.bytes : "", expected_.bytes);                                            \
    } while (0)
#define ck_assert_none(found)                                                                          \
    do {                                                                                               \
        struct text found_ = (found);                                                                  \
        ck_assert_msg(!found_.bytes, "%s is \"%.*s\"", #found, (int)found_.count, found_.bytes ? found_.bytes : ""); \
    } while (0)

/* A small generator of our own: the same documents in every run. */
struct dice {
    uint64_t state;
};
static inline uint32_t dice_roll(struct dice *dice, uint32_t sides)
{
    dice->state = dice->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((dice->state >> 33) % sides);
}

#endif
