// SPDX-License-Identifier: GPL-2.0-only
/*
 * Looks at the environment and at /proc/net (proc_net_tcp in the kernel's
 * Documentation/networking). Where BIND stands for many addresses, any will do:
 * the answers lead to a warning or a question, not to a loss.
 */
#include "host_port.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "addr.h"
#include "netlink.h"

#define SOCKET_LISTENS	 0x0a /* TCP_LISTEN */
#define SOCKET_CONNECTED 0x01 /* UDP sockets that are not connected have 0x07 */

static bool is_of_interface(const struct xdnat_addr *addr, const char *interface)
{
	uint32_t ifindex = if_nametoindex(interface);
	struct netlink_address *addresses = NULL;
	bool found = false;
	size_t count = 0;
	size_t i;

	if (netlink_addresses(&addresses, &count))
		return false;
	for (i = 0; i < count; i++)
		found |= addresses[i].ifindex == ifindex && addr_equal(&addresses[i].addr, addr);
	free(addresses);
	return found;
}

static bool is_covered(const struct spec *spec, const struct xdnat_addr *addr)
{
	if (addr_is_v4(addr) != addr_is_v4(&spec->target))
		return false;
	if (spec->bind == SPEC_BIND_ADDRESS)
		return addr_equal(addr, &spec->bind_addr);
	if (spec->bind == SPEC_BIND_INTERFACE)
		return is_of_interface(addr, spec->bind_interface);
	return true;
}

bool host_port_is_session(const struct spec *spec)
{
	const char *connection = getenv("SSH_CONNECTION");
	struct xdnat_addr addr;
	char server[64];
	uint16_t port_host;

	/* "client client-port server server-port" (sshd) */
	if (!connection || spec->proto != IPPROTO_TCP)
		return false;
	if (sscanf(connection, "%*s %*s %63s %" SCNu16, server, &port_host) != 2)
		return false;
	return port_host == spec->port_host && addr_parse(server, &addr) == 0 &&
	       is_covered(spec, &addr);
}

/* One line: " 0: 0100007F:1F90 00000000:0000 0A …"; an address is printed as
 * 32-bit words as they lie in memory. */
static bool is_listening_line(const char *line, const struct spec *spec, bool is_v6)
{
	struct xdnat_addr addr = {};
	unsigned int port_host, state;
	__be32 v4 = 0;
	int scanned;

	if (is_v6)
		scanned = sscanf(line, " %*d: %8x%8x%8x%8x:%x %*s %x", &addr.word[0], &addr.word[1],
				 &addr.word[2], &addr.word[3], &port_host, &state) -
			  3;
	else
		scanned = sscanf(line, " %*d: %8x:%x %*s %x", &v4, &port_host, &state);
	if (scanned != 3 || port_host != spec->port_host)
		return false;
	if (spec->proto == IPPROTO_TCP ? state != SOCKET_LISTENS : state == SOCKET_CONNECTED)
		return false;
	/* A wildcard of IPv6 takes IPv4 connections too. */
	if (!(addr.word[0] | addr.word[1] | addr.word[2] | addr.word[3] | v4))
		return true;
	if (!is_v6)
		addr = addr_from_v4(v4);
	/* Nobody reaches loopback from outside anyway. */
	if (ntohl(v4) >> 24 == IN_LOOPBACKNET || IN6_IS_ADDR_LOOPBACK((struct in6_addr *)&addr))
		return false;
	return is_covered(spec, &addr);
}

static bool is_listening(const char *path, const struct spec *spec, bool is_v6)
{
	FILE *file = fopen(path, "re");
	bool found = false;
	char line[512];

	while (file && !found && fgets(line, sizeof(line), file))
		found = is_listening_line(line, spec, is_v6);
	if (file)
		fclose(file);
	return found;
}

bool host_port_is_listening(const struct spec *spec)
{
	bool is_tcp = spec->proto == IPPROTO_TCP;

	if (is_listening(is_tcp ? "/proc/net/tcp6" : "/proc/net/udp6", spec, true))
		return true;
	return addr_is_v4(&spec->target) &&
	       is_listening(is_tcp ? "/proc/net/tcp" : "/proc/net/udp", spec, false);
}
