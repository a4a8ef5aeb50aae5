#include "query/routes.h"

#include <ctype.h>
#include <string.h>

#include "tests/support/check_main.h"

#define DOCUMENT_BYTES_MAX (1024 * 1024)

static json_t *document;

static void setup(void)
{
    struct buf out;
    json_error_t error;

    buf_init(&out, DOCUMENT_BYTES_MAX);
    openapi_print(query_routes, query_route_count, &out);
    ck_assert(!buf_failed(&out));
    document = json_loadb(out.bytes, out.count, JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(document != NULL, "%s at %d", error.text, error.position);
    buf_done(&out);
}

static void teardown(void)
{
    json_decref(document);
}

static void document_path(const char *path, char *out, size_t size)
{
    size_t count = 0;
    bool open = false;

    for (; *path && count + 2 < size; path++) {
        if (*path == ':') {
            out[count++] = '{';
            open = true;
        } else {
            if (*path == '/' && open) {
                out[count++] = '}';
                open = false;
            }
            out[count++] = *path;
        }
    }
    if (open)
        out[count++] = '}';
    out[count] = 0;
}

static const json_t *operation_of(const struct route *route)
{
    char path[256], method[16];
    size_t i;

    document_path(route->path, path, sizeof path);
    for (i = 0; route->method[i]; i++)
        method[i] = (char)tolower((unsigned char)route->method[i]);
    method[i] = 0;
    return json_object_get(json_object_get(json_object_get(document, "paths"), path), method);
}

START_TEST(every_route_is_in_the_document)
{
    for (size_t i = 0; i < query_route_count; i++) {
        const json_t *operation = operation_of(&query_routes[i]);
        ck_assert_msg(operation != NULL, "%s %s", query_routes[i].method, query_routes[i].path);
        ck_assert(*json_string_value(json_object_get(operation, "summary")));
        ck_assert_int_eq(json_object_get(operation, "security") != NULL, query_routes[i].role != ROLE_NONE);
    }
}
END_TEST

START_TEST(everything_in_the_document_is_a_route)
{
    size_t operations = 0;
    const char *path;
    json_t *methods;

    json_object_foreach(json_object_get(document, "paths"), path, methods) operations += json_object_size(methods);
    ck_assert_uint_eq(operations, query_route_count);
}
END_TEST

static void references_check(const json_t *node)
{
    const char *key;
    size_t i;
    json_t *value;

    if (json_is_array(node)) {
        json_array_foreach(node, i, value) references_check(value);
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)node, key, value)
    {
        if (strcmp(key, "$ref") == 0) {
            const char *name = strrchr(json_string_value(value), '/') + 1;
            const json_t *schemas = json_object_get(json_object_get(document, "components"), "schemas");
            ck_assert_msg(json_object_get(schemas, name) != NULL, "no schema %s", name);
        }
        references_check(value);
    }
}

START_TEST(every_schema_that_is_named_is_there)
{
    references_check(document);
}
END_TEST

START_TEST(every_parameter_of_a_path_is_described)
{
    for (size_t i = 0; i < query_route_count; i++) {
        const json_t *parameters = json_object_get(operation_of(&query_routes[i]), "parameters");
        size_t in_path = 0, wanted = 0, n;
        json_t *parameter;
        for (const char *at = query_routes[i].path; *at; at++)
            wanted += *at == ':';
        json_array_foreach(parameters, n, parameter) in_path +=
            strcmp(json_string_value(json_object_get(parameter, "in")), "path") == 0;
        ck_assert_uint_eq(in_path, wanted);
    }
}
END_TEST

START_TEST(changes_are_not_for_readers)
{
    for (size_t i = 0; i < query_route_count; i++) {
        const struct route *route = &query_routes[i];
        bool question = route->access == ROUTE_LOG_ANALYTICS || route->access == ROUTE_KUSTO; /* reads, whatever the method */
        if (question)
            ck_assert(route->role == ROLE_READER);
        else if (strncmp(route->path, "/v1/", 4) == 0 && strcmp(route->method, "GET") != 0 && route->handle != rules_backtest)
            ck_assert_msg(route->role >= ROLE_ANALYST && route->access == ROUTE_WRITE, "%s %s", route->method, route->path);
        if (strncmp(route->path, "/v1/", 4) == 0 && route->handle != kusto_authority)
            ck_assert_msg(route->role >= ROLE_READER, "%s", route->path);
        if (route->access == ROUTE_WRITE)
            ck_assert(route->role >= ROLE_ANALYST);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        every_route_is_in_the_document,      everything_in_the_document_is_a_route,
        every_schema_that_is_named_is_there, every_parameter_of_a_path_is_described,
        changes_are_not_for_readers,
    };
    const struct check_suite suite = {.name = "query/routes", .tests = tests, .count = sizeof tests / sizeof tests[0],
                                      .setup = setup, .teardown = teardown, .timeout_seconds = 30};

    return check_main(&suite);
}
