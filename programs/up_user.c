#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "programs/up.h"
#include "runtime/process.h"

#define SERVANT "picket"

static bool user_named(const char *name, struct up_user *out);
static enum status servant_make(struct up *up, struct problem *why);
static void user_fill(const struct passwd *entry, struct up_user *out);
static void closed_part(const struct up_user *user, const char *path, char *out, size_t size);

enum status up_users_find(struct up *up, struct problem *why)
{
    const struct passwd *entry = getpwuid(geteuid());

    if (!entry)
        return problem_set(why, STATUS_REJECT,
                           "user id %ld has no entry in /etc/passwd, which PostgreSQL needs: run as a user that has one",
                           (long)geteuid());
    user_fill(entry, &up->self);
    up->servant = up->self;
    if (up->self.uid == 0 && !user_named(SERVANT, &up->servant))
        return servant_make(up, why);
    return STATUS_OK;
}

enum status up_users_check(struct up *up, struct problem *why)
{
    char part[DATA_PATH_SIZE], program[DATA_PATH_SIZE];

    if (!up_user_can(&up->servant, up->folder, X_OK)) {
        closed_part(&up->servant, up->folder, part, sizeof part);
        return problem_set(why, STATUS_REJECT,
                           "PostgreSQL runs as the user %s, to whom %s is closed: choose a folder it can reach with --data, "
                           "or open it with `chmod o+x %s`",
                           up->servant.name, part, part);
    }
    /* A build in root's home: picketd then runs as root, which the step that starts it says. */
    data_folder_path(process_program_path(), "picketd", program);
    bool reachable = up_user_can(&up->servant, program, X_OK) && up_user_can(&up->servant, process_share_path(), R_OK | X_OK);
    up->server_user = reachable ? up->servant : up->self;
    return STATUS_OK;
}

bool up_user_can(const struct up_user *user, const char *path, int mode)
{
    int outcome = 0;

    if (user->uid == geteuid())
        return access(path, mode) == 0;
    pid_t child = fork();
    if (child == 0) {
        bool became = initgroups(user->name, user->gid) == 0 && setgid(user->gid) == 0 && setuid(user->uid) == 0;
        _exit(became && access(path, mode) == 0 ? 0 : 1);
    }
    while (child > 0 && waitpid(child, &outcome, 0) < 0 && errno == EINTR)
        ;
    return child > 0 && WIFEXITED(outcome) && WEXITSTATUS(outcome) == 0;
}

static bool user_named(const char *name, struct up_user *out)
{
    const struct passwd *entry = getpwnam(name);
    if (entry)
        user_fill(entry, out);
    return entry != NULL;
}

static enum status servant_make(struct up *up, struct problem *why)
{
    static const char *const programs[] = {"/usr/sbin/useradd", "/sbin/useradd", "/usr/bin/useradd"};
    struct problem reason;

    problem_set(&reason, STATUS_REJECT, "useradd is not installed");
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        const char *const argv[] = {programs[i], "--system", "--user-group", "--no-create-home", "--home-dir",
                                    "/nonexistent", "--shell", "/usr/sbin/nologin", SERVANT, NULL};
        const struct up_command command = {argv, &up->self, up_path(up, "log/setup.log"), UP_ENVIRONMENT_BARE};
        if (access(programs[i], X_OK) != 0)
            continue;
        if (up_run(&command, NULL, &reason) == STATUS_OK && user_named(SERVANT, &up->servant)) {
            up_say(up, "made the system user %s, who runs PostgreSQL and picketd", SERVANT);
            return STATUS_OK;
        }
        break;
    }
    return problem_set(why, STATUS_REJECT, "PostgreSQL does not run as root, and the user " SERVANT " cannot be made (%.200s): "
                       "make it, or start picket as another user", reason.text);
}

static void user_fill(const struct passwd *entry, struct up_user *out)
{
    out->uid = entry->pw_uid;
    out->gid = entry->pw_gid;
    snprintf(out->name, sizeof out->name, "%s", entry->pw_name);
}

/* The first folder on the way that the user cannot enter. */
static void closed_part(const struct up_user *user, const char *path, char *out, size_t size)
{
    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(out, size, "%.*s", (int)(slash - path), path);
        if (!up_user_can(user, out, X_OK))
            return;
    }
    snprintf(out, size, "%s", path);
}
