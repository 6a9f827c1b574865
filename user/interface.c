// SPDX-License-Identifier: GPL-2.0-only
#include "interface.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attach.h"
#include "fail.h"
#include "log.h"
#include "mode.h"
#include "offload.h"

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

bool interface_is_any_attached(const struct instance *instance, const struct store *store)
{
	struct store_interface *rows = NULL;
	bool is_attached = false;
	size_t count = 0;

	if (store_interfaces(store, &rows, &count))
		return false;
	for (size_t i = 0; i < count && !is_attached; i++)
		is_attached = attach_is_attached(instance, &rows[i]);
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
		    !attach_is_any_attached(instance, rows[i].ifindex))
			interface_unload(instance, store, rows[i].ifindex);
	free(rows);
}

/* A tag that the NIC strips is gone before XDP looks, generic XDP, too: a packet of
 * another VLAN would pass for an untagged one. veth is no better off for it: preflight.c
 * tells. 1: switched off, 0: no need, or -errno. */
static int show_vlan_tags(const struct netlink_link *link)
{
	int err = strcmp(link->kind, "veth") ? offload_rxvlan_off(link->name) : 0;

	return err == -EOPNOTSUPP ? 0 : err;
}

static void hide_vlan_tags(struct store_interface *row)
{
	char name[IF_NAMESIZE];

	/* Not one that has its name by now and was never touched. */
	if (row->interface.flags & XDNAT_RESTORE_RXVLAN && if_indextoname(row->ifindex, name))
		offload_rxvlan_on(name);
	row->interface.flags &= ~XDNAT_RESTORE_RXVLAN;
}

#define XDP_FLAGS (XDNAT_SHARED | XDNAT_XDP_OUT | XDNAT_RESTORE_RXVLAN)

/* Tags are to be seen; what comes out of XDP need not go through the kernel. */
static int prepare_xdp(const struct netlink_link *link, struct store_interface *row)
{
	int status = show_vlan_tags(link);

	if (status > 0)
		row->interface.flags |= XDNAT_RESTORE_RXVLAN;
	if (row->interface.mode == XDNAT_MODE_NATIVE)
		row->interface.flags |= XDNAT_XDP_OUT;
	return status < 0 ? status : 0;
}

/* In the row's mode. It is noted first: who comes after a sudden end knows of it. */
static int attach_as(const struct instance *instance, struct store *store,
		     const struct netlink_link *link, struct store_interface *row)
{
	bool is_auto = row->interface.flags & XDNAT_AUTO;
	int err = mode_check(link, row->interface.mode);

	if (!err && row->interface.mode != XDNAT_MODE_TC) {
		err = prepare_xdp(link, row);
		if (err && is_auto)
			return fail(-EOPNOTSUPP, "it strips VLAN tags, and that cannot be switched "
						 "off");
		if (err)
			log_warning("%s strips VLAN tags before xdnat sees them, and that cannot "
				    "be switched off (%s): packets of its VLANs look untagged",
				    link->name, strerror(-err));
		err = 0;
	}
	if (!err)
		err = store_interface_put(store, row);
	if (!err)
		err = attach_interface(instance, store, link, &row->interface);
	return err ? err : store_device_put(store, link->ifindex);
}

/* The mode that was asked for, or the best that works. */
static int attach_wish(const struct instance *instance, struct store *store,
		       const struct netlink_link *link, struct store_interface *row, char *why)
{
	const char *reason;
	int err;

	if (row->interface.mode) {
		err = attach_as(instance, store, link, row);
		if (err == -EOPNOTSUPP && row->interface.mode == XDNAT_MODE_NATIVE &&
		    link->has_ethernet && !(row->interface.flags & XDNAT_SHARED))
			fail(err, "%s; change that or type: xdnat load %s --mode auto", fail_text(),
			     link->name);
		return err;
	}
	row->interface.flags |= XDNAT_AUTO;
	row->interface.mode = row->interface.flags & XDNAT_SHARED ? XDNAT_MODE_NATIVE
								  : mode_choose(link, &reason);
	snprintf(why, INTERFACE_WHY_BYTES, "%s", row->interface.flags & XDNAT_SHARED ? "" : reason);
	err = attach_as(instance, store, link, row);
	if (err != -EOPNOTSUPP || row->interface.mode == XDNAT_MODE_TC ||
	    row->interface.flags & XDNAT_SHARED)
		return err;
	snprintf(why, INTERFACE_WHY_BYTES, "%s", fail_text());
	hide_vlan_tags(row);
	row->interface.mode = XDNAT_MODE_TC;
	row->interface.flags &= ~XDP_FLAGS;
	return attach_as(instance, store, link, row);
}

/* The row as it will be, but for its mode's sake. */
static int make_row(const struct netlink_link *link, const struct interface_wish *wish,
		    const struct store_interface *before, struct store_interface *row)
{
	bool has_clsact;
	int err = attach_tc_has_clsact(link, &has_clsact);

	*row = (struct store_interface){
		.ifindex = link->ifindex,
		.interface.mode = wish->mode,
	};
	strcpy(row->interface.name, link->name);
	if (before)
		row->interface.flags =
			before->interface.flags &
			(XDNAT_SHARED | XDNAT_RESTORE_RXVLAN | XDNAT_OWN_CLSACT | XDNAT_LISTENS);
	if (wish->shared)
		row->interface.flags |= XDNAT_SHARED;
	if (wish->is_target_side)
		row->interface.flags |= XDNAT_TARGET_SIDE;
	if (!has_clsact)
		row->interface.flags |= XDNAT_OWN_CLSACT;
	if (link->has_ethernet)
		memcpy(row->interface.mac, link->mac, sizeof(row->interface.mac));
	else
		row->interface.flags |= XDNAT_NO_ETHERNET;
	return err;
}

int interface_load(const struct instance *instance, struct store *store,
		   const struct netlink_link *link, const struct interface_wish *wish, char *why)
{
	struct store_interface before, row;
	bool was_there = !interface_find(store, link->ifindex, &before);
	char unread[INTERFACE_WHY_BYTES];
	int err = make_row(link, wish, was_there ? &before : NULL, &row);

	*(why ?: (why = unread)) = '\0';
	if (err)
		return err;
	err = attach_wish(instance, store, link, &row, why);
	if (!err) {
		forget_predecessors(instance, store, link);
		return 0;
	}
	if (!was_there) {
		char cause[FAIL_TEXT_BYTES];

		snprintf(cause, sizeof(cause), "%s", fail_text());
		store_interface_put(store, &row); /* what it says is undone */
		interface_unload(instance, store, link->ifindex);
		return fail(err, "%s", cause);
	}
	before.interface.flags |= row.interface.flags & (XDNAT_RESTORE_RXVLAN | XDNAT_OWN_CLSACT);
	store_interface_put(store, &before);
	return err;
}

int interface_unload(const struct instance *instance, struct store *store, uint32_t ifindex)
{
	int err = attach_detach_xdp(instance, ifindex);
	struct store_interface row;

	if (err)
		return err;
	if (interface_find(store, ifindex, &row))
		return attach_tc_remove(instance, ifindex, false);
	err = attach_tc_remove(instance, ifindex, row.interface.flags & XDNAT_OWN_CLSACT);
	if (err)
		return err;
	hide_vlan_tags(&row);
	store_device_remove(store, ifindex);
	store_interface_remove(store, ifindex);
	return 0;
}

int interface_step_back(const struct instance *instance, struct store *store,
			const struct store_interface *row)
{
	struct store_interface side = *row;
	int err = attach_detach_xdp(instance, row->ifindex);

	if (err)
		return err;
	hide_vlan_tags(&side);
	side.interface.mode = XDNAT_MODE_TC;
	side.interface.flags &= XDNAT_NO_ETHERNET | XDNAT_OWN_CLSACT;
	side.interface.flags |= XDNAT_TARGET_SIDE;
	return store_interface_put(store, &side);
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
	       attach_is_attached(instance, row);
}

/* What a row stands for now: its interface, though it may have another name by now, or
 * the one that was made anew under its name, perhaps with the same index. */
static const struct netlink_link *find_heir(const struct instance *instance,
					    const struct store_interface *row,
					    const struct netlink_link *links, size_t count)
{
	const struct netlink_link *link = netlink_link_at(row->ifindex, links, count);

	if (link && (!strcmp(link->name, row->interface.name) ||
		     attach_is_any_attached(instance, row->ifindex)))
		return link;
	return netlink_link_named(row->interface.name, links, count);
}

int interface_attach_again(const struct instance *instance, struct store *store,
			   const struct store_interface *row, const struct netlink_link *links,
			   size_t count)
{
	const struct netlink_link *link = find_heir(instance, row, links, count);
	const char *name = row->interface.name;
	const struct interface_wish wish = {
		.mode = row->interface.flags & XDNAT_AUTO ? 0 : row->interface.mode,
		.shared = row->interface.flags & XDNAT_SHARED,
		.is_target_side = row->interface.flags & XDNAT_TARGET_SIDE,
	};
	int err;

	if (!link && wish.is_target_side) /* routes lead elsewhere now */
		return interface_unload(instance, store, row->ifindex);
	if (!link) {
		attach_detach_xdp(instance, row->ifindex); /* it may be in another namespace */
		return fail(-ENODEV,
			    "%s is gone; it is attached again once there is an interface of that "
			    "name; if there will be none, type: xdnat unload %s",
			    name, name);
	}
	if (link->ifindex == row->ifindex && attach_is_attached(instance, row))
		return 0;
	if (link->ifindex != row->ifindex && attach_is_any_attached(instance, link->ifindex))
		return interface_unload(instance, store,
					row->ifindex); /* by a load that was killed */
	err = interface_load(instance, store, link, &wish, NULL);
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
		const struct netlink_link *link = find_heir(instance, &rows[i], links, link_count);

		err = interface_attach_again(instance, store, &rows[i], links, link_count);
		if (err == -ENODEV) {
			log_warning("%s", fail_text());
			err = 0;
		} else if (err > 0) {
			done(link, rows[i].interface.mode, context);
		}
	}
	free(rows);
	free(links);
	return err < 0 ? err : 0;
}
