/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tc's side: the same decisions about what the kernel has made an skb of. Packets may be
 * joined there (GSO, GRO).
 */
#ifndef XDNAT_SKB_BPF_H
#define XDNAT_SKB_BPF_H

#include <linux/pkt_cls.h>

#include "forward.bpf.h"
#include "glance.bpf.h"
#include "icmp.bpf.h"
#include "leak.bpf.h"
#include "skb_headers.bpf.h"

/* What tc_index says of an skb between our two hooks, and nowhere else. */
#define SKB_TRANSLATED 0x7864

/* Packets on the wire, and the largest of them. Each has all the headers. */
static __always_inline void skb_count_wire(const struct __sk_buff *skb, const struct packet *pkt,
					   struct traits *traits)
{
	__u32 header_bytes = pkt->ip6 ? sizeof(*pkt->ip6) : sizeof(*pkt->ip4);
	__u32 packets;

	header_bytes += pkt->tcp ? pkt->tcp->doff * 4 : sizeof(*pkt->udp);
	if (!skb->gso_size || pkt->bytes <= header_bytes + skb->gso_size)
		return;
	packets = (pkt->bytes - header_bytes + skb->gso_size - 1) / skb->gso_size;
	traits->wire_bytes = header_bytes + skb->gso_size;
	traits->wire_packets = packets;
	traits->all_bytes = pkt->bytes + (packets - 1) * header_bytes;
}

static __always_inline struct ethhdr *skb_eth(const struct __sk_buff *skb)
{
	struct ethhdr *eth = (void *)(long)skb->data;

	return (void *)(eth + 1) <= (void *)(long)skb->data_end ? eth : NULL;
}

/* Parses, and takes down what is decided by; making: hook and in_ifindex. A reason: of a
 * packet without ports, which nothing is decided about, or its flaw. */
__noinline enum xdnat_reason skb_note(struct __sk_buff *skb, struct making *making, __u32 l2_bytes)
{
	struct packet pkt = {};
	enum xdnat_reason reason = skb_parse(skb, l2_bytes, &pkt);

	if (!making)
		return XDNAT_PASS_NOT_IP;
	making->traits.has_ports = false;
	if (!pkt.has_ports)
		return reason;
	if (making->hook == XDNAT_HOOK_INGRESS && l2_bytes) /* else it is the next hop's */
		pkt.eth = skb_eth(skb);
	reason = forward_note(&pkt, making, reason);
	if (!reason)
		skb_count_wire(skb, &pkt, &making->traits);
	return reason;
}

/* To this host. What XDP handed on has nobody's address. */
static __always_inline int skb_deliver(struct __sk_buff *skb, __u32 l2_bytes)
{
	const struct xdnat_interface *interface = interface_get(skb->ifindex);

	if (interface && l2_bytes) {
		bpf_skb_store_bytes(skb, offsetof(struct ethhdr, h_dest), interface->mac,
				    sizeof(interface->mac), 0);
		bpf_skb_change_type(skb, 0); /* PACKET_HOST */
	}
	return TC_ACT_UNSPEC;
}

/* By the kernel's neighbour code: the gateway that the FIB named, or its own choice. */
static __noinline int skb_send_by_neighbour(const struct hop *hop)
{
	struct bpf_redir_neigh next_hop = {.nh_family = hop->family};

	if (hop->way != WAY_NEIGHBOUR)
		return bpf_redirect_neigh(hop->ifindex, NULL, 0, 0);
	__builtin_memcpy(next_hop.ipv6_nh, &hop->gateway, sizeof(next_hop.ipv6_nh));
	return bpf_redirect_neigh(hop->ifindex, &next_hop, sizeof(next_hop), 0);
}

/* Nobody before us says that it was translated: what comes over a veth may bring along
 * what another network namespace wrote there. */
static __always_inline void skb_begin(struct __sk_buff *skb)
{
	if (skb->tc_index == SKB_TRANSLATED)
		skb->tc_index = 0;
}

/* At the way out. True for who was translated at the way in; it is not any more. */
static __always_inline bool skb_end_translated(struct __sk_buff *skb)
{
	bool is_translated = skb->tc_index == SKB_TRANSLATED;

	skb_begin(skb);
	return is_translated;
}

/* Sends the rewritten skb by making->hop, as *verdict, which is tc's. */
static __noinline enum xdnat_reason skb_send(struct __sk_buff *skb, const struct making *making,
					     __u32 l2_bytes, int *verdict)
{
	const struct xdnat_interface *out = interface_get(making->hop.ifindex);

	if (!out)
		return XDNAT_DROP_NOT_LOADED; /* not any more */
	skb->tc_index = SKB_TRANSLATED;
	if (skb->vlan_present) /* a priority tag */
		bpf_skb_vlan_pop(skb);
	if (out->flags & XDNAT_NO_ETHERNET) {
		*verdict = bpf_redirect(making->hop.ifindex, 0);
		return XDNAT_FORWARDED;
	}
	/* bpf_redirect_neigh() drops what has no room for an Ethernet header. */
	if (!l2_bytes && bpf_skb_change_head(skb, ETH_HLEN, 0))
		return XDNAT_DROP_NO_MEMORY;
	if (!l2_bytes || making->hop.way == WAY_NEIGHBOUR) {
		*verdict = skb_send_by_neighbour(&making->hop);
		return XDNAT_FORWARDED;
	}
	if (bpf_skb_store_bytes(skb, 0, making->hop.eth, sizeof(making->hop.eth), 0))
		return XDNAT_DROP_NO_MEMORY;
	*verdict = bpf_redirect(making->hop.ifindex, 0);
	return XDNAT_FORWARDED;
}

/* Room for a packet at this hook; NULL never happens. */
static __always_inline struct making *skb_making(const struct __sk_buff *skb, __u32 hook)
{
	struct making *making = scratch_get();

	if (making) {
		making->hook = hook;
		making->in_ifindex = skb->ifindex;
	}
	return making;
}

/* forward_decide(), of what skb_note() took down. */
__noinline enum xdnat_reason skb_decide(struct __sk_buff *skb)
{
	struct making *making = scratch_get(); /* as half_insert() does */

	return making ? forward_decide(skb, making) : XDNAT_DROP_BUSY;
}

/* A packet that came in and may be ours: what becomes of it, and of the skb (*verdict, tc's)
 * if it was forwarded. */
static __noinline enum xdnat_reason skb_ingress(struct __sk_buff *skb, int *verdict)
{
	struct making *making = skb_making(skb, XDNAT_HOOK_INGRESS);
	__u32 l2_bytes = skb_l2_bytes(skb);
	enum xdnat_reason reason;
	bool is_local;

	if (!making)
		return XDNAT_PASS_NOT_IP;
	reason = skb_note(skb, making, l2_bytes);
	if (!making->traits.has_ports)
		return reason;
	if (reason)
		return forward_refuse(making, reason);
	reason = skb_decide(skb);
	if (reason)
		return reason;
	is_local = making->hop.ifindex == LOCAL_IFINDEX;
	reason = skb_rewrite(skb, making, l2_bytes, !is_local);
	if (reason)
		return reason;
	if (!is_local)
		return skb_send(skb, making, l2_bytes, verdict);
	*verdict = skb_deliver(skb, l2_bytes);
	return XDNAT_FORWARDED;
}

/* forward_reply_out(). Global, and so finds its making, as skb_decide() does. */
__noinline enum xdnat_reason skb_reply_out(struct __sk_buff *skb)
{
	struct making *making = scratch_get();

	return making ? forward_reply_out(skb, making) : XDNAT_DROP_BUSY;
}

/* A packet that the kernel sends out by itself: a target's answer, or an error about a
 * client's packet, is translated, and goes on its way. */
static __noinline enum xdnat_reason skb_egress(struct __sk_buff *skb)
{
	struct making *making = skb_making(skb, XDNAT_HOOK_EGRESS);
	__u32 l2_bytes = skb_l2_bytes(skb);
	enum xdnat_reason reason;

	if (!making)
		return XDNAT_PASS_NOT_IP;
	reason = skb_note(skb, making, l2_bytes);
	if (reason == XDNAT_PASS_PROTOCOL)
		return icmp_out(skb, making, l2_bytes);
	if (!making->traits.has_ports)
		return reason < XDNAT_FIRST_HAND_ON ? reason : XDNAT_PASS_MALFORMED;
	reason = reason ? forward_refuse_out(making, reason) : skb_reply_out(skb);
	if (!reason)
		return skb_rewrite(skb, making, l2_bytes, 0);
	if (leak_is_to_stop(&making->original, making->in_ifindex))
		return XDNAT_DROP_LEAK;
	return reason == XDNAT_DROP_EXPIRED ? XDNAT_PASS_NO_RULE : reason;
}

#endif
