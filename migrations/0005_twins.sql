-- What devices should be and what they say they are: IoT Hub's twins, and desired properties for many at once.
SET LOCAL ROLE picket_owner;

-- RFC 7396: members of the patch replace those of the target, objects are merged, null removes.
CREATE FUNCTION picket.json_merge(target jsonb, patch jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    result jsonb;
    member record;
BEGIN
    IF jsonb_typeof(patch) IS DISTINCT FROM 'object' THEN
        RETURN patch;
    END IF;
    result := CASE WHEN jsonb_typeof(target) = 'object' THEN target ELSE '{}'::jsonb END;
    FOR member IN SELECT key, value FROM jsonb_each(patch) LOOP
        IF jsonb_typeof(member.value) = 'null' THEN
            result := result - member.key;
        ELSE
            result := jsonb_set(result, ARRAY[member.key], picket.json_merge(result -> member.key, member.value));
        END IF;
    END LOOP;
    RETURN result;
END $$;

-- The patch that leads from one object to another: null for what went.
CREATE FUNCTION picket.json_patch(old_value jsonb, new_value jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    result jsonb := '{}';
    member record;
BEGIN
    FOR member IN SELECT key, value FROM jsonb_each(new_value) LOOP
        IF NOT old_value ? member.key THEN
            result := result || jsonb_build_object(member.key, member.value);
        ELSIF old_value -> member.key <> member.value THEN
            result := result || jsonb_build_object(member.key,
                CASE WHEN jsonb_typeof(member.value) = 'object' AND jsonb_typeof(old_value -> member.key) = 'object'
                     THEN picket.json_patch(old_value -> member.key, member.value) ELSE member.value END);
        END IF;
    END LOOP;
    FOR member IN SELECT key FROM jsonb_each(old_value) WHERE NOT new_value ? key LOOP
        result := result || jsonb_build_object(member.key, NULL::text);
    END LOOP;
    RETURN result;
END $$;

-- Two patches one after the other, as one: as json_merge(), but null stays.
CREATE FUNCTION picket.json_patch_join(first_patch jsonb, second_patch jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    result jsonb := first_patch;
    member record;
BEGIN
    FOR member IN SELECT key, value FROM jsonb_each(second_patch) LOOP
        result := result || jsonb_build_object(member.key,
            CASE WHEN jsonb_typeof(member.value) = 'object' AND jsonb_typeof(result -> member.key) = 'object'
                 THEN picket.json_patch_join(result -> member.key, member.value) ELSE member.value END);
    END LOOP;
    RETURN result;
END $$;

-- Desired properties that devices inherit: those of a workspace, of a group or of a firmware (tags of the device).
CREATE TABLE picket.configuration (
    workspace_id int         NOT NULL REFERENCES picket.workspace,
    name         text        COLLATE "C" NOT NULL CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$'),
    module_id    text        COLLATE "C" NOT NULL DEFAULT '', -- '': the device's own twin
    target_tag   text        CHECK (target_tag IN ('group', 'firmware')), -- NULL: every device
    target_value text        COLLATE "C",
    priority     int         NOT NULL DEFAULT 0, -- the higher one wins
    desired      jsonb       NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(desired) = 'object'),
    created_at   timestamptz NOT NULL DEFAULT now(),
    changed_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, name),
    CHECK ((target_tag IS NULL) = (target_value IS NULL))
);

-- One per identity, made when it is first needed. `version` is what the device sees: it moves with `effective`.
CREATE TABLE picket.twin (
    workspace_id       int         NOT NULL,
    device_id          text        COLLATE "C" NOT NULL,
    module_id          text        COLLATE "C" NOT NULL DEFAULT '',
    desired            jsonb       NOT NULL DEFAULT '{}', -- its own
    desired_version    bigint      NOT NULL DEFAULT 1,    -- of these: the ETag of those who change them
    effective          jsonb       NOT NULL DEFAULT '{}', -- with all it inherits, its own on top
    version            bigint      NOT NULL DEFAULT 1,
    last_patch         jsonb       NOT NULL DEFAULT '{}', -- all that who knows version last_patch_from has not heard of
    last_patch_from    bigint      NOT NULL DEFAULT 1,
    desired_changed_at timestamptz,
    reported           jsonb       NOT NULL DEFAULT '{}',
    reported_version   bigint      NOT NULL DEFAULT 1,
    reported_at        timestamptz,
    commit_xid         xid8        NOT NULL DEFAULT pg_current_xact_id(), -- of `effective`: deliveries read behind it
    PRIMARY KEY (workspace_id, device_id, module_id),
    FOREIGN KEY (workspace_id, device_id, module_id) REFERENCES picket.device
);
CREATE INDEX twin_commit ON picket.twin (commit_xid);

-- What an identity inherits, without its own.
CREATE FUNCTION picket.twin_inherited(workspace int, module text, tags jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE AS $$
DECLARE
    result jsonb := '{}';
    layer  jsonb;
BEGIN
    FOR layer IN SELECT c.desired FROM picket.configuration c
                  WHERE c.workspace_id = workspace AND c.module_id = module
                    AND (c.target_tag IS NULL OR tags ->> c.target_tag = c.target_value)
                  ORDER BY c.priority, c.name LOOP
        result := picket.json_merge(result, layer);
    END LOOP;
    RETURN result;
END $$;

-- Brings `effective` of some twins up to date, and makes those that are missing where something is inherited. Only what
-- really changes is touched. `only_device` and `only_module` NULL: all.
CREATE FUNCTION picket.twin_refresh(workspace int, only_device text, only_module text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    changed bigint;
BEGIN
    INSERT INTO picket.twin (workspace_id, device_id, module_id)
    SELECT d.workspace_id, d.device_id, d.module_id
      FROM picket.device d JOIN picket.device parent
        ON parent.workspace_id = d.workspace_id AND parent.device_id = d.device_id AND parent.module_id = ''
     WHERE d.workspace_id = workspace AND (only_device IS NULL OR d.device_id = only_device)
       AND (only_module IS NULL OR d.module_id = only_module) AND d.status <> 'deleted'
       AND EXISTS (SELECT FROM picket.configuration c WHERE c.workspace_id = workspace AND c.module_id = d.module_id
                      AND (c.target_tag IS NULL OR parent.tags ->> c.target_tag = c.target_value))
        ON CONFLICT DO NOTHING;
    UPDATE picket.twin t
       SET effective = n.effective, version = t.version + 1, desired_changed_at = now(), commit_xid = pg_current_xact_id(),
           last_patch = CASE WHEN t.desired_changed_at > now() - interval '1 minute'
                             THEN picket.json_patch_join(t.last_patch, picket.json_patch(t.effective, n.effective))
                             ELSE picket.json_patch(t.effective, n.effective) END,
           last_patch_from = CASE WHEN t.desired_changed_at > now() - interval '1 minute'
                                  THEN t.last_patch_from ELSE t.version END
      FROM (SELECT w.device_id, w.module_id,
                   picket.json_merge(picket.twin_inherited(workspace, w.module_id, parent.tags), w.desired) AS effective
              FROM picket.twin w JOIN picket.device parent
                ON parent.workspace_id = w.workspace_id AND parent.device_id = w.device_id AND parent.module_id = ''
             WHERE w.workspace_id = workspace AND (only_device IS NULL OR w.device_id = only_device)
               AND (only_module IS NULL OR w.module_id = only_module)) n
     WHERE t.workspace_id = workspace AND t.device_id = n.device_id AND t.module_id = n.module_id
       AND t.effective <> n.effective;
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed > 0 THEN
        PERFORM pg_notify('picket_deliveries', '');
    END IF;
    RETURN changed;
END $$;

CREATE FUNCTION picket.configuration_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM picket.twin_refresh(OLD.workspace_id, NULL, OLD.module_id);
    END IF;
    IF TG_OP = 'INSERT' OR (TG_OP = 'UPDATE' AND OLD.module_id <> NEW.module_id) THEN
        PERFORM picket.twin_refresh(NEW.workspace_id, NULL, NEW.module_id);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER refresh AFTER INSERT OR UPDATE OR DELETE ON picket.configuration
    FOR EACH ROW EXECUTE FUNCTION picket.configuration_changed();

-- A device's tags decide what it and its modules inherit.
CREATE FUNCTION picket.device_tags_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM picket.twin_refresh(NEW.workspace_id, NEW.device_id, CASE WHEN NEW.module_id <> '' THEN NEW.module_id END);
    RETURN NULL;
END $$;
CREATE TRIGGER tags_changed AFTER UPDATE OF tags ON picket.device
    FOR EACH ROW WHEN (OLD.tags IS DISTINCT FROM NEW.tags) EXECUTE FUNCTION picket.device_tags_changed();

CREATE FUNCTION picket.twin_desired_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM picket.twin_refresh(NEW.workspace_id, NEW.device_id, NEW.module_id);
    RETURN NULL;
END $$;
CREATE TRIGGER desired_made AFTER INSERT ON picket.twin
    FOR EACH ROW WHEN (NEW.desired <> '{}') EXECUTE FUNCTION picket.twin_desired_changed();
CREATE TRIGGER desired_changed AFTER UPDATE OF desired ON picket.twin
    FOR EACH ROW WHEN (OLD.desired IS DISTINCT FROM NEW.desired) EXECUTE FUNCTION picket.twin_desired_changed();

-- What a device reads. Nothing for who is not enrolled.
CREATE FUNCTION picket.twin_read(workspace int, device text, module text)
    RETURNS TABLE (desired text, version bigint, reported text, reported_version bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM picket.device d
      WHERE d.workspace_id = workspace AND d.device_id = device AND d.module_id = module AND d.status <> 'deleted';
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM FROM picket.twin t WHERE t.workspace_id = workspace AND t.device_id = device AND t.module_id = module;
    IF NOT FOUND THEN
        PERFORM picket.twin_refresh(workspace, device, module); -- so that what it inherits has a version from now on
    END IF;
    RETURN QUERY SELECT coalesce(t.effective, '{}')::text, coalesce(t.version, 1), coalesce(t.reported, '{}')::text,
                        coalesce(t.reported_version, 1)
                   FROM (SELECT) one LEFT JOIN picket.twin t
                     ON t.workspace_id = workspace AND t.device_id = device AND t.module_id = module;
END $$;

-- What a device reports: NULL when it is not enrolled, 0 when it would become longer than `bytes_max`.
CREATE FUNCTION picket.twin_report(workspace int, device text, module text, patch jsonb, bytes_max int) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    merged jsonb;
    result bigint;
BEGIN
    PERFORM FROM picket.device d
      WHERE d.workspace_id = workspace AND d.device_id = device AND d.module_id = module AND d.status <> 'deleted';
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO picket.twin (workspace_id, device_id, module_id) VALUES (workspace, device, module) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        PERFORM picket.twin_refresh(workspace, device, module);
    END IF;
    SELECT picket.json_merge(t.reported, patch) INTO merged FROM picket.twin t
     WHERE t.workspace_id = workspace AND t.device_id = device AND t.module_id = module FOR UPDATE;
    IF octet_length(merged::text) > bytes_max THEN
        RETURN 0;
    END IF;
    UPDATE picket.twin t SET reported = merged, reported_version = t.reported_version + 1, reported_at = now()
     WHERE t.workspace_id = workspace AND t.device_id = device AND t.module_id = module
    RETURNING t.reported_version INTO result;
    RETURN result;
END $$;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['twin', 'configuration'] LOOP
        EXECUTE format('ALTER TABLE picket.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY everything ON picket.%I TO picket_owner, picket_ingest USING (true) WITH CHECK (true)', name);
        EXECUTE format('CREATE POLICY visible ON picket.%I TO picket_query, picket_admin
                        USING (workspace_id = ANY ((SELECT picket.workspaces_visible())::int[]))', name);
        EXECUTE format('GRANT SELECT ON picket.%I TO picket_query, picket_admin, picket_ingest', name);
    END LOOP;
END $$;
GRANT INSERT, UPDATE, DELETE ON picket.configuration TO picket_admin;
GRANT INSERT (workspace_id, device_id, module_id, desired), UPDATE (desired, desired_version), DELETE ON picket.twin TO picket_admin;
REVOKE ALL ON FUNCTION picket.twin_refresh(int, text, text), picket.twin_read(int, text, text),
    picket.twin_report(int, text, text, jsonb, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION picket.twin_read(int, text, text), picket.twin_report(int, text, text, jsonb, int) TO picket_ingest;
