-- Who asks, and what operators changed.
SET LOCAL ROLE picket_owner;

CREATE TABLE picket.token (
    token_id    int         GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    prefix      text        NOT NULL UNIQUE, -- the public part, by which a token is found
    digest      bytea       NOT NULL,        -- keyed BLAKE2b of the secret part
    role        text        NOT NULL CHECK (role IN ('reader', 'analyst', 'admin')),
    workspaces  int[]       NOT NULL,
    description text        NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL DEFAULT now(),
    revoked_at  timestamptz
);
ALTER TABLE picket.token ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY everything ON picket.token TO picket_owner USING (true) WITH CHECK (true);
CREATE POLICY visible ON picket.token TO picket_query, picket_admin
    USING (workspaces <@ (SELECT picket.workspaces_visible())::int[]);
GRANT SELECT (token_id, prefix, role, workspaces, description, created_at, revoked_at) ON picket.token TO picket_query;
GRANT SELECT (token_id, prefix, role, workspaces, description, created_at, revoked_at) ON picket.token TO picket_admin;
GRANT INSERT, UPDATE (revoked_at) ON picket.token TO picket_admin;

-- Sign-in happens before any workspace is known, so it goes through this function and nothing else.
CREATE FUNCTION picket.token_find(wanted_prefix text)
    RETURNS TABLE (token_id int, digest bytea, role text, workspaces int[])
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ SELECT t.token_id, t.digest, t.role, t.workspaces
            FROM picket.token t WHERE t.prefix = wanted_prefix AND t.revoked_at IS NULL $$;
REVOKE ALL ON FUNCTION picket.token_find(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION picket.token_find(text) TO picket_query, picket_admin;

-- A host name leads to one workspace: a second one with it would get the first one's devices. No workspace sees the
-- others, so this has to look for them.
CREATE FUNCTION picket.workspace_hosts_check() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('picket.workspace'));
    IF EXISTS (SELECT FROM picket.workspace w WHERE w.workspace_id <> NEW.workspace_id AND w.host_names && NEW.host_names) THEN
        RAISE EXCEPTION 'a host name leads to another workspace already' USING ERRCODE = 'unique_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER hosts_check BEFORE INSERT OR UPDATE OF host_names ON picket.workspace
    FOR EACH ROW EXECUTE FUNCTION picket.workspace_hosts_check();

-- Only an admin of every workspace (as the first token is) makes workspaces; NULL for any other.
CREATE FUNCTION picket.workspace_create(wanted_name text, wanted_hosts text[], for_token int) RETURNS int
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    made int;
BEGIN
    PERFORM FROM picket.token t WHERE t.token_id = for_token AND t.role = 'admin' AND t.revoked_at IS NULL
        AND NOT EXISTS (SELECT FROM picket.workspace w WHERE w.workspace_id <> ALL (t.workspaces)) FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO picket.workspace (name, host_names) VALUES (wanted_name, wanted_hosts) RETURNING workspace_id INTO made;
    UPDATE picket.token SET workspaces = workspaces || made WHERE token_id = for_token;
    RETURN made;
END $$;
REVOKE ALL ON FUNCTION picket.workspace_create(text, text[], int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION picket.workspace_create(text, text[], int) TO picket_admin;

-- Everything an operator changes. Each row's hash covers the one before: a row taken out or altered shows.
CREATE TABLE picket.audit (
    audit_id     bigint      NOT NULL PRIMARY KEY,
    workspace_id int         NOT NULL,
    at           timestamptz NOT NULL,
    actor        text        NOT NULL, -- "token 3", "picket migrate"
    action       text        NOT NULL, -- "device.create"
    target       text        NOT NULL,
    details      jsonb       NOT NULL DEFAULT '{}',
    hash         bytea       NOT NULL,
    commit_xid   xid8        NOT NULL DEFAULT pg_current_xact_id()
);
ALTER TABLE picket.audit ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY everything ON picket.audit TO picket_owner USING (true) WITH CHECK (true);
CREATE POLICY visible ON picket.audit TO picket_query, picket_admin
    USING (workspace_id = ANY ((SELECT picket.workspaces_visible())::int[]));
GRANT SELECT ON picket.audit TO picket_query, picket_admin;

CREATE FUNCTION picket.audit_hash(previous bytea, audit_id bigint, workspace_id int, at timestamptz, actor text, action text,
                                  target text, details jsonb) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT sha256(previous || convert_to(jsonb_build_array(audit_id, workspace_id, extract(epoch FROM at), actor, action,
                                                                 target, details)::text, 'UTF8')) $$;
CREATE FUNCTION picket.audit_append(workspace int, actor text, action text, target text, details jsonb) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    previous record;
    number   bigint;
    moment   timestamptz := clock_timestamp();
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('picket.audit'));
    SELECT a.audit_id, a.hash INTO previous FROM picket.audit a ORDER BY a.audit_id DESC LIMIT 1;
    number := coalesce(previous.audit_id, 0) + 1;
    INSERT INTO picket.audit (audit_id, workspace_id, at, actor, action, target, details, hash)
    VALUES (number, workspace, moment, actor, action, target, details,
            picket.audit_hash(coalesce(previous.hash, ''), number, workspace, moment, actor, action, target, details));
    RETURN number;
END $$;
REVOKE ALL ON FUNCTION picket.audit_append(int, text, text, text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION picket.audit_append(int, text, text, text, jsonb) TO picket_admin;
