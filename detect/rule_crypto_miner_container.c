#include "detect/command_facts.h"
#include "detect/container_facts.h"
#include "detect/rule.h"

static const char *mines(const struct judging *judging, const struct command *command)
{
    static const char *const images[] = {"xmrig", "miner", "monero", "cpuminer", "ethminer", "xmr-", "/xmr", "cryptonight", "nicehash", NULL};

    (void)judging;
    if (!text_among(command->name, container_engines) || (!command_word_among(command, container_starts).bytes && !command_word(command, "pull").bytes))
        return NULL;
    for (size_t i = 1; i < command->word_count; i++) {
        struct text word = command->words[i];
        if (text_contains_nocase(word, "stratum+"))
            return "the container is given the address of a mining pool";
        for (size_t k = 0; images[k]; k++)
            if (text_contains_nocase(word, images[k]) && word.bytes[0] != '-')
                return "the image bears a miner's name";
    }
    return NULL;
}

static const char *const delete_image[] = {"Delete the container and its image.", "See whether Docker's socket can be reached from elsewhere.",
                                           "Hand over to the security team, with the container's configuration.", NULL};

static const struct rule_sample miner_samples[] = {
    {true, "$ docker run -d minerboy/xmrig"},
    {true, "$ podman pull docker.io/metal3d/xmrig:latest"},
    {true, "$ docker run -d alpine sh -c 'x -o stratum+tcp://198.51.100.7:3333'"},
    {false, "$ docker rmi minerboy/xmrig"},
    {false, "$ docker run -d nginx"},
    {false, "$ docker ps -a"},
};

const struct rule rule_crypto_miner_container = {
    .id = "IoT_CryptoMinerContainer",
    .title = "A container mines cryptocurrency",
    .severity = "Medium",
    .tactics = "Execution, Impact",
    .techniques = "T1496, T1610",
    .fires = "A container is started, or an image fetched, whose name is a miner's, or which is given the address of a mining pool.",
    .spares = "Such images removed or listed.",
    .needs = "Processes with their command lines.",
    .tuning = "An exception for the image.",
    .remediation = delete_image,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .words = container_words,
    .command = mines,
    RULE_SAMPLES(miner_samples),
};
