/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where the packets of masquerade rules say they come from: the rule's snat=, else the
 * address that the kernel would choose towards the target. And the ports beside it.
 */
#ifndef XDNAT_SNAT_H
#define XDNAT_SNAT_H

#include "store.h"

/* Whether packets of the rule may leave with an address of this host. */
bool snat_is_needed(const struct spec *spec);
/* The address. -EHOSTUNREACH with fail() if there is no route to the target, or none
 * that has one. */
int snat_choose(const struct spec *spec, struct xdnat_addr *addr);

/* Makes addresses and ports those of the rules, which have their ids. A rule that has
 * no address has none in the store, its packets are dropped (no_source); that is no
 * error. Caller holds the instance's lock and is in its network namespace. */
int snat_sync(struct store *store, const struct store_rule *rules, size_t count);
/* The same for the rules that hold. */
int snat_follow(struct store *store);

#endif
