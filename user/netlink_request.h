/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How the netlink_*.c files ask the kernel: one request, its answers. Nobody else
 * includes this.
 */
#ifndef XDNAT_NETLINK_REQUEST_H
#define XDNAT_NETLINK_REQUEST_H

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <stddef.h>

#include "xdnat_abi.h"

/* Room for a request: all of ours are small. */
union netlink_request {
	struct nlmsghdr header;
	char bytes[256];
};

/* Begins a request; returns its family header of `size` bytes, zeroed. Without
 * NLM_F_DUMP in flags the kernel is asked to acknowledge. */
void *netlink_request_begin(union netlink_request *request, uint16_t type, uint16_t flags,
			    size_t size);
/* Appends addr as 4 or 16 bytes, as its family has it. */
void netlink_request_put_addr(union netlink_request *request, uint16_t type,
			      const struct xdnat_addr *addr);
uint8_t netlink_family(const struct xdnat_addr *addr);
/* The address in an attribute, by its length; -EINVAL if it is neither 4 nor 16. */
int netlink_attr_addr(const struct nlattr *attr, struct xdnat_addr *addr);

/* A growing array that a dump fills. */
struct netlink_list {
	void *items;
	size_t count, room, item_bytes;
};
/* A new zeroed item at the end, NULL without memory. */
void *netlink_list_add(struct netlink_list *list);

/* Sends it and calls each(message, context) for every answer; -errno that the
 * kernel gave, or 0. Waits two seconds at most for each part of the answer. */
int netlink_talk(union netlink_request *request, mnl_cb_t each, void *context);
/* The same for a dump: begins anew, with an empty list, when what is dumped
 * changed meanwhile. On error the list is freed. */
int netlink_dump(union netlink_request *request, mnl_cb_t each, struct netlink_list *list);

#endif
