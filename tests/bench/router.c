// SPDX-License-Identifier: GPL-2.0-only
#include "router.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* load warns of the cables' other ends, which network.c has set. The ports that the
 * kernel gives its own connections are not masquerading's: clients keep theirs. */
static const char *const xdnat_commands[] = {
	"sysctl -qw net.ipv4.ip_local_port_range='65000 65535'",
	"said=$($xdnat load $load --no-daemon 2>&1) || { echo \"$said\" >&2; false; }",
	"$xdnat rule add 203.0.113.1:$port:$target4:80/udp $options",
	"$xdnat rule add 203.0.113.1:$port:$target4:80/tcp $options",
	"$xdnat rule add \"[2001:db8::1]:$port:[$target6]:80/udp\" $options",
	"$xdnat rule add \"[2001:db8::1]:$port:[$target6]:80/tcp\" $options",
};

static const char *const nft_commands[] = {
	"nft add table inet bench",
	"nft add chain inet bench before '{ type nat hook prerouting priority dstnat; }'",
	"nft add rule inet bench before ip daddr 203.0.113.1 udp dport $port "
	"dnat ip to 10.0.0.5:80",
	"nft add rule inet bench before ip daddr 203.0.113.1 tcp dport $port "
	"dnat ip to 10.0.0.5:80",
	"nft add rule inet bench before ip6 daddr 2001:db8::1 udp dport $port "
	"dnat ip6 to '[fd00::5]:80'",
	"nft add rule inet bench before ip6 daddr 2001:db8::1 tcp dport $port "
	"dnat ip6 to '[fd00::5]:80'",
};

static int run_all(const struct network *network, const char *const *commands, size_t count)
{
	int err = 0;

	for (size_t i = 0; !err && i < count; i++)
		err = network_run(network, NETWORK_ROUTER, commands[i]);
	return err;
}

static void name_port(enum flows_rule rule)
{
	char port[8];

	snprintf(port, sizeof(port), "%u", flows_port_host(rule));
	setenv("port", port, 1);
}

static void name_xdnat(const char *xdnat, int instance)
{
	char words[512];

	snprintf(words, sizeof(words), "%s --quiet --instance bench%d", xdnat, instance);
	setenv("xdnat", words, 1);
}

int router_xdnat(const struct network *network, const char *xdnat, const char *load,
		 enum flows_rule rule, int *instance)
{
	static int instances;

	*instance = instances++;
	name_xdnat(xdnat, *instance);
	setenv("load", load, 1);
	setenv("target4", rule == FLOWS_RELAYED ? "198.51.100.9" : "10.0.0.5", 1);
	setenv("target6", rule == FLOWS_RELAYED ? "2001:db8:9::9" : "fd00::5", 1);
	setenv("options", rule == FLOWS_PRESERVED ? "" : "mode=masquerade", 1);
	name_port(rule);
	return run_all(network, xdnat_commands, COUNT(xdnat_commands));
}

int router_nft(const struct network *network)
{
	name_port(FLOWS_PRESERVED);
	return run_all(network, nft_commands, COUNT(nft_commands));
}

int router_xdnat_flush(const struct network *network, const char *xdnat, int instance)
{
	name_xdnat(xdnat, instance);
	return network_run(network, NETWORK_ROUTER, "$xdnat flow flush --yes");
}

int router_nft_flush(const struct network *network)
{
	return network_run(network, NETWORK_ROUTER, "conntrack --flush 2>/dev/null");
}
