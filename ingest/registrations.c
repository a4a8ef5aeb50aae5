#include "ingest/registrations.h"
void registration_authenticate(struct db *db, const struct registration_settings *settings, const struct registration_claim *claim, int64_t now_us, struct arena *arena, struct registration_answer *out)
{ (void)db; (void)settings; (void)claim; (void)now_us; (void)arena; *out = (struct registration_answer){.code = 404, .body = TEXT("")}; }
void registration_register(struct db *db, const struct registration_settings *settings, const struct registration_claim *claim, struct text body, int64_t now_us, struct arena *arena, struct registration_answer *out)
{ (void)body; registration_authenticate(db, settings, claim, now_us, arena, out); }
void registration_operation(struct db *db, const struct registration_settings *settings, const struct registration_claim *claim, struct text operation_id, int64_t now_us, struct arena *arena, struct registration_answer *out)
{ (void)operation_id; registration_authenticate(db, settings, claim, now_us, arena, out); }
