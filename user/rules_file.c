// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writing the live rules beside the pid file: a reader sees the old file or the
 * new one, never half of one.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fail.h"
#include "rules_file.h"

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

int rules_file_write(const struct instance *instance, const struct store *store)
{
	char temporary[PATH_MAX + 16];
	char path[PATH_MAX + 16];
	struct store_rule *rules = NULL;
	size_t count;
	int err;

	snprintf(path, sizeof(path), "%s/rules", instance->run_dir);
	snprintf(temporary, sizeof(temporary), "%s/rules.new", instance->run_dir);
	err = store_rules(store, &rules, &count);
	if (err)
		return err;
	err = write_file(temporary, rules, count);
	if (!err && rename(temporary, path))
		err = -errno;
	if (err) {
		unlink(temporary);
		fail(err, "cannot write %s: %s", path, strerror(-err));
	}
	free(rules);
	return err;
}

void rules_file_remove(const struct instance *instance)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/rules", instance->run_dir);
	unlink(path);
}
