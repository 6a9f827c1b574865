// SPDX-License-Identifier: GPL-2.0-only
/*
 * An instance's name, directories, bpffs and lock. Knows nothing of what is
 * pinned: which builds have pins is in instance_abi.c, its daemon's process in
 * instance_daemon.c.
 */
#include "instance.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "fail.h"
#include "xdnat_abi.h"

#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
/* A command may hold the lock while a neighbour is awaited or a daemon starts. */
#define LOCK_WAIT_MS 30000
#define LOCK_POLL_MS 5
/* mkdir of a directory whose parent someone else is just removing. */
#define MAKE_TRIES 8

int instance_init(struct instance *instance, const char *name)
{
	if (!name)
		name = getenv("XDNAT_INSTANCE");
	if (!name)
		name = "default";
	if (!*name || strlen(name) > INSTANCE_NAME_MAX || name[strspn(name, NAME_LETTERS)])
		return fail(
			-EUSAGE,
			"instance name '%s' is not valid: 1 to %d letters, digits, \"_\" or \"-\"",
			name, INSTANCE_NAME_MAX);
	strcpy(instance->name, name);
	snprintf(instance->pin_dir, sizeof(instance->pin_dir), "%s/%s/v%d", XDNAT_PIN_ROOT, name,
		 XDNAT_ABI);
	snprintf(instance->run_dir, sizeof(instance->run_dir), "%s/%s", XDNAT_RUN_ROOT, name);
	return 0;
}

/* The directory that holds all builds' pins of the instance, and its lock. */
static char *pin_parent(const struct instance *instance, char *path)
{
	snprintf(path, PATH_MAX, "%s/%s", XDNAT_PIN_ROOT, instance->name);
	return path;
}

int instance_fail_permission(void)
{
	return fail(-EPERM, "not permitted: xdnat needs root (CAP_BPF and CAP_NET_ADMIN)");
}

int instance_need_private(const char *path, mode_t type)
{
	bool is_dir = type == S_IFDIR;
	struct stat found;

	if (lstat(path, &found)) {
		if (errno == ENOENT || errno == ENOTDIR)
			return 0;
		if (errno == EACCES)
			return instance_fail_permission();
		return fail_kernel(-errno, "cannot look at %s", path);
	}
	if ((found.st_mode & S_IFMT) != type)
		return fail(-EPERM, "%s is not a %s, so xdnat did not make it; type: rm -r %s",
			    path, is_dir ? "directory" : "regular file", path);
	if (found.st_uid)
		return fail(-EPERM,
			    "%s belongs to user %u, not to root, so xdnat does not use it; find "
			    "out who made it, then type: rm -r %s",
			    path, found.st_uid, path);
	if (found.st_mode & 022)
		return fail(-EPERM,
			    "others than root may write to %s (mode %04o), so xdnat does not use "
			    "it; find out why, then type: chmod go-w %s",
			    path, found.st_mode & 07777, path);
	return 0;
}

int instance_need_private_pins(const struct instance *instance)
{
	char parent[PATH_MAX];
	int err = instance_need_private(XDNAT_PIN_ROOT, S_IFDIR);

	if (!err)
		err = instance_need_private(pin_parent(instance, parent), S_IFDIR);
	return err ?: instance_need_private(instance->pin_dir, S_IFDIR);
}

int instance_need_private_run(const struct instance *instance)
{
	int err = instance_need_private(XDNAT_RUN_ROOT, S_IFDIR);

	return err ?: instance_need_private(instance->run_dir, S_IFDIR);
}

/* The identifier of the mount that stands first in a process' mount namespace:
 * another one has other identifiers. Readable where /proc/1/ns/mnt is not. */
static int first_mount(const char *mountinfo, long *id)
{
	FILE *file = fopen(mountinfo, "re");
	int err = -EIO;

	if (!file)
		return -errno;
	if (fscanf(file, "%ld", id) == 1)
		err = 0;
	fclose(file);
	return err;
}

static bool is_main_mount_namespace(void)
{
	long own, main;

	return !first_mount("/proc/self/mountinfo", &own) &&
	       !first_mount("/proc/1/mountinfo", &main) && own == main;
}

int instance_fail_read_only(void)
{
	return fail(-EPERM, "the BPF file system on %s is read-only; type: mount -o remount,rw %s",
		    XDNAT_BPFFS, XDNAT_BPFFS);
}

static bool has_bpffs(struct statfs *fs)
{
	return !statfs(XDNAT_BPFFS, fs) && fs->f_type == BPF_FS_MAGIC;
}

/* Where a mount of ours would end with the caller; what to do instead. */
#define HIDDEN_BPFFS                                                                               \
	"there is no BPF file system on " XDNAT_BPFFS " in this mount namespace (`ip netns exec` " \
	"makes one); type `nsenter --net=/run/netns/NAME xdnat ...` instead, or first "            \
	"`mount -t bpf bpf " XDNAT_BPFFS "` here"

int instance_fail_not_loaded(const struct instance *instance)
{
	struct statfs fs;
	int err = instance_need_own_abi(instance);

	if (err)
		return err;
	if (!has_bpffs(&fs) && !is_main_mount_namespace())
		return fail(-ENOTLOADED, HIDDEN_BPFFS);
	return fail(-ENOTLOADED, "xdnat is not loaded (instance \"%s\"); type: xdnat load IFACE",
		    instance->name);
}

int instance_need_bpffs(void)
{
	struct statfs fs;

	if (has_bpffs(&fs))
		return fs.f_flags & ST_RDONLY ? instance_fail_read_only() : 0;
	if (access(XDNAT_BPFFS, F_OK))
		return fail(-EOPNOTSUPP, "%s: %s; this kernel has no BPF file system", XDNAT_BPFFS,
			    strerror(errno));
	if (!is_main_mount_namespace())
		return fail(-EPERM, HIDDEN_BPFFS);
	if (mount("bpf", XDNAT_BPFFS, "bpf", 0, "mode=0700")) {
		int err = -errno;

		return fail_kernel(err, "cannot mount the BPF file system on %s", XDNAT_BPFFS);
	}
	return 0;
}

/* Both levels; the upper one may go away between, when the last instance does. */
static int make_dir(const char *root, const char *path)
{
	int err = -ENOENT;

	for (int tries = 0; err == -ENOENT && tries < MAKE_TRIES; tries++) {
		err = 0;
		if (mkdir(root, 0700) && errno != EEXIST)
			return -errno;
		if (mkdir(path, 0700) && errno != EEXIST)
			err = -errno;
	}
	return err;
}

int instance_make_run_dir(const struct instance *instance)
{
	int err = instance_need_private_run(instance);

	if (err)
		return err;
	err = make_dir(XDNAT_RUN_ROOT, instance->run_dir);
	if (err == -ENOENT)
		return fail(-EIO, "cannot make %s: there is no /run; type: mkdir -m 755 /run",
			    instance->run_dir);
	if (err)
		return fail_kernel(err, "cannot make %s", instance->run_dir);
	return 0;
}

/* The directories above pin_dir and in /run. */
static int make_dirs(const struct instance *instance)
{
	char parent[PATH_MAX];
	int err;

	err = instance_need_private_pins(instance);
	if (err)
		return err;
	err = make_dir(XDNAT_PIN_ROOT, pin_parent(instance, parent));
	if (err)
		return fail_kernel(err, "cannot make %s", parent);
	return instance_make_run_dir(instance);
}

void instance_remove_dirs(const struct instance *instance)
{
	char path[PATH_MAX];

	if (!instance_daemon(instance)) {
		snprintf(path, sizeof(path), "%s/%s/%s", XDNAT_RUN_ROOT, instance->name,
			 INSTANCE_PID_FILE);
		unlink(path);
	}
	rmdir(instance->run_dir);
	rmdir(XDNAT_RUN_ROOT);
	rmdir(instance->pin_dir);
	rmdir(pin_parent(instance, path));
	rmdir(XDNAT_PIN_ROOT);
}

/* True if path still leads to what is open: else its lock is nobody's any more. */
static bool is_same(int descriptor, const char *path)
{
	struct stat opened, present;

	return !fstat(descriptor, &opened) && !stat(path, &present) &&
	       opened.st_dev == present.st_dev && opened.st_ino == present.st_ino;
}

int instance_try_lock(const struct instance *instance)
{
	char parent[PATH_MAX];
	int descriptor;
	int err = instance_need_private_pins(instance);

	if (err)
		return err;
	descriptor =
		open(pin_parent(instance, parent), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (descriptor < 0 && errno == ENOENT)
		return instance_fail_not_loaded(instance);
	if (descriptor < 0)
		return fail_kernel(-errno, "cannot open %s", parent);
	if (flock(descriptor, LOCK_EX | LOCK_NB))
		err = -errno;
	else if (!is_same(descriptor, parent))
		err = -EWOULDBLOCK;
	if (!err)
		return descriptor;
	close(descriptor);
	if (err == -EWOULDBLOCK)
		return fail(err, "another command is changing instance %s", instance->name);
	return fail_kernel(err, "cannot lock %s", parent);
}

int instance_lock(const struct instance *instance)
{
	const struct timespec pause = {.tv_nsec = LOCK_POLL_MS * 1000000L};
	int result = -EWOULDBLOCK;

	for (int waited = 0; waited < LOCK_WAIT_MS; waited += LOCK_POLL_MS) {
		result = instance_try_lock(instance);
		if (result != -EWOULDBLOCK)
			return result;
		nanosleep(&pause, NULL);
	}
	return fail(-EBUSY,
		    "another command has been changing instance %s for %d s; look with: "
		    "fuser -v %s/%s",
		    instance->name, LOCK_WAIT_MS / 1000, XDNAT_PIN_ROOT, instance->name);
}

int instance_make_and_lock(const struct instance *instance)
{
	int lock = -ENOTLOADED, err = 0;

	for (int tries = 0; !err && lock == -ENOTLOADED && tries < MAKE_TRIES; tries++) {
		err = make_dirs(instance);
		if (!err)
			lock = instance_lock(instance);
	}
	if (!err && lock < 0)
		return lock;
	if (!err)
		err = make_dirs(instance); /* an unload may have taken some of them */
	if (!err)
		err = instance_need_loadable(instance);
	if (!err)
		return lock;
	instance_remove_dirs(instance);
	if (lock >= 0)
		close(lock);
	return err;
}
