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

/* offset: of those bits that are asked for. The address is added up by hand: clang copies
 * what it adds the byte's number to. */
static __always_inline __u32 port_bit(const struct xdnat_port_bits *bits, __u32 offset, __be16 port)
{
	const __u8 *byte = (const __u8 *)(long)(port / XDNAT_PORTS_A_BYTE);

	asm("%0 += %1" : "+r"(byte) : "r"(bits));
	return byte[offset] >> port % XDNAT_PORTS_A_BYTE;
}

/* ports: as they stand in the packet; reading them there anew is cheaper than taking them out
 * of a word. */
static __always_inline bool is_foreign(const union xdnat_ports *ports)
{
	const struct xdnat_port_bits *bits = &xdnat_ports;

	barrier_var(bits); /* else clang loads the address twice */
	return !((port_bit(bits, offsetof(struct xdnat_port_bits, as_destination), ports->dport) |
		  port_bit(bits, offsetof(struct xdnat_port_bits, as_source), ports->sport)) &
		 1);
}

#endif
