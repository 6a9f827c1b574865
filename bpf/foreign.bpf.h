/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packets that are nobody's, told by their ports alone: two bits a port in xdnat_ports.
 *
 * What a client sends goes to a listener's port. What a target sends comes from a port
 * that a rule sends to, this host's own services' too: a source port that a flow was
 * given (claim.bpf.h) or that rests is the destination of its answers, never their
 * source, so masquerading needs no bits. The leak guard asks who sends from a target's
 * port. A packet with neither bit is no rule's, no flow's and no leak.
 *
 * Only asked of TCP and UDP packets whose ports are known: not of ICMP, whose quoted
 * packets may be ours, and not of later fragments. Tools set the bits before a rule is
 * visible and clear them when none of its flows is left; here they are only read, by
 * plain loads.
 */
#ifndef XDNAT_FOREIGN_BPF_H
#define XDNAT_FOREIGN_BPF_H

#include "maps.bpf.h"
#include "packet.bpf.h"

static __always_inline __u32 port_bit(const __u8 *bits, __be16 port)
{
	return bits[port / XDNAT_PORTS_A_BYTE] >> port % XDNAT_PORTS_A_BYTE;
}

static __always_inline bool is_foreign(union xdnat_ports ports)
{
	const struct xdnat_port_bits *bits = &xdnat_ports;

	barrier_var(bits); /* else clang loads the address twice */
	return !((port_bit(bits->as_destination, ports.dport) |
		  port_bit(bits->as_source, ports.sport)) &
		 1);
}

#endif
