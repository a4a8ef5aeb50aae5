#include "detect/rule.h"

#define FAILURES_MIN 5             /* of one source, without an address of one user … */
#define FAILURES_US MINUTES_US(10) /* … within this; a slow one is seen by the next */
#define SLOW_FAILURES_MIN 15
#define SLOW_US HOURS_US(12)
#define REMEMBERED_US SLOW_US

/* Both rules keep their own traces: each answers the same whether or not the other is on. */
static struct text source_of(const struct judging *judging)
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

/* How many failures make it one; 0: not enough. */
static uint64_t failures(const struct judging *judging, struct text source, int64_t *first_us)
{
    struct memory_sum quick = memory_sum(judging->memory, judging->rule->id, source, judging->event->at_us, FAILURES_US);
    struct memory_sum slow = memory_sum(judging->memory, judging->rule->id, source, judging->event->at_us, SLOW_US);

    *first_us = slow.first_us;
    return quick.times >= FAILURES_MIN ? quick.times : slow.times >= SLOW_FAILURES_MIN ? slow.times : 0;
}

static void finding_fill(struct judging *judging, struct text source, uint64_t times, const char *clause)
{
    struct finding *finding = finding_add(judging, source);

    finding_reason(finding, "Result", text_of(arena_format(judging->arena, "%s: %llu", clause, (unsigned long long)times)), source);
    finding_reason(finding, "UserName", TEXT("users that were tried"), users_of(judging, source));
    if (judging->event->user.count)
        finding_entity(finding, FINDING_USER, judging->event->user);
}

static void judge_failed(struct judging *judging)
{
    const struct event *event = judging->event;
    struct text source = source_of(judging);
    int64_t first_us;

    if (event->outcome != EVENT_FAILED)
        return;
    memory_note(judging->memory, judging->rule->id, source, event->user, event->hits, event->at_us, REMEMBERED_US);
    uint64_t times = failures(judging, source, &first_us);
    if (times)
        finding_fill(judging, source, times, "failed logins of one source");
}

static void judge_succeeded(struct judging *judging)
{
    const struct event *event = judging->event;
    struct text source = source_of(judging);
    int64_t first_us;

    if (event->outcome == EVENT_FAILED)
        memory_note(judging->memory, judging->rule->id, source, event->user, event->hits, event->at_us, REMEMBERED_US);
    if (event->outcome != EVENT_SUCCEEDED)
        return;
    uint64_t times = failures(judging, source, &first_us);
    if (!times)
        return;
    finding_fill(judging, source, times, "a login succeeded after failures of the same source");
    memory_forget(judging->memory, judging->rule->id, source);
}

static const char *const review[] = {"See from where the source can reach the device, and whether it needs to.", "Let only keys log in, or block the source.", NULL};
static const char *const assume_taken[] = {"Ask the user whether the login was theirs; if not, take the device as taken over.", "Change the password of that user, here and wherever it is used.",
                                           "Look at what was run after the login, and for programs and keys that were left.", NULL};

static const struct rule_sample failed_samples[] = {
    {true, "x5 Login {\"Result\":\"Fail\",\"UserName\":\"root\",\"RemoteAddress\":\"203.0.113.9\",\"Executable\":\"/usr/sbin/dropbear\"}"},
    {true, "Login {\"Operation\":\"LoginFailed\",\"UserName\":\"admin\",\"RemoteAddress\":\"203.0.113.9\",\"ExtraDetails\":{\"HitCount\":40}}\n"
           "x4 Login {\"Operation\":\"LoginFailed\",\"UserName\":\"pi\",\"RemoteAddress\":\"203.0.113.9\"}"},
    {false, "x4 Login {\"Result\":\"Fail\",\"UserName\":\"root\",\"RemoteAddress\":\"203.0.113.9\"}"},
    {false, "Login {\"Result\":\"Fail\",\"UserName\":\"a\",\"RemoteAddress\":\"203.0.113.1\"}\nLogin {\"Result\":\"Fail\",\"UserName\":\"a\",\"RemoteAddress\":\"203.0.113.2\"}\n"
            "Login {\"Result\":\"Fail\",\"UserName\":\"a\",\"RemoteAddress\":\"203.0.113.3\"}\nLogin {\"Result\":\"Fail\",\"UserName\":\"a\",\"RemoteAddress\":\"203.0.113.4\"}\n"
            "Login {\"Result\":\"Fail\",\"UserName\":\"a\",\"RemoteAddress\":\"203.0.113.5\"}"},
};
static const struct rule_sample succeeded_samples[] = {
    {true, "x6 Login {\"Result\":\"Fail\",\"UserName\":\"root\",\"RemoteAddress\":\"203.0.113.9\"}\nLogin {\"Result\":\"Success\",\"UserName\":\"root\",\"RemoteAddress\":\"203.0.113.9\"}"},
    {true, "x5 Login {\"Operation\":\"LoginFailed\",\"UserName\":\"admin\",\"RemoteAddress\":\"2001:db8::9\"}\n+60 Login {\"Operation\":\"Login\",\"UserName\":\"root\",\"RemoteAddress\":\"2001:db8::9\"}"},
    {false, "x2 Login {\"Result\":\"Fail\",\"UserName\":\"root\",\"RemoteAddress\":\"203.0.113.9\"}\nLogin {\"Result\":\"Success\",\"UserName\":\"root\",\"RemoteAddress\":\"203.0.113.9\"}"},
    {false, "x6 Login {\"Result\":\"Fail\",\"UserName\":\"root\",\"RemoteAddress\":\"203.0.113.9\"}\nLogin {\"Result\":\"Success\",\"UserName\":\"root\",\"RemoteAddress\":\"203.0.113.10\"}"},
};

const struct rule rule_bruteforce_failed = {
    .id = "IoT_Bruteforce_Fail",
    .title = "Failed brute-force attempt",
    .severity = "Low",
    .tactics = "CredentialAccess",
    .techniques = "T1110, T0806",
    .fires = "Five failed logins of one source address within ten minutes, or fifteen within twelve hours; of one user where there is no address.",
    .spares = "A few mistakes; failures of several sources, one each.",
    .needs = "Logins.",
    .tuning = "An exception for an address that scans on purpose.",
    .remediation = review,
    .kinds = EVENT_BIT(EVENT_LOGIN),
    .remembers = true,
    .judge = judge_failed,
    RULE_SAMPLES(failed_samples),
};

const struct rule rule_bruteforce_succeeded = {
    .id = "IoT_Bruteforce_Success",
    .title = "Successful brute-force attempt",
    .severity = "High",
    .tactics = "CredentialAccess, InitialAccess",
    .techniques = "T1110, T1078, T0859",
    .fires = "A login that succeeded after as many failures of the same source as make a brute-force attempt.",
    .spares = "A login after one or two mistakes; one from another address than the failures.",
    .needs = "Logins.",
    .tuning = "An exception for an address that tests on purpose.",
    .remediation = assume_taken,
    .kinds = EVENT_BIT(EVENT_LOGIN),
    .remembers = true,
    .judge = judge_succeeded,
    RULE_SAMPLES(succeeded_samples),
};
