// SPDX-License-Identifier: GPL-2.0-only
#include "lane.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* Native, as on a network card: `auto` takes the slower way on veth. It warns of the
 * cables' other ends, which network.c has set. */
static const char *const xdnat_commands[] = {
	"said=$($xdnat load wan lan --mode native --no-daemon 2>&1) || { echo \"$said\" >&2; "
	"false; }",
	"$xdnat rule add 203.0.113.1:8080:10.0.0.5:80/udp",
	"$xdnat rule add 203.0.113.1:8080:10.0.0.5:80/tcp",
	"$xdnat rule add '[2001:db8::1]:8080:[fd00::5]:80/udp'",
	"$xdnat rule add '[2001:db8::1]:8080:[fd00::5]:80/tcp'",
};

/* Frames come into the stack where GRO is on. Every frame of a connection has the
 * same sequence number, which conntrack would object to. */
static const char *const nft_commands[] = {
	"ethtool -K wan gro on && ethtool -K lan gro on",
	"nft add table inet bench",
	"nft add chain inet bench before '{ type nat hook prerouting priority dstnat; }'",
	"nft add rule inet bench before ip daddr 203.0.113.1 udp dport 8080 dnat ip to 10.0.0.5:80",
	"nft add rule inet bench before ip daddr 203.0.113.1 tcp dport 8080 dnat ip to 10.0.0.5:80",
	"nft add rule inet bench before ip6 daddr 2001:db8::1 udp dport 8080 "
	"dnat ip6 to '[fd00::5]:80'",
	"nft add rule inet bench before ip6 daddr 2001:db8::1 tcp dport 8080 "
	"dnat ip6 to '[fd00::5]:80'",
	"sysctl -qw net.netfilter.nf_conntrack_tcp_be_liberal=1",
};

const char *lane_name(enum lane_kind kind)
{
	static const char *const names[LANES] = {"drop", "Floor-R", "Floor-R again", "xdnat",
						 "nft DNAT"};

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

static int route_by(const struct network *network, const char *const *commands, size_t count)
{
	int err = 0;

	for (size_t i = 0; !err && i < count; i++)
		err = network_run(network, NETWORK_ROUTER, commands[i]);
	return err;
}

static int route_by_xdnat(const struct network *network, const char *binary)
{
	char words[512];

	snprintf(words, sizeof(words), "%s --quiet --instance bench", binary);
	setenv("xdnat", words, 1);
	return route_by(network, xdnat_commands, COUNT(xdnat_commands));
}

int lane_make(struct lane *lane, enum lane_kind kind, const struct live_bpf *skeleton,
	      const char *xdnat)
{
	const struct network *network = &lane->network;
	int err = network_make(&lane->network);

	lane->kind = kind;
	if (!err)
		err = attach(network, NETWORK_CLIENT, skeleton->progs.live_client, network->client);
	if (!err)
		err = attach(network, NETWORK_SERVER, skeleton->progs.live_server, network->server);
	if (err)
		return err;
	switch (kind) {
	case LANE_DROP:
		return attach(network, NETWORK_ROUTER, skeleton->progs.live_server, network->wan);
	case LANE_XDNAT:
		return route_by_xdnat(network, xdnat);
	case LANE_NFT:
		return route_by(network, nft_commands, COUNT(nft_commands));
	default:
		return attach(network, NETWORK_ROUTER, skeleton->progs.live_floor, network->wan);
	}
}

void lane_leaving(const struct lane *lane, const struct flows *flows, const struct frame *arriving,
		  struct frame *frame)
{
	*frame = *arriving;
	if (lane->kind == LANE_FLOOR || lane->kind == LANE_FLOOR_AGAIN)
		flows_rerouted(arriving, frame);
	else if (lane->kind != LANE_DROP)
		flows_leaving(flows, XDNAT_ORIGINAL, arriving, frame);
}
