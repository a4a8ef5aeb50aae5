#include "runtime/http_route.h"

#include <assert.h>

static bool path_fits(const char *pattern, struct text path, struct http_match *out);
static bool method_fits(const struct http_route *route, struct text method);
static bool name_is_new(const struct buf *list, const char *method);

void http_route_find(const struct http_route *routes, size_t count, struct text method, struct text path,
                     struct http_match *out)
{
    out->route = NULL;
    out->path_known = false;
    for (size_t i = 0; i < count && !out->route; i++) {
        if (!path_fits(routes[i].path, path, out))
            continue;
        out->path_known = true;
        if (method_fits(&routes[i], method))
            out->route = &routes[i];
    }
    if (!out->route && out->path_known && text_equal(method, TEXT("HEAD")))
        http_route_find(routes, count, TEXT("GET"), path, out);
}

void http_route_methods(const struct http_route *routes, size_t count, struct text path, struct buf *out)
{
    struct http_match match;
    bool get = false;

    for (size_t i = 0; i < count; i++) {
        if (!path_fits(routes[i].path, path, &match) || !name_is_new(out, routes[i].method))
            continue;
        if (out->count)
            buf_string(out, ", ");
        buf_string(out, routes[i].method);
        get = get || method_fits(&routes[i], TEXT("GET"));
    }
    if (get && name_is_new(out, "HEAD"))
        buf_string(out, ", HEAD");
}

static bool method_fits(const struct http_route *route, struct text method)
{
    return text_equal(text_of(route->method), method);
}

/* Methods are few and none is part of another, so looking for the letters is enough. */
static bool name_is_new(const struct buf *list, const char *method)
{
    return !list->count || !strstr(list->bytes, method);
}

static void parameter_add(struct http_match *match, struct text name, struct text value)
{
    assert(match->count < HTTP_PARAMETERS_MAX);
    match->names[match->count] = name;
    match->values[match->count] = value;
    match->count++;
}

static bool path_fits(const char *pattern, struct text path, struct http_match *out)
{
    const char *at = path.bytes, *end = path.bytes + path.count;
    const char *start = pattern;

    out->count = 0;
    while (*pattern) {
        if (*pattern != ':' || pattern == start || pattern[-1] != '/') {
            if (at == end || *at != *pattern)
                return false;
            at++;
            pattern++;
            continue;
        }
        struct text name = {pattern + 1, strcspn(pattern + 1, "/*")};
        pattern += 1 + name.count;
        size_t left = (size_t)(end - at);
        size_t length = *pattern == '*' ? left : text_find((struct text){at, left}, '/');
        if (length == 0 && *pattern != '*')
            return false;
        parameter_add(out, name, (struct text){at, length});
        at += length;
        if (*pattern == '*')
            pattern++;
    }
    return at == end;
}
