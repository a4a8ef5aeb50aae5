#include <stdio.h>

#include "detect/engine.h"
#include "detect/rule_samples.h"
#include "tests/support/check_main.h"

/* Every built-in detection, by its own samples: what fires, and what is near and does not. */
#define FROM_US INT64_C(1790000000000000)
#define BEFORE_MAX 64

static struct {
    struct arena arena;
    struct engine *engine;
    struct engine_scratch *scratch;
    struct indicators *indicators;
    struct memory *memory;
    const struct rule *rule;
    size_t fired, events;
} judged;

static void setup(void)
{
    arena_init(&judged.arena);
    judged.indicators = indicators_new();
    uint16_t feed = indicators_feed(judged.indicators, TEXT("samples"));
    for (size_t i = 0; rule_sample_indicators[i]; i++)
        ck_assert(indicators_add(judged.indicators, feed, text_of(rule_sample_indicators[i])));
    judged.engine = engine_new(&(struct engine_content){.indicators = judged.indicators});
    judged.scratch = engine_scratch_new(judged.engine);
}

static void teardown(void)
{
    engine_scratch_free(judged.scratch);
    engine_free(judged.engine);
    indicators_free(judged.indicators);
    arena_done(&judged.arena);
}

static void event_judge(void *context, const struct event_source *source)
{
    struct findings findings = {.count = 0};
    struct event event;

    (void)context;
    ck_assert_msg(event_read(source, &judged.arena, &event), "%s: %.*s", judged.rule->id, TEXT_ARGS(source->details));
    engine_judge(judged.engine, judged.scratch, &event, 1, judged.memory, &judged.arena, &findings);
    judged.events++;
    for (const struct finding *finding = findings.first; finding; finding = finding->next) {
        judged.fired += text_equal(finding->about->id, text_of(judged.rule->id));
        ck_assert_msg(finding->reason_count > 0, "%.*s says why", TEXT_ARGS(finding->about->id));
    }
}

static size_t fired(const struct rule *rule, const char *events)
{
    judged.rule = rule;
    judged.fired = judged.events = 0;
    judged.memory = memory_new(&judged.arena);
    ck_assert_msg(rule_sample_read(events, FROM_US, &judged.arena, event_judge, NULL), "%s: %s", rule->id, events);
    ck_assert_msg(judged.events > 0, "%s: %s", rule->id, events);
    return judged.fired;
}

START_TEST(every_sample_fires_and_every_near_miss_does_not)
{
    size_t wrong = 0;

    for (size_t i = 0; i < builtin_rules_count; i++)
        for (size_t k = 0; k < builtin_rules[i]->sample_count; k++) {
            const struct rule_sample *sample = &builtin_rules[i]->samples[k];
            bool fires = fired(builtin_rules[i], sample->events) > 0;
            if (fires != sample->fires)
                printf("%s %s: %s\n", builtin_rules[i]->id, fires ? "fires" : "does not fire", sample->events);
            wrong += fires != sample->fires;
            arena_clear(&judged.arena);
        }
    ck_assert_uint_eq(wrong, 0);
}
END_TEST

START_TEST(every_rule_has_two_samples_two_near_misses_and_all_its_texts)
{
    for (size_t i = 0; i < builtin_rules_count; i++) {
        const struct rule *rule = builtin_rules[i];
        size_t fires = 0;
        for (size_t k = 0; k < rule->sample_count; k++)
            fires += rule->samples[k].fires;
        ck_assert_msg(fires >= 2 && rule->sample_count - fires >= 2, "%s", rule->id);
        ck_assert_msg(rule->title && rule->severity && rule->tactics && rule->techniques && rule->fires && rule->spares && rule->needs && rule->tuning &&
                          rule->remediation && rule->remediation[0] && rule->kinds && !rule->command != !rule->judge,
                      "%s", rule->id);
        for (size_t k = 0; k < i; k++)
            ck_assert_str_ne(builtin_rules[k]->id, rule->id);
    }
}
END_TEST

/* The catalogue that clients know: id and severity. */
START_TEST(the_catalogue_is_complete_by_its_ids_and_severities)
{
    static const char *const catalogue[][2] = {
        {"IoT_BinaryCommandLine", "High"}, {"IoT_DisableFirewall", "High"}, {"IoT_PortForwarding", "High"}, {"IoT_DisableAuditdLogging", "High"},
        {"IoT_ReverseShell", "High"}, {"IoT_SucessfulLocalLogin", "High"}, {"IoT_WebShell", "High"}, {"IoT_Ransomware", "High"}, {"IoT_CryptoMiner", "High"},
        {"IoT_USBConnection", "High"}, {"IoT_UsbDisconnection", "High"}, {"IoT_EthernetConnection", "High"}, {"IoT_EthernetDisconnection", "High"},
        {"IoT_FileCreated", "High"}, {"IoT_FileModified", "High"}, {"IoT_FileDeleted", "High"}, {"IoT_CommonBots", "Medium"}, {"IoT_FairwareMalware", "Medium"},
        {"IoT_CryptoMinerContainer", "Medium"}, {"IoT_SuspiciousNohup", "Medium"}, {"IoT_SuspiciousUseradd", "Medium"}, {"IoT_ExposedDocker", "Medium"},
        {"IoT_FailedLocalLogin", "Medium"}, {"IoT_PossibleMalware", "Medium"}, {"IoT_AccessingHtaccessFile", "Medium"}, {"IoT_KnownAttackTools", "Medium"},
        {"IoT_LinuxReconnaissance", "Medium"}, {"IoT_ScriptInterpreterMismatch", "Medium"}, {"IoT_LinuxBackdoor", "Medium"}, {"IoT_EgressData", "Medium"},
        {"IoT_PrivilegedContainer", "Medium"}, {"IoT_RemovelOfSystemLogs", "Medium"}, {"IoT_ExecuteFileWithTrailingSpace", "Medium"},
        {"IoT_CredentialAccessTools", "Medium"}, {"IoT_SuspiciousCompilation", "Medium"}, {"IoT_DownloadFileThenRun", "Medium"}, {"IoT_TiConnection", "Medium"},
        {"IoT_MaliciousNameQueriesDetection", "Medium"}, {"IoT_ClearHistoryFile", "Low"}, {"IoT_Cert_Print_Mismatch", "Medium"}, {"IoT_Cert_Expired", "Medium"},
        {"IoT_Expired_SAS_Token", "Low"}, {"IoT_Invalid_SAS_Token", "Low"},
    };

    for (size_t i = 0; i < sizeof catalogue / sizeof *catalogue; i++) {
        const struct rule *rule = builtin_rule_find(text_of(catalogue[i][0]));
        ck_assert_msg(rule, "%s", catalogue[i][0]);
        ck_assert_str_eq(rule->severity, catalogue[i][1]);
    }
}
END_TEST

/* What devices do all day. */
START_TEST(ordinary_commands_of_small_devices_raise_nothing)
{
    static const char *const ordinary[] = {
        "/sbin/init", "/usr/sbin/dropbear -F -P /var/run/dropbear.1.pid -p 22 -K 300 -T 3", "/usr/sbin/crond -f -c /etc/crontabs", "/bin/busybox udhcpc -p /var/run/udhcpc-eth0.pid -s /lib/netifd/dhcp.script -f",
        "sh -c run-parts /etc/cron.daily", "/usr/sbin/uhttpd -f -h /www -r gateway -x /cgi-bin", "ntpd -n -N -S /usr/sbin/ntpd-hotplug -p 0.pool.ntp.org", "logrotate /etc/logrotate.conf",
        "iptables-restore --noflush", "iptables -w -A INPUT -p tcp --dport 22 -j ACCEPT", "systemctl restart app.service", "curl -fsS https://updates.example.org/manifest.json -o /var/lib/updater/manifest.json",
        "wget -q -O /var/lib/opkg/lists/base https://downloads.example.org/base/Packages.gz", "opkg update", "apt-get -y upgrade", "python3 /usr/lib/app/telemetry.py --interval 60",
        "/bin/sh /usr/lib/app/health.sh", "ping -c 3 192.168.1.1", "tar xzf /tmp/update.tgz -C /opt/app", "rm -rf /tmp/update", "mosquitto_pub -h localhost -t status -m ok", "ssh-keygen -A", "dmesg -w",
        "nice -n 10 /usr/bin/find /var/cache -mtime +30 -delete", "docker run -d --restart=always -v /srv/data:/data registry.example.org/app:1.4", "grep -q nmap /var/lib/dpkg/status", "git clone https://example.org/app.git",
        "make -j4", "gcc -O2 -o app main.c", "passwd admin", "useradd -r -s /usr/sbin/nologin app", "echo ready", "base64 /etc/machine-id", "scp firmware.bin root@192.168.1.20:/tmp/", "openssl s_client -connect example.org:443",
        "nc -z 127.0.0.1 1883", "cat /var/log/messages", "tail -f /var/log/syslog", "find / -name core -type f", "mount -o remount,rw /", "dd if=/dev/zero of=/tmp/swap bs=1M count=64", "/usr/bin/php-fpm -F",
        "run-parts --report /etc/cron.hourly", "sh -c . /etc/profile; env", "/etc/init.d/cron reload", "systemctl enable app.service", "sed -n 1,5p /etc/rc.local", "sh -c cat /etc/passwd | cut -d: -f1",
        "cp /etc/crontabs/root /tmp/backup", "tee /tmp/log", "ssh-add /home/pi/.ssh/id_ed25519", "usermod -L guest", "su - pi",
    };

    for (size_t i = 0; i < sizeof ordinary / sizeof *ordinary; i++) {
        struct findings findings = {.count = 0};
        struct event event;
        struct text executable, rest = text_cut(text_of(ordinary[i]), ' ', &executable);
        (void)rest;
        char *details = arena_format(&judged.arena, "{\"Executable\":\"%.*s\",\"CommandLine\":\"%s\",\"UserId\":\"0\",\"ProcessId\":7,\"ParentProcessId\":1}", TEXT_ARGS(executable), ordinary[i]);
        const struct event_source source = {.name = TEXT("ProcessCreate"), .details = text_of(details), .at_us = FROM_US};
        ck_assert(event_read(&source, &judged.arena, &event));
        engine_judge(judged.engine, judged.scratch, &event, 1, memory_new(&judged.arena), &judged.arena, &findings);
        ck_assert_msg(!findings.first, "%s: %.*s", ordinary[i], TEXT_ARGS(findings.first ? findings.first->about->id : TEXT("")));
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        every_sample_fires_and_every_near_miss_does_not,
        every_rule_has_two_samples_two_near_misses_and_all_its_texts,
        the_catalogue_is_complete_by_its_ids_and_severities,
        ordinary_commands_of_small_devices_raise_nothing,
    };
    const struct check_suite suite = {"detect/rules", tests, sizeof tests / sizeof *tests, setup, teardown, 60};
    return check_main(&suite);
}
