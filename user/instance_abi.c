// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which builds have pins of an instance: this one, an earlier one from which it can take
 * over, or one that it knows nothing of.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#include "fail.h"
#include "instance.h"
#include "xdnat_abi.h"

static bool has_entries(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool has = false;

	if (!dir)
		return false;
	while (!has && (entry = readdir(dir)))
		has = entry->d_name[0] != '.';
	closedir(dir);
	return has;
}

bool instance_is_loaded(const struct instance *instance)
{
	return has_entries(instance->pin_dir);
}

bool instance_older(const struct instance *instance, struct instance *older)
{
	*older = *instance;
	snprintf(older->pin_dir, sizeof(older->pin_dir), "%s/%s/v%d", XDNAT_PIN_ROOT,
		 instance->name, INSTANCE_ABI_OLDER);
	return instance_is_loaded(older);
}

unsigned int instance_other_abi(const struct instance *instance, char *path)
{
	char parent[PATH_MAX];
	unsigned int abi, found = 0;
	struct dirent *entry;
	DIR *builds;
	int used;

	snprintf(parent, sizeof(parent), "%s/%s", XDNAT_PIN_ROOT, instance->name);
	builds = opendir(parent);
	if (!builds)
		return 0;
	while (!found && (entry = readdir(builds))) {
		used = 0;
		if (sscanf(entry->d_name, "v%u%n", &abi, &used) != 1 || entry->d_name[used] ||
		    abi == XDNAT_ABI || abi == INSTANCE_ABI_NEW)
			continue;
		snprintf(path, PATH_MAX, "%s/%s/v%u", XDNAT_PIN_ROOT, instance->name, abi);
		if (has_entries(path))
			found = abi;
	}
	closedir(builds);
	return found;
}

int instance_need_loadable(const struct instance *instance)
{
	struct instance older;
	char path[PATH_MAX];
	unsigned int other;

	if (instance_is_loaded(instance) || instance_older(instance, &older))
		return 0;
	other = instance_other_abi(instance, path);
	if (!other)
		return 0;
	return fail(-EBUSY,
		    "instance %s was loaded by another version of xdnat (ABI %u; this one has ABI "
		    "%u); use that version, or take it off with: xdnat unload --all",
		    instance->name, other, XDNAT_ABI);
}

int instance_need_own_abi(const struct instance *instance)
{
	struct instance older;

	if (!instance_older(instance, &older))
		return instance_need_loadable(instance);
	return fail(-EBUSY,
		    "instance %s was loaded by an earlier version of xdnat (ABI %d; this one has "
		    "ABI %d); type: xdnat load (it upgrades, rules and connections go on)",
		    instance->name, INSTANCE_ABI_OLDER, XDNAT_ABI);
}
