// SPDX-License-Identifier: GPL-2.0-only
#include "attach.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attach_shared.h"
#include "clock.h"
#include "clock.skel.h"
#include "fail.h"
#include "log.h"
#include "memory.h"
#include "xdnat.skel.h"

/* Seconds, in the order of XDNAT_LIFE_…; RFC 5382 REQ-5, RFC 4787 REQ-5. */
static const uint32_t life_sec[XDNAT_LIFE_MAX] = {240, 7440, 240, 120, 300};

#define NEW_DIR_BYTES (INSTANCE_DIR_BYTES + 4)
#define FLOWS_LEAST   64
#define LINK_PIN      "link_" /* and the ifindex: bpffs takes no dots, interface names do */

/* Pins are made here and appear under their real name all at once. */
static void new_pin_dir(const struct instance *instance, char *path)
{
	snprintf(path, NEW_DIR_BYTES, "%s_new", instance->pin_dir);
}

/* Removing the pin alone would detach some time later, by a kernel worker. */
static int detach_link(const char *path)
{
	int fd = bpf_obj_get(path);

	if (fd >= 0) {
		bpf_link_detach(fd); /* fails if the interface is gone: as good */
		close(fd);
	}
	return unlink(path) && errno != ENOENT ? -errno : 0;
}

static void remove_pins(const char *dir)
{
	struct dirent *entry;
	DIR *pins = opendir(dir);
	char path[PATH_MAX];

	if (!pins)
		return;
	attach_shared_remove_all(dir);
	while ((entry = readdir(pins))) {
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		if (!strncmp(entry->d_name, LINK_PIN, strlen(LINK_PIN)))
			detach_link(path);
		else
			unlink(path);
	}
	closedir(pins);
	rmdir(dir);
}

static int fail_load(int err)
{
	if (err == -EPERM || err == -EACCES)
		return fail(-EPERM,
			    "the kernel refuses BPF programs here (root, CAP_BPF and "
			    "CAP_NET_ADMIN are needed): %s",
			    strerror(-err));
	if (err == -ENOMEM)
		return fail(err, "no memory for the flow tables; type a smaller --flows N");
	return fail(-EOPNOTSUPP, "the kernel does not take the program: %s (%s)", strerror(-err),
		    log_libbpf_last());
}

/* What the kernel's hash takes for an element besides key and value, and for its
 * share of the buckets. */
#define ELEMENT_BYTES 80
/* The verifier at work on the largest program, and everything of fixed size. */
#define PROGRAM_BYTES (48ULL << 20)

/* Before the kernel is asked: beyond a control group's limit it does not refuse, it
 * kills. */
static int need_memory(uint32_t flows)
{
	uint64_t flow_bytes =
		2 * (sizeof(struct xdnat_key4) + sizeof(struct xdnat_half4) +
		     sizeof(struct xdnat_key6) + sizeof(struct xdnat_half6) + 2 * ELEMENT_BYTES);
	uint64_t available = memory_available_bytes();

	if (available >= PROGRAM_BYTES + flows * flow_bytes)
		return 0;
	if (available < PROGRAM_BYTES + FLOWS_LEAST * flow_bytes)
		return fail(-ENOMEM,
			    "loading needs %llu MiB of memory, and only %llu MiB may be had "
			    "here; free some, or raise the memory limit that it runs under",
			    (PROGRAM_BYTES >> 20) + 1, (unsigned long long)available >> 20);
	return fail(-ENOMEM,
		    "%u flows of each family need %llu MiB of memory, and only %llu MiB may be had "
		    "here; type a smaller number, at most --flows %llu",
		    flows, (unsigned long long)(PROGRAM_BYTES + flows * flow_bytes) >> 20,
		    (unsigned long long)available >> 20,
		    (unsigned long long)((available - PROGRAM_BYTES) / flow_bytes));
}

static int config_fill(struct xdnat_config *config, int clock_program, uint32_t flows)
{
	int err = clock_measure_hz(clock_program, &config->hz);

	if (err)
		return fail(-EOPNOTSUPP, "cannot read the kernel's clock by a BPF program: %s",
			    strerror(-err));
	config->abi = XDNAT_ABI;
	config->flows = flows;
	config->next_id = 1;
	config->netns_cookie = store_netns_cookie();
	config->tick_jiffies = config->hz;
	for (int i = 0; i < XDNAT_LIFE_MAX; i++)
		config->life_jiffies[i] = life_sec[i] * config->hz;
	return 0;
}

static int pin_all(struct xdnat_bpf *skeleton, const struct clock_bpf *clock, const char *dir)
{
	char path[PATH_MAX];
	struct bpf_program *program;
	struct bpf_map *map;
	int err;

	bpf_object__for_each_map(map, skeleton->obj)
	{
		if (bpf_map__is_internal(map))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, bpf_map__name(map));
		err = bpf_map__pin(map, path);
		if (err)
			return err;
	}
	bpf_object__for_each_program(program, skeleton->obj)
	{
		snprintf(path, sizeof(path), "%s/%s", dir, bpf_program__name(program));
		err = bpf_program__pin(program, path);
		if (err)
			return err;
	}
	snprintf(path, sizeof(path), "%s/xdnat_clock", dir);
	return bpf_program__pin(clock->progs.xdnat_clock, path);
}

static int load_skeleton(struct xdnat_bpf *skeleton, const struct xdnat_config *config)
{
	uint32_t zero = 0;
	int err;

	skeleton->rodata->tick_jiffies = config->tick_jiffies;

	bpf_map__set_max_entries(skeleton->maps.xdnat_flows4, 2 * config->flows);
	bpf_map__set_max_entries(skeleton->maps.xdnat_flows6, 2 * config->flows);
	err = xdnat_bpf__load(skeleton);
	if (err)
		return fail_load(err);
	err = bpf_map__update_elem(skeleton->maps.xdnat_config, &zero, sizeof(zero), config,
				   sizeof(*config), BPF_ANY);
	return err ? fail(err, "cannot write the configuration map: %s", strerror(-err)) : 0;
}

int attach_create(const struct instance *instance, uint32_t flows)
{
	struct xdnat_bpf *skeleton = NULL;
	struct xdnat_config config = {};
	struct clock_bpf *clock;
	char dir[NEW_DIR_BYTES];
	int err;

	err = need_memory(flows);
	if (err)
		return err;
	new_pin_dir(instance, dir);
	remove_pins(dir);
	clock = clock_bpf__open_and_load();
	if (!clock)
		return fail_load(-errno);
	err = config_fill(&config, bpf_program__fd(clock->progs.xdnat_clock), flows);
	if (err)
		goto out;
	skeleton = xdnat_bpf__open();
	err = skeleton ? load_skeleton(skeleton, &config) : fail_load(-errno);
	if (err)
		goto out;
	err = mkdir(dir, 0700) ? -errno : pin_all(skeleton, clock, dir);
	if (!err && rename(dir, instance->pin_dir))
		err = -errno;
	if (err) {
		fail(err, "cannot pin maps and programs at %s: %s", instance->pin_dir,
		     strerror(-err));
		remove_pins(dir);
	}
out:
	xdnat_bpf__destroy(skeleton);
	clock_bpf__destroy(clock);
	return err;
}

void attach_destroy(const struct instance *instance)
{
	char dir[NEW_DIR_BYTES], other[PATH_MAX];

	new_pin_dir(instance, dir);
	remove_pins(dir);
	/* All at once for who looks on: an instance is whole or not there. */
	if (!rename(instance->pin_dir, dir))
		remove_pins(dir);
	while (instance_other_abi(instance, other) && !rename(other, dir))
		remove_pins(dir);
}

static void link_path(const struct instance *instance, uint32_t ifindex, char *path)
{
	snprintf(path, PATH_MAX, "%s/" LINK_PIN "%u", instance->pin_dir, ifindex);
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
	return fail(err, "cannot attach to %s: %s", name, strerror(-err));
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
	link_path(instance, link->ifindex, path);
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

	link_path(instance, ifindex, path);
	err = detach_link(path);
	return err ? err : attach_shared_remove(instance, ifindex);
}

bool attach_is_attached(const struct instance *instance, uint32_t ifindex)
{
	struct bpf_link_info info = {};
	uint32_t length = sizeof(info);
	char path[PATH_MAX];
	int fd, err;

	link_path(instance, ifindex, path);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return attach_shared_is_attached(instance, ifindex);
	err = bpf_obj_get_info_by_fd(fd, &info, &length);
	close(fd);
	return !err && info.xdp.ifindex == ifindex;
}
