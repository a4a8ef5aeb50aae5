#ifndef PICKET_TESTS_SUPPORT_DATABASE_H
#define PICKET_TESTS_SUPPORT_DATABASE_H

/* A private PostgreSQL for this test program: made by initdb in a folder under /tmp, reached through a socket there,
 * gone with the program. Aborts with a sentence when it cannot be had.
 *
 * Start it in main() or an unchecked fixture. Tests, also those that Check forks, may stop, kill and restart it. */
enum database_durability {
    DATABASE_DURABLE, /* fsync and synchronous_commit on, as in production: for tests that kill it */
    DATABASE_FAST,    /* fsync off */
};

/* Returns when it answers. A second call is harmless. */
void database_start(enum database_durability durability);
void database_stop(void);    /* fast shutdown: clients are cut off, commits are kept */
void database_kill9(void);   /* every process at once */
void database_restart(void); /* after stop or kill9; returns when it answers */
void database_freeze(void);  /* it keeps its connections and says nothing */
void database_thaw(void);
void database_end(void);     /* earlier than at exit */

/* As superuser. Everybody may connect without a password. Static strings. */
const char *database_conninfo(void);
/* For `user`; NULL leaves the user open, as programs that add their own want it. `name` of the database, NULL: the one
 * of database_conninfo(). Valid until eight further calls. */
const char *database_conninfo_for(const char *user, const char *name);

#endif
