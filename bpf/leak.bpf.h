/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The leak guard: nothing goes out to clients with a target's private address and
 * port as its source (DESIGN.md section 2). Such a packet is a target's answer to a
 * flow that is no more.
 */
#ifndef XDNAT_LEAK_BPF_H
#define XDNAT_LEAK_BPF_H

#include "maps.bpf.h"
#include "packet.bpf.h"

/* RFC 1918, RFC 6598, RFC 4193. */
static __always_inline bool is_private(const struct tuple *tuple)
{
	const __u8 *octet = (const __u8 *)&tuple->src.word[tuple->is_v6 ? 0 : 3];

	if (tuple->is_v6)
		return (octet[0] & 0xfe) == 0xfc;
	return octet[0] == 10 || (octet[0] == 172 && (octet[1] & 0xf0) == 16) ||
	       (octet[0] == 192 && octet[1] == 168) || (octet[0] == 100 && (octet[1] & 0xc0) == 64);
}

/* tuple: of a packet without a flow that leaves by ifindex. */
static __noinline bool leak_is_to_stop(const struct tuple *tuple, __u32 ifindex)
{
	struct xdnat_target_port key = {
		.prefix_bits = XDNAT_TARGET_PORT_BITS + 16,
		.proto = tuple->proto,
		.addr = tuple->src,
		.port = tuple->ports.sport,
	};
	const struct xdnat_interface *interface;

	if (!is_private(tuple))
		return false;
	interface = interface_get(ifindex);
	return interface && interface->flags & XDNAT_LISTENS &&
	       bpf_map_lookup_elem(&xdnat_target_ports, &key);
}

#endif
