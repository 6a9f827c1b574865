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
 * path's locals, 176 bytes of them by clang 19: what it calls has 320, and Linux 6.1
 * rounds each function's up to 32.
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

/* The fast path of one family: the half that has rewritten the packet. NULL, *reason:
 * it is nobody's; else all is open. */
static __always_inline struct xdnat_half *frame_fast4(const struct xdp_md *ctx, struct packet *pkt,
						      struct translation *to,
						      enum xdnat_reason *reason)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + ETH_HLEN;
	__be32 *ports = plain4_ports(ip, end);
	struct xdnat_half *half;
	bool is_known;

	if (!ports)
		return NULL;
	if (is_foreign((union xdnat_ports){.both = *ports})) {
		*reason = XDNAT_PASS_NO_RULE;
		return NULL;
	}
	if (!plain4_is_whole(ip, ports, end, pkt))
		return NULL;
	half = flow_copy4(pkt, ctx->ingress_ifindex, to, &is_known);
	if (half)
		rewrite4(pkt, to);
	else if (!is_known && !rule_find4(ip->daddr, pkt->ports.dport, pkt->proto))
		*reason = XDNAT_PASS_NO_RULE;
	return half;
}

static __always_inline struct xdnat_half *frame_fast6(const struct xdp_md *ctx, struct packet *pkt,
						      struct translation *to,
						      enum xdnat_reason *reason)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ipv6hdr *ip = data + ETH_HLEN;
	__be32 *ports = plain6_ports(ip, end);
	struct xdnat_half *half;
	bool is_known;

	if (!ports)
		return NULL;
	if (is_foreign((union xdnat_ports){.both = *ports})) {
		*reason = XDNAT_PASS_NO_RULE;
		return NULL;
	}
	if (!plain6_is_whole(ip, ports, end, pkt))
		return NULL;
	half = flow_copy6(pkt, ctx->ingress_ifindex, to, &is_known);
	if (half)
		rewrite6(pkt, to);
	else if (!is_known && !rule_find6(&ip->daddr, pkt->ports.dport, pkt->proto))
		*reason = XDNAT_PASS_NO_RULE;
	return half;
}

/*
 * Decides what needs no deciding: an established packet is rewritten, what can be
 * nobody's passes. False: a case for frame_slow().
 */
static __always_inline bool frame_fast(const struct xdp_md *ctx, enum xdnat_reason *reason,
				       __u32 *out_ifindex)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct packet pkt = {.eth = data};
	struct xdnat_half *half = NULL;
	struct translation to;
	__be16 ethertype;

	*reason = XDNAT_FORWARDED;
	if (data + ETH_HLEN > end)
		return false;
	/* struct ethhdr is packed: through it these are two loads. */
	ethertype = *(const __be16 *)(data + offsetof(struct ethhdr, h_proto));
	if (ethertype == bpf_htons(ETH_P_IP))
		half = frame_fast4(ctx, &pkt, &to, reason);
	else if (ethertype == bpf_htons(ETH_P_IPV6))
		half = frame_fast6(ctx, &pkt, &to, reason);
	if (!half)
		return *reason != XDNAT_FORWARDED;
	half_count(half, 1, pkt.bytes);
	*out_ifindex = to.out_ifindex;
	return true;
}

#endif
