DROP TRIGGER roster_wake ON picket.workspace;
DROP TABLE picket.credential, picket.device;
DROP FUNCTION picket.credential_touch_device(), picket.roster_wake();
