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

#include "attach_own.h"
#include "attach_shared.h"
#include "fail.h"
#include "pins.h"

/* Ours in dispatchers, filters, and the pins with the links. */
static void remove_all(const char *dir)
{
	attach_shared_remove_all(dir);
	attach_tc_remove_all(dir);
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
		return fail(-EOPNOTSUPP, "the driver of %s has no native XDP", name);
	if (mode == XDNAT_MODE_NATIVE && (err == -EINVAL || err == -ERANGE || err == -ENOSPC))
		return fail(-EOPNOTSUPP,
			    "the driver of %s refuses native XDP (%s): often the MTU (%u) is too "
			    "large for it, or it has too few queues, or LRO is on",
			    name, strerror(-err), link->mtu);
	if (err == -EBUSY || err == -EEXIST)
		return fail(-EBUSY,
			    "another XDP program is on %s; to look at it: bpftool net show dev %s",
			    name, name);
	return fail_kernel(err, "cannot attach to %s", name);
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

static bool is_xdp_attached(const struct instance *instance, uint32_t ifindex)
{
	struct bpf_link_info info = {};
	int fd = open_link(instance, ifindex, &info);

	if (fd < 0)
		return attach_shared_is_attached(instance, ifindex);
	close(fd);
	return true;
}

static int attach_xdp(const struct instance *instance, struct store *store,
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

int attach_interface(const struct instance *instance, struct store *store,
		     const struct netlink_link *link, const struct xdnat_interface *how)
{
	int err = attach_tc_add(instance, store, link);

	if (err || how->mode == XDNAT_MODE_TC || is_xdp_attached(instance, link->ifindex))
		return err;
	return attach_xdp(instance, store, link, how);
}

int attach_detach_xdp(const struct instance *instance, uint32_t ifindex)
{
	char path[PATH_MAX];
	int err;

	pins_link_path(instance, ifindex, path);
	err = pins_detach_link(path);
	return err ? err : attach_shared_remove(instance, ifindex);
}

/* In the instance's network namespace, which is not the caller's. */
static bool is_elsewhere(const struct instance *instance, uint32_t ifindex)
{
	struct store *store;
	bool is;

	if (store_open_remains(instance, &store))
		return false;
	is = store_need_netns(store) && store_device_is_there(store, ifindex);
	store_close(store);
	return is;
}

bool attach_is_attached(const struct instance *instance, const struct store_interface *row)
{
	bool is_tc_alone = row->interface.mode == XDNAT_MODE_TC;

	if (!is_tc_alone && !is_xdp_attached(instance, row->ifindex))
		return false;
	if (attach_tc_is_attached(instance, row->ifindex))
		return true;
	return is_elsewhere(instance, row->ifindex);
}

bool attach_is_any_attached(const struct instance *instance, uint32_t ifindex)
{
	return is_xdp_attached(instance, ifindex) || attach_tc_is_any_attached(instance, ifindex);
}

static int replace_xdp(const struct instance *instance, uint32_t ifindex, int program, int *before)
{
	LIBBPF_OPTS(bpf_link_update_opts, opts, .flags = BPF_F_REPLACE);
	struct bpf_link_info info = {};
	int fd = open_link(instance, ifindex, &info), err;

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

int attach_replace(const struct instance *instance, uint32_t ifindex,
		   const struct attach_programs *programs, struct attach_programs *before)
{
	int err = 0;

	*before = ATTACH_NO_PROGRAMS;
	err = attach_tc_replace(instance, ifindex, programs->tc, before->tc);
	if (!err && programs->xdp >= 0)
		err = replace_xdp(instance, ifindex, programs->xdp, &before->xdp);
	return err;
}

void attach_programs_close(struct attach_programs *programs)
{
	if (programs->xdp >= 0)
		close(programs->xdp);
	for (int i = 0; i < ATTACH_TC_HOOKS; i++)
		if (programs->tc[i] >= 0)
			close(programs->tc[i]);
	*programs = ATTACH_NO_PROGRAMS;
}
