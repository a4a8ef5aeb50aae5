#include "tests/support/canned.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_SIZE 16384

struct canned {
    const struct canned_answer *answers;
    int listener;
    uint16_t port;
    pthread_t thread;
    char request[REQUEST_SIZE];
};

static void answer(struct canned *canned, int connection)
{
    size_t count = 0;
    char head[256], target[2048] = "";
    const struct canned_answer *found = canned->answers;

    canned->request[0] = '\0';
    while (count < REQUEST_SIZE - 1 && !strstr(canned->request, "\r\n\r\n")) {
        ssize_t got = recv(connection, canned->request + count, REQUEST_SIZE - 1 - count, 0);
        if (got <= 0)
            return;
        count += (size_t)got;
        canned->request[count] = '\0';
    }
    (void)sscanf(canned->request, "GET %2047s", target);
    while (found->target && strcmp(found->target, target) != 0)
        found++;
    const char *body = found->target ? found->body : "no";
    int length = snprintf(head, sizeof head, "HTTP/1.1 %d Answer\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", found->target ? found->code : 404, strlen(body));
    if (send(connection, head, (size_t)length, MSG_NOSIGNAL) == length)
        (void)!send(connection, body, strlen(body), MSG_NOSIGNAL);
}

static void *serve(void *context)
{
    struct canned *canned = context;
    int connection;

    while ((connection = accept(canned->listener, NULL, NULL)) >= 0) {
        answer(canned, connection);
        close(connection);
    }
    return NULL;
}

struct canned *canned_open(const struct canned_answer *answers)
{
    struct canned *canned = calloc(1, sizeof *canned);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;

    if (!canned)
        abort();
    canned->answers = answers;
    canned->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (canned->listener < 0 || bind(canned->listener, (struct sockaddr *)&address, size) || listen(canned->listener, 10) ||
        getsockname(canned->listener, (struct sockaddr *)&address, &size))
        abort();
    canned->port = ntohs(address.sin_port);
    if (pthread_create(&canned->thread, NULL, serve, canned))
        abort();
    return canned;
}

uint16_t canned_port(const struct canned *canned)
{
    return canned->port;
}

const char *canned_request(const struct canned *canned)
{
    return canned->request;
}

void canned_close(struct canned *canned)
{
    if (!canned)
        return;
    shutdown(canned->listener, SHUT_RDWR);
    pthread_join(canned->thread, NULL);
    close(canned->listener);
    free(canned);
}
