#ifndef PICKET_PROGRAMS_CLI_H
#define PICKET_PROGRAMS_CLI_H

#include "runtime/status.h"
#include "runtime/text.h"

/* Command lines of `picket`. Each verb is a row with its flags, so that parsing and `--help` come from one place. */

/* What scripts rely on; docs/operating.md has the same list. */
enum cli_exit {
    CLI_DONE = 0,
    CLI_NO = 1,          /* done, and the answer is "no" or has findings */
    CLI_REFUSED = 2,     /* bad input, or the server refused */
    CLI_UNREACHABLE = 3, /* the server, or the database, cannot be reached */
    CLI_USAGE = 64,
};

struct cli_flag {
    const char *name;       /* without the dashes */
    const char *value_name; /* "ID"; NULL: a switch that takes no value */
    const char *sentence;   /* for --help; ends with a full stop */
};

/* Flags that many verbs share. */
enum cli_common {
    CLI_SERVER = 1, /* --server, --token, --ca, --data */
    CLI_DATA = 2,   /* --data alone */
    CLI_JSON = 4,   /* --json */
};

struct cli;

struct cli_verb {
    const char *name;      /* "device create" */
    const char *arguments; /* "ID", "[ID]", "" */
    const char *sentence;
    const char *notes; /* further lines of --help, or NULL */
    const struct cli_flag *flags;
    size_t flag_count;
    unsigned common;
    int arguments_min, arguments_max;
    enum cli_exit (*run)(const struct cli *cli);
};

#define CLI_FLAGS(table) (table), sizeof(table) / sizeof((table)[0])
#define CLI_NO_FLAGS NULL, 0

/* The verbs of one file. */
struct cli_family {
    const struct cli_verb *verbs;
    size_t count;
};

/* Finds the verb, parses its flags and runs it; prints help or usage itself. */
int cli_main(const struct cli_family *families, size_t count, int argc, char **argv);

const char *cli_value(const struct cli *cli, const char *flag); /* NULL when it was not given */
const char *cli_value_at(const struct cli *cli, const char *flag, int i); /* the i-th, of a flag that may be said again; NULL behind the last */
bool cli_given(const struct cli *cli, const char *flag);
const char *cli_argument(const struct cli *cli, int position); /* NULL beyond the last */
/* Reads a flag as a whole number within min..max into `*out`, which keeps its value when the flag is absent. */
MUST_CHECK enum status cli_number(const struct cli *cli, const char *flag, int64_t min, int64_t max, int64_t *out,
                                  struct problem *why);

/* Prints "picket: <sentence>" on stderr and says which exit code the status means. STATUS_OK is CLI_DONE. */
enum cli_exit cli_end(enum status status, const struct problem *why);

#endif
