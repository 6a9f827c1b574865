/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * load --confirm: a process that undoes the load unless it is told not to. It
 * does not depend on the daemon, on the terminal or on the network.
 */
#ifndef XDNAT_CONFIRM_H
#define XDNAT_CONFIRM_H

#include <stdbool.h>
#include <stddef.h>

#include "instance.h"
#include "netlink.h"

/* -EBUSY with fail() if one is waiting: it has the only file, and is not to be
 * forgotten over another. */
int confirm_need_none(const struct instance *instance);
/* Starts it, before anything is attached: after seconds it runs `xdnat unload`
 * for the links, or for all if whole is true. -EBUSY if one is waiting. */
int confirm_start(const struct instance *instance, unsigned int seconds, bool whole,
		  const struct netlink_link *links, size_t count);
/* Tells it not to. 1 if one was waiting, 0 if none was. */
int confirm_cancel(const struct instance *instance);

#endif
