#include "detect/login_facts.h"

/* No address, or the device's own: the micro agent says 0.0.0.0 or 127.0.0.1 of a login at the console. */
static bool is_local(struct text address)
{
    return !address.count || text_starts(address, TEXT("127.")) || text_equal(address, TEXT("0.0.0.0")) || text_equal(address, TEXT("::1")) ||
           text_equal(address, TEXT("::")) || text_equal(address, TEXT("localhost"));
}

void login_judge_local(struct judging *judging, enum event_outcome outcome, const char *clause)
{
    const struct event *event = judging->event;

    if (event->outcome != outcome || !is_local(event->remote_address))
        return;
    struct finding *finding = finding_add(judging, event->user);
    finding_reason(finding, "Result", text_of(clause), event->user);
}
