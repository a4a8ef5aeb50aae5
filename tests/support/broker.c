#include "tests/support/broker.h"

#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <librdkafka/rdkafka.h>

#include "runtime/bus_kafka.h"
#include "runtime/clock.h"
#include "tests/support/keeper.h"
#include "tests/support/program.h"

#define PATH_SIZE 512
#define ANSWER_MS 1000

static struct {
    struct keeper *keeper;
    char folder[64], scratch[96], properties[96], log_file[96], java[PATH_SIZE], classes[PATH_SIZE], bootstrap[32];
} broker;

static const char *server_argv[16];

static void java_find(void);
static void jars_fetch(void);
static void properties_write(void);
static void storage_format(void);
static void wait_until_it_answers(void);

void broker_start(void)
{
    if (broker.keeper)
        return;
    java_find();
    snprintf(broker.folder, sizeof broker.folder, "%s", keeper_folder(NULL));
    snprintf(broker.properties, sizeof broker.properties, "%s/properties", broker.folder);
    snprintf(broker.log_file, sizeof broker.log_file, "%s/log", broker.folder);
    /* Compiled quickly rather than well, since it is started often and works little. */
    snprintf(broker.scratch, sizeof broker.scratch, "-Djava.io.tmpdir=%s", broker.folder); /* its libraries unpack there */
    const char *const argv[] = {broker.java, broker.scratch, "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", broker.classes, "kafka.Kafka",
                                broker.properties, NULL};
    memcpy(server_argv, argv, sizeof argv);
    broker.keeper = keeper_open(&(struct keeper_server){.folder = broker.folder,
                                                        .log_file = broker.log_file,
                                                        .argv = server_argv,
                                                        .stop_signal = SIGTERM});
    atexit(broker_end);
    jars_fetch();
    properties_write();
    storage_format();
    broker_restart();
}

void broker_stop(void) { keeper_stop(broker.keeper); }
void broker_kill9(void) { keeper_kill9(broker.keeper); }
void broker_freeze(void) { keeper_freeze(broker.keeper); }
void broker_thaw(void) { keeper_thaw(broker.keeper); }

void broker_restart(void)
{
    keeper_start(broker.keeper);
    wait_until_it_answers();
}

void broker_end(void)
{
    keeper_close(broker.keeper);
    broker.keeper = NULL;
}

const char *broker_bootstrap(void)
{
    return broker.bootstrap;
}

static void java_find(void)
{
    const char *home = getenv("JAVA_HOME");
    glob_t found = {0};

    snprintf(broker.classes, sizeof broker.classes, "%s/kafka/*", program_build_root());
    if (home && *home)
        snprintf(broker.java, sizeof broker.java, "%s/bin/java", home);
    else if (glob("/usr/bin/java", 0, NULL, &found) == 0 || glob("/usr/lib/jvm/*/bin/java", 0, NULL, &found) == 0)
        snprintf(broker.java, sizeof broker.java, "%s", found.gl_pathv[0]);
    else
        keeper_abort(NULL, "no java: run make deps");
    globfree(&found);
}

static void jars_fetch(void)
{
    char script[PATH_SIZE];
    const char *const argv[] = {"/bin/bash", script, NULL};

    snprintf(script, sizeof script, "%s/../tests/support/kafka.sh", program_build_root());
    keeper_run(argv, NULL, broker.log_file);
}

static void properties_write(void)
{
    unsigned port = program_free_port(), controller_port = program_free_port();
    FILE *file = fopen(broker.properties, "we");

    if (!file)
        keeper_abort(NULL, "cannot write %s", broker.properties);
    fprintf(file,
            "process.roles=broker,controller\n"
            "node.id=1\n"
            "controller.quorum.voters=1@127.0.0.1:%u\n"
            "listeners=PLAINTEXT://127.0.0.1:%u,CONTROLLER://127.0.0.1:%u\n"
            "advertised.listeners=PLAINTEXT://127.0.0.1:%u\n"
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
            "controller.listener.names=CONTROLLER\n"
            "inter.broker.listener.name=PLAINTEXT\n"
            "log.dirs=%s/data\n",
            controller_port, port, controller_port, port, broker.folder);
    /* One broker, and quick about groups and restarts. */
    fputs("auto.create.topics.enable=false\n"
          "offsets.topic.replication.factor=1\n"
          "offsets.topic.num.partitions=2\n"
          "transaction.state.log.replication.factor=1\n"
          "transaction.state.log.min.isr=1\n"
          "share.coordinator.state.topic.replication.factor=1\n"
          "share.coordinator.state.topic.min.isr=1\n"
          "group.initial.rebalance.delay.ms=0\n"
          "group.min.session.timeout.ms=1000\n" /* a dead reader is found out in seconds */
          "controlled.shutdown.enable=false\n"
          "broker.session.timeout.ms=2000\n" /* a killed one is not let in again before that */
          "broker.heartbeat.interval.ms=500\n"
          "num.network.threads=2\n"
          "num.io.threads=2\n"
          "log.segment.delete.delay.ms=0\n",
          file);
    if (fclose(file))
        keeper_abort(NULL, "cannot write %s", broker.properties);
    snprintf(broker.bootstrap, sizeof broker.bootstrap, "127.0.0.1:%u", port);
}

static void storage_format(void)
{
    /* Any UUID in Kafka's base64 form. */
    const char *const argv[] = {broker.java,      "-Xmx128m", "-XX:+UseSerialGC",        "-XX:TieredStopAtLevel=1",
                                "-cp",            broker.classes, "kafka.tools.StorageTool", "format",
                                "-t",             "5L6g3nShT-eMCtK--X86sw", "-c",           broker.properties,
                                NULL};

    keeper_run(argv, NULL, broker.log_file);
}

static void wait_until_it_answers(void)
{
    char reason[256];
    const struct rd_kafka_metadata *metadata = NULL;
    int64_t deadline_ms = clock_monotonic_ms() + KEEPER_WAIT_MS;

    kafka_threads_known();
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    rd_kafka_conf_set(conf, "bootstrap.servers", broker.bootstrap, reason, sizeof reason);
    rd_kafka_conf_set(conf, "reconnect.backoff.max.ms", "100", reason, sizeof reason);
    rd_kafka_conf_set(conf, "log_level", "0", reason, sizeof reason); /* refusals are expected while it starts */
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
    if (!rk)
        keeper_abort(NULL, "librdkafka: %s", reason);
    bool answers = false;
    while (!answers) {
        if (!keeper_running(broker.keeper))
            keeper_abort(broker.log_file, "Kafka ended while starting");
        if (clock_monotonic_ms() > deadline_ms)
            keeper_abort(broker.log_file, "Kafka did not answer in time");
        if (rd_kafka_metadata(rk, 1, NULL, &metadata, ANSWER_MS))
            continue;
        answers = metadata->broker_cnt > 0;
        for (int i = 0; answers && i < metadata->topic_cnt; i++)
            for (int p = 0; answers && p < metadata->topics[i].partition_cnt; p++)
                answers = metadata->topics[i].partitions[p].leader >= 0;
        rd_kafka_metadata_destroy(metadata);
    }
    rd_kafka_destroy(rk);
}
