// SPDX-License-Identifier: GPL-2.0-only
#include "attach_shared.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <xdp/libxdp.h>
#include <xdp/prog_dispatcher.h>

#include "attach_own.h"
#include "fail.h"
#include "log.h"
#include "program.h"
#include "xdnat.skel.h"

/* Filters and counters (50 is libxdp's default, xdp-filter has 10) look first. */
#define RUN_PRIORITY 90
#define LIBXDP_PINS  XDNAT_BPFFS "/xdp"

/* What runs on an interface, and which of it is ours. */
struct running {
	struct xdp_multiprog *all; /* NULL: nothing */
	struct xdp_program *own[MAX_DISPATCHER_ACTIONS];
	size_t count;
	bool is_alone; /* there is no dispatcher: own is what libxdp fell back to */
};

static struct running find_running(const struct attach_own *maps, uint32_t ifindex)
{
	struct running running = {.all = xdp_multiprog__get_from_ifindex(ifindex)};
	struct xdp_program *program = NULL;

	if (libxdp_get_error(running.all)) {
		running.all = NULL;
		return running;
	}
	running.is_alone = xdp_multiprog__is_legacy(running.all);
	if (running.is_alone) {
		program = xdp_multiprog__main_prog(running.all);
		if (program && attach_own_has(maps, xdp_program__fd(program)))
			running.own[running.count++] = program;
		return running;
	}
	while ((program = xdp_multiprog__next_prog(program, running.all)))
		if (running.count < MAX_DISPATCHER_ACTIONS &&
		    attach_own_has(maps, xdp_program__fd(program)))
			running.own[running.count++] = program;
	return running;
}

/* Takes ours out, but for the program with the id `keep`. */
static int detach_running(const struct running *running, uint32_t ifindex, uint32_t keep)
{
	/* The mode is said: without it libxdp asks the driver for native. */
	enum xdp_attach_mode mode = xdp_multiprog__attach_mode(running->all);
	int err = 0;

	for (size_t i = 0; !err && i < running->count; i++)
		if (xdp_program__id(running->own[i]) != keep)
			err = xdp_program__detach(running->own[i], ifindex, mode, 0);
	return err;
}

/* The pins of our programs in one dispatcher's directory; returns if there are any. */
static bool look_at_pins(const char *directory, const struct attach_own *maps, bool remove)
{
	bool found = false;

	for (int i = 0; i < MAX_DISPATCHER_ACTIONS; i++) {
		char path[PATH_MAX];
		bool own;
		int fd;

		snprintf(path, sizeof(path), "%s/prog%d-prog", directory, i);
		fd = bpf_obj_get(path);
		own = fd >= 0 && attach_own_has(maps, fd);
		if (fd >= 0)
			close(fd);
		if (own && remove) {
			unlink(path);
			snprintf(path, sizeof(path), "%s/prog%d-link", directory, i);
			unlink(path);
		}
		found |= own;
	}
	if (found && remove)
		rmdir(directory); /* fails while others' are in it */
	return found;
}

/* Dispatchers that have ours pinned, running or not, of one interface or (0) of any.
 * Calls each() unless it is NULL; returns how many there are. */
static size_t each_pinned(const struct attach_own *maps, uint32_t ifindex,
			  void (*each)(const struct attach_own *maps, uint32_t ifindex,
				       const char *directory))
{
	DIR *dispatchers = opendir(LIBXDP_PINS);
	struct dirent *entry;
	size_t found = 0;

	while (dispatchers && (entry = readdir(dispatchers))) {
		char path[PATH_MAX];
		uint32_t owner, id;

		if (sscanf(entry->d_name, "dispatch-%u-%u", &owner, &id) != 2 ||
		    (ifindex && owner != ifindex))
			continue;
		snprintf(path, sizeof(path), LIBXDP_PINS "/%s", entry->d_name);
		if (!look_at_pins(path, maps, false))
			continue;
		found++;
		if (each)
			each(maps, owner, path);
	}
	if (dispatchers)
		closedir(dispatchers);
	return found;
}

static int take_out(const struct attach_own *maps, uint32_t ifindex, uint32_t keep)
{
	struct running running = find_running(maps, ifindex);
	int err = running.count ? detach_running(&running, ifindex, keep) : 0;

	xdp_multiprog__close(running.all);
	return err;
}

static void remove_pinned(const struct attach_own *maps, uint32_t ifindex, const char *directory)
{
	take_out(maps, ifindex, 0);
	look_at_pins(directory, maps, true);
}

int attach_shared_remove(const struct instance *instance, uint32_t ifindex)
{
	struct attach_own maps = attach_own_read(instance->pin_dir);
	int err = take_out(&maps, ifindex, 0);

	/* Of an interface that is gone, or that "ip link set IFACE xdp off" cleared. */
	if (!err)
		each_pinned(&maps, ifindex, remove_pinned);
	return err;
}

void attach_shared_remove_all(const char *pin_dir)
{
	struct attach_own maps = attach_own_read(pin_dir);

	each_pinned(&maps, 0, remove_pinned);
}

bool attach_shared_is_attached(const struct instance *instance, uint32_t ifindex)
{
	struct attach_own maps = attach_own_read(instance->pin_dir);
	struct running running = find_running(&maps, ifindex);

	xdp_multiprog__close(running.all);
	if (running.count)
		return !running.is_alone;
	return each_pinned(&maps, ifindex, NULL) && !attach_own_is_home(instance);
}

/* libxdp loads it itself, as a replacement of a function of its dispatcher. */
static int open_program(const struct instance *instance, const struct store *store,
			struct xdnat_bpf *skeleton, struct xdp_program **program)
{
	DECLARE_LIBXDP_OPTS(xdp_program_opts, opts, .obj = skeleton->obj, .prog_name = "xdnat_xdp");
	struct xdnat_config config;
	int err;

	err = store_config(store, &config);
	if (!err)
		err = program_reuse_maps(instance, skeleton->obj);
	if (err)
		return err;
	program_configure(skeleton, &config);
	bpf_program__set_autoload(skeleton->progs.xdnat_flow_end, false);
	bpf_program__set_autoload(skeleton->progs.xdnat_flow_put, false);
	bpf_program__set_autoload(skeleton->progs.xdnat_ingress, false);
	bpf_program__set_autoload(skeleton->progs.xdnat_egress, false);
	*program = xdp_program__create(&opts);
	if (!*program)
		return fail(-EOPNOTSUPP, "libxdp does not take the program: %s", strerror(errno));
	return xdp_program__set_run_prio(*program, RUN_PRIORITY);
}

static enum xdp_attach_mode libxdp_mode(uint8_t mode)
{
	return mode == XDNAT_MODE_GENERIC ? XDP_MODE_SKB : XDP_MODE_NATIVE;
}

/* A driver runs one of both; libxdp would only say that it is busy. */
static int check_mode(const struct netlink_link *link, uint8_t mode)
{
	struct xdp_multiprog *all = xdp_multiprog__get_from_ifindex(link->ifindex);
	enum xdp_attach_mode there;
	const char *name;

	if (libxdp_get_error(all))
		return 0;
	there = xdp_multiprog__attach_mode(all);
	xdp_multiprog__close(all);
	if (there == libxdp_mode(mode))
		return 0;
	name = there == XDP_MODE_SKB ? "generic" : "native";
	return fail(-EBUSY,
		    "the XDP programs on %s run in %s mode; type: xdnat load %s --shared "
		    "--mode %s",
		    link->name, name, link->name, name);
}

/* libxdp's first complaint is the cause, the others follow from it. */
static const char *reason(int err)
{
	const char *said = log_libxdp_first();

	if (!*said)
		said = log_libbpf_last();
	return *said ? said : strerror(-err);
}

static int fail_add(int err, const struct netlink_link *link, uint8_t mode)
{
	const char *name = link->name;

	if (err == -EPERM || err == -EACCES)
		return fail(err, "the kernel refuses BPF programs here (root is needed): %s",
			    reason(err));
	if (err == -EBUSY || err == -EEXIST || err == -EAGAIN || err == -E2BIG)
		return fail(-EBUSY,
			    "the XDP programs on %s take no other beside them (%s); to look at "
			    "them: xdp-loader status %s",
			    name, err == -E2BIG ? "they are too many" : reason(err), name);
	if (err == -EOPNOTSUPP && mode == XDNAT_MODE_NATIVE)
		return fail(err,
			    "%s does not take libxdp's dispatcher in native mode (%s); type: "
			    "xdnat load %s --shared --mode generic",
			    name, reason(err), name);
	return fail(-EOPNOTSUPP, "libxdp's dispatcher does not take the program on %s: %s", name,
		    reason(err));
}

static int fail_alone(const struct netlink_link *link)
{
	return fail(
		-EOPNOTSUPP,
		"libxdp's dispatcher, which lets XDP programs share %s, does not run here (%s); "
		"on an interface without other XDP programs type: xdnat load %s",
		link->name, reason(-EOPNOTSUPP), link->name);
}

static bool runs_shared(const struct xdp_program *program, uint32_t ifindex)
{
	struct xdp_multiprog *all = xdp_multiprog__get_from_ifindex(ifindex);
	bool has_dispatcher = !libxdp_get_error(all) && !xdp_multiprog__is_legacy(all);

	xdp_multiprog__close(all);
	return has_dispatcher && xdp_program__is_attached(program, ifindex) != XDP_MODE_UNSPEC;
}

/* Where the kernel cannot, libxdp attaches the program alone and says it is well:
 * seen, it is taken off again. */
static int attach(struct xdp_program *program, const struct netlink_link *link, uint8_t mode)
{
	int err;

	log_libxdp_forget();
	err = xdp_program__attach(program, link->ifindex, libxdp_mode(mode), 0);
	if (err)
		return fail_add(err, link, mode);
	if (runs_shared(program, link->ifindex))
		return 0;
	err = fail_alone(link);
	xdp_program__detach(program, link->ifindex, libxdp_mode(mode), 0);
	return err;
}

static int add(const struct instance *instance, const struct store *store,
	       const struct netlink_link *link, uint8_t mode, uint32_t *id)
{
	struct xdnat_bpf *skeleton = xdnat_bpf__open();
	struct xdp_program *program = NULL;
	int err;

	if (!skeleton)
		return fail(-errno, "cannot read the program: %s", strerror(errno));
	err = open_program(instance, store, skeleton, &program);
	if (!err)
		err = attach(program, link, mode);
	if (!err)
		*id = xdp_program__id(program);
	xdp_program__close(program);
	xdnat_bpf__destroy(skeleton);
	return err;
}

int attach_shared_add(const struct instance *instance, const struct store *store,
		      const struct netlink_link *link, uint8_t mode)
{
	struct attach_own maps = attach_own_read(instance->pin_dir);
	bool had_pins = !access(LIBXDP_PINS, F_OK);
	uint32_t id = 0;
	int err;

	err = check_mode(link, mode);
	if (!err)
		err = add(instance, store, link, mode, &id);
	if (err && !had_pins)
		rmdir(LIBXDP_PINS);
	if (err)
		return err;
	err = take_out(&maps, link->ifindex, id);
	return err ? fail(err, "cannot take the earlier program off %s: %s", link->name,
			  reason(err))
		   : 0;
}
