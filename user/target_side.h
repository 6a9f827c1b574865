/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Interfaces that nobody loaded and that lead to rules' targets: they get the tc
 * filters, so that replies are translated there, and a row of their own kind.
 */
#ifndef XDNAT_TARGET_SIDE_H
#define XDNAT_TARGET_SIDE_H

#include "instance.h"
#include "store.h"

/* The interfaces that lead to the rules' targets have filters when it returns 0. Targets
 * without a route do no harm: the daemon follows them. Caller holds the lock. */
int target_side_add(const struct instance *instance, struct store *store,
		    const struct store_rule *rules, size_t count);
/* The same for the targets of all rules and live flows, as the last nexthop_sync() found their
 * routes; takes the filters off what no target needs any more, unless not all of them are known.
 * Goes on after an error, the first one is returned. */
int target_side_sync(const struct instance *instance, struct store *store);

#endif
