// SPDX-License-Identifier: GPL-2.0-only
#include "preflight.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "log.h"
#include "mode.h"
#include "offload.h"

static bool is_forwarding(const char *family, const char *interface)
{
	char path[128];
	int value = '1';
	FILE *file;

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/forwarding", family, interface);
	file = fopen(path, "re");
	if (file) {
		value = fgetc(file);
		fclose(file);
	}
	return value != '0';
}

static bool has_address6(uint32_t ifindex)
{
	struct netlink_address *addresses;
	bool has = false;
	size_t count;

	if (netlink_addresses(&addresses, &count))
		return false;
	for (size_t i = 0; i < count; i++)
		has |= addresses[i].ifindex == ifindex && !addr_is_v4(&addresses[i].addr);
	free(addresses);
	return has;
}

static void warn_forwarding(const struct netlink_link *link)
{
	if (!is_forwarding("ipv4", link->name))
		log_warning("IPv4 forwarding is off on %s: nothing will be forwarded "
			    "(forwarding_off); type: sysctl -w net.ipv4.ip_forward=1",
			    link->name);
	if (!is_forwarding("ipv6", link->name) && has_address6(link->ifindex))
		log_warning("IPv6 forwarding is off on %s: IPv6 rules will not forward "
			    "(forwarding_off); type: sysctl -w net.ipv6.conf.all.forwarding=1",
			    link->name);
}

/* On such devices the sender's side decides what XDP gets to see. */
static void warn_software(const struct netlink_link *link, uint8_t mode)
{
	const char *lacks = mode_xdp_lacks(link);

	if (!strcmp(link->kind, "veth"))
		log_warning("%s is a veth: in %s mode its other end (PEER) must finish checksums "
			    "and tags itself; type there: ethtool -K PEER tx off txvlan off gro "
			    "on, or load it with --mode auto",
			    link->name, mode_name(mode));
	else if (lacks)
		log_warning("%s: %s; in %s mode the senders must finish them (ethtool -K DEVICE "
			    "tx off txvlan off), or load it with --mode auto",
			    link->name, lacks, mode_name(mode));
}

void preflight_warn(const struct netlink_link *link, uint8_t mode)
{
	if (!link->is_up)
		log_warning("%s is down; type: ip link set %s up", link->name, link->name);
	warn_forwarding(link);
	if (mode != XDNAT_MODE_TC)
		warn_software(link, mode);
	if (offload_has_lro(link->name))
		log_warning("%s merges packets (LRO) before xdnat sees them; type: "
			    "ethtool -K %s lro off",
			    link->name, link->name);
}
