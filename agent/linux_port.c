#include "agent/linux_port.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/https_send.h"
#include "agent/spool.h"
#include "agent/state_file.h"

#define STATE_NAME_SIZE 32
#define KEYS_NAME "keys"

struct linux_port {
    struct agent_config *config;
    struct spool *spool;
    struct uplink *uplink;
    struct https_sender https;
    struct hub *hub; /* NULL: by HTTPS */
    uint32_t timeout_s; /* 0: messages wait for good */
    const struct hub_hooks *hooks;
    const volatile sig_atomic_t *stopping;
    struct reason trouble;
};

static void keys_load(struct linux_port *port);
static void fill_port(struct linux_port *port, struct picket_port *out);
static int64_t utc_ms(void *context);
static int64_t monotonic_ms(void *context);
static int32_t utc_offset_s(void *context, int64_t utc_s);
static void random_bytes(void *context, void *out, size_t count);
static void send_message(void *context, const struct picket_message *message, struct picket_send_answer *out);
static void print_message(void *context, const struct picket_message *message, struct picket_send_answer *out);
static enum picket_keep_status print_kept(void *context, const struct picket_message *message);
static enum picket_kept_status find_no_oldest(void *context, char *buffer, size_t size, struct picket_message *out);
static enum picket_kept_status find_no_newest(void *context, struct picket_message *out);
static void forget_nothing(void *context);
static bool save_state(void *context, unsigned stream, const char *state, size_t count);
static size_t load_state(void *context, unsigned stream, char *state, size_t size);
static enum picket_keep_status keep_message(void *context, const struct picket_message *message);
static enum picket_kept_status oldest_message(void *context, char *buffer, size_t size, struct picket_message *out);
static enum picket_kept_status newest_message(void *context, struct picket_message *out);
static void forget_message(void *context);
static bool oldest_expired(void *context);

static bool by_mqtt(const struct agent_config *config)
{
    return strcmp(config->transport, "mqtt") == 0;
}

struct uplink_target linux_port_target(const struct agent_config *config)
{
    return (struct uplink_target){
        .host = config->credential.host,
        .port = by_mqtt(config) ? (uint16_t)config->mqtt_port : config->credential.port,
        .ca_file = config->ca_file,
        .certificate_file = config->certificate_file,
        .key_file = config->key_file,
        .proxy = config->proxy,
    };
}

/* The way to the server, as the configuration has it. */
static bool way_make(struct linux_port *port, struct reason *why)
{
    struct agent_config *config = port->config;
    const struct uplink_target target = linux_port_target(config);
    struct uplink *uplink = uplink_new(&target, port->stopping, why);

    if (!uplink)
        return false;
    hub_free(port->hub);
    uplink_free(port->uplink);
    port->uplink = uplink;
    port->https = (struct https_sender){.uplink = uplink, .credential = &config->credential, .by_certificate = config->credential.by_certificate};
    port->hub = by_mqtt(config) ? hub_new(uplink, &config->credential, port->hooks, port->stopping) : NULL;
    return true;
}

struct linux_port *linux_port_open(struct agent_config *config, const struct hub_hooks *hooks, const volatile sig_atomic_t *stopping,
                                   struct picket_port *port, struct reason *why)
{
    static const struct hub_hooks none = {NULL, NULL, NULL};
    struct linux_port *opened = calloc(1, sizeof *opened);

    if (!opened)
        abort();
    opened->config = config;
    opened->hooks = hooks ? hooks : &none;
    opened->stopping = stopping;
    if (way_make(opened, why))
        opened->spool = spool_open(config->spool_folder, (uint64_t)config->spool_bytes, why);
    if (!opened->spool) {
        linux_port_close(opened);
        return NULL;
    }
    keys_load(opened);
    fill_port(opened, port);
    return opened;
}

bool linux_port_renew(struct linux_port *port, struct reason *why)
{
    char path[FILE_PATH_SIZE + sizeof KEYS_NAME + 1];

    if (!way_make(port, why))
        return false;
    snprintf(path, sizeof path, "%s/" KEYS_NAME, port->config->spool_folder);
    (void)unlink(path);
    return true;
}

void linux_port_dry(struct picket_port *port)
{
    *port = (struct picket_port){
        .utc_ms = utc_ms,
        .monotonic_ms = monotonic_ms,
        .utc_offset_s = utc_offset_s,
        .random = random_bytes,
        .send = print_message,
        .keep = print_kept,
        .oldest = find_no_oldest,
        .newest = find_no_newest,
        .forget = forget_nothing,
    };
}

uint32_t linux_port_serve(struct linux_port *port)
{
    return port->hub ? hub_serve(port->hub, utc_ms(NULL) / 1000, &port->trouble) : UINT32_MAX;
}

int linux_port_socket(const struct linux_port *port)
{
    return port->hub ? hub_socket(port->hub) : -1;
}

bool linux_port_report(struct linux_port *port, const char *json, size_t count)
{
    return port->hub && hub_report(port->hub, json, count, &port->trouble);
}

/* What a rotation left. */
static void keys_load(struct linux_port *port)
{
    char path[FILE_PATH_SIZE + sizeof KEYS_NAME + 1], text[CREDENTIAL_KEYS_SIZE];

    snprintf(path, sizeof path, "%s/" KEYS_NAME, port->config->spool_folder);
    long count = port->config->credential.by_certificate ? -1 : file_read(path, text, sizeof text);
    if (count > 0)
        (void)credential_keys_read(&port->config->credential, text, (size_t)count);
    explicit_bzero(text, sizeof text);
}

bool linux_port_rotate(struct linux_port *port, const char *base64, size_t count)
{
    struct credential before = port->config->credential;
    char text[CREDENTIAL_KEYS_SIZE];

    if (!credential_rotate(&port->config->credential, base64, count))
        return false;
    const struct iovec part = {text, credential_keys_write(&port->config->credential, text)};
    bool kept = file_write(port->config->spool_folder, KEYS_NAME, &part, 1, &port->trouble);
    if (!kept)
        port->config->credential = before;
    port->https.token_made_s = 0;
    if (port->hub)
        hub_renew(port->hub);
    explicit_bzero(text, sizeof text);
    explicit_bzero(&before, sizeof before);
    return kept;
}

void linux_port_limit(struct linux_port *port, uint64_t bytes)
{
    spool_limit(port->spool, bytes ? bytes : (uint64_t)port->config->spool_bytes);
}

void linux_port_timeout(struct linux_port *port, uint32_t seconds)
{
    port->timeout_s = seconds;
}

const char *linux_port_trouble(const struct linux_port *port)
{
    return port->trouble.text;
}

size_t linux_port_kept(const struct linux_port *port)
{
    return spool_count(port->spool);
}

void linux_port_close(struct linux_port *take_port)
{
    if (!take_port)
        return;
    hub_free(take_port->hub);
    uplink_free(take_port->uplink);
    spool_close(take_port->spool);
    explicit_bzero(take_port->https.token, sizeof take_port->https.token);
    free(take_port);
}

static void fill_port(struct linux_port *port, struct picket_port *out)
{
    *out = (struct picket_port){
        .context = port,
        .utc_ms = utc_ms,
        .monotonic_ms = monotonic_ms,
        .utc_offset_s = utc_offset_s,
        .random = random_bytes,
        .send = send_message,
        .save = save_state,
        .load = load_state,
        .keep = keep_message,
        .oldest = oldest_message,
        .newest = newest_message,
        .forget = forget_message,
        .expired = oldest_expired,
    };
}

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t utc_ms(void *context)
{
    (void)context;
    return clock_ms(CLOCK_REALTIME);
}

static int64_t monotonic_ms(void *context)
{
    (void)context;
    return clock_ms(CLOCK_MONOTONIC);
}

static int32_t utc_offset_s(void *context, int64_t utc_s)
{
    time_t moment = (time_t)utc_s;
    struct tm local;

    (void)context;
    return localtime_r(&moment, &local) ? (int32_t)local.tm_gmtoff : 0;
}

static void random_bytes(void *context, void *out, size_t count)
{
    (void)context;
    uplink_random(out, count);
}

static void print_message(void *context, const struct picket_message *message, struct picket_send_answer *out)
{
    (void)context;
    fwrite(message->body, 1, message->body_count, stdout);
    putchar('\n');
    fflush(stdout);
    out->status = PICKET_SEND_DONE;
}

static enum picket_keep_status print_kept(void *context, const struct picket_message *message)
{
    struct picket_send_answer ignored;

    print_message(context, message, &ignored);
    return PICKET_KEEP_DONE;
}

static enum picket_kept_status find_no_oldest(void *context, char *buffer, size_t size, struct picket_message *out)
{
    (void)context;
    (void)buffer;
    (void)size;
    (void)out;
    return PICKET_KEPT_NONE;
}

static enum picket_kept_status find_no_newest(void *context, struct picket_message *out)
{
    (void)context;
    (void)out;
    return PICKET_KEPT_NONE;
}

static void forget_nothing(void *context)
{
    (void)context;
}

/* "numbering", "numbering-1" … */
static void state_name(unsigned stream, char out[STATE_NAME_SIZE])
{
    if (stream)
        snprintf(out, STATE_NAME_SIZE, "numbering-%u", stream);
    else
        snprintf(out, STATE_NAME_SIZE, "numbering");
}

static bool save_state(void *context, unsigned stream, const char *state, size_t count)
{
    struct linux_port *port = context;
    char name[STATE_NAME_SIZE];

    state_name(stream, name);
    return state_file_write(port->config->spool_folder, name, state, count, &port->trouble);
}

static size_t load_state(void *context, unsigned stream, char *state, size_t size)
{
    const struct linux_port *port = context;
    char name[STATE_NAME_SIZE];

    state_name(stream, name);
    return state_file_read(port->config->spool_folder, name, state, size);
}

static enum picket_keep_status keep_message(void *context, const struct picket_message *message)
{
    struct linux_port *port = context;

    return spool_keep(port->spool, message, &port->trouble);
}

static enum picket_kept_status oldest_message(void *context, char *buffer, size_t size, struct picket_message *out)
{
    struct linux_port *port = context;

    return spool_oldest(port->spool, buffer, size, out);
}

static enum picket_kept_status newest_message(void *context, struct picket_message *out)
{
    const struct linux_port *port = context;

    return spool_newest(port->spool, out);
}

static void forget_message(void *context)
{
    struct linux_port *port = context;

    spool_forget(port->spool);
}

static bool oldest_expired(void *context)
{
    const struct linux_port *port = context;

    return port->timeout_s && spool_count(port->spool) && monotonic_ms(NULL) / 1000 - spool_oldest_since_s(port->spool) > port->timeout_s;
}

static void send_message(void *context, const struct picket_message *message, struct picket_send_answer *out)
{
    struct linux_port *port = context;

    if (port->hub)
        hub_send(port->hub, message, utc_ms(NULL) / 1000, out, &port->trouble);
    else
        https_send(&port->https, message, utc_ms(NULL) / 1000, out, &port->trouble);
}
