/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An instance: its name, where its pins and run files are, its lock, its
 * daemon's process. One instance belongs to one network namespace.
 */
#ifndef XDNAT_INSTANCE_H
#define XDNAT_INSTANCE_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "xdnat_abi.h"

#define INSTANCE_NAME_MAX  32
#define INSTANCE_DIR_BYTES 128		/* either directory's path */
#define INSTANCE_PID_FILE  "xdnatd.pid" /* in run_dir */
#define INSTANCE_ABI_OLDER 3		/* the one that load can upgrade */
/* Of the directory in which pins are made or removed. A number: then `unload --all` of
 * every build takes it along. */
#define INSTANCE_ABI_NEW (1000 * XDNAT_ABI)

struct instance {
	char name[INSTANCE_NAME_MAX + 1];
	char pin_dir[INSTANCE_DIR_BYTES]; /* XDNAT_PIN_ROOT/NAME/vABI */
	char run_dir[INSTANCE_DIR_BYTES]; /* XDNAT_RUN_ROOT/NAME */
};

/* name NULL: $XDNAT_INSTANCE, else "default". Letters, digits, "_" and "-" only
 * (bpffs refuses dots). -EUSAGE with fail(). */
int instance_init(struct instance *instance, const char *name);
/* Something is pinned; whether it is all that is needed, store_open() says. */
bool instance_is_loaded(const struct instance *instance);
/* The ABI number of another build that has pins of this instance, and their
 * directory in path (PATH_MAX); 0: there is none. */
unsigned int instance_other_abi(const struct instance *instance, char *path);
/* True if the build that load can upgrade has pins of the instance; older is the same
 * instance with that one's pin_dir. */
bool instance_older(const struct instance *instance, struct instance *older);
/* -EBUSY with fail() if another build has loaded the instance and this one has not, or
 * has not finished its upgrade. */
int instance_need_own_abi(const struct instance *instance);
/* The same for load, which can upgrade or finish. */
int instance_need_loadable(const struct instance *instance);

/* -EPERM with fail() if path is a link, not root's, or others may write there: who
 * made it could have put anything in it. 0 also if there is nothing. */
int instance_need_private(const char *path, mode_t type);
/* The same for the directory of the pins and those above it, and for those in /run. */
int instance_need_private_pins(const struct instance *instance);
int instance_need_private_run(const struct instance *instance);

/* bpffs is mounted at XDNAT_BPFFS, or is mounted now; in a private mount
 * namespace (`ip netns exec`) it would vanish with the caller: refused. */
int instance_need_bpffs(void);
/* fail() with -ENOTLOADED, or -EBUSY if another build has loaded it. */
int instance_fail_not_loaded(const struct instance *instance);
/* fail() with -EPERM: the caller is not root; bpffs is read-only. */
int instance_fail_permission(void);
int instance_fail_read_only(void);
/* Makes the directory in /run; root only (0700), as those above pin_dir, which
 * instance_make_and_lock() makes too. pin_dir itself appears with the pins in it:
 * program_create(). Remove takes all of them, and the roots if they are empty then. */
int instance_make_run_dir(const struct instance *instance);
void instance_remove_dirs(const struct instance *instance);

/* Takes the lock that serialises changes to an instance (flock on the directory
 * above pin_dir, so it needs no run files), waiting for others, 30 s at most.
 * Returns the descriptor to close, or -errno with fail(): -ENOTLOADED if the
 * directory is not there. `load` makes it first, and again (with the lock) when
 * an unload took it away in between: instance_make_and_lock(), which fails as
 * instance_need_loadable() does. */
int instance_lock(const struct instance *instance);
int instance_make_and_lock(const struct instance *instance);
/* The same without waiting: -EWOULDBLOCK if another holds it. */
int instance_try_lock(const struct instance *instance);

/* The daemon: pid if one lives (pid file, and that process holds the file's
 * lock), else 0. */
pid_t instance_daemon(const struct instance *instance);
/* For xdnatd: writes the pid file and keeps it locked for the life of the
 * process. -EBUSY if another daemon lives. */
int instance_become_daemon(const struct instance *instance);
/* Removes the pid file, if it is this process' own, and lets go of its lock. */
void instance_end_daemon(const struct instance *instance);
/* Starts xdnatd (beside /proc/self/exe first, else PATH) in a session and with
 * descriptors of its own, in the caller's namespaces, and waits until it is
 * ready: it writes one line to --ready-fd, empty if all is well, else the error.
 * One that lives stays if it runs the same file, else it is replaced. The caller may hold the
 * instance's lock. */
int instance_start_daemon(const struct instance *instance);
/* SIGTERM, waits for the end, SIGKILL after 5 s. */
int instance_stop_daemon(const struct instance *instance);

#endif
