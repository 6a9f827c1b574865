/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * XDP's side: an established packet is rewritten and sent at once, all else takes the
 * slow path, and what XDP cannot send is left for tc.
 */
#ifndef XDNAT_FRAME_BPF_H
#define XDNAT_FRAME_BPF_H

#include "foreign.bpf.h"
#include "forward.bpf.h"
#include "plain.bpf.h"
#include "probe.bpf.h"

/* mss_find(). A global function, verified once and not anew for every way to it. */
__noinline __u32 frame_mss(struct xdp_md *ctx, __u32 l4, __u32 limit_host)
{
	return mss_find((void *)(long)ctx->data, (void *)(long)ctx->data_end, l4, limit_host);
}

/* A SYN announces no more than making allows. */
static __noinline void frame_clamp(struct xdp_md *ctx, struct packet *pkt,
				   const struct making *making)
{
	__be16 limit = bpf_htons(making->mss_host);
	__u32 found, at;
	__u8 *mss;

	if (!making->mss_host || !pkt->tcp)
		return;
	found = frame_mss(ctx, (void *)pkt->tcp - (void *)(long)ctx->data, making->mss_host);
	at = mss_at(found);
	barrier_var(at); /* clang may know that the mask changes nothing */
	at &= TCP_OFFSET_MASK;
	mss = (__u8 *)pkt->tcp + at;
	if (!at || (void *)(mss + sizeof(limit)) > (void *)(long)ctx->data_end)
		return;
	__builtin_memcpy(mss, &limit, sizeof(limit));
	pkt->tcp->check = csum_apply(pkt->tcp->check, mss_delta(found, making->mss_host));
}

/* Parses, and takes down what is decided by. A reason: of a packet without ports, which
 * nothing is decided about, or its flaw. */
__noinline enum xdnat_reason frame_note(struct xdp_md *ctx, struct making *making)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct packet pkt = {};
	enum xdnat_reason reason = packet_parse(data, end, &pkt);

	if (!making)
		return XDNAT_PASS_NOT_IP;
	if (reason == XDNAT_DROP_EXT_HEADERS && !pkt.has_ports)
		reason = packet_parse_extensions(&pkt, end);
	making->traits.has_ports = false;
	if (pkt.has_ports) {
		making->hook = XDNAT_HOOK_XDP;
		making->in_ifindex = ctx->ingress_ifindex;
		reason = forward_note(&pkt, making, reason);
	}
	return reason;
}

/* Parses anew: while there is something to decide, the verifier need not remember what
 * kind of packet it is. */
__noinline int frame_rewrite(struct xdp_md *ctx, const struct making *making)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct packet pkt = {};

	if (!making || packet_parse(data, end, &pkt))
		return 0;
	frame_clamp(ctx, &pkt, making);
	if (pkt.ip6)
		rewrite6(&pkt, &making->to);
	else if (pkt.ip4)
		rewrite4(&pkt, &making->to);
	return 0;
}

/*
 * Everything that the fast path leaves. It starts over with the frame: the fast
 * path can then keep what it parsed in registers, where nothing else looks at it.
 * Global: verified once, not anew for every way to it. Above it on the stack are the fast
 * path's locals, 96 bytes of them by clang 19, and frame_decide()'s: what it calls has 320,
 * and Linux 6.1 rounds each function's up to 32.
 */
__noinline enum xdnat_reason frame_slow(struct xdp_md *ctx, __u32 *out_ifindex)
{
	struct making *making = scratch_get();
	enum xdnat_reason reason;

	if (!making || !out_ifindex)
		return XDNAT_PASS_NOT_IP; /* never */
	reason = frame_note(ctx, making);
	if (!making->traits.has_ports)
		return reason;
	if (reason)
		return forward_refuse(making, reason);
	reason = forward_decide(ctx, making);
	if (reason)
		return reason;
	*out_ifindex = making->to.out_ifindex;
	frame_rewrite(ctx, making);
	return XDNAT_FORWARDED;
}

static __always_inline void frame_rewrite_plain(bool is_v6, const struct plain *pkt,
						const struct translation *to)
{
	rewrite_eth(pkt->l3 - ETH_HLEN, to);
	if (is_v6)
		rewrite_ip6(pkt->l3, to);
	else
		rewrite_ip4(pkt->l3, to);
	if (pkt->proto == IPPROTO_TCP)
		rewrite_tcp(pkt->l4, to);
	else
		rewrite_udp(pkt->l4, to);
}

/* The rule that a packet of no flow is for, or 0. */
static __always_inline __u32 frame_rule(bool is_v6, const struct plain *pkt, __u64 last)
{
	const void *frame = pkt->l3 - ETH_HLEN;
	const struct ipv6hdr *ip6;
	const struct iphdr *ip4;
	union xdnat_ports ports;

	/* Else clang has the port and the address at hand for this, on the fast path. */
	barrier_var(last);
	barrier_var(frame);
	ports.both = last;
	ip6 = frame + ETH_HLEN;
	ip4 = frame + ETH_HLEN;
	if (is_v6)
		return rule_find6(&ip6->daddr, ports.dport, pkt->proto);
	return rule_find4(ip4->daddr, ports.dport, pkt->proto);
}

/* What the fast path makes of a frame. FRAME_OPEN: it is frame_slow()'s. */
enum frame_fate { FRAME_OPEN, FRAME_FOREIGN, FRAME_REWRITTEN };

/* Rewrites the packet of an established flow. One proto, a constant, at a time. */
static __always_inline enum frame_fate frame_translate(bool is_v6, const struct xdp_md *ctx,
						       struct plain *pkt, __u32 *out_ifindex)
{
	__u32 now = life_now(); /* a call to clang: first, while there is little to keep */
	struct packet_key key = {
		.frame = pkt->l3 - ETH_HLEN,
		.last = pkt->ports.both | (__u64)pkt->proto << 32,
	};
	struct translation to;
	struct xdnat_half *half;
	__u64 word, bytes;
	void *slot;

	if (!probe_find(is_v6, &key, &slot, &word))
		return word || frame_rule(is_v6, pkt, key.last) ? FRAME_OPEN : FRAME_FOREIGN;
	half = half_of(is_v6, slot);
	bytes = plain_bytes(is_v6, pkt->l3);
	if (!life_is_settled(word) || life_tick_is_over(xdnat_until(word), now) ||
	    !half_is_way(is_v6, &slot, key.frame, bytes, ctx->ingress_ifindex) ||
	    !slot_copy(is_v6, slot, word, &to))
		return FRAME_OPEN;
	half_count(half, 1, bytes);
	frame_rewrite_plain(is_v6, pkt, &to);
	*out_ifindex = to.out_ifindex;
	return FRAME_REWRITTEN;
}

static __always_inline enum frame_fate frame_plain(bool is_v6, const struct xdp_md *ctx,
						   __u64 frame_bytes, __u32 *out_ifindex)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct plain pkt = {.l3 = data + ETH_HLEN};

	if (!plain_has_ports(is_v6, end, &pkt))
		return FRAME_OPEN;
	if (is_foreign(pkt.l4))
		return FRAME_FOREIGN;
	if (pkt.proto == IPPROTO_TCP) {
		pkt.proto = IPPROTO_TCP;
		if (plain_is_whole(is_v6, end, frame_bytes, &pkt))
			return frame_translate(is_v6, ctx, &pkt, out_ifindex);
	} else {
		pkt.proto = IPPROTO_UDP;
		if (plain_is_whole(is_v6, end, frame_bytes, &pkt))
			return frame_translate(is_v6, ctx, &pkt, out_ifindex);
	}
	return FRAME_OPEN;
}

/* What a frame says of itself first: its ethertype, the IP version (IPv4: and header
 * length). In one word, without what follows it, a traffic class. */
#define FRAME_HEAD_MASK4 0x00ffffff
#define FRAME_HEAD4	 (bpf_htons(ETH_P_IP) | IP4_FIRST_BYTE << 16)
#define FRAME_HEAD_MASK6 0x00f0ffff
#define FRAME_HEAD6	 (bpf_htons(ETH_P_IPV6) | 0x60 << 16)

/* data: FRAME_LEAST bytes. */
static __always_inline bool frame_is_of(bool is_v6, const void *data)
{
	/* Volatile: else clang copies it, for the family that it is not. */
	__u32 head = *(const volatile __u32 *)(data + offsetof(struct ethhdr, h_proto));

	return is_v6 ? (head & FRAME_HEAD_MASK6) == FRAME_HEAD6
		     : (head & FRAME_HEAD_MASK4) == FRAME_HEAD4;
}

/*
 * Decides what needs no deciding: an established packet is rewritten, what can be
 * nobody's passes.
 */
static __always_inline enum frame_fate frame_fast(const struct xdp_md *ctx, __u64 frame_bytes,
						  __u32 *out_ifindex)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (data + FRAME_LEAST > end)
		return FRAME_OPEN;
	if (frame_is_of(false, data))
		return frame_plain(false, ctx, frame_bytes, out_ifindex);
	if (frame_is_of(true, data))
		return frame_plain(true, ctx, frame_bytes, out_ifindex);
	return FRAME_OPEN;
}

#endif
