// SPDX-License-Identifier: GPL-2.0-only
#include "lane.h"

#include <bpf/libbpf.h>
#include <errno.h>

#include "router.h"

/* Native, as on a network card: `auto` takes the slower way on veth. */
#define LOAD_BOTH "wan lan --mode native"
#define LOAD_ONE  "wan --mode native"

const char *lane_name(enum lane_kind kind)
{
	static const char *const names[LANES] = {
		[LANE_DROP] = "drop",
		[LANE_FLOOR] = "Floor-R",
		[LANE_FLOOR_AGAIN] = "Floor-R again",
		[LANE_XDNAT] = "xdnat",
		[LANE_MASQUERADE] = "xdnat, masquerade",
		[LANE_NFT] = "nft DNAT",
		[LANE_BACK] = "XDP_TX",
		[LANE_RELAY] = "xdnat, one interface",
	};

	return names[kind];
}

static int attach(const struct network *network, int space, const struct bpf_program *program,
		  uint32_t ifindex)
{
	int err = network_enter(network, space);

	if (!err && !bpf_program__attach_xdp(program, ifindex))
		err = -errno;
	return err;
}

/* Frames come into the stack where GRO is on. Every frame of a connection has the
 * same sequence number, which conntrack would object to. */
static int route_by_nft(const struct network *network)
{
	int err = network_run(network, NETWORK_ROUTER,
			      "ethtool -K wan gro on && ethtool -K lan gro on");

	if (!err)
		err = router_nft(network); /* brings conntrack */
	return err ? err
		   : network_run(network, NETWORK_ROUTER,
				 "sysctl -qw net.netfilter.nf_conntrack_tcp_be_liberal=1");
}

/* Are clients and target at one interface of the router, wan? */
static bool has_one_interface(enum lane_kind kind)
{
	return kind == LANE_BACK || kind == LANE_RELAY;
}

static int attach_ends(const struct lane *lane, const struct live_bpf *skeleton)
{
	const struct network *network = &lane->network;
	const struct bpf_program *client = has_one_interface(lane->kind)
						   ? skeleton->progs.live_both
						   : skeleton->progs.live_client;
	int err = attach(network, NETWORK_CLIENT, client, network->client);

	return err ? err
		   : attach(network, NETWORK_SERVER, skeleton->progs.live_server, network->server);
}

int lane_make(struct lane *lane, enum lane_kind kind, const struct live_bpf *skeleton,
	      const char *xdnat)
{
	const struct network *network = &lane->network;
	int err = network_make(&lane->network, NETWORK_FRAMES);

	lane->kind = kind;
	lane->xdnat = xdnat;
	if (!err)
		err = attach_ends(lane, skeleton);
	if (err)
		return err;
	switch (kind) {
	case LANE_DROP:
		return attach(network, NETWORK_ROUTER, skeleton->progs.live_server, network->wan);
	case LANE_BACK:
		return attach(network, NETWORK_ROUTER, skeleton->progs.live_back, network->wan);
	case LANE_XDNAT:
		return router_xdnat(network, xdnat, LOAD_BOTH, FLOWS_PRESERVED, &lane->instance);
	case LANE_MASQUERADE:
		return router_xdnat(network, xdnat, LOAD_BOTH, FLOWS_MASQUERADED, &lane->instance);
	case LANE_RELAY:
		return router_xdnat(network, xdnat, LOAD_ONE, FLOWS_RELAYED, &lane->instance);
	case LANE_NFT:
		return route_by_nft(network);
	default:
		return attach(network, NETWORK_ROUTER, skeleton->progs.live_floor, network->wan);
	}
}

bool lane_translates(enum lane_kind kind)
{
	return kind == LANE_XDNAT || kind == LANE_MASQUERADE || kind == LANE_NFT ||
	       kind == LANE_RELAY;
}

int lane_flush(const struct lane *lane)
{
	if (lane->kind == LANE_NFT)
		return router_nft_flush(&lane->network);
	return router_xdnat_flush(&lane->network, lane->xdnat, lane->instance);
}

struct flows lane_flows(const struct lane *lane, const struct flows *flows)
{
	struct flows own = *flows;

	own.rule = FLOWS_PRESERVED;
	if (lane->kind == LANE_MASQUERADE)
		own.rule = FLOWS_MASQUERADED;
	if (lane->kind == LANE_RELAY)
		own.rule = FLOWS_RELAYED;
	return own;
}

void lane_leaving(const struct lane *lane, const struct flows *flows, uint32_t i,
		  const struct frame *arriving, struct frame *frame)
{
	*frame = *arriving;
	if (lane->kind == LANE_FLOOR || lane->kind == LANE_FLOOR_AGAIN)
		flows_rerouted(arriving, frame);
	else if (lane_translates(lane->kind))
		flows_leaving(flows, i, XDNAT_ORIGINAL, arriving, frame);
}
