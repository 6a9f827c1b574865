/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * rtnetlink in terms of our own: interfaces, addresses, default routes, next
 * hops, neighbours, and a socket that tells of changes (libmnl).
 */
#ifndef XDNAT_NETLINK_H
#define XDNAT_NETLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xdnat_abi.h"

struct netlink_link {
	uint32_t ifindex;
	char name[XDNAT_IFNAME_BYTES];
	char kind[16]; /* "veth", "bridge", … or "" */
	uint8_t mac[6];
	bool has_ethernet; /* ARPHRD_ETHER */
	bool is_up;
	uint32_t mtu;
	uint32_t xdp_prog_id; /* 0: none */
};
/* *links is malloc'd. 0 or -errno with fail(). */
int netlink_links(struct netlink_link **links, size_t *count);
/* The one with that index, or of that name; NULL if there is none. */
const struct netlink_link *netlink_link_at(uint32_t ifindex, const struct netlink_link *links,
					   size_t count);
const struct netlink_link *netlink_link_named(const char *name, const struct netlink_link *links,
					      size_t count);
/* One interface by name; -ENODEV with fail() ("no interface eth7; there are: …"). */
int netlink_link(const char *name, struct netlink_link *link);

struct netlink_address {
	uint32_t ifindex;
	struct xdnat_addr addr;
};
/* Global-scope unicast addresses of all interfaces, v4 and v6 (no loopback,
 * link-local or tentative ones). */
int netlink_addresses(struct netlink_address **addresses, size_t *count);

/* An interface that a default route of one family leaves by (main table). */
struct netlink_default {
	uint32_t ifindex;
	bool is_v6;
};
int netlink_default_interfaces(struct netlink_default **defaults, size_t *count);

/* Where a packet to addr leaves and who is next: gateway, or addr itself.
 * -EHOSTUNREACH with fail() if there is no unicast route or it is local. */
struct netlink_hop {
	uint32_t ifindex;
	struct xdnat_addr next;
};
int netlink_route(const struct xdnat_addr *addr, struct netlink_hop *hop);
/* The address of this host that the kernel would send to addr from. As netlink_route(),
 * and if it would be none. */
int netlink_route_source(const struct xdnat_addr *addr, struct xdnat_addr *source);

enum netlink_neighbour_state {
	NETLINK_NEIGHBOUR_NONE, /* no entry, failed or incomplete */
	NETLINK_NEIGHBOUR_VALID,
	NETLINK_NEIGHBOUR_FIXED, /* PERMANENT, NOARP or learned: not ours to touch */
};
int netlink_neighbour_state(const struct netlink_hop *hop, enum netlink_neighbour_state *state);
/* Adds the entry or marks it NTF_EXT_MANAGED: the kernel resolves it at once and
 * keeps it so; an entry that is managed but unresolved is tried again at once.
 * 1 if it is managed by this call, 0 if it was already (perhaps by someone else)
 * or is FIXED and left alone. manage false: lets go of it, its state stays. */
int netlink_neighbour_manage(const struct netlink_hop *hop, bool manage);

/* How many entries the kernel's neighbour tables take before it refuses more (the
 * smaller of both families' gc_thresh3; they are shared by all namespaces). */
int netlink_neighbour_capacity(uint32_t *capacity);

/* The queueing discipline that filters on packets' ways in and out belong to: its
 * kind, "clsact" or "ingress", "" if there is none. */
#define NETLINK_KIND_BYTES 16
int netlink_hooks_qdisc(uint32_t ifindex, char *kind);
/* A tc filter there; handle 0: a priority, whose filters follow. */
struct netlink_filter {
	uint32_t priority, handle;
	uint32_t prog_id; /* 0: not of kind "bpf" */
	char kind[NETLINK_KIND_BYTES];
};
/* Those on one way; none if there is no such qdisc or interface. *filters is malloc'd. */
int netlink_filters(uint32_t ifindex, bool is_egress, struct netlink_filter **filters,
		    size_t *count);

/* Announcements about links, addresses, routes and neighbours of both families.
 * Returns a non-blocking descriptor, which stays theirs, or -errno with fail(). */
struct netlink_events;
int netlink_events_open(struct netlink_events **events);
/* Reads what is there, or a part if it is much; tells what may have changed: after
 * a loss of announcements everything. is_kept says whose loss matters. */
#define NETLINK_CHANGED_ADDRESSES 1 /* links, addresses, default routes */
#define NETLINK_CHANGED_ROUTES	  2 /* where packets go */
#define NETLINK_LOST_NEIGHBOUR	  4 /* a kept one was deleted or does not answer */
#define NETLINK_CHANGED_FILTERS	  8 /* tc's, or their queueing disciplines */
unsigned int netlink_events_drain(struct netlink_events *events,
				  bool (*is_kept)(const struct netlink_hop *hop));
void netlink_events_close(struct netlink_events *events); /* accepts NULL */

#endif
