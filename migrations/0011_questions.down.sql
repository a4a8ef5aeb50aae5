DROP SCHEMA analytics CASCADE;
DROP SCHEMA kql CASCADE;
SET LOCAL ROLE picket_owner;
DROP TABLE picket.custom_row, picket.custom_table, picket.saved_query, picket.saved_function, picket.helper;
DROP FUNCTION picket.event_details(jsonb, bytea, text, timestamptz), picket.workspace_guid(int), picket.file_name(text), picket.whole_number(text);
RESET ROLE;
