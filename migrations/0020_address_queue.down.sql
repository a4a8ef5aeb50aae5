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
CREATE OR REPLACE FUNCTION picket.custom_judge(seen picket.custom_seen[], OUT opened bigint, OUT repeated bigint, OUT dropped bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found record;
    alert uuid;
BEGIN
    opened := 0; repeated := 0; dropped := 0;
    FOR found IN
        SELECT row_number() OVER (PARTITION BY s.workspace_id, s.device_id ORDER BY s.module_id, s.rule_type, s.value) AS number, s.workspace_id, s.device_id, s.module_id, s.rule_type, s.value, r.denies, r.security_group, sum(s.hits)::bigint AS times, min(s.at) AS first_at, max(s.at) AS last_at,
               (array_agg(s.event_id))[1:20] AS events, (array_agg(s.received_at))[1:20] AS receiveds
          FROM unnest(seen) s LEFT JOIN picket.device d ON d.workspace_id = s.workspace_id AND d.device_id = s.device_id AND d.module_id = ''
          JOIN picket.custom_rule r ON r.workspace_id = s.workspace_id AND r.rule_type = s.rule_type AND r.enabled AND r.denies IS NOT NULL
           AND r.security_group = coalesce(d.tags ->> 'SecurityGroup', 'default')
         WHERE picket.custom_in_list(s.value, r.list_values, r.rule_type) = r.denies
         GROUP BY s.workspace_id, s.device_id, s.module_id, s.rule_type, s.value, r.denies, r.security_group
         ORDER BY s.workspace_id, s.device_id, s.module_id, s.rule_type, s.value
    LOOP
        IF found.number > 500 THEN -- a device that makes names up; see FINDINGS_OF_DEVICE_MAX
            dropped := dropped + 1;
            CONTINUE;
        END IF;
        alert := picket.custom_raise(found.workspace_id, found.device_id, found.module_id, 'IoT_CA_' || found.rule_type, found.value,
                                     CASE WHEN found.denies THEN 'On the list of what is not allowed: ' ELSE 'Not on the list of what is allowed: ' END || found.value,
                                     jsonb_build_object('SecurityGroup', found.security_group, 'Value', found.value), found.times, found.first_at, found.last_at);
        CONTINUE WHEN alert IS NULL;
        INSERT INTO picket.alert_event (workspace_id, alert_id, time_generated, event_id, device_id)
        SELECT found.workspace_id, alert, e.received_at, e.event_id, found.device_id FROM unnest(found.events, found.receiveds) AS e (event_id, received_at) ON CONFLICT DO NOTHING;
        IF (SELECT a.repeat_count > found.times FROM picket.alert a WHERE a.workspace_id = found.workspace_id AND a.alert_id = alert) THEN
            repeated := repeated + 1;
        ELSE
            opened := opened + 1;
        END IF;
    END LOOP;
    FOR found IN
        WITH counted AS (
            SELECT s.workspace_id, s.device_id, s.rule_type, r.security_group, r.max_count, r.window_s, to_timestamp(floor(extract(epoch FROM s.at) / r.window_s) * r.window_s) AS window_at,
                   sum(s.hits)::bigint AS hits, max(s.at) AS last_at
              FROM unnest(seen) s LEFT JOIN picket.device d ON d.workspace_id = s.workspace_id AND d.device_id = s.device_id AND d.module_id = ''
              JOIN picket.custom_rule r ON r.workspace_id = s.workspace_id AND r.rule_type = s.rule_type AND r.enabled AND r.window_s IS NOT NULL
               AND r.security_group = coalesce(d.tags ->> 'SecurityGroup', 'default')
             GROUP BY 1, 2, 3, 4, 5, 6, 7),
        kept AS (
            INSERT INTO picket.custom_count AS c (workspace_id, device_id, rule_type, window_at, times)
            SELECT workspace_id, device_id, rule_type, window_at, hits FROM counted ORDER BY 1, 2, 3, 4
            ON CONFLICT (workspace_id, device_id, rule_type, window_at) DO UPDATE SET times = c.times + excluded.times RETURNING c.*)
        SELECT n.*, k.times FROM counted n JOIN kept k USING (workspace_id, device_id, rule_type, window_at)
         WHERE k.times > n.max_count AND k.times - n.hits <= n.max_count ORDER BY n.workspace_id, n.device_id, n.rule_type, n.window_at
    LOOP
        alert := picket.custom_raise(found.workspace_id, found.device_id, '', 'IoT_CA_' || found.rule_type, 'above', 'More often than is allowed: ' || found.rule_type,
                                     jsonb_build_object('SecurityGroup', found.security_group, 'Count', found.times, 'Max', found.max_count, 'WindowSeconds', found.window_s), 1,
                                     found.window_at, found.last_at);
        CONTINUE WHEN alert IS NULL;
        IF (SELECT a.repeat_count > 1 FROM picket.alert a WHERE a.workspace_id = found.workspace_id AND a.alert_id = alert) THEN
            repeated := repeated + 1;
        ELSE
            opened := opened + 1;
        END IF;
    END LOOP;
    INSERT INTO picket.address_try AS t (workspace_id, address, device_id, first_at, last_at, tries)
    SELECT n.workspace_id, n.value, n.device_id, n.first_at, n.last_at, n.tries
      FROM (SELECT s.workspace_id, s.value, s.device_id, min(s.at) AS first_at, max(s.at) AS last_at, sum(s.hits)::bigint AS tries,
                   row_number() OVER (PARTITION BY s.workspace_id, s.device_id ORDER BY s.value) AS number
              FROM unnest(seen) s WHERE s.rule_type = 'login failed from' GROUP BY 1, 2, 3) n
     WHERE n.number + (SELECT count(*) FROM picket.address_try o WHERE o.workspace_id = n.workspace_id AND o.device_id = n.device_id) <= 1000
        OR EXISTS (SELECT 1 FROM picket.address_try o WHERE o.workspace_id = n.workspace_id AND o.address = n.value AND o.device_id = n.device_id)
     ORDER BY 1, 2, 3
    ON CONFLICT (workspace_id, address, device_id) DO UPDATE SET tries = t.tries + excluded.tries, first_at = least(t.first_at, excluded.first_at),
       last_at = greatest(t.last_at, excluded.last_at);
END $$;
RESET ROLE;
