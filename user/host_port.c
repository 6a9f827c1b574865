// SPDX-License-Identifier: GPL-2.0-only
/*
 * Looks at the environment and at /proc/net (proc_net_tcp in the kernel's
 * Documentation/networking), which is there without the modules that sock_diag(7)
 * needs. Where BIND stands for many addresses, any will do to warn or to ask.
 */
#include "host_port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "ephemeral.h"
#include "fail.h"
#include "netlink.h"

#define SOCKET_LISTENS	 0x0a /* TCP_LISTEN */
#define SOCKET_CONNECTED 0x01 /* UDP sockets that are not connected have 0x07 */

struct sockets {
	struct host_socket *items;
	size_t count, room;
	bool has_connected; /* UDP sockets that are, too */
};

static int append(struct sockets *sockets, const struct host_socket *socket)
{
	if (sockets->count == sockets->room) {
		size_t room = sockets->room ? 2 * sockets->room : 64;
		void *items = reallocarray(sockets->items, room, sizeof(*sockets->items));

		if (!items)
			return fail(-ENOMEM, "no memory");
		sockets->items = items;
		sockets->room = room;
	}
	sockets->items[sockets->count++] = *socket;
	return 0;
}

static bool is_wildcard(const struct xdnat_addr *addr)
{
	return !addr->word[0] && !addr->word[1] && !addr->word[3] &&
	       (!addr->word[2] || addr_is_v4(addr));
}

/* Nobody reaches loopback from outside anyway. */
static bool is_loopback(const struct xdnat_addr *addr)
{
	if (addr_is_v4(addr))
		return ntohl(addr->word[3]) >> 24 == IN_LOOPBACKNET;
	return IN6_IS_ADDR_LOOPBACK((const struct in6_addr *)addr);
}

/* One line: " 0: 0100007F:1F90 00000000:0000 0A …"; an address is printed as
 * 32-bit words as they lie in memory. False: it is the heading. */
static bool parse_line(const char *line, bool is_v6, struct host_socket *socket,
		       unsigned int *state)
{
	unsigned int port_host, word[4];
	int scanned;

	if (is_v6)
		scanned = sscanf(line, " %*d: %8x%8x%8x%8x:%x %*s %x", &word[0], &word[1], &word[2],
				 &word[3], &port_host, state) -
			  3;
	else
		scanned = sscanf(line, " %*d: %8x:%x %*s %x", &word[0], &port_host, state);
	if (scanned != 3)
		return false;
	socket->addr = is_v6 ? addr_from_v6(word) : addr_from_v4(word[0]);
	socket->port_host = port_host;
	return true;
}

/* Of TCP, those that listen come first (tcp_get_idx() in the kernel); the others may
 * be very many. A file that is not there has no sockets. */
static int read_file(const char *path, uint8_t proto, bool is_v6, struct sockets *sockets)
{
	struct host_socket socket = {.proto = proto};
	FILE *file = fopen(path, "re");
	unsigned int state;
	char line[512];
	int err = 0;

	while (file && !err && fgets(line, sizeof(line), file)) {
		if (!parse_line(line, is_v6, &socket, &state))
			continue;
		if (proto == SPEC_TCP && state != SOCKET_LISTENS)
			break;
		if ((sockets->has_connected || state != SOCKET_CONNECTED) &&
		    !is_loopback(&socket.addr))
			err = append(sockets, &socket);
	}
	if (file)
		fclose(file);
	return err;
}

static int read_all(bool has_connected, struct host_socket **sockets, size_t *count)
{
	struct sockets found = {.has_connected = has_connected};
	int err = read_file("/proc/net/tcp", SPEC_TCP, false, &found);

	if (!err)
		err = read_file("/proc/net/tcp6", SPEC_TCP, true, &found);
	if (!err)
		err = read_file("/proc/net/udp", SPEC_UDP, false, &found);
	if (!err)
		err = read_file("/proc/net/udp6", SPEC_UDP, true, &found);
	*sockets = found.items;
	*count = found.count;
	return err;
}

int host_port_read(struct host_socket **sockets, size_t *count)
{
	return read_all(false, sockets, count);
}

int host_port_read_bound(struct host_socket **sockets, size_t *count)
{
	return read_all(true, sockets, count);
}

bool host_port_is_reached(const struct host_socket *socket, const struct xdnat_addr *addr)
{
	if (!is_wildcard(&socket->addr))
		return addr_equal(&socket->addr, addr);
	return addr_is_v4(addr) || !addr_is_v4(&socket->addr);
}

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
	if (!(spec_families(spec) & (addr_is_v4(addr) ? SPEC_V4 : SPEC_V6)))
		return false;
	if (spec->bind == SPEC_BIND_ADDRESS)
		return addr_equal(addr, &spec->bind_addr);
	if (spec->bind == SPEC_BIND_INTERFACE)
		return is_of_interface(addr, spec->bind_interface);
	return true;
}

/* Whether the socket hears something of what the rule listens to. */
static bool is_taken(const struct host_socket *socket, const struct spec *spec)
{
	if (!(socket->proto & spec->protos) || !spec_has_port(spec, socket->port_host))
		return false;
	if (!is_wildcard(&socket->addr))
		return is_covered(spec, &socket->addr);
	return !addr_is_v4(&socket->addr) || spec_families(spec) & SPEC_V4;
}

/* The lowest port that a socket and the rule both have; 0: none. */
static uint16_t find_taken(const struct spec *spec)
{
	struct host_socket *sockets = NULL;
	uint16_t lowest = 0;
	size_t count = 0;

	if (!host_port_read(&sockets, &count))
		for (size_t i = 0; i < count; i++)
			if (is_taken(&sockets[i], spec) &&
			    (!lowest || sockets[i].port_host < lowest))
				lowest = sockets[i].port_host;
	free(sockets);
	return lowest;
}

uint16_t host_port_of_service(const struct spec *spec)
{
	return spec->form == SPEC_ANY ? 0 : find_taken(spec);
}

int host_port_left(const struct spec *spec, bool *is_left)
{
	struct host_socket *sockets = NULL;
	struct spec_ports own = {};
	size_t count = 0;
	int err = host_port_read(&sockets, &count);

	memset(is_left, 0, XDNAT_PORTS * sizeof(*is_left));
	if (!err)
		err = ephemeral_read(&own);
	for (size_t i = 0; !err && i < count; i++)
		is_left[sockets[i].port_host] |= is_taken(&sockets[i], spec);
	for (uint32_t port = own.first_host; !err && own.last_host && port <= own.last_host; port++)
		is_left[port] = true;
	free(sockets);
	return err;
}

/* "*" leaves this host what it listens on, and what it gives its connections. */
static bool is_left(const struct spec *spec, uint16_t port_host)
{
	struct spec_ports ephemeral = {};
	struct spec one = *spec;

	one.ports = (struct spec_ports){port_host, port_host};
	if (spec->form != SPEC_ANY)
		return false;
	if (find_taken(&one))
		return true;
	return !ephemeral_read(&ephemeral) && port_host >= ephemeral.first_host &&
	       port_host <= ephemeral.last_host;
}

uint16_t host_port_of_session(const struct spec *spec)
{
	const char *connection = getenv("SSH_CONNECTION");
	struct xdnat_addr addr;
	char server[64];
	uint16_t port_host;

	/* "client client-port server server-port" (sshd) */
	if (!connection || !(spec->protos & SPEC_TCP))
		return 0;
	if (sscanf(connection, "%*s %*s %63s %" SCNu16, server, &port_host) != 2)
		return 0;
	return spec_has_port(spec, port_host) && addr_parse(server, &addr) == 0 &&
			       is_covered(spec, &addr) && !is_left(spec, port_host)
		       ? port_host
		       : 0;
}
