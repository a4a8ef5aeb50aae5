#include "store/departures.h"

#include <assert.h>

#include <arpa/inet.h>

#include "runtime/clock.h"

enum shape {
    SHAPE_STRING,
    SHAPE_INTEGER,
    SHAPE_BOOLEAN,
    SHAPE_ARRAY,
    SHAPE_GUID,    /* a string of 36 characters */
    SHAPE_TIME,    /* RFC 3339 */
    SHAPE_IP,      /* IPv4 or IPv6 */
    SHAPE_STRINGS, /* an object whose values are all strings: ExtraDetails */
    SHAPE_ANY,
};

enum presence { OPTIONAL, REQUIRED };

struct member_rule {
    struct text name;
    enum shape shape;
    enum presence presence;
    const char *const *allowed; /* NULL-terminated; NULL: any value */
};

struct event_schema {
    struct text name;
    const char *category, *event_type;
    const struct member_rule *members;
    size_t count;
};

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define MEMBER(name, shape, presence) {{name, sizeof(name) - 1}, SHAPE_##shape, presence, NULL}
#define MEMBER_OF(name, presence, allowed) {{name, sizeof(name) - 1}, SHAPE_STRING, presence, allowed}
#define EXTRA_DETAILS MEMBER("ExtraDetails", STRINGS, OPTIONAL)

static const char *const directions[] = {"In", "Out", NULL};
static const char *const diagnostic_severities[] = {"Fatal", "Error", "Warning", "Information", "Debug", NULL};
static const char *const firewall_actions[] = {"Allow", "Deny", "Other", NULL};
static const char *const login_results[] = {"Fail", "Success", NULL};
static const char *const baseline_results[] = {"Pass", "Fail", "Err", NULL};
static const char *const baseline_severities[] = {"Critical", "Important", "Warning", "Informational", NULL};
static const char *const error_types[] = {"TypeMismatch", "NotOptimal", "Conflict", NULL};
static const char *const queues[] = {"High", "Low", NULL};
static const char *const categories[] = {"Periodic", "Triggered", NULL};
static const char *const event_types[] = {"Security", "Operational", "Diagnostic", NULL};
static const char *const versions[] = {"1.0", NULL};

static const struct member_rule diagnostic[] = {
    MEMBER("CorrelationId", GUID, OPTIONAL),
    MEMBER_OF("Severity", REQUIRED, diagnostic_severities),
    MEMBER("Message", STRING, REQUIRED),
    MEMBER("ProcessId", INTEGER, REQUIRED),
    MEMBER("ThreadId", INTEGER, REQUIRED),
    EXTRA_DETAILS,
};
static const struct member_rule connected_hardware[] = {
    MEMBER("HardwareCategory", STRING, REQUIRED),
    MEMBER("HardwareSubCategory", STRING, REQUIRED),
    MEMBER("HardwareName", STRING, REQUIRED),
    EXTRA_DETAILS,
};
static const struct member_rule connection_create[] = {
    MEMBER("RemoteAddress", IP, REQUIRED),
    MEMBER("RemotePort", STRING, REQUIRED),
    MEMBER("LocalAddress", IP, OPTIONAL),
    MEMBER("LocalPort", STRING, OPTIONAL),
    MEMBER_OF("Direction", REQUIRED, directions),
    MEMBER("Protocol", STRING, REQUIRED),
    MEMBER("ProcessId", INTEGER, REQUIRED),
    MEMBER("UserId", STRING, OPTIONAL),
    MEMBER("Executable", STRING, REQUIRED),
    MEMBER("CommandLine", STRING, OPTIONAL),
    EXTRA_DETAILS,
};
static const struct member_rule firewall_configuration[] = {
    MEMBER("Priority", INTEGER, OPTIONAL),
    MEMBER_OF("Direction", OPTIONAL, directions),
    MEMBER("ChainName", STRING, OPTIONAL),
    MEMBER("Application", STRING, OPTIONAL),
    MEMBER("Enabled", BOOLEAN, REQUIRED),
    MEMBER_OF("Action", REQUIRED, firewall_actions),
    MEMBER("SourceAddress", STRING, OPTIONAL),
    MEMBER("SourcePort", STRING, OPTIONAL),
    MEMBER("DestinationAddress", STRING, OPTIONAL),
    MEMBER("DestinationPort", STRING, OPTIONAL),
    MEMBER("Protocol", STRING, OPTIONAL),
    EXTRA_DETAILS,
};
static const struct member_rule listening_ports[] = {
    MEMBER("RemoteAddress", IP, OPTIONAL),
    MEMBER("RemotePort", STRING, OPTIONAL),
    MEMBER("LocalAddress", IP, OPTIONAL),
    MEMBER("LocalPort", STRING, REQUIRED),
    MEMBER("Protocol", STRING, REQUIRED),
    EXTRA_DETAILS,
};
static const struct member_rule local_users[] = {
    MEMBER("GroupIds", STRING, REQUIRED),
    MEMBER("GroupNames", STRING, REQUIRED),
    MEMBER("UserId", STRING, REQUIRED),
    MEMBER("UserName", STRING, REQUIRED),
    EXTRA_DETAILS,
};
static const struct member_rule login[] = {
    MEMBER("ProcessId", INTEGER, REQUIRED),
    MEMBER("UserId", STRING, OPTIONAL), /* one of the two: see login_user_check() */
    MEMBER("UserName", STRING, OPTIONAL),
    MEMBER("Operation", STRING, REQUIRED),
    MEMBER("Executable", STRING, REQUIRED),
    MEMBER("RemoteAddress", IP, OPTIONAL),
    MEMBER("RemotePort", STRING, OPTIONAL),
    MEMBER("LocalPort", STRING, OPTIONAL),
    MEMBER_OF("Result", REQUIRED, login_results),
    EXTRA_DETAILS,
};
static const struct member_rule os_baseline[] = {
    MEMBER("Description", STRING, REQUIRED),
    MEMBER("CceId", STRING, REQUIRED),
    MEMBER_OF("Result", REQUIRED, baseline_results),
    MEMBER("Error", STRING, REQUIRED),
    MEMBER_OF("Severity", REQUIRED, baseline_severities),
    EXTRA_DETAILS,
};
static const struct member_rule process_create[] = {
    MEMBER("Executable", STRING, REQUIRED),
    MEMBER("ProcessId", INTEGER, REQUIRED),
    MEMBER("ParentProcessId", INTEGER, REQUIRED),
    MEMBER("UserId", STRING, REQUIRED),
    MEMBER("UserName", STRING, OPTIONAL),
    MEMBER("CommandLine", STRING, REQUIRED),
    EXTRA_DETAILS,
};
static const struct member_rule process_terminate[] = {
    MEMBER("Executable", STRING, REQUIRED),
    MEMBER("ProcessId", INTEGER, REQUIRED),
    MEMBER("ExitStatus", INTEGER, REQUIRED),
    EXTRA_DETAILS,
};
static const struct member_rule system_information[] = {
    MEMBER("OSName", STRING, OPTIONAL),
    MEMBER("OSVersion", STRING, OPTIONAL),
    MEMBER("OSVendor", STRING, OPTIONAL),
    MEMBER("OsArchitecture", STRING, OPTIONAL),
    MEMBER("HostName", STRING, OPTIONAL),
    MEMBER("BIOSVersion", STRING, OPTIONAL),
    MEMBER("BootDevice", STRING, OPTIONAL),
    MEMBER("TotalPhysicalMemoryInKB", INTEGER, OPTIONAL),
    MEMBER("FreePhysicalMemoryInKB", INTEGER, OPTIONAL),
    MEMBER("TotalVirtualMemoryInKB", INTEGER, OPTIONAL),
    MEMBER("FreeVirtualMemoryInKB", INTEGER, OPTIONAL),
    EXTRA_DETAILS,
};
static const struct member_rule configuration_error[] = {
    MEMBER("ConfigurationName", STRING, REQUIRED),
    MEMBER_OF("ErrorType", REQUIRED, error_types),
    MEMBER("UsedConfiguration", STRING, REQUIRED),
    MEMBER("Message", STRING, REQUIRED),
    EXTRA_DETAILS,
};
static const struct member_rule dropped_events[] = {
    MEMBER_OF("Queue", REQUIRED, queues),
    MEMBER("CollectedEvents", INTEGER, REQUIRED),
    MEMBER("DroppedEvents", INTEGER, REQUIRED),
    EXTRA_DETAILS,
};
static const struct member_rule message_statistics[] = {
    MEMBER("MessagesSent", INTEGER, REQUIRED),
    MEMBER("MessagesUnder4KB", INTEGER, REQUIRED),
    MEMBER("TotalFailed", INTEGER, REQUIRED),
    EXTRA_DETAILS,
};

/* The published schema ends here. What picket-agent sends beside it, under the names that the micro agent's collectors have. */
static const struct member_rule file_system[] = {
    MEMBER("Path", STRING, REQUIRED),           MEMBER("Mask", STRING, REQUIRED),          MEMBER("ProcessId", INTEGER, OPTIONAL),
    MEMBER("Executable", STRING, OPTIONAL),     MEMBER("UserId", STRING, OPTIONAL),
    EXTRA_DETAILS,
};
static const struct member_rule peripheral_usb[] = {
    MEMBER("ActionType", STRING, REQUIRED),     MEMBER("BusNumber", INTEGER, OPTIONAL),      MEMBER("KernelDeviceNumber", INTEGER, OPTIONAL),
    MEMBER("DeviceClass", INTEGER, OPTIONAL),   MEMBER("DeviceSubclass", INTEGER, OPTIONAL), MEMBER("DeviceProtocol", INTEGER, OPTIONAL),
    MEMBER("VendorId", INTEGER, OPTIONAL),      MEMBER("ProductId", INTEGER, OPTIONAL),      EXTRA_DETAILS,
};
static const struct member_rule peripheral_ethernet[] = {
    MEMBER("ActionType", STRING, REQUIRED),
    MEMBER("InterfaceName", STRING, REQUIRED),
    EXTRA_DETAILS,
};
static const struct member_rule packages[] = {
    MEMBER("Name", STRING, REQUIRED),
    MEMBER("Version", STRING, REQUIRED),
    MEMBER("Vendor", STRING, OPTIONAL),
    MEMBER("PackageManager", STRING, OPTIONAL),
    EXTRA_DETAILS,
};
static const struct member_rule dns_request[] = {
    MEMBER("Domain", STRING, REQUIRED),         MEMBER("QueryType", STRING, OPTIONAL),     MEMBER("Protocol", STRING, OPTIONAL),
    MEMBER("LocalAddress", STRING, OPTIONAL),   MEMBER("RemoteAddress", STRING, OPTIONAL), MEMBER("RemotePort", STRING, OPTIONAL),
    MEMBER("ProcessId", INTEGER, OPTIONAL),     MEMBER("Executable", STRING, OPTIONAL),    MEMBER("CommandLine", STRING, OPTIONAL),
    MEMBER("UserId", STRING, OPTIONAL),         EXTRA_DETAILS,
};
static const struct member_rule heartbeat[] = {EXTRA_DETAILS};

#define SCHEMA(name, category, type, members) \
    {{name, sizeof(name) - 1}, category, type, members, COUNT_OF(members)}
static const struct event_schema schemas[] = {
    SCHEMA("ProcessCreate", "Triggered", "Security", process_create),
    SCHEMA("ConnectionCreate", "Triggered", "Security", connection_create),
    SCHEMA("Login", "Triggered", "Security", login),
    SCHEMA("ListeningPorts", "Periodic", "Security", listening_ports),
    SCHEMA("ProcessTerminate", "Triggered", "Security", process_terminate),
    SCHEMA("LocalUsers", "Periodic", "Security", local_users),
    SCHEMA("FirewallConfiguration", "Periodic", "Security", firewall_configuration),
    SCHEMA("ConnectedHardware", "Periodic", "Security", connected_hardware),
    SCHEMA("OSBaseline", "Periodic", "Security", os_baseline),
    SCHEMA("SystemInformation", "Periodic", "Security", system_information),
    SCHEMA("ConfigurationError", "Triggered", "Operational", configuration_error),
    SCHEMA("DroppedEventsStatistics", "Periodic", "Operational", dropped_events),
    SCHEMA("MessageStatistics", "Periodic", "Operational", message_statistics),
    SCHEMA("Diagnostic", "Triggered", "Diagnostic", diagnostic),
    SCHEMA("FileSystem", "Triggered", "Security", file_system),
    SCHEMA("PeripheralUsb", "Triggered", "Security", peripheral_usb),
    SCHEMA("PeripheralEthernet", "Triggered", "Security", peripheral_ethernet),
    SCHEMA("SBoM", "Periodic", "Security", packages),
    SCHEMA("DnsRequest", "Triggered", "Security", dns_request),
    SCHEMA("Heartbeat", "Periodic", "Security", heartbeat),
};

static const struct member_rule envelope_members[] = {
    MEMBER("AgentVersion", STRING, REQUIRED),
    MEMBER("AgentId", GUID, REQUIRED),
    MEMBER_OF("MessageSchemaVersion", REQUIRED, versions),
    MEMBER("Events", ARRAY, REQUIRED),
    MEMBER("Sequence", ANY, OPTIONAL), /* ours: see the ledger */
};
static const struct member_rule event_members[] = {
    MEMBER("Id", GUID, REQUIRED),
    MEMBER("TimestampLocal", TIME, REQUIRED),
    MEMBER("TimestampUTC", TIME, REQUIRED),
    MEMBER("Category", STRING, REQUIRED), /* its values depend on the name */
    MEMBER("Name", STRING, REQUIRED),
    MEMBER("EventType", STRING, OPTIONAL), /* missing: see event_type_check() */
    MEMBER("IsOperational", BOOLEAN, OPTIONAL),
    MEMBER("IsEmpty", BOOLEAN, REQUIRED),
    MEMBER_OF("PayloadSchemaVersion", REQUIRED, versions),
    MEMBER("Payload", ARRAY, REQUIRED),
};

static void members_check(const struct member_rule *rules, size_t count, const struct json_node *object,
                          struct text path, struct departures *out);
static void member_check(const struct member_rule *rule, const struct json_node *node, struct text path,
                         struct departures *out);
static void strings_check(const struct json_node *node, struct text path, struct departures *out);
static bool kind_fits(enum shape shape, const struct json_node *node);
static bool format_fits(enum shape shape, struct text value);
static bool time_fits(struct text value);
static void allowed_check(const char *const *allowed, struct text value, struct text path, struct text member,
                          struct departures *out);
static void event_type_check(const struct event_schema *schema, const struct json_node *event, struct departures *out);
static void emptiness_check(const struct json_node *event, struct departures *out);
static struct text cut(struct text text);

void departures_init(struct departures *list, size_t count_max, struct arena *arena)
{
    *list = (struct departures){.count_max = count_max, .arena = arena};
}

void departures_add(struct departures *list, struct text code)
{
    if (list->count >= list->count_max)
        return;
    struct departure *departure = ARENA_NEW(list->arena, struct departure);
    departure->code = ++list->count == list->count_max ? TEXT("more") : code;
    if (list->last)
        list->last->next = departure;
    else
        list->first = departure;
    list->last = departure;
}

void departures_note(struct departures *list, const char *kind, struct text path, struct text member, struct text value)
{
    if (list->count >= list->count_max)
        return;
    struct text name = cut(member), shown = cut(value);
    char *code = arena_format(list->arena, "%s:%.*s%s%.*s%s%.*s", kind, TEXT_ARGS(path),
                              path.count && member.bytes ? "." : "", TEXT_ARGS(name), value.bytes ? "=" : "",
                              TEXT_ARGS(shown));
    departures_add(list, text_of(code));
}

void departures_append(struct departures *list, const struct departures *more)
{
    for (const struct departure *at = more->first; at; at = at->next)
        departures_add(list, at->code);
}

void departures_share(struct departures *list, const struct departures *more)
{
    if (list->count + more->count > list->count_max || !more->count) {
        departures_append(list, more);
        return;
    }
    if (list->last)
        list->last->next = more->first;
    else
        list->first = more->first;
    list->last = more->last;
    list->count += more->count;
}

const struct event_schema *departures_schema(struct text event_name)
{
    for (size_t i = 0; i < COUNT_OF(schemas); i++)
        if (text_equal(schemas[i].name, event_name))
            return &schemas[i];
    return NULL;
}

const char *departures_event_type(const struct event_schema *schema)
{
    return schema->event_type;
}

void departures_of_envelope(const struct json_node *envelope, struct departures *out)
{
    const struct json_node *events = node_member(envelope, "Events");

    members_check(envelope_members, COUNT_OF(envelope_members), envelope, TEXT(""), out);
    if (node_is(events, PICKET_JSON_ARRAY_OPEN) && events->count == 0)
        departures_add(out, TEXT("empty:Events"));
}

void departures_of_event(const struct event_schema *schema, const struct json_node *event, struct departures *out)
{
    const struct json_node *category = node_member(event, "Category");
    const char *const by_name[] = {schema ? schema->category : NULL, NULL};

    members_check(event_members, COUNT_OF(event_members), event, TEXT(""), out);
    if (!schema && node_string(node_member(event, "Name")).bytes)
        departures_add(out, TEXT("event-name-unknown"));
    if (node_string(category).bytes)
        allowed_check(schema ? by_name : categories, category->text, TEXT("Category"), TEXT_NONE, out);
    event_type_check(schema, event, out);
    emptiness_check(event, out);
}

void departures_of_element(const struct event_schema *schema, const struct json_node *element, struct departures *out)
{
    if (!node_is(element, PICKET_JSON_OBJECT_OPEN)) {
        departures_add(out, TEXT("type:Payload[]"));
        return;
    }
    if (!schema)
        return;
    members_check(schema->members, schema->count, element, TEXT("Payload"), out);
    if (schema->members == login && !node_member(element, "UserId") && !node_member(element, "UserName"))
        departures_add(out, TEXT("missing:Payload.UserId|UserName"));
}

void departures_of_replacing(const struct json_node *value, struct text path, struct departures *out)
{
    static const struct {
        unsigned flag;
        const char *kind;
    } kinds[] = {{JSON_NODE_NUL, "nul"},
                 {JSON_NODE_SURROGATE, "surrogate"},
                 {JSON_NODE_DUPLICATE, "duplicate"},
                 {JSON_NODE_BIG_NUMBER, "number-as-text"}};

    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (value->replaced & kinds[i].flag)
            departures_note(out, kinds[i].kind, path, TEXT_NONE, TEXT_NONE);
    if (!(value->replaced & JSON_NODE_BELOW))
        return;
    uint32_t index = 0;
    for (const struct json_node *child = value->first; child && out->count < out->count_max; child = child->next) {
        struct text name = cut(child->name);
        if (child->replaced && child->name.bytes)
            departures_of_replacing(
                child, text_of(arena_format(out->arena, "%.*s.%.*s", TEXT_ARGS(path), TEXT_ARGS(name))), out);
        else if (child->replaced)
            departures_of_replacing(
                child, text_of(arena_format(out->arena, "%.*s[%u]", TEXT_ARGS(path), (unsigned)index)), out);
        index++;
    }
}

bool departures_is_address(struct text value)
{
    char terminated[INET6_ADDRSTRLEN];
    uint8_t bytes[16];

    if (value.count >= sizeof terminated || memchr(value.bytes, '\0', value.count))
        return false;
    memcpy(terminated, value.bytes, value.count);
    terminated[value.count] = '\0';
    return inet_pton(AF_INET, terminated, bytes) == 1 || inet_pton(AF_INET6, terminated, bytes) == 1;
}

/* One walk over what was sent and one over what is asked for: both lists are short. */
static void members_check(const struct member_rule *rules, size_t count, const struct json_node *object,
                          struct text path, struct departures *out)
{
    uint32_t seen = 0;

    assert(count <= 32);
    for (const struct json_node *node = object->first; node; node = node->next) {
        size_t i = 0;
        while (i < count && !text_equal(rules[i].name, node->name))
            i++;
        if (i == count) {
            departures_note(out, "unknown", path, node->name, TEXT_NONE);
            continue;
        }
        seen |= 1u << i;
        member_check(&rules[i], node, path, out);
    }
    for (size_t i = 0; i < count; i++)
        if (rules[i].presence == REQUIRED && !(seen & 1u << i))
            departures_note(out, "missing", path, rules[i].name, TEXT_NONE);
}

static void member_check(const struct member_rule *rule, const struct json_node *node, struct text path,
                         struct departures *out)
{
    if (!kind_fits(rule->shape, node))
        departures_note(out, "type", path, rule->name, TEXT_NONE);
    else if (rule->shape == SHAPE_STRINGS)
        strings_check(node, path, out);
    else if (!format_fits(rule->shape, node->text))
        departures_note(out, "format", path, rule->name, TEXT_NONE);
    else if (rule->allowed)
        allowed_check(rule->allowed, node->text, path, rule->name, out);
}

static void strings_check(const struct json_node *node, struct text path, struct departures *out)
{
    for (const struct json_node *child = node->first; child && out->count < out->count_max; child = child->next) {
        if (child->kind == PICKET_JSON_STRING && !(child->replaced & JSON_NODE_BIG_NUMBER))
            continue;
        struct text inner = text_of(arena_format(out->arena, "%.*s.ExtraDetails", TEXT_ARGS(path)));
        departures_note(out, "type", inner, child->name, TEXT_NONE);
    }
}

/* A number that had to become text was a number when it was sent. */
static bool kind_fits(enum shape shape, const struct json_node *node)
{
    bool big = node->replaced & JSON_NODE_BIG_NUMBER;

    switch (shape) {
    case SHAPE_STRING:
    case SHAPE_GUID:
    case SHAPE_TIME:
    case SHAPE_IP:
        return node->kind == PICKET_JSON_STRING && !big;
    case SHAPE_INTEGER:
        return big || (node->kind == PICKET_JSON_NUMBER && text_find(node->text, '.') == node->text.count &&
                       text_find(node->text, 'e') == node->text.count && text_find(node->text, 'E') == node->text.count);
    case SHAPE_BOOLEAN:
        return node->kind == PICKET_JSON_TRUE || node->kind == PICKET_JSON_FALSE;
    case SHAPE_ARRAY:
        return node->kind == PICKET_JSON_ARRAY_OPEN;
    case SHAPE_STRINGS:
        return node->kind == PICKET_JSON_OBJECT_OPEN;
    case SHAPE_ANY:
        return true;
    }
    return true;
}

static bool format_fits(enum shape shape, struct text value)
{
    switch (shape) {
    case SHAPE_GUID:
        return value.count == 36;
    case SHAPE_TIME:
        return time_fits(value);
    case SHAPE_IP:
        return departures_is_address(value);
    case SHAPE_STRING:
    case SHAPE_INTEGER:
    case SHAPE_BOOLEAN:
    case SHAPE_ARRAY:
    case SHAPE_STRINGS:
    case SHAPE_ANY:
        return true;
    }
    return true;
}

/* RFC 3339 asks for the T and for a zone; clock_parse() is kinder. */
static bool time_fits(struct text value)
{
    int64_t parsed;

    if (value.count < sizeof "2018-08-10T11:01:21Z" - 1 || (value.bytes[10] != 'T' && value.bytes[10] != 't'))
        return false;
    char last = value.bytes[value.count - 1], sign = value.bytes[value.count - 6];
    bool zoned = last == 'Z' || last == 'z' || ((sign == '+' || sign == '-') && value.bytes[value.count - 3] == ':');
    return zoned && clock_parse(value, &parsed);
}

static void allowed_check(const char *const *allowed, struct text value, struct text path, struct text member,
                          struct departures *out)
{
    for (size_t i = 0; allowed[i]; i++)
        if (text_equal(text_of(allowed[i]), value))
            return;
    departures_note(out, "enum", path, member, value);
}

/* Older agents say IsOperational where newer ones have EventType. */
static void event_type_check(const struct event_schema *schema, const struct json_node *event, struct departures *out)
{
    const struct json_node *type = node_member(event, "EventType");
    const char *const by_name[] = {schema ? schema->event_type : NULL, NULL};

    if (node_member(event, "IsOperational"))
        departures_add(out, TEXT("older:IsOperational"));
    else if (!type)
        departures_add(out, TEXT("missing:EventType"));
    if (node_string(type).bytes)
        allowed_check(schema ? by_name : event_types, type->text, TEXT("EventType"), TEXT_NONE, out);
}

/* Periodic events may be empty and then say so; the others bear at least one element. */
static void emptiness_check(const struct json_node *event, struct departures *out)
{
    const struct json_node *payload = node_member(event, "Payload"), *said = node_member(event, "IsEmpty");
    bool none = node_is(payload, PICKET_JSON_ARRAY_OPEN) && payload->count == 0;
    bool periodic = text_equal(node_string(node_member(event, "Category")), TEXT("Periodic"));
    bool says_empty = node_is(said, PICKET_JSON_TRUE);

    if (none && !(periodic && says_empty))
        departures_add(out, TEXT("empty:Payload"));
    else if (says_empty && !periodic)
        departures_add(out, TEXT("mismatch:IsEmpty"));
}

/* Cuts between characters. */
static struct text cut(struct text text)
{
    if (text.count <= DEPARTURE_VALUE_MAX)
        return text.bytes ? text : TEXT("");
    size_t count = DEPARTURE_VALUE_MAX;
    while (count > 0 && ((unsigned char)text.bytes[count] & 0xC0) == 0x80)
        count--;
    return (struct text){text.bytes, count};
}
