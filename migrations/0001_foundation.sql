-- Roles, the schema, and what everything else needs. Runs as the connecting user, who must be a superuser or may
-- create roles; every later object is owned by picket_owner, a role that nobody logs in as.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['picket_ingest', 'picket_store', 'picket_query', 'picket_admin'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', name);
        END IF;
    END LOOP;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'picket_owner') THEN
        CREATE ROLE picket_owner NOLOGIN;
    END IF;
END $$;
GRANT picket_owner TO CURRENT_USER;
CREATE SCHEMA picket AUTHORIZATION picket_owner;

SET LOCAL ROLE picket_owner;
GRANT USAGE ON SCHEMA picket TO picket_ingest, picket_store, picket_query, picket_admin;

-- What `picket migrate` applied; it writes the row in the same transaction as the file.
CREATE TABLE picket.migration (
    number     int         PRIMARY KEY,
    name       text        NOT NULL,
    digest     bytea       NOT NULL, -- SHA-256 of the file, so that an edited migration is noticed
    applied_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT ON picket.migration TO picket_ingest, picket_store, picket_query, picket_admin;

-- Workspaces that this transaction may see: SET LOCAL picket.workspaces = '{1,2}'. Unset means none.
CREATE FUNCTION picket.workspaces_visible() RETURNS int[]
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT nullif(current_setting('picket.workspaces', true), '')::int[] $$;

-- Every table that is read behind a commit cursor has `commit_xid`, set anew on each UPDATE. Readers take rows with
-- commit_xid < pg_snapshot_xmin(pg_current_snapshot()), in order of (commit_xid, key): nothing that commits late is missed.
CREATE FUNCTION picket.commit_xid_renew() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    NEW.commit_xid := pg_current_xact_id();
    RETURN NEW;
END $$;

CREATE TABLE picket.workspace (
    workspace_id        int         GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name                text        NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    guid                uuid        NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    host_names          text[]      NOT NULL DEFAULT '{}', -- lower case; empty: any host that no other workspace names
    messages_per_second int,        -- NULL: the server's default
    bytes_per_second    bigint,
    created_at          timestamptz NOT NULL DEFAULT now(),
    commit_xid          xid8        NOT NULL DEFAULT pg_current_xact_id()
);
CREATE TRIGGER commit_xid BEFORE UPDATE ON picket.workspace FOR EACH ROW EXECUTE FUNCTION picket.commit_xid_renew();
ALTER TABLE picket.workspace ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY everything ON picket.workspace TO picket_owner, picket_ingest, picket_store USING (true) WITH CHECK (true);
CREATE POLICY visible ON picket.workspace TO picket_query, picket_admin
    USING (workspace_id = ANY ((SELECT picket.workspaces_visible())::int[]));
GRANT SELECT ON picket.workspace TO picket_ingest, picket_store, picket_query, picket_admin;
GRANT UPDATE (host_names, messages_per_second, bytes_per_second) ON picket.workspace TO picket_admin;

INSERT INTO picket.workspace (name) VALUES ('default');
