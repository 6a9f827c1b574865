/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The XDP program on interfaces: pinned bpf_links, foreign programs, modes.
 */
#ifndef XDNAT_ATTACH_H
#define XDNAT_ATTACH_H

#include <stdbool.h>

#include "instance.h"
#include "netlink.h"
#include "store.h"

/* Removes all pins of the instance, links and other builds' included: it detaches
 * everything. */
void attach_destroy(const struct instance *instance);

/* Attaches the instance's program in the mode of `how` and pins the link, or, if its
 * flags say so, shares the interface with others' programs (attach_shared.h). -EBUSY
 * naming a foreign program, -EOPNOTSUPP when the driver has no native XDP. */
int attach_interface(const struct instance *instance, struct store *store,
		     const struct netlink_link *link, const struct xdnat_interface *how);
/* Detaches, however it is attached; 0 also if the interface is gone. */
int attach_detach(const struct instance *instance, uint32_t ifindex);
/* True if our link on ifindex is pinned and still attached, or we are in its dispatcher. */
bool attach_is_attached(const struct instance *instance, uint32_t ifindex);
/* Puts program in the place of the one that runs on ifindex, atomically, and gives
 * that one's descriptor in *before, to be closed; -1 if we are not attached. 0 or
 * -errno without fail(). */
int attach_replace(const struct instance *instance, uint32_t ifindex, int program, int *before);

#endif
