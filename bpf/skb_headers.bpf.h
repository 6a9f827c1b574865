/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An skb's headers, read and written: checksums may be partial there, tags and headers
 * elsewhere than in the data. Written by helpers only: a program that writes them directly
 * makes the kernel copy every cloned skb, foreign ones too.
 */
#ifndef XDNAT_SKB_HEADERS_BPF_H
#define XDNAT_SKB_HEADERS_BPF_H

#include "making.bpf.h"
#include "mss.bpf.h"

#define VLAN_VID_HOST 0x0fff
/* Headers that are read: Ethernet, IPv6 with some extensions or TCP with options. */
#define SKB_HEADER_BYTES 128
#define TCP_CHECK	 16 /* offsets: RFC 9293 section 3.1, RFC 768 */
#define UDP_CHECK	 6

/* How much of the linear part's beginning is read. Of joined packets, which carry no
 * SYN and so no MSS, as little as can be: TCP sends them with their headers alone in the
 * linear part, as clones, and to bring more there copies that part. */
static __always_inline __u32 skb_header_bytes(const struct __sk_buff *skb, __u32 l2_bytes)
{
	const void *l3 = (void *)(long)skb->data + (l2_bytes & ETH_HLEN);
	const struct ipv6hdr *ip6 = l3;
	const struct iphdr *ip4 = l3;

	if (!skb->gso_size || (const void *)(ip4 + 1) > (void *)(long)skb->data_end)
		return SKB_HEADER_BYTES;
	if (skb->protocol == bpf_htons(ETH_P_IP) && ip4->ihl == sizeof(*ip4) / 4)
		return l2_bytes + sizeof(*ip4) + sizeof(struct tcphdr);
	if (skb->protocol == bpf_htons(ETH_P_IPV6) && ip6->nexthdr == IPPROTO_TCP)
		return l2_bytes + sizeof(*ip6) + sizeof(struct tcphdr);
	return SKB_HEADER_BYTES;
}

/* Headers of which some are not in the skb's linear part are brought there. */
static __always_inline void skb_pull(struct __sk_buff *skb, __u32 l2_bytes)
{
	__u32 linear = skb->data_end - skb->data;

	if (linear < skb_header_bytes(skb, l2_bytes) && linear < skb->len)
		bpf_skb_pull_data(skb, skb->len < SKB_HEADER_BYTES ? skb->len : SKB_HEADER_BYTES);
}

/* packet_parse() of an skb whose IP header is at l2_bytes (0: no Ethernet header). */
static __noinline enum xdnat_reason skb_parse(struct __sk_buff *skb, __u32 l2_bytes,
					      struct packet *pkt)
{
	enum xdnat_reason reason = XDNAT_PASS_NOT_IP;
	void *data, *end, *l3;
	__u32 room;

	if (skb->vlan_present && (skb->vlan_tci & VLAN_VID_HOST))
		return XDNAT_PASS_VLAN;
	if (skb->protocol != bpf_htons(ETH_P_IP) && skb->protocol != bpf_htons(ETH_P_IPV6))
		return XDNAT_PASS_NOT_IP;
	skb_pull(skb, l2_bytes);
	data = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	l3 = data + (l2_bytes & ETH_HLEN); /* the verifier forgets that there are two */
	if (l3 > end || skb->len < l2_bytes)
		return XDNAT_PASS_NOT_IP;
	room = skb->len - l2_bytes;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		reason = packet_parse_ip4(l3, end, room, pkt, XDNAT_FORWARDED);
	else
		reason = packet_parse_ip6(l3, end, room, pkt, XDNAT_FORWARDED);
	if (reason == XDNAT_DROP_EXT_HEADERS && !pkt->has_ports)
		reason = packet_parse_extensions(pkt, end);
	return reason;
}

/* What of a packet must be known once its pointers are stale: the first write makes
 * them so. */
struct skb_headers {
	__u32 l3; /* offsets in the skb */
	__u32 l4;
	__u32 check;	  /* of TCP or UDP */
	__u32 has_check;  /* false: UDP without one (RFC 768) */
	__u8 ip4_tail[4]; /* TTL, protocol and checksum of an IPv4 header */
	__u32 hop_limit;  /* of IPv6 */
	__u32 mss;	  /* where a SYN announces more than making->mss_host; or 0 */
	__u32 mss_delta;
};

/* mss_find(). A global function, verified once and not anew for every way to it. */
__noinline __u32 skb_mss(struct __sk_buff *skb, __u32 l4, __u32 limit_host)
{
	return mss_find((void *)(long)skb->data, (void *)(long)skb->data_end, l4, limit_host);
}

static __always_inline void skb_remember_mss(struct __sk_buff *skb, const struct packet *pkt,
					     __u16 limit_host, struct skb_headers *headers)
{
	__u32 found = limit_host && pkt->tcp ? skb_mss(skb, headers->l4, limit_host) : 0;

	if (!mss_at(found))
		return;
	headers->mss = headers->l4 + mss_at(found);
	headers->mss_delta = mss_delta(found, limit_host);
}

static __always_inline void skb_remember(const struct packet *pkt, __u32 l2_bytes,
					 struct skb_headers *headers)
{
	*headers = (struct skb_headers){.l3 = l2_bytes, .has_check = 1};
	if (pkt->ip6) {
		headers->l4 = l2_bytes + sizeof(*pkt->ip6);
		headers->hop_limit = pkt->ip6->hop_limit;
	} else if (pkt->ip4) {
		headers->l4 = l2_bytes + sizeof(*pkt->ip4);
		__builtin_memcpy(headers->ip4_tail, &pkt->ip4->ttl, sizeof(headers->ip4_tail));
	}
	headers->check = headers->l4 + (pkt->tcp ? TCP_CHECK : UDP_CHECK);
	if (!pkt->tcp && pkt->udp && !pkt->udp->check)
		headers->has_check = 0;
}

/* The IPv4 header from TTL to destination. hops: by how much TTL goes down. */
static __noinline int skb_write_ip4(struct __sk_buff *skb, const struct skb_headers *headers,
				    const struct making *making, __u32 hops)
{
	struct {
		__u8 ttl;
		__u8 protocol;
		__sum16 check;
		__u8 addrs[8];
	} tail;
	__u32 delta = rewrite_addr_delta(&making->original, &making->leaving);

	_Static_assert(sizeof(tail) == 12, "as it stands in the header");
	__builtin_memcpy(&tail, headers->ip4_tail, sizeof(headers->ip4_tail));
	tail.ttl -= hops;
	if (hops)
		delta += rewrite_ttl_delta();
	tail.check = csum_apply(tail.check, csum_fold(delta));
	__builtin_memcpy(tail.addrs, making->to.addrs, sizeof(tail.addrs));
	return bpf_skb_store_bytes(skb, headers->l3 + offsetof(struct iphdr, ttl), &tail,
				   sizeof(tail), 0);
}

/* The IPv6 header from hop limit to destination. */
static __noinline int skb_write_ip6(struct __sk_buff *skb, const struct skb_headers *headers,
				    const struct making *making, __u32 hops)
{
	__u8 hop_limit = headers->hop_limit - hops;

	return bpf_skb_store_bytes(skb, headers->l3 + offsetof(struct ipv6hdr, hop_limit),
				   &hop_limit, sizeof(hop_limit), 0) |
	       bpf_skb_store_bytes(skb, headers->l3 + offsetof(struct ipv6hdr, saddr),
				   making->to.addrs, sizeof(making->to.addrs), 0);
}

/*
 * Ports and their checksum. The kernel updates a partial checksum by the addresses
 * alone, which is why they come apart. What a device has summed up of the whole packet
 * (CHECKSUM_COMPLETE) stays true by the last line: the first call takes the addresses
 * for changed in a header that sums them up as IPv4's does, IPv6's has no checksum.
 */
static __noinline int skb_write_l4(struct __sk_buff *skb, const struct skb_headers *headers,
				   const struct making *making, __u32 hops)
{
	__u32 addrs = rewrite_addr_delta(&making->original, &making->leaving);
	__u32 ports = rewrite_port_delta(&making->original, &making->leaving);
	__be16 mss = bpf_htons(making->mss_host);
	__u64 udp = making->original.proto == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;
	__u32 whole = 0;
	int err = 0;

	if (headers->mss) {
		err = bpf_skb_store_bytes(skb, headers->mss, &mss, sizeof(mss), 0);
		ports = csum_fold(ports + headers->mss_delta);
	}
	err |= bpf_l4_csum_replace(skb, headers->check, 0, addrs, BPF_F_PSEUDO_HDR | udp);
	err |= bpf_l4_csum_replace(skb, headers->check, 0, ports, udp);
	err |= bpf_skb_store_bytes(skb, headers->l4, &making->to.ports, sizeof(making->to.ports),
				   0);
	if (making->original.is_v6)
		whole = addrs + (hops ? csum_diff16(bpf_htons(1), 0) : 0);
	else if (!headers->has_check)
		whole = ports;
	if (whole)
		bpf_csum_update(skb, whole);
	return err;
}

/* Writes making->to, the Ethernet header aside. Parses anew: while there is something to
 * decide, the verifier need not remember what kind of packet it is. */
__noinline enum xdnat_reason skb_rewrite(struct __sk_buff *skb, const struct making *making,
					 __u32 l2_bytes, __u32 hops)
{
	struct skb_headers headers;
	struct packet pkt = {};
	enum xdnat_reason flaw = skb_parse(skb, l2_bytes, &pkt);
	int err;

	if (!making || (flaw && flaw != XDNAT_DROP_TTL) || !pkt.has_ports)
		return XDNAT_DROP_NO_MEMORY;
	skb_remember(&pkt, l2_bytes, &headers);
	skb_remember_mss(skb, &pkt, making->mss_host, &headers);
	if (making->original.is_v6)
		err = skb_write_ip6(skb, &headers, making, hops);
	else
		err = skb_write_ip4(skb, &headers, making, hops);
	err |= skb_write_l4(skb, &headers, making, hops);
	return err ? XDNAT_DROP_NO_MEMORY : XDNAT_FORWARDED;
}

#endif
