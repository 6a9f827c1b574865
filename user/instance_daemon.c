// SPDX-License-Identifier: GPL-2.0-only
/*
 * An instance's daemon as a process: the pid file, whose lock is the sign of
 * life, starting and stopping. They are open-file-description locks (fcntl(2)),
 * because those can be asked for without being taken.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fail.h"
#include "instance.h"
#include "xdnat_abi.h"

#define PROGRAM	       "xdnatd"
#define PID_PATH_BYTES 128
#define READY_WAIT_MS  10000
#define STOP_WAIT_MS   5000
#define KILL_WAIT_MS   2000
#define MESSAGE_BYTES  512
#define BECOME_TRIES   8

static int pid_file = -1; /* this process' own, if it is a daemon */

static char *pid_path(const struct instance *instance, char *path)
{
	snprintf(path, PID_PATH_BYTES, "%s/%s/%s", XDNAT_RUN_ROOT, instance->name,
		 INSTANCE_PID_FILE);
	return path;
}

/* The pid file's two locks, each on one byte: the first makes the daemon the only
 * one, the second says that the pid in the file is its own and not a dead one's. */
enum { LOCK_ONLY_ONE, LOCK_PID_WRITTEN };

static int take_lock(int descriptor, int which)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = which, .l_len = 1};

	return fcntl(descriptor, F_OFD_SETLK, &lock) ? -errno : 0;
}

static bool is_locked(int descriptor, int which)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = which, .l_len = 1};

	return !fcntl(descriptor, F_OFD_GETLK, &lock) && lock.l_type != F_UNLCK;
}

pid_t instance_daemon(const struct instance *instance)
{
	char path[PID_PATH_BYTES], text[16] = "";
	pid_t pid = 0;
	int descriptor;

	if (instance_need_private_run(instance))
		return 0;
	descriptor = open(pid_path(instance, path), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (descriptor < 0)
		return 0;
	if (is_locked(descriptor, LOCK_PID_WRITTEN) && read(descriptor, text, sizeof(text) - 1) > 0)
		pid = strtol(text, NULL, 10);
	close(descriptor);
	return pid > 0 ? pid : 0;
}

static bool leads_to(const char *path, int descriptor)
{
	struct stat opened, present;

	return !fstat(descriptor, &opened) && !stat(path, &present) &&
	       opened.st_dev == present.st_dev && opened.st_ino == present.st_ino;
}

/* Opens the pid file and locks it; -EAGAIN if a daemon that is ending removed it
 * in between. */
static int lock_pid_file(const char *path)
{
	int descriptor, err;

	descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (descriptor < 0)
		return -errno;
	err = take_lock(descriptor, LOCK_ONLY_ONE);
	if (err == -EACCES || err == -EAGAIN)
		err = -EBUSY;
	else if (!err && !leads_to(path, descriptor))
		err = -EAGAIN;
	if (!err)
		return descriptor;
	close(descriptor);
	return err;
}

static int write_pid(int descriptor)
{
	if (ftruncate(descriptor, 0) || dprintf(descriptor, "%d\n", getpid()) < 0)
		return -errno;
	return take_lock(descriptor, LOCK_PID_WRITTEN);
}

int instance_become_daemon(const struct instance *instance)
{
	char path[PID_PATH_BYTES];
	int descriptor = -EAGAIN;
	int err;

	err = instance_make_run_dir(instance);
	if (err)
		return err;
	pid_path(instance, path);
	for (int tries = 0; descriptor == -EAGAIN && tries < BECOME_TRIES; tries++)
		descriptor = lock_pid_file(path);
	if (descriptor == -EBUSY)
		return fail(-EBUSY, "instance %s has a daemon already", instance->name);
	if (descriptor < 0)
		return fail(descriptor, "cannot lock %s: %s", path, strerror(-descriptor));
	err = write_pid(descriptor);
	if (err) {
		close(descriptor);
		return fail_kernel(err, "cannot write %s", path);
	}
	pid_file = descriptor;
	return 0;
}

void instance_end_daemon(const struct instance *instance)
{
	char path[PID_PATH_BYTES];

	if (pid_file < 0)
		return;
	if (leads_to(pid_path(instance, path), pid_file))
		unlink(path);
	close(pid_file);
	pid_file = -1;
}

/* "…/xdnatd" beside the running program, if it is there. */
static bool find_beside(char *path)
{
	ssize_t bytes = readlink("/proc/self/exe", path, PATH_MAX - sizeof(PROGRAM));
	char *slash;

	if (bytes < 0)
		return false;
	path[bytes] = '\0';
	slash = strrchr(path, '/');
	if (!slash)
		return false;
	strcpy(slash + 1, PROGRAM);
	return !access(path, X_OK);
}

static bool find_in_path(char *path)
{
	const char *dirs = getenv("PATH");

	while (dirs && *dirs) {
		int bytes = strcspn(dirs, ":");

		snprintf(path, PATH_MAX, "%.*s/" PROGRAM, bytes, dirs);
		if (bytes && !access(path, X_OK))
			return true;
		dirs += bytes + (dirs[bytes] == ':');
	}
	return false;
}

/* The xdnatd that is to run. */
static int find_program(char *path)
{
	if (find_beside(path) || find_in_path(path))
		return 0;
	return fail(-ECHILD, "cannot run %s: it is neither beside xdnat nor in PATH", PROGRAM);
}

/* Does the process run that very file? A package that was upgraded has another. */
static bool runs_program(pid_t pid, const char *program)
{
	struct stat running, present;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	return !stat(path, &running) && !stat(program, &present) &&
	       running.st_dev == present.st_dev && running.st_ino == present.st_ino;
}

/* In the child: leaves the caller's session, files and directory, keeps its
 * namespaces, and turns into xdnatd. The ready pipe becomes descriptor 3. */
__attribute__((noreturn)) static void turn_into_daemon(const struct instance *instance,
						       const char *program, int ready)
{
	char *const words[] = {PROGRAM,	     "--instance", (char *)instance->name,
			       "--ready-fd", "3",	   NULL};
	sigset_t none;
	int null;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	null = open("/dev/null", O_RDWR);
	for (int stream = 0; stream < 3; stream++)
		dup2(null, stream);
	if (ready != 3)
		dup2(ready, 3);
	else
		fcntl(3, F_SETFD, 0);
	close_range(4, ~0U, 0);
	if (!chdir("/"))
		execv(program, words);
	dprintf(3, "cannot run %s: %s\n", program, strerror(errno));
	_exit(127);
}

/* The daemon's one line: empty when it is ready, else why it is not. */
static int read_line(int ready, char *line)
{
	size_t used = 0;

	while (used < MESSAGE_BYTES - 1) {
		struct pollfd wait = {.fd = ready, .events = POLLIN};
		int count = poll(&wait, 1, READY_WAIT_MS);

		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return count ? -errno : -ETIMEDOUT;
		if (read(ready, line + used, 1) <= 0)
			return -EPIPE;
		if (line[used] == '\n')
			break;
		used++;
	}
	line[used] = '\0';
	return 0;
}

static int await_ready(pid_t pid, int ready)
{
	char line[MESSAGE_BYTES];
	int status = 0;
	int err = read_line(ready, line);

	if (!err && !*line)
		return 0;
	if (err == -ETIMEDOUT)
		kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	if (!err)
		return fail(-ECHILD, "%s did not start: %s", PROGRAM, line);
	if (err == -ETIMEDOUT)
		return fail(err, "%s was not ready within %d s", PROGRAM, READY_WAIT_MS / 1000);
	if (WIFSIGNALED(status))
		return fail(-ECHILD, "%s was ended by signal %d before it was ready", PROGRAM,
			    WTERMSIG(status));
	return fail(-ECHILD, "%s ended before it was ready (exit status %d)", PROGRAM,
		    WEXITSTATUS(status));
}

/* Sends the signal and waits for the end; the descriptor stands for the process
 * itself, so a pid that is used again is never hit. */
static int end_process(int process, int signal, int timeout_ms)
{
	struct pollfd wait = {.fd = process, .events = POLLIN};
	int count;

	if (pidfd_send_signal(process, signal, NULL, 0))
		return errno == ESRCH ? 0 : -errno;
	do {
		count = poll(&wait, 1, timeout_ms);
	} while (count < 0 && errno == EINTR);
	if (count < 0)
		return -errno;
	return count ? 0 : -ETIMEDOUT;
}

int instance_stop_daemon(const struct instance *instance)
{
	pid_t pid = instance_daemon(instance);
	char path[PID_PATH_BYTES];
	int process, err = 0;

	if (!pid)
		return 0;
	process = pidfd_open(pid, 0);
	if (process < 0 && errno != ESRCH)
		return fail_kernel(-errno, "cannot stop %s (pid %d)", PROGRAM, pid);
	if (process >= 0 && instance_daemon(instance) == pid) {
		err = end_process(process, SIGTERM, STOP_WAIT_MS);
		if (err == -ETIMEDOUT)
			err = end_process(process, SIGKILL, KILL_WAIT_MS);
	}
	if (process >= 0)
		close(process);
	if (err)
		return fail_kernel(err, "cannot stop %s (pid %d)", PROGRAM, pid);
	if (!instance_daemon(instance))
		unlink(pid_path(instance, path));
	return 0;
}

static int start(const struct instance *instance, const char *program)
{
	int ends[2];
	pid_t pid;
	int err;

	if (pipe2(ends, O_CLOEXEC))
		return fail_kernel(-errno, "cannot make a pipe");
	pid = fork();
	if (!pid)
		turn_into_daemon(instance, program, ends[1]);
	err = pid < 0 ? -errno : 0;
	close(ends[1]);
	if (err)
		fail_kernel(err, "cannot start %s", PROGRAM);
	else
		err = await_ready(pid, ends[0]);
	close(ends[0]);
	return err;
}

int instance_start_daemon(const struct instance *instance)
{
	pid_t pid = instance_daemon(instance);
	char program[PATH_MAX];
	int err = find_program(program);

	if (err)
		return pid ? 0 : err;
	if (pid && runs_program(pid, program))
		return 0;
	err = instance_stop_daemon(instance);
	if (!err)
		err = start(instance, program);
	return err && pid ? fail_while(err, "the daemon of the version before was stopped") : err;
}
