/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From rules to listeners: expands BIND to the addresses that interfaces have
 * now, settles precedence, and makes the store's listeners and ranges so.
 */
#ifndef XDNAT_LISTENER_H
#define XDNAT_LISTENER_H

#include <stddef.h>

#include "host_port.h"
#include "netlink.h"
#include "store.h"

/* The world that expansion depends on, so that tests can make one up. */
struct listener_world {
	const struct store_interface *interfaces; /* loaded */
	size_t interface_count;
	const struct netlink_address *addresses;
	size_t address_count;
	const struct netlink_default *defaults;
	size_t default_count;
	const struct netlink_link *links; /* names of all interfaces, for BIND */
	size_t link_count;
	const struct host_socket *sockets; /* whose ports "*" leaves to them, and ... */
	size_t socket_count;
	struct spec_ports ephemeral; /* ... these to connections of this host; none: zero */
};

/* The world as it is, for an instance and its rules; world is {} before. Release it on
 * errors too. */
int listener_world_read(const struct store *store, const struct store_rule *rules, size_t count,
			struct listener_world *world);
void listener_world_release(struct listener_world *world);
/* True if the interface is loaded there. */
bool listener_is_loaded(const struct listener_world *world, uint32_t ifindex);

/* What the datapath asks: first the listeners, each one port, then the ranges, of which
 * the longest prefix counts. Both by rising key. */
struct listener_set {
	struct store_listener *listeners;
	size_t listener_count;
	struct store_range *ranges;
	size_t range_count;
};

/* set is {} before; release it on errors too. Where rules meet, bound ones win (to an
 * address before to an interface) over unbound ones, then one port over a range over
 * "*", then the loaded interfaces with a default route over all, then the older rule. */
int listener_expand(const struct store_rule *rules, size_t rule_count,
		    const struct listener_world *world, struct listener_set *set);
void listener_set_sort(struct listener_set *set);
void listener_set_release(struct listener_set *set);

/* If the listeners are not those of rules, prepares all of them (*is_swap); they come
 * into force with store_change_commit(), so that no packet sees some of the old ones and
 * some of the new. Caller holds the instance's lock and is in its network namespace; the
 * store is settled. */
int listener_prepare(struct store *store, const struct store_rule *rules, size_t count,
		     bool *is_swap);
/* The same for the rules that hold, addresses or sockets having changed, and commits. */
int listener_sync(struct store *store);

#endif
