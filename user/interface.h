/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One interface's way into an instance and out of it again.
 */
#ifndef XDNAT_INTERFACE_H
#define XDNAT_INTERFACE_H

#include "netlink.h"
#include "store.h"

/* The interface's row; -ENOENT without fail(). */
int interface_find(const struct store *store, uint32_t ifindex, struct store_interface *row);
/* True if any loaded interface is attached at present. */
bool interface_is_any_attached(const struct instance *instance, const struct store *store);
/* store_need_netns(), which knows a way out if that namespace seems to be gone. */
int interface_need_netns(const struct instance *instance, const struct store *store);
/* How an interface is to be loaded. */
struct interface_wish {
	uint8_t mode;	     /* 0: the best that it takes */
	bool shared;	     /* beside others' programs, as it also is if it was so loaded before */
	bool is_target_side; /* filters only, for a target's sake; never of a loaded one */
};
/* Why it is in the mode that it is in; "" if that was asked for. */
#define INTERFACE_WHY_BYTES 256

/* Switches off what hides packets from XDP, attaches, notes it in the store, forgets
 * an interface that had its name and is no more. why: NULL or INTERFACE_WHY_BYTES. On
 * error it is as before. Caller holds the instance's lock. */
int interface_load(const struct instance *instance, struct store *store,
		   const struct netlink_link *link, const struct interface_wish *wish, char *why);
/* Detaches and restores; 0 also if the interface is gone. On error its row stays. */
int interface_unload(const struct instance *instance, struct store *store, uint32_t ifindex);
/* What is loaded becomes a target's side: it keeps its filters only. */
int interface_step_back(const struct instance *instance, struct store *store,
			const struct store_interface *row);
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
