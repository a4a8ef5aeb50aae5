SET LOCAL ROLE picket_owner;
DROP FUNCTION picket.custom_waiting_judge();
DROP FUNCTION picket.cloud_purge(int, text);
DROP TRIGGER counted ON picket.method_call;
DROP TRIGGER counted_reported ON picket.twin;
DROP TRIGGER counted_desired ON picket.twin;
DROP TRIGGER counted_made ON picket.twin;
DROP TRIGGER counted_tags ON picket.device;
DROP TRIGGER counted_completed ON picket.cloud_message;
DROP TRIGGER counted_rejected ON picket.cloud_message;
DROP FUNCTION picket.custom_happened();
DROP FUNCTION picket.cloud_settle(int, text, uuid, text, text);
CREATE FUNCTION picket.cloud_settle(workspace int, device text, token uuid, outcome text) RETURNS bool
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE picket.cloud_message m
       SET state = outcome, lock_token = NULL, locked_until = NULL, ended_at = CASE WHEN outcome <> 'queued' THEN now() END
     WHERE m.workspace_id = workspace AND m.device_id = device AND m.lock_token = token AND m.state = 'locked';
    RETURN FOUND;
END $$;
REVOKE ALL ON FUNCTION picket.cloud_settle(int, text, uuid, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION picket.cloud_settle(int, text, uuid, text) TO picket_ingest;
ALTER TABLE picket.cloud_message DROP COLUMN settled_by;
DROP FUNCTION picket.correlation_hits_trim();
DROP TABLE picket.custom_waiting, picket.correlation_hit;
RESET ROLE;
