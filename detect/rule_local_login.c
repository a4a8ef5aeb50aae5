#include "detect/login_facts.h"
#include "detect/rule.h"

static void judge_success(struct judging *judging)
{
    login_judge_local(judging, EVENT_SUCCEEDED, "a login at the device itself that succeeded");
}

static const char *const check_user[] = {"Ask the user whether the login was theirs.", "If it was not, change the password, and look at what was run after it.", NULL};

static const struct rule_sample success_samples[] = {
    {true, "Login {\"Result\":\"Success\",\"UserName\":\"root\",\"Executable\":\"/bin/login\",\"Operation\":\"login\"}"},
    {true, "Login {\"Operation\":\"Login\",\"UserName\":\"admin\",\"Executable\":\"tty1\",\"RemoteAddress\":\"0.0.0.0\"}"},
    {false, "Login {\"Result\":\"Success\",\"UserName\":\"root\",\"RemoteAddress\":\"203.0.113.9\",\"Executable\":\"/usr/sbin/dropbear\"}"},
    {false, "Login {\"Operation\":\"Logout\",\"UserName\":\"admin\",\"Executable\":\"tty1\"}"},
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
