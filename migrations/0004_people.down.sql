DROP TRIGGER hosts_check ON picket.workspace;
DROP TABLE picket.audit, picket.token;
DROP FUNCTION picket.workspace_hosts_check(), picket.token_find(text), picket.workspace_create(text, text[], int),
    picket.audit_hash(bytea, bigint, int, timestamptz, text, text, text, jsonb),
    picket.audit_append(int, text, text, text, jsonb);
