// SPDX-License-Identifier: GPL-2.0-only
/*
 * Opening pins: nothing is used that root has not put there, or that is not what
 * this build makes. Otherwise a map of other sizes would be read as ours.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fail.h"
#include "store_maps.h"

int store_pin_fail_open(const struct instance *instance, const char *name, int err)
{
	if (err == -EPERM || err == -EACCES)
		return instance_fail_permission();
	if (err == -EROFS)
		return instance_fail_read_only();
	if (err == -ENOENT && instance_is_loaded(instance))
		return fail(-EBUSY,
			    "instance %s is damaged, %s/%s is missing; type: xdnat unload --all",
			    instance->name, instance->pin_dir, name);
	if (err == -ENOENT || err == -ENOTDIR)
		return instance_fail_not_loaded(instance);
	return fail_kernel(err, "cannot open %s/%s", instance->pin_dir, name);
}

int store_pin_fail_foreign(const struct instance *instance, const struct store_pin *pin)
{
	return fail(
		-EBUSY,
		"%s/%s is not the %s that this version of xdnat makes, so it is not used; type: "
		"xdnat unload --all",
		instance->pin_dir, pin->name, pin->key_bytes ? "map" : "program");
}

/* Maps of devices have one more, by the kernel's own doing. */
static bool has_right_flags(const struct bpf_map_info *info, uint32_t needed)
{
	uint32_t allowed = needed | BPF_F_NO_PREALLOC;

	if (info->type == BPF_MAP_TYPE_DEVMAP || info->type == BPF_MAP_TYPE_DEVMAP_HASH)
		allowed |= BPF_F_RDONLY_PROG;
	return !(info->map_flags & ~allowed) && (info->map_flags & needed) == needed;
}

/* -ESTALE: it is another thing. A program where a map should be describes itself in
 * words that do not fit one, and the other way round. */
static int check_map(int fd, const struct store_pin *pin)
{
	struct bpf_map_info info = {};
	uint32_t length = sizeof(info);
	int err = bpf_obj_get_info_by_fd(fd, &info, &length);

	if (err)
		return err;
	if (info.type != (pin->type ?: BPF_MAP_TYPE_HASH) || info.key_size != pin->key_bytes ||
	    info.value_size != pin->value_bytes || !has_right_flags(&info, pin->flags))
		return -ESTALE;
	return 0;
}

static int check_program(int fd, const struct store_pin *pin)
{
	struct bpf_prog_info info = {};
	uint32_t length = sizeof(info);
	int err = bpf_obj_get_info_by_fd(fd, &info, &length);

	if (err)
		return err;
	return info.type == pin->type && !strcmp(info.name, pin->name) ? 0 : -ESTALE;
}

static int open_pin(const struct instance *instance, const char *name)
{
	char path[PATH_MAX];
	int fd, err;

	snprintf(path, sizeof(path), "%s/%s", instance->pin_dir, name);
	err = instance_need_private(path, S_IFREG);
	if (err)
		return err;
	fd = bpf_obj_get(path);
	return fd < 0 ? store_pin_fail_open(instance, name, fd) : fd;
}

/* err: what looking at fd said. */
static int keep_or_close(const struct instance *instance, const struct store_pin *pin, int fd,
			 int err)
{
	if (!err)
		return fd;
	close(fd);
	if (err == -ESTALE)
		return store_pin_fail_foreign(instance, pin);
	return fail_kernel(err, "cannot look at %s/%s", instance->pin_dir, pin->name);
}

int store_pin_map(const struct instance *instance, const struct store_pin *pin)
{
	int fd = open_pin(instance, pin->name);

	return fd < 0 ? fd : keep_or_close(instance, pin, fd, check_map(fd, pin));
}

int store_pin_program(const struct instance *instance, const struct store_pin *pin)
{
	int fd = open_pin(instance, pin->name);

	return fd < 0 ? fd : keep_or_close(instance, pin, fd, check_program(fd, pin));
}
