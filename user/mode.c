// SPDX-License-Identifier: GPL-2.0-only
#include "mode.h"

#include <stdlib.h>
#include <string.h>

#include "fail.h"

static const char *const names[] = {
	[0] = "auto",
	[XDNAT_MODE_NATIVE] = "native",
	[XDNAT_MODE_GENERIC] = "generic",
	[XDNAT_MODE_TC] = "tc",
};
#define NAMES (sizeof(names) / sizeof(names[0]))

const char *mode_name(uint8_t mode)
{
	return mode < NAMES ? names[mode] : "?";
}

uint8_t mode_of_name(const char *name)
{
	uint8_t mode = 0;

	while (mode < NAMES && strcmp(names[mode], name))
		mode++;
	return mode < NAMES ? mode : 0;
}

/* Devices whose packets come from this kernel's own stack: they still lack what a
 * network card would have to add, and XDP cannot. */
static const struct {
	const char *kind;
	const char *lacks;
} software[] = {
	{"veth", "on a veth, packets come with checksums unfinished and VLAN tags aside"},
	{"bridge", "on a bridge, packets come with checksums unfinished and VLAN tags aside"},
	{"tun", "on tun and tap, packets come with checksums unfinished"},
	{"vlan", "on a VLAN device, packets come with checksums unfinished"},
	{"wireguard", "WireGuard has no XDP"},
	{"ppp", "ppp has no XDP"},
};

const char *mode_xdp_lacks(const struct netlink_link *link)
{
	for (size_t i = 0; i < sizeof(software) / sizeof(software[0]); i++)
		if (!strcmp(link->kind, software[i].kind))
			return software[i].lacks;
	return NULL;
}

uint8_t mode_choose(const struct netlink_link *link, const char **why)
{
	*why = mode_xdp_lacks(link);
	if (!link->has_ethernet)
		*why = "it has no Ethernet headers";
	if (*why)
		return XDNAT_MODE_TC;
	*why = "its driver has it";
	return XDNAT_MODE_NATIVE;
}

int mode_check(const struct netlink_link *link, uint8_t mode)
{
	if (mode == XDNAT_MODE_TC || link->has_ethernet)
		return 0;
	return fail(-EOPNOTSUPP,
		    "%s has no Ethernet headers, which XDP needs; type: xdnat load %s --mode tc",
		    link->name, link->name);
}
