#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/process.h"
#include "tests/support/http_load.h"

/* The load generator as a program, against a server that already runs on this host. */

#define HEADER_BYTES_MAX 65536
#define BODY_BYTES_MAX ((size_t)1 << 20)

static const char usage[] =
    "usage: http_load --port N [--path P] [--method M] [--header 'Name: value']... [--body-file F | --body TEXT]\n"
    "                 [--connections N] [--seconds N] [--requests N]\n";

struct arguments {
    struct http_load_settings load;
    struct buf headers, body;
};

static bool argument_take(int option, struct arguments *out)
{
    struct problem why;

    switch (option) {
    case 'p':
        out->load.port = (uint16_t)strtoul(optarg, NULL, 10);
        return true;
    case 'P':
        out->load.path = optarg;
        return true;
    case 'm':
        out->load.method = optarg;
        return true;
    case 'h':
        buf_format(&out->headers, "%s\r\n", optarg);
        return true;
    case 'b':
        buf_string(&out->body, optarg);
        return true;
    case 'f':
        if (process_read_file(optarg, BODY_BYTES_MAX, &out->body, &why) == STATUS_OK)
            return true;
        fprintf(stderr, "%s\n", why.text);
        return false;
    case 'c':
        out->load.connections = (unsigned)strtoul(optarg, NULL, 10);
        return true;
    case 's':
        out->load.duration_ms = (uint32_t)strtoul(optarg, NULL, 10) * 1000;
        return true;
    case 'n':
        out->load.requests_max = strtoull(optarg, NULL, 10);
        return true;
    default: /* getopt's own '?' */
        return false;
    }
}

int main(int count, char **arguments)
{
    static const struct option options[] = {
        {"port", 1, NULL, 'p'},   {"path", 1, NULL, 'P'},      {"method", 1, NULL, 'm'},
        {"header", 1, NULL, 'h'}, {"body", 1, NULL, 'b'},      {"body-file", 1, NULL, 'f'},
        {"seconds", 1, NULL, 's'}, {"connections", 1, NULL, 'c'}, {"requests", 1, NULL, 'n'}, {NULL, 0, NULL, 0}};
    struct arguments given = {.load = {.path = "/", .method = "POST", .connections = 64}};
    struct http_load_result result;
    struct problem why;
    struct buf line;
    int option;

    buf_init(&given.headers, HEADER_BYTES_MAX);
    buf_init(&given.body, BODY_BYTES_MAX);
    while ((option = getopt_long(count, arguments, "", options, NULL)) != -1)
        if (!argument_take(option, &given))
            break;
    if (option != -1 || !given.load.port || !given.load.connections || optind != count) {
        fputs(usage, stderr);
        return 2;
    }
    if (!given.load.duration_ms && !given.load.requests_max)
        given.load.duration_ms = 5000;
    given.load.headers = buf_as_text(&given.headers).bytes;
    given.load.body = buf_as_text(&given.body);
    if (http_load_run(&given.load, &result, &why) != STATUS_OK) {
        fprintf(stderr, "%s\n", why.text);
        return 1;
    }
    buf_init(&line, 1024);
    http_load_print(&result, &line);
    puts(line.bytes);
    return result.refused || result.broken;
}
