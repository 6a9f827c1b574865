/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * --shared: our program beside others' on one interface, in libxdp's dispatcher.
 * libxdp attaches it by netlink and pins its parts, so nothing is held here. Ours
 * are the programs that use the instance's maps; others' are never touched.
 */
#ifndef XDNAT_ATTACH_SHARED_H
#define XDNAT_ATTACH_SHARED_H

#include <stdbool.h>

#include "instance.h"
#include "netlink.h"
#include "store.h"

/* The name of libxdp's dispatcher, as programs on interfaces are called. */
#define ATTACH_SHARED_DISPATCHER "xdp_dispatcher"

/* Loads the program over the pinned maps and adds it to the interface's dispatcher,
 * which is made if there is none. If one of ours runs there it goes then; in between
 * a packet that the first one passes sees both. With fail(): -EOPNOTSUPP where the
 * dispatcher does not really run, -EBUSY if those who are there refuse; nothing new
 * stays then. */
int attach_shared_add(const struct instance *instance, const struct store *store,
		      const struct netlink_link *link, uint8_t mode);
/* Takes ours out; 0 also if there is none or the interface is gone. */
int attach_shared_remove(const struct instance *instance, uint32_t ifindex);
/* The same on all interfaces, known or not, for the instance whose pins are there. */
void attach_shared_remove_all(const char *pin_dir);
/* True if ours runs in the interface's dispatcher. From another network namespace
 * it cannot be seen: then true if libxdp has it pinned. */
bool attach_shared_is_attached(const struct instance *instance, uint32_t ifindex);

#endif
