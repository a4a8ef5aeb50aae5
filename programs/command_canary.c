#include "programs/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detect/rule_samples.h"
#include "programs/simulated.h"
#include "programs/table.h"
#include "runtime/clock.h"
#include "runtime/process.h"

/* Tries each built-in detection through the live pipeline: sends the first of its samples that must fire, as a device, and waits for the
 * alert. A round has a device of its own, since detections remember devices. What only our front doors tell cannot be sent: there it does what is refused. */
#define LOOK_MS 50
#define SILENT_MS 15000
#define SILENT_AT_DOOR_MS 30000 /* what a door refuses is summed for ten seconds */
#define AGAIN_MS 3000 /* a feed that was just made is not in force yet: what asks feeds is sent again */
#define EVERY_LEAST_US INT64_C(60000000)
#define EVERY_MOST_US (30 * 24 * 3600 * INT64_C(1000000))
#define MESSAGE_BYTES_MAX 262144
#define NOT_SENT (EVENT_BIT(EVENT_DOOR) | EVENT_BIT(EVENT_CLONE))

/* What a device does to set off the door's detections. */
static const struct offence {
    const char *rule;
    enum simulated_fault fault;
    unsigned times;
} offences[] = {
    {"Picket_ClonedIdentity", SIMULATED_TWO_PLACES, 6}, /* that is four returns; three are enough */
    {"IoT_Expired_SAS_Token", SIMULATED_TOKEN_OVER, 1},
    {"IoT_Invalid_SAS_Token", SIMULATED_TOKEN_FORGED, 1},
    {"Picket_IdentityBruteForce", SIMULATED_TOKEN_FORGED, 12},
    {"IoT_Cert_Expired", SIMULATED_CERTIFICATE_OVER, 1},
    {"IoT_Cert_Print_Mismatch", SIMULATED_CERTIFICATE_OTHER, 1},
    {"Picket_MessageFlood", SIMULATED_TOO_FAST, 150},
};
#define OFFENCES (sizeof offences / sizeof *offences)

static enum cli_exit run_canary(const struct cli *cli);

static const struct cli_flag run_flags[] = {
    {"every", "DURATION", "Go on, a round each 24h or whatever is said; else one round."},
    {"workspace", "NAME", "Workspace (default: the token's own, where it has one)."},
};

const struct cli_verb canary_verbs[] = {
    {"canary run", "", "Try every built-in detection through the live pipeline, and keep how soon each was heard.",
     "Exits with 1 when one was silent, which is also an alert: canary.silent. The devices' own alerts are closed at the end. /v1/health and /metrics show the last round. What is switched off is not tried; what cannot be tried from here is told.",
     CLI_FLAGS(run_flags), CLI_SERVER | CLI_JSON, 0, 0, run_canary},
};
const size_t canary_verb_count = sizeof canary_verbs / sizeof canary_verbs[0];

struct round {
    const struct cli *cli;
    struct simulator *simulator;
    struct simulated device, certified; /* the latter is its module that shows certificates; .host "" where the door takes none */
    json_t *off, *silent, *untried;     /* by id; a list of ids; why, by id */
    int64_t *waits_ms;
    size_t heard, heard_at_door; /* the latter without a wait */
    struct buf message;
    int64_t shift_us; /* a sample's times to those of now */
    int64_t last_us;
};

static void off_note(json_t *off, const json_t *rules)
{
    const json_t *rule;
    size_t i;

    json_array_foreach(rules, i, rule) {
        if (!json_is_true(json_object_get(rule, "enabled")))
            json_object_set_new(off, json_string_value(json_object_get(rule, "id")), json_true());
    }
}

/* Which detections are switched off; page by page. */
static enum status off_read(struct round *round, struct problem *why)
{
    enum status status = STATUS_OK;
    char cursor[512] = "", path[600];

    do {
        json_t *answer = NULL;
        snprintf(path, sizeof path, "/v1/rules?limit=200%s%s", cursor[0] ? "&cursor=" : "", cursor);
        status = simulator_call(round->simulator, "GET", path, NULL, &answer, why);
        off_note(round->off, json_object_get(answer, "rules"));
        const char *next = json_string_value(json_object_get(answer, "next"));
        snprintf(cursor, sizeof cursor, "%s", next ? next : "");
        json_decref(answer);
    } while (!status && cursor[0]);
    return status;
}

static void event_end(void *context, const struct event_source *event)
{
    ((struct round *)context)->last_us = event->at_us;
}

static void event_add(void *context, const struct event_source *event)
{
    struct round *round = context;
    simulated_message_event(&round->message, event->name, event->at_us + round->shift_us, event->details);
}

/* The sample as a message whose last event is now. */
static bool sample_send(struct round *round, const char *events)
{
    struct arena arena;

    arena_init(&arena);
    buf_clear(&round->message);
    bool well = rule_sample_read(events, 0, &arena, event_end, round);
    round->shift_us = clock_utc_us() - round->last_us;
    simulated_message_open(&round->message);
    well = well && rule_sample_read(events, 0, &arena, event_add, round);
    simulated_message_close(&round->message);
    arena_done(&arena);
    return well && simulated_send(round->simulator, &round->device, &round->message) == 204;
}

static enum status alert_there(const struct round *round, const char *rule, bool *there, struct problem *why)
{
    char path[512];
    json_t *answer = NULL;

    snprintf(path, sizeof path, "/v1/alerts?limit=1&device=%s&rule=%s", round->device.id, rule);
    enum status status = simulator_call(round->simulator, "GET", path, NULL, &answer, why);
    *there = !status && json_array_size(json_object_get(answer, "alerts")) > 0;
    json_decref(answer);
    return status;
}

static enum status rule_try(struct round *round, const struct rule *rule, const char *events, struct problem *why)
{
    enum status status = STATUS_OK;
    bool there = false, sent = sample_send(round, events);
    int64_t begun_ms = clock_monotonic_ms(), sent_ms = begun_ms;

    while (!status && !there && sent && clock_monotonic_ms() - begun_ms < SILENT_MS && !process_wait_stop(LOOK_MS)) {
        if (rule->asks_indicators && clock_monotonic_ms() - sent_ms > AGAIN_MS) {
            sent = sample_send(round, events);
            sent_ms = clock_monotonic_ms();
        }
        status = alert_there(round, rule->id, &there, why);
    }
    if (there)
        round->waits_ms[round->heard++] = clock_monotonic_ms() - sent_ms;
    else if (!status)
        json_array_append_new(round->silent, json_string(rule->id));
    return status;
}

/* Why that cannot be done from here; NULL: it was done. */
static const char *offend(struct round *round, const struct offence *offence)
{
    bool certificate = offence->fault == SIMULATED_CERTIFICATE_OVER || offence->fault == SIMULATED_CERTIFICATE_OTHER;
    const struct simulated *device = certificate ? &round->certified : &round->device;

    if (!device->host[0])
        return "the door lets in nobody who shows a certificate";
    bool done = simulated_offend(round->simulator, device, offence->fault, offence->times);
    return done || offence->fault != SIMULATED_TWO_PLACES ? NULL : "this machine reaches the door from one address only";
}

/* All at once, and then each is waited for: the door sums what it refuses, and tells it later than a message is judged. How long that took says nothing
 * of the pipeline, so it is not among the waits. A door that lets in what it must refuse is a silent one. */
static enum status doors_try(struct round *round, struct problem *why)
{
    enum status status = STATUS_OK;
    bool waits[OFFENCES] = {false};
    size_t open = 0;

    for (size_t i = 0; i < OFFENCES && !process_stopping(); i++) {
        const struct offence *offence = &offences[i];
        if (json_object_get(round->off, offence->rule))
            continue;
        const char *hindrance = offend(round, offence);
        waits[i] = !hindrance;
        open += waits[i];
        if (hindrance)
            json_object_set_new(round->untried, offence->rule, json_string(hindrance));
    }
    int64_t begun_ms = clock_monotonic_ms();
    while (!status && open && clock_monotonic_ms() - begun_ms < SILENT_AT_DOOR_MS && !process_wait_stop(LOOK_MS))
        for (size_t i = 0; !status && i < OFFENCES; i++) {
            bool there = false;
            if (!waits[i])
                continue;
            status = alert_there(round, offences[i].rule, &there, why);
            waits[i] = !there;
            open -= there;
            round->heard_at_door += there;
        }
    for (size_t i = 0; !status && i < OFFENCES && !process_stopping(); i++)
        if (waits[i])
            json_array_append_new(round->silent, json_string(offences[i].rule));
    return status;
}

static const char *sample_of(const struct rule *rule)
{
    for (size_t i = 0; i < rule->sample_count && !(rule->kinds & NOT_SENT); i++)
        if (rule->samples[i].fires)
            return rule->samples[i].events;
    return NULL;
}

static int wait_compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t wait_at(const struct round *round, size_t percent)
{
    return round->heard ? round->waits_ms[(round->heard * percent + 99) / 100 - 1] : 0;
}

/* What it found, on stdout and to the server. */
static enum status round_report(struct round *round, struct problem *why)
{
    size_t silent = json_array_size(round->silent), i;
    const json_t *name;
    const char *rule;
    json_t *reason;

    qsort(round->waits_ms, round->heard, sizeof *round->waits_ms, wait_compare);
    json_t *found = json_pack("{s:s,s:I,s:O,s:I,s:I,s:I}", "device", round->device.id, "tried", (json_int_t)(round->heard + round->heard_at_door + silent), "silent", round->silent, "p50_ms", (json_int_t)wait_at(round, 50),
                              "p99_ms", (json_int_t)wait_at(round, 99), "longest_ms", (json_int_t)wait_at(round, 100));
    if (cli_given(round->cli, "json")) {
        json_object_set(found, "not_tried", round->untried);
        table_json_line(found);
        json_object_del(found, "not_tried");
    } else {
        printf("%zu of %zu detections heard; from message to alert half within %lld ms, 99 %% within %lld ms\n", round->heard + round->heard_at_door, round->heard + round->heard_at_door + silent,
               (long long)wait_at(round, 50), (long long)wait_at(round, 99));
        json_array_foreach(round->silent, i, name)
            printf("silent: %s\n", json_string_value(name));
        json_object_foreach(round->untried, rule, reason)
            printf("not tried: %s: %s\n", rule, json_string_value(reason));
    }
    fflush(stdout);
    json_t *answer = NULL;
    enum status status = simulator_call(round->simulator, "POST", "/v1/canary", found, &answer, why);
    json_decref(answer);
    return status;
}

/* Where a proxy keeps certificates, those that are no good go unheard: that is no fault of the detections. */
static enum status certified_open(struct round *round, struct problem *why)
{
    enum status status = simulated_open_certified(round->simulator, &round->device, &round->certified, why);

    if (status == STATUS_RETRY)
        round->certified.host[0] = '\0';
    return status == STATUS_RETRY ? STATUS_OK : status;
}

static enum status round_run(struct round *round, struct problem *why)
{
    char path[128], id[64];

    snprintf(id, sizeof id, "simulated-canary-%lld", (long long)(clock_utc_us() / 1000000));
    enum status status = simulated_open(round->simulator, id, &round->device, why);
    if (!status)
        status = simulator_feed(round->simulator, why);
    if (!status)
        status = off_read(round, why);
    for (size_t i = 0; !status && i < builtin_rules_count && !process_stopping(); i++) {
        const struct rule *rule = builtin_rules[i];
        const char *events = sample_of(rule);
        if (events && !json_object_get(round->off, rule->id))
            status = rule_try(round, rule, events, why);
    }
    if (!status && !process_stopping())
        status = certified_open(round, why);
    if (!status && !process_stopping())
        status = doors_try(round, why);
    if (!status && !process_stopping())
        status = round_report(round, why);
    snprintf(path, sizeof path, "/v1/devices/%s", id);
    if (round->device.id[0]) {
        struct problem ignored;
        json_t *answer = NULL;
        (void)!simulator_call(round->simulator, "DELETE", path, NULL, &answer, &ignored);
        json_decref(answer);
    }
    return status;
}

static enum status round_once(const struct cli *cli, struct simulator *simulator, bool *silent, struct problem *why)
{
    struct round round = {.cli = cli, .simulator = simulator, .off = json_object(), .silent = json_array(), .untried = json_object()};

    round.waits_ms = calloc(builtin_rules_count, sizeof *round.waits_ms);
    buf_init(&round.message, MESSAGE_BYTES_MAX);
    enum status status = round_run(&round, why);
    *silent = json_array_size(round.silent) > 0;
    buf_done(&round.message);
    free(round.waits_ms);
    simulated_close(&round.certified);
    json_decref(round.untried);
    json_decref(round.silent);
    json_decref(round.off);
    return status;
}

static enum cli_exit run_canary(const struct cli *cli)
{
    const char *every = cli_value(cli, "every");
    struct simulator *simulator = NULL;
    int64_t every_us = 0;
    struct problem why;
    bool silent = false;

    if (every && (!clock_parse_duration(text_of(every), &every_us) || every_us < EVERY_LEAST_US || every_us > EVERY_MOST_US))
        return cli_end(problem_set(&why, STATUS_REJECT, "--every is a duration from 1m to 30d, not %s", every), &why);
    process_catch_stop();
    enum status status = simulator_open(cli, &simulator, &why);
    bool more = !status;
    while (more) {
        status = round_once(cli, simulator, &silent, &why);
        if (status && every) { /* the server may be back by the next round */
            fprintf(stderr, "%s\n", why.text);
            status = STATUS_OK;
        }
        more = every && !process_wait_stop((uint32_t)(every_us / 1000));
    }
    simulator_close(simulator);
    return status ? cli_end(status, &why) : silent ? CLI_NO : CLI_DONE;
}
