#include "detect/command_facts.h"
#include "detect/rule.h"

static const char *const words[] = {"ssh", "socat", "dnat", "plink", "upnpc", "chisel", "rinetd", "redir", "frpc", "ngrok", "proxychains", "autossh", "dbclient", "gost", "cloudflared", "bore", NULL};
static const char *const tunnels[] = {"chisel", "rinetd", "redir", "frpc", "ngrok", "bore", "gost", NULL};
static const char *const shells_over_net[] = {"ssh", "autossh", "plink", "dbclient", NULL};

/* "-R8080:localhost:80", "-R 8080:…", "-D 1080", "-w 0:0", and among other letters: "-fNR"; before and behind the host, but not in the command
 * that is run there. */
static bool ssh_forwards(const struct command *command)
{
    unsigned others = 0;

    for (size_t i = 1; i < command->word_count && others < 2; i++) {
        struct text word = command->words[i];
        if (word.count < 2 || word.bytes[0] != '-' || word.bytes[1] == '-') {
            others++;
            continue;
        }
        for (size_t k = 1; k < word.count; k++) {
            char letter = word.bytes[k];
            if (letter == 'R' || letter == 'L' || letter == 'D' || letter == 'w')
                return true;
            if (ssh_option_has_value(letter)) { /* its value is the rest, or the next word */
                i += k + 1 == word.count;
                break;
            }
        }
    }
    return command_word_starting(command, "-oRemoteForward").bytes || command_word_starting(command, "RemoteForward").bytes;
}

/* "TCP:198.51.100.7:80" beside a "TCP-LISTEN:…". */
static bool socat_forwards(const struct command *command)
{
    bool listens = false, connects = false;

    for (size_t i = 1; i < command->word_count; i++) {
        struct text word = command->words[i], kind, host;
        struct text rest = text_cut(word, ':', &kind);
        if (text_contains_nocase(kind, "listen")) {
            listens = true;
        } else if (text_starts(kind, TEXT("TCP")) || text_starts(kind, TEXT("tcp")) || text_starts(kind, TEXT("UDP")) || text_starts(kind, TEXT("udp")) ||
                   text_starts(kind, TEXT("OPENSSL")) || text_starts(kind, TEXT("openssl"))) {
            text_cut(rest, ':', &host);
            connects = connects || (host.count && !event_address_is_private(host) && !text_equal(host, TEXT("localhost")));
        }
    }
    return listens && connects;
}

static bool translates_outside(const struct command *command)
{
    struct text host;

    if (!command_word(command, "DNAT").bytes)
        return false;
    for (size_t i = 1; i + 1 < command->word_count; i++)
        if (text_equal(command->words[i], TEXT("--to-destination")) || text_equal(command->words[i], TEXT("--to"))) {
            text_cut(command->words[i + 1], ':', &host);
            return !event_address_is_private(host);
        }
    return false;
}

static const char *wrong_with(const struct judging *judging, const struct command *command)
{
    (void)judging;
    if (text_among(command->name, shells_over_net) && ssh_forwards(command))
        return "ports are forwarded through a secure shell";
    if (text_among(command->name, tunnels) || (text_equal(command->name, TEXT("cloudflared")) && command_word(command, "tunnel").bytes))
        return "a tunnel is opened";
    if (text_equal(command->name, TEXT("socat")) && socat_forwards(command))
        return "what comes in is passed on to an outside address";
    if (text_starts(command->name, TEXT("iptables")) && translates_outside(command))
        return "what comes in is translated to an outside address";
    if (text_equal(command->name, TEXT("upnpc")) && (command_has_letter(command, 'a') || command_has_letter(command, 'r')))
        return "the router is asked to let a port in";
    return NULL;
}

static const struct rule_sample samples[] = {
    {true, "$ ssh -fNR 2222:localhost:22 root@203.0.113.5"},
    {true, "$ socat TCP-LISTEN:8080,fork TCP:198.51.100.7:80"},
    {true, "$ iptables -t nat -A PREROUTING -p tcp --dport 8080 -j DNAT --to-destination 198.51.100.7:80"},
    {true, "$ dbclient -y -R 9000:127.0.0.1:80 user@198.51.100.7"},
    {true, "$ ssh root@203.0.113.5 -N -R 2222:localhost:22"},
    {true, "$ cloudflared tunnel run home"},
    {false, "$ ssh -i /etc/keys/k admin@203.0.113.5 ls -R /srv"},
    {false, "$ ssh -i /etc/keys/R.key admin@203.0.113.5 uptime"},
    {false, "$ socat TCP-LISTEN:8080,fork TCP:127.0.0.1:80"},
    {false, "$ iptables -t nat -A PREROUTING -p tcp --dport 80 -j DNAT --to-destination 192.168.1.10:80"},
};

const struct rule rule_port_forwarding = {
    .id = "IoT_PortForwarding",
    .title = "Ports are forwarded to an outside address",
    .severity = "High",
    .tactics = "CommandAndControl, Exfiltration",
    .techniques = "T1572, T1090, T0884",
    .fires = "`ssh`, `dbclient` or `plink` with `-R`, `-L`, `-D` or `-w`; `socat` that listens and connects to a public address; `iptables` DNAT to a public "
             "address; `upnpc` that adds a mapping; tunnels such as chisel, frpc and ngrok.",
    .spares = "A secure shell without forwarding; forwarding within private networks by socat or DNAT.",
    .needs = "Processes with their command lines.",
    .tuning = "An exception for the maintenance tunnel's user or command line.",
    .remediation = rule_ask_user,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .words = words,
    .command = wrong_with,
    RULE_SAMPLES(samples),
};
