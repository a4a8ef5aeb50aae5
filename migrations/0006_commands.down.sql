DROP FUNCTION picket.cloud_take(int, text, int, int, int), picket.cloud_settle(int, text, uuid, text),
    picket.method_claim(bigint[]), picket.method_answer(bigint, int, text, text, bigint, json),
    picket.connections_note(int[], text[], text[], bool[], uuid, text[], text[], bigint[], bigint[]),
    picket.ingest_alive(uuid), picket.method_results(bigint[]), picket.method_give_up(bigint);
DROP TABLE picket.method_call, picket.cloud_message, picket.device_connection, picket.ingest_replica;
DROP FUNCTION picket.deliveries_wake();
