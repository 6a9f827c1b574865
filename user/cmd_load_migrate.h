/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * load on what an earlier version runs.
 */
#ifndef XDNAT_CMD_LOAD_MIGRATE_H
#define XDNAT_CMD_LOAD_MIGRATE_H

#include "instance.h"

/* Refuses options that it cannot follow, then makes the instance one of this build, and
 * says so. 0, or -errno with fail(). Caller holds the instance's lock. */
int cmd_load_migrate(const struct instance *instance);

#endif
