#include "detect/command_facts.h"
#include "detect/rule.h"

static const char *const words[] = {"cc", "gcc", "g++", "clang", "tcc", NULL};
static const char *const compilers[] = {"cc", "gcc", "g++", "c++", "clang", "clang++", "tcc", NULL};
static const char *const names[] = {"exploit", "cve-", "cve_", "dirty", "pwn", "rootkit", "shellcode", "privesc", "overlayfs", "0day", "suid", "backdoor", NULL};

static bool is_source(struct text path)
{
    static const char *const endings[] = {".c", ".cc", ".cpp", ".S", ".s", NULL};

    for (size_t i = 0; endings[i]; i++)
        if (text_ends(path, text_of(endings[i])))
            return true;
    return false;
}

/* Compilers' own steps, and packages that are built as they are installed, work in temporary folders too. */
static bool is_usual(struct text path)
{
    return text_contains_nocase(path, "/pip-") || text_contains_nocase(path, "/cc") || text_contains_nocase(path, "conftest") || text_contains_nocase(path, "/npm-") ||
           text_contains_nocase(path, "cmake");
}

/* As archives of exploits call theirs: "37292.c". */
static bool is_numbered(struct text path)
{
    struct text name = event_base_name(path), head;
    uint64_t number;

    return text_equal(text_cut(name, '.', &head), TEXT("c")) && head.count >= 4 && head.count <= 5 && text_to_u64(head, &number);
}

static const char *wrong_with(const struct judging *judging, const struct command *command)
{
    (void)judging;
    if (!text_among(command->name, compilers))
        return NULL;
    for (size_t i = 1; i < command->word_count; i++) {
        struct text word = command->words[i];
        if (text_equal(word, TEXT("-o")) && i + 1 < command->word_count && path_is_temporary(command->words[i + 1]) && !is_usual(command->words[i + 1]))
            return "a program or library is made in a temporary folder";
        if (!is_source(word))
            continue;
        if (is_numbered(word))
            return "the source bears an exploit's name";
        if (path_is_temporary(word) && !is_usual(word))
            return "a source in a temporary folder is compiled";
        for (size_t k = 0; names[k]; k++)
            if (text_contains_nocase(event_base_name(word), names[k]))
                return "the source bears an exploit's name";
    }
    return NULL;
}

static const struct rule_sample samples[] = {
    {true, "$ gcc -o /tmp/.p /tmp/p.c"},
    {true, "$ cc dirtycow.c -lpthread -o d"},
    {true, "$ gcc 37292.c -o ofs"},
    {true, "$ gcc -fPIC -shared -o /tmp/libx.so x.c"},
    {false, "$ gcc -O2 -c main.c -o main.o"},
    {false, "$ gcc --version"},
    {false, "$ gcc -c /tmp/pip-install-x/y.c"},
};

const struct rule rule_compilation = {
    .id = "IoT_SuspiciousCompilation",
    .title = "What looks like an exploit is compiled",
    .severity = "Medium",
    .tactics = "Execution, PrivilegeEscalation",
    .techniques = "T1027.004, T1068, T0890",
    .fires = "A C or C++ source in a temporary folder, or with an exploit's name, given to a compiler; what it makes put into one. Few devices have one at all.",
    .spares = "Sources elsewhere; packages that are built as they are installed.",
    .needs = "Processes with their command lines.",
    .tuning = "An exception for the group of build machines.",
    .remediation = rule_ask_user,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .words = words,
    .command = wrong_with,
    RULE_SAMPLES(samples),
};
