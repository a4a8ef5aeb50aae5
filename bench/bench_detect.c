#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "detect/engine.h"
#include "detect/sigma_parse.h"
#include "detect/sigma_set.h"
#include "runtime/buf.h"
#include "runtime/process.h"

/* What judging costs, in one thread: the engine as the stream has it, from an event's details as JSON to findings, with all built-in
 * detections, the Sigma rules of a folder and a million indicators; beside it the Sigma rules alone. Of ten events six are processes,
 * three connections and one a login, of a thousand devices with a memory each. One process in ten does what attackers do (the folder's);
 * what it costs where all of them do is told as well, without a limit.
 *
 *   bench_detect [FOLDER]     as the Sigma project's, with events beside them; without it the built-in detections alone */

#define EVENTS_PER_SECOND_MIN 100000.0
#define LOAD_SECONDS_MAX 10.0
#define INDICATORS 1000000
#define ROUNDS 60
#define DEVICES 1000
#define FILE_BYTES_MAX ((size_t)64 << 20)

struct bench {
    struct arena arena;
    const struct sigma_rule *rules[5000];
    size_t rule_count, matches;
    struct sigma_event *events;
    size_t event_count;
    struct indicators *indicators;
    struct event_source *sources;
    size_t source_count;
};

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void take(void *context, const struct sigma_rule *rule, struct text id, const char *reason)
{
    struct bench *bench = context;

    (void)id;
    (void)reason;
    if (rule && bench->rule_count < sizeof bench->rules / sizeof *bench->rules)
        bench->rules[bench->rule_count++] = rule;
}

static void rules_load(struct bench *bench, const char *folder)
{
    static const char *const depths[] = {"rules/*.yml", "rules/*/*.yml", "rules/*/*/*.yml", "rules/*/*/*/*.yml", "rules/*/*/*/*/*.yml"};
    struct problem why;
    char pattern[1024];
    glob_t found;

    for (size_t i = 0; i < sizeof depths / sizeof *depths; i++) {
        snprintf(pattern, sizeof pattern, "%s/%s", folder, depths[i]);
        if (glob(pattern, 0, NULL, &found))
            continue;
        for (size_t k = 0; k < found.gl_pathc; k++) {
            struct buf content;
            buf_init(&content, FILE_BYTES_MAX);
            if (process_read_file(found.gl_pathv[k], FILE_BYTES_MAX, &content, &why) ||
                sigma_parse(buf_as_text(&content), &bench->arena, take, bench, &why))
                fprintf(stderr, "bench_detect: %s: %s\n", found.gl_pathv[k], why.text);
            buf_done(&content);
        }
        globfree(&found);
    }
}

static void event_add(struct bench *bench, const json_t *event)
{
    struct sigma_field *fields = ARENA_ARRAY(&bench->arena, struct sigma_field, json_object_size(event) + 1);
    size_t count = 0;
    const char *key;
    json_t *value;

    json_object_foreach ((json_t *)(uintptr_t)event, key, value)
        if (json_is_string(value))
            fields[count++] = (struct sigma_field){arena_text(&bench->arena, text_of(key)), arena_text(&bench->arena, text_of(json_string_value(value)))};
    bench->events[bench->event_count++] = (struct sigma_event){fields, count};
}

static bool events_load(struct bench *bench, const char *folder)
{
    char path[1024];
    struct problem why;
    struct buf content;
    struct text rest, line;

    snprintf(path, sizeof path, "%s/linux-events/process_creation.ndjson", folder);
    buf_init(&content, FILE_BYTES_MAX);
    if (process_read_file(path, FILE_BYTES_MAX, &content, &why)) {
        buf_done(&content);
        return false;
    }
    bench->events = ARENA_ARRAY(&bench->arena, struct sigma_event, content.count / 10 + 1);
    for (rest = buf_as_text(&content); rest.bytes;) {
        rest = text_cut(rest, '\n', &line);
        json_t *event = json_loadb(line.bytes, line.count, 0, NULL);
        if (event)
            event_add(bench, event);
        json_decref(event);
    }
    buf_done(&content);
    return bench->event_count > 0;
}

static void matched(void *context, size_t rule, const struct sigma_found *found, size_t count)
{
    struct bench *bench = context;

    (void)rule;
    (void)found;
    bench->matches += count > 0;
}

static bool rules_measure(struct bench *bench)
{
    struct sigma_set *set = sigma_set_new(bench->rules, bench->rule_count);
    struct sigma_scratch *scratch = sigma_scratch_new(set);
    double begun = seconds();

    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < bench->event_count; i++)
            sigma_set_match(set, scratch, &bench->events[i], matched, bench);
    double rate = (double)(ROUNDS * bench->event_count) / (seconds() - begun);
    bool met = rate >= EVENTS_PER_SECOND_MIN;
    printf("rules      rules=%zu always=%zu events=%zu matches=%zu events_per_s=%.0f limit=%.0f %s\n", bench->rule_count, sigma_set_always(set),
           ROUNDS * bench->event_count, bench->matches, rate, EVENTS_PER_SECOND_MIN, met ? "met" : "MISSED");
    sigma_scratch_free(scratch);
    sigma_set_free(set);
    return met;
}

static void listed(void *context, struct text feed, struct text value)
{
    (void)feed;
    *(size_t *)context += value.count > 0;
}

static bool indicators_measure(struct bench *bench)
{
    struct indicators *set = indicators_new();
    uint16_t feed = indicators_feed(set, TEXT("bench"));
    size_t found = 0;
    char text[100];

    double begun = seconds();
    for (int i = 0; i < INDICATORS; i++) {
        unsigned mixed = (unsigned)i * 2654435761u;
        int count = i % 5 < 2   ? snprintf(text, sizeof text, "%u.%u.%u.%u", 1 + mixed % 220, mixed >> 8 & 255, mixed >> 16 & 255, mixed >> 24)
                    : i % 5 < 4 ? snprintf(text, sizeof text, "h%x.example%u.com", mixed, mixed % 997)
                                : snprintf(text, sizeof text, "http://c%u.example.net/bins/%08x.sh", mixed % 777, mixed);
        (void)indicators_add(set, feed, (struct text){text, (size_t)count});
    }
    double load = seconds() - begun;
    begun = seconds();
    for (int i = 0; i < INDICATORS; i++) {
        unsigned mixed = (unsigned)i * 2246822519u;
        int count = snprintf(text, sizeof text, "%u.%u.%u.%u", 1 + mixed % 220, mixed >> 8 & 255, mixed >> 16 & 255, mixed >> 24);
        (void)indicators_find_ip(set, (struct text){text, (size_t)count}, 443, listed, &found);
    }
    double each_ns = (seconds() - begun) * 1e9 / INDICATORS;
    bool met = load <= LOAD_SECONDS_MAX;
    printf("indicators count=%zu load_s=%.2f limit=%.0f lookup_ns=%.0f found=%zu %s\n", indicators_count(set), load, LOAD_SECONDS_MAX, each_ns, found,
           met ? "met" : "MISSED");
    bench->indicators = set;
    return met;
}

/* ---- the engine ---- */

static struct text field_of(const struct sigma_event *event, const char *name)
{
    for (size_t i = 0; i < event->count; i++)
        if (text_equal(event->fields[i].name, text_of(name)))
            return event->fields[i].value;
    return TEXT("");
}

static struct text process_details(struct bench *bench, size_t i, bool attack)
{
    static const char *const usual[] = {"/usr/sbin/crond -f", "busybox udhcpc -i eth0 -n", "logrotate /etc/logrotate.conf", "sh -c run-parts /etc/cron.hourly",
                                        "python3 /usr/lib/app/telemetry.py --interval 60", "/usr/sbin/dropbear -F -p 22"};
    struct text command = attack && bench->event_count ? field_of(&bench->events[i % bench->event_count], "CommandLine") : text_of(usual[i % 6]);
    struct text image = attack && bench->event_count ? field_of(&bench->events[i % bench->event_count], "Image") : TEXT("/bin/busybox");
    struct buf out;

    buf_init(&out, 1 << 20);
    buf_string(&out, "{\"Executable\":");
    buf_json_string(&out, image);
    buf_string(&out, ",\"CommandLine\":");
    buf_json_string(&out, command);
    buf_format(&out, ",\"UserId\":\"0\",\"UserName\":\"root\",\"ProcessId\":%zu,\"ParentProcessId\":1,\"ExtraDetails\":{\"Hash\":\"%040zx\"}}", i, i * 7919);
    struct text details = arena_text(&bench->arena, buf_as_text(&out));
    buf_done(&out);
    return details;
}

/* One process in `attack_every` is an attack. */
static void sources_make(struct bench *bench, size_t attack_every)
{
    bench->source_count = 10000;
    bench->sources = ARENA_ARRAY(&bench->arena, struct event_source, bench->source_count);
    for (size_t i = 0; i < bench->source_count; i++) {
        struct event_source *source = &bench->sources[i];
        unsigned mixed = (unsigned)i * 2654435761u;
        *source = (struct event_source){.id = TEXT("00000000-0000-4000-8000-000000000000"), .at_us = INT64_C(1790000000000000) + (int64_t)i * 10000, .hits = 1};
        if (i % 10 < 6) {
            source->name = TEXT("ProcessCreate");
            source->details = process_details(bench, i, i / 10 % attack_every == 0);
        } else if (i % 10 < 9) {
            source->name = TEXT("ConnectionCreate");
            source->details = text_of(arena_format(&bench->arena,
                                                   "{\"RemoteAddress\":\"%u.%u.%u.%u\",\"RemotePort\":\"443\",\"LocalAddress\":\"192.168.1.2\",\"LocalPort\":\"40123\",\"Direction\":\"Out\","
                                                   "\"Protocol\":\"tcp\",\"ProcessId\":77,\"Executable\":\"/usr/bin/app\"}",
                                                   1 + mixed % 220, mixed >> 8 & 255, mixed >> 16 & 255, mixed >> 24));
        } else {
            source->name = TEXT("Login");
            source->details = text_of(arena_format(&bench->arena,
                                                   "{\"ProcessId\":1,\"Operation\":\"login\",\"Executable\":\"/usr/sbin/sshd\",\"Result\":\"%s\",\"UserName\":\"u%u\",\"RemoteAddress\":\"203.0.113.%u\"}",
                                                   i % 3 ? "Success" : "Fail", mixed % 50, mixed % 250));
        }
    }
}

static double engine_measure(struct bench *bench, const char *name, size_t attack_every)
{
    struct sigma_mapping *mapping = NULL;
    struct memory *memories[DEVICES];
    struct arena arena, kept;
    struct problem why;
    size_t findings_count = 0;
    double spent = 0;

    arena_init(&arena);
    arena_init(&kept);
    if (sigma_mapping_read(sigma_mapping_builtin(), &bench->arena, &mapping, &why))
        abort();
    sources_make(bench, attack_every);
    struct engine *engine = engine_new(&(struct engine_content){.indicators = bench->indicators, .mapping = mapping, .sigma = bench->rules, .sigma_count = bench->rule_count});
    struct engine_scratch *scratch = engine_scratch_new(engine);
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < DEVICES; i++)
            memories[i] = memory_new(&kept);
        double begun = seconds();
        for (size_t i = 0; i < bench->source_count; i++) {
            struct findings findings = {.count = 0};
            struct event event;
            if (i % 100 == 0)
                arena_clear(&arena);
            if (!event_read(&bench->sources[i], &arena, &event))
                abort();
            engine_judge(engine, scratch, &event, 1, memories[i % DEVICES], &arena, &findings);
            findings_count += findings.count;
        }
        spent += seconds() - begun;
        arena_clear(&kept);
    }
    double rate = (double)ROUNDS * (double)bench->source_count / spent;
    printf("%-10s builtin=%zu sigma=%zu indicators=%zu events=%zu findings=%zu events_per_s=%.0f", name, builtin_rules_count, bench->rule_count,
           indicators_count(bench->indicators), (size_t)ROUNDS * bench->source_count, findings_count, rate);
    engine_scratch_free(scratch);
    engine_free(engine);
    arena_done(&kept);
    arena_done(&arena);
    return rate;
}

int main(int count, char **arguments)
{
    const char *folder = count > 1 ? arguments[1] : "../shared/data/sigma";
    struct bench *bench = calloc(1, sizeof *bench);

    if (!bench)
        abort();
    arena_init(&bench->arena);
    bool met = indicators_measure(bench);
    rules_load(bench, folder);
    if (bench->rule_count && events_load(bench, folder))
        met &= rules_measure(bench);
    else
        printf("rules      none in %s\n", folder);
    double rate = engine_measure(bench, "engine", 10);
    printf(" limit=%.0f %s\n", EVENTS_PER_SECOND_MIN, rate >= EVENTS_PER_SECOND_MIN ? "met" : "MISSED");
    met &= rate >= EVENTS_PER_SECOND_MIN;
    (void)engine_measure(bench, "attacks", 1);
    printf("\n");
    indicators_free(bench->indicators);
    for (size_t i = 0; i < bench->rule_count; i++)
        sigma_rule_done(bench->rules[i]);
    arena_done(&bench->arena);
    free(bench);
    return met ? 0 : 1;
}
