#include "detect/login_failures.h"

#define FAILURES_MIN 5             /* of one source, without an address of one user … */
#define FAILURES_US MINUTES_US(10) /* … within this; a slow one is seen by the next */
#define SLOW_FAILURES_MIN 15
#define SLOW_US LOGIN_FAILURES_REMEMBERED_US

struct text login_source(const struct judging *judging)
{
    const struct event *event = judging->event;

    if (event->remote_address.count)
        return event->remote_address;
    return text_of(arena_format(judging->arena, "user %.*s", TEXT_ARGS(event->user.bytes ? event->user : TEXT("?"))));
}

struct listing {
    struct buf *out;
    size_t count;
};

static void user_list(void *context, struct text value, int64_t at_us, uint64_t times)
{
    struct listing *listing = context;

    (void)at_us;
    (void)times;
    if (listing->count++ < 10 && value.count) {
        buf_string(listing->out, listing->out->count ? ", " : "");
        buf_text(listing->out, value);
    }
}

static struct text users_of(const struct judging *judging, struct text source)
{
    struct buf out;
    struct listing listing = {&out, 0};

    buf_init(&out, 4096);
    memory_walk(judging->memory, judging->rule->id, source, user_list, &listing);
    struct text users = arena_text(judging->arena, buf_as_text(&out));
    buf_done(&out);
    return users;
}

uint64_t login_failures(const struct judging *judging, struct text source, int64_t *first_us)
{
    struct memory_sum quick = memory_sum(judging->memory, judging->rule->id, source, judging->event->at_us, FAILURES_US);
    struct memory_sum slow = memory_sum(judging->memory, judging->rule->id, source, judging->event->at_us, SLOW_US);

    *first_us = slow.first_us;
    return quick.times >= FAILURES_MIN ? quick.times : slow.times >= SLOW_FAILURES_MIN ? slow.times : 0;
}

void login_failures_tell(struct judging *judging, struct text source, uint64_t times, const char *clause)
{
    struct finding *finding = finding_add(judging, source);

    finding_reason(finding, "Result", text_of(arena_format(judging->arena, "%s: %llu", clause, (unsigned long long)times)), source);
    finding_reason(finding, "UserName", TEXT("users that were tried"), users_of(judging, source));
    if (judging->event->user.count)
        finding_entity(finding, FINDING_USER, judging->event->user);
}
