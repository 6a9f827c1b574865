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
	snprintf(path, PINS_DIR_BYTES, "%s_new", instance->pin_dir);
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

void pins_remove(const char *dir)
{
	struct dirent *entry;
	DIR *pins = opendir(dir);
	char path[PATH_MAX];

	if (!pins)
		return;
	while ((entry = readdir(pins))) {
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		if (!strncmp(entry->d_name, LINK_PIN, strlen(LINK_PIN)))
			pins_detach_link(path);
		else
			unlink(path);
	}
	closedir(pins);
	rmdir(dir);
}
