/* The reference agent: `picket-agent --config FILE` watches this host and tells a Picket server. */
#include <getopt.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/agent.h"
#include "agent/agent_config.h"
#include "agent/collector.h"
#include "agent/enrol.h"
#include "agent/linux_port.h"
#include "agent/monotonic.h"
#include "agent/remote.h"
#include "agent/self_check.h"
#include "runtime/process.h"

#define QUEUE_BYTES (256 * 1024) /* of what is urgent; half of it for each of the other priorities */
#define MESSAGE_BYTES (128 * 1024)
#define LARGE_BYTES (32 * 1024)
#define ENROL_PAUSE_S 30
#define ENROL_AGAIN_S 300
#define REFUSED_FOR_GOOD 2 /* times in a row: each key of a rotation was tried */

enum exit_code { EXIT_DONE = 0, EXIT_FINDINGS = 1, EXIT_CONFIG = 2, EXIT_AWAY = 3, EXIT_USAGE = 64 };

struct wishes {
    const char *config_file;
    bool once, dry_run, print_config, check;
};

struct program {
    struct wishes wishes;
    struct agent_config config;
    struct picket_port port;
    struct linux_port *linux_port; /* NULL in a dry run */
    struct picket_agent agent;
    struct collectors *collectors;
    struct remote remote;
    struct hub_hooks hooks;
    unsigned failures_told;
    int64_t enrol_again_at_ms; /* by the monotonic clock */
    uint64_t drops_told;
    char high[QUEUE_BYTES], medium[QUEUE_BYTES / 2], low[QUEUE_BYTES / 2], message[MESSAGE_BYTES];
};

/* Set by the signals, seen by every wait. */
static volatile sig_atomic_t stopping;

static bool read_arguments(int argc, char **argv, struct wishes *out, enum exit_code *code);
static void print_usage(FILE *to);
static void memory_spare(void);
static enum exit_code check(const struct agent_config *config);
static enum exit_code run(struct program *program);
static void catch_stop(sigset_t *waiting);
static enum exit_code enrol_patiently(struct program *program, const sigset_t *waiting);
static enum exit_code run_once(struct program *program);
static void run_on(struct program *program, const sigset_t *waiting);
static void tell_change(struct program *program);
static void enrol_when_refused(struct program *program);
static void tell_drops(struct program *program);

int main(int argc, char **argv)
{
    static struct program program;
    struct reason why;
    enum exit_code code = EXIT_DONE;

    memory_spare();
    if (!read_arguments(argc, argv, &program.wishes, &code))
        return code;
    const char *file = program.wishes.config_file;
    if (!agent_config_load(file, &program.config, &why) ||
        (!program.wishes.dry_run && !program.wishes.print_config && !program.wishes.check && !agent_config_complete(&program.config, file, &why))) {
        fprintf(stderr, "picket-agent: %s\n", why.text);
        return EXIT_CONFIG;
    }
    if (!collectors_known(program.config.collectors_off, &why)) {
        fprintf(stderr, "picket-agent: %s: collectors_off: %s\n", file, why.text);
        return EXIT_CONFIG;
    }
    if (program.wishes.print_config) {
        static char text[AGENT_CONFIG_PRINT_SIZE];
        agent_config_print(&program.config, text);
        fputs(text, stdout);
        return EXIT_DONE;
    }
    if (program.wishes.check)
        return check(&program.config);
    return run(&program);
}

/* What a list took goes back at once instead of waiting for the next: the C library would keep it otherwise. */
static void memory_spare(void)
{
#ifdef __GLIBC__
    (void)mallopt(M_ARENA_MAX, 1);
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, LARGE_BYTES);
#endif
}

static enum exit_code check(const struct agent_config *config)
{
    static const char *const words[] = {"ok", "limited", "no"};
    enum exit_code code = EXIT_DONE;
    struct self_check look;

    for (size_t i = 0; self_check_next(i, config, "", &look); i++) {
        printf("%-17s %-8s %s\n", look.subject, words[look.result], look.how.text);
        code = look.result == SELF_CHECK_OK ? code : EXIT_FINDINGS;
    }
    return code;
}

static bool read_arguments(int argc, char **argv, struct wishes *out, enum exit_code *code)
{
    enum { OPTION_CONFIG = 'c', OPTION_ONCE = 'o', OPTION_DRY = 'd', OPTION_PRINT = 'p', OPTION_CHECK = 'k', OPTION_HELP = 'h',
           OPTION_VERSION = 'v' };
    static const struct option options[] = {
        {"config", required_argument, NULL, OPTION_CONFIG}, {"once", no_argument, NULL, OPTION_ONCE},
        {"dry-run", no_argument, NULL, OPTION_DRY},         {"print-config", no_argument, NULL, OPTION_PRINT},
        {"check", no_argument, NULL, OPTION_CHECK},
        {"help", no_argument, NULL, OPTION_HELP},           {"version", no_argument, NULL, OPTION_VERSION},
        {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case OPTION_CONFIG: out->config_file = optarg; break;
        case OPTION_ONCE: out->once = true; break;
        case OPTION_DRY: out->dry_run = true; break;
        case OPTION_PRINT: out->print_config = true; break;
        case OPTION_CHECK: out->check = true; break;
        case OPTION_HELP: print_usage(stdout); return false;
        case OPTION_VERSION: puts("picket-agent " PICKET_VERSION); return false;
        default: *code = EXIT_USAGE; print_usage(stderr); return false;
        }
    }
    if (optind < argc || !out->config_file) {
        fprintf(stderr, optind < argc ? "picket-agent: what is meant with %s?\n" : "picket-agent: --config %s is needed\n",
                optind < argc ? argv[optind] : "FILE");
        print_usage(stderr);
        *code = EXIT_USAGE;
        return false;
    }
    return true;
}

static void print_usage(FILE *to)
{
    fputs("picket-agent --config FILE [--once] [--dry-run] [--print-config] [--check]\n"
          "Watches this host, and sends what it sees to a Picket server.\n"
          "  --config FILE    `key = value` lines; see --print-config for the keys\n"
          "  --once           look once, send, and end: exit 3 when the server could not be reached (what was seen is kept)\n"
          "  --dry-run        print the messages, one a line, instead of sending; nothing is kept or remembered\n"
          "  --print-config   print the effective configuration and end\n"
          "  --check          say what works on this host, what does not and why: exit 1 when something does not, or not wholly\n"
          "  --help, --version\n"
          "Exit: 0 done; 1 --check found something; 2 bad configuration or spool; 3 server not reached; 64 usage.\n",
          to);
}

static enum exit_code run(struct program *program)
{
    const struct picket_agent_memory memory = {
        .queues = {{program->high, sizeof program->high}, {program->medium, sizeof program->medium}, {program->low, sizeof program->low}},
        .message = program->message,
        .message_size = sizeof program->message};
    struct picket_settings base;
    enum exit_code code = EXIT_DONE;
    struct reason why;
    sigset_t waiting;

    agent_config_settings(&program->config, &base);
    const uint32_t interval_ms = base.interval_s[PICKET_HIGH] * 1000;
    const struct picket_agent_settings settings = {PICKET_VERSION, {interval_ms, interval_ms, interval_ms}, base.message_bytes};
    remote_hooks(&program->remote, &program->hooks);
    catch_stop(&waiting);
    if (program->wishes.dry_run) {
        linux_port_dry(&program->port);
    } else {
        code = enrol_patiently(program, &waiting);
        if (code || stopping)
            return code;
        program->linux_port = linux_port_open(&program->config, &program->hooks, &stopping, &program->port, &why);
        if (!program->linux_port) {
            fprintf(stderr, "picket-agent: %s\n", why.text);
            return EXIT_CONFIG;
        }
    }
    picket_agent_init(&program->agent, &program->port, &settings, &memory);
    program->collectors = collectors_open(&program->agent, &base, "",
                                          program->wishes.dry_run ? NULL : program->config.spool_folder);
    collectors_switch_off(program->collectors, program->config.collectors_off);
    if (program->linux_port)
        remote_begin(&program->remote, &program->agent, program->collectors, program->linux_port, &base);
    if (program->wishes.once)
        code = run_once(program);
    else
        run_on(program, &waiting);
    collectors_close(program->collectors);
    picket_agent_done(&program->agent);
    if (code == EXIT_AWAY)
        fprintf(stderr, "picket-agent: %s; what was seen %s\n", linux_port_trouble(program->linux_port),
                picket_agent_waiting(&program->agent) ? "could not be kept either" : "is kept");
    tell_drops(program);
    linux_port_close(program->linux_port);
    return code;
}

/* Until the server has said where to connect; with --once one try is made. */
static enum exit_code enrol_patiently(struct program *program, const sigset_t *waiting)
{
    bool told = false;

    while (!stopping) {
        struct reason why;
        enum enrol_status status = enrol(&program->config, (int64_t)time(NULL), &stopping, &why);
        if (status == ENROL_DONE)
            return EXIT_DONE;
        if (!told || status == ENROL_REFUSED || program->wishes.once)
            fprintf(stderr, "picket-agent: %s%s\n", why.text, status == ENROL_LATER && !program->wishes.once ? "; enrolment is tried again until it works" : "");
        told = true;
        if (status == ENROL_REFUSED)
            return EXIT_CONFIG;
        if (program->wishes.once)
            return EXIT_AWAY;
        const struct timespec pause = {ENROL_PAUSE_S, 0};
        (void)ppoll(NULL, 0, &pause, waiting);
    }
    return EXIT_DONE;
}

/* The signals are blocked but while the program waits, so that none falls between the look at the flag and the wait. */
static void stop_on_signal(int signal_number)
{
    (void)signal_number;
    stopping = 1;
}

static void catch_stop(sigset_t *waiting)
{
    const struct sigaction stop = {.sa_handler = stop_on_signal};

    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, NULL, waiting);
}

static enum exit_code run_once(struct program *program)
{
    collectors_run(program->collectors);
    return picket_agent_flush(&program->agent) ? EXIT_DONE : EXIT_AWAY;
}

static void run_on(struct program *program, const sigset_t *waiting)
{
    sigset_t blocked = *waiting;

    collectors_say(program->collectors, SEVERITY_INFORMATION, "watching; messages go to %s%s%s", program->linux_port ? program->config.credential.host : "stdout",
            program->linux_port ? " by " : "", program->linux_port ? program->config.transport : "");
    while (!stopping) {
        uint32_t wait_ms = collectors_run(program->collectors);
        uint32_t agent_ms = picket_agent_tick(&program->agent), port_ms = UINT32_MAX;
        if (program->linux_port) {
            port_ms = linux_port_serve(program->linux_port);
            remote_serve(&program->remote);
        }
        wait_ms = agent_ms < wait_ms ? agent_ms : wait_ms;
        wait_ms = port_ms < wait_ms ? port_ms : wait_ms;
        tell_change(program);
        enrol_when_refused(program);
        sigaddset(&blocked, SIGTERM);
        sigaddset(&blocked, SIGINT);
        sigprocmask(SIG_BLOCK, &blocked, NULL);
        const struct timespec wait = {wait_ms / 1000, (long)(wait_ms % 1000) * 1000000};
        struct pollfd heard[1 + COLLECTOR_SOCKETS_MAX] = {{.fd = program->linux_port ? linux_port_socket(program->linux_port) : -1, .events = POLLIN}};
        size_t heard_count = 1 + collectors_sockets(program->collectors, heard + 1);
        if (!stopping && wait_ms)
            ppoll(heard, heard_count, &wait, waiting);
        sigprocmask(SIG_SETMASK, waiting, NULL);
    }
}

/* A line when the server goes away and one when it is back, not one for each try. */
static void tell_change(struct program *program)
{
    unsigned failures = program->agent.failures;

    if (failures && !program->failures_told)
        collectors_say(program->collectors, SEVERITY_WARNING, "%s; messages are kept until it answers", linux_port_trouble(program->linux_port));
    else if (!failures && program->failures_told)
        collectors_say(program->collectors, SEVERITY_INFORMATION, "the server answers again");
    program->failures_told = failures;
    if (program->agent.counts.dropped > 2 * program->drops_told)
        tell_drops(program);
}

/* A server that does not know a device which enrolled may have lost it, or be another one by now. */
static void enrol_when_refused(struct program *program)
{
    struct agent_config *config = &program->config;
    int64_t now_ms = monotonic_now_ms();
    struct reason why;

    if (!program->linux_port || !config->enrolment_host[0] || config->credential.refused < REFUSED_FOR_GOOD || now_ms < program->enrol_again_at_ms)
        return;
    program->enrol_again_at_ms = now_ms + ENROL_AGAIN_S * INT64_C(1000);
    if (enrol_again(config, (int64_t)time(NULL), &stopping, &why) == ENROL_DONE && linux_port_renew(program->linux_port, &why))
        collectors_say(program->collectors, SEVERITY_INFORMATION, "enrolled again, as %s at %s", config->credential.device, config->credential.host);
    else if (!stopping)
        collectors_say(program->collectors, SEVERITY_WARNING, "not enrolled again: %s", why.text);
}

/* While it runs, only when they have doubled. The server is told each of them, and why. */
static void tell_drops(struct program *program)
{
    uint64_t dropped = program->agent.counts.dropped;
    const char *trouble = program->linux_port ? linux_port_trouble(program->linux_port) : "";

    if (dropped != program->drops_told)
        fprintf(stderr, "picket-agent: %llu events dropped so far%s%s\n", (unsigned long long)dropped,
                trouble[0] ? "; the last trouble: " : "", trouble);
    program->drops_told = dropped;
}
