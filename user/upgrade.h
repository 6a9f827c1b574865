/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The programs of a loaded instance replaced by this build's, on the same maps,
 * while packets flow.
 */
#ifndef XDNAT_UPGRADE_H
#define XDNAT_UPGRADE_H

#include "instance.h"
#include "store.h"

/* Tests the new programs, swaps them on every attached interface, each at once, and
 * calls done() for each. On error all run the old program, as before, unless it
 * was in a dispatcher (--shared) that the new one was refused. store goes on
 * with the old programs: open it again. Killed at any point, a later one finishes
 * it. Caller holds the instance's lock. */
int upgrade_programs(const struct instance *instance, const struct store *store,
		     void (*done)(const struct store_interface *row, void *context), void *context);

#endif
