#ifndef PICKET_TESTS_UNIT_AGENT_FAKE_PORT_H
#define PICKET_TESTS_UNIT_AGENT_FAKE_PORT_H

#include <check.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"

/* A port in memory: a clock that tests move, a server that answers what they say, a disk that survives the agent, and a
 * power supply that can be cut in the middle of any call that changes something. */
#define FAKE_MESSAGES_MAX 8192
#define FAKE_START_UTC_MS INT64_C(1700000000123)

struct fake_message {
    char id[PICKET_AGENT_MESSAGE_ID_SIZE];
    uint32_t count;
    char *body;
    size_t body_count;
    bool damaged; /* of a kept one: its body is lost */
    enum picket_send_status answer; /* of a sent one */
};

struct fake {
    struct picket_port port;
    int64_t now_ms, utc_ms;
    int32_t utc_offset_s;
    uint64_t dice;
    struct picket_send_answer answer; /* what the server says from now on */
    struct fake_message sent[FAKE_MESSAGES_MAX]; /* each try */
    size_t sent_count;
    struct {
        char text[PICKET_SEQUENCE_STATE_MAX];
        size_t count;
    } states[PICKET_PRIORITIES]; /* by stream */
    bool save_fails, keep_fails;
    unsigned saves;
    struct fake_message kept[FAKE_MESSAGES_MAX];
    size_t kept_first, kept_end;
    size_t expired_before;            /* of those kept, counted from the first ever: they waited too long */
    size_t kept_max; /* at a time */
    unsigned power_left; /* calls until the power is cut; 0: never */
    jmp_buf cut;
};

static inline uint64_t fake_roll(struct fake *fake)
{
    fake->dice = fake->dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return fake->dice >> 33;
}

/* The power may go before the call has done its work, or after it. */
static inline bool fake_power_goes(struct fake *fake)
{
    return fake->power_left && --fake->power_left == 0;
}

static inline void fake_message_copy(struct fake_message *to, const struct picket_message *from)
{
    memset(to, 0, sizeof *to);
    memcpy(to->id, from->id, sizeof to->id);
    to->count = from->count;
    to->body_count = from->body_count;
    to->body = malloc(from->body_count + 1);
    ck_assert_ptr_nonnull(to->body);
    memcpy(to->body, from->body, from->body_count);
    to->body[from->body_count] = '\0';
}

static inline int64_t fake_utc_ms(void *context)
{
    return ((struct fake *)context)->utc_ms;
}

static inline int64_t fake_monotonic_ms(void *context)
{
    return ((struct fake *)context)->now_ms;
}

static inline int32_t fake_utc_offset_s(void *context, int64_t utc_s)
{
    (void)utc_s;
    return ((struct fake *)context)->utc_offset_s;
}

static inline void fake_random(void *context, void *out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ((uint8_t *)out)[i] = (uint8_t)fake_roll(context);
}

static inline void fake_send(void *context, const struct picket_message *message, struct picket_send_answer *out)
{
    struct fake *fake = context;
    bool goes = fake_power_goes(fake);

    if (goes && fake_roll(fake) % 2)
        longjmp(fake->cut, 1);
    ck_assert_uint_lt(fake->sent_count, FAKE_MESSAGES_MAX);
    fake_message_copy(&fake->sent[fake->sent_count], message);
    fake->sent[fake->sent_count++].answer = fake->answer.status;
    if (goes)
        longjmp(fake->cut, 1);
    *out = fake->answer;
}

static inline bool fake_save(void *context, unsigned stream, const char *state, size_t count)
{
    struct fake *fake = context;
    bool goes = fake_power_goes(fake);

    if (goes && fake_roll(fake) % 2)
        longjmp(fake->cut, 1);
    ck_assert_uint_le(count, PICKET_SEQUENCE_STATE_MAX);
    if (!fake->save_fails) {
        memcpy(fake->states[stream].text, state, count);
        fake->states[stream].count = count;
        fake->saves++;
    }
    if (goes)
        longjmp(fake->cut, 1);
    return !fake->save_fails;
}

static inline size_t fake_load(void *context, unsigned stream, char *state, size_t size)
{
    const struct fake *fake = context;
    size_t count = fake->states[stream].count < size ? fake->states[stream].count : size;

    memcpy(state, fake->states[stream].text, count);
    return count;
}

static inline size_t fake_kept_count(const struct fake *fake)
{
    return fake->kept_end - fake->kept_first;
}

static inline enum picket_keep_status fake_keep(void *context, const struct picket_message *message)
{
    struct fake *fake = context;
    bool goes = fake_power_goes(fake);

    if (goes && fake_roll(fake) % 2)
        longjmp(fake->cut, 1);
    if (fake->keep_fails)
        return PICKET_KEEP_FAILED;
    if (fake_kept_count(fake) >= fake->kept_max)
        return fake->kept_max ? PICKET_KEEP_FULL : PICKET_KEEP_FAILED;
    ck_assert_uint_lt(fake->kept_end, FAKE_MESSAGES_MAX);
    fake_message_copy(&fake->kept[fake->kept_end++], message);
    if (goes)
        longjmp(fake->cut, 1);
    return PICKET_KEEP_DONE;
}

static inline void fake_describe(const struct fake_message *from, struct picket_message *to)
{
    memset(to, 0, sizeof *to);
    memcpy(to->id, from->id, sizeof to->id);
    to->count = from->count;
}

static inline enum picket_kept_status fake_oldest(void *context, char *buffer, size_t size, struct picket_message *out)
{
    const struct fake *fake = context;

    if (!fake_kept_count(fake))
        return PICKET_KEPT_NONE;
    const struct fake_message *message = &fake->kept[fake->kept_first];
    fake_describe(message, out);
    if (!buffer)
        return PICKET_KEPT_FOUND;
    if (message->damaged || message->body_count > size)
        return PICKET_KEPT_DAMAGED;
    memcpy(buffer, message->body, message->body_count);
    out->body = buffer;
    out->body_count = message->body_count;
    return PICKET_KEPT_FOUND;
}

static inline enum picket_kept_status fake_newest(void *context, struct picket_message *out)
{
    const struct fake *fake = context;

    if (!fake_kept_count(fake))
        return PICKET_KEPT_NONE;
    fake_describe(&fake->kept[fake->kept_end - 1], out);
    return PICKET_KEPT_FOUND;
}

static inline void fake_forget(void *context)
{
    struct fake *fake = context;
    bool goes = fake_power_goes(fake);

    if (goes && fake_roll(fake) % 2)
        longjmp(fake->cut, 1);
    ck_assert_uint_gt(fake_kept_count(fake), 0);
    free(fake->kept[fake->kept_first].body);
    fake->kept[fake->kept_first++].body = NULL;
    if (goes)
        longjmp(fake->cut, 1);
}

static inline bool fake_expired(void *context)
{
    const struct fake *fake = context;

    return fake_kept_count(fake) && fake->kept_first < fake->expired_before;
}

static inline void fake_init(struct fake *fake)
{
    memset(fake, 0, sizeof *fake);
    fake->now_ms = 1000000;
    fake->utc_ms = FAKE_START_UTC_MS;
    fake->dice = 42;
    fake->kept_max = 100;
    fake->port = (struct picket_port){
        .context = fake,
        .utc_ms = fake_utc_ms,
        .monotonic_ms = fake_monotonic_ms,
        .utc_offset_s = fake_utc_offset_s,
        .random = fake_random,
        .send = fake_send,
        .save = fake_save,
        .load = fake_load,
        .keep = fake_keep,
        .oldest = fake_oldest,
        .newest = fake_newest,
        .forget = fake_forget,
        .expired = fake_expired,
    };
}

/* A device without a disk for messages. */
static inline void fake_without_spool(struct fake *fake)
{
    fake->port.keep = NULL;
    fake->port.oldest = NULL;
    fake->port.newest = NULL;
    fake->port.forget = NULL;
    fake->port.expired = NULL;
}

static inline void fake_done(struct fake *fake)
{
    for (size_t i = 0; i < fake->sent_count; i++)
        free(fake->sent[i].body);
    for (size_t i = fake->kept_first; i < fake->kept_end; i++)
        free(fake->kept[i].body);
}

#endif
