// SPDX-License-Identifier: GPL-2.0-only
#include "memory.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "xdnat_abi.h"

#define LINE_BYTES   (PATH_MAX + 64)
#define RAM_PER_FLOW 8192 /* a flow of each family takes a tenth of that */

/* Where a version of control groups keeps what we ask for. */
struct version {
	const char *root;
	const char *limit, *used;
	const char *cache; /* in memory.stat: given back at once when wanted */
};

static const struct version version1 = {
	"/sys/fs/cgroup/memory",
	"memory.limit_in_bytes",
	"memory.usage_in_bytes",
	"total_inactive_file",
};
static const struct version version2 = {
	"/sys/fs/cgroup",
	"memory.max",
	"memory.current",
	"inactive_file",
};

/* The number in the line of a file that starts with key ("" for the first line). */
static bool read_number(const char *path, const char *key, uint64_t *number)
{
	FILE *file = fopen(path, "re");
	char line[LINE_BYTES];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file)) {
		size_t length = strlen(key);

		if (!strncmp(line, key, length) && (!length || strchr(" :", line[length])))
			found = sscanf(line + length, "%*[ :]%lu", number) == 1 ||
				sscanf(line + length, "%lu", number) == 1;
	}
	if (file)
		fclose(file);
	return found;
}

static uint64_t group_bytes(const struct version *version, const char *group)
{
	char path[LINE_BYTES + 64];
	uint64_t limit, used, cache = 0;

	snprintf(path, sizeof(path), "%s%s/%s", version->root, group, version->limit);
	if (!read_number(path, "", &limit)) /* "max", or not there */
		return UINT64_MAX;
	snprintf(path, sizeof(path), "%s%s/%s", version->root, group, version->used);
	if (!read_number(path, "", &used))
		return UINT64_MAX;
	snprintf(path, sizeof(path), "%s%s/memory.stat", version->root, group);
	read_number(path, version->cache, &cache);
	used -= cache < used ? cache : used;
	return used < limit ? limit - used : 0;
}

/* The group's limit and those of all above it; group is cut short. */
static uint64_t groups_bytes(const struct version *version, char *group)
{
	uint64_t least = UINT64_MAX;

	for (;;) {
		uint64_t bytes = group_bytes(version, group);
		char *slash = strrchr(group, '/');

		if (bytes < least)
			least = bytes;
		if (!slash)
			return least;
		*slash = '\0';
	}
}

/* Lines of /proc/self/cgroup: NUMBER:CONTROLLERS:PATH, no controllers in version 2. */
static uint64_t limits_bytes(void)
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	uint64_t least = UINT64_MAX, bytes;
	char line[LINE_BYTES];

	while (file && fgets(line, sizeof(line), file)) {
		const struct version *version = NULL;
		char *group = strstr(line, ":/");

		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "0::", 3))
			version = &version2;
		else if (strstr(line, ":memory:"))
			version = &version1;
		if (!version || !group)
			continue;
		bytes = groups_bytes(version, group + 1);
		if (bytes < least)
			least = bytes;
	}
	if (file)
		fclose(file);
	return least;
}

uint64_t memory_available_bytes(void)
{
	uint64_t limits = limits_bytes(), kib;

	if (!read_number("/proc/meminfo", "MemAvailable", &kib) || limits < kib << 10)
		return limits;
	return kib << 10;
}

uint32_t memory_default_flows(void)
{
	struct sysinfo info;
	uint64_t fits;

	if (sysinfo(&info))
		return XDNAT_FLOWS_DEFAULT;
	fits = (uint64_t)info.totalram * info.mem_unit / RAM_PER_FLOW;
	return fits < XDNAT_FLOWS_DEFAULT ? fits : XDNAT_FLOWS_DEFAULT;
}
