// SPDX-License-Identifier: GPL-2.0-only
#include "pins.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINK_PIN "link_" /* and the ifindex: bpffs takes no dots, interface names do */

void pins_new_dir(const struct instance *instance, char *path)
{
	snprintf(path, PINS_DIR_BYTES, "%s/%s/v%d", XDNAT_PIN_ROOT, instance->name,
		 INSTANCE_ABI_NEW);
}

void pins_link_path(const struct instance *instance, uint32_t ifindex, char *path)
{
	snprintf(path, PATH_MAX, "%s/" LINK_PIN "%u", instance->pin_dir, ifindex);
}

/* Removing the pin alone would detach some time later, by a kernel worker. */
int pins_detach_link(const char *path)
{
	int fd = bpf_obj_get(path);

	if (fd >= 0) {
		bpf_link_detach(fd); /* fails if the interface is gone: as good */
		close(fd);
	}
	return unlink(path) && errno != ENOENT ? -errno : 0;
}

static bool is_link(const struct dirent *entry)
{
	return !strncmp(entry->d_name, LINK_PIN, strlen(LINK_PIN));
}

static void remove_dir(const char *dir, bool is_detaching)
{
	struct dirent *entry;
	DIR *pins = opendir(dir);
	char path[PATH_MAX];

	if (!pins)
		return;
	while ((entry = readdir(pins))) {
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		if (is_detaching && is_link(entry))
			pins_detach_link(path);
		else
			unlink(path);
	}
	closedir(pins);
	rmdir(dir);
}

void pins_remove(const char *dir)
{
	remove_dir(dir, true);
}

void pins_forget(const char *dir)
{
	remove_dir(dir, false);
}

static int pin_again(const char *from, const char *to)
{
	int fd = bpf_obj_get(from), err;

	if (fd < 0)
		return fd;
	err = bpf_obj_pin(fd, to);
	close(fd);
	return err;
}

int pins_link_again(const char *from_dir, const char *to_dir)
{
	char from[PATH_MAX], to[PATH_MAX];
	DIR *pins = opendir(from_dir);
	struct dirent *entry;
	int err = 0;

	if (!pins)
		return -errno;
	while (!err && (entry = readdir(pins))) {
		if (!is_link(entry))
			continue;
		snprintf(from, sizeof(from), "%s/%s", from_dir, entry->d_name);
		snprintf(to, sizeof(to), "%s/%s", to_dir, entry->d_name);
		err = pin_again(from, to);
	}
	closedir(pins);
	return err;
}
