-- Enrolment on the word of a certificate: a group's authority, or a device's own certificate by its thumbprint.
SET LOCAL ROLE picket_owner;

ALTER TABLE picket.enrollment_group
    ADD COLUMN authority text COLLATE "C", -- NULL: keys
    ALTER COLUMN sealed_primary DROP NOT NULL,
    ALTER COLUMN sealed_secondary DROP NOT NULL,
    ADD CONSTRAINT enrollment_group_authority FOREIGN KEY (workspace_id, authority)
        REFERENCES picket.certificate_authority (workspace_id, name),
    ADD CONSTRAINT enrollment_group_attestation CHECK (num_nonnulls(sealed_primary, sealed_secondary)
                                                       = CASE WHEN authority IS NULL THEN 2 ELSE 0 END);
ALTER TABLE picket.enrollment
    ADD COLUMN thumbprint_primary bytea CHECK (octet_length(thumbprint_primary) IN (20, 32)), -- NULL: keys
    ADD COLUMN thumbprint_secondary bytea CHECK (octet_length(thumbprint_secondary) IN (20, 32)),
    ALTER COLUMN sealed_primary DROP NOT NULL,
    ALTER COLUMN sealed_secondary DROP NOT NULL,
    ADD CONSTRAINT enrollment_attestation CHECK (num_nonnulls(sealed_primary, sealed_secondary)
                                                 = CASE WHEN thumbprint_primary IS NULL THEN 2 ELSE 0 END),
    ADD CONSTRAINT enrollment_thumbprints CHECK (thumbprint_primary IS NOT NULL OR thumbprint_secondary IS NULL);

-- Who might have this registration id: its own enrolment, or else every group of the scope. Which it is, a key or a
-- certificate will tell.
DROP FUNCTION picket.enrolment_find(text, text);
CREATE FUNCTION picket.enrolment_find(scope text, registration text)
    RETURNS TABLE (workspace_id int, group_name text, device_id text, enabled bool, modules text[], sealed_primary bytea,
                   sealed_secondary bytea, thumbprint_primary bytea, thumbprint_secondary bytea, authority_id bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH individual AS (
        SELECT w.workspace_id, NULL::text, e.device_id, e.status = 'enabled', e.modules, e.sealed_primary, e.sealed_secondary,
               e.thumbprint_primary, e.thumbprint_secondary, NULL::bigint
          FROM picket.workspace w JOIN picket.enrollment e USING (workspace_id)
         WHERE w.id_scope = scope AND e.registration_id = registration)
    SELECT * FROM individual
    UNION ALL
    (SELECT w.workspace_id, g.name, registration, g.status = 'enabled', g.modules, g.sealed_primary, g.sealed_secondary,
            NULL, NULL, a.authority_id
       FROM picket.workspace w JOIN picket.enrollment_group g USING (workspace_id)
       LEFT JOIN picket.certificate_authority a ON a.workspace_id = g.workspace_id AND a.name = g.authority
      WHERE w.id_scope = scope AND NOT EXISTS (SELECT FROM individual) ORDER BY g.name LIMIT 1000) $$;

-- Makes the device, or gives the one that is there its present credential. NULL: an operator has disabled it. A module
-- has keys of its own, whatever the device shows.
DROP FUNCTION picket.enrolment_register(int, text, text, text, bytea, bytea, text[], bytea[], bytea[]);
CREATE FUNCTION picket.enrolment_register(workspace int, registration text, of_group text, device text, credential_kind text,
                                          first_key bytea, second_key bytea, first_thumbprint bytea, second_thumbprint bytea,
                                          module_ids text[], module_primaries bytea[], module_secondaries bytea[])
    RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    known     text;
    operation text := '5.' || substr(md5(registration), 1, 16) || '.' || gen_random_uuid();
    first     jsonb;
    initial   jsonb;
BEGIN
    SELECT d.status INTO known FROM picket.device d
     WHERE d.workspace_id = workspace AND d.device_id = device AND d.module_id = '' FOR UPDATE;
    IF known = 'disabled' THEN
        RETURN NULL;
    END IF;
    IF known IS DISTINCT FROM 'enabled' THEN
        SELECT s.tags, s.desired INTO first, initial FROM (
            SELECT g.tags, g.desired FROM picket.enrollment_group g WHERE g.workspace_id = workspace AND g.name = of_group
            UNION ALL
            SELECT e.tags, e.desired FROM picket.enrollment e
             WHERE of_group IS NULL AND e.workspace_id = workspace AND e.registration_id = registration) s;
        INSERT INTO picket.device AS d (workspace_id, device_id, tags) VALUES (workspace, device, coalesce(first, '{}'))
            ON CONFLICT (workspace_id, device_id, module_id) DO UPDATE SET status = 'enabled', tags = excluded.tags,
               messages_per_second = NULL, bytes_per_second = NULL, created_at = now(), changed_at = now();
        IF coalesce(initial, '{}') <> '{}' THEN
            INSERT INTO picket.twin AS t (workspace_id, device_id, desired) VALUES (workspace, device, initial)
                ON CONFLICT (workspace_id, device_id, module_id) DO UPDATE SET desired = excluded.desired,
                   desired_version = t.desired_version + 1;
        END IF;
    END IF;
    INSERT INTO picket.credential AS c (workspace_id, device_id, kind, sealed_primary, sealed_secondary, thumbprint_primary,
                                        thumbprint_secondary)
    VALUES (workspace, device, credential_kind, first_key, second_key, first_thumbprint, second_thumbprint)
        ON CONFLICT (workspace_id, device_id, module_id) DO UPDATE SET kind = excluded.kind,
           sealed_primary = excluded.sealed_primary, sealed_secondary = excluded.sealed_secondary,
           thumbprint_primary = excluded.thumbprint_primary, thumbprint_secondary = excluded.thumbprint_secondary,
           changed_at = now();
    WITH made AS (
        INSERT INTO picket.device AS d (workspace_id, device_id, module_id)
        SELECT workspace, device, m.id FROM unnest(module_ids) AS m(id)
            ON CONFLICT (workspace_id, device_id, module_id) DO UPDATE SET status = 'enabled', changed_at = now()
         WHERE d.status = 'deleted' RETURNING d.module_id)
    INSERT INTO picket.credential AS c (workspace_id, device_id, module_id, kind, sealed_primary, sealed_secondary)
    SELECT workspace, device, m.id, 'sas', m.first_key, m.second_key
      FROM unnest(module_ids, module_primaries, module_secondaries) AS m(id, first_key, second_key)
      JOIN made ON made.module_id = m.id
        ON CONFLICT (workspace_id, device_id, module_id) DO UPDATE SET kind = 'sas', thumbprint_primary = NULL,
           thumbprint_secondary = NULL, sealed_primary = excluded.sealed_primary,
           sealed_secondary = excluded.sealed_secondary, changed_at = now();
    INSERT INTO picket.registration AS r (workspace_id, registration_id, group_name, device_id, operation_id, substatus)
    VALUES (workspace, registration, of_group, device, operation, 'initialAssignment')
        ON CONFLICT (workspace_id, registration_id) DO UPDATE SET group_name = excluded.group_name,
           device_id = excluded.device_id, operation_id = excluded.operation_id, updated_at = now(),
           substatus = CASE WHEN known = 'enabled' THEN 'deviceDataMigrated' ELSE 'initialAssignment' END;
    RETURN operation;
END $$;
REVOKE ALL ON FUNCTION picket.enrolment_find(text, text),
    picket.enrolment_register(int, text, text, text, text, bytea, bytea, bytea, bytea, text[], bytea[], bytea[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION picket.enrolment_find(text, text),
    picket.enrolment_register(int, text, text, text, text, bytea, bytea, bytea, bytea, text[], bytea[], bytea[]) TO picket_ingest;

GRANT SELECT (authority) ON picket.enrollment_group TO picket_query;
GRANT SELECT (thumbprint_primary, thumbprint_secondary) ON picket.enrollment TO picket_query;
