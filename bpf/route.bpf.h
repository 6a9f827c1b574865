/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The next hop: the kernel's FIB and neighbour table asked with the packet as it
 * will leave, and what of the answer a half keeps. Only the cold paths ask.
 */
#ifndef XDNAT_ROUTE_BPF_H
#define XDNAT_ROUTE_BPF_H

#include "maps.bpf.h"
#include "packet.bpf.h"

#define FIB_AF_INET  2
#define FIB_AF_INET6 10

/* What can send a packet to its next hop. */
enum way {
	WAY_XDP,       /* any hook: both MAC addresses are known */
	WAY_TC,	       /* tc: XDP cannot send there, or there are no MAC addresses */
	WAY_NEIGHBOUR, /* tc, by the kernel's neighbour code: the MAC address is not known */
};

#define LOCAL_IFINDEX 0xffffffff /* no interface: the way to this host itself */
#define LOCAL_MTU     0xffff

struct hop {
	__u32 ifindex; /* known even when the neighbour is not */
	__u16 mtu;
	__u8 is_local; /* the destination is no other host's unicast address */
	__u8 way;      /* enum way */
	__be32 eth[3];
	__u8 mac[6];  /* of ifindex itself, ... */
	__u8 has_mac; /* ... if that was looked at */
	__u8 pad;
	__u32 family;		   /* of gateway: FIB_AF_…; only of WAY_NEIGHBOUR */
	struct xdnat_addr gateway; /* as FIB and neighbour table have it: IPv4 first word */
};

static __always_inline enum xdnat_reason route_reason(long fib)
{
	return fib == BPF_FIB_LKUP_RET_FWD_DISABLED ? XDNAT_DROP_FORWARDING_OFF
						    : XDNAT_DROP_NO_ROUTE;
}

static __always_inline void route_ask(const struct tuple *leaving, __u32 ingress,
				      struct bpf_fib_lookup *fib)
{
	*fib = (struct bpf_fib_lookup){
		.family = leaving->is_v6 ? FIB_AF_INET6 : FIB_AF_INET,
		.l4_protocol = leaving->proto,
		.sport = leaving->ports.sport,
		.dport = leaving->ports.dport,
		.tot_len = 1, /* never too big, but makes the kernel tell the MTU */
		.ifindex = ingress,
	};
	if (leaving->is_v6) {
		__builtin_memcpy(fib->ipv6_src, &leaving->src, sizeof(fib->ipv6_src));
		__builtin_memcpy(fib->ipv6_dst, &leaving->dst, sizeof(fib->ipv6_dst));
	} else {
		fib->ipv4_src = leaving->src.word[3];
		fib->ipv4_dst = leaving->dst.word[3];
	}
}

/* The kernel tells no MTU with a neighbour that it does not know. Devices without
 * Ethernet have none, and need none. */
static __always_inline void route_without_neighbour(void *ctx, const struct bpf_fib_lookup *fib,
						    const struct xdnat_interface *out,
						    struct hop *hop)
{
	__u32 mtu = 0;

	bpf_check_mtu(ctx, fib->ifindex, &mtu, 0, 0);
	hop->mtu = mtu > LOCAL_MTU ? LOCAL_MTU : mtu;
	hop->way = out->flags & XDNAT_NO_ETHERNET ? WAY_TC : WAY_NEIGHBOUR;
	hop->family = fib->family;
	__builtin_memcpy(&hop->gateway, fib->ipv6_dst, sizeof(hop->gateway));
}

/* Generic XDP sends as the kernel does, to any Ethernet device; in the driver only to
 * those that take frames so. */
static __always_inline bool route_is_for_xdp(__u32 ingress, const struct xdnat_interface *out)
{
	const struct xdnat_interface *in;

	if (out->flags & (XDNAT_XDP_OUT | XDNAT_NO_ETHERNET))
		return out->flags & XDNAT_XDP_OUT;
	in = interface_get(ingress);
	return in && in->mode == XDNAT_MODE_GENERIC;
}

/* leaving: the packet after translation; ingress: where it came in. Fills hop as
 * far as the kernel knew. Only our interfaces are a way out: elsewhere nobody would
 * translate the answer. */
static __noinline enum xdnat_reason route_lookup(void *ctx, const struct tuple *leaving,
						 __u32 ingress, struct hop *hop)
{
	__u32 zero = 0;
	struct bpf_fib_lookup *fib = bpf_map_lookup_elem(&xdnat_fib, &zero);
	const struct xdnat_interface *out;
	long result;

	if (!fib)
		return XDNAT_DROP_NO_ROUTE;
	route_ask(leaving, ingress, fib);
	result = bpf_fib_lookup(ctx, fib, sizeof(*fib), 0);
	hop->ifindex = 0;
	hop->has_mac = false;
	hop->is_local = result == BPF_FIB_LKUP_RET_NOT_FWDED;
	if (result != BPF_FIB_LKUP_RET_SUCCESS && result != BPF_FIB_LKUP_RET_NO_NEIGH)
		return route_reason(result);
	hop->ifindex = fib->ifindex;
	out = interface_get(fib->ifindex);
	if (!out)
		return XDNAT_DROP_NOT_LOADED;
	__builtin_memcpy(hop->mac, out->mac, sizeof(hop->mac));
	hop->has_mac = true;
	if (result == BPF_FIB_LKUP_RET_NO_NEIGH) {
		route_without_neighbour(ctx, fib, out, hop);
		return XDNAT_FORWARDED;
	}
	hop->mtu = fib->mtu_result;
	hop->way = route_is_for_xdp(ingress, out) ? WAY_XDP : WAY_TC;
	__builtin_memcpy(hop->eth, fib->dmac, 6);
	__builtin_memcpy((__u8 *)hop->eth + 6, fib->smac, 6);
	return XDNAT_FORWARDED;
}

#endif
