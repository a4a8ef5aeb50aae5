/* How long the compiler takes: bench_kql [FOLDER]. Compiles every query of the folder's corpora (rules, iot, parsers and two
 * .jsonl files; without it the project's own cases) to SQL, against tables.txt and parsers/, functions expanded. Each is compiled
 * three times; the time in the middle counts. Ends with 1 when a limit is missed. */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "kql/kql.h"
#include "programs/kql_files.h"

#define MEDIAN_US_MAX 300.0
#define P99_US_MAX 5000.0
#define TRIES 3

struct bench {
    struct catalog *catalog;
    struct arena arena;
    double *times_us;
    size_t count, room, queries;
};

static double now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

static double compile_us(struct bench *bench, struct text query, bool *fine)
{
    const struct kql_options options = {.now_ticks = 638712864000000000, .open_schemas = true};
    struct kql_diagnostic wrong;
    struct bound_query *queries;
    struct kql_sql *statements;
    double begun = now_us();

    *fine = kql_bind(query, bench->catalog, &options, &bench->arena, &queries, &wrong) == STATUS_OK &&
            kql_emit(queries, "kql", &bench->arena, &statements, &wrong) == STATUS_OK;
    double us = now_us() - begun;
    arena_clear(&bench->arena);
    return us;
}

static void compile_each(void *context, struct text id, struct text parameters, struct text query)
{
    struct bench *bench = context;
    double tries[TRIES];
    bool fine = false;

    (void)id;
    (void)parameters;
    for (unsigned i = 0; i < TRIES; i++)
        tries[i] = compile_us(bench, query, &fine);
    qsort(tries, TRIES, sizeof *tries, compare);
    if (bench->count == bench->room) {
        bench->room = 2 * bench->room + 1024;
        bench->times_us = realloc(bench->times_us, bench->room * sizeof *bench->times_us);
        if (!bench->times_us)
            abort();
    }
    bench->queries++;
    if (fine) /* one that is refused takes less */
        bench->times_us[bench->count++] = tries[TRIES / 2];
}

static void files_each(struct bench *bench, const char *folder, const char *pattern)
{
    char path[1024];
    struct problem why;
    glob_t found;

    snprintf(path, sizeof path, "%s/%s", folder, pattern);
    if (glob(path, 0, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc; i++)
        if (kql_file_read(found.gl_pathv[i], compile_each, bench, &why))
            fprintf(stderr, "bench_kql: %s\n", why.text);
    globfree(&found);
}

int main(int count, char **arguments)
{
    static const char *const patterns[] = {"rules/*", "iot/*", "parsers/*", "workbook-queries.jsonl", "community-queries.jsonl"};
    const char *folder = count > 1 ? arguments[1] : "../shared/samples/kql";
    struct bench bench = {.catalog = catalog_new()};
    struct problem why = {0};
    char path[1024];

    arena_init(&bench.arena);
    snprintf(path, sizeof path, "%s/tables.txt", folder);
    if (access(path, R_OK) != 0) {
        folder = "tests/kql";
        files_each(&bench, folder, "cases.jsonl");
    } else {
        if (kql_schema_load(path, bench.catalog, &why))
            fprintf(stderr, "bench_kql: %s\n", why.text);
        snprintf(path, sizeof path, "%s/parsers", folder);
        if (kql_functions_load(path, bench.catalog, &why))
            fprintf(stderr, "bench_kql: %s\n", why.text);
        for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
            files_each(&bench, folder, patterns[i]);
    }
    if (!bench.count)
        return 2;
    qsort(bench.times_us, bench.count, sizeof *bench.times_us, compare);
    double median = bench.times_us[bench.count / 2], p99 = bench.times_us[bench.count * 99 / 100];
    bool met = median < MEDIAN_US_MAX && p99 < P99_US_MAX;
    printf("compile    queries=%zu compiled=%zu median_us=%.0f p99_us=%.0f longest_us=%.0f\n", bench.queries, bench.count, median, p99,
           bench.times_us[bench.count - 1]);
    printf("limits     median_us=%.0f p99_us=%.0f %s\n", MEDIAN_US_MAX, P99_US_MAX, met ? "met" : "MISSED");
    free(bench.times_us);
    arena_done(&bench.arena);
    catalog_free(bench.catalog);
    return met ? 0 : 1;
}
