/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Keeps the neighbours resolved that packets need: next hops towards rules'
 * targets and towards the clients of answered flows. XDP cannot resolve.
 */
#ifndef XDNAT_NEXTHOP_H
#define XDNAT_NEXTHOP_H

#include "netlink.h"
#include "store.h"

/* Makes the target's next hop resolved and waits up to timeout_ms for it.
 * 0, -EHOSTUNREACH (no route) or -ETIMEDOUT (nobody answers), with fail(). */
int nexthop_resolve(struct store *store, const struct xdnat_addr *target, int timeout_ms);
/* One round: manages what rules and answered flows need, at most
 * XDNAT_NEIGHBOURS_MAX, lets go of what nobody needs any more. */
int nexthop_sync(struct store *store);
/* A neighbour that the last round found needed. Asks nobody. */
bool nexthop_is_kept(const struct netlink_hop *hop);
/* Lets go of all that we manage. */
void nexthop_release(struct store *store);

#endif
