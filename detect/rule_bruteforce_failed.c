#include "detect/login_failures.h"
#include "detect/rule.h"

static void judge_failed(struct judging *judging)
{
    const struct event *event = judging->event;
    struct text source = login_source(judging);
    int64_t first_us;

    if (event->outcome != EVENT_FAILED)
        return;
    memory_note(judging->memory, judging->rule->id, source, event->user, event->hits, event->at_us, LOGIN_FAILURES_REMEMBERED_US);
    uint64_t times = login_failures(judging, source, &first_us);
    if (times)
        login_failures_tell(judging, source, times, "failed logins of one source");
}

static const char *const review[] = {"See from where the source can reach the device, and whether it needs to.", "Let only keys log in, or block the source.", NULL};

static const struct rule_sample failed_samples[] = {
    {true, "x5 Login {\"Result\":\"Fail\",\"UserName\":\"root\",\"RemoteAddress\":\"203.0.113.9\",\"Executable\":\"/usr/sbin/dropbear\"}"},
    {true, "Login {\"Operation\":\"LoginFailed\",\"UserName\":\"admin\",\"RemoteAddress\":\"203.0.113.9\",\"ExtraDetails\":{\"HitCount\":40}}\n"
           "x4 Login {\"Operation\":\"LoginFailed\",\"UserName\":\"pi\",\"RemoteAddress\":\"203.0.113.9\"}"},
    {false, "x4 Login {\"Result\":\"Fail\",\"UserName\":\"root\",\"RemoteAddress\":\"203.0.113.9\"}"},
    {false, "Login {\"Result\":\"Fail\",\"UserName\":\"a\",\"RemoteAddress\":\"203.0.113.1\"}\nLogin {\"Result\":\"Fail\",\"UserName\":\"a\",\"RemoteAddress\":\"203.0.113.2\"}\n"
            "Login {\"Result\":\"Fail\",\"UserName\":\"a\",\"RemoteAddress\":\"203.0.113.3\"}\nLogin {\"Result\":\"Fail\",\"UserName\":\"a\",\"RemoteAddress\":\"203.0.113.4\"}\n"
            "Login {\"Result\":\"Fail\",\"UserName\":\"a\",\"RemoteAddress\":\"203.0.113.5\"}"},
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
