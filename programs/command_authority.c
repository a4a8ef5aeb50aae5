#include "programs/commands.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "programs/listing.h"

#define FILE_BYTES_MAX 262144 /* as long as a body of the API may be */
#define PATH_BEFORE "/v1/authorities/"

static enum cli_exit run_add(const struct cli *cli);
static enum cli_exit run_verify(const struct cli *cli);
static enum cli_exit run_list(const struct cli *cli);
static enum cli_exit run_show(const struct cli *cli);
static enum cli_exit run_crl(const struct cli *cli);
static enum cli_exit run_disable(const struct cli *cli);
static enum cli_exit run_enable(const struct cli *cli);
static enum cli_exit run_delete(const struct cli *cli);

static const struct cli_flag workspace_flags[] = {
    {"workspace", "NAME", "Workspace (default: the token's own, where it has one)."},
};

#define PROOF_NOTES                                                                                                 \
    "The certificate is one of this authority for the verification code that `ca add` and `ca show` print:\n"       \
    "  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout proof.key -subj /CN=CODE |\n"    \
    "    openssl x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days 1 -out proof.pem\n"

#define FILE_VERB(name, sentence, notes, run) \
    {"ca " name, "NAME FILE", sentence, notes, CLI_FLAGS(workspace_flags), CLI_SERVER | CLI_JSON, 2, 2, run}
#define VERB(name, sentence, run) \
    {"ca " name, "NAME", sentence, NULL, CLI_FLAGS(workspace_flags), CLI_SERVER | CLI_JSON, 1, 1, run}

const struct cli_verb authority_verbs[] = {
    FILE_VERB("add", "Add a certificate authority (PEM), root or not; prints the verification code.", NULL, run_add),
    FILE_VERB("verify", "Show that you have its key, with a certificate (PEM); from then on it lets devices in.", PROOF_NOTES,
              run_verify),
    {"ca list", "", "List certificate authorities.", NULL, CLI_FLAGS(workspace_flags), CLI_SERVER | CLI_JSON, 0, 0, run_list},
    VERB("show", "Show one.", run_show),
    FILE_VERB("crl", "Put its list of revoked certificates (PEM) in force; connections by those end.", NULL, run_crl),
    VERB("disable", "Let its certificates in no more, until it is enabled again.", run_disable),
    VERB("enable", "Let its certificates in again.", run_enable),
    VERB("delete", "Remove it; the devices that it let in stay enrolled.", run_delete),
};
const size_t authority_verb_count = sizeof authority_verbs / sizeof authority_verbs[0];

/* The text of the file that argument 1 names ("-": standard input), as member `name` of `object`. */
static enum status file_put(const struct cli *cli, json_t *object, const char *name, struct problem *why)
{
    const char *path = cli_argument(cli, 1);
    bool standard_input = strcmp(path, "-") == 0;
    FILE *file = standard_input ? stdin : fopen(path, "re");
    char *text = malloc(FILE_BYTES_MAX + 1);
    enum status status = STATUS_OK;

    if (!text)
        abort();
    if (!file) {
        status = problem_set(why, STATUS_REJECT, "%s: %s", path, strerror(errno));
    } else {
        size_t count = fread(text, 1, FILE_BYTES_MAX + 1, file);
        if (ferror(file))
            status = problem_set(why, STATUS_REJECT, "%s: %s", path, strerror(errno));
        else if (count > FILE_BYTES_MAX)
            status = problem_set(why, STATUS_REJECT, "%s has more than %d bytes", path, FILE_BYTES_MAX);
        else if (json_object_set_new(object, name, json_stringn(text, count)))
            status = problem_set(why, STATUS_REJECT, "%s is not text: PEM begins with -----BEGIN", path);
        if (!standard_input)
            fclose(file);
    }
    free(text);
    return status;
}

static enum cli_exit send_file(const struct cli *cli, const char *method, const char *path, json_t *take_body,
                               const char *member)
{
    struct problem why;

    enum status status = file_put(cli, take_body, member, &why);
    if (!status)
        return listing_change(cli, method, path, take_body, "done");
    json_decref(take_body);
    return cli_end(status, &why);
}

static enum cli_exit run_add(const struct cli *cli)
{
    return send_file(cli, "POST", listing_path(cli, "/v1/authorities", NULL), json_pack("{s:s}", "name", cli_argument(cli, 0)),
                     "certificate");
}

static enum cli_exit run_verify(const struct cli *cli)
{
    return send_file(cli, "POST", listing_path(cli, PATH_BEFORE, "/verify"), json_object(), "certificate");
}

static enum cli_exit run_list(const struct cli *cli)
{
    static const struct table_column columns[] = {{"NAME", "name"},         {"STATUS", "status"},    {"SUBJECT", "subject"},
                                                  {"ENDS", "not_after"},    {"REVOKED", "crl_count"}, {"CRL ENDS", "crl_next_update"}};

    return listing_print(cli, listing_path(cli, "/v1/authorities?limit=500", NULL), "authorities", columns,
                         sizeof columns / sizeof columns[0]);
}

static enum cli_exit run_show(const struct cli *cli)
{
    return listing_show(cli, listing_path(cli, PATH_BEFORE, ""));
}

static enum cli_exit run_crl(const struct cli *cli)
{
    return send_file(cli, "PUT", listing_path(cli, PATH_BEFORE, "/crl"), json_object(), "crl");
}

static enum cli_exit run_disable(const struct cli *cli)
{
    return listing_change(cli, "POST", listing_path(cli, PATH_BEFORE, "/disable"), NULL, "disabled");
}

static enum cli_exit run_enable(const struct cli *cli)
{
    return listing_change(cli, "POST", listing_path(cli, PATH_BEFORE, "/enable"), NULL, "enabled");
}

static enum cli_exit run_delete(const struct cli *cli)
{
    return listing_change(cli, "DELETE", listing_path(cli, PATH_BEFORE, ""), NULL, "deleted");
}
