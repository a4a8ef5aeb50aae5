#include "programs/bootstrap.h"

#include "query/token.h"
#include "runtime/arena.h"
#include "runtime/db.h"
#include "runtime/secret.h"

#define STATEMENT_MS 30000

static enum status make(struct db *db, const struct secret_master *master, const struct bootstrap_token *wish,
                        struct arena *arena, json_t **out, struct problem *why);

enum status bootstrap_token(const struct bootstrap_token *wish, json_t **out, struct problem *why)
{
    struct secret_master master;
    struct db *db = NULL;
    struct arena arena;

    *out = NULL;
    enum status status = secret_master_load(wish->master_key_file, &master, why);
    if (status)
        return status;
    arena_init(&arena);
    status = db_open(wish->conninfo, NULL, "picket token", &db, why);
    if (!status)
        status = db_begin(db, STATEMENT_MS, why);
    if (!status)
        status = make(db, &master, wish, &arena, out, why);
    if (status && db)
        db_rollback(db);
    if (!status)
        status = db_commit(db, STATEMENT_MS, why);
    if (status) {
        json_decref(*out);
        *out = NULL;
    }
    db_close(db);
    arena_done(&arena);
    secret_wipe(&master, sizeof master);
    return status;
}

static enum status make(struct db *db, const struct secret_master *master, const struct bootstrap_token *wish,
                        struct arena *arena, json_t **out, struct problem *why)
{
    const struct token_wish token_wish = {wish->role, wish->workspace, wish->description, "picket token"};
    struct token_made made;

    enum status status = token_create(db, master, &token_wish, STATEMENT_MS, arena, &made, why);
    if (status)
        return status;
    json_t *workspaces = json_loadb(made.workspaces.bytes, made.workspaces.count, 0, NULL);
    *out = json_pack("{s:I, s:s, s:s, s:o}", "id", (json_int_t)made.id, "token", made.text, "role", wish->role, "workspaces",
                     workspaces ? workspaces : json_array());
    secret_wipe(made.text, sizeof made.text);
    return STATUS_OK;
}
