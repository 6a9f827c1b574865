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
/* Switches off what hides packets from XDP, attaches, notes it in the store, forgets
 * an interface that had its name and is no more. shared: beside others' programs, as it
 * also is if it was so loaded before. On error it is as before. Caller holds the
 * instance's lock. */
int interface_load(const struct instance *instance, struct store *store,
		   const struct netlink_link *link, uint8_t mode, bool shared);
/* Detaches and restores; 0 also if the interface is gone. */
int interface_unload(const struct instance *instance, struct store *store, uint32_t ifindex);
/* True while nothing needs to be done: a few system calls. */
bool interface_is_in_place(const struct instance *instance, const struct store_interface *row);
/* Attaches, in its mode, what was detached from its interface, or what was made anew
 * under its name; links: all there are. 1: attached, 0: it was in place, -ENODEV with
 * fail(): no such interface at present. Caller holds the instance's lock. */
int interface_attach_again(const struct instance *instance, struct store *store,
			   const struct store_interface *row, const struct netlink_link *links,
			   size_t count);
/* The same for all; calls done(link, mode, context) for each that was attached, warns of
 * those that are gone. */
int interface_reattach(const struct instance *instance, struct store *store,
		       void (*done)(const struct netlink_link *link, uint8_t mode, void *context),
		       void *context);

#endif
