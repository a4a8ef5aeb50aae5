#include "tests/support/mqtt_load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/clock.h"

#define IN_SIZE 4096
#define WINDOW_MAX 100
#define PACKET_MAX ((size_t)512 * 1024)
#define EVENTS 256
#define TIMES_MAX (1u << 23)
#define LAST_WAIT_MS 5000
#define RECONNECT_MS 5

struct connection {
    int fd; /* -1: none */
    bool live;
    char in[IN_SIZE];
    size_t in_count;
    struct buf out;
    size_t out_sent;
    uint16_t first, count; /* ids under way: first … first + count - 1, wrapped over 1 … 65535 */
    int64_t times[WINDOW_MAX];
};

struct load {
    const struct mqtt_load_settings *settings;
    struct connection *connections;
    int epoll_fd;
    int64_t started_us, ends_ms;
    uint64_t sent;
    struct mqtt_load_result result;
    uint32_t *latencies;
    struct buf topic, payload;
    bool any, ending;
    enum status status;
    struct problem *why;
};

static void connection_open(struct load *load, unsigned index);
static void connection_close(struct load *load, unsigned index);
static void connection_fill(struct load *load, unsigned index);
static void connection_flush(struct load *load, unsigned index);
static void connection_read(struct load *load, unsigned index);
static void packet_take(struct load *load, unsigned index, const struct picket_mqtt_frame *frame);
static void latencies_sum(struct load *load);

static uint16_t id_after(uint16_t id, unsigned steps)
{
    return (uint16_t)((id - 1u + steps) % 65535 + 1);
}

static bool may_send(const struct load *load)
{
    const struct mqtt_load_settings *settings = load->settings;

    return !load->ending && (!settings->messages_max || load->sent < settings->messages_max);
}

static bool under_way(const struct load *load)
{
    for (unsigned i = 0; i < load->settings->connections; i++)
        if (load->connections[i].count)
            return true;
    return false;
}

static void round_run(struct load *load)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(load->epoll_fd, events, EVENTS, RECONNECT_MS);

    for (int i = 0; i < count; i++) {
        unsigned index = events[i].data.u32;
        if (load->connections[index].fd >= 0 && events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP))
            connection_read(load, index);
        if (load->connections[index].fd >= 0) {
            connection_fill(load, index);
            connection_flush(load, index);
        }
    }
    for (unsigned i = 0; count < EVENTS && i < load->settings->connections && !load->ending; i++)
        if (load->connections[i].fd < 0)
            connection_open(load, i);
}

enum status mqtt_load_run(const struct mqtt_load_settings *settings, struct mqtt_load_result *out, struct problem *why)
{
    struct load load = {.settings = settings, .epoll_fd = epoll_create1(EPOLL_CLOEXEC), .why = why};

    load.connections = calloc(settings->connections, sizeof *load.connections);
    load.latencies = malloc(TIMES_MAX * sizeof *load.latencies);
    if (!load.connections || !load.latencies)
        abort();
    buf_init(&load.topic, 65536);
    buf_init(&load.payload, PACKET_MAX);
    for (unsigned i = 0; i < settings->connections; i++) {
        load.connections[i].fd = -1;
        load.connections[i].first = 1;
        buf_init(&load.connections[i].out, 2 * PACKET_MAX);
    }
    load.started_us = clock_utc_us();
    load.ends_ms = clock_monotonic_ms() + settings->duration_ms;
    int64_t last_ms = load.ends_ms + LAST_WAIT_MS;
    while (!load.status) {
        int64_t now_ms = clock_monotonic_ms();
        load.ending = load.ending || now_ms >= load.ends_ms;
        bool done = load.ending || (settings->messages_max && load.sent >= settings->messages_max);
        if ((done && !under_way(&load)) || now_ms >= last_ms)
            break;
        round_run(&load);
    }
    for (unsigned i = 0; i < settings->connections; i++) {
        connection_close(&load, i);
        buf_done(&load.connections[i].out);
    }
    latencies_sum(&load);
    if (!load.status && !load.any)
        load.status = problem_set(why, STATUS_RETRY, "nobody listens on port %u", (unsigned)settings->port);
    *out = load.result;
    close(load.epoll_fd);
    buf_done(&load.topic);
    buf_done(&load.payload);
    free(load.latencies);
    free(load.connections);
    return load.status;
}

static void connection_open(struct load *load, unsigned index)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(load->settings->port),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.u32 = index};
    struct connection *connection = &load->connections[index];
    struct picket_mqtt_connect wanted = {.clean = true, .keep_alive_s = 60};
    struct picket_mqtt_writer writer;

    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return;
    }
    connection->fd = fd;
    connection->in_count = connection->out_sent = 0;
    connection->live = false;
    connection->count = 0;
    buf_clear(&connection->out);
    load->settings->connect(load->settings->context, index, &wanted);
    char *room = buf_room(&connection->out, 4096);
    picket_mqtt_write_init(&writer, room, 4096, load->settings->version);
    picket_mqtt_write_connect(&writer, &wanted);
    buf_grown(&connection->out, picket_mqtt_written(&writer));
    epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, fd, &event);
    connection_flush(load, index);
}

static void connection_close(struct load *load, unsigned index)
{
    struct connection *connection = &load->connections[index];

    if (connection->fd < 0)
        return;
    close(connection->fd);
    connection->fd = -1;
    if (connection->count && load->settings->lost)
        load->settings->lost(load->settings->context, index);
    load->result.lost += connection->count > 0;
    connection->count = 0;
    connection->live = false;
}

static void connection_fill(struct load *load, unsigned index)
{
    const struct mqtt_load_settings *settings = load->settings;
    struct connection *connection = &load->connections[index];

    while (connection->live && connection->count < settings->window && may_send(load)) {
        uint16_t id = id_after(connection->first, connection->count);
        struct picket_mqtt_writer writer;
        buf_clear(&load->topic);
        buf_clear(&load->payload);
        if (!settings->build(settings->context, index, &load->topic, &load->payload))
            return;
        struct text topic = buf_as_text(&load->topic), payload = buf_as_text(&load->payload);
        struct picket_mqtt_publish publish = {.qos = 1, .id = id, .topic = {topic.bytes, topic.count},
                                              .payload = {payload.bytes, payload.count}};
        size_t size = topic.count + payload.count + 64;
        char *room = buf_room(&connection->out, size);
        picket_mqtt_write_init(&writer, room, size, settings->version);
        picket_mqtt_write_publish(&writer, &publish, NULL, 0);
        buf_grown(&connection->out, picket_mqtt_written(&writer));
        connection->times[id % WINDOW_MAX] = clock_utc_us();
        connection->count++;
        load->sent++;
    }
}

static void connection_flush(struct load *load, unsigned index)
{
    struct connection *connection = &load->connections[index];

    while (connection->out_sent < connection->out.count) {
        ssize_t sent = send(connection->fd, connection->out.bytes + connection->out_sent,
                            connection->out.count - connection->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EAGAIN)
            return;
        if (sent < 0) {
            connection_close(load, index);
            return;
        }
        connection->out_sent += (size_t)sent;
    }
    buf_clear(&connection->out);
    connection->out_sent = 0;
}

static void connection_read(struct load *load, unsigned index)
{
    struct connection *connection = &load->connections[index];

    for (;;) {
        ssize_t got = recv(connection->fd, connection->in + connection->in_count, IN_SIZE - connection->in_count, MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0) {
            connection_close(load, index);
            return;
        }
        connection->in_count += (size_t)got;
        size_t used = 0;
        struct picket_mqtt_frame frame;
        struct picket_mqtt_fault fault;
        while (connection->fd >= 0 && picket_mqtt_frame_read(connection->in + used, connection->in_count - used, &frame,
                                                             &fault) == PICKET_MQTT_WHOLE) {
            packet_take(load, index, &frame);
            used += frame.total;
        }
        if (connection->fd < 0)
            return;
        memmove(connection->in, connection->in + used, connection->in_count - used);
        connection->in_count -= used;
    }
}

static void puback_take(struct load *load, unsigned index, const struct picket_mqtt_frame *frame)
{
    struct connection *connection = &load->connections[index];
    struct picket_span rest, name, value;
    struct text receipt = TEXT_NONE;
    struct picket_mqtt_fault fault;
    struct picket_mqtt_ack ack;

    if (!picket_mqtt_read_ack(frame, load->settings->version, &ack, &fault) || ack.reason >= 0x80) {
        load->status = problem_set(load->why, STATUS_REJECT, "PUBACK with reason 0x%02x", (unsigned)ack.reason);
        return;
    }
    if (!connection->count || ack.id != connection->first) {
        load->status = problem_set(load->why, STATUS_REJECT, "PUBACK for %u, where %u was due", (unsigned)ack.id,
                                   (unsigned)connection->first);
        return;
    }
    rest = ack.properties.user;
    while (picket_mqtt_user_next(&rest, &name, &value))
        receipt = (struct text){value.bytes, value.count};
    if (load->result.acknowledged < TIMES_MAX)
        load->latencies[load->result.acknowledged] = (uint32_t)(clock_utc_us() - connection->times[ack.id % WINDOW_MAX]);
    load->result.acknowledged++;
    connection->first = id_after(connection->first, 1);
    connection->count--;
    if (load->settings->acknowledged)
        load->settings->acknowledged(load->settings->context, index, receipt);
}

static void packet_take(struct load *load, unsigned index, const struct picket_mqtt_frame *frame)
{
    struct picket_mqtt_connack connack;
    struct picket_mqtt_fault fault;

    if (frame->type == PICKET_MQTT_PUBACK) {
        puback_take(load, index, frame);
    } else if (frame->type == PICKET_MQTT_CONNACK && picket_mqtt_read_connack(frame, load->settings->version, &connack, &fault)) {
        load->connections[index].live = connack.code == 0;
        load->any = load->any || connack.code == 0;
        /* A server that has just started says that it cannot tell yet who is known. */
        if (connack.code && connack.code != 3 && connack.code != PICKET_MQTT_UNAVAILABLE)
            load->status = problem_set(load->why, STATUS_REJECT, "CONNACK with code 0x%02x", (unsigned)connack.code);
    }
}

static int compare(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

static void latencies_sum(struct load *load)
{
    struct mqtt_load_result *result = &load->result;
    size_t count = result->acknowledged < TIMES_MAX ? result->acknowledged : TIMES_MAX;

    result->elapsed_us = clock_utc_us() - load->started_us;
    result->messages_per_second = (double)result->acknowledged * 1e6 / (double)(result->elapsed_us ? result->elapsed_us : 1);
    if (!count)
        return;
    qsort(load->latencies, count, sizeof load->latencies[0], compare);
    result->median_us = load->latencies[count / 2];
    result->p99_us = load->latencies[count - 1 - count / 100];
    result->longest_us = load->latencies[count - 1];
}
