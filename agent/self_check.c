#include "agent/self_check.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/enrol.h"
#include "agent/file.h"
#include "agent/linux_port.h"

#define CONNECT_MS 10000

static enum self_check_result look_spool(const struct agent_config *config, struct reason *out)
{
    const struct iovec part = {"x", 1};
    char path[FILE_PATH_SIZE + 16];

    if (access(config->spool_folder, F_OK) != 0) {
        const char *slash = strrchr(config->spool_folder, '/');
        snprintf(path, sizeof path, "%.*s", slash && slash > config->spool_folder ? (int)(slash - config->spool_folder) : 1, slash ? config->spool_folder : ".");
        bool makes = access(path, W_OK) == 0;
        reason_set(out, makes ? "%s is made at the first start" : "%s is not there, and cannot be made by this user", config->spool_folder);
        return makes ? SELF_CHECK_OK : SELF_CHECK_FAILED;
    }
    if (!file_write(config->spool_folder, "check", &part, 1, out))
        return SELF_CHECK_FAILED;
    snprintf(path, sizeof path, "%s/check", config->spool_folder);
    (void)unlink(path);
    reason_set(out, "%s can be written", config->spool_folder);
    return SELF_CHECK_OK;
}

static enum self_check_result look_server(const struct agent_config *config, struct reason *out)
{
    static const volatile sig_atomic_t never = 0;
    struct uplink_target target = linux_port_target(config);
    char host[PICKET_HOST_MAX + 1];

    if (!agent_config_complete(config, "the configuration", out) || (!config->connection_string[0] && !enrol_target(config, host, &target, out)))
        return SELF_CHECK_FAILED;
    struct uplink *uplink = uplink_new(&target, &never, out);
    bool open = uplink && uplink_open(uplink, uplink_now_ms() + CONNECT_MS, out);
    uplink_free(uplink);
    if (open)
        reason_set(out, "%s:%u answers, and its certificate holds", target.host, target.port);
    return open ? SELF_CHECK_OK : SELF_CHECK_FAILED;
}

bool self_check_next(size_t at, const struct agent_config *config, const char *root, struct self_check *out)
{
    static const struct {
        const char *subject;
        enum self_check_result (*look)(const struct agent_config *config, struct reason *out);
    } others[] = {{"spool", look_spool}, {"server", look_server}};
    struct picket_settings settings;
    const struct collector *const *collector = collector_table;

    out->how.text[0] = '\0';
    agent_config_settings(config, &settings);
    for (; *collector; collector++) {
        if (!(*collector)->check)
            continue;
        if (at-- == 0) {
            out->subject = (*collector)->name;
            out->result = (*collector)->check(root, &settings, &out->how);
            return true;
        }
    }
    if (at >= sizeof others / sizeof *others)
        return false;
    out->subject = others[at].subject;
    out->result = others[at].look(config, &out->how);
    return true;
}
