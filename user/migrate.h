/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A loaded instance of an earlier ABI (instance_older()) becomes one of this build while
 * packets flow: its maps that have not changed are used by both, its flows are copied,
 * then the programs are swapped.
 *
 * Until the end the earlier build's pins are there and whole. Killed before the programs
 * are swapped, all is as before; after that the next one finishes it: both builds'
 * `unload --all` always work, and of this build's commands only load.
 */
#ifndef XDNAT_MIGRATE_H
#define XDNAT_MIGRATE_H

#include "instance.h"
#include "store.h"

/* What the instance is configured to now; what ABI 3 did not have is 0. */
int migrate_config(const struct instance *instance, struct xdnat_config *config);

/* Ends the earlier build's daemon, too; nobody starts another. flows: how many were
 * copied. Where the programs cannot be swapped, or before that, the earlier ones go on.
 * 0, or -errno with fail(). Caller holds the instance's lock and is in its network
 * namespace. */
int migrate(const struct instance *instance, uint64_t *flows);

/* Removes what is left of the earlier build when the end was cut short. */
void migrate_forget(const struct instance *instance);

#endif
