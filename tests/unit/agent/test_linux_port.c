#include "agent/linux_port.h"

#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "agent/agent.h"
#include "runtime/http.h"
#include "tests/support/certificate.h"
#include "tests/support/check_main.h"
#include "tests/unit/agent/root_folder.h"

#define KEY "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define BODY "{\"Events\":[]}"

/* What the server got, and what it answers. */
static struct {
    pthread_mutex_t lock;
    unsigned requests;
    char ids[64][PICKET_AGENT_MESSAGE_ID_SIZE];
    char device[64], authorization[1024], type[64], interface[128], host[64], body[4096];
    unsigned code;
    const char *retry_after, *reply;
} server = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct http_server *http;
static struct certificate certificate;
static struct agent_config config;
static struct linux_port *opened;
static struct picket_port port;
static volatile sig_atomic_t stopping;
static struct reason why;

static void copy(char *out, size_t size, struct text text)
{
    snprintf(out, size, "%.*s", TEXT_ARGS(text));
}

static void take(void *context, struct http_exchange *exchange)
{
    (void)context;
    pthread_mutex_lock(&server.lock);
    if (server.requests < 64)
        copy(server.ids[server.requests], sizeof server.ids[0], http_header(exchange, "iothub-messageid"));
    server.requests++;
    copy(server.device, sizeof server.device, http_parameter(exchange, "device"));
    copy(server.authorization, sizeof server.authorization, http_header(exchange, "Authorization"));
    copy(server.type, sizeof server.type, http_header(exchange, "Content-Type"));
    copy(server.interface, sizeof server.interface, http_header(exchange, "iothub-interface-id"));
    copy(server.host, sizeof server.host, http_header(exchange, "Host"));
    copy(server.body, sizeof server.body, http_body(exchange));
    http_code(exchange, server.code);
    if (server.retry_after)
        http_reply_header(exchange, "Retry-After", server.retry_after);
    if (server.reply)
        buf_string(http_reply_body(exchange, "application/json"), server.reply);
    pthread_mutex_unlock(&server.lock);
    http_answer(exchange);
}

static const struct http_route routes[] = {{"POST", "/devices/:device/messages/events", 0, take}};

enum crypt { CRYPT_TLS, CRYPT_NONE };

static uint16_t serve(uint16_t port_wanted, enum crypt crypt)
{
    struct http_server_settings settings = {
        .name = "test",
        .address = "::",
        .port = port_wanted,
        .tls_certificate_file = crypt == CRYPT_TLS ? certificate.certificate_file : NULL,
        .tls_key_file = crypt == CRYPT_TLS ? certificate.key_file : NULL,
        .threads = 1,
        .connections_max = 10,
        .request_timeout_ms = 20000,
        .answer_timeout_ms = 10000,
        .body_bytes_max = 100000,
        .body_budget_bytes = 1000000,
        .routes = routes,
        .route_count = 1,
    };
    struct problem problem;

    ck_assert_msg(http_server_open(&settings, &http, &problem) == STATUS_OK, "%s", problem.text);
    return http_server_port(http);
}

static void stop_serving(void)
{
    http_server_close(http);
    http = NULL;
}

static void configure(const char *host, uint16_t port_number, const char *ca_file)
{
    char text[1024];

    snprintf(text, sizeof text,
             "connection_string = HostName=%s:%u;DeviceId=dev-1;SharedAccessKey=" KEY "\nca_file = %s\nspool_folder = %s\n", host,
             port_number, ca_file, root);
    ck_assert_msg(agent_config_read(text, strlen(text), "agent.conf", &config, &why), "%s", why.text);
}

static void open_port(const char *host, uint16_t port_number, const char *ca_file)
{
    configure(host, port_number, ca_file);
    opened = linux_port_open(&config, NULL, &stopping, &port, &why);
    ck_assert_msg(opened != NULL, "%s", why.text);
}

static void setup(void)
{
    root_make();
    certificate_make(&certificate);
    server.code = 204;
}

static void teardown(void)
{
    linux_port_close(opened);
    opened = NULL;
    stop_serving();
    certificate_remove(&certificate);
    root_remove();
}

static struct picket_send_answer send_message(const char *id)
{
    struct picket_message message = {.count = 1, .body = BODY, .body_count = sizeof BODY - 1};
    struct picket_send_answer answer = {PICKET_SEND_DONE, 0, 0};

    snprintf(message.id, sizeof message.id, "%s", id);
    port.send(port.context, &message, &answer);
    return answer;
}

START_TEST(a_message_arrives_with_its_identity_and_its_id)
{
    uint16_t number = serve(0, CRYPT_TLS);
    char host[64];

    open_port("localhost", number, certificate.certificate_file);
    struct picket_send_answer answer = send_message("epoch-1");
    ck_assert_msg(answer.status == PICKET_SEND_DONE, "%s", linux_port_trouble(opened));
    ck_assert_uint_eq(answer.code, 204);
    ck_assert_str_eq(server.device, "dev-1");
    ck_assert_str_eq(server.ids[0], "epoch-1");
    ck_assert_str_eq(server.type, "application/json");
    ck_assert_str_eq(server.interface, "urn:azureiot:Security:SecurityAgent:1");
    ck_assert_str_eq(server.body, BODY);
    snprintf(host, sizeof host, "localhost:%u", number);
    ck_assert_str_eq(server.host, host);
    static const char start[] = "SharedAccessSignature sr=localhost%2Fdevices%2Fdev-1&sig=";
    ck_assert_mem_eq(server.authorization, start, sizeof start - 1);
}
END_TEST

START_TEST(a_connection_closed_meanwhile_is_made_anew)
{
    uint16_t number = serve(0, CRYPT_TLS);

    open_port("localhost", number, certificate.certificate_file);
    ck_assert_int_eq(send_message("epoch-1").status, PICKET_SEND_DONE);
    stop_serving();
    serve(number, CRYPT_TLS);
    ck_assert_msg(send_message("epoch-2").status == PICKET_SEND_DONE, "%s", linux_port_trouble(opened));
    ck_assert_uint_eq(server.requests, 2);
    ck_assert_str_eq(server.ids[1], "epoch-2");
}
END_TEST

START_TEST(a_certificate_that_our_authority_did_not_sign_gets_nothing)
{
    struct certificate other;
    uint16_t number = serve(0, CRYPT_TLS);

    certificate_make(&other);
    open_port("localhost", number, other.certificate_file);
    ck_assert_int_eq(send_message("epoch-1").status, PICKET_SEND_LATER);
    ck_assert_msg(strstr(linux_port_trouble(opened), "certificate of localhost does not hold") != NULL, "%s",
                  linux_port_trouble(opened));
    ck_assert_uint_eq(server.requests, 0);
    certificate_remove(&other);
}
END_TEST

START_TEST(a_certificate_for_another_name_gets_nothing)
{
    open_port("127.0.0.1", serve(0, CRYPT_TLS), certificate.certificate_file);
    ck_assert_int_eq(send_message("epoch-1").status, PICKET_SEND_LATER);
    ck_assert_msg(strstr(linux_port_trouble(opened), "certificate of 127.0.0.1 does not hold") != NULL, "%s",
                  linux_port_trouble(opened));
    ck_assert_uint_eq(server.requests, 0);
}
END_TEST

START_TEST(a_server_without_tls_gets_nothing)
{
    open_port("localhost", serve(0, CRYPT_NONE), certificate.certificate_file);
    ck_assert_int_eq(send_message("epoch-1").status, PICKET_SEND_LATER);
    ck_assert_ptr_nonnull(strstr(linux_port_trouble(opened), "TLS with localhost failed"));
    ck_assert_uint_eq(server.requests, 0);
}
END_TEST

START_TEST(answers_are_told_apart_and_the_connection_goes_on)
{
    open_port("localhost", serve(0, CRYPT_TLS), certificate.certificate_file);
    server.code = 400;
    server.reply = "{\"error\":{\"code\":\"bad_json\",\"message\":\"no\",\"line\":1,\"column\":2}}";
    struct picket_send_answer answer = send_message("epoch-1");
    ck_assert_int_eq(answer.status, PICKET_SEND_REFUSED);
    ck_assert_uint_eq(answer.code, 400);
    ck_assert_ptr_nonnull(strstr(linux_port_trouble(opened), "localhost answers 400"));
    server.code = 503;
    server.retry_after = "17";
    answer = send_message("epoch-2");
    ck_assert_int_eq(answer.status, PICKET_SEND_LATER);
    ck_assert_uint_eq(answer.code, 503);
    ck_assert_uint_eq(answer.retry_after_s, 17);
    server.code = 401;
    ck_assert_int_eq(send_message("epoch-2").status, PICKET_SEND_LATER);
    server.code = 204;
    server.reply = server.retry_after = NULL;
    ck_assert_int_eq(send_message("epoch-2").status, PICKET_SEND_DONE);
}
END_TEST

/* The server refuses such a message from its head, and closes while we are still sending the body. */
START_TEST(a_refusal_that_comes_before_the_body_is_sent_is_heard)
{
    static char body[120000];
    struct picket_message message = {.id = "epoch-1", .count = 1, .body = body, .body_count = sizeof body};

    memset(body, ' ', sizeof body);
    open_port("localhost", serve(0, CRYPT_TLS), certificate.certificate_file);
    for (int i = 0; i < 20; i++) {
        struct picket_send_answer answer = {PICKET_SEND_DONE, 0, 0};
        port.send(port.context, &message, &answer);
        ck_assert_msg(answer.status == PICKET_SEND_REFUSED, "%d: %s", i, linux_port_trouble(opened));
        ck_assert_uint_eq(answer.code, 413);
    }
    ck_assert_msg(send_message("epoch-2").status == PICKET_SEND_DONE, "%s", linux_port_trouble(opened));
}
END_TEST

START_TEST(nobody_there_is_told)
{
    uint16_t number = serve(0, CRYPT_TLS);

    stop_serving();
    open_port("localhost", number, certificate.certificate_file);
    ck_assert_int_eq(send_message("epoch-1").status, PICKET_SEND_LATER);
    ck_assert_ptr_nonnull(strstr(linux_port_trouble(opened), "localhost cannot be reached"));
}
END_TEST

static void stop_on_alarm(int signal_number)
{
    (void)signal_number;
    stopping = 1;
}

START_TEST(a_server_that_says_nothing_does_not_hold_up_the_end)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    const struct itimerval soon = {.it_value = {.tv_usec = 50000}};
    int silent = socket(AF_INET, SOCK_STREAM, 0);

    ck_assert_int_eq(bind(silent, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(silent, 1), 0);
    ck_assert_int_eq(getsockname(silent, (struct sockaddr *)&address, &size), 0);
    open_port("127.0.0.1", ntohs(address.sin_port), certificate.certificate_file);
    signal(SIGALRM, stop_on_alarm);
    setitimer(ITIMER_REAL, &soon, NULL);
    int64_t from_ms = port.monotonic_ms(port.context);
    ck_assert_int_eq(send_message("epoch-1").status, PICKET_SEND_LATER);
    ck_assert_int_lt(port.monotonic_ms(port.context) - from_ms, 5000);
    ck_assert_ptr_nonnull(strstr(linux_port_trouble(opened), "stopping"));
    close(silent);
}
END_TEST

START_TEST(an_authority_that_is_none_is_told_at_once)
{
    char path[512];

    snprintf(path, sizeof path, "%s", root_path("/ca.pem"));
    root_write("/ca.pem", "no certificate\n");
    configure("localhost", 443, path);
    ck_assert_ptr_null(linux_port_open(&config, NULL, &stopping, &port, &why));
    ck_assert_ptr_nonnull(strstr(why.text, path));
}
END_TEST

static void observe(struct picket_agent *agent)
{
    static const char payload[] = "[{\"Executable\":\"/bin/true\"}]";
    const struct picket_event event = {.name = "ProcessCreate", .payload = payload, .payload_count = sizeof payload - 1};

    ck_assert(picket_agent_observe(agent, &event));
}

/* The whole device: its server away, the program ended and started again, then all of it in order. */
START_TEST(what_was_seen_while_the_server_was_away_arrives_after_a_restart)
{
    static char queue[65536], message[65536];
    const struct picket_agent_memory memory = {.queues = {{queue, sizeof queue}}, .message = message, .message_size = sizeof message};
    const struct picket_agent_settings settings = {"1.2.3", {30000, 30000, 30000}, 0};
    struct picket_agent agent;
    char epoch[PICKET_GUID_SIZE];
    uint16_t number = serve(0, CRYPT_TLS);

    stop_serving();
    for (int life = 0; life < 3; life++) {
        open_port("localhost", number, certificate.certificate_file);
        picket_agent_init(&agent, &port, &settings, &memory);
        observe(&agent);
        observe(&agent);
        ck_assert(!picket_agent_flush(&agent));
        memcpy(epoch, agent.lanes[0].sequence.epoch, sizeof epoch);
        picket_agent_done(&agent);
        ck_assert_uint_eq(linux_port_kept(opened), (size_t)life + 1);
        linux_port_close(opened);
    }
    serve(number, CRYPT_TLS);
    open_port("localhost", number, certificate.certificate_file);
    picket_agent_init(&agent, &port, &settings, &memory);
    observe(&agent);
    ck_assert_msg(picket_agent_flush(&agent), "%s", linux_port_trouble(opened));
    ck_assert_uint_eq(linux_port_kept(opened), 0);
    ck_assert_uint_eq(server.requests, 4);
    for (int i = 0; i < 4; i++) {
        char id[PICKET_AGENT_MESSAGE_ID_SIZE];
        snprintf(id, sizeof id, "%s-%d", epoch, 1 + 2 * i);
        ck_assert_str_eq(server.ids[i], id);
    }
    ck_assert_ptr_nonnull(strstr(server.body, "\"First\":7,\"Count\":1,\"Dropped\":[]"));
    picket_agent_done(&agent);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_message_arrives_with_its_identity_and_its_id,
        a_connection_closed_meanwhile_is_made_anew,
        a_certificate_that_our_authority_did_not_sign_gets_nothing,
        a_certificate_for_another_name_gets_nothing,
        a_server_without_tls_gets_nothing,
        answers_are_told_apart_and_the_connection_goes_on,
        a_refusal_that_comes_before_the_body_is_sent_is_heard,
        nobody_there_is_told,
        a_server_that_says_nothing_does_not_hold_up_the_end,
        an_authority_that_is_none_is_told_at_once,
        what_was_seen_while_the_server_was_away_arrives_after_a_restart,
    };

    return check_main(&(const struct check_suite){
        .name = "agent/linux_port",
        .tests = tests,
        .count = sizeof tests / sizeof *tests,
        .setup = setup,
        .teardown = teardown,
        .timeout_seconds = 60,
    });
}
