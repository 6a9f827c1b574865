/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Writes a translation into a packet, one story for both directions: MACs, TTL,
 * addresses, ports, and checksums by RFC 1624 differences made when the flow was.
 * A checksum that was wrong stays wrong. Knows neither flows nor rules.
 */
#ifndef XDNAT_REWRITE_BPF_H
#define XDNAT_REWRITE_BPF_H

#include "csum.bpf.h"
#include "packet.bpf.h"

/* How a packet leaves. Addresses as they stand in the packet, both in one run of
 * double words: one for IPv4, four for IPv6. From ports on as in struct xdnat_half. */
struct translation {
	__u64 addrs[4];
	union xdnat_ports ports;
	__sum16 l4_delta;
	__sum16 l3_delta; /* IPv4 header, TTL - 1 included */
	__be32 eth[3];
	__u32 out_ifindex;
};

static __always_inline void rewrite_eth(void *eth, const struct translation *to)
{
	*(__u64 *)eth = *(const __u64 *)to->eth;
	*(__u32 *)(eth + 8) = to->eth[2];
}

static __always_inline void rewrite_ip4(struct iphdr *ip, const struct translation *to)
{
	__u64 *addrs = (void *)&ip->saddr;

	ip->ttl--;
	ip->check = csum_apply(ip->check, (__u16)to->l3_delta);
	*addrs = to->addrs[0];
}

static __always_inline void rewrite_ip6(struct ipv6hdr *ip, const struct translation *to)
{
	__u64 *addrs = (void *)&ip->saddr;

	ip->hop_limit--;
	for (int i = 0; i < 4; i++)
		addrs[i] = to->addrs[i];
}

static __always_inline void rewrite_tcp(struct tcphdr *tcp, const struct translation *to)
{
	*(__be32 *)tcp = to->ports.both;
	tcp->check = csum_apply(tcp->check, (__u16)to->l4_delta);
}

static __always_inline void rewrite_udp(struct udphdr *udp, const struct translation *to)
{
	*(__be32 *)udp = to->ports.both;
	if (!udp->check) /* none was computed (RFC 768) */
		return;
	udp->check = csum_apply(udp->check, (__u16)to->l4_delta);
	if (!udp->check)
		udp->check = 0xffff;
}

static __always_inline void rewrite_l4(struct packet *pkt, const struct translation *to)
{
	if (pkt->tcp)
		rewrite_tcp(pkt->tcp, to);
	else
		rewrite_udp(pkt->udp, to);
}

static __always_inline void rewrite4(struct packet *pkt, const struct translation *to)
{
	rewrite_eth(pkt->eth, to);
	rewrite_ip4(pkt->ip4, to);
	rewrite_l4(pkt, to);
}

static __always_inline void rewrite6(struct packet *pkt, const struct translation *to)
{
	rewrite_eth(pkt->eth, to);
	rewrite_ip6(pkt->ip6, to);
	rewrite_l4(pkt, to);
}

/* The differences between a packet and what it leaves as. */
static __always_inline __u32 rewrite_addr_delta(const struct tuple *from, const struct tuple *to)
{
	__u64 sum = 0; /* of 32-bit words: two and two of 16 bits are added at once */

	/* Unrolled, clang 16 keeps sixteen words on a stack that is short of room. */
#pragma clang loop unroll(disable)
	for (int i = from->is_v6 ? 0 : 3; i < 4; i++) {
		sum += ~from->src.word[i] + (__u64)to->src.word[i];
		sum += ~from->dst.word[i] + (__u64)to->dst.word[i];
	}
	return csum_fold((sum & 0xffff) + (sum >> 16));
}

static __always_inline __u32 rewrite_port_delta(const struct tuple *from, const struct tuple *to)
{
	return csum_fold(csum_diff32(from->ports.both, to->ports.both));
}

/* TTL - 1 takes 0x0100 from the word it shares with the protocol, whatever its
 * value (RFC 1141 section 2): ~m + m' is the one's complement of that. */
static __always_inline __u32 rewrite_ttl_delta(void)
{
	return csum_diff16(bpf_htons(0x0100), 0);
}

#endif
