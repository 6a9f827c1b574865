/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The programs on interfaces: tc filters everywhere (attach_tc.h), and before them XDP:
 * pinned bpf_links, foreign programs, modes.
 */
#ifndef XDNAT_ATTACH_H
#define XDNAT_ATTACH_H

#include <stdbool.h>

#include "attach_tc.h"
#include "instance.h"
#include "netlink.h"
#include "store.h"

/* Removes all pins of the instance, links and other builds' included: it detaches
 * everything. */
void attach_destroy(const struct instance *instance);

/* Attaches what is missing: the filters, then, in the mode of `how`, XDP, whose link is
 * pinned, or, if its flags say so, which shares the interface with others' programs
 * (attach_shared.h). -EBUSY naming a foreign program; -EOPNOTSUPP when the driver does not
 * take native XDP, the filters then stay. */
int attach_interface(const struct instance *instance, struct store *store,
		     const struct netlink_link *link, const struct xdnat_interface *how);
/* Takes XDP off, however it is attached; 0 also if the interface is gone. The filters
 * stay: attach_tc_remove(). */
int attach_detach_xdp(const struct instance *instance, uint32_t ifindex);
/* True if all that the row asks for is there. From another network namespace filters
 * cannot be seen: then true while XDP is, in tc mode while the interface is. */
bool attach_is_attached(const struct instance *instance, const struct store_interface *row);
/* True if anything of ours is there. */
bool attach_is_any_attached(const struct instance *instance, uint32_t ifindex);

/* All that runs on an interface, each by its descriptor, -1: none. */
struct attach_programs {
	int xdp;
	int tc[ATTACH_TC_HOOKS];
};
#define ATTACH_NO_PROGRAMS ((struct attach_programs){-1, {-1, -1}})
/* Puts programs in the places of those that run on ifindex, each atomically, and gives
 * those in before, to be closed: none where we are not attached. 0 or -errno without
 * fail(). */
int attach_replace(const struct instance *instance, uint32_t ifindex,
		   const struct attach_programs *programs, struct attach_programs *before);
void attach_programs_close(struct attach_programs *programs);

#endif
