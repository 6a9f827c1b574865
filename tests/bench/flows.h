/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who talks to whom: addresses, and what the packets of a flow look like when they
 * arrive at the router and when they leave it.
 */
#ifndef FLOWS_H
#define FLOWS_H

#include "frame.h"
#include "xdnat_abi.h"

#define FLOWS_PORT	  8080 /* of the first rule */
#define FLOWS_TARGET_PORT 80

/* Under which rule flows are; each listens on a port of its own. */
enum flows_rule {
	FLOWS_PRESERVED,
	FLOWS_MASQUERADED,   /* the target sees the router, and the client's port */
	FLOWS_RELAYED,	     /* the same; the target is where clients come from */
	FLOWS_ONE_PREFIX,    /* preserved; clients are allowed by one prefix ... */
	FLOWS_MANY_PREFIXES, /* ... or each by one of many */
	FLOWS_RULED,	     /* preserved; one of many rules, each with a listener of its own */
	FLOWS_FOREIGN,	     /* none; these have no reply */
};

/* What kind of flows: the i-th of each kind is another client's. */
struct flows {
	bool is_v6;
	bool is_tcp;
	enum flows_rule rule;
	uint32_t rules; /* FLOWS_RULED: so many of them */
	uint32_t first; /* client of flow 0 */
	uint32_t count;
};

extern const uint8_t flows_wan_mac[6], flows_lan_mac[6];

struct xdnat_addr flows_listener(bool is_v6);
struct xdnat_addr flows_target(bool is_v6);
struct xdnat_addr flows_client(bool is_v6, uint32_t i);
/* Who the target of FLOWS_MASQUERADED sees. */
struct xdnat_addr flows_snat(bool is_v6);
uint16_t flows_port_host(enum flows_rule rule);
/* Of FLOWS_RULED, IPv4: where the n-th rule listens. */
struct xdnat_addr flows_ruled_listener(uint32_t n);
uint16_t flows_ruled_port_host(uint32_t n);
/* The packet of flow i as it arrives, and as it must leave. */
void flows_arriving(const struct flows *flows, uint32_t i, uint8_t direction, uint8_t tcp_flags,
		    struct frame *frame);
void flows_leaving(const struct flows *flows, uint32_t i, uint8_t direction,
		   const struct frame *arriving, struct frame *frame);
/* As Floor-R leaves it: no more than on its way. */
void flows_rerouted(const struct frame *arriving, struct frame *frame);

#endif
