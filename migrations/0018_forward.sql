-- What leaves by itself: alerts to a topic of their own.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'picket_forward') THEN
        CREATE ROLE picket_forward LOGIN;
    END IF;
END $$;

SET LOCAL ROLE picket_owner;
GRANT USAGE ON SCHEMA picket TO picket_forward;
GRANT SELECT ON picket.migration, picket.workspace, picket.alert, picket.alert_event TO picket_forward;
CREATE POLICY forwarded ON picket.workspace FOR SELECT TO picket_forward USING (true);
CREATE POLICY forwarded ON picket.alert FOR SELECT TO picket_forward USING (true);
CREATE POLICY forwarded ON picket.alert_event FOR SELECT TO picket_forward USING (true);

-- How far each sink is: what comes after (commit_xid, id) was not sent yet. A sink's row is locked by who sends.
CREATE TABLE picket.forward_cursor (
    sink       text PRIMARY KEY,
    commit_xid xid8 NOT NULL DEFAULT '0',
    id         uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000'
);
INSERT INTO picket.forward_cursor (sink) VALUES ('alerts');
GRANT SELECT, UPDATE ON picket.forward_cursor TO picket_forward;

CREATE INDEX alert_commit ON picket.alert (commit_xid, alert_id);
RESET ROLE;
