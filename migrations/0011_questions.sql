-- What people ask: the tables that KQL names as views over what devices sent, and what a workspace saves for its questions.
-- A view has the columns that are filled; those of the published table that are not stay empty, which the compiler knows
-- by itself. docs/tables.md has them column by column.
CREATE SCHEMA kql AUTHORIZATION picket_owner;       -- migrations/helpers/kql.sql, loaded anew whenever it changed
CREATE SCHEMA analytics AUTHORIZATION picket_owner; -- the tables; one view each, and nothing else
SET LOCAL ROLE picket_owner;
GRANT USAGE ON SCHEMA kql, analytics TO picket_query;

CREATE TABLE picket.helper (
    name       text        PRIMARY KEY,
    digest     bytea       NOT NULL, -- SHA-256 of the file that was loaded
    applied_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT ON picket.helper TO picket_query;

CREATE FUNCTION picket.whole_number(value text) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN value ~ '^-?[0-9]{1,18}$' THEN value::bigint END $$;
CREATE FUNCTION picket.file_name(path text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT coalesce(substring(path FROM '[^/\\]*$'), '') $$;
CREATE FUNCTION picket.workspace_guid(id int) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT w.guid::text FROM picket.workspace w WHERE w.workspace_id = id $$;

-- EventDetails as the service answered it: the element as sent, then what it bears of its event where that is absent.
CREATE FUNCTION picket.event_details(details jsonb, key_order bytea, sender_event_id text, time_stamp timestamptz) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN jsonb_typeof(details) <> 'object' THEN t.element ELSE left(t.element, -1) || CASE WHEN t.element <> '{}' AND t.more <> '' THEN ',' ELSE '' END || t.more || '}' END
            FROM (SELECT CASE WHEN key_order IS NULL AND strpos(details::text, 'null') = 0 -- this is several times as fast
                              THEN json_strip_nulls(details::text::json)::text ELSE picket.json_text(details, key_order) END AS element,
                         concat_ws(',', CASE WHEN NOT details ? 'MessageSource' THEN '"MessageSource":"Linux"' END,
                                   CASE WHEN NOT details ? 'OriginalEventId' AND sender_event_id IS NOT NULL
                                        THEN '"OriginalEventId":' || to_json(sender_event_id)::text END,
                                   CASE WHEN NOT details ? 'TimestampUTC'
                                        THEN '"TimestampUTC":"' || to_char(time_stamp AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '"' END)
                         AS more OFFSET 0) t $$; -- each of the two once

CREATE VIEW analytics."SecurityIoTRawEvent" WITH (security_invoker) AS
SELECT r.time_generated AS "TimeGenerated", r.time_stamp AS "TimeStamp", r.device_id AS "DeviceId", r.module_id AS "ModuleId",
       r.event_id::text AS "IoTRawEventId", r.name AS "RawEventName", r.type AS "RawEventType", r.category AS "RawEventCategory",
       r.is_empty AS "IsEmpty", r.hit_count AS "HitCount", coalesce(r.agent_version, '') AS "AgentVersion",
       picket.event_details(r.details, r.key_order, r.sender_event_id, r.time_stamp) AS "EventDetails",
       r.details AS "_EventDetails", r.details::text || coalesce(' ' || r.sender_event_id, '') AS "__EventDetails", coalesce(r.firmware, '') AS "Firmware", to_jsonb(coalesce(r.departures, '{}')) AS "Departures",
       'SecurityIoTRawEvent' AS "Type", picket.workspace_guid(r.workspace_id) AS "TenantId"
  FROM picket.raw_event r;

CREATE VIEW analytics."DefenderIoTRawEvent" WITH (security_invoker) AS
SELECT r.time_generated AS "TimeGenerated", r.time_stamp AS "TimeStamp", r.device_id AS "DeviceId", r.module_id AS "ModuleId",
       r.event_id::text AS "IoTRawEventId", r.name AS "RawEventName", r.type AS "RawEventType", r.category AS "RawEventCategory",
       r.is_empty AS "IsEmpty", r.hit_count AS "HitCount", coalesce(r.agent_version, '') AS "AgentVersion",
       picket.event_details(r.details, r.key_order, r.sender_event_id, r.time_stamp)::json AS "EventDetails",
       'DefenderIoTRawEvent' AS "Type", picket.workspace_guid(r.workspace_id) AS "TenantId"
  FROM picket.raw_event r;

CREATE VIEW analytics."SecurityAlert" WITH (security_invoker) AS
SELECT a.last_seen_at AS "TimeGenerated", a.last_seen_at AS "ProcessingEndTime", a.first_seen_at AS "StartTime", a.last_seen_at AS "EndTime",
       a.alert_id::text AS "SystemAlertId", a.alert_id::text AS "VendorOriginalId", a.title AS "AlertName", a.title AS "DisplayName",
       a.severity AS "AlertSeverity", a.rule_id AS "AlertType", a.cause AS "Description",
       CASE a.status WHEN 'open' THEN 'New' ELSE 'Resolved' END AS "Status",
       'Azure Security Center for IoT' AS "ProductName", 'Picket' AS "ProductComponentName", 'IoTSecurity' AS "ProviderName",
       'Picket' AS "VendorName", a.device_id AS "CompromisedEntity", '[]' AS "RemediationSteps", false AS "IsIncident",
       (jsonb_build_object('DeviceId', a.device_id, 'ModuleId', a.module_id, 'RepeatCount', a.repeat_count) || a.details)::text
           AS "ExtendedProperties",
       CASE WHEN a.device_id = '' THEN '[]'
            ELSE jsonb_build_array(jsonb_build_object('$id', '1', 'Type', 'iotdevice', 'DeviceId', a.device_id))::text END AS "Entities",
       'SecurityAlert' AS "Type", picket.workspace_guid(a.workspace_id) AS "TenantId"
  FROM picket.alert a;

CREATE VIEW analytics."Heartbeat" WITH (security_invoker) AS
SELECT m.received_at AS "TimeGenerated", m.device_id AS "Computer", 'Picket' AS "SourceSystem", 'Direct Agent' AS "Category",
       m.device_id AS "SourceComputerId", m.event_count::bigint AS "EventCount", 'Heartbeat' AS "Type",
       picket.workspace_guid(m.workspace_id) AS "TenantId"
  FROM picket.message m;

CREATE VIEW analytics."DeviceProcessEvents" WITH (security_invoker) AS
SELECT r.time_generated AS "TimeGenerated", r.device_id AS "DeviceId", r.device_id AS "DeviceName",
       CASE WHEN r.name = 'ProcessTerminate' OR r.details ->> 'EventType' = 'EXIT' THEN 'ProcessTerminated' ELSE 'ProcessCreated' END AS "ActionType",
       picket.file_name(r.executable) AS "FileName", coalesce(r.executable, '') AS "FolderPath", r.process_id AS "ProcessId",
       coalesce(r.details ->> 'CommandLine', r.details ->> 'Commandline', '') AS "ProcessCommandLine", r.time_stamp AS "ProcessCreationTime",
       coalesce(r.user_name, '') AS "AccountName", coalesce(r.details ->> 'UserId', '') AS "AccountSid",
       picket.whole_number(r.details ->> 'ParentProcessId') AS "InitiatingProcessId",
       CASE WHEN r.details #>> '{ExtraDetails,Hash}' ~ '^[0-9a-fA-F]{40}$' THEN r.details #>> '{ExtraDetails,Hash}' ELSE '' END AS "SHA1",
       r.details AS "AdditionalFields", 'Picket' AS "SourceSystem", 'DeviceProcessEvents' AS "Type",
       picket.workspace_guid(r.workspace_id) AS "TenantId"
  FROM picket.raw_event r WHERE r.name IN ('ProcessCreate', 'ProcessTerminate', 'Process');

CREATE VIEW analytics."DeviceNetworkEvents" WITH (security_invoker) AS
SELECT r.time_generated AS "TimeGenerated", r.device_id AS "DeviceId", r.device_id AS "DeviceName",
       CASE WHEN r.name = 'ListeningPorts' THEN 'ListeningConnectionCreated'
            WHEN r.details ->> 'Direction' = 'In' OR r.local_port < r.remote_port THEN 'InboundConnectionAccepted'
            ELSE 'ConnectionSuccess' END AS "ActionType",
       coalesce(host(r.remote_address), '') AS "RemoteIP", r.remote_port::bigint AS "RemotePort",
       coalesce(r.details ->> 'LocalAddress', '') AS "LocalIP", r.local_port::bigint AS "LocalPort",
       CASE upper(r.details ->> 'Protocol') WHEN 'TCP' THEN 'Tcp' WHEN 'UDP' THEN 'Udp' WHEN 'ICMP' THEN 'Icmp'
            ELSE coalesce(r.details ->> 'Protocol', '') END AS "Protocol",
       picket.file_name(r.executable) AS "InitiatingProcessFileName", coalesce(r.executable, '') AS "InitiatingProcessFolderPath",
       r.process_id AS "InitiatingProcessId",
       coalesce(r.details ->> 'CommandLine', r.details ->> 'Commandline', '') AS "InitiatingProcessCommandLine",
       coalesce(r.user_name, '') AS "InitiatingProcessAccountName", coalesce(r.details ->> 'UserId', '') AS "InitiatingProcessAccountSid",
       r.details AS "AdditionalFields", 'Picket' AS "SourceSystem", 'DeviceNetworkEvents' AS "Type",
       picket.workspace_guid(r.workspace_id) AS "TenantId"
  FROM picket.raw_event r WHERE r.name IN ('ConnectionCreate', 'NetworkActivity', 'ListeningPorts');

CREATE VIEW analytics."DeviceLogonEvents" WITH (security_invoker) AS
SELECT r.time_generated AS "TimeGenerated", r.device_id AS "DeviceId", r.device_id AS "DeviceName",
       CASE WHEN r.details ->> 'Result' = 'Fail' OR r.details ->> 'Operation' = 'LoginFailed' THEN 'LogonFailed'
            WHEN r.details ->> 'Result' = 'Success' OR r.details ->> 'Operation' = 'Login' THEN 'LogonSuccess'
            WHEN r.details ->> 'Operation' = 'Logout' THEN 'Logoff' ELSE 'LogonAttempted' END AS "ActionType",
       coalesce(r.user_name, '') AS "AccountName", coalesce(r.details ->> 'UserId', '') AS "AccountSid",
       coalesce(r.details #>> '{ExtraDetails,Account Domain}', '') AS "AccountDomain",
       coalesce(r.details #>> '{ExtraDetails,Failure Reason}', '') AS "FailureReason",
       CASE WHEN r.remote_address IS NULL THEN 'Local' ELSE 'RemoteInteractive' END AS "LogonType",
       coalesce(host(r.remote_address), '') AS "RemoteIP", r.remote_port::bigint AS "RemotePort",
       picket.file_name(r.executable) AS "InitiatingProcessFileName", coalesce(r.executable, '') AS "InitiatingProcessFolderPath",
       r.process_id AS "InitiatingProcessId", r.details AS "AdditionalFields", 'Picket' AS "SourceSystem", 'DeviceLogonEvents' AS "Type",
       picket.workspace_guid(r.workspace_id) AS "TenantId"
  FROM picket.raw_event r WHERE r.name = 'Login';

CREATE VIEW analytics."DeviceFileEvents" WITH (security_invoker) AS
SELECT r.time_generated AS "TimeGenerated", r.device_id AS "DeviceId", r.device_id AS "DeviceName",
       CASE WHEN f.mask ILIKE '%created%' THEN 'FileCreated' WHEN f.mask ILIKE '%deleted%' THEN 'FileDeleted'
            WHEN f.mask ILIKE '%moved%' THEN 'FileRenamed' ELSE 'FileModified' END AS "ActionType",
       picket.file_name(f.path) AS "FileName", f.path AS "FolderPath", r.details AS "AdditionalFields",
       'Picket' AS "SourceSystem", 'DeviceFileEvents' AS "Type", picket.workspace_guid(r.workspace_id) AS "TenantId"
  FROM picket.raw_event r,
       LATERAL (SELECT coalesce(r.details ->> 'Path', r.details ->> 'path', '') AS path,
                       coalesce(r.details ->> 'Mask', r.details ->> 'mask', '') AS mask) f
 WHERE r.name = 'FileSystem';

CREATE VIEW analytics."DeviceInfo" WITH (security_invoker) AS
SELECT r.time_generated AS "TimeGenerated", r.device_id AS "DeviceId", coalesce(r.details ->> 'HostName', r.device_id) AS "DeviceName",
       coalesce(r.details ->> 'OSName', r.details ->> 'OsInfo', r.details ->> 'OSInfo', '') AS "OSPlatform",
       coalesce(r.details ->> 'OSVersion', r.details ->> 'KernelInfo', '') AS "OSVersion",
       coalesce(r.details ->> 'OsArchitecture', '') AS "OSArchitecture", coalesce(r.details ->> 'OSVendor', '') AS "Vendor",
       'IoT' AS "DeviceCategory", coalesce(r.agent_version, '') AS "ClientVersion", r.details AS "AdditionalFields",
       'Picket' AS "SourceSystem", 'DeviceInfo' AS "Type", picket.workspace_guid(r.workspace_id) AS "TenantId"
  FROM picket.raw_event r WHERE r.name = 'SystemInformation';

CREATE VIEW analytics."Syslog" WITH (security_invoker) AS
SELECT r.time_generated AS "TimeGenerated", r.time_stamp AS "EventTime", r.device_id AS "Computer", r.device_id AS "HostName",
       'daemon' AS "Facility",
       CASE lower(coalesce(r.details ->> 'Level', r.details ->> 'Severity', '')) WHEN 'fatal' THEN 'crit' WHEN 'error' THEN 'err' WHEN 'warn' THEN 'warning'
            WHEN 'warning' THEN 'warning' WHEN 'debug' THEN 'debug' ELSE 'info' END AS "SeverityLevel",
       coalesce(r.details ->> 'Message', '') AS "SyslogMessage", coalesce(r.details ->> 'Filename', r.details ->> 'FileName', '') AS "ProcessName",
       picket.whole_number(r.details ->> 'ProcessId') AS "ProcessID", 'Picket' AS "SourceSystem", 'Syslog' AS "Type",
       picket.workspace_guid(r.workspace_id) AS "TenantId"
  FROM picket.raw_event r WHERE r.name IN ('Log', 'Diagnostic');

CREATE VIEW analytics."CommonSecurityLog" WITH (security_invoker) AS
SELECT a.last_seen_at AS "TimeGenerated", a.first_seen_at AS "StartTime", a.last_seen_at AS "EndTime", 'Picket' AS "DeviceVendor",
       'Picket' AS "DeviceProduct", a.rule_id AS "DeviceEventClassID", a.title AS "Activity", a.cause AS "Message",
       CASE a.severity WHEN 'High' THEN '9' WHEN 'Medium' THEN '6' WHEN 'Low' THEN '4' ELSE '1' END AS "LogSeverity",
       a.device_id AS "SourceHostName", a.device_id AS "Computer", a.repeat_count AS "EventCount", a.alert_id::text AS "DeviceExternalID",
       'Picket' AS "SourceSystem", 'CommonSecurityLog' AS "Type", picket.workspace_guid(a.workspace_id) AS "TenantId"
  FROM picket.alert a;

CREATE VIEW analytics."ASimProcessEventLogs" WITH (security_invoker) AS
SELECT r.time_generated AS "TimeGenerated", r.hit_count AS "EventCount", r.time_stamp AS "EventStartTime", r.time_stamp AS "EventEndTime",
       CASE WHEN r.name = 'ProcessTerminate' OR r.details ->> 'EventType' = 'EXIT' THEN 'ProcessTerminated' ELSE 'ProcessCreated' END AS "EventType",
       'Success' AS "EventResult", 'Informational' AS "EventSeverity", 'Picket' AS "EventProduct", 'Picket' AS "EventVendor",
       'ProcessEvent' AS "EventSchema", '0.1.4' AS "EventSchemaVersion", r.event_id::text AS "EventOriginalUid", r.name AS "EventOriginalType",
       r.device_id AS "DvcId", r.device_id AS "DvcHostname", r.device_id AS "Dvc", 'Linux' AS "DvcOs",
       coalesce(r.user_name, '') AS "ActorUsername", coalesce(r.details ->> 'UserId', '') AS "ActorUserId",
       coalesce(r.user_name, '') AS "TargetUsername", coalesce(r.details ->> 'ParentProcessId', '') AS "ActingProcessId",
       coalesce(r.executable, '') AS "TargetProcessName", picket.file_name(r.executable) AS "TargetProcessFilename",
       coalesce(r.details ->> 'CommandLine', r.details ->> 'Commandline', '') AS "TargetProcessCommandLine",
       coalesce(r.process_id::text, '') AS "TargetProcessId", r.time_stamp AS "TargetProcessCreationTime",
       coalesce(r.user_name, '') AS "User", coalesce(r.executable, '') AS "Process",
       coalesce(r.details ->> 'CommandLine', r.details ->> 'Commandline', '') AS "CommandLine",
       r.details AS "AdditionalFields", 'ASimProcessEventLogs' AS "Type", picket.workspace_guid(r.workspace_id) AS "TenantId"
  FROM picket.raw_event r WHERE r.name IN ('ProcessCreate', 'ProcessTerminate', 'Process');

CREATE VIEW analytics."ASimNetworkSessionLogs" WITH (security_invoker) AS
SELECT r.time_generated AS "TimeGenerated", r.hit_count AS "EventCount", r.time_stamp AS "EventStartTime", r.time_stamp AS "EventEndTime",
       CASE WHEN r.name = 'ListeningPorts' THEN 'EndpointNetworkSession' ELSE 'NetworkSession' END AS "EventType",
       'Success' AS "EventResult", 'Informational' AS "EventSeverity", 'Picket' AS "EventProduct", 'Picket' AS "EventVendor",
       'NetworkSession' AS "EventSchema", '0.2.6' AS "EventSchemaVersion", r.event_id::text AS "EventOriginalUid", r.name AS "EventOriginalType",
       r.device_id AS "DvcId", r.device_id AS "DvcHostname", r.device_id AS "Dvc", 'Allow' AS "DvcAction", 'Linux' AS "DvcOs",
       n.direction AS "NetworkDirection", upper(coalesce(r.details ->> 'Protocol', '')) AS "NetworkProtocol",
       CASE n.direction WHEN 'Inbound' THEN n.remote ELSE n.local END AS "SrcIpAddr",
       CASE n.direction WHEN 'Inbound' THEN r.remote_port ELSE r.local_port END::bigint AS "SrcPortNumber",
       CASE n.direction WHEN 'Inbound' THEN n.local ELSE n.remote END AS "DstIpAddr",
       CASE n.direction WHEN 'Inbound' THEN r.local_port ELSE r.remote_port END::bigint AS "DstPortNumber",
       CASE n.direction WHEN 'Inbound' THEN picket.whole_number(r.details ->> 'BytesIn') ELSE picket.whole_number(r.details ->> 'BytesOut') END AS "SrcBytes",
       CASE n.direction WHEN 'Inbound' THEN picket.whole_number(r.details ->> 'BytesOut') ELSE picket.whole_number(r.details ->> 'BytesIn') END AS "DstBytes",
       CASE n.direction WHEN 'Inbound' THEN '' ELSE r.device_id END AS "SrcDvcId",
       CASE n.direction WHEN 'Inbound' THEN r.device_id ELSE '' END AS "DstDvcId",
       coalesce(r.user_name, '') AS "SrcUsername", coalesce(r.executable, '') AS "SrcProcessName", coalesce(r.process_id::text, '') AS "SrcProcessId",
       n.remote AS "IpAddr", r.device_id AS "Hostname",
       r.details AS "AdditionalFields", 'ASimNetworkSessionLogs' AS "Type", picket.workspace_guid(r.workspace_id) AS "TenantId"
  FROM picket.raw_event r,
       LATERAL (SELECT CASE WHEN r.name = 'ListeningPorts' THEN 'Listen' WHEN r.details ->> 'Direction' = 'In' THEN 'Inbound'
                            WHEN r.details ->> 'Direction' = 'Out' THEN 'Outbound' WHEN r.local_port > r.remote_port THEN 'Outbound'
                            ELSE 'Inbound' END AS direction,
                       coalesce(host(r.remote_address), '') AS remote, coalesce(r.details ->> 'LocalAddress', '') AS local) n
 WHERE r.name IN ('ConnectionCreate', 'NetworkActivity', 'ListeningPorts');

CREATE VIEW analytics."ASimAuthenticationEventLogs" WITH (security_invoker) AS
SELECT r.time_generated AS "TimeGenerated", r.hit_count AS "EventCount", r.time_stamp AS "EventStartTime", r.time_stamp AS "EventEndTime",
       CASE WHEN r.details ->> 'Operation' = 'Logout' THEN 'Logoff' ELSE 'Logon' END AS "EventType",
       CASE WHEN r.details ->> 'Result' = 'Fail' OR r.details ->> 'Operation' = 'LoginFailed' THEN 'Failure' ELSE 'Success' END AS "EventResult",
       coalesce(r.details #>> '{ExtraDetails,Failure Reason}', '') AS "EventResultDetails", 'Informational' AS "EventSeverity",
       'Picket' AS "EventProduct", 'Picket' AS "EventVendor", 'Authentication' AS "EventSchema", '0.1.3' AS "EventSchemaVersion",
       r.event_id::text AS "EventOriginalUid", r.name AS "EventOriginalType",
       r.device_id AS "DvcId", r.device_id AS "DvcHostname", r.device_id AS "Dvc", 'Linux' AS "DvcOs",
       CASE WHEN r.remote_address IS NULL THEN 'Local' ELSE 'Remote' END AS "LogonMethod",
       coalesce(r.user_name, '') AS "TargetUsername", coalesce(r.details ->> 'UserId', '') AS "TargetUserId",
       r.device_id AS "TargetDvcId", r.device_id AS "TargetHostname", coalesce(host(r.remote_address), '') AS "SrcIpAddr",
       r.remote_port::bigint AS "SrcPortNumber", coalesce(r.executable, '') AS "ActingAppName", coalesce(r.process_id::text, '') AS "ActingAppId",
       coalesce(r.user_name, '') AS "User", coalesce(host(r.remote_address), '') AS "IpAddr", r.device_id AS "Dst",
       r.details AS "AdditionalFields", 'ASimAuthenticationEventLogs' AS "Type", picket.workspace_guid(r.workspace_id) AS "TenantId"
  FROM picket.raw_event r WHERE r.name = 'Login';

CREATE VIEW analytics."Device" WITH (security_invoker) AS
SELECT coalesce(a.last_seen_at, d.created_at) AS "TimeGenerated", d.device_id AS "DeviceId", d.module_id AS "ModuleId", d.status AS "Status",
       d.tags AS "Tags", d.created_at AS "CreatedTime", a.first_seen_at AS "FirstSeen", a.last_seen_at AS "LastSeen",
       coalesce(a.message_count, 0) AS "MessageCount", coalesce(a.event_count, 0) AS "EventCount",
       coalesce(a.departure_count, 0) AS "DepartureCount", coalesce(a.refused_count, 0) AS "RefusedCount",
       coalesce(a.dead_count, 0) AS "DeadLetterCount", coalesce(a.agent_version, '') AS "AgentVersion",
       'Device' AS "Type", picket.workspace_guid(d.workspace_id) AS "TenantId"
  FROM picket.device d LEFT JOIN picket.device_activity a USING (workspace_id, device_id, module_id)
 WHERE d.status <> 'deleted';

CREATE VIEW analytics."DeviceLedger" WITH (security_invoker) AS
SELECT l.last_seen_at AS "TimeGenerated", l.device_id AS "DeviceId", l.module_id AS "ModuleId", l.epoch AS "Epoch", l.stream::bigint AS "Stream",
       l.highest AS "Highest", l.stored::text AS "StoredRanges", l.dropped::text AS "DroppedRanges", l.drop_reasons AS "DropReasons",
       l.settled_stored AS "SettledStored", l.settled_lost AS "SettledLost", l.gap_from AS "GapFrom", l.gap_since AS "GapSince",
       l.first_seen_at AS "FirstSeen", l.last_seen_at AS "LastSeen", 'DeviceLedger' AS "Type", picket.workspace_guid(l.workspace_id) AS "TenantId"
  FROM picket.ledger l;

DO $$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT relname FROM pg_class WHERE relnamespace = 'analytics'::regnamespace LOOP
        EXECUTE format('GRANT SELECT ON analytics.%I TO picket_query', name);
    END LOOP;
END $$;

-- Saved functions and queries of a workspace, and tables of its own.
CREATE TABLE picket.saved_function (
    workspace_id int         NOT NULL REFERENCES picket.workspace,
    name         text        COLLATE "C" NOT NULL,
    parameters   text        NOT NULL DEFAULT '()',
    body         text        NOT NULL,
    folder       text        NOT NULL DEFAULT '',
    description  text        NOT NULL DEFAULT '',
    changed_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    commit_xid   xid8        NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (workspace_id, name)
);
CREATE TABLE picket.saved_query (
    workspace_id int         NOT NULL REFERENCES picket.workspace,
    name         text        COLLATE "C" NOT NULL,
    query        text        NOT NULL,
    description  text        NOT NULL DEFAULT '',
    changed_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    commit_xid   xid8        NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (workspace_id, name)
);
CREATE TABLE picket.custom_table (
    workspace_id int         NOT NULL REFERENCES picket.workspace,
    name         text        COLLATE "C" NOT NULL CHECK (name ~ '^[A-Za-z][A-Za-z0-9_]{0,59}_CL$'),
    columns      text        NOT NULL, -- "TimeGenerated:datetime,Name:string"
    description  text        NOT NULL DEFAULT '',
    changed_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    commit_xid   xid8        NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (workspace_id, name)
);
CREATE TABLE picket.custom_row (
    workspace_id   int         NOT NULL,
    table_name     text        COLLATE "C" NOT NULL,
    time_generated timestamptz NOT NULL,
    row            jsonb       NOT NULL,
    FOREIGN KEY (workspace_id, table_name) REFERENCES picket.custom_table ON DELETE CASCADE
);
CREATE INDEX custom_row_time ON picket.custom_row (workspace_id, table_name, time_generated);
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['saved_function', 'saved_query', 'custom_table', 'custom_row'] LOOP
        EXECUTE format('ALTER TABLE picket.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY everything ON picket.%I TO picket_owner USING (true) WITH CHECK (true)', name);
        EXECUTE format('CREATE POLICY visible ON picket.%I TO picket_query, picket_admin
            USING (workspace_id = ANY ((SELECT picket.workspaces_visible())::int[]))', name);
        EXECUTE format('GRANT SELECT ON picket.%I TO picket_query', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON picket.%I TO picket_admin', name);
        IF name <> 'custom_row' THEN
            EXECUTE format('CREATE TRIGGER commit_xid BEFORE UPDATE ON picket.%I FOR EACH ROW
                            EXECUTE FUNCTION picket.commit_xid_renew()', name);
        END IF;
    END LOOP;
END $$;
RESET ROLE;
