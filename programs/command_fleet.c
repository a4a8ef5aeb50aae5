#include "programs/commands.h"

#include <string.h>

#include "programs/json_flags.h"
#include "programs/listing.h"
#include "runtime/text.h"

#define WORKSPACE_FLAG {"workspace", "NAME", "Workspace (default: the token's own, where it has one)."}

static enum cli_exit run_group_create(const struct cli *cli);
static enum cli_exit run_group_list(const struct cli *cli);
static enum cli_exit run_group_show(const struct cli *cli);
static enum cli_exit run_group_disable(const struct cli *cli);
static enum cli_exit run_group_enable(const struct cli *cli);
static enum cli_exit run_group_delete(const struct cli *cli);
static enum cli_exit run_group_derive(const struct cli *cli);
static enum cli_exit run_enrollment_create(const struct cli *cli);
static enum cli_exit run_enrollment_list(const struct cli *cli);
static enum cli_exit run_enrollment_show(const struct cli *cli);
static enum cli_exit run_enrollment_disable(const struct cli *cli);
static enum cli_exit run_enrollment_enable(const struct cli *cli);
static enum cli_exit run_enrollment_delete(const struct cli *cli);
static enum cli_exit run_configuration_set(const struct cli *cli);
static enum cli_exit run_configuration_list(const struct cli *cli);
static enum cli_exit run_configuration_show(const struct cli *cli);
static enum cli_exit run_configuration_delete(const struct cli *cli);
static enum cli_exit run_configuration_devices(const struct cli *cli);

#define FIRST_FLAGS                                                                                                \
    WORKSPACE_FLAG, {"tags", "LIST", "Tags that its devices begin with: NAME=TEXT, with commas between."},         \
        {"desired", "FILE", "Desired properties that they begin with: a JSON object."},                            \
        {"modules", "IDS", "Modules that are made with each device, with commas between."},                        \
        {"primary-key", "BASE64", "The key it has already, when it comes from elsewhere (default: a fresh one)."}, \
        {"secondary-key", "BASE64", "The same for the second key."}

static const struct cli_flag workspace_flags[] = {WORKSPACE_FLAG};
static const struct cli_flag group_flags[] = {
    FIRST_FLAGS,
    {"authority", "NAME", "No keys: its devices show certificates that this authority vouches for (see picket ca)."},
};
static const struct cli_flag enrollment_flags[] = {
    FIRST_FLAGS,
    {"device", "ID", "Id of the device that comes of it (default: the registration id)."},
    {"thumbprint", "HEX", "No keys: it shows the certificate with this SHA-1 or SHA-256."},
    {"secondary-thumbprint", "HEX", "The same for a second certificate, to change from one to the other."},
};
static const struct cli_flag configuration_flags[] = {
    WORKSPACE_FLAG,
    {"desired", "FILE", "The properties: a JSON object (- is standard input)."},
    {"group", "NAME", "Only for devices whose tag `group` is this."},
    {"firmware", "NAME", "Only for devices whose tag `firmware` is this."},
    {"module", "ID", "For this module of theirs, and not for the devices themselves."},
    {"priority", "N", "Where several say something of one property, the higher one counts (default 0)."},
};

#define VERB(name, arguments, sentence, flags, most, run) \
    {name, arguments, sentence, NULL, CLI_FLAGS(flags), CLI_SERVER | CLI_JSON, 1, most, run}
#define LIST_VERB(name, sentence, run) \
    {name, "", sentence, NULL, CLI_FLAGS(workspace_flags), CLI_SERVER | CLI_JSON, 0, 0, run}

const struct cli_verb fleet_verbs[] = {
    VERB("group create", "NAME", "Make an enrolment group; prints the id scope, and its keys where it has some.", group_flags, 1, run_group_create),
    LIST_VERB("group list", "List enrolment groups.", run_group_list),
    VERB("group show", "NAME", "Show a group: what its devices begin with, and how many there are.", workspace_flags, 1,
         run_group_show),
    VERB("group disable", "NAME", "Let nobody register through it; its devices stay.", workspace_flags, 1, run_group_disable),
    VERB("group enable", "NAME", "Let devices register through it again.", workspace_flags, 1, run_group_enable),
    VERB("group delete", "NAME", "Remove a group; its devices stay.", workspace_flags, 1, run_group_delete),
    VERB("group derive-key", "NAME REGISTRATION-ID", "Print the key that one device of the group is configured with.",
         workspace_flags, 2, run_group_derive),
    VERB("enrollment create", "REGISTRATION-ID", "Make an enrolment for one device; prints the id scope, and its keys where it has some.",
         enrollment_flags, 1, run_enrollment_create),
    LIST_VERB("enrollment list", "List enrolments of single devices.", run_enrollment_list),
    VERB("enrollment show", "REGISTRATION-ID", "Show one.", workspace_flags, 1, run_enrollment_show),
    VERB("enrollment disable", "REGISTRATION-ID", "Let it register no more; the device stays.", workspace_flags, 1,
         run_enrollment_disable),
    VERB("enrollment enable", "REGISTRATION-ID", "Let it register again.", workspace_flags, 1, run_enrollment_enable),
    VERB("enrollment delete", "REGISTRATION-ID", "Remove it; the device stays.", workspace_flags, 1, run_enrollment_delete),
    VERB("configuration set", "NAME", "Make or replace desired properties that many devices inherit.", configuration_flags, 1,
         run_configuration_set),
    LIST_VERB("configuration list", "List them.", run_configuration_list),
    VERB("configuration show", "NAME", "Show one.", workspace_flags, 1, run_configuration_show),
    VERB("configuration delete", "NAME", "Remove one; devices lose what they inherited of it.", workspace_flags, 1,
         run_configuration_delete),
    VERB("configuration devices", "NAME", "List the devices that inherit it, and which have applied it.", workspace_flags, 1,
         run_configuration_devices),
};
const size_t fleet_verb_count = sizeof fleet_verbs / sizeof fleet_verbs[0];

static json_t *texts_of(const char *list)
{
    struct text rest = text_of(list), one;
    json_t *texts = json_array();

    while (rest.count) {
        rest = text_cut(rest, ',', &one);
        if (one.count)
            json_array_append_new(texts, json_stringn(one.bytes, one.count));
    }
    return texts;
}

/* What a group and an enrolment have in common. */
static enum cli_exit create(const struct cli *cli, const char *path, const char *name)
{
    static const char *const members[][2] = {{"primary-key", "primary_key"},
                                             {"secondary-key", "secondary_key"},
                                             {"device", "device"},
                                             {"authority", "authority"},
                                             {"thumbprint", "primary_thumbprint"},
                                             {"secondary-thumbprint", "secondary_thumbprint"}};
    json_t *body = json_pack("{s:s}", name, cli_argument(cli, 0)), *value = NULL;
    enum status status = STATUS_OK;
    struct problem why;

    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        if (cli_given(cli, members[i][0]))
            json_object_set_new(body, members[i][1], json_string(cli_value(cli, members[i][0])));
    if (cli_given(cli, "authority"))
        json_object_set_new(body, "authentication", json_string("authority"));
    else if (cli_given(cli, "thumbprint") || cli_given(cli, "secondary-thumbprint"))
        json_object_set_new(body, "authentication", json_string("thumbprint"));
    if (cli_given(cli, "modules"))
        json_object_set_new(body, "modules", texts_of(cli_value(cli, "modules")));
    if (cli_given(cli, "tags"))
        status = json_flag_texts(cli_value(cli, "tags"), &value, &why);
    if (value)
        json_object_set_new(body, "tags", value);
    value = NULL;
    if (!status && cli_given(cli, "desired"))
        status = json_flag_file(cli, "desired", &value, &why);
    if (value)
        json_object_set_new(body, "desired", value);
    if (status) {
        json_decref(body);
        return cli_end(status, &why);
    }
    return listing_change(cli, "POST", listing_path(cli, path, NULL), body, "created");
}

static enum cli_exit run_group_create(const struct cli *cli)
{
    return create(cli, "/v1/groups", "name");
}

static enum cli_exit run_group_list(const struct cli *cli)
{
    static const struct table_column columns[] = {
        {"NAME", "name"}, {"STATUS", "status"}, {"ID SCOPE", "id_scope"}, {"SHOWS", "authentication"}, {"DEVICES", "registered"},
        {"MODULES", "modules"}};

    return listing_print(cli, listing_path(cli, "/v1/groups?limit=500", NULL), "groups", columns,
                         sizeof columns / sizeof columns[0]);
}

static enum cli_exit run_group_show(const struct cli *cli)
{
    return listing_show(cli, listing_path(cli, "/v1/groups/", ""));
}

static enum cli_exit run_group_disable(const struct cli *cli)
{
    return listing_change(cli, "POST", listing_path(cli, "/v1/groups/", "/disable"), NULL, "disabled");
}

static enum cli_exit run_group_enable(const struct cli *cli)
{
    return listing_change(cli, "POST", listing_path(cli, "/v1/groups/", "/enable"), NULL, "enabled");
}

static enum cli_exit run_group_delete(const struct cli *cli)
{
    return listing_change(cli, "DELETE", listing_path(cli, "/v1/groups/", ""), NULL, "deleted");
}

static enum cli_exit run_group_derive(const struct cli *cli)
{
    struct problem why;

    if (!cli_argument(cli, 1))
        return cli_end(problem_set(&why, STATUS_REJECT, "the registration id is missing"), &why);
    return listing_change(cli, "POST", listing_path(cli, "/v1/groups/", "/derive-key"),
                          json_pack("{s:s}", "registration_id", cli_argument(cli, 1)), "");
}

static enum cli_exit run_enrollment_create(const struct cli *cli)
{
    return create(cli, "/v1/enrollments", "registration_id");
}

static enum cli_exit run_enrollment_list(const struct cli *cli)
{
    static const struct table_column columns[] = {{"REGISTRATION ID", "registration_id"}, {"DEVICE", "device"},
                                                  {"STATUS", "status"},                   {"ID SCOPE", "id_scope"},
                                                  {"REGISTERED", "registered"}};

    return listing_print(cli, listing_path(cli, "/v1/enrollments?limit=500", NULL), "enrollments", columns,
                         sizeof columns / sizeof columns[0]);
}

static enum cli_exit run_enrollment_show(const struct cli *cli)
{
    return listing_show(cli, listing_path(cli, "/v1/enrollments/", ""));
}

static enum cli_exit run_enrollment_disable(const struct cli *cli)
{
    return listing_change(cli, "POST", listing_path(cli, "/v1/enrollments/", "/disable"), NULL, "disabled");
}

static enum cli_exit run_enrollment_enable(const struct cli *cli)
{
    return listing_change(cli, "POST", listing_path(cli, "/v1/enrollments/", "/enable"), NULL, "enabled");
}

static enum cli_exit run_enrollment_delete(const struct cli *cli)
{
    return listing_change(cli, "DELETE", listing_path(cli, "/v1/enrollments/", ""), NULL, "deleted");
}

static enum cli_exit run_configuration_set(const struct cli *cli)
{
    static const char *const texts[] = {"group", "firmware", "module"};
    json_t *body = json_object(), *desired = NULL;
    int64_t priority = 0;
    struct problem why;

    enum status status = json_flag_file(cli, "desired", &desired, &why);
    if (!status)
        json_object_set_new(body, "desired", desired);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (cli_given(cli, texts[i]))
            json_object_set_new(body, texts[i], json_string(cli_value(cli, texts[i])));
    if (!status)
        status = cli_number(cli, "priority", -1000000, 1000000, &priority, &why);
    if (status) {
        json_decref(body);
        return cli_end(status, &why);
    }
    json_object_set_new(body, "priority", json_integer(priority));
    return listing_change(cli, "PUT", listing_path(cli, "/v1/configurations/", ""), body, "set");
}

static enum cli_exit run_configuration_list(const struct cli *cli)
{
    static const struct table_column columns[] = {{"NAME", "name"},         {"GROUP", "group"},       {"FIRMWARE", "firmware"},
                                                  {"MODULE", "module"},     {"PRIORITY", "priority"}, {"CHANGED", "changed_at"}};

    return listing_print(cli, listing_path(cli, "/v1/configurations?limit=500", NULL), "configurations", columns,
                         sizeof columns / sizeof columns[0]);
}

static enum cli_exit run_configuration_show(const struct cli *cli)
{
    return listing_show(cli, listing_path(cli, "/v1/configurations/", ""));
}

static enum cli_exit run_configuration_delete(const struct cli *cli)
{
    return listing_change(cli, "DELETE", listing_path(cli, "/v1/configurations/", ""), NULL, "deleted");
}

static enum cli_exit run_configuration_devices(const struct cli *cli)
{
    static const struct table_column columns[] = {
        {"DEVICE", "id"}, {"STATE", "state"}, {"INVALID", "invalid"}, {"REPORTED", "reported_at"}};

    return listing_print(cli, listing_path(cli, "/v1/configurations/", "/devices?limit=500"), "devices", columns,
                         sizeof columns / sizeof columns[0]);
}
