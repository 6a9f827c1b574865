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

/* Loads the programs and maps and pins them: an instance without interfaces.
 * flows: capacity of each family's table. 0, or -errno with fail(); on error
 * nothing stays. */
int attach_create(const struct instance *instance, uint32_t flows);
/* Removes all pins of the instance, links and other builds' included: it detaches
 * everything. */
void attach_destroy(const struct instance *instance);

/* Attaches the instance's program and pins the link. mode: XDNAT_MODE_….
 * -EBUSY naming a foreign program, -EOPNOTSUPP when the driver has no native XDP. */
int attach_interface(const struct instance *instance, struct store *store,
		     const struct netlink_link *link, uint8_t mode);
/* Detaches; 0 also if the interface is gone. */
int attach_detach(const struct instance *instance, uint32_t ifindex);
/* True if our link on ifindex is pinned and still attached. */
bool attach_is_attached(const struct instance *instance, uint32_t ifindex);

#endif
