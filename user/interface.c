// SPDX-License-Identifier: GPL-2.0-only
#include "interface.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "attach.h"
#include "fail.h"
#include "log.h"
#include "offload.h"

const char *interface_mode_name(uint8_t mode)
{
	return mode == XDNAT_MODE_GENERIC ? "generic" : "native";
}

int interface_find(const struct store *store, uint32_t ifindex, struct store_interface *row)
{
	struct store_interface *rows;
	size_t count;
	int err = store_interfaces(store, &rows, &count);

	if (err)
		return err;
	err = -ENOENT;
	for (size_t i = 0; i < count; i++) {
		if (rows[i].ifindex != ifindex)
			continue;
		*row = rows[i];
		err = 0;
	}
	free(rows);
	return err;
}

/* A tag that the NIC strips is gone before native XDP looks: a packet of another
 * VLAN would pass for an untagged one. Generic XDP and veth are no better off for
 * it: preflight.c tells. */
static uint8_t show_vlan_tags(const struct netlink_link *link, uint8_t mode)
{
	int err;

	if (mode != XDNAT_MODE_NATIVE || !strcmp(link->kind, "veth"))
		return 0;
	err = offload_rxvlan_off(link->name);
	if (err < 0 && err != -EOPNOTSUPP)
		log_warning("%s strips VLAN tags before xdnat sees them, and that cannot be "
			    "switched off (%s): packets of its VLANs look untagged",
			    link->name, strerror(-err));
	return err == 1 ? XDNAT_RESTORE_RXVLAN : 0;
}

bool interface_is_any_attached(const struct instance *instance, const struct store *store)
{
	struct store_interface *rows = NULL;
	bool is_attached = false;
	size_t count = 0;

	if (store_interfaces(store, &rows, &count))
		return false;
	for (size_t i = 0; i < count && !is_attached; i++)
		is_attached = attach_is_attached(instance, rows[i].ifindex);
	free(rows);
	return is_attached;
}

int interface_need_netns(const struct instance *instance, const struct store *store)
{
	int err = store_need_netns(store);

	if (!err || interface_is_any_attached(instance, store))
		return err;
	return fail(err, "this instance was loaded in another network namespace and is attached to "
			 "nothing there any more; if that is gone, type: xdnat unload --all");
}

/* Rows of interfaces that had the name before and are no more. One that was renamed
 * is still attached. */
static void forget_predecessors(const struct instance *instance, struct store *store,
				const struct netlink_link *link)
{
	struct store_interface *rows = NULL;
	size_t count = 0;

	if (store_interfaces(store, &rows, &count))
		return;
	for (size_t i = 0; i < count; i++)
		if (rows[i].ifindex != link->ifindex &&
		    !strcmp(rows[i].interface.name, link->name) &&
		    !attach_is_attached(instance, rows[i].ifindex))
			interface_unload(instance, store, rows[i].ifindex);
	free(rows);
}

int interface_load(const struct instance *instance, struct store *store,
		   const struct netlink_link *link, uint8_t mode, bool shared)
{
	struct store_interface before;
	struct store_interface row = {
		.ifindex = link->ifindex,
		.interface = {.mode = mode},
	};
	bool was_there = !interface_find(store, link->ifindex, &before);
	int err;

	memcpy(row.interface.mac, link->mac, sizeof(row.interface.mac));
	strcpy(row.interface.name, link->name);
	row.interface.flags = show_vlan_tags(link, mode) | (shared ? XDNAT_SHARED : 0);
	if (was_there)
		row.interface.flags |= before.interface.flags;
	err = store_interface_put(store, &row);
	if (!err)
		err = attach_interface(instance, store, link, &row.interface);
	if (!err) {
		forget_predecessors(instance, store, link);
		return 0;
	}
	if (!was_there) {
		interface_unload(instance, store, link->ifindex);
		return err;
	}
	row.interface.mode = before.interface.mode;
	if (!(before.interface.flags & XDNAT_SHARED))
		row.interface.flags &= ~XDNAT_SHARED;
	store_interface_put(store, &row);
	return err;
}

int interface_unload(const struct instance *instance, struct store *store, uint32_t ifindex)
{
	struct store_interface row;
	char name[IF_NAMESIZE];
	int err = attach_detach(instance, ifindex);

	if (interface_find(store, ifindex, &row))
		return err;
	/* Not one that has its name by now and was never touched. */
	if (row.interface.flags & XDNAT_RESTORE_RXVLAN && if_indextoname(ifindex, name))
		offload_rxvlan_on(name);
	store_interface_remove(store, ifindex);
	return err;
}

/* What the store says is loaded and what the kernel has; both malloc'd. */
static int read_both(const struct store *store, struct store_interface **rows, size_t *row_count,
		     struct netlink_link **links, size_t *link_count)
{
	int err = store_interfaces(store, rows, row_count);

	return err ? err : netlink_links(links, link_count);
}

bool interface_is_in_place(const struct instance *instance, const struct store_interface *row)
{
	return if_nametoindex(row->interface.name) == row->ifindex &&
	       attach_is_attached(instance, row->ifindex);
}

/* What a row stands for now: its interface, though it may have another name by now, or
 * the one that was made anew under its name, perhaps with the same index. */
static const struct netlink_link *find_heir(const struct instance *instance,
					    const struct store_interface *row,
					    const struct netlink_link *links, size_t count)
{
	const struct netlink_link *link = netlink_link_at(row->ifindex, links, count);

	if (link && (!strcmp(link->name, row->interface.name) ||
		     attach_is_attached(instance, row->ifindex)))
		return link;
	return netlink_link_named(row->interface.name, links, count);
}

int interface_attach_again(const struct instance *instance, struct store *store,
			   const struct store_interface *row, const struct netlink_link *links,
			   size_t count)
{
	const struct netlink_link *link = find_heir(instance, row, links, count);
	const char *name = row->interface.name;
	int err;

	if (!link) {
		attach_detach(instance, row->ifindex); /* it may be in another namespace */
		return fail(-ENODEV,
			    "%s is gone; it is attached again once there is an interface of that "
			    "name; if there will be none, type: xdnat unload %s",
			    name, name);
	}
	if (link->ifindex == row->ifindex && attach_is_attached(instance, link->ifindex))
		return 0;
	if (attach_is_attached(instance, link->ifindex)) /* by a load that was killed then */
		return interface_unload(instance, store, row->ifindex);
	if (!link->has_ethernet)
		return fail(-EOPNOTSUPP, "%s was made anew and has no Ethernet headers now", name);
	err = interface_load(instance, store, link, row->interface.mode,
			     row->interface.flags & XDNAT_SHARED);
	return err ?: 1;
}

int interface_reattach(const struct instance *instance, struct store *store,
		       void (*done)(const struct netlink_link *link, uint8_t mode, void *context),
		       void *context)
{
	struct store_interface *rows = NULL;
	struct netlink_link *links = NULL;
	size_t row_count = 0, link_count = 0;
	int err = read_both(store, &rows, &row_count, &links, &link_count);

	for (size_t i = 0; err >= 0 && i < row_count; i++) {
		err = interface_attach_again(instance, store, &rows[i], links, link_count);
		if (err == -ENODEV) {
			log_warning("%s", fail_text());
			err = 0;
		} else if (err > 0) {
			done(netlink_link_named(rows[i].interface.name, links, link_count),
			     rows[i].interface.mode, context);
		}
	}
	free(rows);
	free(links);
	return err < 0 ? err : 0;
}
