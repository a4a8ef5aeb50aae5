SET LOCAL ROLE picket_owner;
DROP VIEW analytics."SecurityAlert";
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
GRANT SELECT ON analytics."SecurityAlert" TO picket_query;
DROP TABLE picket.rule, picket.detect_state, picket.alert_comment, picket.alert_event;
REVOKE UPDATE (assignee, closed_at, closed_as) ON picket.alert FROM picket_admin;
DROP INDEX picket.alert_seen, picket.alert_cause;
UPDATE picket.alert SET status = 'open' WHERE status = 'in_progress';
ALTER TABLE picket.alert
    DROP COLUMN description, DROP COLUMN reasons, DROP COLUMN entities, DROP COLUMN remediation, DROP COLUMN tactics, DROP COLUMN techniques,
    DROP COLUMN hit_count, DROP COLUMN assignee, DROP COLUMN closed_at, DROP COLUMN closed_as, DROP COLUMN found_later, DROP COLUMN simulated,
    DROP CONSTRAINT alert_status_check,
    ADD CONSTRAINT alert_status_check CHECK (status IN ('open', 'closed'));
CREATE UNIQUE INDEX alert_cause ON picket.alert (workspace_id, device_id, module_id, rule_id, cause) WHERE status = 'open';
RESET ROLE;
