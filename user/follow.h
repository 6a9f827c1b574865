/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Loaded interfaces that change: MAC address and name (the datapath takes only
 * frames to the interface's own address), those that lose their program, those that
 * are deleted and made anew.
 */
#ifndef XDNAT_FOLLOW_H
#define XDNAT_FOLLOW_H

#include "store.h"

/* Brings the store's interfaces up to date. Caller holds the instance's lock. */
int follow_interfaces(const struct instance *instance, struct store *store);

/* What has been logged of interfaces that are not in place; starts as zero. */
struct follow {
	struct follow_trouble *troubles;
	size_t count;
};
/* Attaches what is not attached any more, and logs it, each event once. Takes the
 * instance's lock, if there is something to do. How many it attached, or -errno. */
int follow_attach(struct follow *follow, const struct instance *instance, struct store *store);
void follow_forget(struct follow *follow);

#endif
