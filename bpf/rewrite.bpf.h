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
 * double words: one for IPv4, four for IPv6. */
struct translation {
	__u64 addrs[4];
	union xdnat_ports ports;
	__sum16 l3_delta; /* IPv4 header, TTL - 1 included */
	__sum16 l4_delta;
	__u32 out_ifindex;
	__be32 eth[3];
};

static __always_inline void rewrite_eth(struct ethhdr *eth, const struct translation *to)
{
	*(__u64 *)eth = *(const __u64 *)to->eth;
	*(__u32 *)&((__u8 *)eth)[8] = to->eth[2];
}

static __always_inline void rewrite_l4(struct packet *pkt, const struct translation *to)
{
	__u16 delta = (__u16)to->l4_delta;

	if (pkt->tcp) {
		*(__be32 *)pkt->tcp = to->ports.both;
		pkt->tcp->check = csum_apply(pkt->tcp->check, delta);
		return;
	}
	*(__be32 *)pkt->udp = to->ports.both;
	if (!pkt->udp->check) /* none was computed (RFC 768) */
		return;
	pkt->udp->check = csum_apply(pkt->udp->check, delta);
	if (!pkt->udp->check)
		pkt->udp->check = 0xffff;
}

static __always_inline void rewrite4(struct packet *pkt, const struct translation *to)
{
	struct iphdr *ip = pkt->ip4;
	__u64 *addrs = (void *)&ip->saddr;

	rewrite_eth(pkt->eth, to);
	ip->ttl--;
	ip->check = csum_apply(ip->check, (__u16)to->l3_delta);
	*addrs = to->addrs[0];
	rewrite_l4(pkt, to);
}

static __always_inline void rewrite6(struct packet *pkt, const struct translation *to)
{
	struct ipv6hdr *ip = pkt->ip6;
	__u64 *addrs = (__u64 *)&ip->saddr;

	rewrite_eth(pkt->eth, to);
	ip->hop_limit--;
	for (int i = 0; i < 4; i++)
		addrs[i] = to->addrs[i];
	rewrite_l4(pkt, to);
}

/* The differences between a packet and what it leaves as. */
static __always_inline __u32 rewrite_addr_delta(const struct tuple *from, const struct tuple *to)
{
	__u32 sum = 0;

	/* Unrolled, clang 16 keeps sixteen words on a stack that is short of room. */
#pragma clang loop unroll(disable)
	for (int i = 0; i < 4; i++) {
		sum += csum_diff32(from->src.word[i], to->src.word[i]);
		sum += csum_diff32(from->dst.word[i], to->dst.word[i]);
	}
	return csum_fold(sum);
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
