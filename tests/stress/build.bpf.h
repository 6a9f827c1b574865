/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A lane's packet, written whole, and what one that was translated says. Lengths and
 * checksums are computed from scratch: nothing here is the datapath's.
 */
#ifndef STRESS_BUILD_BPF_H
#define STRESS_BUILD_BPF_H

#include "state.bpf.h"

#define L3_BYTES (STRESS_FRAME_BYTES - sizeof(struct ethhdr))
#define TTL	 64

/* RFC 1071. bytes: a constant, even. */
static __always_inline __u32 sum_words(const void *data, __u32 bytes)
{
	const __u16 *word = data;
	__u32 sum = 0;

	for (__u32 i = 0; i < bytes / 2; i++)
		sum += word[i];
	return sum;
}

static __always_inline __u16 sum_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

static __always_inline void addr_copy(__be32 *to, const __be32 *from)
{
	for (int i = 0; i < 4; i++)
		to[i] = from[i];
}

/* The flow's packet as it comes in. source_port: what the flow has at the target. */
static __always_inline void tuple_arriving(const struct stress_flow *flow, __u32 direction,
					   __be16 source_port, struct stress_tuple *tuple)
{
	bool is_original = direction == XDNAT_ORIGINAL;

	addr_copy(tuple->src, is_original ? flow->client : flow->target);
	addr_copy(tuple->dst, is_original ? flow->listener : flow->source);
	tuple->sport = is_original ? flow->client_port : flow->target_port;
	tuple->dport = is_original ? flow->listener_port : source_port;
}

/* And as it must leave. */
static __always_inline void tuple_leaving(const struct stress_flow *flow, __u32 direction,
					  __be16 source_port, struct stress_tuple *tuple)
{
	bool is_original = direction == XDNAT_ORIGINAL;

	addr_copy(tuple->src, is_original ? flow->source : flow->listener);
	addr_copy(tuple->dst, is_original ? flow->target : flow->client);
	tuple->sport = is_original ? source_port : flow->listener_port;
	tuple->dport = is_original ? flow->target_port : flow->client_port;
}

/* sum: of the pseudo-header. bytes: of the segment, a constant. */
static __always_inline void l4_build(void *l4, __u32 bytes, __u32 sum, bool is_tcp, __u8 tcp_flags)
{
	struct tcphdr *tcp = l4;
	struct udphdr *udp = l4;

	if (is_tcp) {
		tcp->doff = sizeof(*tcp) / 4;
		((__u8 *)tcp)[13] = tcp_flags;
		tcp->check = ~sum_fold(sum + sum_words(l4, bytes));
		return;
	}
	udp->len = bpf_htons(bytes);
	udp->check = ~sum_fold(sum + sum_words(l4, bytes));
	if (!udp->check)
		udp->check = 0xffff;
}

static __always_inline void ip4_build(void *l3, const struct stress_tuple *tuple, bool is_tcp,
				      __u8 tcp_flags)
{
	__u32 l4_bytes = L3_BYTES - sizeof(struct iphdr);
	struct iphdr *ip = l3;
	__be16 *ports = (void *)(ip + 1);

	ip->version = 4;
	ip->ihl = 5;
	ip->tot_len = bpf_htons(L3_BYTES);
	ip->frag_off = bpf_htons(0x4000);
	ip->ttl = TTL;
	ip->protocol = is_tcp ? IPPROTO_TCP : IPPROTO_UDP;
	ip->saddr = tuple->src[3];
	ip->daddr = tuple->dst[3];
	ip->check = ~sum_fold(sum_words(ip, sizeof(*ip)));
	ports[0] = tuple->sport;
	ports[1] = tuple->dport;
	l4_build(ports, l4_bytes,
		 sum_words(&ip->saddr, 8) + bpf_htons(ip->protocol) + bpf_htons(l4_bytes), is_tcp,
		 tcp_flags);
}

static __always_inline void ip6_build(void *l3, const struct stress_tuple *tuple, bool is_tcp,
				      __u8 tcp_flags)
{
	__u32 l4_bytes = L3_BYTES - sizeof(struct ipv6hdr);
	struct ipv6hdr *ip = l3;
	__be16 *ports = (void *)(ip + 1);

	ip->version = 6;
	ip->payload_len = bpf_htons(l4_bytes);
	ip->nexthdr = is_tcp ? IPPROTO_TCP : IPPROTO_UDP;
	ip->hop_limit = TTL;
	addr_copy(ip->saddr.in6_u.u6_addr32, tuple->src);
	addr_copy(ip->daddr.in6_u.u6_addr32, tuple->dst);
	ports[0] = tuple->sport;
	ports[1] = tuple->dport;
	l4_build(ports, l4_bytes,
		 sum_words(&ip->saddr, 32) + bpf_htons(ip->nexthdr) + bpf_htons(l4_bytes), is_tcp,
		 tcp_flags);
}

/* data: STRESS_FRAME_BYTES, of which the last word stays. */
static __always_inline void frame_build(void *data, const struct stress_lane *lane)
{
	const struct stress_flow *flow = flow_at(lane->flow);
	struct ethhdr *eth = data;
	struct stress_tuple tuple;
	__u32 *word = data;

	for (__u32 i = 0; i < STRESS_FRAME_BYTES / sizeof(*word) - 1; i++)
		word[i] = 0;
	tuple_arriving(flow, lane->direction, lane->source_port, &tuple);
	__builtin_memcpy(eth->h_dest, stress_plan.mac, sizeof(eth->h_dest));
	eth->h_source[0] = 2;
	eth->h_proto = bpf_htons(flow->is_v6 ? ETH_P_IPV6 : ETH_P_IP);
	if (flow->is_v6)
		ip6_build(eth + 1, &tuple, flow->is_tcp, lane->tcp_flags);
	else
		ip4_build(eth + 1, &tuple, flow->is_tcp, lane->tcp_flags);
}

/* Whether all but addresses and ports of what left is as it should, and those. */
static __always_inline bool ip4_read(const void *l3, bool is_tcp, struct stress_tuple *tuple)
{
	__u32 l4_bytes = L3_BYTES - sizeof(struct iphdr);
	const struct iphdr *ip = l3;
	const __be16 *ports = (const void *)(ip + 1);
	__u32 sum = sum_words(&ip->saddr, 8) + bpf_htons(ip->protocol) + bpf_htons(l4_bytes);

	tuple->src[3] = ip->saddr;
	tuple->dst[3] = ip->daddr;
	tuple->sport = ports[0];
	tuple->dport = ports[1];
	return ip->version == 4 && ip->ttl == TTL - 1 &&
	       ip->protocol == (is_tcp ? IPPROTO_TCP : IPPROTO_UDP) &&
	       sum_fold(sum_words(ip, sizeof(*ip))) == 0xffff &&
	       sum_fold(sum + sum_words(ports, l4_bytes)) == 0xffff;
}

static __always_inline bool ip6_read(const void *l3, bool is_tcp, struct stress_tuple *tuple)
{
	__u32 l4_bytes = L3_BYTES - sizeof(struct ipv6hdr);
	const struct ipv6hdr *ip = l3;
	const __be16 *ports = (const void *)(ip + 1);
	__u32 sum = sum_words(&ip->saddr, 32) + bpf_htons(ip->nexthdr) + bpf_htons(l4_bytes);

	addr_copy(tuple->src, ip->saddr.in6_u.u6_addr32);
	addr_copy(tuple->dst, ip->daddr.in6_u.u6_addr32);
	tuple->sport = ports[0];
	tuple->dport = ports[1];
	return ip->version == 6 && ip->hop_limit == TTL - 1 &&
	       ip->nexthdr == (is_tcp ? IPPROTO_TCP : IPPROTO_UDP) &&
	       sum_fold(sum + sum_words(ports, l4_bytes)) == 0xffff;
}

#endif
