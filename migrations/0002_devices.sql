-- Who may speak: identities, their credentials, and what the front door must know about them.
SET LOCAL ROLE picket_owner;

-- A device, or with module_id one of its modules. Deleting keeps the row as a tombstone, so that the roster's cursor
-- sees it and old events keep their device; creating the same id again revives it.
CREATE TABLE picket.device (
    workspace_id        int         NOT NULL REFERENCES picket.workspace,
    device_id           text        COLLATE "C" NOT NULL,
    module_id           text        COLLATE "C" NOT NULL DEFAULT '',
    status              text        NOT NULL DEFAULT 'enabled' CHECK (status IN ('enabled', 'disabled', 'deleted')),
    tags                jsonb       NOT NULL DEFAULT '{}',
    messages_per_second int,        -- NULL: the workspace's
    bytes_per_second    bigint,
    credential_version  int         NOT NULL DEFAULT 0, -- moved by the trigger below, so that the roster sees new keys
    created_at          timestamptz NOT NULL DEFAULT now(),
    changed_at          timestamptz NOT NULL DEFAULT now(),
    commit_xid          xid8        NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (workspace_id, device_id, module_id)
);
CREATE INDEX device_commit ON picket.device (commit_xid);

CREATE TABLE picket.credential (
    workspace_id     int   NOT NULL,
    device_id        text  COLLATE "C" NOT NULL,
    module_id        text  COLLATE "C" NOT NULL DEFAULT '',
    kind             text  NOT NULL DEFAULT 'sas' CHECK (kind IN ('sas')),
    sealed_primary   bytea NOT NULL, -- libsodium secretbox under the master key: nonce, then box
    sealed_secondary bytea NOT NULL,
    changed_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, device_id, module_id, kind),
    FOREIGN KEY (workspace_id, device_id, module_id) REFERENCES picket.device
);

CREATE FUNCTION picket.credential_touch_device() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    changed picket.credential := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
BEGIN
    UPDATE picket.device SET credential_version = credential_version + 1
     WHERE workspace_id = changed.workspace_id AND device_id = changed.device_id AND module_id = changed.module_id;
    RETURN NULL;
END $$;
CREATE TRIGGER touch_device AFTER INSERT OR UPDATE OR DELETE ON picket.credential
    FOR EACH ROW EXECUTE FUNCTION picket.credential_touch_device();

-- Only a wake-up: the roster reads behind its cursor whether or not this arrives.
CREATE FUNCTION picket.roster_wake() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('picket_roster', '');
    RETURN NULL;
END $$;
CREATE TRIGGER commit_xid BEFORE UPDATE ON picket.device FOR EACH ROW EXECUTE FUNCTION picket.commit_xid_renew();
CREATE TRIGGER roster_wake AFTER INSERT OR UPDATE ON picket.device FOR EACH STATEMENT EXECUTE FUNCTION picket.roster_wake();
CREATE TRIGGER roster_wake AFTER INSERT OR UPDATE ON picket.workspace FOR EACH STATEMENT EXECUTE FUNCTION picket.roster_wake();

ALTER TABLE picket.device ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE picket.credential ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY everything ON picket.device TO picket_owner, picket_ingest, picket_store USING (true) WITH CHECK (true);
CREATE POLICY visible ON picket.device TO picket_query, picket_admin
    USING (workspace_id = ANY ((SELECT picket.workspaces_visible())::int[]));
CREATE POLICY everything ON picket.credential TO picket_owner, picket_ingest USING (true) WITH CHECK (true);
CREATE POLICY visible ON picket.credential TO picket_admin
    USING (workspace_id = ANY ((SELECT picket.workspaces_visible())::int[]));
GRANT SELECT ON picket.device, picket.credential TO picket_ingest;
GRANT SELECT ON picket.device TO picket_store, picket_query;
GRANT SELECT, INSERT, UPDATE ON picket.device TO picket_admin;
GRANT SELECT, INSERT, UPDATE, DELETE ON picket.credential TO picket_admin;
