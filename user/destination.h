/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where packets of rules and flows go to, and the next hops on the way there.
 */
#ifndef XDNAT_DESTINATION_H
#define XDNAT_DESTINATION_H

#include <stdbool.h>
#include <stddef.h>

#include "netlink.h"
#include "store.h"

struct destination {
	struct xdnat_addr addr;
	struct netlink_hop hop; /* ifindex 0: no route, or not looked up yet */
	bool is_target;
	bool is_current; /* looked up since routes changed */
};

struct destinations {
	struct destination *items; /* sorted by address */
	size_t count, room;
	bool is_cut; /* there were more */
};

/* The targets of all rules and live flows and the clients of answered flows, as far as they can be
 * looked up in one round. 0 or -errno with fail(); pass it on in either case. */
int destination_read(const struct store *store, struct destinations *destinations);
/* Takes what one round found for the next one. */
void destination_remember(struct destinations *destinations);
/* Routes have changed: the next rounds look them up again. */
void destination_forget(void);
/* Every destination has been seen and looked up. */
bool destination_is_complete(const struct destinations *destinations);

#endif
