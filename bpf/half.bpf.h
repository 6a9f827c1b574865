/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One half by itself: its translation, its next hop, where its packets come in.
 * Knows neither how halves are stored nor what their states mean.
 *
 * Packets of a half's own direction write it, best effort where nothing is decided
 * by it. The next hop is written with `version` odd; who reads it compares the
 * version before and after.
 */
#ifndef XDNAT_HALF_BPF_H
#define XDNAT_HALF_BPF_H

#include "maps.bpf.h"
#include "packet.bpf.h"
#include "rewrite.bpf.h"
#include "route.bpf.h"

#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))

static __always_inline bool is_same_mac(const __u8 *left, const __u8 *right)
{
	return *(const __u32 *)left == *(const __u32 *)right &&
	       *(const __u16 *)(left + 4) == *(const __u16 *)(right + 4);
}

/* Version and state as one word: what a copy is worth, asked before and after. */
static __always_inline __u64 half_word(const struct xdnat_half *half)
{
	return READ_ONCE(*(const __u64 *)&half->version);
}

/* Copies what rewriting needs, without the addresses. */
static __always_inline void half_copy(const struct xdnat_half *half, struct translation *to)
{
	to->ports = half->ports;
	to->l3_delta = half->l3_delta;
	to->l4_delta = half->l4_delta;
	to->out_ifindex = half->out_ifindex;
	__builtin_memcpy(to->eth, half->eth, sizeof(to->eth));
}

static __always_inline void half_count(struct xdnat_half *half, __u32 packets, __u32 bytes)
{
	half->packets += packets;
	half->bytes += bytes;
}

/* What sends it may be another hook at another interface: the next hop is looked up anew. */
static __always_inline void half_set_ingress(struct xdnat_half *half, __u32 ifindex,
					     const struct xdnat_interface *interface)
{
	if (half->in_ifindex == ifindex && is_same_mac(half->in_mac, interface->mac))
		return;
	if (half->in_ifindex && half->in_ifindex != ifindex) {
		half->mtu = 0;
		half->tc_mtu = 0;
	}
	half->in_ifindex = ifindex;
	__builtin_memcpy(half->in_mac, interface->mac, sizeof(half->in_mac));
}

static __always_inline void half_set_hop(struct xdnat_half *half, const struct hop *hop)
{
	half->out_ifindex = hop->ifindex;
	half->mtu = hop->way == WAY_XDP ? hop->mtu : 0;
	half->tc_mtu = hop->way == WAY_NEIGHBOUR ? 0 : hop->mtu;
	half->eth[0] = hop->eth[0];
	half->eth[1] = hop->eth[1];
	half->eth[2] = hop->eth[2];
}

static __always_inline void half_set_rewrite(struct xdnat_half *half, const struct tuple *tuple,
					     const struct tuple *leaving)
{
	__u32 addr_delta = rewrite_addr_delta(tuple, leaving);

	half->l3_delta = csum_fold(addr_delta + rewrite_ttl_delta());
	half->l4_delta = csum_fold(addr_delta + rewrite_port_delta(tuple, leaving));
	half->ports = leaving->ports;
}

/* Writes the next hop if nobody else is at it. */
static __always_inline void half_store_hop(struct xdnat_half *half, const struct hop *hop)
{
	__u32 version = READ_ONCE(half->version);

	if ((version & 1) ||
	    __sync_val_compare_and_swap(&half->version, version, version + 1) != version)
		return;
	half_set_hop(half, hop);
	__sync_lock_test_and_set(&half->version, version + 2); /* orders what is before it */
}

/* True if the half's next hop could be copied whole. */
static __always_inline bool half_load_hop(const struct xdnat_half *half, struct hop *hop)
{
	__u32 version = READ_ONCE(half->version);

	hop->ifindex = READ_ONCE(half->out_ifindex);
	hop->mtu = READ_ONCE(half->tc_mtu);
	hop->way = READ_ONCE(half->mtu) ? WAY_XDP : WAY_TC;
	hop->eth[0] = READ_ONCE(half->eth[0]);
	hop->eth[1] = READ_ONCE(half->eth[1]);
	hop->eth[2] = READ_ONCE(half->eth[2]);
	return hop->mtu && !(version & 1) && READ_ONCE(half->version) == version;
}

static __always_inline void half_add_totals(const struct xdnat_half *half, struct xdnat_rule *rule)
{
	__u32 direction = half->direction % XDNAT_DIRECTIONS;

	__sync_fetch_and_add(&rule->ended_packets[direction], half->packets);
	__sync_fetch_and_add(&rule->ended_bytes[direction], half->bytes);
}

#endif
