-- One address against many devices: only addresses that were tried since the last look are looked at, so a look costs what is new and
-- not what a fleet under attack told within two hours.
SET LOCAL ROLE picket_owner;

-- A row for each statement that noted a try; without a key, so that nobody who writes waits for who judges.
CREATE TABLE picket.address_waiting (
    workspace_id int  NOT NULL,
    address      text COLLATE "C" NOT NULL
);
ALTER TABLE picket.address_waiting ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY everything ON picket.address_waiting TO picket_owner USING (true) WITH CHECK (true);
INSERT INTO picket.address_waiting SELECT DISTINCT workspace_id, address FROM picket.address_try;
CREATE INDEX address_try_old ON picket.address_try (workspace_id, last_at);

CREATE FUNCTION picket.address_try_noted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO picket.address_waiting SELECT DISTINCT n.workspace_id, n.address FROM noted n;
    RETURN NULL;
END $$;
CREATE TRIGGER inserted AFTER INSERT ON picket.address_try REFERENCING NEW TABLE AS noted FOR EACH STATEMENT EXECUTE FUNCTION picket.address_try_noted();
CREATE TRIGGER updated AFTER UPDATE ON picket.address_try REFERENCING NEW TABLE AS noted FOR EACH STATEMENT EXECUTE FUNCTION picket.address_try_noted();

CREATE OR REPLACE FUNCTION picket.addresses_judge() RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found  record;
    alerts bigint := 0;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('picket.addresses')) THEN
        RETURN 0;
    END IF;
    FOR found IN
        WITH taken AS (
            DELETE FROM picket.address_waiting w WHERE w.ctid = ANY (ARRAY(SELECT o.ctid FROM picket.address_waiting o LIMIT 100000)) RETURNING w.workspace_id, w.address)
        SELECT n.workspace_id, n.address, t.* FROM (SELECT DISTINCT workspace_id, address FROM taken) n
         CROSS JOIN LATERAL (
            SELECT count(*) AS devices, sum(h.tries)::bigint AS tries, min(h.first_at) AS first_at, max(h.last_at) AS last_at, (array_agg(h.device_id ORDER BY h.device_id))[1:100] AS names
              FROM (SELECT o.*, max(o.last_at) OVER () AS newest_at FROM picket.address_try o WHERE o.workspace_id = n.workspace_id AND o.address = n.address) h
             WHERE h.last_at > h.newest_at - interval '1 hour' HAVING count(*) >= 5) t
         WHERE NOT EXISTS (SELECT 1 FROM picket.alert a WHERE a.workspace_id = n.workspace_id AND a.device_id = '' AND a.rule_id = 'Picket_SpreadBruteForce' AND a.cause = n.address
                            AND a.last_seen_at >= t.last_at)
         ORDER BY 1, 2
    LOOP
        CONTINUE WHEN picket.exception_of(found.workspace_id, '', 'Picket_SpreadBruteForce', found.address, found.last_at) IS NOT NULL;
        INSERT INTO picket.alert AS a (workspace_id, rule_id, cause, severity, title, description, details, reasons, entities, remediation, tactics, techniques, first_seen_at, last_seen_at)
        VALUES (found.workspace_id, 'Picket_SpreadBruteForce', found.address, 'Medium', 'One address tries many devices',
                'Logins from one address failed on five devices or more within an hour.',
                jsonb_build_object('Address', found.address, 'Devices', found.devices, 'Tries', found.tries, 'DeviceIds', to_jsonb(found.names)),
                jsonb_build_array(jsonb_build_object('field', 'RemoteAddress', 'clause', 'logins failed on ' || found.devices || ' devices within an hour', 'value', found.address)),
                jsonb_build_array(jsonb_build_object('Type', 'ip', 'Address', found.address)),
                jsonb_build_array('Block the address in front of the fleet.', 'See whether one of its tries succeeded: picket events, Login, by this address.'),
                'CredentialAccess, LateralMovement', 'T1110.003, T1110.004, T0812', found.first_at, found.last_at)
        ON CONFLICT (workspace_id, device_id, module_id, rule_id, cause) WHERE status <> 'closed' DO UPDATE
           SET repeat_count = a.repeat_count + 1, last_seen_at = excluded.last_seen_at, details = excluded.details, reasons = excluded.reasons;
        alerts := alerts + 1;
    END LOOP;
    DELETE FROM picket.address_try t
     USING (SELECT w.workspace_id, (SELECT max(o.last_at) FROM picket.address_try o WHERE o.workspace_id = w.workspace_id) AS at FROM picket.workspace w) n
     WHERE t.workspace_id = n.workspace_id AND t.last_at < n.at - interval '2 hours';
    RETURN alerts;
END $$;
RESET ROLE;
