#include "detect/login_failures.h"
#include "detect/rule.h"

static void judge_succeeded(struct judging *judging)
{
    const struct event *event = judging->event;
    struct text source = login_source(judging);
    int64_t first_us;

    if (event->outcome == EVENT_FAILED)
        memory_note(judging->memory, judging->rule->id, source, event->user, event->hits, event->at_us, LOGIN_FAILURES_REMEMBERED_US);
    if (event->outcome != EVENT_SUCCEEDED)
        return;
    uint64_t times = login_failures(judging, source, &first_us);
    if (!times)
        return;
    login_failures_tell(judging, source, times, "a login succeeded after failures of the same source");
    memory_forget(judging->memory, judging->rule->id, source);
}

static const char *const assume_taken[] = {"Ask the user whether the login was theirs; if not, take the device as taken over.", "Change the password of that user, here and wherever it is used.",
                                           "Look at what was run after the login, and for programs and keys that were left.", NULL};

static const struct rule_sample succeeded_samples[] = {
    {true, "x6 Login {\"Result\":\"Fail\",\"UserName\":\"root\",\"RemoteAddress\":\"203.0.113.9\"}\nLogin {\"Result\":\"Success\",\"UserName\":\"root\",\"RemoteAddress\":\"203.0.113.9\"}"},
    {true, "x5 Login {\"Operation\":\"LoginFailed\",\"UserName\":\"admin\",\"RemoteAddress\":\"2001:db8::9\"}\n+60 Login {\"Operation\":\"Login\",\"UserName\":\"root\",\"RemoteAddress\":\"2001:db8::9\"}"},
    {false, "x2 Login {\"Result\":\"Fail\",\"UserName\":\"root\",\"RemoteAddress\":\"203.0.113.9\"}\nLogin {\"Result\":\"Success\",\"UserName\":\"root\",\"RemoteAddress\":\"203.0.113.9\"}"},
    {false, "x6 Login {\"Result\":\"Fail\",\"UserName\":\"root\",\"RemoteAddress\":\"203.0.113.9\"}\nLogin {\"Result\":\"Success\",\"UserName\":\"root\",\"RemoteAddress\":\"203.0.113.10\"}"},
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
