#include "detect/login_facts.h"
#include "detect/rule.h"

static void judge_failure(struct judging *judging)
{
    login_judge_local(judging, EVENT_FAILED, "a login at the device itself that failed");
}

static const char *const check_access[] = {"Find out who could reach the device's console or serial port at that time.",
                                           "If nobody should have, look for signs of opening, and for other failures on devices nearby.", NULL};

static const struct rule_sample failure_samples[] = {
    {true, "Login {\"Result\":\"Fail\",\"UserName\":\"root\",\"Executable\":\"/bin/login\",\"Operation\":\"PAM:authentication\"}"},
    {true, "Login {\"Operation\":\"LoginFailed\",\"UserName\":\"admin\",\"Executable\":\"ttyS0\",\"RemoteAddress\":\"127.0.0.1\"}"},
    {false, "Login {\"Result\":\"Fail\",\"UserName\":\"root\",\"RemoteAddress\":\"203.0.113.9\",\"Executable\":\"/usr/sbin/sshd\"}"},
    {false, "Login {\"Result\":\"Success\",\"UserName\":\"root\",\"Executable\":\"/bin/login\"}"},
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
