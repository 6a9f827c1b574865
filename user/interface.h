/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One interface's way into an instance and out of it again.
 */
#ifndef XDNAT_INTERFACE_H
#define XDNAT_INTERFACE_H

#include "netlink.h"
#include "store.h"

/* "native", "generic". */
const char *interface_mode_name(uint8_t mode);
/* The loaded interface's row; -ENOENT without fail(). */
int interface_find(const struct store *store, uint32_t ifindex, struct store_interface *row);
/* True if any loaded interface is attached at present. */
bool interface_is_any_attached(const struct instance *instance, const struct store *store);
/* store_need_netns(), which knows a way out if that namespace seems to be gone. */
int interface_need_netns(const struct instance *instance, const struct store *store);
/* Switches off what hides packets from XDP, attaches, notes it in the store. On
 * error it is as before. Caller holds the instance's lock. */
int interface_load(const struct instance *instance, struct store *store,
		   const struct netlink_link *link, uint8_t mode);
/* Detaches and restores; 0 also if the interface is gone. */
int interface_unload(const struct instance *instance, struct store *store, uint32_t ifindex);
/* Attaches the interfaces that are loaded and not attached, each in its mode, and
 * calls done(link, mode, context) for each. */
int interface_reattach(const struct instance *instance, struct store *store,
		       void (*done)(const struct netlink_link *link, uint8_t mode, void *context),
		       void *context);
/* Lets go of interfaces that are no more: deleted, perhaps made anew since. */
int interface_prune(const struct instance *instance, struct store *store);

#endif
