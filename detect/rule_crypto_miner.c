#include "detect/command_facts.h"
#include "detect/rule.h"

#define WALLET_BYTES 95 /* of Monero's, which begin with 4 or 8 */

static const char *const words[] = {"xmr", "miner", "stratum", "donate-level", "kdevtmpfsi", "kinsing", "sysrv", "pool", "nicehash", "monero", "ethash", "randomx", "kthreaddi", "watchbog", "lolminer", "t-rex", NULL};
static const char *const miners[] = {"xmrig", "xmr-stak", "xmr-stak-cpu", "minerd", "cpuminer", "ccminer", "cgminer", "bfgminer", "ethminer", "nbminer", "lolminer", "phoenixminer",
                                     "t-rex", "gminer", "minergate", "minergate-cli", "claymore", "kdevtmpfsi", "kinsing", "sysrv", "sysrv012", "watchbog", "kthreaddi", "xmrigdaemon",
                                     "xmrigminer", "cpuminer-multi", "srbminer-multi", "wildrig-multi", NULL};
static const char *const pools[] = {"minexmr.", "supportxmr.", "nanopool.", "moneroocean.", "hashvault.", "c3pool.", "2miners.", "nicehash.", "xmrpool.", "monerohash.", "f2pool.",
                                    "ethermine.", "herominers.", "unmineable.", "crypto-pool.", NULL};

static bool is_wallet(struct text word)
{
    if (word.count < WALLET_BYTES || (word.bytes[0] != '4' && word.bytes[0] != '8'))
        return false;
    for (size_t i = 0; i < WALLET_BYTES; i++) {
        char byte = word.bytes[i];
        if (!((byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z')))
            return false;
    }
    return true;
}

static const char *wrong_with(const struct judging *judging, const struct command *command)
{
    struct text running = event_base_name(judging->event->executable);

    if (command_only_mentions(command))
        return NULL;
    for (size_t i = 0; miners[i]; i++)
        if (text_equal_nocase(command->name, text_of(miners[i])) || text_equal_nocase(running, text_of(miners[i])))
            return "it bears the name of a known miner";
    struct text script = command_script(command), head = TEXT_NONE;
    if (script.bytes)
        text_cut(event_base_name(script), '.', &head);
    if (text_among(head, miners))
        return "a script that bears the name of a known miner is run";
    for (size_t i = 1; i < command->word_count; i++) {
        struct text word = command->words[i];
        struct text source, target;
        if (text_contains_nocase(word, "stratum+") || text_contains_nocase(word, "stratum1+") || text_contains_nocase(word, "stratum2+"))
            return "it is given the address of a mining pool";
        if (text_starts(word, TEXT("--donate-level")) || text_starts(word, TEXT("--randomx")))
            return "it is given a miner's options";
        for (size_t k = 0; pools[k]; k++)
            if (text_contains_nocase(word, pools[k]) && !command_downloads(command, &source, &target))
                return "it is given the name of a mining pool";
        if (is_wallet(word))
            return "it is given a wallet";
    }
    return NULL;
}

static const struct rule_sample samples[] = {
    {true, "$ ./xmrig -o pool.supportxmr.com:3333 -u wallet"},
    {true, "$ /tmp/.x/kworker --url stratum+tcp://198.51.100.7:3333 -p x"},
    {true, "ProcessCreate {\"Executable\":\"/var/tmp/kdevtmpfsi\",\"CommandLine\":\"\",\"ProcessId\":9,\"ParentProcessId\":1}"},
    {true, "$ python3 /tmp/xmrig.py"},
    {false, "$ sh /opt/app/remove.sh xmrig"},
    {false, "$ pkill -9 xmrig"},
    {false, "$ grep -r minerd /etc/cron.d"},
    {false, "$ /usr/bin/pool-monitor --interval 5"},
};

const struct rule rule_crypto_miner = {
    .id = "IoT_CryptoMiner",
    .title = "A cryptocurrency miner runs",
    .severity = "High",
    .tactics = "Impact",
    .techniques = "T1496",
    .fires = "The name of a known miner; the address of a mining pool, a miner's options or a Monero wallet among the words of a command.",
    .spares = "Commands that search for miners, or kill and remove them.",
    .needs = "Processes.",
    .tuning = "An exception for devices that are meant to mine.",
    .remediation = rule_ask_user,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .words = words,
    .command = wrong_with,
    RULE_SAMPLES(samples),
};
