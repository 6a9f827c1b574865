/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The plain packet, which nearly all are: TCP or UDP, without tag, IPv4 options or IPv6
 * extension headers, no fragment. In two looks, so that what is foreign costs next to
 * nothing: first the ports, then whether its headers are whole and it may go on. Whatever
 * is not plain is packet.bpf.h's, which tells why. One story for both families, as in
 * table.bpf.h. No policy, no maps, no context.
 */
#ifndef XDNAT_PLAIN_BPF_H
#define XDNAT_PLAIN_BPF_H

#include "packet.bpf.h"

#define IP4_FIRST_BYTE 0x45 /* version 4, five words */
#define FRAME_LEAST    (ETH_HLEN + sizeof(struct iphdr) + sizeof(struct udphdr))

/* Sixteen bits of a TCP header, from TCP_OFFSET on: how long it is, and the flags of which
 * none is there when nothing begins or ends. One word tells both: with a flag, or without
 * an offset of 5 at least, it is out of the range. */
#define TCP_OFFSET	   12	  /* RFC 9293 section 3.1 */
#define TCP_PLAIN_MASK	   0x07f0 /* little-endian: flags, then four bits of words */
#define TCP_PLAIN_FIRST	   0x0050
#define TCP_PLAIN_LAST	   0x00f0
#define TCP_PLAIN_TO_BYTES 2 /* shift: words of four bytes, four bits up */

struct plain {
	void *l3;
	void *l4;
	union xdnat_ports ports;
	__u32 proto; /* IPPROTO_TCP or IPPROTO_UDP; a constant from the second look on */
};

static __always_inline __u32 plain_l3_bytes(bool is_v6)
{
	return is_v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
}

static __always_inline __u32 plain_l4_offset(bool is_v6)
{
	return ETH_HLEN + plain_l3_bytes(is_v6);
}

/* From the IP header on, by that header's own word. Read each time it is asked for: that is
 * cheaper than keeping it. */
static __always_inline __u64 plain_bytes(bool is_v6, const void *l3)
{
	const struct ipv6hdr *ip6 = l3;
	const struct iphdr *ip4 = l3;

	if (is_v6)
		return bpf_ntohs(*(const volatile __be16 *)&ip6->payload_len) + sizeof(*ip6);
	return bpf_ntohs(*(const volatile __be16 *)&ip4->tot_len);
}

/* Source and destination, as they stand in a key. */
static __always_inline const __u64 *plain_addrs(bool is_v6, const void *l3)
{
	return l3 + (is_v6 ? offsetof(struct ipv6hdr, saddr) : offsetof(struct iphdr, saddr));
}

static __always_inline bool plain_is_version(bool is_v6, __u8 first_byte)
{
	return is_v6 ? first_byte >> 4 == 6 : first_byte == IP4_FIRST_BYTE;
}

/*
 * The first look, at a packet whose version is known: pkt->l3 is given; l4 and proto are
 * found. False: not plain. Of one with lies in its headers they may be anything.
 */
static __always_inline bool plain_has_ports(bool is_v6, void *end, struct plain *pkt)
{
	const struct ipv6hdr *ip6 = pkt->l3;
	const struct iphdr *ip4 = pkt->l3;

	pkt->l4 = pkt->l3 + plain_l3_bytes(is_v6);
	if (pkt->l4 + sizeof(struct udphdr) > end)
		return false;
	if (!is_v6 && (ip4->frag_off & IP_MORE_OR_OFFSET))
		return false;
	pkt->proto = is_v6 ? ip6->nexthdr : ip4->protocol;
	return pkt->proto == IPPROTO_TCP || pkt->proto == IPPROTO_UDP;
}

static __always_inline bool plain_tcp_is_whole(bool is_v6, void *end, const struct plain *pkt,
					       __u64 bytes)
{
	__u32 head;

	if (pkt->l4 + sizeof(struct tcphdr) > end)
		return false;
	head = (*(const __u16 *)(pkt->l4 + TCP_OFFSET) & TCP_PLAIN_MASK) - TCP_PLAIN_FIRST;
	return head <= TCP_PLAIN_LAST - TCP_PLAIN_FIRST &&
	       (head >> TCP_PLAIN_TO_BYTES) + plain_l4_offset(is_v6) + sizeof(struct tcphdr) <=
		       bytes;
}

static __always_inline bool plain_udp_is_whole(bool is_v6, const struct plain *pkt, __u64 bytes)
{
	const struct udphdr *udp = pkt->l4;
	__u32 l4_bytes = bpf_ntohs(udp->len);

	return l4_bytes >= sizeof(*udp) && l4_bytes + plain_l4_offset(is_v6) <= bytes &&
	       (!is_v6 || udp->check);
}

/* The second look: is it all there, in a frame of so many bytes, may it go on, and does it
 * begin or end nothing? */
static __always_inline bool plain_is_whole(bool is_v6, void *end, __u64 frame_bytes,
					   struct plain *pkt)
{
	const struct ipv6hdr *ip6 = pkt->l3;
	const struct iphdr *ip4 = pkt->l3;
	__u64 bytes = ETH_HLEN + plain_bytes(is_v6, pkt->l3);

	pkt->ports.both = *(const __be32 *)pkt->l4;
	if (bytes > frame_bytes || (is_v6 ? ip6->hop_limit : ip4->ttl) <= 1)
		return false;
	if (pkt->proto == IPPROTO_TCP)
		return plain_tcp_is_whole(is_v6, end, pkt, bytes);
	return plain_udp_is_whole(is_v6, pkt, bytes);
}

#endif
