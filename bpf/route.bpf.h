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

struct hop {
	__u32 ifindex; /* known even when the neighbour is not */
	__u16 mtu;
	__u16 is_local; /* the destination is no other host's unicast address */
	__be32 eth[3];
};

static __always_inline enum xdnat_reason route_reason(long fib)
{
	switch (fib) {
	case BPF_FIB_LKUP_RET_SUCCESS:
		return XDNAT_FORWARDED;
	case BPF_FIB_LKUP_RET_FWD_DISABLED:
		return XDNAT_DROP_FORWARDING_OFF;
	case BPF_FIB_LKUP_RET_NO_NEIGH:
		return XDNAT_DROP_NO_NEIGHBOUR;
	default:
		return XDNAT_DROP_NO_ROUTE;
	}
}

/* leaving: the packet after translation; ingress: where it came in. Fills hop as
 * far as the kernel knew. Only loaded interfaces are a way out: elsewhere nobody
 * would translate the answer. */
static __noinline enum xdnat_reason route_lookup(struct xdp_md *ctx, const struct tuple *leaving,
						 __u32 ingress, struct hop *hop)
{
	__u32 zero = 0;
	struct bpf_fib_lookup *fib = bpf_map_lookup_elem(&xdnat_fib, &zero);
	long result;

	if (!fib)
		return XDNAT_DROP_NO_ROUTE;
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
	result = bpf_fib_lookup(ctx, fib, sizeof(*fib), 0);
	hop->ifindex = 0;
	hop->is_local = result == BPF_FIB_LKUP_RET_NOT_FWDED;
	if (result != BPF_FIB_LKUP_RET_SUCCESS && result != BPF_FIB_LKUP_RET_NO_NEIGH)
		return route_reason(result);
	hop->ifindex = fib->ifindex;
	hop->mtu = fib->mtu_result;
	__builtin_memcpy(hop->eth, fib->dmac, 6);
	__builtin_memcpy((__u8 *)hop->eth + 6, fib->smac, 6);
	if (!interface_get(fib->ifindex))
		return XDNAT_DROP_NOT_LOADED;
	return route_reason(result);
}

#endif
