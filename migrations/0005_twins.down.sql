DROP TRIGGER tags_changed ON picket.device;
DROP TABLE picket.twin, picket.configuration;
DROP FUNCTION picket.device_tags_changed(), picket.configuration_changed(), picket.twin_desired_changed(),
    picket.twin_refresh(int, text, text), picket.twin_inherited(int, text, jsonb), picket.twin_read(int, text, text),
    picket.twin_report(int, text, text, jsonb, int), picket.json_merge(jsonb, jsonb), picket.json_patch(jsonb, jsonb),
    picket.json_patch_join(jsonb, jsonb);
