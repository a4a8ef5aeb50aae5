#ifndef PICKET_RUNTIME_HTTP_ROUTE_H
#define PICKET_RUNTIME_HTTP_ROUTE_H

#include "runtime/http.h"

/* Which route a request takes. Only for the http_*.c files. */
struct http_match {
    const struct http_route *route; /* NULL: none with this method */
    bool path_known;                /* some route has this path, so the method is what is wrong */
    size_t count;
    struct text names[HTTP_PARAMETERS_MAX];  /* in the route's own string */
    struct text values[HTTP_PARAMETERS_MAX]; /* in the path, still percent-encoded */
};

/* The first route of the table that fits wins, so literal paths stand before those with parameters. HEAD takes the
 * route of GET where it has none. */
void http_route_find(const struct http_route *routes, size_t count, struct text method, struct text path,
                     struct http_match *out);

/* "GET, HEAD, POST": what the Allow header says for this path. */
void http_route_methods(const struct http_route *routes, size_t count, struct text path, struct buf *out);

#endif
