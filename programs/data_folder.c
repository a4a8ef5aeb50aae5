#include "programs/data_folder.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "runtime/buf.h"
#include "runtime/process.h"

#define JSON_BYTES_MAX (1024 * 1024)
#define POSTMASTER_BYTES_MAX 4096
#define NAME_ROOM 64 /* for what stands in the folder */
#define STAT_START_FIELD 22 /* of /proc/PID/stat, counted from 1 */

static json_t *process_json(struct data_process process);
static struct data_process process_read(const json_t *object, const char *key);
static void copy_string(const json_t *object, const char *key, char *out, size_t size);
static int64_t start_time_read(char *stat);

const char *data_folder_default(const char *given)
{
    if (given && *given)
        return given;
    return geteuid() == 0 ? "/var/lib/picket" : "./var";
}

bool data_folder_whole(const char *folder, char out[DATA_PATH_SIZE])
{
    char *whole = realpath(folder, NULL);
    int count = snprintf(out, DATA_PATH_SIZE, "%s", whole ? whole : folder);

    free(whole);
    return count < DATA_PATH_SIZE - NAME_ROOM;
}

void data_folder_path(const char *folder, const char *name, char out[DATA_PATH_SIZE])
{
    int count = snprintf(out, DATA_PATH_SIZE, "%s/%s", folder, name);
    /* A cut path names a file that is not there, so what uses it fails with that name in its sentence. */
    assert(count > 0);
}

struct data_process data_process_of(pid_t pid)
{
    char path[64], stat[1024];
    struct data_process process = {.pid = pid};

    if (pid <= 0)
        return (struct data_process){0};
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return process;
    ssize_t count = read(fd, stat, sizeof stat - 1);
    close(fd);
    stat[count > 0 ? count : 0] = '\0';
    process.started = start_time_read(stat);
    return process;
}

bool data_process_alive(struct data_process process)
{
    if (process.pid <= 0 || (kill(process.pid, 0) != 0 && errno == ESRCH))
        return false;
    return process.started != 0 && data_process_of(process.pid).started == process.started;
}

struct data_process data_postgres_process(const char *folder)
{
    char path[DATA_PATH_SIZE];
    struct problem why;
    struct buf content;
    struct text line;
    int64_t pid = 0;

    data_folder_path(folder, "postgres/postmaster.pid", path);
    buf_init(&content, POSTMASTER_BYTES_MAX);
    if (process_read_file(path, POSTMASTER_BYTES_MAX, &content, &why) == STATUS_OK) {
        text_cut(buf_as_text(&content), '\n', &line);
        if (!text_to_i64(line, &pid))
            pid = 0;
    }
    buf_done(&content);
    return data_process_of((pid_t)pid);
}

enum status data_state_load(const char *folder, struct data_state *out, struct problem *why)
{
    struct data_state state = {0};
    char path[DATA_PATH_SIZE];
    json_t *json = NULL;

    data_folder_path(folder, "state.json", path);
    enum status status = data_json_read(path, &json, why);
    if (status)
        return status;
    state.supervisor = process_read(json, "supervisor");
    state.picketd = process_read(json, "picketd");
    state.agent = process_read(json, "agent");
    state.simulation = process_read(json, "simulation");
    json_t *ports = json_object_get(json, "ports");
    state.port_https = json_integer_value(json_object_get(ports, "https"));
    state.port_mqtts = json_integer_value(json_object_get(ports, "mqtts"));
    state.port_query = json_integer_value(json_object_get(ports, "query"));
    state.port_http = json_integer_value(json_object_get(ports, "http"));
    state.port_mqtt = json_integer_value(json_object_get(ports, "mqtt"));
    copy_string(json, "socket_folder", state.socket_folder, sizeof state.socket_folder);
    copy_string(json, "postgres_folder", state.postgres_folder, sizeof state.postgres_folder);
    copy_string(json, "postgres_version", state.postgres_version, sizeof state.postgres_version);
    copy_string(json, "host_device", state.host_device, sizeof state.host_device);
    copy_string(json, "version", state.version, sizeof state.version);
    state.started_at_us = json_integer_value(json_object_get(json, "started_at_us"));
    json_decref(json);
    *out = state;
    return STATUS_OK;
}

enum status data_state_save(const char *folder, const struct data_state *state, struct problem *why)
{
    char path[DATA_PATH_SIZE];
    json_t *json = json_pack("{s:o, s:o, s:o, s:o, s:{s:I, s:I, s:I, s:I, s:I}, s:s, s:s, s:s, s:s, s:s, s:I}", "supervisor",
                             process_json(state->supervisor), "picketd", process_json(state->picketd), "agent",
                             process_json(state->agent), "simulation", process_json(state->simulation), "ports", "https", (json_int_t)state->port_https, "mqtts",
                             (json_int_t)state->port_mqtts, "query", (json_int_t)state->port_query, "http",
                             (json_int_t)state->port_http, "mqtt", (json_int_t)state->port_mqtt, "socket_folder",
                             state->socket_folder, "postgres_folder", state->postgres_folder, "postgres_version",
                             state->postgres_version, "host_device", state->host_device, "version", state->version,
                             "started_at_us", (json_int_t)state->started_at_us);

    if (!json)
        return problem_set(why, STATUS_FAULT, "the state of %s cannot be written as JSON", folder);
    data_folder_path(folder, "state.json", path);
    enum status status = data_json_write(path, json, 0644, why);
    json_decref(json);
    return status;
}

enum status data_lock_take(const char *folder, int *out, struct problem *why)
{
    char path[DATA_PATH_SIZE];

    data_folder_path(folder, "lock", path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return problem_set(why, STATUS_REJECT, "%s cannot be written (%s): choose another folder with --data", path,
                           strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        return problem_set(why, STATUS_RETRY, "another `picket up` runs in %s", folder);
    }
    *out = fd;
    return STATUS_OK;
}

bool data_lock_held(const char *folder)
{
    char path[DATA_PATH_SIZE];

    data_folder_path(folder, "lock", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool held = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(fd);
    return held;
}

enum status data_json_read(const char *path, json_t **out, struct problem *why)
{
    struct buf content;
    json_error_t error;

    buf_init(&content, JSON_BYTES_MAX);
    enum status status = process_read_file(path, JSON_BYTES_MAX, &content, why);
    if (!status) {
        *out = json_loadb(content.bytes ? content.bytes : "", content.count, JSON_REJECT_DUPLICATES, &error);
        if (!*out)
            status = problem_set(why, STATUS_REJECT, "%s line %d is not JSON: %s", path, error.line, error.text);
    }
    buf_done(&content);
    return status;
}

enum status data_json_write(const char *path, const json_t *value, unsigned mode, struct problem *why)
{
    char *text = json_dumps(value, JSON_INDENT(2));

    if (!text)
        abort();
    enum status status = process_write_file(path, text_of(text), mode, why);
    free(text);
    return status;
}

static json_t *process_json(struct data_process process)
{
    return json_pack("{s:I, s:I}", "pid", (json_int_t)process.pid, "started", (json_int_t)process.started);
}

static struct data_process process_read(const json_t *object, const char *key)
{
    const json_t *process = json_object_get(object, key);
    return (struct data_process){
        .pid = (pid_t)json_integer_value(json_object_get(process, "pid")),
        .started = json_integer_value(json_object_get(process, "started")),
    };
}

static void copy_string(const json_t *object, const char *key, char *out, size_t size)
{
    const char *value = json_string_value(json_object_get(object, key));
    snprintf(out, size, "%s", value ? value : "");
}

/* The second field is the program's name in parentheses, which may hold anything: count from the last one. */
static int64_t start_time_read(char *stat)
{
    char *at = strrchr(stat, ')');
    int64_t started = 0;

    if (at && at[1] == ' ' && (at[2] == 'Z' || at[2] == 'X'))
        return 0; /* ended, and its parent has not looked yet */
    for (int field = 2; at && field < STAT_START_FIELD; field++)
        at = strchr(at + 1, ' ');
    if (at) {
        struct text digits;
        text_cut(text_of(at + 1), ' ', &digits);
        if (!text_to_i64(digits, &started))
            started = 0;
    }
    return started;
}
