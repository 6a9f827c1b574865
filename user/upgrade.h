/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The programs of a loaded instance replaced by this build's, on the same maps,
 * while packets flow.
 */
#ifndef XDNAT_UPGRADE_H
#define XDNAT_UPGRADE_H

#include "instance.h"
#include "store.h"

/* Called for each interface whose programs were replaced. */
typedef void upgrade_done(const struct store_interface *row, void *context);

/* Tests the new programs and swaps them on every attached interface, each at once. On
 * error all run the old program, as before, unless it was in a dispatcher (--shared)
 * that the new one was refused. store goes on with the old programs: open it again.
 * Killed at any point, a later one finishes it. Caller holds the instance's lock. */
int upgrade_programs(const struct instance *instance, const struct store *store, upgrade_done *done,
		     void *context);

struct programs;

/* The same with programs that are loaded on the instance's maps, and tested. */
int upgrade_to(const struct instance *instance, const struct store *store,
	       const struct programs *programs, upgrade_done *done, void *context);

#endif
