/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What this host itself uses a port for: sockets that packets from strangers reach,
 * and the session that the caller is logged in by.
 */
#ifndef XDNAT_HOST_PORT_H
#define XDNAT_HOST_PORT_H

#include <stdbool.h>

#include "spec.h"

/* TCP that listens or UDP that is not connected, not on loopback. */
struct host_socket {
	struct xdnat_addr addr; /* zero: all, of IPv4 too; 0.0.0.0: all of IPv4 */
	uint16_t port_host;
	uint8_t proto; /* SPEC_TCP or SPEC_UDP */
};
/* Of this network namespace; *sockets is malloc'd. 0 or -errno with fail(). */
int host_port_read(struct host_socket **sockets, size_t *count);
/* The same, and UDP that is connected. */
int host_port_read_bound(struct host_socket **sockets, size_t *count);
/* True if packets to addr reach it. */
bool host_port_is_reached(const struct host_socket *socket, const struct xdnat_addr *addr);

/* The port by which the caller is logged in over ssh ($SSH_CONNECTION), if the rule
 * would forward it: adding it would cut the session off. Else 0. */
uint16_t host_port_of_session(const struct spec *spec);
/* A port that the rule takes from a socket of this host; 0: none. "*" leaves them theirs:
 * it takes none. */
uint16_t host_port_of_service(const struct spec *spec);
/* The ports that a rule for "*" leaves to this host: what it listens on and what it gives
 * its own connections; is_left[XDNAT_PORTS] by number. 0 or -errno with fail(). */
int host_port_left(const struct spec *spec, bool *is_left);

#endif
