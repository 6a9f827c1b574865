// SPDX-License-Identifier: GPL-2.0-only
#include "leak_guard.h"

#include <errno.h>
#include <stdlib.h>

#include "addr.h"
#include "fail.h"

/* Listeners' addresses, so far as they were looked at. */
struct holders {
	const struct listener_world *world;
	bool *are_held; /* as world->addresses */
	bool is_elsewhere;
	struct xdnat_addr last;
};

static void note(struct holders *holders, const struct xdnat_addr *addr)
{
	bool is_held = false;

	if (addr_equal(addr, &holders->last))
		return;
	holders->last = *addr;
	for (size_t i = 0; i < holders->world->address_count; i++) {
		if (!addr_equal(addr, &holders->world->addresses[i].addr))
			continue;
		holders->are_held[i] = true;
		is_held = true;
	}
	holders->is_elsewhere |= !is_held;
}

static bool is_watched(const struct holders *holders, uint32_t ifindex)
{
	const struct listener_world *world = holders->world;

	for (size_t i = 0; i < world->address_count; i++)
		if (holders->are_held[i] && world->addresses[i].ifindex == ifindex)
			return true;
	for (size_t i = 0; holders->is_elsewhere && i < world->default_count; i++)
		if (world->defaults[i].ifindex == ifindex)
			return true;
	return false;
}

static int mark(struct store *store, const struct store_interface *interface, bool is_watched)
{
	struct store_interface row = *interface;

	if (is_watched)
		row.interface.flags |= XDNAT_LISTENS;
	else
		row.interface.flags &= ~XDNAT_LISTENS;
	return row.interface.flags == interface->interface.flags ? 0
								 : store_interface_put(store, &row);
}

int leak_guard_watch(struct store *store, const struct listener_world *world,
		     const struct listener_set *listeners)
{
	struct holders holders = {.world = world};
	int err = 0;

	holders.are_held = calloc(world->address_count + 1, sizeof(*holders.are_held));
	if (!holders.are_held)
		return fail(-ENOMEM, "no memory");
	for (size_t i = 0; i < listeners->listener_count; i++)
		note(&holders, &listeners->listeners[i].key.addr);
	for (size_t i = 0; i < listeners->range_count; i++)
		note(&holders, &listeners->ranges[i].key.addr);
	for (size_t i = 0; !err && i < world->interface_count; i++)
		err = mark(store, &world->interfaces[i],
			   is_watched(&holders, world->interfaces[i].ifindex));
	free(holders.are_held);
	return err;
}
