// SPDX-License-Identifier: GPL-2.0-only
#include "attach.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attach_shared.h"
#include "fail.h"
#include "pins.h"

/* Ours in dispatchers, and the pins with the links. */
static void remove_all(const char *dir)
{
	attach_shared_remove_all(dir);
	pins_remove(dir);
}

void attach_destroy(const struct instance *instance)
{
	char dir[PINS_DIR_BYTES], other[PATH_MAX];

	pins_new_dir(instance, dir);
	remove_all(dir);
	/* All at once for who looks on: an instance is whole or not there. */
	if (!rename(instance->pin_dir, dir))
		remove_all(dir);
	while (instance_other_abi(instance, other) && !rename(other, dir))
		remove_all(dir);
}

static struct bpf_prog_info read_program(uint32_t id)
{
	struct bpf_prog_info info = {};
	uint32_t length = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(id);

	if (fd >= 0) {
		bpf_obj_get_info_by_fd(fd, &info, &length);
		close(fd);
	}
	return info;
}

static int fail_foreign(const struct netlink_link *link, const struct bpf_prog_info *program)
{
	if (!strcmp(program->name, ATTACH_SHARED_DISPATCHER))
		return fail(-EBUSY,
			    "%s runs other XDP programs, in libxdp's dispatcher; to run beside "
			    "them type: xdnat load %s --shared (to look at them: xdp-loader "
			    "status %s)",
			    link->name, link->name, link->name);
	if (!strcmp(program->name, "xdnat_xdp"))
		return fail(
			-EBUSY,
			"%s is loaded by another instance of xdnat; unload it there first, with "
			"xdnat --instance NAME unload %s (instances: ls " XDNAT_PIN_ROOT ")",
			link->name, link->name);
	return fail(-EBUSY,
		    "%s already runs the XDP program \"%s\" (id %u), which is not xdnat's and "
		    "stays; to look at it: bpftool net show dev %s",
		    link->name, program->name[0] ? program->name : "?", program->id, link->name);
}

static int fail_attach(int err, const struct netlink_link *link, uint8_t mode)
{
	const char *name = link->name;
	char present[IF_NAMESIZE];

	if (!if_indextoname(link->ifindex, present))
		return fail(-ENODEV, "%s has just gone", name);
	if (mode == XDNAT_MODE_NATIVE && (err == -EOPNOTSUPP || err == -ENODEV))
		return fail(
			-EOPNOTSUPP,
			"the driver of %s has no native XDP; type: xdnat load %s --mode generic",
			name, name);
	if (mode == XDNAT_MODE_NATIVE && (err == -EINVAL || err == -ERANGE || err == -ENOSPC))
		return fail(-EOPNOTSUPP,
			    "the driver of %s refuses native XDP (%s): often the MTU (%u) is too "
			    "large for it, or it has too few queues, or LRO is on; change that or "
			    "type: xdnat load %s --mode generic",
			    name, strerror(-err), link->mtu, name);
	if (err == -EBUSY || err == -EEXIST)
		return fail(-EBUSY,
			    "another XDP program is on %s; to look at it: bpftool net show dev %s",
			    name, name);
	return fail_kernel(err, "cannot attach to %s", name);
}

int attach_interface(const struct instance *instance, struct store *store,
		     const struct netlink_link *link, const struct xdnat_interface *how)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts,
		    .flags = how->mode == XDNAT_MODE_GENERIC ? XDP_FLAGS_SKB_MODE
							     : XDP_FLAGS_DRV_MODE);
	bool shared = how->flags & XDNAT_SHARED;
	struct bpf_prog_info there;
	char path[PATH_MAX];
	int fd, err = 0;

	if (link->xdp_prog_id) {
		there = read_program(link->xdp_prog_id);
		if (!shared || strcmp(there.name, ATTACH_SHARED_DISPATCHER))
			return fail_foreign(link, &there);
	}
	if (shared)
		return attach_shared_add(instance, store, link, how->mode);
	pins_link_path(instance, link->ifindex, path);
	unlink(path); /* of an interface that had this index before */
	fd = bpf_link_create(store_xdp_program(store), link->ifindex, BPF_XDP, &opts);
	if (fd < 0)
		return fail_attach(fd, link, how->mode);
	if (bpf_obj_pin(fd, path)) {
		err = -errno;
		fail(err, "cannot pin the link of %s at %s: %s", link->name, path, strerror(-err));
	}
	close(fd);
	return err;
}

int attach_detach(const struct instance *instance, uint32_t ifindex)
{
	char path[PATH_MAX];
	int err;

	pins_link_path(instance, ifindex, path);
	err = pins_detach_link(path);
	return err ? err : attach_shared_remove(instance, ifindex);
}

/* The descriptor of our link if it is attached to ifindex, with what the kernel says
 * of it, else -errno. */
static int open_link(const struct instance *instance, uint32_t ifindex, struct bpf_link_info *info)
{
	uint32_t length = sizeof(*info);
	char path[PATH_MAX];
	int fd, err;

	pins_link_path(instance, ifindex, path);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return fd;
	err = bpf_obj_get_info_by_fd(fd, info, &length);
	if (!err && info->xdp.ifindex == ifindex)
		return fd;
	close(fd);
	return err ? err : -ENOLINK;
}

bool attach_is_attached(const struct instance *instance, uint32_t ifindex)
{
	struct bpf_link_info info = {};
	int fd = open_link(instance, ifindex, &info);

	if (fd < 0)
		return attach_shared_is_attached(instance, ifindex);
	close(fd);
	return true;
}

int attach_replace(const struct instance *instance, uint32_t ifindex, int program, int *before)
{
	LIBBPF_OPTS(bpf_link_update_opts, opts, .flags = BPF_F_REPLACE);
	struct bpf_link_info info = {};
	int fd = open_link(instance, ifindex, &info), err;

	*before = -1;
	if (fd < 0)
		return fd == -ENOENT || fd == -ENOLINK ? 0 : fd;
	opts.old_prog_fd = bpf_prog_get_fd_by_id(info.prog_id);
	err = (int)opts.old_prog_fd < 0 ? (int)opts.old_prog_fd
					: bpf_link_update(fd, program, &opts);
	close(fd);
	if (!err)
		*before = opts.old_prog_fd;
	else if ((int)opts.old_prog_fd >= 0)
		close(opts.old_prog_fd);
	return err == -ENOLINK ? 0 : err; /* its interface went meanwhile */
}
