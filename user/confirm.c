// SPDX-License-Identifier: GPL-2.0-only
/*
 * The watchdog waits with a lock on RUN_DIR/confirm. Removing that file calls it
 * off.
 */
#include "confirm.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fail.h"

#define POLL_MS	   100
#define UNDO_WORDS 5 /* xdnat --instance NAME unload … NULL */

static void confirm_path(const struct instance *instance, char *path)
{
	snprintf(path, PATH_MAX, "%s/confirm", instance->run_dir);
}

static bool is_called_off(int file, const char *path)
{
	struct stat own, now;

	return fstat(file, &own) || stat(path, &now) || own.st_ino != now.st_ino;
}

static time_t now_sec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec;
}

/* In the watchdog, which has no way to complain. Never returns. */
static void watch(int file, const char *path, time_t deadline, char **undo)
{
	while (now_sec() < deadline) {
		if (is_called_off(file, path))
			_exit(0);
		poll(NULL, 0, POLL_MS);
	}
	if (is_called_off(file, path))
		_exit(0);
	unlink(path);
	execv("/proc/self/exe", undo);
	_exit(1);
}

/* Out of the caller's session, terminal and descriptors; file becomes 0. */
static void leave_caller(int file)
{
	int null = open("/dev/null", O_RDWR);

	setsid();
	if (chdir("/"))
		_exit(1);
	dup2(null, 1);
	dup2(null, 2);
	dup2(file, 0);
	close_range(3, ~0U, 0);
}

static char **undo_words(const struct instance *instance, bool whole,
			 const struct netlink_link *links, size_t count)
{
	char **words = calloc(UNDO_WORDS + count + 1, sizeof(*words));
	size_t n = 0;

	if (!words)
		return NULL;
	words[n++] = "xdnat";
	words[n++] = "--instance";
	words[n++] = (char *)instance->name;
	words[n++] = "unload";
	if (whole)
		words[n++] = "--all";
	for (size_t i = 0; !whole && i < count; i++)
		words[n++] = (char *)links[i].name;
	return words;
}

int confirm_start(const struct instance *instance, unsigned int seconds, bool whole,
		  const struct netlink_link *links, size_t count)
{
	char **undo = undo_words(instance, whole, links, count);
	char path[PATH_MAX];
	pid_t pid = -1;
	int file = -1, err = 0;

	if (!undo)
		return fail(-ENOMEM, "no memory");
	err = confirm_need_none(instance);
	if (err)
		goto out;
	confirm_path(instance, path);
	unlink(path); /* of a watchdog that was killed */
	file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (file >= 0 && !flock(file, LOCK_EX | LOCK_NB))
		pid = fork();
	if (pid < 0) {
		err = -errno;
		fail_kernel(err, "cannot start what would undo the load (%s)", path);
		unlink(path);
	}
	if (!pid) {
		leave_caller(file);
		watch(0, path, now_sec() + seconds, undo);
	}
out:
	if (file >= 0)
		close(file);
	free(undo);
	return err;
}

/* The descriptor of the file, -1 if there is none. */
static int open_file(const struct instance *instance, char *path, bool *is_waiting)
{
	int file;

	confirm_path(instance, path);
	file = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	*is_waiting = file >= 0 && flock(file, LOCK_EX | LOCK_NB);
	return file;
}

int confirm_need_none(const struct instance *instance)
{
	char path[PATH_MAX];
	bool is_waiting;
	int file = open_file(instance, path, &is_waiting);

	if (file >= 0)
		close(file);
	return is_waiting ? fail(-EBUSY, "an earlier load still waits to be confirmed, or will be "
					 "undone; type first: xdnat confirm")
			  : 0;
}

int confirm_cancel(const struct instance *instance)
{
	char path[PATH_MAX];
	bool is_waiting;
	int file = open_file(instance, path, &is_waiting);

	if (file < 0)
		return 0;
	unlink(path);
	close(file);
	return is_waiting;
}
