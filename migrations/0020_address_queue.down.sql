SET LOCAL ROLE picket_owner;
DROP TRIGGER inserted ON picket.address_try;
DROP TRIGGER updated ON picket.address_try;
DROP FUNCTION picket.address_try_noted();
DROP TABLE picket.address_waiting;
DROP INDEX picket.address_try_old;
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
        SELECT t.workspace_id, t.address, count(*) AS devices, sum(t.tries)::bigint AS tries, min(t.first_at) AS first_at, max(t.last_at) AS last_at,
               jsonb_agg(t.device_id ORDER BY t.device_id) AS names
          FROM picket.address_try t
          JOIN (SELECT workspace_id, address, max(last_at) AS at FROM picket.address_try GROUP BY 1, 2 HAVING count(*) >= 5) n USING (workspace_id, address)
         WHERE t.last_at > n.at - interval '1 hour' GROUP BY 1, 2 HAVING count(*) >= 5
           AND NOT EXISTS (SELECT 1 FROM picket.alert a WHERE a.workspace_id = t.workspace_id AND a.device_id = '' AND a.rule_id = 'Picket_SpreadBruteForce' AND a.cause = t.address
                            AND a.last_seen_at >= max(t.last_at))
         ORDER BY 1, 2 LIMIT 1000
    LOOP
        CONTINUE WHEN picket.exception_of(found.workspace_id, '', 'Picket_SpreadBruteForce', found.address, found.last_at) IS NOT NULL;
        INSERT INTO picket.alert AS a (workspace_id, rule_id, cause, severity, title, description, details, reasons, entities, remediation, tactics, techniques, first_seen_at, last_seen_at)
        VALUES (found.workspace_id, 'Picket_SpreadBruteForce', found.address, 'Medium', 'One address tries many devices',
                'Logins from one address failed on five devices or more within an hour.',
                jsonb_build_object('Address', found.address, 'Devices', found.devices, 'Tries', found.tries, 'DeviceIds', jsonb_path_query_array(found.names, '$[0 to 99]')),
                jsonb_build_array(jsonb_build_object('field', 'RemoteAddress', 'clause', 'logins failed on ' || found.devices || ' devices within an hour', 'value', found.address)),
                jsonb_build_array(jsonb_build_object('Type', 'ip', 'Address', found.address)),
                jsonb_build_array('Block the address in front of the fleet.', 'See whether one of its tries succeeded: picket events, Login, by this address.'),
                'CredentialAccess, LateralMovement', 'T1110.003, T1110.004, T0812', found.first_at, found.last_at)
        ON CONFLICT (workspace_id, device_id, module_id, rule_id, cause) WHERE status <> 'closed' DO UPDATE
           SET repeat_count = a.repeat_count + 1, last_seen_at = excluded.last_seen_at, details = excluded.details, reasons = excluded.reasons;
        alerts := alerts + 1;
    END LOOP;
    DELETE FROM picket.address_try t USING (SELECT workspace_id, max(last_at) AS at FROM picket.address_try GROUP BY 1) n
     WHERE t.workspace_id = n.workspace_id AND t.last_at < n.at - interval '2 hours';
    RETURN alerts;
END $$;
RESET ROLE;
