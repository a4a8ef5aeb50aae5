#include "tests/support/http_bare.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#define BARE_BODY_MAX ((size_t)1 << 20)

struct http_bare {
    struct MHD_Daemon *mhd;
    struct MHD_Response *response;
};

struct request {
    size_t count, room;
    char *body;
};

static enum MHD_Result serve(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                             const char *version, const char *data, size_t *data_count, void **slot)
{
    struct http_bare *bare = context;
    struct request *request = *slot;

    (void)url;
    (void)method;
    (void)version;
    if (!request) {
        *slot = calloc(1, sizeof *request);
        return *slot ? MHD_YES : MHD_NO;
    }
    if (!*data_count)
        return MHD_queue_response(connection, 204, bare->response);
    if (request->count + *data_count > request->room) {
        request->room = request->count + *data_count;
        char *body = request->room <= BARE_BODY_MAX ? realloc(request->body, request->room) : NULL;
        if (!body)
            return MHD_NO;
        request->body = body;
    }
    memcpy(request->body + request->count, data, *data_count);
    request->count += *data_count;
    *data_count = 0;
    return MHD_YES;
}

static void completed(void *context, struct MHD_Connection *connection, void **slot,
                      enum MHD_RequestTerminationCode how)
{
    struct request *request = *slot;

    (void)context;
    (void)connection;
    (void)how;
    if (request)
        free(request->body);
    free(request);
    *slot = NULL;
}

enum status http_bare_open(unsigned threads, struct http_bare **out, struct problem *why)
{
    struct http_bare *bare = calloc(1, sizeof *bare);

    if (!bare)
        abort();
    bare->response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    bare->mhd = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC |
                                     MHD_USE_SUPPRESS_DATE_NO_CLOCK,
                                 0, NULL, NULL, serve, bare, MHD_OPTION_NOTIFY_COMPLETED, completed, bare,
                                 MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)32768, MHD_OPTION_THREAD_POOL_SIZE,
                                 threads > 1 ? threads : 0u, MHD_OPTION_END);
    if (!bare->mhd) {
        http_bare_close(bare);
        return problem_set(why, STATUS_FAULT, "libmicrohttpd did not start");
    }
    *out = bare;
    return STATUS_OK;
}

uint16_t http_bare_port(const struct http_bare *bare)
{
    return MHD_get_daemon_info(bare->mhd, MHD_DAEMON_INFO_BIND_PORT)->port;
}

void http_bare_close(struct http_bare *take_bare)
{
    if (!take_bare)
        return;
    if (take_bare->mhd)
        MHD_stop_daemon(take_bare->mhd);
    MHD_destroy_response(take_bare->response);
    free(take_bare);
}
