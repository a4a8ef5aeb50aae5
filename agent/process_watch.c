#include "agent/process_watch.h"

#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/netlink.h"

#define WAITING_BYTES (256 * 1024)
#define THREAD_STACK (128 * 1024)
#define PACKET_MAX 4096
#define EXECUTABLE_GONE "(gone)"

/* One that waits; path and arguments stand behind it. */
struct entry {
    int64_t pid, parent;
    uint64_t started, times;
    uint32_t user;
    uint16_t executable_count, command_count;
};

struct process_watch {
    int socket, stop, waiting; /* the last two are eventfds */
    pthread_t thread;
    pthread_mutex_t lock;
    /* Under the lock: entries one behind the other, oldest first. */
    char *bytes;
    size_t used, newest; /* where the newest begins */
    uint64_t lost;
    bool overran;
};

/* Lets through what says that a program was begun, so that forks and ends take no room in the socket. */
static bool filter_set(int socket)
{
    enum { WHAT_AT = NLMSG_LENGTH(0) + sizeof(struct cn_msg) + offsetof(struct proc_event, what) };
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, WHAT_AT),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __builtin_bswap32(PROC_EVENT_EXEC), 0, 1), /* a filter reads what is big-endian */
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const struct sock_fprog program = {sizeof code / sizeof *code, code};

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    code[1].k = PROC_EVENT_EXEC;
#endif
    return setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

static bool listen_ask(int socket)
{
    struct {
        struct nlmsghdr head;
        char body[sizeof(struct cn_msg) + sizeof(enum proc_cn_mcast_op)];
    } __attribute__((packed)) ask;
    struct cn_msg message = {.id = {CN_IDX_PROC, CN_VAL_PROC}, .len = sizeof(enum proc_cn_mcast_op)};
    enum proc_cn_mcast_op listen = PROC_CN_MCAST_LISTEN;

    memset(&ask, 0, sizeof ask);
    ask.head = (struct nlmsghdr){.nlmsg_len = sizeof ask, .nlmsg_type = NLMSG_DONE, .nlmsg_pid = (uint32_t)getpid()};
    memcpy(ask.body, &message, sizeof message);
    memcpy(ask.body + sizeof message, &listen, sizeof listen);
    return send(socket, &ask, sizeof ask, 0) == (ssize_t)sizeof ask;
}

/* ---- the thread ---- */

static struct entry entry_at(const struct process_watch *watch, size_t at)
{
    struct entry entry;

    memcpy(&entry, watch->bytes + at, sizeof entry);
    return entry;
}

static bool is_same(const struct process_watch *watch, size_t at, const struct process *process)
{
    struct entry entry = entry_at(watch, at);
    const char *executable = watch->bytes + at + sizeof entry;

    return entry.parent == process->parent && entry.user == process->user && entry.executable_count == strlen(process->executable) &&
           entry.command_count == strlen(process->command_line) && memcmp(executable, process->executable, entry.executable_count) == 0 &&
           memcmp(executable + entry.executable_count, process->command_line, entry.command_count) == 0;
}

static void keep(struct process_watch *watch, const struct process *process)
{
    struct entry entry = {process->pid, process->parent, process->started, 1, process->user, (uint16_t)strlen(process->executable), (uint16_t)strlen(process->command_line)};
    size_t size = sizeof entry + entry.executable_count + entry.command_count;
    const uint64_t one = 1;

    pthread_mutex_lock(&watch->lock);
    if (watch->used && is_same(watch, watch->newest, process)) {
        entry = entry_at(watch, watch->newest);
        entry.times++;
        memcpy(watch->bytes + watch->newest, &entry, sizeof entry);
    } else if (WAITING_BYTES - watch->used < size) {
        watch->lost++;
    } else {
        char *to = watch->bytes + watch->used;
        memcpy(to, &entry, sizeof entry);
        memcpy(to + sizeof entry, process->executable, entry.executable_count);
        memcpy(to + sizeof entry + entry.executable_count, process->command_line, entry.command_count);
        watch->newest = watch->used;
        watch->used += size;
    }
    bool filling = watch->used > WAITING_BYTES / 2;
    pthread_mutex_unlock(&watch->lock);
    if (filling)
        (void)!write(watch->waiting, &one, sizeof one);
}

static void exec_take(struct process_watch *watch, int64_t pid, struct process *process)
{
    memset(process, 0, offsetof(struct process, name));
    if (!process_read("", pid, process) || process->ended) {
        process->pid = pid;
        memcpy(process->executable, EXECUTABLE_GONE, sizeof EXECUTABLE_GONE);
        process->command_line[0] = '\0';
    }
    keep(watch, process);
}

static void packet_take(struct process_watch *watch, char *packet, size_t count, struct process *process)
{
    struct nlmsghdr *head = (struct nlmsghdr *)(void *)packet;

    for (size_t left = count; NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
        struct cn_msg message;
        struct proc_event event;
        if (NLMSG_PAYLOAD(head, 0) < sizeof message + sizeof event)
            continue;
        memcpy(&message, NLMSG_DATA(head), sizeof message);
        memcpy(&event, (const char *)NLMSG_DATA(head) + sizeof message, sizeof event);
        /* Of all threads of a program, the one that it began with. */
        if (message.id.idx == CN_IDX_PROC && event.what == PROC_EVENT_EXEC && event.event_data.exec.process_pid == event.event_data.exec.process_tgid)
            exec_take(watch, event.event_data.exec.process_tgid, process);
    }
}

static void *watch_run(void *context)
{
    struct process_watch *watch = context;
    struct process *process = calloc(1, sizeof *process);
    char packet[PACKET_MAX] __attribute__((aligned(NLMSG_ALIGNTO)));
    struct pollfd wait[] = {{.fd = watch->socket, .events = POLLIN}, {.fd = watch->stop, .events = POLLIN}};

    if (!process)
        abort();
    for (;;) {
        if (poll(wait, 2, -1) < 0 && errno != EINTR)
            break;
        if (wait[1].revents)
            break;
        ssize_t got = recv(watch->socket, packet, sizeof packet, MSG_DONTWAIT);
        if (got > 0) {
            packet_take(watch, packet, (size_t)got, process);
        } else if (got < 0 && errno == ENOBUFS) {
            pthread_mutex_lock(&watch->lock);
            watch->overran = true;
            pthread_mutex_unlock(&watch->lock);
        }
    }
    free(process);
    return NULL;
}

/* ---- outside ---- */

static bool thread_start(struct process_watch *watch)
{
    pthread_attr_t attributes;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, THREAD_STACK);
    bool started = pthread_create(&watch->thread, &attributes, watch_run, watch) == 0;
    pthread_attr_destroy(&attributes);
    return started;
}

struct process_watch *process_watch_open(size_t buffer_bytes, struct reason *why)
{
    struct process_watch *watch = calloc(1, sizeof *watch);
    const struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC};

    if (!watch)
        abort();
    pthread_mutex_init(&watch->lock, NULL);
    watch->socket = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_CONNECTOR);
    watch->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    watch->waiting = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    watch->bytes = malloc(WAITING_BYTES);
    if (!watch->bytes)
        abort();
    bool fine = watch->socket >= 0 && watch->stop >= 0 && watch->waiting >= 0 && bind(watch->socket, (const struct sockaddr *)&address, sizeof address) == 0 &&
                filter_set(watch->socket) && listen_ask(watch->socket);
    if (!fine)
        reason_set(why, "the kernel's process connector: %s", strerror(errno));
    else
        socket_room(watch->socket, buffer_bytes);
    if (fine && thread_start(watch))
        return watch;
    if (fine)
        reason_set(why, "no thread to watch processes");
    if (watch->socket >= 0)
        close(watch->socket);
    close(watch->stop);
    close(watch->waiting);
    free(watch->bytes);
    free(watch);
    return NULL;
}

void process_watch_close(struct process_watch *take_watch)
{
    const uint64_t one = 1;

    if (!take_watch)
        return;
    (void)!write(take_watch->stop, &one, sizeof one);
    pthread_join(take_watch->thread, NULL);
    close(take_watch->socket);
    close(take_watch->stop);
    close(take_watch->waiting);
    pthread_mutex_destroy(&take_watch->lock);
    free(take_watch->bytes);
    free(take_watch);
}

bool process_watch_next(struct process_watch *watch, struct process *out, uint64_t *times)
{
    uint64_t told;

    pthread_mutex_lock(&watch->lock);
    bool found = watch->used > 0;
    if (found) {
        struct entry entry = entry_at(watch, 0);
        const char *executable = watch->bytes + sizeof entry;
        size_t size = sizeof entry + entry.executable_count + entry.command_count;
        memset(out, 0, offsetof(struct process, executable));
        out->pid = entry.pid;
        out->parent = entry.parent;
        out->started = entry.started;
        out->user = entry.user;
        memcpy(out->executable, executable, entry.executable_count);
        out->executable[entry.executable_count] = '\0';
        memcpy(out->command_line, executable + entry.executable_count, entry.command_count);
        out->command_line[entry.command_count] = '\0';
        *times = entry.times;
        watch->used -= size;
        watch->newest -= watch->used ? size : watch->newest;
        memmove(watch->bytes, watch->bytes + size, watch->used);
    } else {
        (void)!read(watch->waiting, &told, sizeof told);
    }
    pthread_mutex_unlock(&watch->lock);
    return found;
}

uint64_t process_watch_lost(struct process_watch *watch)
{
    pthread_mutex_lock(&watch->lock);
    uint64_t lost = watch->lost;
    watch->lost = 0;
    pthread_mutex_unlock(&watch->lock);
    return lost;
}

bool process_watch_overran(struct process_watch *watch)
{
    pthread_mutex_lock(&watch->lock);
    bool overran = watch->overran;
    watch->overran = false;
    pthread_mutex_unlock(&watch->lock);
    return overran;
}

int process_watch_socket(const struct process_watch *watch)
{
    return watch->waiting;
}
