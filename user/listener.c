// SPDX-License-Identifier: GPL-2.0-only
/*
 * Describes the real network to listener_expand() and has the result put in force.
 */
#include "listener.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ephemeral.h"
#include "fail.h"
#include "leak_guard.h"
#include "port_bits.h"
#include "target_port.h"

/* The maps hold both sets. */
#define LISTENERS_MAX (XDNAT_LISTENERS_MAX / 2)
#define RANGES_MAX    (XDNAT_RANGES_MAX / 2)

/* Only "*" leaves this host its own ports. */
static bool needs_own_ports(const struct store_rule *rules, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (rules[i].spec.form == SPEC_ANY && rules[i].spec.enabled)
			return true;
	return false;
}

/* Nobody loaded them. */
static size_t drop_target_sides(struct store_interface *interfaces, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (!(interfaces[i].interface.flags & XDNAT_TARGET_SIDE))
			interfaces[kept++] = interfaces[i];
	return kept;
}

int listener_world_read(const struct store *store, const struct store_rule *rules, size_t count,
			struct listener_world *world)
{
	struct store_interface *interfaces = NULL;
	struct netlink_address *addresses = NULL;
	struct netlink_link *links = NULL;
	struct netlink_default *defaults = NULL;
	struct host_socket *sockets = NULL;
	int err;

	err = store_interfaces(store, &interfaces, &world->interface_count);
	if (!err)
		world->interface_count = drop_target_sides(interfaces, world->interface_count);
	world->interfaces = interfaces;
	if (!err)
		err = netlink_addresses(&addresses, &world->address_count);
	world->addresses = addresses;
	if (!err)
		err = netlink_default_interfaces(&defaults, &world->default_count);
	world->defaults = defaults;
	if (!err)
		err = netlink_links(&links, &world->link_count);
	world->links = links;
	if (!err && needs_own_ports(rules, count))
		err = host_port_read(&sockets, &world->socket_count)
			      ?: ephemeral_read(&world->ephemeral);
	world->sockets = sockets;
	return err;
}

void listener_world_release(struct listener_world *world)
{
	free((void *)world->interfaces);
	free((void *)world->addresses);
	free((void *)world->defaults);
	free((void *)world->links);
	free((void *)world->sockets);
}

bool listener_is_loaded(const struct listener_world *world, uint32_t ifindex)
{
	for (size_t i = 0; i < world->interface_count; i++)
		if (world->interfaces[i].ifindex == ifindex)
			return true;
	return false;
}

static int check_room(const struct listener_set *wanted)
{
	if (wanted->listener_count > LISTENERS_MAX)
		return fail(
			-ENOSPC,
			"the rules need %zu listeners (a rule has one on each address), there is "
			"room for %d; delete rules, all at once if need be: xdnat rule flush",
			wanted->listener_count, LISTENERS_MAX);
	if (wanted->range_count > RANGES_MAX)
		return fail(-ENOSPC,
			    "the rules' port ranges need %zu entries (30 at most for each on each "
			    "address), there is room for %d; delete rules, or choose ranges that "
			    "begin and end at multiples of large powers of two",
			    wanted->range_count, RANGES_MAX);
	return 0;
}

/* What is in force, sorted. */
static int read_present(const struct store *store, struct listener_set *present)
{
	int err = store_listeners(store, &present->listeners, &present->listener_count);

	if (!err)
		err = store_ranges(store, &present->ranges, &present->range_count);
	if (!err)
		listener_set_sort(present);
	return err;
}

static bool is_same(const struct listener_set *left, const struct listener_set *right)
{
	return left->listener_count == right->listener_count &&
	       left->range_count == right->range_count &&
	       (!left->listener_count ||
		!memcmp(left->listeners, right->listeners,
			left->listener_count * sizeof(*left->listeners))) &&
	       (!left->range_count ||
		!memcmp(left->ranges, right->ranges, left->range_count * sizeof(*left->ranges)));
}

static int expand_in_world(struct store *store, const struct store_rule *rules, size_t count,
			   struct listener_set *wanted)
{
	struct listener_world world = {};
	int err = listener_world_read(store, rules, count, &world);

	if (!err)
		err = listener_expand(rules, count, &world, wanted);
	if (!err)
		err = check_room(wanted);
	if (!err)
		err = leak_guard_watch(store, &world, wanted);
	listener_world_release(&world);
	return err;
}

int listener_prepare(struct store *store, const struct store_rule *rules, size_t count,
		     bool *is_swap)
{
	struct listener_set wanted = {}, present = {};
	int err = expand_in_world(store, rules, count, &wanted);

	if (!err)
		err = read_present(store, &present);
	if (!err)
		err = store_lists_differ(store, rules, count, is_swap);
	*is_swap = !err && (*is_swap || !is_same(&wanted, &present));
	if (!err)
		err = target_port_add(store, rules, count);
	if (!err)
		err = port_bits_add(store, rules, count);
	if (!err && *is_swap)
		err = store_listeners_prepare(store, wanted.listeners, wanted.listener_count);
	if (!err && *is_swap)
		err = store_ranges_prepare(store, wanted.ranges, wanted.range_count);
	if (!err && *is_swap)
		err = store_lists_prepare(store, rules, count);
	listener_set_release(&wanted);
	listener_set_release(&present);
	return err;
}

int listener_sync(struct store *store)
{
	struct store_rule *rules = NULL;
	bool is_swap = false;
	size_t count = 0;
	int err;

	err = store_change_settle(store);
	if (!err)
		err = store_rules(store, &rules, &count);
	if (!err)
		err = listener_prepare(store, rules, count, &is_swap);
	if (!err && is_swap)
		err = store_change_commit(store, true);
	if (!err && is_swap)
		err = store_change_settle(store);
	if (!err)
		err = target_port_prune(store, rules, count);
	free(rules);
	return err;
}
