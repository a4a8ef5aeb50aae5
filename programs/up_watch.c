#include <stdio.h>
#include <stdarg.h>
#include <unistd.h>


#include "programs/up.h"
#include "runtime/clock.h"
#include "runtime/process.h"

#define LOOK_MS 250
#define LIVE_MS 5000
#define CLUSTER_LOOK_MS 2000
#define BACKOFF_MS 500
#define BACKOFF_MAX_MS 30000
#define SIMULATION 2 /* its place among those that are watched */
#define STEADY_MS 60000 /* who ran this long starts with no backoff again */

/* One of our children, and when it may be started again. */
struct watched {
    const char *name;
    struct data_process *process;
    enum status (*start)(struct up *up, struct problem *why);
    int64_t started_ms, due_ms;
    uint32_t backoff_ms;
};

struct counts {
    int64_t devices, messages, events, alerts, lost, dropped;
};

static void look_after(struct up *up, struct watched *watched);
static void note_end(struct up *up, struct watched *watched, int code);
static void note(const struct up *up, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void cluster_look(struct up *up);
static void live_line(struct up *up, struct counts *last, int64_t elapsed_ms);
static bool counts_read(struct up *up, struct counts *out);

void up_watch(struct up *up)
{
    int64_t now = clock_monotonic_ms(), live_ms = now, cluster_ms = now;
    struct watched watched[] = {
        {"picketd", &up->state.picketd, up_server_start, now, 0, BACKOFF_MS},
        {"picket-agent", &up->state.agent, up_agent_start, now, 0, BACKOFF_MS},
        {"the simulation", &up->state.simulation, up_simulation_start, now, 0, BACKOFF_MS},
    };
    bool wanted[] = {true, !cli_given(up->cli, "no-agent"), up->simulates}; /* the last may be removed meanwhile */
    size_t count = sizeof watched / sizeof *watched;
    struct counts last = {.messages = -1};

    while (!process_wait_stop(LOOK_MS)) {
        wanted[SIMULATION] = up->simulates && access(up_path(up, SIMULATION_REMOVED), F_OK) != 0;
        for (size_t i = 0; i < count; i++)
            if (wanted[i])
                look_after(up, &watched[i]);
        up_reap(up);
        now = clock_monotonic_ms();
        if (now - cluster_ms >= CLUSTER_LOOK_MS) {
            cluster_look(up);
            cluster_ms = now;
        }
        if (!up->quiet && now - live_ms >= LIVE_MS) {
            live_line(up, &last, now - live_ms);
            live_ms = now;
        }
    }
}

static void look_after(struct up *up, struct watched *watched)
{
    int64_t now = clock_monotonic_ms();
    struct problem why;
    int code;

    if (watched->process->pid > 0) {
        if (up_ended(*watched->process, &code))
            note_end(up, watched, code);
        return;
    }
    if (now < watched->due_ms)
        return;
    enum status status = watched->start(up, &why);
    if (!status) {
        note(up, "%s runs again, pid %ld", watched->name, (long)watched->process->pid);
        watched->started_ms = now;
        status = data_state_save(up->folder, &up->state, &why);
    }
    if (status) {
        note(up, "%s", why.text);
        watched->due_ms = now + watched->backoff_ms;
    }
}

static void note_end(struct up *up, struct watched *watched, int code)
{
    int64_t now = clock_monotonic_ms();

    if (now - watched->started_ms >= STEADY_MS)
        watched->backoff_ms = BACKOFF_MS;
    note(up, "%s ended by itself (%s %d); it is started again in %.1f s", watched->name, code < 0 ? "signal" : "code",
         code < 0 ? -code : code, watched->backoff_ms / 1000.0);
    *watched->process = (struct data_process){0};
    watched->due_ms = now + watched->backoff_ms;
    watched->backoff_ms = watched->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : watched->backoff_ms * 2;
}

/* Also with --quiet: something went wrong, and someone should know when. */
static void note(const struct up *up, const char *format, ...)
{
    char sentence[PROBLEM_TEXT_MAX], moment[CLOCK_TEXT_SIZE];
    va_list arguments;

    (void)up;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    clock_format(clock_utc_us(), moment);
    fprintf(stderr, "%.19sZ  %s\n", moment, sentence);
}

/* PostgreSQL survives its own crashes; only the end of its first process is ours to mend. */
static void cluster_look(struct up *up)
{
    struct problem why;

    if (data_process_alive(up->cluster))
        return;
    note(up, "PostgreSQL has ended; it is started again");
    if (up_cluster_start(up, &why))
        note(up, "%s", why.text);
}

static void live_line(struct up *up, struct counts *last, int64_t elapsed_ms)
{
    char moment[CLOCK_TEXT_SIZE];
    struct counts now;

    clock_format(clock_utc_us(), moment);
    if (!counts_read(up, &now)) {
        printf("%.19sZ  the server does not answer\n", moment);
    } else {
        double rate = last->messages < 0 ? 0 : (double)(now.messages - last->messages) * 1000.0 / (double)elapsed_ms;
        printf("%.19sZ  devices %lld   messages/s %.1f   events stored %lld   alerts %lld   ledger: %lld lost, %lld dropped\n",
               moment, (long long)now.devices, rate, (long long)now.events, (long long)now.alerts, (long long)now.lost,
               (long long)now.dropped);
        *last = now;
    }
    fflush(stdout);
}

static bool counts_read(struct up *up, struct counts *out)
{
    struct problem why;
    json_t *answer = NULL;

    if (client_call(up->client, "GET", "/v1/status", NULL, &answer, &why) != STATUS_OK)
        return false;
    *out = (struct counts){
        .devices = json_integer_value(json_object_get(answer, "devices")),
        .messages = json_integer_value(json_object_get(answer, "messages")),
        .events = json_integer_value(json_object_get(answer, "events")),
        .alerts = json_integer_value(json_object_get(answer, "alerts_open")),
        .lost = json_integer_value(json_object_get(answer, "lost")), /* with those that may still come */
        .dropped = json_integer_value(json_object_get(answer, "dropped")),
    };
    json_decref(answer);
    return true;
}
