-- What people say an alert is not, and what alerts belong together.
SET LOCAL ROLE picket_owner;

-- One mechanism for all that is found: what it hides is counted here, and nowhere lost.
CREATE TABLE picket.exception (
    workspace_id   int         NOT NULL,
    exception_id   uuid        NOT NULL DEFAULT gen_random_uuid(),
    subject        text        NOT NULL DEFAULT 'alert' CHECK (subject IN ('alert', 'recommendation', 'vulnerability')),
    rule_id        text,       -- NULL: any
    cause          text,       -- with stars; NULL: any
    scope          text        NOT NULL CHECK (scope IN ('workspace', 'group', 'firmware', 'device')),
    scope_value    text        COLLATE "C", -- the group, the firmware, the device; NULL for a workspace
    reason         text        NOT NULL CHECK (length(reason) BETWEEN 1 AND 2000),
    owner          text        NOT NULL CHECK (length(owner) BETWEEN 1 AND 200),
    expires_at     timestamptz,
    created_at     timestamptz NOT NULL DEFAULT now(),
    hidden_count   bigint      NOT NULL DEFAULT 0,
    last_hidden_at timestamptz,
    PRIMARY KEY (workspace_id, exception_id),
    CHECK ((scope = 'workspace') = (scope_value IS NULL))
);

-- Whether an exception of these terms covers what was found on a device.
CREATE FUNCTION picket.exception_covers(wanted_rule text, wanted_cause text, wanted_scope text, wanted_value text,
                                        workspace int, device text, rule text, found_cause text) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT (wanted_rule IS NULL OR wanted_rule = rule)
       AND (wanted_cause IS NULL
            OR found_cause LIKE replace(replace(replace(replace(wanted_cause, '\', '\\'), '%', '\%'), '_', '\_'), '*', '%'))
       AND CASE wanted_scope WHEN 'workspace' THEN true WHEN 'device' THEN device = wanted_value
                ELSE EXISTS (SELECT 1 FROM picket.device d WHERE d.workspace_id = workspace AND d.device_id = device
                                AND (d.tags ->> wanted_scope = wanted_value
                                     OR (wanted_scope = 'group' AND d.tags ->> 'SecurityGroup' = wanted_value))) END
$$;
-- The exception that hides it, the oldest where several do; NULL: none.
CREATE FUNCTION picket.exception_of(workspace int, device text, rule text, found_cause text, at timestamptz) RETURNS uuid
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT x.exception_id FROM picket.exception x
     WHERE x.workspace_id = workspace AND x.subject = 'alert' AND (x.expires_at IS NULL OR x.expires_at > at)
       AND picket.exception_covers(x.rule_id, x.cause, x.scope, x.scope_value, workspace, device, rule, found_cause)
     ORDER BY x.created_at, x.exception_id LIMIT 1
$$;

CREATE TABLE picket.incident (
    workspace_id  int         NOT NULL,
    incident_id   bigint      GENERATED ALWAYS AS IDENTITY,
    title         text        NOT NULL,
    severity      text        NOT NULL,
    status        text        NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'in_progress', 'closed')),
    assignee      text,
    closed_as     text        CHECK (closed_as IN ('true_positive', 'false_positive', 'benign', 'undetermined')),
    closed_at     timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    changed_at    timestamptz NOT NULL DEFAULT now(),
    first_seen_at timestamptz NOT NULL,
    last_seen_at  timestamptz NOT NULL,
    alert_count   int         NOT NULL DEFAULT 0,
    device_count  int         NOT NULL DEFAULT 0,
    simulated     boolean     NOT NULL DEFAULT false,
    commit_xid    xid8        NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (workspace_id, incident_id)
);
CREATE TRIGGER commit_xid BEFORE UPDATE ON picket.incident FOR EACH ROW EXECUTE FUNCTION picket.commit_xid_renew();
ALTER TABLE picket.alert ADD COLUMN incident_id bigint, ADD COLUMN incident_reason text;
CREATE INDEX alert_incident ON picket.alert (workspace_id, incident_id);
CREATE INDEX alert_ungrouped ON picket.alert (first_seen_at) WHERE incident_id IS NULL AND device_id <> '';
-- What an open incident is known by: its devices, and what its alerts name that other devices' may name as well.
CREATE TABLE picket.incident_mark (
    workspace_id int         NOT NULL,
    incident_id  bigint      NOT NULL,
    kind         text        NOT NULL, -- device, ip, dns, filehash, url
    value        text        COLLATE "C" NOT NULL,
    last_at      timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, kind, value, incident_id),
    FOREIGN KEY (workspace_id, incident_id) REFERENCES picket.incident ON DELETE CASCADE
);

-- Puts alerts that have no incident into one, oldest first: that of another device which names the same address, name, hash or URL
-- within a day; else that of the same device within two hours; else a new one. Then what changed about incidents is written into
-- them. How many alerts were grouped. One at a time does it.
CREATE FUNCTION picket.incidents_group(limit_rows int) RETURNS int
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    a      record;
    mark   record;
    chosen bigint;
    why    text;
    done   int := 0;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('picket.incidents')) THEN
        RETURN 0;
    END IF;
    FOR a IN SELECT * FROM picket.alert WHERE incident_id IS NULL AND device_id <> '' ORDER BY first_seen_at, workspace_id, device_id, rule_id, cause, alert_id LIMIT limit_rows FOR UPDATE SKIP LOCKED LOOP
        chosen := NULL;
        FOR mark IN SELECT e ->> 'Type' AS kind, coalesce(e ->> 'Address', e ->> 'DomainName', e ->> 'Value', e ->> 'Url') AS value
                      FROM jsonb_array_elements(a.entities) e WHERE e ->> 'Type' IN ('ip', 'dns', 'filehash', 'url') LOOP
            SELECT m.incident_id INTO chosen FROM picket.incident_mark m JOIN picket.incident i USING (workspace_id, incident_id)
             WHERE m.workspace_id = a.workspace_id AND m.kind = mark.kind AND m.value = mark.value AND i.status <> 'closed'
               AND m.last_at > a.first_seen_at - interval '1 day' ORDER BY m.last_at DESC LIMIT 1;
            IF chosen IS NOT NULL THEN
                why := 'names ' || mark.value || ' as well';
                EXIT;
            END IF;
        END LOOP;
        IF chosen IS NULL THEN
            SELECT m.incident_id INTO chosen FROM picket.incident_mark m JOIN picket.incident i USING (workspace_id, incident_id)
             WHERE m.workspace_id = a.workspace_id AND m.kind = 'device' AND m.value = a.device_id AND i.status <> 'closed'
               AND m.last_at > a.first_seen_at - interval '2 hours' ORDER BY m.last_at DESC LIMIT 1;
            why := 'same device within two hours';
        END IF;
        IF chosen IS NULL THEN
            INSERT INTO picket.incident (workspace_id, title, severity, first_seen_at, last_seen_at, simulated)
            VALUES (a.workspace_id, a.title, a.severity, a.first_seen_at, a.last_seen_at, a.simulated) RETURNING incident_id INTO chosen;
            why := 'the first';
        END IF;
        UPDATE picket.alert SET incident_id = chosen, incident_reason = why WHERE workspace_id = a.workspace_id AND alert_id = a.alert_id;
        INSERT INTO picket.incident_mark AS m (workspace_id, incident_id, kind, value, last_at)
        SELECT a.workspace_id, chosen, 'device', a.device_id, a.last_seen_at
         UNION SELECT a.workspace_id, chosen, e ->> 'Type', left(coalesce(e ->> 'Address', e ->> 'DomainName', e ->> 'Value', e ->> 'Url'), 1000), a.last_seen_at
                 FROM jsonb_array_elements(a.entities) e
                WHERE e ->> 'Type' IN ('ip', 'dns', 'filehash', 'url') AND coalesce(e ->> 'Address', e ->> 'DomainName', e ->> 'Value', e ->> 'Url') <> ''
        ON CONFLICT (workspace_id, kind, value, incident_id) DO UPDATE SET last_at = greatest(m.last_at, excluded.last_at);
        UPDATE picket.incident i
           SET alert_count = i.alert_count + 1, changed_at = now(),
               device_count = (SELECT count(*) FROM picket.incident_mark m WHERE m.workspace_id = i.workspace_id AND m.incident_id = i.incident_id AND m.kind = 'device'),
               severity = CASE WHEN array_position(ARRAY['Informational', 'Low', 'Medium', 'High'], a.severity) > array_position(ARRAY['Informational', 'Low', 'Medium', 'High'], i.severity)
                               THEN a.severity ELSE i.severity END,
               title = CASE WHEN array_position(ARRAY['Informational', 'Low', 'Medium', 'High'], a.severity) > array_position(ARRAY['Informational', 'Low', 'Medium', 'High'], i.severity)
                            THEN a.title ELSE i.title END,
               first_seen_at = least(i.first_seen_at, a.first_seen_at), last_seen_at = greatest(i.last_seen_at, a.last_seen_at)
         WHERE i.workspace_id = a.workspace_id AND i.incident_id = chosen;
        done := done + 1;
    END LOOP;
    -- An incident whose alerts are all closed has nothing left to do.
    UPDATE picket.incident i SET status = 'closed', closed_at = now(), closed_as = coalesce(i.closed_as, 'undetermined'), changed_at = now()
     WHERE i.status <> 'closed' AND i.alert_count > 0
       AND NOT EXISTS (SELECT 1 FROM picket.alert o WHERE o.workspace_id = i.workspace_id AND o.incident_id = i.incident_id AND o.status <> 'closed');
    RETURN done;
END $$;
REVOKE ALL ON FUNCTION picket.incidents_group(int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION picket.incidents_group(int) TO picket_store;

-- Devices of whom nothing was heard for three days, by the newest receipt of all: while nothing arrives at all, it is not they who are silent.
CREATE FUNCTION picket.silent_devices() RETURNS TABLE (workspace_id int, device_id text, last_seen_at timestamptz, newest_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH newest AS (SELECT max(last_seen_at) AS at FROM picket.device_activity WHERE device_id <> ''),
         seen AS (SELECT a.workspace_id, a.device_id, max(a.last_seen_at) AS at FROM picket.device_activity a WHERE a.device_id <> '' AND a.message_count > 0 GROUP BY 1, 2)
    SELECT s.workspace_id, s.device_id, s.at, n.at FROM seen s CROSS JOIN newest n
      JOIN picket.device d ON d.workspace_id = s.workspace_id AND d.device_id = s.device_id AND d.module_id = '' AND d.status = 'enabled'
     WHERE s.at < n.at - interval '72 hours'
$$;
REVOKE ALL ON FUNCTION picket.silent_devices() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION picket.silent_devices() TO picket_store;

-- What operators do to certificate authorities is an alert as well, by the ids that clients know.
CREATE FUNCTION picket.audit_alert() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO picket.alert AS a (workspace_id, rule_id, cause, severity, title, description, details, remediation, tactics, techniques, first_seen_at, last_seen_at)
    SELECT NEW.workspace_id, CASE NEW.action WHEN 'authority.create' THEN 'IoT_CertificateSuccessfullyAddedToHub' ELSE 'IoT_CertificateSuccessfullyDeletedFromHub' END, NEW.target,
           'Medium', CASE NEW.action WHEN 'authority.create' THEN 'A certificate authority was added' ELSE 'A certificate authority was removed' END,
           'Whoever has its key decides which devices are let in.', jsonb_build_object('Actor', NEW.actor, 'Authority', NEW.target),
           jsonb_build_array('Confirm with who keeps the authorities that this was meant.', 'If it was not, undo it, and take the token back that did it.'),
           'Persistence', 'T1553.004, T1098', NEW.at, NEW.at
     WHERE picket.exception_of(NEW.workspace_id, '', CASE NEW.action WHEN 'authority.create' THEN 'IoT_CertificateSuccessfullyAddedToHub'
                                                     ELSE 'IoT_CertificateSuccessfullyDeletedFromHub' END, NEW.target, NEW.at) IS NULL
    ON CONFLICT (workspace_id, device_id, module_id, rule_id, cause) WHERE status <> 'closed' DO UPDATE
       SET repeat_count = a.repeat_count + 1, last_seen_at = excluded.last_seen_at, details = excluded.details;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION picket.audit_alert() FROM PUBLIC;
CREATE TRIGGER alert AFTER INSERT ON picket.audit FOR EACH ROW WHEN (NEW.action IN ('authority.create', 'authority.delete')) EXECUTE FUNCTION picket.audit_alert();

-- The last round of the canaries: how many detections were tried, which did not find what they must, and how long it took from a message's
-- acknowledgement to its alert.
CREATE TABLE picket.canary (
    workspace_id int         NOT NULL PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT now(),
    tried        int         NOT NULL CHECK (tried >= 0),
    silent       text[]      NOT NULL,
    p50_ms       int         NOT NULL,
    p99_ms       int         NOT NULL,
    longest_ms   int         NOT NULL
);

-- Keeps a round; each detection that was silent is an alert of the workspace, and that alert ends when it is heard again. The alerts of the
-- device that was the canary have done their work.
CREATE FUNCTION picket.canary_keep(workspace int, device text, tried int, silent text[], p50_ms int, p99_ms int, longest_ms int) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO picket.canary AS c (workspace_id, at, tried, silent, p50_ms, p99_ms, longest_ms) VALUES (workspace, now(), tried, silent, p50_ms, p99_ms, longest_ms)
    ON CONFLICT (workspace_id) DO UPDATE SET at = excluded.at, tried = excluded.tried, silent = excluded.silent,
       p50_ms = excluded.p50_ms, p99_ms = excluded.p99_ms, longest_ms = excluded.longest_ms;
    UPDATE picket.alert a SET status = 'closed', closed_as = 'benign', closed_at = now()
     WHERE a.workspace_id = workspace AND a.device_id = device AND device <> '' AND a.simulated AND a.status <> 'closed';
    UPDATE picket.alert a SET status = 'closed', closed_as = 'true_positive', closed_at = now()
     WHERE a.workspace_id = workspace AND a.rule_id = 'canary.silent' AND a.status <> 'closed' AND a.cause <> ALL (silent);
    INSERT INTO picket.alert AS a (workspace_id, rule_id, cause, severity, title, description, details, remediation, tactics, techniques, first_seen_at, last_seen_at)
    SELECT workspace, 'canary.silent', s, 'High', 'A detection is silent', 'A canary sent what this detection must find, and no alert came of it.',
           jsonb_build_object('Rule', s), jsonb_build_array('Look at /readyz and at the metrics of judging.', 'See whether an exception hides the detection everywhere.'),
           'DefenseEvasion', 'T1562.006', now(), now() FROM unnest(silent) s
    ON CONFLICT (workspace_id, device_id, module_id, rule_id, cause) WHERE status <> 'closed' DO UPDATE
       SET repeat_count = a.repeat_count + 1, last_seen_at = excluded.last_seen_at;
END $$;
REVOKE ALL ON FUNCTION picket.canary_keep(int, text, int, text[], int, int, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION picket.canary_keep(int, text, int, text[], int, int, int) TO picket_admin;

-- Takes the simulated devices away with all that was stored of them. What the hours count is counted anew from what stays.
CREATE FUNCTION picket.simulation_remove(workspaces int[]) RETURNS TABLE (devices bigint, alerts bigint, events bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    gone  record;
    hours timestamptz[];
BEGIN
    devices := 0; alerts := 0; events := 0;
    LOCK TABLE picket.event_hour IN EXCLUSIVE MODE; -- who stores now waits for its end, and is waited for
    FOR gone IN SELECT d.workspace_id, d.device_id FROM picket.device d
                 WHERE d.workspace_id = ANY (workspaces) AND d.module_id = '' AND d.tags ->> 'simulated' = 'true' LOOP
        WITH removed AS (DELETE FROM picket.raw_event r WHERE r.workspace_id = gone.workspace_id AND r.device_id = gone.device_id RETURNING r.time_generated)
        SELECT events + count(*), array_agg(DISTINCT date_trunc('hour', time_generated)) INTO events, hours FROM removed;
        DELETE FROM picket.event_hour h WHERE h.workspace_id = gone.workspace_id AND h.hour = ANY (hours);
        INSERT INTO picket.event_hour
        SELECT r.workspace_id, date_trunc('hour', r.time_generated), r.bus_topic_id, r.bus_partition,
               substr(sha256(convert_to(jsonb_build_array(r.type, r.category, r.name)::text, 'UTF8')), 1, 16), r.type, r.category, r.name,
               count(*), sum(r.hit_count), min(r.time_generated), max(r.time_generated)
          FROM unnest(hours) AS w (hour) JOIN picket.raw_event r ON r.time_generated >= w.hour AND r.time_generated < w.hour + interval '1 hour'
         WHERE r.workspace_id = gone.workspace_id GROUP BY r.workspace_id, 2, r.bus_topic_id, r.bus_partition, r.type, r.category, r.name;
        WITH removed AS (DELETE FROM picket.alert a WHERE a.workspace_id = gone.workspace_id AND a.device_id = gone.device_id RETURNING 1)
        SELECT alerts + count(*) INTO alerts FROM removed;
        DELETE FROM picket.message m WHERE m.workspace_id = gone.workspace_id AND m.device_id = gone.device_id;
        DELETE FROM picket.device_activity a WHERE a.workspace_id = gone.workspace_id AND a.device_id = gone.device_id;
        DELETE FROM picket.ledger l WHERE l.workspace_id = gone.workspace_id AND l.device_id = gone.device_id;
        DELETE FROM picket.detect_state s WHERE s.workspace_id = gone.workspace_id AND s.device_id = gone.device_id;
        DELETE FROM picket.observable o WHERE o.workspace_id = gone.workspace_id AND o.device_id = gone.device_id;
        UPDATE picket.device d SET status = 'deleted', changed_at = now(), tags = d.tags - 'simulated' -- there is nothing left to remove
         WHERE d.workspace_id = gone.workspace_id AND d.device_id = gone.device_id;
        devices := devices + 1;
    END LOOP;
    DELETE FROM picket.incident i WHERE i.workspace_id = ANY (workspaces) AND i.simulated
       AND NOT EXISTS (SELECT 1 FROM picket.alert o WHERE o.workspace_id = i.workspace_id AND o.incident_id = i.incident_id);
    DELETE FROM picket.feed f WHERE f.workspace_id = ANY (workspaces) AND f.name = 'simulated';
    RETURN NEXT;
END $$;
REVOKE ALL ON FUNCTION picket.simulation_remove(int[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION picket.simulation_remove(int[]) TO picket_admin;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['exception', 'incident', 'canary'] LOOP
        EXECUTE format('ALTER TABLE picket.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY everything ON picket.%I TO picket_owner, picket_store USING (true) WITH CHECK (true)', name);
        EXECUTE format('CREATE POLICY visible ON picket.%I TO picket_query, picket_admin
            USING (workspace_id = ANY ((SELECT picket.workspaces_visible())::int[]))', name);
        EXECUTE format('GRANT SELECT ON picket.%I TO picket_query, picket_admin', name);
    END LOOP;
END $$;
ALTER TABLE picket.incident_mark ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY everything ON picket.incident_mark TO picket_owner USING (true) WITH CHECK (true);
GRANT SELECT, UPDATE ON picket.exception TO picket_store;
GRANT INSERT, DELETE ON picket.exception TO picket_admin;
GRANT UPDATE (status, assignee, closed_as, closed_at, changed_at) ON picket.incident TO picket_admin;

CREATE VIEW analytics."SecurityIncident" WITH (security_invoker) AS
SELECT i.changed_at AS "TimeGenerated", i.created_at AS "CreatedTime", i.changed_at AS "LastModifiedTime", i.first_seen_at AS "FirstActivityTime",
       i.last_seen_at AS "LastActivityTime", i.closed_at AS "ClosedTime", i.incident_id::text AS "IncidentName", i.incident_id::int AS "IncidentNumber", i.title AS "Title",
       i.title AS "Description", i.severity AS "Severity", CASE i.status WHEN 'open' THEN 'New' WHEN 'in_progress' THEN 'Active' ELSE 'Closed' END AS "Status",
       CASE i.closed_as WHEN 'true_positive' THEN 'TruePositive' WHEN 'false_positive' THEN 'FalsePositive' WHEN 'benign' THEN 'BenignPositive'
                        WHEN 'undetermined' THEN 'Undetermined' ELSE '' END AS "Classification",
       jsonb_build_object('assignedTo', i.assignee) AS "Owner", 'Picket' AS "ProviderName", i.incident_id::text AS "ProviderIncidentId", 'Picket' AS "SourceSystem",
       coalesce((SELECT jsonb_agg(a.alert_id ORDER BY a.first_seen_at, a.alert_id) FROM picket.alert a WHERE a.workspace_id = i.workspace_id AND a.incident_id = i.incident_id), '[]') AS "AlertIds",
       coalesce((SELECT jsonb_agg(DISTINCT a.rule_id) FROM picket.alert a WHERE a.workspace_id = i.workspace_id AND a.incident_id = i.incident_id), '[]') AS "RelatedAnalyticRuleIds",
       jsonb_build_object('alertsCount', i.alert_count, 'devicesCount', i.device_count, 'simulated', i.simulated) AS "AdditionalData",
       'SecurityIncident' AS "Type", picket.workspace_guid(i.workspace_id) AS "TenantId"
  FROM picket.incident i;
GRANT SELECT ON analytics."SecurityIncident" TO picket_query;
RESET ROLE;
