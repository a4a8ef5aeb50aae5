#include "ingest/message_batch.h"

#include <pthread.h>

#include "ingest/http_properties.h"
#include "runtime/arena.h"
#include "wire/json_reader.h"
#include "wire/limits.h"

#define DEPTH_MAX 8
#define SENTENCE_SIZE 256

struct batch {
    struct intake *intake;
    const struct intake_message *like;
    struct arena *arena;
    struct intake_message *members;
    size_t count;
    pthread_mutex_t lock; /* of the next five */
    size_t waiting;       /* members without an answer, and one for the reading */
    unsigned worst;       /* the highest code that is no success, or 0: what is broken outweighs what may work later */
    unsigned retry_after_s;
    bool has_receipt;
    struct bus_receipt receipt; /* of the member that was answered last */
    struct problem why;
    unsigned line, column;
    bool broken_json;
};

static bool batch_read(struct batch *batch);
static bool member_read(struct batch *batch, struct picket_json_reader *reader);
static bool properties_read(struct batch *batch, struct picket_json_reader *reader, struct intake_message *member);
static struct text string_of(struct batch *batch, const struct picket_json_token *token);
static void member_answered(void *context, const struct intake_answer *answer);
static void batch_end(struct batch *batch);

bool message_batch_is(struct text content_type)
{
    struct text type;

    if (!content_type.count)
        return false;
    (void)text_cut(content_type, ';', &type);
    return text_equal_nocase(text_trim(type), TEXT(MESSAGE_BATCH_TYPE));
}

void message_batch_take(struct intake *intake, const struct intake_message *like, struct arena *arena)
{
    struct batch *batch = ARENA_NEW(arena, struct batch);

    *batch = (struct batch){.intake = intake, .like = like, .arena = arena};
    batch->members = ARENA_ARRAY(arena, struct intake_message, MESSAGE_BATCH_MAX);
    batch->waiting = 1;
    pthread_mutex_init(&batch->lock, NULL);
    if (!batch_read(batch)) {
        struct intake_answer answer = {400, batch->broken_json ? "InvalidJson" : "InvalidBatch", batch->why.text, batch->line, batch->column, 0, NULL};
        intake_refused(intake, like, &answer);
        like->answered(like->context, &answer);
        return;
    }
    batch->waiting += batch->count;
    for (size_t i = 0; i < batch->count; i++)
        intake_take(intake, &batch->members[i]);
    batch_end(batch);
}

/* What is no JSON at all, however far behind, is told as that. */
static bool fail(struct batch *batch, struct picket_json_reader *reader, const char *sentence)
{
    const char *at = reader->at;
    struct picket_json_token token;
    enum picket_json_kind kind;

    do
        kind = picket_json_next(reader, &token);
    while (kind != PICKET_JSON_END && kind != PICKET_JSON_ERROR);
    batch->broken_json = reader->error != NULL;
    if (reader->error)
        at = reader->error_at;
    (void)!problem_set(&batch->why, STATUS_REJECT, "%s", reader->error ? reader->error : sentence);
    picket_json_position(reader, at, &batch->line, &batch->column);
    return false;
}

static bool batch_read(struct batch *batch)
{
    struct text body = batch->like->body;
    struct picket_json_reader reader;
    struct picket_json_token token;

    picket_json_init(&reader, body.bytes, body.count, DEPTH_MAX);
    if (picket_json_next(&reader, &token) != PICKET_JSON_ARRAY_OPEN)
        return fail(batch, &reader, "a batch is an array of messages");
    for (enum picket_json_kind kind; (kind = picket_json_next(&reader, &token)) != PICKET_JSON_ARRAY_CLOSE;) {
        if (kind != PICKET_JSON_OBJECT_OPEN)
            return fail(batch, &reader, "a member of the batch is no object");
        if (batch->count == MESSAGE_BATCH_MAX)
            return fail(batch, &reader, "the batch has more than 500 messages");
        if (!member_read(batch, &reader))
            return false;
    }
    if (picket_json_next(&reader, &token) != PICKET_JSON_END)
        return fail(batch, &reader, "something stands behind the batch");
    return true;
}

static bool body_decode(struct batch *batch, struct intake_message *member)
{
    uint8_t *bytes = arena_alloc(batch->arena, 1, member->body.count + 1);
    size_t count;

    if (!text_base64_decode(member->body, bytes, member->body.count + 1, &count))
        return false;
    member->body = (struct text){(const char *)bytes, count};
    return true;
}

static bool member_read(struct batch *batch, struct picket_json_reader *reader)
{
    struct intake_message *member = &batch->members[batch->count];
    struct picket_json_token name, token;
    bool encoded = true;

    *member = (struct intake_message){
        .identity = batch->like->identity,
        .entry = batch->like->entry,
        .workspace = batch->like->workspace,
        .transport = batch->like->transport,
        .received_at_us = batch->like->received_at_us,
        .body = TEXT(""),
        .cannot_refuse = true,
        .answered = member_answered,
        .context = batch,
    };
    while (picket_json_next(reader, &name) == PICKET_JSON_NAME) {
        bool is_body = PICKET_JSON_IS(&name, "body"), is_encoded = PICKET_JSON_IS(&name, "base64Encoded");
        bool is_properties = PICKET_JSON_IS(&name, "properties");
        enum picket_json_kind kind = picket_json_next(reader, &token);
        if (is_body && kind == PICKET_JSON_STRING)
            member->body = string_of(batch, &token);
        else if (is_body)
            return fail(batch, reader, "the \"body\" of a message is no string");
        else if (is_encoded && (kind == PICKET_JSON_TRUE || kind == PICKET_JSON_FALSE))
            encoded = kind == PICKET_JSON_TRUE;
        else if (is_encoded)
            return fail(batch, reader, "\"base64Encoded\" is neither true nor false");
        else if (is_properties && kind == PICKET_JSON_OBJECT_OPEN && !properties_read(batch, reader, member))
            return false;
        else if (!is_properties && (kind == PICKET_JSON_OBJECT_OPEN || kind == PICKET_JSON_ARRAY_OPEN) &&
                 !picket_json_skip(reader, &token, NULL, NULL))
            return fail(batch, reader, "");
        if (kind == PICKET_JSON_ERROR)
            return fail(batch, reader, "");
    }
    if (reader->error)
        return fail(batch, reader, "");
    if (encoded && !body_decode(batch, member))
        return fail(batch, reader, "the \"body\" of a message is not base64, and \"base64Encoded\" does not say false");
    batch->count++;
    return true;
}

static bool properties_read(struct batch *batch, struct picket_json_reader *reader, struct intake_message *member)
{
    char room[PICKET_PROPERTIES_MAX]; /* most are far shorter, and there may be hundreds of messages */
    struct http_properties properties;
    struct picket_json_token token;

    http_properties_open(&properties, room);
    while (picket_json_next(reader, &token) == PICKET_JSON_NAME) {
        struct text name = string_of(batch, &token);
        enum picket_json_kind kind = picket_json_next(reader, &token);
        if (kind == PICKET_JSON_OBJECT_OPEN || kind == PICKET_JSON_ARRAY_OPEN || kind == PICKET_JSON_ERROR)
            return fail(batch, reader, "a property of a message is neither text nor a number");
        http_properties_add(&properties, member, name,
                            kind == PICKET_JSON_STRING ? string_of(batch, &token) : (struct text){token.text, token.count});
    }
    if (reader->error)
        return fail(batch, reader, "");
    if (!http_properties_close(&properties, member))
        return fail(batch, reader, "the properties of a message are longer than 16 KiB");
    member->properties = arena_text(batch->arena, member->properties);
    return true;
}

static struct text string_of(struct batch *batch, const struct picket_json_token *token)
{
    char *plain = arena_alloc(batch->arena, 1, token->count + 1);

    return (struct text){plain, picket_json_unescape(token, plain)};
}

/* Any thread. */
static void member_answered(void *context, const struct intake_answer *answer)
{
    struct batch *batch = context;

    pthread_mutex_lock(&batch->lock);
    if (answer->receipt) {
        batch->receipt = *answer->receipt;
        batch->has_receipt = true;
    }
    if (answer->code != 204 && answer->code > batch->worst)
        batch->worst = answer->code;
    if (answer->retry_after_s > batch->retry_after_s)
        batch->retry_after_s = answer->retry_after_s;
    pthread_mutex_unlock(&batch->lock);
    batch_end(batch);
}

static void batch_end(struct batch *batch)
{
    const struct intake_message *like = batch->like;
    struct intake_answer answer = {.code = 204};

    pthread_mutex_lock(&batch->lock);
    bool last = --batch->waiting == 0;
    pthread_mutex_unlock(&batch->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&batch->lock);
    if (batch->worst)
        answer = (struct intake_answer){batch->worst, batch->worst == 429 ? "Throttled" : "Unavailable",
                                        "Not all messages of the batch could be stored; send it again.", 0, 0,
                                        batch->retry_after_s, NULL};
    else if (batch->has_receipt)
        answer.receipt = &batch->receipt;
    like->answered(like->context, &answer);
}
