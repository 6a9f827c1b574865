/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who talks to whom: addresses, and what the packets of a flow look like when they
 * arrive at the router and when they leave it.
 */
#ifndef FLOWS_H
#define FLOWS_H

#include "frame.h"
#include "xdnat_abi.h"

#define FLOWS_PORT	  8080
#define FLOWS_TARGET_PORT 80

/* What kind of flows: the i-th of each kind is another client's. */
struct flows {
	bool is_v6;
	bool is_tcp;
	bool is_foreign; /* to a port without a rule; has no reply */
	uint32_t count;	 /* a power of two, at most BENCH_ROWS */
};

extern const uint8_t flows_wan_mac[6], flows_lan_mac[6];

struct xdnat_addr flows_listener(bool is_v6);
struct xdnat_addr flows_target(bool is_v6);
/* The packet of flow i as it arrives, and as it must leave. */
void flows_arriving(const struct flows *flows, uint32_t i, uint8_t direction, uint8_t tcp_flags,
		    struct frame *frame);
void flows_leaving(const struct flows *flows, uint8_t direction, const struct frame *arriving,
		   struct frame *frame);
/* As Floor-R leaves it: no more than on its way. */
void flows_rerouted(const struct frame *arriving, struct frame *frame);

#endif
