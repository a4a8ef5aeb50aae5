#include "ingest/mqtt/note.h"

#include <stdlib.h>

#include "ingest/ingest_metrics.h"
#include "ingest/mqtt/call.h"
#include "ingest/mqtt/reply.h"

static void note_run(struct loop_post *post);
static void method_send(struct session *session, const struct note *note);
static void desired_send(struct session *session, const struct note *note);

struct note *note_new(enum note_kind kind)
{
    return note_new_of(kind, TEXT(""), TEXT(""));
}

struct note *note_new_of(enum note_kind kind, struct text first, struct text second)
{
    struct note *note = malloc(sizeof *note + first.count + second.count);

    if (!note)
        abort();
    *note = (struct note){.post.run = note_run,
                          .kind = kind,
                          .first = {note->bytes, first.count},
                          .second = {note->bytes + first.count, second.count}};
    if (first.count)
        memcpy(note->bytes, first.bytes, first.count);
    if (second.count)
        memcpy(note->bytes + first.count, second.bytes, second.count);
    return note;
}

void note_free(struct note *take_note)
{
    free(take_note);
}

void note_hear(struct presence_member *member, void *heard)
{
    struct note *note = heard;

    note->session = (struct session *)((char *)member - offsetof(struct session, member));
    session_hold(note->session);
    loop_post(note->session->loop->loop, &note->post);
}

static void note_run(struct loop_post *post)
{
    struct note *note = (struct note *)post;
    struct session *session = note->session;

    if (session->state == SESSION_LIVE) {
        switch (note->kind) {
        case NOTE_TURNED_OUT:
            metric_add(&ingest_metrics.mqtt_turned_out, 1);
            session_close(session, PICKET_MQTT_TAKEN_OVER, "the same identity has connected again");
            break;
        case NOTE_CLOUD_MESSAGES:
            call_cloud_take(session);
            break;
        case NOTE_METHOD:
            method_send(session, note);
            break;
        case NOTE_DESIRED:
            desired_send(session, note);
            break;
        }
        session_go_on(session);
    }
    session_release(session);
    free(note);
}

static void method_send(struct session *session, const struct note *note)
{
    struct buf topic;

    buf_init(&topic, 1024);
    buf_format(&topic, "$iothub/methods/POST/%.*s/?$rid=%lld", TEXT_ARGS(note->first), (long long)note->number);
    if (!buf_failed(&topic))
        reply_publish(session, buf_as_text(&topic), 0, note->second);
    buf_done(&topic);
}

/* Who knows nothing yet reads the whole twin first, as all clients do, and is told of what comes after that. */
static void desired_send(struct session *session, const struct note *note)
{
    struct text object = session->desired_told >= note->from ? note->first : note->second;
    struct buf topic, body;

    if (note->number <= session->desired_told)
        return;
    buf_init(&topic, 256);
    buf_format(&topic, "$iothub/twin/PATCH/properties/desired/?$version=%lld", (long long)note->number);
    buf_init(&body, SIZE_MAX / 2);
    buf_text(&body, (struct text){object.bytes, object.count - 1}); /* SDKs look for the version in the object as well */
    buf_format(&body, "%s\"$version\":%lld}", object.count > 2 ? "," : "", (long long)note->number);
    reply_publish(session, buf_as_text(&topic), 0, buf_as_text(&body));
    buf_done(&body);
    buf_done(&topic);
    session->desired_told = note->number;
}

/* Hands it over, to whoever wants one of `bits`. */
static void tell(void *presence, const struct identity *identity, uint32_t bits, struct note *take_note)
{
    if (!presence_tell(presence, identity, bits, INT64_MAX, take_note))
        note_free(take_note);
}

static bool hook_here(void *presence, const struct identity *identity)
{
    return presence_here(presence, identity, 0);
}

static bool hook_takes_methods(void *presence, const struct identity *identity)
{
    return presence_here(presence, identity, PRESENCE_METHODS);
}

static void hook_method(void *presence, const struct identity *identity, const struct method_request *request)
{
    struct note *note = note_new_of(NOTE_METHOD, request->name, request->payload);

    note->number = request->call;
    tell(presence, identity, PRESENCE_METHODS, note);
}

static void hook_cloud_messages(void *presence, const struct identity *identity)
{
    if (presence_here(presence, identity, PRESENCE_CLOUD_MESSAGES))
        tell(presence, identity, PRESENCE_CLOUD_MESSAGES, note_new(NOTE_CLOUD_MESSAGES));
}

static void hook_desired(void *presence, const struct identity *identity, const struct desired_change *change)
{
    struct note *note = note_new_of(NOTE_DESIRED, change->patch, change->whole);

    note->number = change->version;
    note->from = change->from;
    tell(presence, identity, PRESENCE_DESIRED, note);
}

static void hook_connected_elsewhere(void *presence, const struct identity *identity, int64_t connected_at_us)
{
    struct note *note;

    if (!presence_here(presence, identity, 0))
        return;
    note = note_new(NOTE_TURNED_OUT);
    if (!presence_tell(presence, identity, 0, connected_at_us, note))
        note_free(note);
}

void mqtt_front_hooks(struct presence *presence, struct deliveries_hooks *out)
{
    *out = (struct deliveries_hooks){
        .context = presence,
        .here = hook_here,
        .takes_methods = hook_takes_methods,
        .method = hook_method,
        .cloud_messages = hook_cloud_messages,
        .desired = hook_desired,
        .connected_elsewhere = hook_connected_elsewhere,
    };
}
