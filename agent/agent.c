#include "agent/agent.h"

#include <assert.h>
#include <string.h>

#include "agent/stamp.h"

#define SCHEMA_VERSION "1.0"
#define SMALL_MESSAGE 4096 /* what hubs count as one message */
#define ENVELOPE_MAX (256 + PICKET_SEQUENCE_MEMBER_MAX) /* a message without its events */
#define BACKOFF_FIRST_MS 1000
#define BACKOFF_LAST_MS 300000
#define BACKOFF_DOUBLINGS 9       /* past these the last is reached */
#define RETRY_AFTER_MAX_S 3600    /* a server that asks for more is asked again after an hour */

static uint32_t next_work_ms(const struct picket_agent *agent);
static void load_numbering(struct picket_agent *agent);
static void save_numbering(struct picket_agent *agent);
static struct picket_lane *lane_of(struct picket_agent *agent, enum picket_priority priority);
static size_t write_event(struct picket_agent *agent, const struct picket_event *event, char *out, size_t size);
static size_t event_max(const struct picket_agent *agent);
static bool queue_due(const struct picket_agent *agent, const struct picket_lane *lane, int64_t now_ms);
static bool has_to_tell(const struct picket_lane *lane);
static bool anything_due(const struct picket_agent *agent, int64_t now_ms);
static bool anything_kept(const struct picket_agent *agent);
static void keep_queue(struct picket_agent *agent, struct picket_lane *lane);
static bool keep_message(struct picket_agent *agent, struct picket_lane *lane, const struct picket_message *message);
static bool evict_oldest(struct picket_agent *agent, const char *reason);
static bool send_kept(struct picket_agent *agent);
static bool send_queue(struct picket_agent *agent, struct picket_lane *lane);
static enum picket_send_status send_message(struct picket_agent *agent, const struct picket_message *message,
                                            struct picket_send_answer *answer);
static void back_off(struct picket_agent *agent, uint32_t retry_after_s);
static uint32_t choose_events(const struct picket_agent *agent, const struct picket_lane *lane, uint64_t *first);
static void build_message(struct picket_agent *agent, struct picket_lane *lane, struct picket_message *out);
static void settle_message(struct picket_lane *lane, const struct picket_message *message);
static bool message_range(const struct picket_lane *lane, const struct picket_message *message, uint64_t *first,
                          uint64_t *last);
static void drop_message(struct picket_agent *agent, const struct picket_message *message, const char *reason);
static void print_refusal(unsigned code, char out[PICKET_SEQUENCE_REASON_SIZE]);

void picket_agent_init(struct picket_agent *agent, const struct picket_port *port,
                       const struct picket_agent_settings *settings, const struct picket_agent_memory *memory)
{
    assert(memory->message_size >= PICKET_AGENT_MESSAGE_MIN);
    assert(strlen(settings->version) <= 64);
    assert(!port->keep == !port->oldest && !port->keep == !port->newest && !port->keep == !port->forget);
    assert(!port->save == !port->load);

    memset(agent, 0, sizeof *agent);
    agent->port = port;
    agent->settings = *settings;
    agent->message = memory->message;
    agent->message_size = memory->message_size;
    assert(memory->queues[PICKET_HIGH].size);
    for (unsigned i = 0; i < PICKET_PRIORITIES; i++) {
        if (memory->queues[i].size)
            picket_queue_init(&agent->lanes[i].queue, memory->queues[i].bytes, memory->queues[i].size);
    }
    load_numbering(agent);
    agent->retry_at_ms = port->monotonic_ms(port->context);
}

bool picket_agent_observe(struct picket_agent *agent, const struct picket_event *event)
{
    const struct picket_port *port = agent->port;
    struct picket_lane *lane = lane_of(agent, event->priority);
    size_t room, count = 0;
    char *text = picket_queue_room(&lane->queue, &room);

    if (text)
        count = write_event(agent, event, text, room);
    if (!count) {
        keep_queue(agent, lane);
        text = picket_queue_room(&lane->queue, &room);
        count = text ? write_event(agent, event, text, room) : 0;
    }
    agent->counts.observed++;
    uint64_t number = lane->sequence.next++;
    lane->sequence.changed = true;
    bool too_large = count ? count > event_max(agent) : lane->queue.used == 0;
    if (!count || too_large) {
        picket_sequence_drop(&lane->sequence, number, number, too_large ? "too-large" : "queue-full");
        agent->counts.dropped++;
        return false;
    }
    if (!lane->queue.used)
        lane->due_at_ms = port->monotonic_ms(port->context) + agent->settings.interval_ms[event->priority];
    picket_queue_add(&lane->queue, number, count);
    return true;
}

void picket_agent_lose(struct picket_agent *agent, enum picket_priority priority, uint64_t count, const char *reason)
{
    struct picket_sequence *sequence = &lane_of(agent, priority)->sequence;

    if (!count)
        return;
    sequence->next += count;
    picket_sequence_drop(sequence, sequence->next - count, sequence->next - 1, reason);
    agent->counts.observed += count;
    agent->counts.dropped += count;
}

void picket_agent_configure(struct picket_agent *agent, const struct picket_agent_settings *settings)
{
    memcpy(agent->settings.interval_ms, settings->interval_ms, sizeof settings->interval_ms);
    agent->settings.message_bytes = settings->message_bytes;
    for (unsigned i = 0; i < PICKET_PRIORITIES; i++)
        agent->lanes[i].due_at_ms = agent->port->monotonic_ms(agent->port->context);
}

bool picket_agent_waiting(const struct picket_agent *agent)
{
    for (unsigned i = 0; i < PICKET_PRIORITIES; i++) {
        if (agent->lanes[i].queue.used)
            return true;
    }
    return false;
}

uint32_t picket_agent_tick(struct picket_agent *agent)
{
    const struct picket_port *port = agent->port;
    int64_t now = port->monotonic_ms(port->context);

    save_numbering(agent);
    while (port->expired && port->expired(port->context) && evict_oldest(agent, "too-old"))
        ;
    for (unsigned i = 0; i < PICKET_PRIORITIES; i++) {
        if (queue_due(agent, &agent->lanes[i], now) && (now < agent->retry_at_ms || anything_kept(agent)))
            keep_queue(agent, &agent->lanes[i]);
    }
    if (now >= agent->retry_at_ms && send_kept(agent) && !anything_kept(agent)) {
        bool fine = true;
        for (unsigned i = 0; fine && i < PICKET_PRIORITIES; i++)
            fine = !(queue_due(agent, &agent->lanes[i], now) || has_to_tell(&agent->lanes[i])) || send_queue(agent, &agent->lanes[i]);
    }
    save_numbering(agent);

    return next_work_ms(agent);
}

bool picket_agent_flush(struct picket_agent *agent)
{
    const struct picket_port *port = agent->port;

    agent->retry_at_ms = port->monotonic_ms(port->context);
    agent->failures = 0;
    while ((picket_agent_waiting(agent) || anything_kept(agent)) && !agent->failures) {
        for (unsigned i = 0; i < PICKET_PRIORITIES; i++)
            agent->lanes[i].due_at_ms = agent->retry_at_ms;
        picket_agent_tick(agent);
    }
    save_numbering(agent);
    return !picket_agent_waiting(agent) && !anything_kept(agent);
}

void picket_agent_done(struct picket_agent *agent)
{
    save_numbering(agent);
    for (unsigned i = 0; i < PICKET_PRIORITIES; i++) {
        struct picket_lane *lane = &agent->lanes[i];
        keep_queue(agent, lane);
        if (lane->queue.size && !lane->queue.used)
            picket_sequence_settle(&lane->sequence, lane->sequence.next - 1);
    }
    save_numbering(agent);
}

/* What is kept waits for the server; what is queued for its time, and then for the server unless it can be kept. */
static uint32_t next_work_ms(const struct picket_agent *agent)
{
    const struct picket_port *port = agent->port;
    int64_t now = port->monotonic_ms(port->context), at = INT64_MAX;

    if (anything_kept(agent) || anything_due(agent, now))
        at = agent->retry_at_ms;
    for (unsigned i = 0; i < PICKET_PRIORITIES; i++) {
        const struct picket_lane *lane = &agent->lanes[i];
        if (has_to_tell(lane) && agent->retry_at_ms < at)
            at = agent->retry_at_ms;
        if (lane->queue.used && !queue_due(agent, lane, now) && lane->due_at_ms < at)
            at = lane->due_at_ms;
    }
    if (at == INT64_MAX)
        return UINT32_MAX;
    return at <= now ? 0 : at - now >= UINT32_MAX ? UINT32_MAX - 1 : (uint32_t)(at - now);
}

static struct picket_lane *lane_of(struct picket_agent *agent, enum picket_priority priority)
{
    unsigned at = priority;

    while (!agent->lanes[at].queue.size)
        at--;
    return &agent->lanes[at];
}

/* All streams bear the id of the first one. */
static void load_numbering(struct picket_agent *agent)
{
    const struct picket_port *port = agent->port;
    struct picket_message newest;
    uint64_t first, last;
    bool kept = port->newest && port->newest(port->context, &newest) != PICKET_KEPT_NONE;

    assert(agent->message_size >= PICKET_SEQUENCE_STATE_MAX);

    for (unsigned i = 0; i < PICKET_PRIORITIES; i++) {
        struct picket_sequence *sequence = &agent->lanes[i].sequence;
        size_t count = port->load ? port->load(port->context, i, agent->message, PICKET_SEQUENCE_STATE_MAX) : 0;
        if (!agent->lanes[i].queue.size)
            continue;
        if (!count || !picket_sequence_read(sequence, agent->message, count) || sequence->stream != i) {
            picket_sequence_begin(sequence, port, (uint8_t)i);
        } else {
            /* A message may have been kept just before the power went, and the numbering not yet told so. */
            if (kept && message_range(&agent->lanes[i], &newest, &first, &last))
                picket_sequence_settle(sequence, last);
            picket_sequence_restart(sequence);
        }
        memcpy(sequence->agent_id, agent->lanes[PICKET_HIGH].sequence.agent_id, sizeof sequence->agent_id);
    }
}

static void save_numbering(struct picket_agent *agent)
{
    char state[PICKET_SEQUENCE_STATE_MAX];

    for (unsigned i = 0; agent->port->save && i < PICKET_PRIORITIES; i++) {
        struct picket_sequence *sequence = &agent->lanes[i].sequence;
        if (!sequence->changed)
            continue;
        size_t count = picket_sequence_write(sequence, state, sizeof state);
        assert(count && "PICKET_SEQUENCE_STATE_MAX holds the longest state");
        if (agent->port->save(agent->port->context, i, state, count))
            sequence->changed = false;
        else
            agent->counts.saves_failed++;
    }
}

/* 0 when it does not fit. */
static size_t write_event(struct picket_agent *agent, const struct picket_event *event, char *out, size_t size)
{
    const struct picket_port *port = agent->port;
    struct picket_json_writer writer;
    char id[PICKET_GUID_SIZE], local[PICKET_TIME_SIZE], utc[PICKET_TIME_SIZE];
    int64_t utc_ms = event->utc_ms ? event->utc_ms : port->utc_ms(port->context);
    static const char *const types[] = {"Security", "Operational", "Diagnostic"};
    bool periodic = event->category == PICKET_EVENT_PERIODIC, empty = event->payload_count <= 2;

    assert(event->payload_count >= 2 && (periodic || !empty));

    picket_guid_make(port, id);
    picket_time_print_local(utc_ms, port->utc_offset_s(port->context, utc_ms / 1000), local);
    picket_time_print_utc(utc_ms, utc);
    picket_json_write_init(&writer, out, size);
    picket_json_open_object(&writer);
    picket_json_write_name(&writer, "Category");
    picket_json_write_terminated(&writer, periodic ? "Periodic" : "Triggered");
    picket_json_write_name(&writer, "EventType");
    picket_json_write_terminated(&writer, types[event->type]);
    picket_json_write_name(&writer, "Name");
    picket_json_write_terminated(&writer, event->name);
    picket_json_write_name(&writer, "PayloadSchemaVersion");
    picket_json_write_terminated(&writer, SCHEMA_VERSION);
    picket_json_write_name(&writer, "Id");
    picket_json_write_terminated(&writer, id);
    picket_json_write_name(&writer, "TimestampLocal");
    picket_json_write_terminated(&writer, local);
    picket_json_write_name(&writer, "TimestampUTC");
    picket_json_write_terminated(&writer, utc);
    picket_json_write_name(&writer, "IsEmpty");
    picket_json_write_bool(&writer, empty);
    picket_json_write_name(&writer, "Payload");
    picket_json_write_raw(&writer, event->payload, event->payload_count);
    picket_json_close_object(&writer);
    return picket_json_written(&writer);
}

/* The longest event that a message holds, beside the envelope and its comma. */
static size_t event_max(const struct picket_agent *agent)
{
    return agent->message_size - ENVELOPE_MAX - 1;
}

/* How long messages of several events may be. */
static size_t message_limit(const struct picket_agent *agent)
{
    size_t wanted = agent->settings.message_bytes;

    if (!wanted || wanted > agent->message_size)
        return agent->message_size;
    return wanted > PICKET_AGENT_MESSAGE_MIN ? wanted : PICKET_AGENT_MESSAGE_MIN;
}

/* A message that would be full does not wait for its time. */
static bool queue_due(const struct picket_agent *agent, const struct picket_lane *lane, int64_t now_ms)
{
    return lane->queue.used && (now_ms >= lane->due_at_ms || lane->queue.used + ENVELOPE_MAX >= message_limit(agent));
}

/* Its list of losses is half full: past its end a loss has no reason, so its events do not wait for their time. */
static bool has_to_tell(const struct picket_lane *lane)
{
    return lane->queue.used && lane->sequence.dropped_count >= PICKET_SEQUENCE_DROPPED_MAX / 2;
}

static bool anything_due(const struct picket_agent *agent, int64_t now_ms)
{
    for (unsigned i = 0; i < PICKET_PRIORITIES; i++) {
        if (queue_due(agent, &agent->lanes[i], now_ms))
            return true;
    }
    return false;
}

static bool anything_kept(const struct picket_agent *agent)
{
    const struct picket_port *port = agent->port;
    struct picket_message oldest;

    return port->oldest && port->oldest(port->context, NULL, 0, &oldest) != PICKET_KEPT_NONE;
}

/* Moves the queue into messages that wait for the server, as far as they can be kept. */
static void keep_queue(struct picket_agent *agent, struct picket_lane *lane)
{
    struct picket_message message;

    while (agent->port->keep && lane->queue.used) {
        save_numbering(agent); /* no number leaves memory before it is known to be given */
        build_message(agent, lane, &message);
        if (!lane->pending)
            lane->sequence.carried = 0; /* never tried, it need not come out the same: losses may still join up */
        if (!keep_message(agent, lane, &message))
            return;
    }
}

/* Keeps a message that was made of the queue, at the cost of the oldest when there is no room. */
static bool keep_message(struct picket_agent *agent, struct picket_lane *lane, const struct picket_message *message)
{
    const struct picket_port *port = agent->port;
    enum picket_keep_status status = port->keep(port->context, message);

    while (status == PICKET_KEEP_FULL && evict_oldest(agent, "spool-full"))
        status = port->keep(port->context, message);
    if (status != PICKET_KEEP_DONE)
        return false;
    agent->counts.kept += message->count;
    settle_message(lane, message);
    save_numbering(agent);
    return true;
}

/* The loss is saved before the message goes: a power cut between the two tells it twice, never not at all. */
static bool evict_oldest(struct picket_agent *agent, const char *reason)
{
    const struct picket_port *port = agent->port;
    struct picket_message oldest;

    if (port->oldest(port->context, NULL, 0, &oldest) == PICKET_KEPT_NONE)
        return false;
    drop_message(agent, &oldest, reason);
    save_numbering(agent);
    port->forget(port->context);
    return true;
}

/* False when the server did not take one. What is queued must wait for what is kept, not for an earlier failure: a
 * message that could not be kept is tried again from the queue. */
static bool send_kept(struct picket_agent *agent)
{
    const struct picket_port *port = agent->port;

    for (int i = 0; port->oldest && i < PICKET_AGENT_BURST; i++) {
        struct picket_message message;
        struct picket_send_answer answer;
        enum picket_kept_status kept = port->oldest(port->context, agent->message, agent->message_size, &message);
        if (kept == PICKET_KEPT_NONE)
            return true;
        if (kept == PICKET_KEPT_DAMAGED) {
            evict_oldest(agent, "spool-damaged");
            continue;
        }
        if (send_message(agent, &message, &answer) == PICKET_SEND_LATER)
            return false;
        if (answer.status == PICKET_SEND_REFUSED) {
            char reason[PICKET_SEQUENCE_REASON_SIZE];
            print_refusal(answer.code, reason);
            evict_oldest(agent, reason);
        } else {
            port->forget(port->context);
        }
    }
    return true;
}

/* False when the server did not take one. */
static bool send_queue(struct picket_agent *agent, struct picket_lane *lane)
{
    struct picket_message message;
    struct picket_send_answer answer;

    for (int i = 0; lane->queue.used && i < PICKET_AGENT_BURST; i++) {
        build_message(agent, lane, &message);
        switch (send_message(agent, &message, &answer)) {
        case PICKET_SEND_DONE:
            picket_sequence_told(&lane->sequence);
            settle_message(lane, &message);
            break;
        case PICKET_SEND_REFUSED: {
            char reason[PICKET_SEQUENCE_REASON_SIZE];
            print_refusal(answer.code, reason);
            drop_message(agent, &message, reason);
            settle_message(lane, &message);
            break;
        }
        case PICKET_SEND_LATER:
            lane->pending = message.count;
            if (agent->port->keep)
                (void)keep_message(agent, lane, &message);
            return false;
        }
    }
    return true;
}

static enum picket_send_status send_message(struct picket_agent *agent, const struct picket_message *message,
                                            struct picket_send_answer *answer)
{
    const struct picket_port *port = agent->port;

    memset(answer, 0, sizeof *answer);
    port->send(port->context, message, answer);
    agent->counts.failed += answer->status != PICKET_SEND_DONE;
    if (answer->status == PICKET_SEND_LATER) {
        back_off(agent, answer->retry_after_s);
        return answer->status;
    }
    if (answer->status == PICKET_SEND_DONE) {
        agent->counts.sent += message->count;
        agent->counts.messages++;
        agent->counts.messages_small += message->body_count < SMALL_MESSAGE;
    }
    agent->failures = 0;
    return answer->status;
}

/* Twice as long each time, and anywhere in the upper half of it. What the server asked for is the least, and then anywhere
 * in a quarter of it more, since it asks a whole fleet for the same. */
static void back_off(struct picket_agent *agent, uint32_t retry_after_s)
{
    const struct picket_port *port = agent->port;
    uint32_t dice;
    unsigned doublings = agent->failures < BACKOFF_DOUBLINGS ? agent->failures : BACKOFF_DOUBLINGS;
    uint32_t wait_ms = (uint32_t)BACKOFF_FIRST_MS << doublings;

    wait_ms = wait_ms > BACKOFF_LAST_MS ? BACKOFF_LAST_MS : wait_ms;
    port->random(port->context, &dice, sizeof dice);
    uint32_t asked_ms = (retry_after_s > RETRY_AFTER_MAX_S ? RETRY_AFTER_MAX_S : retry_after_s) * 1000;
    uint32_t least_ms = asked_ms > wait_ms / 2 ? asked_ms : wait_ms / 2;
    uint32_t spread_ms = asked_ms / 4 > wait_ms / 2 ? asked_ms / 4 : wait_ms / 2;
    agent->retry_at_ms = port->monotonic_ms(port->context) + least_ms + dice % (spread_ms + 1);
    agent->failures++;
}

/* How many of the queued events make the next message: consecutive numbers, and as many as fit. One that was tried
 * already keeps its events, so that the server can tell that it is the same, whatever the limit is now. */
static uint32_t choose_events(const struct picket_agent *agent, const struct picket_lane *lane, uint64_t *first)
{
    struct picket_queued event;
    size_t at = 0, left = (lane->pending ? agent->message_size : message_limit(agent)) - ENVELOPE_MAX;
    uint32_t count = 0;

    while (picket_queue_next(&lane->queue, &at, &event)) {
        if (count == 0)
            *first = event.number;
        bool fits = event.count + 1 <= left;
        if (event.number != *first + count || (count && !fits) || (lane->pending && count == lane->pending))
            break;
        left -= fits ? event.count + 1 : left;
        count++;
    }
    assert(count > 0 && "an event that fits no message is not queued");
    return count;
}

static void build_message(struct picket_agent *agent, struct picket_lane *lane, struct picket_message *out)
{
    struct picket_sequence *sequence = &lane->sequence;
    struct picket_json_writer writer;
    struct picket_queued event;
    char number[PICKET_NUMBER_SIZE];
    uint64_t first = 0;
    size_t at = 0, epoch_length = PICKET_GUID_SIZE - 1;
    uint32_t count = choose_events(agent, lane, &first);

    if (!lane->pending)
        sequence->carried = sequence->dropped_count;
    picket_json_write_init(&writer, agent->message, agent->message_size);
    picket_json_open_object(&writer);
    picket_json_write_name(&writer, "AgentVersion");
    picket_json_write_terminated(&writer, agent->settings.version);
    picket_json_write_name(&writer, "AgentId");
    picket_json_write_terminated(&writer, sequence->agent_id);
    picket_json_write_name(&writer, "MessageSchemaVersion");
    picket_json_write_terminated(&writer, SCHEMA_VERSION);
    picket_sequence_write_member(sequence, first, count, &writer);
    picket_json_write_name(&writer, "Events");
    picket_json_open_array(&writer);
    for (uint32_t i = 0; i < count && picket_queue_next(&lane->queue, &at, &event); i++)
        picket_json_write_raw(&writer, event.text, event.count);
    picket_json_close_array(&writer);
    picket_json_close_object(&writer);

    memset(out, 0, sizeof *out);
    out->count = count;
    out->body = agent->message;
    out->body_count = picket_json_written(&writer);
    assert(out->body_count && "ENVELOPE_MAX holds the longest envelope");
    memcpy(out->id, sequence->epoch, epoch_length);
    out->id[epoch_length] = '-';
    memcpy(out->id + epoch_length + 1, number, picket_number_print(first, number) + 1);
}

/* The message's events no longer depend on the queue. */
static void settle_message(struct picket_lane *lane, const struct picket_message *message)
{
    uint64_t first, last;
    bool ours = message_range(lane, message, &first, &last);

    assert(ours);
    (void)ours;
    picket_sequence_settle(&lane->sequence, last);
    lane->sequence.carried = 0;
    lane->pending = 0;
    picket_queue_remove(&lane->queue, message->count);
}

/* The numbers in a message, from its id. False when it belongs to another lane, or to an epoch that is over: what it loses
 * can no longer be told, and is a gap there. */
static bool message_range(const struct picket_lane *lane, const struct picket_message *message, uint64_t *first,
                          uint64_t *last)
{
    size_t epoch_length = PICKET_GUID_SIZE - 1;
    const char *digits = message->id + epoch_length + 1;

    if (strlen(message->id) <= epoch_length + 1 || memcmp(message->id, lane->sequence.epoch, epoch_length) != 0 ||
        message->id[epoch_length] != '-' || message->count == 0 || !picket_number_read(digits, strlen(digits), first))
        return false;
    *last = *first + message->count - 1;
    return *first >= 1 && *last >= *first && *last < lane->sequence.next;
}

static void drop_message(struct picket_agent *agent, const struct picket_message *message, const char *reason)
{
    uint64_t first, last;

    agent->counts.dropped += message->count;
    for (unsigned i = 0; i < PICKET_PRIORITIES; i++) {
        if (message_range(&agent->lanes[i], message, &first, &last))
            picket_sequence_drop(&agent->lanes[i].sequence, first, last, reason);
    }
}

/* "refused 400" */
static void print_refusal(unsigned code, char out[PICKET_SEQUENCE_REASON_SIZE])
{
    static const char refused[] = "refused ";
    char digits[PICKET_NUMBER_SIZE];
    size_t count = picket_number_print(code % 1000, digits);

    memcpy(out, refused, sizeof refused - 1);
    memcpy(out + sizeof refused - 1, digits, count + 1);
}
