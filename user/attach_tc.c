// SPDX-License-Identifier: GPL-2.0-only
#include "attach_tc.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach_own.h"
#include "fail.h"

static struct bpf_tc_hook hook_of(uint32_t ifindex, bool is_egress)
{
	return (struct bpf_tc_hook){
		.sz = sizeof(struct bpf_tc_hook),
		.ifindex = ifindex,
		.attach_point = is_egress ? BPF_TC_EGRESS : BPF_TC_INGRESS,
	};
}

static struct bpf_tc_opts place(void)
{
	return (struct bpf_tc_opts){
		.sz = sizeof(struct bpf_tc_opts),
		.priority = XDNAT_TC_PRIORITY,
		.handle = XDNAT_TC_HANDLE,
	};
}

int attach_tc_has_clsact(const struct netlink_link *link, bool *has)
{
	char kind[NETLINK_KIND_BYTES];
	int err = netlink_hooks_qdisc(link->ifindex, kind);

	*has = !strcmp(kind, "clsact");
	if (err || *has || !*kind)
		return err;
	return fail(-EBUSY,
		    "%s has a plain %s qdisc, which leaves no place for xdnat's filters; clsact "
		    "does all that it does: type: tc qdisc del dev %s ingress; tc qdisc add dev "
		    "%s clsact, and add its filters there",
		    link->name, kind, link->name, link->name);
}

/* The filter in our place, if there is one; another of that priority only if it is of
 * another kind, which keeps ours out. */
static int find_filter(uint32_t ifindex, bool is_egress, struct netlink_filter *found)
{
	struct netlink_filter *filters;
	size_t count;
	int err = netlink_filters(ifindex, is_egress, &filters, &count);

	*found = (struct netlink_filter){};
	for (size_t i = 0; i < count; i++)
		if (filters[i].priority == XDNAT_TC_PRIORITY &&
		    (filters[i].handle == XDNAT_TC_HANDLE || strcmp(filters[i].kind, "bpf")))
			*found = filters[i];
	free(filters);
	return err;
}

/* The id of our program that runs there; 0: none. */
static uint32_t find_own(const struct attach_own *own, uint32_t ifindex, bool is_egress)
{
	struct netlink_filter found;

	if (find_filter(ifindex, is_egress, &found))
		return 0;
	return attach_own_has_id(own, found.prog_id) ? found.prog_id : 0;
}

static struct bpf_prog_info read_program(int fd)
{
	struct bpf_prog_info info = {};
	uint32_t length = sizeof(info);

	if (fd >= 0)
		bpf_obj_get_info_by_fd(fd, &info, &length);
	return info;
}

/* One of an instance whose pins were removed by hand still runs, and is nobody's. */
static bool is_orphan(uint32_t prog_id, bool is_egress)
{
	int fd = prog_id ? bpf_prog_get_fd_by_id(prog_id) : -1;
	struct bpf_prog_info info = read_program(fd);

	if (fd >= 0)
		close(fd);
	return !strcmp(info.name, is_egress ? "xdnat_egress" : "xdnat_ingress") &&
	       !attach_own_is_anyones(prog_id);
}

static int fail_foreign(const struct netlink_link *link, bool is_egress,
			const struct netlink_filter *filter)
{
	const char *way = is_egress ? "egress" : "ingress";
	int fd = filter->prog_id ? bpf_prog_get_fd_by_id(filter->prog_id) : -1;
	struct bpf_prog_info info = read_program(fd);

	if (fd >= 0)
		close(fd);
	if (attach_own_is_anyones(filter->prog_id))
		return fail(
			-EBUSY,
			"%s is loaded by another instance of xdnat; unload it there first, with "
			"xdnat --instance NAME unload %s (instances: ls " XDNAT_PIN_ROOT ")",
			link->name, link->name);
	return fail(-EBUSY,
		    "the place of xdnat's tc filter on %s is taken by another (kind %s, program "
		    "\"%s\"), which stays; to look at it: tc filter show dev %s %s prio %d",
		    link->name, filter->kind[0] ? filter->kind : "?", info.name, link->name, way,
		    XDNAT_TC_PRIORITY);
}

static int fail_add(int err, const struct netlink_link *link, bool is_egress)
{
	struct netlink_filter filter;
	char present[IF_NAMESIZE];

	if (!if_indextoname(link->ifindex, present))
		return fail(-ENODEV, "%s has just gone", link->name);
	if (!find_filter(link->ifindex, is_egress, &filter) && filter.priority)
		return fail_foreign(link, is_egress, &filter);
	if (err == -ENOENT || err == -EOPNOTSUPP)
		return fail(-EOPNOTSUPP,
			    "the kernel does not take tc filters on %s (%s): it needs "
			    "CONFIG_NET_CLS_BPF and CONFIG_NET_SCH_INGRESS",
			    link->name, strerror(-err));
	return fail_kernel(err, "cannot add a tc filter to %s", link->name);
}

static int add_filter(const struct attach_own *own, const struct store *store,
		      const struct netlink_link *link, bool is_egress)
{
	struct bpf_tc_hook hook = hook_of(link->ifindex, is_egress);
	struct bpf_tc_opts opts = place();
	struct netlink_filter there;
	int err = find_filter(link->ifindex, is_egress, &there);

	if (err)
		return err;
	if (attach_own_has_id(own, there.prog_id))
		return 0;
	if (there.priority && !is_orphan(there.prog_id, is_egress))
		return fail_foreign(link, is_egress, &there);
	opts.flags = there.priority ? BPF_TC_F_REPLACE : 0;
	opts.prog_fd = store_tc_program(store, is_egress);
	err = bpf_tc_attach(&hook, &opts);
	return err ? fail_add(err, link, is_egress) : 0;
}

int attach_tc_add(const struct instance *instance, const struct store *store,
		  const struct netlink_link *link)
{
	struct attach_own own = attach_own_read(instance->pin_dir);
	struct bpf_tc_hook hook = hook_of(link->ifindex, false);
	bool has_clsact;
	int err = attach_tc_has_clsact(link, &has_clsact);

	if (!err && !has_clsact) {
		err = bpf_tc_hook_create(&hook);
		if (err && err != -EEXIST)
			return fail_add(err, link, false);
		err = 0;
	}
	for (int is_egress = 0; !err && is_egress < ATTACH_TC_HOOKS; is_egress++)
		err = add_filter(&own, store, link, is_egress);
	return err;
}

/* 1: it was there and is gone. */
static int remove_filter(const struct attach_own *own, uint32_t ifindex, bool is_egress)
{
	struct bpf_tc_hook hook = hook_of(ifindex, is_egress);
	struct bpf_tc_opts opts = place();
	int err;

	if (!find_own(own, ifindex, is_egress))
		return 0;
	err = bpf_tc_detach(&hook, &opts);
	return err && err != -ENOENT && err != -ENODEV ? err : 1;
}

static bool has_filters(uint32_t ifindex)
{
	bool has = false;

	for (int is_egress = 0; !has && is_egress < ATTACH_TC_HOOKS; is_egress++) {
		struct netlink_filter *filters;
		size_t count;

		has = netlink_filters(ifindex, is_egress, &filters, &count) || count;
		free(filters);
	}
	return has;
}

static void remove_empty_clsact(uint32_t ifindex)
{
	struct bpf_tc_hook hook = hook_of(ifindex, false);
	char kind[NETLINK_KIND_BYTES];

	if (has_filters(ifindex) || netlink_hooks_qdisc(ifindex, kind) || strcmp(kind, "clsact"))
		return;
	hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS; /* the qdisc itself */
	bpf_tc_hook_destroy(&hook);
}

int attach_tc_remove(const struct instance *instance, uint32_t ifindex, bool is_own_clsact)
{
	struct attach_own own = attach_own_read(instance->pin_dir);

	for (int is_egress = 0; is_egress < ATTACH_TC_HOOKS; is_egress++) {
		int status = remove_filter(&own, ifindex, is_egress);

		if (status < 0)
			return status;
	}
	if (is_own_clsact)
		remove_empty_clsact(ifindex);
	return 0;
}

void attach_tc_remove_all(const char *pin_dir)
{
	struct attach_own own = attach_own_read(pin_dir);
	struct netlink_link *links;
	size_t count;

	if (netlink_links(&links, &count))
		return;
	for (size_t i = 0; i < count; i++) {
		bool is_removed = false;

		for (int is_egress = 0; is_egress < ATTACH_TC_HOOKS; is_egress++)
			is_removed |= remove_filter(&own, links[i].ifindex, is_egress) > 0;
		if (is_removed)
			remove_empty_clsact(links[i].ifindex);
	}
	free(links);
}

bool attach_tc_is_attached(const struct instance *instance, uint32_t ifindex)
{
	struct attach_own own = attach_own_read(instance->pin_dir);

	return find_own(&own, ifindex, false) && find_own(&own, ifindex, true);
}

static bool is_any_attached(const struct attach_own *own, uint32_t ifindex)
{
	return find_own(own, ifindex, false) || find_own(own, ifindex, true);
}

bool attach_tc_is_any_attached(const struct instance *instance, uint32_t ifindex)
{
	struct attach_own own = attach_own_read(instance->pin_dir);

	return is_any_attached(&own, ifindex);
}

bool attach_tc_is_build_attached(const struct instance *instance, uint32_t ifindex)
{
	struct attach_own own = attach_own_read_build(instance->pin_dir);

	return is_any_attached(&own, ifindex);
}

static int replace(const struct attach_own *own, uint32_t ifindex, bool is_egress, int program)
{
	struct bpf_tc_hook hook = hook_of(ifindex, is_egress);
	struct bpf_tc_opts opts = place();
	uint32_t id = find_own(own, ifindex, is_egress);
	int before = id ? bpf_prog_get_fd_by_id(id) : -ENOENT, err;

	if (before < 0)
		return before;
	opts.flags = BPF_TC_F_REPLACE;
	opts.prog_fd = program;
	err = bpf_tc_attach(&hook, &opts);
	if (!err)
		return before;
	close(before);
	return err;
}

int attach_tc_replace(const struct instance *instance, uint32_t ifindex, const int *programs,
		      int *before)
{
	struct attach_own own = attach_own_read(instance->pin_dir);

	before[false] = before[true] = -1;
	for (int is_egress = 0; is_egress < ATTACH_TC_HOOKS; is_egress++) {
		int status = programs[is_egress] < 0
				     ? -ENOENT
				     : replace(&own, ifindex, is_egress, programs[is_egress]);

		if (status >= 0)
			before[is_egress] = status;
		else if (status != -ENOENT)
			return status;
	}
	return 0;
}
