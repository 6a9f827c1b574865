/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which interfaces the leak guard watches (DESIGN.md section 2).
 */
#ifndef XDNAT_LEAK_GUARD_H
#define XDNAT_LEAK_GUARD_H

#include "listener.h"

/* Marks the loaded interfaces that clients come in by, and no others: those that hold
 * a listener's address; where no interface holds one (it is routed here), those with a
 * default route. 0 or -errno with fail(). Caller holds the instance's lock. */
int leak_guard_watch(struct store *store, const struct listener_world *world,
		     const struct listener_set *listeners);

#endif
