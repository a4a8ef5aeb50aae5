#include "programs/cli.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "runtime/process.h"

#define VALUES_MAX 32

struct cli {
    const struct cli_verb *verb;
    char **arguments; /* those of argv that are no flags, moved to its front */
    int argument_count;
    const struct cli_flag *given[VALUES_MAX];
    const char *values[VALUES_MAX];
    int given_count;
};

/* Says where `picket` finds its server, and who it is there. */
static const struct cli_flag server_flags[] = {
    {"server", "URL", "The server's address (else PICKET_SERVER, else what `picket up` wrote)."},
    {"token", "TOKEN", "API token (else PICKET_TOKEN, else what `picket up` wrote)."},
    {"ca", "FILE", "Certificate authority to trust (else PICKET_CA, else what `picket up` wrote)."},
};
static const struct cli_flag data_flags[] = {
    {"data", "DIR", "Data folder of `picket up` (default ./var; /var/lib/picket when root)."},
};
static const struct cli_flag json_flags[] = {
    {"json", NULL, "Print JSON: one document, or one per line for lists."},
};
static const struct cli_flag help_flags[] = {
    {"help", NULL, "Print this."},
};

static const struct cli_verb *verb_find(const struct cli_family *families, size_t count, int argc, char **argv,
                                        int *words);
static bool verb_matches(const struct cli_verb *verb, int argc, char **argv, int *words);
static bool wants_help(int argc, char **argv, int from);
static int print_verbs(const struct cli_family *families, size_t count, const char *prefix);
static void print_usage(FILE *to, const struct cli_verb *verb);
static void print_flags(FILE *to, const struct cli_flag *flags, size_t count);
static const struct cli_flag *flag_find(const struct cli_verb *verb, struct text name);
static const struct cli_flag *flag_in(const struct cli_flag *flags, size_t count, struct text name);
static bool parse(struct cli *cli, int argc, char **argv, int from, struct problem *why);
static bool parse_flag(struct cli *cli, int argc, char **argv, int *at, struct problem *why);
static int usage_error(const char *sentence, const char *verb);

int cli_main(const struct cli_family *families, size_t count, int argc, char **argv)
{
    struct cli cli = {.arguments = argv};
    struct problem why;
    int words = 0;

    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        print_verbs(families, count, NULL);
        return argc < 2 ? CLI_USAGE : CLI_DONE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("picket %s\n", PICKET_VERSION);
        return CLI_DONE;
    }
    cli.verb = verb_find(families, count, argc, argv, &words);
    if (!cli.verb) {
        /* `picket device --help` and `picket device` list the verbs of that noun. */
        if (print_verbs(families, count, argv[1]) > 0)
            return wants_help(argc, argv, 2) ? CLI_DONE : CLI_USAGE;
        problem_set(&why, STATUS_REJECT, "there is no verb \"%s\"", argv[1]);
        return usage_error(why.text, NULL);
    }
    if (wants_help(argc, argv, 1 + words)) {
        print_usage(stdout, cli.verb);
        return CLI_DONE;
    }
    if (!parse(&cli, argc, argv, 1 + words, &why))
        return usage_error(why.text, cli.verb->name);
    return (int)cli.verb->run(&cli);
}

const char *cli_value(const struct cli *cli, const char *flag)
{
    for (int i = cli->given_count - 1; i >= 0; i--) {
        if (strcmp(cli->given[i]->name, flag) == 0)
            return cli->values[i];
    }
    return NULL;
}

const char *cli_value_at(const struct cli *cli, const char *flag, int i)
{
    for (int at = 0; at < cli->given_count; at++)
        if (strcmp(cli->given[at]->name, flag) == 0 && i-- == 0)
            return cli->values[at];
    return NULL;
}

bool cli_given(const struct cli *cli, const char *flag)
{
    return cli_value(cli, flag) != NULL;
}

const char *cli_argument(const struct cli *cli, int position)
{
    return position < cli->argument_count ? cli->arguments[position] : NULL;
}

enum status cli_number(const struct cli *cli, const char *flag, int64_t min, int64_t max, int64_t *out,
                       struct problem *why)
{
    const char *value = cli_value(cli, flag);
    int64_t number;

    if (!value)
        return STATUS_OK;
    if (!text_to_i64(text_of(value), &number) || number < min || number > max)
        return problem_set(why, STATUS_REJECT, "--%s %s: expected a whole number from %lld to %lld", flag, value,
                           (long long)min, (long long)max);
    *out = number;
    return STATUS_OK;
}

enum cli_exit cli_end(enum status status, const struct problem *why)
{
    if (status == STATUS_OK)
        return CLI_DONE;
    fflush(stdout);
    fprintf(stderr, "picket: %s\n", why->text);
    return status == STATUS_RETRY ? CLI_UNREACHABLE : CLI_REFUSED;
}

/* "device create" is two words; the longest name that fits is taken. */
static const struct cli_verb *verb_find(const struct cli_family *families, size_t count, int argc, char **argv,
                                        int *words)
{
    const struct cli_verb *found = NULL;

    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < families[i].count; j++) {
            int matched = 0;
            if (verb_matches(&families[i].verbs[j], argc, argv, &matched) && matched > *words) {
                found = &families[i].verbs[j];
                *words = matched;
            }
        }
    }
    return found;
}

static bool verb_matches(const struct cli_verb *verb, int argc, char **argv, int *words)
{
    struct text rest = text_of(verb->name), word;
    int at = 1;

    while (rest.bytes) {
        rest = text_cut(rest, ' ', &word);
        if (at >= argc || !text_equal(word, text_of(argv[at])))
            return false;
        at++;
    }
    *words = at - 1;
    return true;
}

static bool wants_help(int argc, char **argv, int from)
{
    for (int i = from; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    }
    return false;
}

/* All verbs, or those that begin with the word `prefix`; returns how many. */
static int print_verbs(const struct cli_family *families, size_t count, const char *prefix)
{
    int printed = 0;

    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < families[i].count; j++) {
            const struct cli_verb *verb = &families[i].verbs[j];
            char usage[80];
            struct text first;
            text_cut(text_of(verb->name), ' ', &first);
            if (prefix && !text_equal(first, text_of(prefix)))
                continue;
            if (!printed)
                printf("Usage: picket VERB [ARGUMENTS] [FLAGS]     (picket VERB --help for each)\n\n");
            snprintf(usage, sizeof usage, "%s%s%s", verb->name, *verb->arguments ? " " : "", verb->arguments);
            printf("  %-30s %s\n", usage, verb->sentence);
            printed++;
        }
    }
    return printed;
}

static void print_usage(FILE *to, const struct cli_verb *verb)
{
    fprintf(to, "Usage: picket %s%s%s [FLAGS]\n%s\n", verb->name, *verb->arguments ? " " : "", verb->arguments,
            verb->sentence);
    if (verb->notes)
        fprintf(to, "%s\n", verb->notes);
    fprintf(to, "\n");
    print_flags(to, verb->flags, verb->flag_count);
    if (verb->common & CLI_JSON)
        print_flags(to, json_flags, 1);
    if (verb->common & CLI_SERVER)
        print_flags(to, CLI_FLAGS(server_flags));
    if (verb->common & (CLI_SERVER | CLI_DATA))
        print_flags(to, data_flags, 1);
    print_flags(to, help_flags, 1);
    fprintf(to, "\nExit: 0 done; 1 done, and the answer is \"no\"; 2 bad input or refused; 3 server not reached; 64 usage.\n");
}

static void print_flags(FILE *to, const struct cli_flag *flags, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char usage[64];
        snprintf(usage, sizeof usage, "--%s%s%s", flags[i].name, flags[i].value_name ? " " : "",
                 flags[i].value_name ? flags[i].value_name : "");
        fprintf(to, "  %-26s %s\n", usage, flags[i].sentence);
    }
}

static const struct cli_flag *flag_find(const struct cli_verb *verb, struct text name)
{
    const struct cli_flag *flag = flag_in(verb->flags, verb->flag_count, name);

    if (!flag && (verb->common & CLI_JSON))
        flag = flag_in(json_flags, 1, name);
    if (!flag && (verb->common & CLI_SERVER))
        flag = flag_in(CLI_FLAGS(server_flags), name);
    if (!flag && (verb->common & (CLI_SERVER | CLI_DATA)))
        flag = flag_in(data_flags, 1, name);
    return flag;
}

static const struct cli_flag *flag_in(const struct cli_flag *flags, size_t count, struct text name)
{
    for (size_t i = 0; i < count; i++) {
        if (text_equal(text_of(flags[i].name), name))
            return &flags[i];
    }
    return NULL;
}

static bool parse(struct cli *cli, int argc, char **argv, int from, struct problem *why)
{
    bool flags_over = false;

    for (int i = from; i < argc; i++) {
        if (!flags_over && strcmp(argv[i], "--") == 0) {
            flags_over = true;
        } else if (!flags_over && argv[i][0] == '-' && argv[i][1]) {
            if (!parse_flag(cli, argc, argv, &i, why))
                return false;
        } else if (cli->argument_count >= cli->verb->arguments_max) {
            problem_set(why, STATUS_REJECT, "\"%s\" is one argument too many", argv[i]);
            return false;
        } else {
            cli->arguments[cli->argument_count++] = argv[i];
        }
    }
    if (cli->argument_count < cli->verb->arguments_min) {
        problem_set(why, STATUS_REJECT, "an argument is missing: picket %s %s", cli->verb->name, cli->verb->arguments);
        return false;
    }
    return true;
}

/* `--name value`, `--name=value` or `--switch`; -f is what everybody calls --file. */
static bool parse_flag(struct cli *cli, int argc, char **argv, int *at, struct problem *why)
{
    struct text name, value = text_cut(text_of(strcmp(argv[*at], "-f") == 0 ? "--file" : argv[*at]), '=', &name);
    const struct cli_flag *flag;

    if (!text_starts(name, TEXT("--")) || cli->given_count >= VALUES_MAX) {
        problem_set(why, STATUS_REJECT, "\"%s\" is not understood", argv[*at]);
        return false;
    }
    flag = flag_find(cli->verb, (struct text){name.bytes + 2, name.count - 2});
    if (!flag) {
        problem_set(why, STATUS_REJECT, "there is no flag %.*s here", TEXT_ARGS(name));
        return false;
    }
    if (flag->value_name && !value.bytes && *at + 1 >= argc) {
        problem_set(why, STATUS_REJECT, "--%s needs a value: --%s %s", flag->name, flag->name, flag->value_name);
        return false;
    }
    if (!flag->value_name && value.bytes) {
        problem_set(why, STATUS_REJECT, "--%s takes no value", flag->name);
        return false;
    }
    cli->given[cli->given_count] = flag;
    /* argv is terminated, so what stands behind '=' is as well. */
    cli->values[cli->given_count++] = !flag->value_name ? "" : value.bytes ? value.bytes : argv[++*at];
    return true;
}

static int usage_error(const char *sentence, const char *verb)
{
    fprintf(stderr, "picket: %s; see `picket %s%s--help`\n", sentence, verb ? verb : "", verb ? " " : "");
    return CLI_USAGE;
}
