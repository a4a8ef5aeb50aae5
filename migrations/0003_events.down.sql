DROP TABLE picket.alert, picket.dead_letter, picket.ledger, picket.device_activity, picket.raw_event, picket.message,
    picket.bus_gap, picket.bus_offset, picket.bus_topic;
DROP FUNCTION picket.partitions_make(timestamptz, timestamptz), picket.partitions_drop(timestamptz, timestamptz),
    picket.json_text(jsonb, bytea), picket.json_text_walk(jsonb, bytea, int);
