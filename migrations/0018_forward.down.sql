SET LOCAL ROLE picket_owner;
DROP INDEX picket.alert_commit;
DROP TABLE picket.forward_cursor;
DROP POLICY forwarded ON picket.alert_event;
DROP POLICY forwarded ON picket.alert;
DROP POLICY forwarded ON picket.workspace;
REVOKE SELECT ON picket.migration, picket.workspace, picket.alert, picket.alert_event FROM picket_forward;
REVOKE USAGE ON SCHEMA picket FROM picket_forward;
RESET ROLE;
