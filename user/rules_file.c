// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writing the live rules beside the pid file: a reader sees the old file or the
 * new one, never half of one.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fail.h"
#include "rules_file.h"

#define NOT_KEPT \
	"the rules are in force, but their copy for an upgrade of xdnat could not be written"

static int write_lines(FILE *file, const struct store_rule *rules, size_t count)
{
	char line[XDNAT_SPEC_BYTES];
	size_t i;

	for (i = 0; i < count; i++) {
		spec_format(&rules[i].spec, line);
		fprintf(file, "%s\n", line);
	}
	if (fflush(file) || ferror(file) || fsync(fileno(file)))
		return -errno;
	return 0;
}

static int write_file(const char *path, const struct store_rule *rules, size_t count)
{
	FILE *file;
	int err;
	int fd;

	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	file = fdopen(fd, "w");
	if (!file) {
		err = -errno;
		close(fd);
		return err;
	}
	err = write_lines(file, rules, count);
	fclose(file);
	return err;
}

static void rules_path(const struct instance *instance, const char *name, char *path)
{
	snprintf(path, PATH_MAX, "%s/%s", instance->run_dir, name);
}

int rules_file_write(const struct instance *instance, const struct store_rule *rules, size_t count)
{
	char temporary[PATH_MAX];
	char path[PATH_MAX];
	int err;

	err = instance_make_run_dir(instance); /* somebody may have cleared /run */
	if (err)
		return fail_while(err, NOT_KEPT);
	rules_path(instance, "rules", path);
	rules_path(instance, "rules.new", temporary);
	err = write_file(temporary, rules, count);
	if (!err && rename(temporary, path))
		err = -errno;
	if (!err)
		return 0;
	unlink(temporary);
	return fail(err, NOT_KEPT ": %s: %s", path, strerror(-err));
}

void rules_file_remove(const struct instance *instance)
{
	char path[PATH_MAX];

	rules_path(instance, "rules", path);
	unlink(path);
	rules_path(instance, "rules.new", path); /* of a command that was killed */
	unlink(path);
}
