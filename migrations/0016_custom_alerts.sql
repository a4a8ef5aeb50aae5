-- Alerts that people set themselves, by security group: what is in a list or not, and how often something happens within a window.
-- A device is in the group that its twin's tag SecurityGroup names, else in "default".
SET LOCAL ROLE picket_owner;

CREATE TABLE picket.custom_rule (
    workspace_id   int         NOT NULL,
    security_group text        COLLATE "C" NOT NULL,
    rule_type      text        COLLATE "C" NOT NULL, -- store/custom.c says which there are
    enabled        boolean     NOT NULL DEFAULT true,
    denies         boolean,    -- of a list: what is in it is wrong; false: what is not; NULL: no list
    list_values    text[],
    min_count      bigint      CHECK (min_count >= 0),
    max_count      bigint      CHECK (max_count >= min_count),
    window_s       int         CHECK (window_s > 0),
    changed_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, security_group, rule_type),
    CHECK ((denies IS NULL) = (list_values IS NULL) AND (denies IS NULL) = (window_s IS NOT NULL)
           AND (window_s IS NULL) = (min_count IS NULL) AND (window_s IS NULL) = (max_count IS NULL))
);

-- How often something happened on a device in the window that begins then.
CREATE TABLE picket.custom_count (
    workspace_id int         NOT NULL,
    device_id    text        COLLATE "C" NOT NULL,
    rule_type    text        COLLATE "C" NOT NULL,
    window_at    timestamptz NOT NULL,
    times        bigint      NOT NULL,
    PRIMARY KEY (workspace_id, device_id, rule_type, window_at)
) WITH (fillfactor = 70);
CREATE INDEX custom_count_old ON picket.custom_count (window_at);

-- Which address failed to log in to which device, for an hour: one that tries many devices a little is seen on none of them. A device tells
-- of at most 1,000.
CREATE TABLE picket.address_try (
    workspace_id int         NOT NULL,
    address      text        COLLATE "C" NOT NULL,
    device_id    text        COLLATE "C" NOT NULL,
    first_at     timestamptz NOT NULL,
    last_at      timestamptz NOT NULL,
    tries        bigint      NOT NULL,
    PRIMARY KEY (workspace_id, address, device_id)
) WITH (fillfactor = 70);
CREATE INDEX address_try_device ON picket.address_try (workspace_id, device_id);

CREATE FUNCTION picket.custom_in_list(value text, list text[], rule_type text) RETURNS boolean
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN rule_type = 'ConnectionToIpNotAllowed' THEN EXISTS (SELECT FROM unnest(list) l WHERE value::inet <<= l::inet) ELSE value = ANY (list) END
$$;

-- One row for each device and activity of a batch that a rule of its group is about.
CREATE TYPE picket.custom_seen AS (workspace_id int, device_id text, module_id text, rule_type text, value text, hits bigint, at timestamptz, event_id uuid, received_at timestamptz);

CREATE FUNCTION picket.custom_raise(workspace int, device text, module text, rule text, found_cause text, title text, details jsonb, times bigint, first_at timestamptz,
                                    last_at timestamptz) RETURNS uuid
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    raised uuid;
    hidden uuid := picket.exception_of(workspace, device, rule, found_cause, last_at);
    mark   boolean := EXISTS (SELECT 1 FROM picket.device d WHERE d.workspace_id = workspace AND d.device_id = device AND d.module_id = '' AND d.tags ->> 'simulated' = 'true');
BEGIN
    IF hidden IS NOT NULL THEN
        UPDATE picket.exception x SET hidden_count = x.hidden_count + 1, last_hidden_at = greatest(x.last_hidden_at, last_at)
         WHERE x.workspace_id = workspace AND x.exception_id = hidden;
        RETURN NULL;
    END IF;
    INSERT INTO picket.alert AS a (workspace_id, device_id, module_id, rule_id, cause, severity, title, description, details, remediation, repeat_count, first_seen_at, last_seen_at, simulated)
    VALUES (workspace, device, module, rule, found_cause, 'Low', CASE WHEN mark THEN '[simulated] ' ELSE '' END || title, 'A rule that was set for the device''s security group.', details,
            jsonb_build_array('See whether the device should do this.', 'If it should, change the rule of its security group: picket custom list.'), times, first_at, last_at, mark)
    ON CONFLICT (workspace_id, device_id, module_id, rule_id, cause) WHERE status <> 'closed' DO UPDATE
       SET repeat_count = a.repeat_count + excluded.repeat_count, first_seen_at = least(a.first_seen_at, excluded.first_seen_at),
           last_seen_at = greatest(a.last_seen_at, excluded.last_seen_at), details = excluded.details
    RETURNING a.alert_id INTO raised;
    RETURN raised;
END $$;

CREATE FUNCTION picket.custom_judge(seen picket.custom_seen[], OUT opened bigint, OUT repeated bigint, OUT dropped bigint)
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
REVOKE ALL ON FUNCTION picket.custom_judge(picket.custom_seen[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION picket.custom_judge(picket.custom_seen[]) TO picket_store;

-- Too few: judged against the newest receipt of all, so that an outage of ours accuses nobody, and one window late, for what comes late.
CREATE FUNCTION picket.custom_judge_few() RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    newest timestamptz := (SELECT max(last_seen_at) FROM picket.device_activity WHERE device_id <> '');
    found  record;
    alerts bigint := 0;
BEGIN
    FOR found IN
        SELECT r.*, d.device_id, w.window_at, coalesce(c.times, 0) AS times
          FROM picket.custom_rule r
          CROSS JOIN LATERAL (SELECT to_timestamp(floor(extract(epoch FROM newest) / r.window_s) * r.window_s) - make_interval(secs => 2 * r.window_s) AS window_at) w
          JOIN picket.device d ON d.workspace_id = r.workspace_id AND d.module_id = '' AND d.status = 'enabled' AND coalesce(d.tags ->> 'SecurityGroup', 'default') = r.security_group
           AND d.created_at <= w.window_at
          LEFT JOIN picket.custom_count c ON c.workspace_id = r.workspace_id AND c.device_id = d.device_id AND c.rule_type = r.rule_type AND c.window_at = w.window_at
         WHERE r.enabled AND r.min_count > 0 AND r.changed_at <= w.window_at AND coalesce(c.times, 0) < r.min_count
           AND NOT EXISTS (SELECT 1 FROM picket.alert a WHERE a.workspace_id = r.workspace_id AND a.device_id = d.device_id AND a.rule_id = 'IoT_CA_' || r.rule_type AND a.cause = 'below'
                            AND a.last_seen_at >= w.window_at + make_interval(secs => r.window_s))
         ORDER BY r.workspace_id, d.device_id, r.rule_type LIMIT 5000
    LOOP
        alerts := alerts + (picket.custom_raise(found.workspace_id, found.device_id, '', 'IoT_CA_' || found.rule_type, 'below', 'Less often than is asked for: ' || found.rule_type,
                                                jsonb_build_object('SecurityGroup', found.security_group, 'Count', found.times, 'Min', found.min_count, 'WindowSeconds', found.window_s),
                                                1, found.window_at, found.window_at + make_interval(secs => found.window_s)) IS NOT NULL)::int;
    END LOOP;
    DELETE FROM picket.custom_count WHERE window_at < newest - interval '3 days';
    RETURN alerts;
END $$;
REVOKE ALL ON FUNCTION picket.custom_judge_few() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION picket.custom_judge_few() TO picket_store;

-- One address against many devices, each second. Time is the newest try, so an old log that is stored late is judged by its own hour.
CREATE FUNCTION picket.addresses_judge() RETURNS bigint
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
REVOKE ALL ON FUNCTION picket.addresses_judge() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION picket.addresses_judge() TO picket_store;

ALTER TABLE picket.address_try ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY everything ON picket.address_try TO picket_owner USING (true) WITH CHECK (true);
ALTER TABLE picket.custom_rule ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY everything ON picket.custom_rule TO picket_owner, picket_store USING (true) WITH CHECK (true);
CREATE POLICY visible ON picket.custom_rule TO picket_query, picket_admin USING (workspace_id = ANY ((SELECT picket.workspaces_visible())::int[]));
GRANT SELECT ON picket.custom_rule TO picket_store, picket_query, picket_admin;
GRANT INSERT, UPDATE, DELETE ON picket.custom_rule TO picket_admin;
ALTER TABLE picket.custom_count ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY everything ON picket.custom_count TO picket_owner USING (true) WITH CHECK (true);
RESET ROLE;
