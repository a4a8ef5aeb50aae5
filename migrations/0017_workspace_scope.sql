-- What is judged over all devices of a workspace, or by what its operators do: in turn, beside the batches that store events.
SET LOCAL ROLE picket_owner;

-- Matches that count towards a Sigma correlation that is not grouped by the device. They come with the events, in their transaction, and
-- are judged within the second: see store/correlations.c. Those that completed an alert go; the others, when their time is over.
CREATE TABLE picket.correlation_hit (
    hit_id       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workspace_id int         NOT NULL,
    rule_id      text        COLLATE "C" NOT NULL,
    group_key    text        COLLATE "C" NOT NULL,
    value        text        COLLATE "C" NOT NULL,
    device_id    text        COLLATE "C" NOT NULL,
    module_id    text        COLLATE "C" NOT NULL,
    event_id     uuid        NOT NULL,
    received_at  timestamptz NOT NULL,
    at           timestamptz NOT NULL,
    hits         bigint      NOT NULL,
    keep_until   timestamptz NOT NULL,
    judged       boolean     NOT NULL DEFAULT false
) WITH (fillfactor = 80);
CREATE INDEX correlation_hit_group ON picket.correlation_hit (workspace_id, rule_id, group_key, at DESC, hit_id DESC);
CREATE INDEX correlation_hit_device ON picket.correlation_hit (workspace_id, rule_id, device_id, at DESC, hit_id DESC);
CREATE INDEX correlation_hit_fresh ON picket.correlation_hit (workspace_id, rule_id, group_key) WHERE NOT judged;
CREATE INDEX correlation_hit_over ON picket.correlation_hit (keep_until) WHERE judged;

ALTER TABLE picket.correlation_hit ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY everything ON picket.correlation_hit TO picket_owner, picket_store USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON picket.correlation_hit TO picket_store;

-- A device keeps its newest 2,000 of a correlation: one that makes them up loses its own oldest, and nobody else's.
CREATE FUNCTION picket.correlation_hits_trim() RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DELETE FROM picket.correlation_hit h
     USING (SELECT DISTINCT workspace_id, rule_id, device_id FROM picket.correlation_hit WHERE NOT judged) f
     CROSS JOIN LATERAL (SELECT o.at, o.hit_id FROM picket.correlation_hit o
                          WHERE o.workspace_id = f.workspace_id AND o.rule_id = f.rule_id AND o.device_id = f.device_id
                          ORDER BY o.at DESC, o.hit_id DESC OFFSET 1999 LIMIT 1) last
     WHERE h.workspace_id = f.workspace_id AND h.rule_id = f.rule_id AND h.device_id = f.device_id AND (h.at, h.hit_id) < (last.at, last.hit_id);
    DELETE FROM picket.correlation_hit WHERE judged AND keep_until < (SELECT max(last_seen_at) FROM picket.device_activity WHERE device_id <> '')
$$;
REVOKE ALL ON FUNCTION picket.correlation_hits_trim() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION picket.correlation_hits_trim() TO picket_store;

-- What operators and devices do beside sending events, where a custom rule counts it. It waits here for picket.custom_waiting_judge(), so that a
-- command never waits for an alert.
CREATE TABLE picket.custom_waiting (
    workspace_id int         NOT NULL,
    device_id    text        COLLATE "C" NOT NULL,
    rule_type    text        COLLATE "C" NOT NULL,
    at           timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE picket.custom_waiting ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY everything ON picket.custom_waiting TO picket_owner USING (true) WITH CHECK (true);

-- AFTER a row's change: the trigger's argument is the type of rule that counts it.
CREATE FUNCTION picket.custom_happened() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    happened text := TG_ARGV[0];
BEGIN
    IF TG_TABLE_NAME = 'cloud_message' THEN
        happened := CASE NEW.settled_by WHEN 'https' THEN 'Http' WHEN 'mqtt' THEN 'Mqtt' END || happened;
    END IF;
    INSERT INTO picket.custom_waiting (workspace_id, device_id, rule_type)
    SELECT NEW.workspace_id, NEW.device_id, happened || 'NotInAllowedRange'
     WHERE EXISTS (SELECT FROM picket.custom_rule r WHERE r.workspace_id = NEW.workspace_id AND r.rule_type = happened || 'NotInAllowedRange' AND r.enabled);
    RETURN NULL;
END $$;

-- How a message ended: over which transport the device completed or rejected it.
ALTER TABLE picket.cloud_message ADD COLUMN settled_by text;
DROP FUNCTION picket.cloud_settle(int, text, uuid, text);
CREATE FUNCTION picket.cloud_settle(workspace int, device text, token uuid, outcome text, transport text DEFAULT NULL) RETURNS bool
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE picket.cloud_message m
       SET state = outcome, lock_token = NULL, locked_until = NULL, ended_at = CASE WHEN outcome <> 'queued' THEN now() END,
           settled_by = CASE WHEN outcome <> 'queued' THEN transport END
     WHERE m.workspace_id = workspace AND m.device_id = device AND m.lock_token = token AND m.state = 'locked';
    RETURN FOUND;
END $$;
REVOKE ALL ON FUNCTION picket.cloud_settle(int, text, uuid, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION picket.cloud_settle(int, text, uuid, text, text) TO picket_ingest;

CREATE TRIGGER counted AFTER INSERT ON picket.method_call FOR EACH ROW EXECUTE FUNCTION picket.custom_happened('DirectMethodInvokes');
CREATE TRIGGER counted_reported AFTER UPDATE OF reported ON picket.twin FOR EACH ROW EXECUTE FUNCTION picket.custom_happened('TwinUpdates');
CREATE TRIGGER counted_desired AFTER UPDATE OF desired ON picket.twin FOR EACH ROW EXECUTE FUNCTION picket.custom_happened('TwinUpdates');
CREATE TRIGGER counted_made AFTER INSERT ON picket.twin FOR EACH ROW WHEN (NEW.desired <> '{}') EXECUTE FUNCTION picket.custom_happened('TwinUpdates');
CREATE TRIGGER counted_tags AFTER UPDATE OF tags ON picket.device FOR EACH ROW WHEN (NEW.tags IS DISTINCT FROM OLD.tags)
    EXECUTE FUNCTION picket.custom_happened('TwinUpdates');
CREATE TRIGGER counted_completed AFTER UPDATE OF settled_by ON picket.cloud_message FOR EACH ROW WHEN (NEW.state = 'completed' AND NEW.settled_by IS NOT NULL)
    EXECUTE FUNCTION picket.custom_happened('C2DMessages');
CREATE TRIGGER counted_rejected AFTER UPDATE OF settled_by ON picket.cloud_message FOR EACH ROW WHEN (NEW.state = 'rejected' AND NEW.settled_by IS NOT NULL)
    EXECUTE FUNCTION picket.custom_happened('C2DRejectedMessages');

-- All that wait for a device are taken back at once: how many.
CREATE FUNCTION picket.cloud_purge(workspace int, device text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    purged bigint;
BEGIN
    IF NOT workspace = ANY ((SELECT picket.workspaces_visible())::int[]) THEN
        RETURN 0;
    END IF;
    UPDATE picket.cloud_message m SET state = 'cancelled', ended_at = now() WHERE m.workspace_id = workspace AND m.device_id = device AND m.state = 'queued';
    GET DIAGNOSTICS purged = ROW_COUNT;
    INSERT INTO picket.custom_waiting (workspace_id, device_id, rule_type)
    SELECT workspace, device, r.rule_type FROM picket.custom_rule r
     WHERE r.workspace_id = workspace AND r.rule_type = 'QueuePurgesNotInAllowedRange' AND r.enabled LIMIT 1;
    RETURN purged;
END $$;
REVOKE ALL ON FUNCTION picket.cloud_purge(int, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION picket.cloud_purge(int, text) TO picket_admin;

-- Each second, of what waits, as much as one turn takes.
CREATE FUNCTION picket.custom_waiting_judge() RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    seen picket.custom_seen[];
BEGIN
    WITH taken AS (
        DELETE FROM picket.custom_waiting w WHERE w.ctid IN (SELECT o.ctid FROM picket.custom_waiting o LIMIT 10000 FOR UPDATE SKIP LOCKED) RETURNING w.*)
    SELECT array_agg(ROW(t.workspace_id, t.device_id, '', t.rule_type, '', 1, t.at, NULL, t.at)::picket.custom_seen) INTO seen FROM taken t;
    IF seen IS NOT NULL THEN
        PERFORM picket.custom_judge(seen);
    END IF;
    RETURN coalesce(cardinality(seen), 0);
END $$;
REVOKE ALL ON FUNCTION picket.custom_waiting_judge() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION picket.custom_waiting_judge() TO picket_store;
RESET ROLE;
