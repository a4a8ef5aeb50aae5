#include "query/routes.h"

#include <assert.h>
#include <string.h>

#include "runtime/process.h"

/* The document is printed from the table that serves, so that it cannot say anything else; only the schemas stand here. */

#define NULLABLE(type) "{\"type\":\"" type "\",\"nullable\":true}"
#define TEXT_SCHEMA "{\"type\":\"string\"}"
#define NUMBER_SCHEMA "{\"type\":\"integer\"}"
#define FLAG_SCHEMA "{\"type\":\"boolean\"}"
#define TIME_SCHEMA "{\"type\":\"string\",\"format\":\"date-time\",\"nullable\":true}"
#define THUMBPRINT_SCHEMA "{\"type\":\"string\",\"description\":\"SHA-1 or SHA-256 of the certificate in DER, as hex\"}"
#define TEXTS_SCHEMA "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}"
#define ANY_OBJECT "{\"type\":\"object\",\"additionalProperties\":true}"
#define OBJECT(members) "{\"type\":\"object\",\"properties\":{" members "}}"
#define BODY(required, members) \
    "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[" required "],\"properties\":{" members "}}"
#define PAGE_OF(name, schema) \
    OBJECT("\"" name "\":{\"type\":\"array\",\"items\":" schema "},\"next\":" NULLABLE("string"))
#define REFERENCE(name) "{\"$ref\":\"#/components/schemas/" name "\"}"
#define DEVICE_RATES "\"messages_per_second\":" NULLABLE("integer") ",\"bytes_per_second\":" NULLABLE("integer")
#define DEVICE_HEAD "\"id\":" TEXT_SCHEMA ",\"workspace\":" TEXT_SCHEMA ",\"status\":" TEXT_SCHEMA
#define DEVICE_COUNTS \
    ",\"created_at\":" TIME_SCHEMA ",\"last_seen_at\":" TIME_SCHEMA ",\"message_count\":" NUMBER_SCHEMA \
    ",\"event_count\":" NUMBER_SCHEMA ",\"refused_count\":" NUMBER_SCHEMA
#define CREDENTIAL_NEW                                                                                                    \
    "\"authentication\":{\"type\":\"string\",\"enum\":[\"sas\",\"thumbprint\",\"authority\"],\"default\":\"sas\"}"               \
    ",\"primary_key\":" TEXT_SCHEMA ",\"secondary_key\":" TEXT_SCHEMA ",\"primary_thumbprint\":" THUMBPRINT_SCHEMA      \
    ",\"secondary_thumbprint\":" THUMBPRINT_SCHEMA
#define INCIDENT_HEAD                                                                                                       \
    "\"id\":" NUMBER_SCHEMA ",\"workspace\":" TEXT_SCHEMA ",\"title\":" TEXT_SCHEMA ",\"severity\":" TEXT_SCHEMA              \
    ",\"status\":" TEXT_SCHEMA ",\"assignee\":" TEXT_SCHEMA ",\"closed_as\":" TEXT_SCHEMA ",\"alerts\":" NUMBER_SCHEMA        \
    ",\"devices\":" NUMBER_SCHEMA ",\"simulated\":" FLAG_SCHEMA ",\"first_seen_at\":" TIME_SCHEMA                           \
    ",\"last_seen_at\":" TIME_SCHEMA ",\"closed_at\":" TIME_SCHEMA
#define EXCEPTION_HEAD                                                                                                      \
    "\"id\":" TEXT_SCHEMA ",\"workspace\":" TEXT_SCHEMA ",\"subject\":" TEXT_SCHEMA ",\"rule\":" TEXT_SCHEMA                  \
    ",\"cause\":" TEXT_SCHEMA ",\"scope\":" TEXT_SCHEMA ",\"scope_value\":" TEXT_SCHEMA ",\"reason\":" TEXT_SCHEMA            \
    ",\"owner\":" TEXT_SCHEMA ",\"expires_at\":" TIME_SCHEMA ",\"expired\":" FLAG_SCHEMA ",\"created_at\":" TIME_SCHEMA       \
    ",\"hidden\":" NUMBER_SCHEMA ",\"last_hidden_at\":" TIME_SCHEMA
#define RULE_HEAD                                                                                                           \
    "\"id\":" TEXT_SCHEMA ",\"workspace\":" TEXT_SCHEMA ",\"kind\":{\"type\":\"string\",\"enum\":[\"builtin\",\"sigma\"]}"            \
    ",\"enabled\":" FLAG_SCHEMA ",\"severity\":" TEXT_SCHEMA ",\"title\":" TEXT_SCHEMA ",\"alerts_open\":" NUMBER_SCHEMA     \
    ",\"changed_at\":" TIME_SCHEMA
#define ALERT_HEAD                                                                                                          \
    "\"id\":" TEXT_SCHEMA ",\"workspace\":" TEXT_SCHEMA ",\"device\":" TEXT_SCHEMA ",\"module\":" TEXT_SCHEMA                \
    ",\"rule\":" TEXT_SCHEMA ",\"cause\":" TEXT_SCHEMA ",\"severity\":" TEXT_SCHEMA ",\"title\":" TEXT_SCHEMA               \
    ",\"status\":" TEXT_SCHEMA ",\"assignee\":" TEXT_SCHEMA ",\"repeats\":" NUMBER_SCHEMA ",\"hits\":" NUMBER_SCHEMA         \
    ",\"first_seen_at\":" TIME_SCHEMA ",\"last_seen_at\":" TIME_SCHEMA ",\"closed_at\":" TIME_SCHEMA                         \
    ",\"closed_as\":" TEXT_SCHEMA ",\"tactics\":" TEXT_SCHEMA ",\"techniques\":" TEXT_SCHEMA ",\"found_later\":" FLAG_SCHEMA \
    ",\"simulated\":" FLAG_SCHEMA ",\"incident\":" NUMBER_SCHEMA ",\"details\":" ANY_OBJECT
#define LETTER_HEAD \
    "\"id\":" NUMBER_SCHEMA ",\"workspace\":" TEXT_SCHEMA ",\"device\":" TEXT_SCHEMA ",\"module\":" TEXT_SCHEMA \
    ",\"received_at\":" TIME_SCHEMA ",\"written_at\":" TIME_SCHEMA ",\"state\":" TEXT_SCHEMA ",\"reason\":" TEXT_SCHEMA \
    ",\"message\":" TEXT_SCHEMA ",\"body_bytes\":" NUMBER_SCHEMA ",\"replayed_at\":" TIME_SCHEMA
#define WORKSPACE_LIMITS \
    "\"host_names\":" TEXTS_SCHEMA ",\"messages_per_second\":" NULLABLE("integer") ",\"bytes_per_second\":" NULLABLE("integer")

static const struct {
    const char *name, *json;
} schemas[] = {
    {"Error", OBJECT("\"error\":" OBJECT("\"code\":" TEXT_SCHEMA ",\"message\":" TEXT_SCHEMA))},
    {"DeviceList", PAGE_OF("devices", OBJECT(DEVICE_HEAD DEVICE_COUNTS))},
    {"DeviceNew", BODY("\"id\"", "\"id\":" TEXT_SCHEMA ",\"workspace\":" TEXT_SCHEMA "," CREDENTIAL_NEW)},
    {"DeviceAuthentication", "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{" CREDENTIAL_NEW "}}"},
    {"DeviceKeys", OBJECT(DEVICE_HEAD ",\"authentication\":" TEXT_SCHEMA ",\"primary_key\":" TEXT_SCHEMA
                                      ",\"secondary_key\":" TEXT_SCHEMA ",\"primary_thumbprint\":" TEXT_SCHEMA
                                      ",\"secondary_thumbprint\":" NULLABLE("string") ",\"connection_string\":" TEXT_SCHEMA)},
    {"Device",
     OBJECT(DEVICE_HEAD DEVICE_COUNTS
            ",\"authentication\":" NULLABLE("string") ",\"primary_thumbprint\":" TEXT_SCHEMA
            ",\"secondary_thumbprint\":" NULLABLE("string")
            ",\"changed_at\":" TIME_SCHEMA ",\"first_seen_at\":" TIME_SCHEMA ",\"resend_count\":" NUMBER_SCHEMA
            ",\"departure_count\":" NUMBER_SCHEMA ",\"dead_count\":" NUMBER_SCHEMA ",\"refused\":" ANY_OBJECT
            ",\"agent_version\":" NULLABLE("string") ",\"messages_per_second\":" NULLABLE("integer")
            ",\"bytes_per_second\":" NULLABLE("integer") ",\"workspace_messages_per_second\":" NULLABLE("integer")
            ",\"workspace_bytes_per_second\":" NULLABLE("integer") ",\"modules\":" TEXTS_SCHEMA ",\"connection\":" ANY_OBJECT
            ",\"ledger\":{\"type\":\"array\",\"items\":" REFERENCE("Ledger") "}")},
    {"Ledger", OBJECT("\"epoch\":" TEXT_SCHEMA ",\"stream\":" NUMBER_SCHEMA ",\"sent\":" NUMBER_SCHEMA
                      ",\"stored\":" NUMBER_SCHEMA ",\"lost\":" NUMBER_SCHEMA ",\"dropped\":" NUMBER_SCHEMA
                      ",\"missing\":{\"type\":\"array\",\"items\":{\"type\":\"array\",\"items\":" NUMBER_SCHEMA "}}"
                      ",\"missing_count\":" NUMBER_SCHEMA ",\"drop_reasons\":" ANY_OBJECT
                      ",\"first_seen_at\":" TIME_SCHEMA ",\"last_seen_at\":" TIME_SCHEMA)},
    {"DeviceStatus", OBJECT(DEVICE_HEAD)},
    {"DeviceChange", "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{" DEVICE_RATES "}}"},
    {"DeviceLimits", OBJECT(DEVICE_HEAD "," DEVICE_RATES)},
    {"DeviceImport", BODY("\"devices\"", "\"devices\":{\"type\":\"array\",\"maxItems\":1000,\"items\":" REFERENCE("DeviceMoved")
                          "},\"workspace\":" TEXT_SCHEMA ",\"skip_existing\":" FLAG_SCHEMA ",\"dry_run\":" FLAG_SCHEMA)},
    {"DeviceMoved", OBJECT("\"id\":" TEXT_SCHEMA ",\"workspace\":" TEXT_SCHEMA ",\"status\":" TEXT_SCHEMA "," CREDENTIAL_NEW
                           ",\"tags\":" ANY_OBJECT ",\"desired\":" ANY_OBJECT)},
    {"DeviceImported", OBJECT("\"workspace\":" TEXT_SCHEMA ",\"dry_run\":" FLAG_SCHEMA ",\"created\":" NUMBER_SCHEMA
                              ",\"updated\":" NUMBER_SCHEMA ",\"unchanged\":" NUMBER_SCHEMA ",\"skipped\":" NUMBER_SCHEMA
                              ",\"keys_made\":" NUMBER_SCHEMA ",\"refused\":{\"type\":\"array\",\"items\":"
                              OBJECT("\"position\":" NUMBER_SCHEMA ",\"id\":" TEXT_SCHEMA ",\"message\":" TEXT_SCHEMA) "}")},
    {"DeviceExport", PAGE_OF("devices", REFERENCE("DeviceMoved"))},
    {"KeyChoice", BODY("\"key\"", "\"key\":{\"type\":\"string\",\"enum\":[\"primary\",\"secondary\",\"both\"]}")},
    {"ConnectionString", OBJECT("\"connection_string\":" TEXT_SCHEMA)},
    {"Twin", OBJECT("\"id\":" TEXT_SCHEMA ",\"workspace\":" TEXT_SCHEMA ",\"etag\":" TEXT_SCHEMA ",\"tags\":" ANY_OBJECT
                    ",\"properties\":" OBJECT("\"desired\":" ANY_OBJECT ",\"reported\":" ANY_OBJECT)
                    ",\"desired_version\":" NUMBER_SCHEMA ",\"reported_version\":" NUMBER_SCHEMA
                    ",\"own_desired\":" ANY_OBJECT ",\"desired_changed_at\":" TIME_SCHEMA ",\"reported_at\":" TIME_SCHEMA
                    ",\"configurations\":" TEXTS_SCHEMA ",\"warnings\":" TEXTS_SCHEMA)},
    {"TwinChange", "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"tags\":" ANY_OBJECT
                   ",\"properties\":" OBJECT("\"desired\":" ANY_OBJECT) "}}"},
    {"MethodCall", "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"payload\":{},"
                   "\"response_timeout_seconds\":" NUMBER_SCHEMA ",\"connect_timeout_seconds\":" NUMBER_SCHEMA "}}"},
    {"MethodAnswer", OBJECT("\"status\":" NUMBER_SCHEMA ",\"payload\":{}")},
    {"MethodList", PAGE_OF("methods", OBJECT("\"id\":" NUMBER_SCHEMA ",\"method\":" TEXT_SCHEMA ",\"state\":" TEXT_SCHEMA
                                             ",\"status\":" NULLABLE("integer") ",\"payload\":{},\"answer\":{}"
                                             ",\"asked_at\":" TIME_SCHEMA ",\"ended_at\":" TIME_SCHEMA))},
    {"MessageNew", "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"body\":" TEXT_SCHEMA
                   ",\"body_base64\":" TEXT_SCHEMA ",\"properties\":" ANY_OBJECT ",\"message_id\":" TEXT_SCHEMA
                   ",\"correlation_id\":" TEXT_SCHEMA ",\"content_type\":" TEXT_SCHEMA ",\"content_encoding\":" TEXT_SCHEMA
                   ",\"ack\":{\"type\":\"string\",\"enum\":[\"none\",\"positive\",\"negative\",\"full\"]}"
                   ",\"expires_in_seconds\":" NUMBER_SCHEMA "}}"},
    {"MessageQueued", OBJECT("\"id\":" NUMBER_SCHEMA ",\"message_id\":" TEXT_SCHEMA ",\"state\":" TEXT_SCHEMA
                             ",\"expires_at\":" TIME_SCHEMA)},
    {"MessagePurge", OBJECT("\"purged\":" NUMBER_SCHEMA)},
    {"MessageList",
     PAGE_OF("messages", OBJECT("\"id\":" NUMBER_SCHEMA ",\"message_id\":" TEXT_SCHEMA ",\"correlation_id\":" NULLABLE("string")
                                ",\"state\":" TEXT_SCHEMA ",\"delivery_count\":" NUMBER_SCHEMA ",\"bytes\":" NUMBER_SCHEMA
                                ",\"properties\":" ANY_OBJECT ",\"enqueued_at\":" TIME_SCHEMA ",\"expires_at\":" TIME_SCHEMA
                                ",\"ended_at\":" TIME_SCHEMA ",\"ack\":" TEXT_SCHEMA))},
    {"ConfigurationList", PAGE_OF("configurations", REFERENCE("Configuration"))},
    {"Configuration", OBJECT("\"name\":" TEXT_SCHEMA ",\"workspace\":" TEXT_SCHEMA ",\"module\":" TEXT_SCHEMA
                             ",\"group\":" NULLABLE("string") ",\"firmware\":" NULLABLE("string")
                             ",\"priority\":" NUMBER_SCHEMA ",\"desired\":" ANY_OBJECT ",\"created_at\":" TIME_SCHEMA
                             ",\"changed_at\":" TIME_SCHEMA)},
    {"ConfigurationNew", BODY("\"desired\"", "\"workspace\":" TEXT_SCHEMA ",\"module\":" TEXT_SCHEMA ",\"group\":" TEXT_SCHEMA
                                              ",\"firmware\":" TEXT_SCHEMA ",\"priority\":" NUMBER_SCHEMA
                                              ",\"desired\":" ANY_OBJECT)},
    {"ConfigurationDevices",
     PAGE_OF("devices", OBJECT("\"id\":" TEXT_SCHEMA ",\"state\":{\"type\":\"string\",\"enum\":[\"applied\",\"pending\","
                               "\"failed\"]},\"invalid\":{},\"reported_at\":" TIME_SCHEMA))},
    {"GroupList", PAGE_OF("groups", REFERENCE("Group"))},
    {"Group", OBJECT("\"name\":" TEXT_SCHEMA "," "\"workspace\":" TEXT_SCHEMA ",\"status\":" TEXT_SCHEMA ",\"id_scope\":" TEXT_SCHEMA ",\"tags\":" ANY_OBJECT ",\"desired\":" ANY_OBJECT
                      ",\"modules\":" TEXTS_SCHEMA ",\"registered\":" NUMBER_SCHEMA ",\"created_at\":" TIME_SCHEMA
                      ",\"changed_at\":" TIME_SCHEMA ",\"authentication\":" TEXT_SCHEMA ",\"authority\":" TEXT_SCHEMA)},
    {"GroupNew", BODY("\"name\"", "\"name\":" TEXT_SCHEMA "," "\"workspace\":" TEXT_SCHEMA ",\"tags\":" ANY_OBJECT ",\"desired\":" ANY_OBJECT
                      ",\"modules\":" TEXTS_SCHEMA "," CREDENTIAL_NEW ",\"authority\":" TEXT_SCHEMA)},
    {"GroupKeys", OBJECT("\"name\":" TEXT_SCHEMA "," "\"workspace\":" TEXT_SCHEMA ",\"status\":" TEXT_SCHEMA ",\"id_scope\":" TEXT_SCHEMA ",\"primary_key\":" TEXT_SCHEMA ",\"secondary_key\":" TEXT_SCHEMA ",\"authentication\":" TEXT_SCHEMA ",\"authority\":" TEXT_SCHEMA)},
    {"EnrollmentList", PAGE_OF("enrollments", REFERENCE("Enrollment"))},
    {"Enrollment", OBJECT("\"registration_id\":" TEXT_SCHEMA ",\"device\":" TEXT_SCHEMA "," "\"workspace\":" TEXT_SCHEMA ",\"status\":" TEXT_SCHEMA ",\"id_scope\":" TEXT_SCHEMA ",\"tags\":" ANY_OBJECT ",\"desired\":" ANY_OBJECT
                      ",\"modules\":" TEXTS_SCHEMA ",\"registered\":" NUMBER_SCHEMA ",\"created_at\":" TIME_SCHEMA
                      ",\"changed_at\":" TIME_SCHEMA ",\"authentication\":" TEXT_SCHEMA ",\"primary_thumbprint\":" TEXT_SCHEMA ",\"secondary_thumbprint\":" TEXT_SCHEMA)},
    {"EnrollmentNew", BODY("\"registration_id\"", "\"registration_id\":" TEXT_SCHEMA ",\"device\":" TEXT_SCHEMA "," "\"workspace\":" TEXT_SCHEMA ",\"tags\":" ANY_OBJECT ",\"desired\":" ANY_OBJECT
                      ",\"modules\":" TEXTS_SCHEMA "," CREDENTIAL_NEW)},
    {"EnrollmentKeys", OBJECT("\"registration_id\":" TEXT_SCHEMA "," "\"workspace\":" TEXT_SCHEMA ",\"status\":" TEXT_SCHEMA ",\"id_scope\":" TEXT_SCHEMA ",\"primary_key\":" TEXT_SCHEMA ",\"secondary_key\":" TEXT_SCHEMA ",\"authentication\":" TEXT_SCHEMA ",\"primary_thumbprint\":" TEXT_SCHEMA ",\"secondary_thumbprint\":" TEXT_SCHEMA)},
    {"EnrolmentStatus", OBJECT("\"name\":" TEXT_SCHEMA ",\"registration_id\":" TEXT_SCHEMA ",\"workspace\":" TEXT_SCHEMA
                               ",\"status\":" TEXT_SCHEMA)},
    {"DeriveKey", BODY("\"registration_id\"", "\"registration_id\":" TEXT_SCHEMA)},
    {"DerivedKey", OBJECT("\"id_scope\":" TEXT_SCHEMA ",\"registration_id\":" TEXT_SCHEMA ",\"key\":" TEXT_SCHEMA)},
    {"AuthorityList", PAGE_OF("authorities", REFERENCE("Authority"))},
    {"Authority", OBJECT("\"name\":" TEXT_SCHEMA ",\"workspace\":" TEXT_SCHEMA
                         ",\"status\":{\"type\":\"string\",\"enum\":[\"unverified\",\"verified\",\"disabled\"]},\"subject\":" TEXT_SCHEMA
                         ",\"sha256\":" TEXT_SCHEMA ",\"not_before\":" TIME_SCHEMA ",\"not_after\":" TIME_SCHEMA
                         ",\"verification_code\":" TEXT_SCHEMA ",\"verified_at\":" TIME_SCHEMA ",\"crl_this_update\":" TIME_SCHEMA
                         ",\"crl_next_update\":" TIME_SCHEMA ",\"crl_count\":" NULLABLE("integer") ",\"created_at\":" TIME_SCHEMA)},
    {"AuthorityNew", BODY("\"name\",\"certificate\"", "\"name\":" TEXT_SCHEMA ",\"workspace\":" TEXT_SCHEMA
                                                        ",\"certificate\":" TEXT_SCHEMA)},
    {"CertificateProof", BODY("\"certificate\"", "\"certificate\":" TEXT_SCHEMA)},
    {"RevocationList", BODY("\"crl\"", "\"crl\":" TEXT_SCHEMA)},
    {"EventList", PAGE_OF("events", REFERENCE("Event"))},
    {"Event", OBJECT("\"id\":" TEXT_SCHEMA ",\"event_id\":" NULLABLE("string") ",\"message\":" TEXT_SCHEMA
                     ",\"workspace\":" TEXT_SCHEMA ",\"device\":" TEXT_SCHEMA ",\"module\":" TEXT_SCHEMA
                     ",\"element\":" NUMBER_SCHEMA ",\"time_generated\":" TIME_SCHEMA ",\"time_stamp\":" TIME_SCHEMA
                     ",\"time_local\":" TEXT_SCHEMA ",\"type\":" TEXT_SCHEMA ",\"category\":" TEXT_SCHEMA
                     ",\"name\":" TEXT_SCHEMA ",\"hit_count\":" NUMBER_SCHEMA ",\"details\":" ANY_OBJECT
                     ",\"departures\":" TEXTS_SCHEMA ",\"extra\":" ANY_OBJECT)},
    {"DeadLetterList", PAGE_OF("dead_letters", OBJECT(LETTER_HEAD))},
    {"DeadLetter", OBJECT(LETTER_HEAD ",\"headers\":" ANY_OBJECT ",\"body_encoding\":{\"type\":\"string\",\"enum\":[\"text\","
                                      "\"base64\"]},\"body\":" TEXT_SCHEMA)},
    {"DeadLetterState", OBJECT("\"id\":" NUMBER_SCHEMA ",\"state\":" TEXT_SCHEMA)},
    {"AlertList", PAGE_OF("alerts", OBJECT(ALERT_HEAD))},
    {"Alert", OBJECT(ALERT_HEAD ",\"incident_reason\":" TEXT_SCHEMA ",\"description\":" TEXT_SCHEMA ",\"reasons\":{\"type\":\"array\",\"items\":" ANY_OBJECT
                     "},\"entities\":{\"type\":\"array\",\"items\":" ANY_OBJECT "},\"remediation\":" TEXTS_SCHEMA
                     ",\"events\":{\"type\":\"array\",\"items\":" ANY_OBJECT "},\"comments\":{\"type\":\"array\",\"items\":" ANY_OBJECT "}")},
    {"AlertChange", "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"status\":{\"type\":\"string\",\"enum\":[\"open\",\"in_progress\","
                    "\"closed\"]},\"assignee\":" TEXT_SCHEMA ",\"closed_as\":{\"type\":\"string\",\"enum\":[\"true_positive\",\"false_positive\",\"benign\","
                    "\"undetermined\"]}}}"},
    {"RuleList", PAGE_OF("rules", OBJECT(RULE_HEAD))},
    {"Rule", OBJECT(RULE_HEAD ",\"description\":" TEXT_SCHEMA ",\"spares\":" TEXT_SCHEMA ",\"needs\":" TEXT_SCHEMA ",\"tuning\":" TEXT_SCHEMA
                    ",\"author\":" TEXT_SCHEMA ",\"tactics\":" TEXT_SCHEMA ",\"techniques\":" TEXT_SCHEMA ",\"remediation\":" TEXTS_SCHEMA
                    ",\"samples\":{\"type\":\"array\",\"items\":" ANY_OBJECT "},\"source\":" TEXT_SCHEMA ",\"clauses\":" TEXTS_SCHEMA ",\"warnings\":" TEXTS_SCHEMA
                    ",\"refused\":" TEXT_SCHEMA)},
    {"RuleNew", BODY("\"source\"", "\"source\":" TEXT_SCHEMA ",\"workspace\":" TEXT_SCHEMA)},
    {"RulesAdded", OBJECT("\"rules\":{\"type\":\"array\",\"items\":" OBJECT("\"id\":" TEXT_SCHEMA ",\"title\":" TEXT_SCHEMA ",\"workspace\":" TEXT_SCHEMA
                                                                              ",\"status\":" TEXT_SCHEMA ",\"warnings\":" TEXTS_SCHEMA) "}")},
    {"BacktestNew", "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"rule\":" TEXT_SCHEMA ",\"source\":" TEXT_SCHEMA ",\"since\":" TEXT_SCHEMA
                    ",\"workspace\":" TEXT_SCHEMA "}}"},
    {"Backtest", OBJECT("\"since\":" TIME_SCHEMA ",\"until\":" TIME_SCHEMA ",\"events\":" NUMBER_SCHEMA ",\"findings\":" NUMBER_SCHEMA ",\"complete\":" FLAG_SCHEMA
                        ",\"days\":{\"type\":\"array\",\"items\":" OBJECT("\"device\":" TEXT_SCHEMA ",\"day\":" TEXT_SCHEMA ",\"findings\":" NUMBER_SCHEMA
                                                                       ",\"alerts\":" NUMBER_SCHEMA) "}")},
    {"IncidentList", PAGE_OF("incidents", OBJECT(INCIDENT_HEAD))},
    {"Incident", OBJECT(INCIDENT_HEAD ",\"members\":{\"type\":\"array\",\"items\":" ANY_OBJECT "}")},
    {"ExceptionList", PAGE_OF("exceptions", OBJECT(EXCEPTION_HEAD))},
    {"Exception", OBJECT(EXCEPTION_HEAD ",\"would_hide_alerts\":" NUMBER_SCHEMA ",\"would_hide_findings\":" NUMBER_SCHEMA ",\"alerts\":{\"type\":\"array\",\"items\":" ANY_OBJECT "}")},
    {"ExceptionNew", BODY("\"scope\"", "\"scope\":{\"type\":\"string\",\"enum\":[\"workspace\",\"group\",\"firmware\",\"device\"]},\"scope_value\":" TEXT_SCHEMA ",\"rule\":" TEXT_SCHEMA
                                       ",\"cause\":" TEXT_SCHEMA ",\"reason\":" TEXT_SCHEMA ",\"owner\":" TEXT_SCHEMA ",\"expires_at\":" TIME_SCHEMA ",\"preview\":" FLAG_SCHEMA
                                       ",\"workspace\":" TEXT_SCHEMA)},
    {"SimulationRemoved", OBJECT("\"devices\":" NUMBER_SCHEMA ",\"alerts\":" NUMBER_SCHEMA ",\"events\":" NUMBER_SCHEMA)},
    {"FeedList", PAGE_OF("feeds", REFERENCE("Feed"))},
    {"Feed", OBJECT("\"name\":" TEXT_SCHEMA ",\"workspace\":" TEXT_SCHEMA ",\"kind\":" TEXT_SCHEMA ",\"enabled\":" FLAG_SCHEMA ",\"format\":" TEXT_SCHEMA
                    ",\"url\":" TEXT_SCHEMA ",\"pull_every_s\":" NUMBER_SCHEMA ",\"min_confidence\":" NUMBER_SCHEMA ",\"indicators\":" NUMBER_SCHEMA
                    ",\"loaded_at\":" TIME_SCHEMA ",\"pulled_at\":" TIME_SCHEMA ",\"problem\":" TEXT_SCHEMA)},
    {"FeedChange", "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"kind\":{\"type\":\"string\",\"enum\":[\"threat\",\"warning\"]},\"enabled\":" FLAG_SCHEMA
                   ",\"format\":" TEXT_SCHEMA ",\"url\":" TEXT_SCHEMA ",\"pull_every_s\":" NUMBER_SCHEMA ",\"min_confidence\":" NUMBER_SCHEMA ",\"workspace\":" TEXT_SCHEMA "}}"},
    {"FeedGeneration", OBJECT("\"name\":" TEXT_SCHEMA ",\"generation\":" NUMBER_SCHEMA)},
    {"FeedValues", BODY("\"values\"", "\"values\":{\"type\":\"array\",\"maxItems\":10000,\"items\":{\"description\":\"A text, or an object: value, valid_until, confidence; of warning lists type as well: string, hostname, substring, regex.\"}}")},
    {"FeedFilled", OBJECT("\"added\":" NUMBER_SCHEMA ",\"ignored\":" NUMBER_SCHEMA)},
    {"RuleStatus", OBJECT("\"id\":" TEXT_SCHEMA ",\"enabled\":" FLAG_SCHEMA)},
    {"AlertComment", BODY("\"body\"", "\"body\":" TEXT_SCHEMA)},
    {"AlertStatus", OBJECT("\"id\":" TEXT_SCHEMA ",\"status\":" TEXT_SCHEMA)},
    {"TokenList", PAGE_OF("tokens", OBJECT("\"id\":" NUMBER_SCHEMA ",\"prefix\":" TEXT_SCHEMA ",\"role\":" TEXT_SCHEMA
                                           ",\"workspaces\":" TEXTS_SCHEMA ",\"description\":" TEXT_SCHEMA
                                           ",\"created_at\":" TIME_SCHEMA ",\"revoked_at\":" TIME_SCHEMA))},
    {"TokenNew", BODY("\"role\"", "\"role\":{\"type\":\"string\",\"enum\":[\"reader\",\"analyst\",\"admin\"]},"
                                  "\"workspace\":" TEXT_SCHEMA ",\"description\":" TEXT_SCHEMA)},
    {"TokenMade", OBJECT("\"id\":" NUMBER_SCHEMA ",\"token\":" TEXT_SCHEMA ",\"role\":" TEXT_SCHEMA
                         ",\"workspaces\":" TEXTS_SCHEMA)},
    {"WorkspaceList", PAGE_OF("workspaces", REFERENCE("Workspace"))},
    {"Workspace", OBJECT("\"id\":" NUMBER_SCHEMA ",\"name\":" TEXT_SCHEMA ",\"guid\":" TEXT_SCHEMA ",\"id_scope\":" TEXT_SCHEMA "," WORKSPACE_LIMITS
                         ",\"created_at\":" TIME_SCHEMA)},
    {"WorkspaceNew", BODY("\"name\"", "\"name\":" TEXT_SCHEMA ",\"host_names\":" TEXTS_SCHEMA)},
    {"WorkspaceChange", "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{" WORKSPACE_LIMITS "}}"},
    {"KqlQuestion", OBJECT("\"query\":" TEXT_SCHEMA ",\"timespan\":" NULLABLE("string") ",\"workspaces\":" TEXTS_SCHEMA)},
    {"KqlAnswer", OBJECT("\"tables\":{\"type\":\"array\",\"items\":"
                         OBJECT("\"name\":" TEXT_SCHEMA ",\"columns\":{\"type\":\"array\",\"items\":"
                                OBJECT("\"name\":" TEXT_SCHEMA ",\"type\":" TEXT_SCHEMA) "},\"rows\":{\"type\":\"array\",\"items\":"
                                "{\"type\":\"array\",\"items\":{}}}") "},\"render\":" ANY_OBJECT ",\"statistics\":" ANY_OBJECT
                         ",\"error\":" ANY_OBJECT)},
    {"KqlBatch", OBJECT("\"requests\":{\"type\":\"array\",\"maxItems\":100,\"items\":"
                        OBJECT("\"id\":" TEXT_SCHEMA ",\"workspace\":" TEXT_SCHEMA ",\"method\":" TEXT_SCHEMA ",\"path\":" TEXT_SCHEMA
                               ",\"headers\":" ANY_OBJECT ",\"body\":" REFERENCE("KqlQuestion")) "}")},
    {"KqlBatchAnswer", OBJECT("\"responses\":{\"type\":\"array\",\"items\":"
                              OBJECT("\"id\":" TEXT_SCHEMA ",\"status\":" NUMBER_SCHEMA ",\"body\":" ANY_OBJECT) "}")},
    {"KqlMetadata", OBJECT("\"tables\":{\"type\":\"array\",\"items\":" ANY_OBJECT "},\"functions\":{\"type\":\"array\",\"items\":" ANY_OBJECT
                           "},\"workspaces\":{\"type\":\"array\",\"items\":" ANY_OBJECT "}")},
    {"KustoRequest", OBJECT("\"db\":" TEXT_SCHEMA ",\"csl\":" TEXT_SCHEMA ",\"properties\":{}")},
    {"KustoAnswer", OBJECT("\"Tables\":{\"type\":\"array\",\"items\":" ANY_OBJECT "},\"Exceptions\":" TEXTS_SCHEMA)},
    {"KustoFrames", "{\"type\":\"array\",\"items\":" ANY_OBJECT "}"},
    {"FunctionList", PAGE_OF("functions", REFERENCE("Function"))},
    {"Function", OBJECT("\"name\":" TEXT_SCHEMA ",\"workspace\":" TEXT_SCHEMA ",\"parameters\":" TEXT_SCHEMA ",\"body\":" TEXT_SCHEMA
                        ",\"folder\":" TEXT_SCHEMA ",\"description\":" TEXT_SCHEMA ",\"changed_at\":" TIME_SCHEMA)},
    {"FunctionChange", BODY("\"body\"", "\"workspace\":" TEXT_SCHEMA ",\"parameters\":" TEXT_SCHEMA ",\"body\":" TEXT_SCHEMA
                                        ",\"folder\":" TEXT_SCHEMA ",\"description\":" TEXT_SCHEMA)},
    {"QueryList", PAGE_OF("queries", REFERENCE("Query"))},
    {"Query", OBJECT("\"name\":" TEXT_SCHEMA ",\"workspace\":" TEXT_SCHEMA ",\"query\":" TEXT_SCHEMA ",\"description\":" TEXT_SCHEMA
                     ",\"changed_at\":" TIME_SCHEMA)},
    {"QueryChange", BODY("\"query\"", "\"workspace\":" TEXT_SCHEMA ",\"query\":" TEXT_SCHEMA ",\"description\":" TEXT_SCHEMA)},
    {"TableList", PAGE_OF("tables", REFERENCE("Table"))},
    {"Table", OBJECT("\"name\":" TEXT_SCHEMA ",\"workspace\":" TEXT_SCHEMA ",\"columns\":" TEXT_SCHEMA ",\"description\":" TEXT_SCHEMA
                     ",\"changed_at\":" TIME_SCHEMA)},
    {"TableChange", BODY("\"columns\"", "\"workspace\":" TEXT_SCHEMA ",\"columns\":" TEXT_SCHEMA ",\"description\":" TEXT_SCHEMA)},
    {"TableRows", BODY("\"rows\"", "\"rows\":{\"type\":\"array\",\"maxItems\":1000,\"items\":" ANY_OBJECT "}")},
    {"TableImported", OBJECT("\"name\":" TEXT_SCHEMA ",\"rows\":" NUMBER_SCHEMA)},
    {"AuditList", PAGE_OF("audit", OBJECT("\"id\":" NUMBER_SCHEMA ",\"workspace\":" TEXT_SCHEMA ",\"at\":" TIME_SCHEMA
                                          ",\"actor\":" TEXT_SCHEMA ",\"action\":" TEXT_SCHEMA ",\"target\":" TEXT_SCHEMA
                                          ",\"details\":" ANY_OBJECT ",\"hash\":" TEXT_SCHEMA))},
    {"Status", OBJECT("\"version\":" TEXT_SCHEMA ",\"time\":" TIME_SCHEMA ",\"devices\":" NUMBER_SCHEMA
                      ",\"modules\":" NUMBER_SCHEMA ",\"devices_seen\":" NUMBER_SCHEMA ",\"messages\":" NUMBER_SCHEMA
                      ",\"events\":" NUMBER_SCHEMA ",\"resends\":" NUMBER_SCHEMA ",\"refused\":" NUMBER_SCHEMA
                      ",\"departures\":" NUMBER_SCHEMA ",\"lost\":" NUMBER_SCHEMA ",\"missing\":" NUMBER_SCHEMA
                      ",\"dropped\":" NUMBER_SCHEMA ",\"alerts_open\":" NUMBER_SCHEMA ",\"dead_letters\":" NUMBER_SCHEMA
                      ",\"bus_gaps\":" NUMBER_SCHEMA ",\"readiness\":" REFERENCE("Readiness"))},
    {"CustomRuleList", PAGE_OF("custom_rules", REFERENCE("CustomRule"))},
    {"CustomRule", OBJECT("\"workspace\":" TEXT_SCHEMA ",\"group\":" TEXT_SCHEMA ",\"type\":" TEXT_SCHEMA ",\"enabled\":" FLAG_SCHEMA ",\"allow\":" TEXTS_SCHEMA
                          ",\"deny\":" TEXTS_SCHEMA ",\"min\":" NUMBER_SCHEMA ",\"max\":" NUMBER_SCHEMA ",\"window_s\":" NUMBER_SCHEMA ",\"changed_at\":" TIME_SCHEMA)},
    {"CustomRuleChange", "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"enabled\":" FLAG_SCHEMA ",\"allow\":" TEXTS_SCHEMA ",\"deny\":" TEXTS_SCHEMA
                         ",\"min\":" NUMBER_SCHEMA ",\"max\":" NUMBER_SCHEMA ",\"window\":" TEXT_SCHEMA ",\"workspace\":" TEXT_SCHEMA "}}"},
    {"CanaryRound", BODY("\"tried\",\"silent\",\"p50_ms\",\"p99_ms\",\"longest_ms\"", "\"device\":" TEXT_SCHEMA ",\"tried\":" NUMBER_SCHEMA ",\"silent\":" TEXTS_SCHEMA ",\"p50_ms\":" NUMBER_SCHEMA
                                        ",\"p99_ms\":" NUMBER_SCHEMA ",\"longest_ms\":" NUMBER_SCHEMA ",\"workspace\":" TEXT_SCHEMA)},
    {"HealthReport", OBJECT("\"status\":" TEXT_SCHEMA ",\"readiness\":" REFERENCE("Readiness") ",\"canaries\":{\"type\":\"array\",\"items\":"
                            OBJECT("\"workspace\":" TEXT_SCHEMA ",\"at\":" TIME_SCHEMA ",\"tried\":" NUMBER_SCHEMA ",\"silent\":" TEXTS_SCHEMA ",\"latency_p50_ms\":" NUMBER_SCHEMA
                                   ",\"latency_p99_ms\":" NUMBER_SCHEMA ",\"latency_longest_ms\":" NUMBER_SCHEMA) "}")},
    {"Health", OBJECT("\"status\":" TEXT_SCHEMA)},
    {"Readiness", OBJECT("\"ready\":{\"type\":\"boolean\"},\"parts\":" ANY_OBJECT)},
    {"SessionNew", BODY("\"token\"", "\"token\":" TEXT_SCHEMA)},
    {"Session", OBJECT("\"role\":" TEXT_SCHEMA ",\"seconds\":" NUMBER_SCHEMA)},
};

static const struct {
    const char *name, *schema, *sentence;
} arguments[] = {
    {"limit", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000,\"default\":100}", "Rows of a page."},
    {"cursor", TEXT_SCHEMA, "`next` of the page before, unchanged."},
    {"workspace", TEXT_SCHEMA, "One of the token's workspaces; without it, all of them."},
    {"status", TEXT_SCHEMA, "Only those with this status."},
    {"keys", "{\"type\":\"string\",\"enum\":[\"true\",\"false\"]}", "Whether keys are told: true or false."},
    {"search", TEXT_SCHEMA, "Only ids that contain this, in any case."},
    {"key", "{\"type\":\"string\",\"enum\":[\"primary\",\"secondary\"],\"default\":\"primary\"}", "Which key."},
    {"device", TEXT_SCHEMA, "Only this device; for events also device/module."},
    {"type", TEXT_SCHEMA, "Only this type: Security, Operational, Diagnostic or Custom."},
    {"name", TEXT_SCHEMA, "Only this name, such as Login."},
    {"since", TEXT_SCHEMA, "From here on: ISO 8601, or a duration back from now such as 24h, the default."},
    {"until", TEXT_SCHEMA, "Before this: ISO 8601, or a duration back from now."},
    {"text", TEXT_SCHEMA, "Only events whose details, as JSON text without blanks, contain this."},
    {"state", TEXT_SCHEMA, "Only those in this state."},
    {"severity", "{\"type\":\"string\",\"enum\":[\"Informational\",\"Low\",\"Medium\",\"High\"]}", "Only this severity."},
    {"rule", TEXT_SCHEMA, "Only those of this rule."},
    {"query", TEXT_SCHEMA, "The KQL text."},
    {"timespan", TEXT_SCHEMA, "ISO 8601: a duration back from now, start/end, start/duration or duration/end."},
    {"workspaces", TEXT_SCHEMA, "Further workspaces whose rows count as well, commas between."},
    {"active", "{\"type\":\"string\",\"enum\":[\"true\",\"false\"]}", "Only those that are not closed: true."},
    {"action", TEXT_SCHEMA, "Only this action, such as device.create."},
};

static void path_print(const char *path, struct reply *reply);
static void operation_print(const struct route *route, struct reply *reply);
static void parameters_print(const struct route *route, struct reply *reply);
static void argument_print(struct text name, struct reply *reply);
static void responses_print(const struct route *route, struct reply *reply);
static void content_print(const char *schema, struct reply *reply);

ROUTE_HANDLER(openapi_show)
{
    (void)query;
    (void)request;
    (void)why;
    openapi_print(query_routes, query_route_count, reply->body);
    return STATUS_OK;
}

void openapi_print(const struct route *routes, size_t count, struct buf *out)
{
    struct reply reply = {.body = out};

    reply_open_object(&reply, NULL);
    reply_string(&reply, "openapi", "3.0.3");
    reply_open_object(&reply, "info");
    reply_string(&reply, "title", "Picket");
    reply_string(&reply, "version", PICKET_VERSION);
    reply_string(&reply, "description", "Devices, events, alerts and who may see them.");
    reply_close_object(&reply);
    reply_open_object(&reply, "paths");
    for (size_t i = 0; i < count; i++) {
        size_t first = 0;
        while (strcmp(routes[first].path, routes[i].path) != 0)
            first++;
        if (first < i)
            continue; /* printed with the first of its path */
        path_print(routes[i].path, &reply);
        for (size_t j = i; j < count; j++)
            if (strcmp(routes[j].path, routes[i].path) == 0)
                operation_print(&routes[j], &reply);
        reply_close_object(&reply);
    }
    reply_close_object(&reply);
    reply_open_object(&reply, "components");
    reply_raw(&reply, "securitySchemes", TEXT("{\"token\":{\"type\":\"http\",\"scheme\":\"bearer\"}}"));
    reply_open_object(&reply, "schemas");
    for (size_t i = 0; i < sizeof schemas / sizeof schemas[0]; i++)
        reply_raw(&reply, schemas[i].name, text_of(schemas[i].json));
    reply_close_object(&reply);
    reply_close_object(&reply);
    reply_close_object(&reply);
}

/* "/v1/devices/:id" is written "/v1/devices/{id}". */
static void path_print(const char *path, struct reply *reply)
{
    struct text rest = text_of(path), head;
    struct buf written;

    buf_init(&written, 256);
    rest = text_cut(rest, '/', &head); /* what stands before the first slash is nothing */
    while (rest.bytes) {
        rest = text_cut(rest, '/', &head);
        buf_byte(&written, '/');
        bool parameter = text_starts(head, TEXT(":"));
        if (parameter)
            buf_format(&written, "{%.*s}", (int)head.count - 1, head.bytes + 1);
        else
            buf_text(&written, head);
    }
    assert(!buf_failed(&written));
    reply_open_object(reply, buf_as_text(&written).bytes);
    buf_done(&written);
}

static void operation_print(const struct route *route, struct reply *reply)
{
    static const char *const methods[][2] = {
        {"GET", "get"}, {"POST", "post"}, {"DELETE", "delete"}, {"PATCH", "patch"}, {"PUT", "put"}};
    static const char *const roles[] = {"", "reader", "analyst", "admin"};
    const char *method = NULL;

    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (strcmp(methods[i][0], route->method) == 0)
            method = methods[i][1];
    assert(method);
    reply_open_object(reply, method);
    reply_string(reply, "summary", route->summary);
    if (route->role != ROLE_NONE) {
        reply_string(reply, "x-picket-role", roles[route->role]);
        reply_raw(reply, "security", TEXT("[{\"token\":[]}]"));
    }
    parameters_print(route, reply);
    if (route->body) {
        reply_open_object(reply, "requestBody");
        reply_flag(reply, "required", true);
        content_print(route->body, reply);
        reply_close_object(reply);
    }
    responses_print(route, reply);
    reply_close_object(reply);
}

static void parameters_print(const struct route *route, struct reply *reply)
{
    struct text rest = text_of(route->path), head;

    reply_open_array(reply, "parameters");
    while (rest.bytes) {
        rest = text_cut(rest, '/', &head);
        if (!text_starts(head, TEXT(":")))
            continue;
        reply_open_object(reply, NULL);
        reply_text(reply, "name", (struct text){head.bytes + 1, head.count - 1});
        reply_string(reply, "in", "path");
        reply_flag(reply, "required", true);
        reply_raw(reply, "schema", TEXT(TEXT_SCHEMA));
        reply_close_object(reply);
    }
    rest = text_of(route->arguments);
    while (rest.count) {
        rest = text_cut(rest, ' ', &head);
        argument_print(head, reply);
    }
    reply_close_array(reply);
}

static void argument_print(struct text name, struct reply *reply)
{
    size_t i = 0;

    while (i < sizeof arguments / sizeof arguments[0] && !text_equal(text_of(arguments[i].name), name))
        i++;
    assert(i < sizeof arguments / sizeof arguments[0]);
    reply_open_object(reply, NULL);
    reply_text(reply, "name", name);
    reply_string(reply, "in", "query");
    reply_string(reply, "description", arguments[i].sentence);
    reply_raw(reply, "schema", text_of(arguments[i].schema));
    reply_close_object(reply);
}

static void responses_print(const struct route *route, struct reply *reply)
{
    bool makes = route->body && strcmp(route->method, "POST") == 0 && strstr(route->body, "New") && route->role != ROLE_NONE;

    reply_open_object(reply, "responses");
    reply_open_object(reply, !route->answer ? "204" : makes ? "201" : "200");
    reply_string(reply, "description", !route->answer ? "Done." : makes ? "Made." : "The answer.");
    if (route->answer)
        content_print(route->answer, reply);
    reply_close_object(reply);
    reply_open_object(reply, "default");
    reply_string(reply, "description", "Refused, or failed; the message says why.");
    content_print("Error", reply);
    reply_close_object(reply);
    reply_close_object(reply);
}

/* A name of a schema, or a content type whose content has none. */
static void content_print(const char *schema, struct reply *reply)
{
    bool typed = strchr(schema, '/') != NULL;

    reply_open_object(reply, "content");
    reply_open_object(reply, typed ? schema : "application/json");
    reply_open_object(reply, "schema");
    if (typed) {
        reply_string(reply, "type", "string");
    } else {
        struct buf path;
        buf_init(&path, 128);
        buf_format(&path, "#/components/schemas/%s", schema);
        reply_text(reply, "$ref", buf_as_text(&path));
        buf_done(&path);
    }
    reply_close_object(reply);
    reply_close_object(reply);
    reply_close_object(reply);
}
