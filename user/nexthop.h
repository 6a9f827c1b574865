/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Keeps the neighbours resolved that packets need: next hops towards rules'
 * targets and towards the clients of answered flows. XDP cannot resolve.
 */
#ifndef XDNAT_NEXTHOP_H
#define XDNAT_NEXTHOP_H

#include "netlink.h"
#include "store.h"

/* Has the target's next hop resolved, and kept so. 0, or -EHOSTUNREACH (no route) or
 * another -errno with fail(). */
int nexthop_ask(struct store *store, const struct xdnat_addr *target);
/* Waits until the next hops have answered (or there is no way to them). */
void nexthop_await(const struct xdnat_addr *targets, size_t count, int timeout_ms);
/* One round: manages what rules and answered flows need, at most
 * XDNAT_NEIGHBOURS_MAX, lets go of what nobody needs any more. */
int nexthop_sync(struct store *store);
/* The interfaces that the last round found towards targets of rules and live flows, each
 * once. True if that was all of them. */
bool nexthop_target_sides(const uint32_t **ifindexes, size_t *count);
/* A neighbour that the last round found needed. Asks nobody. */
bool nexthop_is_kept(const struct netlink_hop *hop);
/* Lets go of all that we manage. */
void nexthop_release(struct store *store);

#endif
