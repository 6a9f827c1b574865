/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A network with one kind of router in it. Each kind has its own: nothing is
 * attached, unloaded or reconfigured between measurements.
 */
#ifndef LANE_H
#define LANE_H

#include "flows.h"
#include "network.h"

#include "live.skel.h" /* wants live_frame to be known */

enum lane_kind {
	LANE_DROP, /* the router counts and drops: what generating costs */
	LANE_FLOOR,
	LANE_FLOOR_AGAIN,
	LANE_XDNAT,
	LANE_MASQUERADE,
	LANE_NFT,
	LANE_BACK, /* one interface: the router sends back what comes, as it came */
	LANE_RELAY,
	LANES,
};

struct lane {
	enum lane_kind kind;
	struct network network;
	const char *xdnat;
	int instance; /* of xdnat's kinds */
};

const char *lane_name(enum lane_kind kind);
/* The programs of skeleton are attached, and stay while the network does. xdnat:
 * the product's binary. 0 or -errno. */
int lane_make(struct lane *lane, enum lane_kind kind, const struct live_bpf *skeleton,
	      const char *xdnat);
/* Does its router change addresses? Then it has flows, which want to be settled. */
bool lane_translates(enum lane_kind kind);
/* Ends all of its flows: xdnat's kinds and nft. 0 or -errno. */
int lane_flush(const struct lane *lane);
/* The same flows under the lane's rule. */
struct flows lane_flows(const struct lane *lane, const struct flows *flows);
/* What must arrive at the sink. */
void lane_leaving(const struct lane *lane, const struct flows *flows, uint32_t i,
		  const struct frame *arriving, struct frame *frame);

#endif
