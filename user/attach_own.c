// SPDX-License-Identifier: GPL-2.0-only
#include "attach_own.h"

#include <bpf/bpf.h>
#include <glob.h>
#include <stdio.h>
#include <unistd.h>

#include "store.h"

#define PROGRAM_MAPS 64 /* more than any program that shares a map with us */

static const char *const map_names[] = {"xdnat_config", "xdnat_interfaces"};
#define OWN_MAPS (sizeof(map_names) / sizeof(map_names[0]))

/* 0: it is not there. */
static uint32_t map_id(const char *pin_dir, const char *name)
{
	struct bpf_map_info info = {};
	uint32_t length = sizeof(info);
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", pin_dir, name);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return 0;
	bpf_obj_get_info_by_fd(fd, &info, &length);
	close(fd);
	return info.id;
}

struct attach_own attach_own_read(const char *pin_dir)
{
	struct attach_own own = {};

	for (size_t i = 0; i < OWN_MAPS; i++)
		own.ids[i] = map_id(pin_dir, map_names[i]);
	return own;
}

struct attach_own attach_own_read_build(const char *pin_dir)
{
	return (struct attach_own){.ids = {map_id(pin_dir, map_names[0])}};
}

bool attach_own_has(const struct attach_own *own, int program)
{
	uint32_t ids[PROGRAM_MAPS];
	struct bpf_prog_info info = {.nr_map_ids = PROGRAM_MAPS, .map_ids = (uintptr_t)ids};
	uint32_t length = sizeof(info);

	if (bpf_obj_get_info_by_fd(program, &info, &length))
		return false;
	for (uint32_t i = 0; i < info.nr_map_ids && i < PROGRAM_MAPS; i++)
		for (size_t j = 0; j < OWN_MAPS; j++)
			if (ids[i] && ids[i] == own->ids[j])
				return true;
	return false;
}

bool attach_own_has_id(const struct attach_own *own, uint32_t program)
{
	int fd = program ? bpf_prog_get_fd_by_id(program) : -1;
	bool has;

	if (fd < 0)
		return false;
	has = attach_own_has(own, fd);
	close(fd);
	return has;
}

bool attach_own_is_anyones(uint32_t program)
{
	bool is = false;
	glob_t pins;

	if (glob(XDNAT_PIN_ROOT "/*/v*", 0, NULL, &pins))
		return false;
	for (size_t i = 0; !is && i < pins.gl_pathc; i++) {
		struct attach_own own = attach_own_read(pins.gl_pathv[i]);

		is = attach_own_has_id(&own, program);
	}
	globfree(&pins);
	return is;
}

bool attach_own_is_home(const struct instance *instance)
{
	struct store *store;
	bool is;

	if (store_open_remains(instance, &store))
		return true;
	is = !store_need_netns(store);
	store_close(store);
	return is;
}
