/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Our two tc filters on an interface: cls_bpf under clsact, direct action, at a
 * priority and handle of our own. Others' filters and qdiscs are never touched.
 */
#ifndef XDNAT_ATTACH_TC_H
#define XDNAT_ATTACH_TC_H

#include <stdbool.h>

#include "instance.h"
#include "netlink.h"
#include "store.h"

/* Index of programs: by is_egress. */
#define ATTACH_TC_HOOKS 2

/* Whether clsact is there, or will be made by attach_tc_add(). -EBUSY with fail() if
 * a plain ingress qdisc is in its place. */
int attach_tc_has_clsact(const struct netlink_link *link, bool *has);
/* Adds what is missing of qdisc and filters. A filter of a build or instance that left
 * nothing else is replaced; -EBUSY with fail() naming a foreign one. */
int attach_tc_add(const struct instance *instance, const struct store *store,
		  const struct netlink_link *link);
/* Removes our filters; then, if is_own_clsact, the qdisc unless others use it. 0 also if
 * the interface is gone. */
int attach_tc_remove(const struct instance *instance, uint32_t ifindex, bool is_own_clsact);
/* Removes the filters of the instance whose pins are there from all interfaces, and a
 * clsact in which nothing else is: whose it was is not known any more. */
void attach_tc_remove_all(const char *pin_dir);
/* True if both are there; if any is. */
bool attach_tc_is_attached(const struct instance *instance, uint32_t ifindex);
bool attach_tc_is_any_attached(const struct instance *instance, uint32_t ifindex);
/* The same without those of the build that it is upgraded from. */
bool attach_tc_is_build_attached(const struct instance *instance, uint32_t ifindex);
/* Puts programs in the places of ours that run on ifindex, each atomically, and gives
 * those' descriptors in before, to be closed; -1 where we have none. 0 or -errno
 * without fail(). */
int attach_tc_replace(const struct instance *instance, uint32_t ifindex, const int *programs,
		      int *before);

#endif
