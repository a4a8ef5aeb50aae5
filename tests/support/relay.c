#include "tests/support/relay.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAIRS_MAX 16

struct relay {
    int listener, wake;
    uint16_t port, to_port;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t obeyed;
    bool open, drop, stop; /* as asked for */
    uint64_t asked, done;  /* counts of changes */
    int pairs[PAIRS_MAX][2];
    size_t count;
};

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void pair_close(struct relay *relay, size_t at)
{
    close(relay->pairs[at][0]);
    close(relay->pairs[at][1]);
    relay->count--;
    memmove(relay->pairs[at], relay->pairs[relay->count], sizeof relay->pairs[at]);
}

static void pair_accept(struct relay *relay, bool open)
{
    const struct sockaddr_in to = loopback(relay->to_port);
    int from = accept4(relay->listener, NULL, NULL, SOCK_CLOEXEC), there = -1;

    if (from >= 0 && open && relay->count < PAIRS_MAX) {
        there = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (there >= 0 && connect(there, (const struct sockaddr *)&to, sizeof to) == 0) {
            relay->pairs[relay->count][0] = from;
            relay->pairs[relay->count++][1] = there;
            return;
        }
    }
    if (there >= 0)
        close(there);
    if (from >= 0)
        close(from);
}

/* False: one side is gone. */
static bool pass(int from, int to)
{
    char bytes[16384];
    ssize_t got = recv(from, bytes, sizeof bytes, 0);

    for (ssize_t sent = 0; got > 0 && sent < got;) {
        ssize_t now = send(to, bytes + sent, (size_t)(got - sent), MSG_NOSIGNAL);
        if (now <= 0)
            return false;
        sent += now;
    }
    return got > 0;
}

static void *relay_run(void *context)
{
    struct relay *relay = context;
    struct pollfd heard[2 + 2 * PAIRS_MAX];
    uint64_t times;

    for (;;) {
        pthread_mutex_lock(&relay->lock);
        bool open = relay->open, stop = relay->stop;
        while ((!open || relay->drop || stop) && relay->count)
            pair_close(relay, 0);
        relay->drop = false;
        relay->done = relay->asked;
        pthread_cond_broadcast(&relay->obeyed);
        pthread_mutex_unlock(&relay->lock);
        if (stop)
            return NULL;
        size_t count = relay->count;
        heard[0] = (struct pollfd){.fd = relay->listener, .events = POLLIN};
        heard[1] = (struct pollfd){.fd = relay->wake, .events = POLLIN};
        for (size_t i = 0; i < 2 * count; i++)
            heard[2 + i] = (struct pollfd){.fd = relay->pairs[i / 2][i % 2], .events = POLLIN};
        (void)poll(heard, (nfds_t)(2 + 2 * count), -1);
        (void)!read(relay->wake, &times, sizeof times);
        for (size_t i = count; i-- > 0;) {
            bool here = heard[2 + 2 * i].revents, there = heard[3 + 2 * i].revents;
            if ((here && !pass(relay->pairs[i][0], relay->pairs[i][1])) || (there && !pass(relay->pairs[i][1], relay->pairs[i][0])))
                pair_close(relay, i);
        }
        if (heard[0].revents)
            pair_accept(relay, open);
    }
}

struct relay *relay_start(uint16_t to_port)
{
    struct relay *relay = calloc(1, sizeof *relay);
    struct sockaddr_in own = loopback(0);
    socklen_t size = sizeof own;

    ck_assert_ptr_nonnull(relay);
    relay->to_port = to_port;
    relay->open = true;
    relay->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    relay->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ck_assert(relay->listener >= 0 && relay->wake >= 0);
    ck_assert_int_eq(bind(relay->listener, (const struct sockaddr *)&own, sizeof own), 0);
    ck_assert_int_eq(listen(relay->listener, 16), 0);
    ck_assert_int_eq(getsockname(relay->listener, (struct sockaddr *)&own, &size), 0);
    relay->port = ntohs(own.sin_port);
    pthread_mutex_init(&relay->lock, NULL);
    pthread_cond_init(&relay->obeyed, NULL);
    ck_assert_int_eq(pthread_create(&relay->thread, NULL, relay_run, relay), 0);
    return relay;
}

uint16_t relay_port(const struct relay *relay)
{
    return relay->port;
}

static void ask(struct relay *relay, bool open, bool drop, bool stop)
{
    const uint64_t one = 1;

    pthread_mutex_lock(&relay->lock);
    relay->open = open;
    relay->drop = drop;
    relay->stop = stop;
    uint64_t mine = ++relay->asked;
    ck_assert_int_eq((int)write(relay->wake, &one, sizeof one), (int)sizeof one);
    while (relay->done < mine)
        pthread_cond_wait(&relay->obeyed, &relay->lock);
    pthread_mutex_unlock(&relay->lock);
}

void relay_open(struct relay *relay, bool open)
{
    ask(relay, open, false, false);
}

void relay_drop(struct relay *relay)
{
    ask(relay, relay->open, true, false);
}

void relay_stop(struct relay *take_relay)
{
    if (!take_relay)
        return;
    ask(take_relay, false, false, true);
    pthread_join(take_relay->thread, NULL);
    close(take_relay->listener);
    close(take_relay->wake);
    pthread_cond_destroy(&take_relay->obeyed);
    pthread_mutex_destroy(&take_relay->lock);
    free(take_relay);
}
