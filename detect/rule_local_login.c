#include "detect/rule.h"

/* No address, or the device's own: the micro agent says 0.0.0.0 or 127.0.0.1 of a login at the console. */
static bool is_local(struct text address)
{
    return !address.count || text_starts(address, TEXT("127.")) || text_equal(address, TEXT("0.0.0.0")) || text_equal(address, TEXT("::1")) ||
           text_equal(address, TEXT("::")) || text_equal(address, TEXT("localhost"));
}

static void judge_outcome(struct judging *judging, enum event_outcome outcome, const char *clause)
{
    const struct event *event = judging->event;

    if (event->outcome != outcome || !is_local(event->remote_address))
        return;
    struct finding *finding = finding_add(judging, event->user);
    finding_reason(finding, "Result", text_of(clause), event->user);
}

static void judge_success(struct judging *judging)
{
    judge_outcome(judging, EVENT_SUCCEEDED, "a login at the device itself that succeeded");
}

static void judge_failure(struct judging *judging)
{
    judge_outcome(judging, EVENT_FAILED, "a login at the device itself that failed");
}

static const char *const check_user[] = {"Ask the user whether the login was theirs.", "If it was not, change the password, and look at what was run after it.", NULL};
static const char *const check_access[] = {"Find out who could reach the device's console or serial port at that time.",
                                           "If nobody should have, look for signs of opening, and for other failures on devices nearby.", NULL};

static const struct rule_sample success_samples[] = {
    {true, "Login {\"Result\":\"Success\",\"UserName\":\"root\",\"Executable\":\"/bin/login\",\"Operation\":\"login\"}"},
    {true, "Login {\"Operation\":\"Login\",\"UserName\":\"admin\",\"Executable\":\"tty1\",\"RemoteAddress\":\"0.0.0.0\"}"},
    {false, "Login {\"Result\":\"Success\",\"UserName\":\"root\",\"RemoteAddress\":\"203.0.113.9\",\"Executable\":\"/usr/sbin/dropbear\"}"},
    {false, "Login {\"Operation\":\"Logout\",\"UserName\":\"admin\",\"Executable\":\"tty1\"}"},
};
static const struct rule_sample failure_samples[] = {
    {true, "Login {\"Result\":\"Fail\",\"UserName\":\"root\",\"Executable\":\"/bin/login\",\"Operation\":\"PAM:authentication\"}"},
    {true, "Login {\"Operation\":\"LoginFailed\",\"UserName\":\"admin\",\"Executable\":\"ttyS0\",\"RemoteAddress\":\"127.0.0.1\"}"},
    {false, "Login {\"Result\":\"Fail\",\"UserName\":\"root\",\"RemoteAddress\":\"203.0.113.9\",\"Executable\":\"/usr/sbin/sshd\"}"},
    {false, "Login {\"Result\":\"Success\",\"UserName\":\"root\",\"Executable\":\"/bin/login\"}"},
};

const struct rule rule_local_login = {
    .id = "IoT_SucessfulLocalLogin", /* spelt as clients know it */
    .title = "Successful login at the device",
    .severity = "High",
    .tactics = "InitialAccess",
    .techniques = "T1078.003, T0859",
    .fires = "A login that succeeded without a remote address, or with one of the device's own.",
    .spares = "Logins from elsewhere; logouts.",
    .needs = "Logins.",
    .tuning = "An exception for the users, or the group of devices, where people do log in at the console.",
    .remediation = check_user,
    .kinds = EVENT_BIT(EVENT_LOGIN),
    .judge = judge_success,
    RULE_SAMPLES(success_samples),
};

const struct rule rule_failed_local_login = {
    .id = "IoT_FailedLocalLogin",
    .title = "Failed login at the device",
    .severity = "Medium",
    .tactics = "CredentialAccess",
    .techniques = "T1110.001",
    .fires = "A login that failed without a remote address, or with one of the device's own.",
    .spares = "Logins from elsewhere, which the brute-force detections look at.",
    .needs = "Logins.",
    .tuning = "An exception for the users, or the group of devices, where people do log in at the console.",
    .remediation = check_access,
    .kinds = EVENT_BIT(EVENT_LOGIN),
    .judge = judge_failure,
    RULE_SAMPLES(failure_samples),
};
