-- How devices become known by themselves, the way of Azure's Device Provisioning Service.
SET LOCAL ROLE picket_owner;

CREATE FUNCTION picket.id_scope_new() RETURNS text
    LANGUAGE sql VOLATILE
    AS $$ SELECT '0ne' || upper(substr(replace(gen_random_uuid()::text, '-', ''), 1, 8)) $$;
ALTER TABLE picket.workspace ADD COLUMN id_scope text COLLATE "C" UNIQUE CHECK (id_scope ~ '^[0-9A-Za-z]{4,32}$');
UPDATE picket.workspace SET id_scope = picket.id_scope_new();
ALTER TABLE picket.workspace ALTER COLUMN id_scope SET DEFAULT picket.id_scope_new(), ALTER COLUMN id_scope SET NOT NULL;

-- One key for many devices: each has its own, derived from this one and its registration id.
CREATE TABLE picket.enrollment_group (
    workspace_id     int         NOT NULL REFERENCES picket.workspace,
    name             text        COLLATE "C" NOT NULL CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$'),
    status           text        NOT NULL DEFAULT 'enabled' CHECK (status IN ('enabled', 'disabled')),
    sealed_primary   bytea       NOT NULL,
    sealed_secondary bytea       NOT NULL,
    tags             jsonb       NOT NULL DEFAULT '{}', -- what a device of it begins with, as the next two
    desired          jsonb       NOT NULL DEFAULT '{}',
    modules          text[]      NOT NULL DEFAULT '{}',
    created_at       timestamptz NOT NULL DEFAULT now(),
    changed_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, name)
);

-- One device, with a key of its own.
CREATE TABLE picket.enrollment (
    workspace_id     int         NOT NULL REFERENCES picket.workspace,
    registration_id  text        COLLATE "C" NOT NULL,
    device_id        text        COLLATE "C" NOT NULL,
    status           text        NOT NULL DEFAULT 'enabled' CHECK (status IN ('enabled', 'disabled')),
    sealed_primary   bytea       NOT NULL,
    sealed_secondary bytea       NOT NULL,
    tags             jsonb       NOT NULL DEFAULT '{}',
    desired          jsonb       NOT NULL DEFAULT '{}',
    modules          text[]      NOT NULL DEFAULT '{}',
    created_at       timestamptz NOT NULL DEFAULT now(),
    changed_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, registration_id)
);

CREATE TABLE picket.registration (
    workspace_id    int         NOT NULL,
    registration_id text        COLLATE "C" NOT NULL,
    group_name      text        COLLATE "C", -- NULL: an individual enrolment
    device_id       text        COLLATE "C" NOT NULL,
    operation_id    text        NOT NULL,
    substatus       text        NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, registration_id)
);

-- Who might have this registration id: its own enrolment, or else every group of the scope, whose keys will tell.
CREATE FUNCTION picket.enrolment_find(scope text, registration text)
    RETURNS TABLE (workspace_id int, group_name text, device_id text, enabled bool, sealed_primary bytea,
                   sealed_secondary bytea, modules text[])
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH individual AS (
        SELECT w.workspace_id, NULL::text, e.device_id, e.status = 'enabled', e.sealed_primary, e.sealed_secondary, e.modules
          FROM picket.workspace w JOIN picket.enrollment e USING (workspace_id)
         WHERE w.id_scope = scope AND e.registration_id = registration)
    SELECT * FROM individual
    UNION ALL
    (SELECT w.workspace_id, g.name, registration, g.status = 'enabled', g.sealed_primary, g.sealed_secondary, g.modules
       FROM picket.workspace w JOIN picket.enrollment_group g USING (workspace_id)
      WHERE w.id_scope = scope AND NOT EXISTS (SELECT FROM individual) ORDER BY g.name LIMIT 1000) $$;

-- Makes the device, or gives the one that is there its present key. NULL: an operator has disabled it.
CREATE FUNCTION picket.enrolment_register(workspace int, registration text, of_group text, device text, primary_key bytea,
                                          secondary_key bytea, module_ids text[], module_primaries bytea[],
                                          module_secondaries bytea[]) RETURNS text
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
    INSERT INTO picket.credential AS c (workspace_id, device_id, kind, sealed_primary, sealed_secondary)
    VALUES (workspace, device, 'sas', primary_key, secondary_key)
        ON CONFLICT (workspace_id, device_id, module_id, kind) DO UPDATE SET sealed_primary = excluded.sealed_primary,
           sealed_secondary = excluded.sealed_secondary, changed_at = now();
    WITH made AS (
        INSERT INTO picket.device AS d (workspace_id, device_id, module_id)
        SELECT workspace, device, m.id FROM unnest(module_ids) AS m(id)
            ON CONFLICT (workspace_id, device_id, module_id) DO UPDATE SET status = 'enabled', changed_at = now()
         WHERE d.status = 'deleted' RETURNING d.module_id)
    INSERT INTO picket.credential AS c (workspace_id, device_id, module_id, kind, sealed_primary, sealed_secondary)
    SELECT workspace, device, m.id, 'sas', m.first_key, m.second_key
      FROM unnest(module_ids, module_primaries, module_secondaries) AS m(id, first_key, second_key)
      JOIN made ON made.module_id = m.id
        ON CONFLICT (workspace_id, device_id, module_id, kind) DO UPDATE SET sealed_primary = excluded.sealed_primary,
           sealed_secondary = excluded.sealed_secondary, changed_at = now();
    INSERT INTO picket.registration AS r (workspace_id, registration_id, group_name, device_id, operation_id, substatus)
    VALUES (workspace, registration, of_group, device, operation, 'initialAssignment')
        ON CONFLICT (workspace_id, registration_id) DO UPDATE SET group_name = excluded.group_name,
           device_id = excluded.device_id, operation_id = excluded.operation_id, updated_at = now(),
           substatus = CASE WHEN known = 'enabled' THEN 'deviceDataMigrated' ELSE 'initialAssignment' END;
    RETURN operation;
END $$;

CREATE FUNCTION picket.registration_show(workspace int, registration text)
    RETURNS TABLE (device_id text, operation_id text, substatus text, device_status text, created_us bigint, updated_us bigint,
                   host_name text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT r.device_id, r.operation_id, r.substatus, coalesce(d.status, 'deleted'),
           (extract(epoch FROM r.created_at) * 1000000)::bigint, (extract(epoch FROM r.updated_at) * 1000000)::bigint,
           w.host_names[1]
      FROM picket.registration r JOIN picket.workspace w USING (workspace_id)
      LEFT JOIN picket.device d ON d.workspace_id = r.workspace_id AND d.device_id = r.device_id AND d.module_id = ''
     WHERE r.workspace_id = workspace AND r.registration_id = registration $$;

-- A device read its module's key: whoever has that can speak as the module, so it is in the audit.
CREATE FUNCTION picket.module_key_audit(workspace int, device text, module text, peer text) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT picket.audit_append(workspace, 'device ' || device, 'module.key', device || '/' || module,
                               jsonb_build_object('peer', peer)) $$;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['enrollment_group', 'enrollment', 'registration'] LOOP
        EXECUTE format('ALTER TABLE picket.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY everything ON picket.%I TO picket_owner USING (true) WITH CHECK (true)', name);
        EXECUTE format('CREATE POLICY visible ON picket.%I TO picket_query, picket_admin
                        USING (workspace_id = ANY ((SELECT picket.workspaces_visible())::int[]))', name);
    END LOOP;
END $$;
GRANT SELECT ON picket.registration TO picket_query, picket_admin;
GRANT SELECT (workspace_id, name, status, tags, desired, modules, created_at, changed_at) ON picket.enrollment_group TO picket_query;
GRANT SELECT (workspace_id, registration_id, device_id, status, tags, desired, modules, created_at, changed_at)
    ON picket.enrollment TO picket_query;
GRANT SELECT, INSERT, UPDATE, DELETE ON picket.enrollment_group, picket.enrollment TO picket_admin;
GRANT DELETE ON picket.registration TO picket_admin;
REVOKE ALL ON FUNCTION picket.enrolment_find(text, text), picket.registration_show(int, text),
    picket.enrolment_register(int, text, text, text, bytea, bytea, text[], bytea[], bytea[]),
    picket.module_key_audit(int, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION picket.enrolment_find(text, text), picket.registration_show(int, text),
    picket.enrolment_register(int, text, text, text, bytea, bytea, text[], bytea[], bytea[]),
    picket.module_key_audit(int, text, text, text) TO picket_ingest;
