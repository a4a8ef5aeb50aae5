-- What detection remembers and raises, and what people say to it.
SET LOCAL ROLE picket_owner;

ALTER TABLE picket.alert
    ADD COLUMN description  text    NOT NULL DEFAULT '',
    ADD COLUMN reasons      jsonb   NOT NULL DEFAULT '[]', -- which clause matched which field of which event, of the newest
    ADD COLUMN entities     jsonb   NOT NULL DEFAULT '[]',
    ADD COLUMN remediation  jsonb   NOT NULL DEFAULT '[]',
    ADD COLUMN tactics      text    NOT NULL DEFAULT '',
    ADD COLUMN techniques   text    NOT NULL DEFAULT '',
    ADD COLUMN hit_count    bigint  NOT NULL DEFAULT 1,    -- events count what they stand for
    ADD COLUMN assignee     text,
    ADD COLUMN closed_at    timestamptz,
    ADD COLUMN closed_as    text CHECK (closed_as IN ('true_positive', 'false_positive', 'benign', 'undetermined')),
    ADD COLUMN found_later  boolean NOT NULL DEFAULT false, -- in events that were stored before the rule or the indicator was known
    ADD COLUMN simulated    boolean NOT NULL DEFAULT false,
    DROP CONSTRAINT alert_status_check,
    ADD CONSTRAINT alert_status_check CHECK (status IN ('open', 'in_progress', 'closed'));
DROP INDEX picket.alert_cause;
CREATE UNIQUE INDEX alert_cause ON picket.alert (workspace_id, device_id, module_id, rule_id, cause) WHERE status <> 'closed';
CREATE INDEX alert_seen ON picket.alert (workspace_id, first_seen_at DESC, alert_id DESC);

-- The events that made an alert, the first hundred of them. They may be dropped before it: whoever looks says so.
CREATE TABLE picket.alert_event (
    workspace_id   int         NOT NULL,
    alert_id       uuid        NOT NULL,
    time_generated timestamptz NOT NULL,
    event_id       uuid        NOT NULL,
    device_id      text        COLLATE "C" NOT NULL,
    PRIMARY KEY (workspace_id, alert_id, time_generated, event_id),
    FOREIGN KEY (workspace_id, alert_id) REFERENCES picket.alert ON DELETE CASCADE
);

CREATE TABLE picket.alert_comment (
    workspace_id int         NOT NULL,
    alert_id     uuid        NOT NULL,
    comment_id   bigint      GENERATED ALWAYS AS IDENTITY,
    author       text        NOT NULL,
    said_at      timestamptz NOT NULL DEFAULT now(),
    body         text        NOT NULL CHECK (length(body) BETWEEN 1 AND 10000),
    PRIMARY KEY (workspace_id, alert_id, comment_id),
    FOREIGN KEY (workspace_id, alert_id) REFERENCES picket.alert ON DELETE CASCADE
);

-- What detections remember of a device, written in the transaction of the batch that taught it: whoever stores its partition next goes
-- on from there. detect/memory.h has its form and its bounds.
CREATE TABLE picket.detect_state (
    workspace_id int  NOT NULL,
    device_id    text COLLATE "C" NOT NULL,
    state        text NOT NULL,
    PRIMARY KEY (workspace_id, device_id)
) WITH (fillfactor = 70);

-- Rules of a workspace's own, and which built-in ones are off there.
CREATE TABLE picket.rule (
    workspace_id int         NOT NULL,
    rule_id      text        COLLATE "C" NOT NULL,
    kind         text        NOT NULL CHECK (kind IN ('builtin', 'sigma')),
    enabled      boolean     NOT NULL DEFAULT true,
    title        text        NOT NULL DEFAULT '',
    severity     text        NOT NULL DEFAULT '',
    source       text,       -- as it was given
    created_at   timestamptz NOT NULL DEFAULT now(),
    changed_at   timestamptz NOT NULL DEFAULT now(),
    commit_xid   xid8        NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (workspace_id, rule_id)
);
CREATE TRIGGER commit_xid BEFORE UPDATE ON picket.rule FOR EACH ROW EXECUTE FUNCTION picket.commit_xid_renew();

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['alert_event', 'alert_comment', 'detect_state', 'rule'] LOOP
        EXECUTE format('ALTER TABLE picket.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY everything ON picket.%I TO picket_owner, picket_store USING (true) WITH CHECK (true)', name);
        CONTINUE WHEN name = 'detect_state';
        EXECUTE format('CREATE POLICY visible ON picket.%I TO picket_query, picket_admin
            USING (workspace_id = ANY ((SELECT picket.workspaces_visible())::int[]))', name);
        EXECUTE format('GRANT SELECT ON picket.%I TO picket_query, picket_admin', name);
    END LOOP;
END $$;
GRANT SELECT, INSERT ON picket.alert_event TO picket_store;
GRANT SELECT, INSERT, UPDATE ON picket.detect_state TO picket_store;
GRANT SELECT ON picket.rule TO picket_store;
GRANT INSERT ON picket.alert_comment TO picket_admin;
GRANT INSERT, UPDATE, DELETE ON picket.rule TO picket_admin;
GRANT UPDATE (status, assignee, closed_at, closed_as) ON picket.alert TO picket_admin;

CREATE OR REPLACE VIEW analytics."SecurityAlert" WITH (security_invoker) AS
SELECT a.last_seen_at AS "TimeGenerated", a.last_seen_at AS "ProcessingEndTime", a.first_seen_at AS "StartTime", a.last_seen_at AS "EndTime",
       a.alert_id::text AS "SystemAlertId", a.alert_id::text AS "VendorOriginalId", a.title AS "AlertName", a.title AS "DisplayName",
       a.severity AS "AlertSeverity", a.rule_id AS "AlertType", coalesce(nullif(a.description, ''), a.cause) AS "Description",
       CASE WHEN a.status = 'open' THEN 'New' WHEN a.status = 'in_progress' THEN 'InProgress'
            WHEN a.closed_as IN ('false_positive', 'benign') THEN 'Dismissed' ELSE 'Resolved' END AS "Status",
       'Azure Security Center for IoT' AS "ProductName", 'Picket' AS "ProductComponentName", 'IoTSecurity' AS "ProviderName",
       'Picket' AS "VendorName", a.device_id AS "CompromisedEntity", a.remediation::text AS "RemediationSteps", false AS "IsIncident",
       (jsonb_build_object('DeviceId', a.device_id, 'ModuleId', a.module_id, 'RepeatCount', a.repeat_count, 'HitCount', a.hit_count,
                           'Cause', a.cause, 'Reasons', a.reasons, 'FoundLater', a.found_later, 'Simulated', a.simulated) || a.details)::text
           AS "ExtendedProperties",
       CASE WHEN a.device_id = '' THEN '[]'
            ELSE (jsonb_build_array(jsonb_build_object('$id', '1', 'Type', 'iotdevice', 'DeviceId', a.device_id)) || a.entities)::text END AS "Entities",
       'SecurityAlert' AS "Type", picket.workspace_guid(a.workspace_id) AS "TenantId",
       a.tactics AS "Tactics", coalesce((SELECT jsonb_agg(t) FROM unnest(string_to_array(a.techniques, ', ')) t WHERE t !~ '[.]')::text, '[]') AS "Techniques",
       coalesce((SELECT jsonb_agg(t) FROM unnest(string_to_array(a.techniques, ', ')) t WHERE t ~ '[.]')::text, '[]') AS "SubTechniques",
       a.device_id AS "SourceComputerId"
  FROM picket.alert a;
RESET ROLE;
