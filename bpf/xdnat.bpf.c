// SPDX-License-Identifier: GPL-2.0-only
/*
 * The story of one packet, and the programs by which tools end flows and bring them.
 */
#include "frame.bpf.h"
#include "skb.bpf.h"
#include "stats.bpf.h"

char LICENSE[] SEC("license") = "GPL";

static __always_inline int frame_send(const struct xdp_md *ctx, __u32 out_ifindex)
{
	if (out_ifindex == ctx->ingress_ifindex)
		return XDP_TX;
	return bpf_redirect(out_ifindex, 0);
}

/* The one place where a reason becomes XDP's verdict. */
static __always_inline int frame_verdict(const struct xdp_md *ctx, enum xdnat_reason reason,
					 __u32 out_ifindex)
{
	struct ethhdr *eth = (void *)(long)ctx->data;

	if (reason >= XDNAT_FIRST_DROP)
		return XDP_DROP;
	if (reason >= XDNAT_FIRST_PASS) {
		if (reason >= XDNAT_FIRST_HAND_ON &&
		    (void *)(eth + 1) <= (void *)(long)ctx->data_end)
			hand_on(eth->h_dest);
		return XDP_PASS;
	}
	return frame_send(ctx, out_ifindex);
}

/* All that takes decisions. Not inlined: it would share its end with the fast path, which
 * had to jump there. */
static __noinline int frame_decide(struct xdp_md *ctx, __u64 frame_bytes)
{
	__u32 out_ifindex = 0;
	enum xdnat_reason reason = frame_slow(ctx, &out_ifindex);

	stats_count(XDNAT_HOOK_XDP, reason, 1, frame_bytes);
	return frame_verdict(ctx, reason, out_ifindex);
}

/* An established packet is forwarded at once, a foreign one passes; all else takes the slow
 * path. */
static __always_inline int handle_frame(struct xdp_md *ctx)
{
	__u64 frame_bytes = ctx->data_end - ctx->data;
	__u32 out_ifindex = 0;

	switch (frame_fast(ctx, frame_bytes, &out_ifindex)) {
	case FRAME_REWRITTEN:
		stats_add(&stats_forwarded, 1, frame_bytes);
		return frame_send(ctx, out_ifindex);
	case FRAME_FOREIGN:
		stats_add(&stats_foreign[XDNAT_HOOK_XDP], 1, frame_bytes);
		return XDP_PASS;
	default:
		return frame_decide(ctx, frame_bytes);
	}
}

SEC("xdp")
int xdnat_xdp(struct xdp_md *ctx)
{
	return handle_frame(ctx);
}

/* Foreign packets go on to other people's filters. */
static __always_inline int skb_pass_foreign(const struct __sk_buff *skb, __u32 hook)
{
	stats_add(&stats_foreign[hook], skb->gso_segs ?: 1, skb->wire_len);
	return TC_ACT_UNSPEC;
}

static __always_inline int skb_verdict(const struct __sk_buff *skb, __u32 hook,
				       enum xdnat_reason reason, int forwarded)
{
	stats_count(hook, reason, skb->gso_segs ?: 1, skb->wire_len);
	if (reason >= XDNAT_FIRST_DROP)
		return TC_ACT_SHOT;
	return reason ? TC_ACT_UNSPEC : forwarded;
}

static __always_inline int handle_ingress(struct __sk_buff *skb)
{
	enum xdnat_reason reason;
	int forwarded;

	skb_begin(skb);
	if (skb_is_foreign(skb))
		return skb_pass_foreign(skb, XDNAT_HOOK_INGRESS);
	forwarded = TC_ACT_SHOT;
	reason = skb_ingress(skb, &forwarded);
	return skb_verdict(skb, XDNAT_HOOK_INGRESS, reason, forwarded);
}

SEC("tc")
int xdnat_ingress(struct __sk_buff *skb)
{
	return handle_ingress(skb);
}

static __always_inline int handle_egress(struct __sk_buff *skb)
{
	enum xdnat_reason reason = XDNAT_PASS_TRANSLATED;

	if (!skb_end_translated(skb)) {
		if (skb_is_foreign(skb))
			return skb_pass_foreign(skb, XDNAT_HOOK_EGRESS);
		reason = skb_egress(skb);
	}
	return skb_verdict(skb, XDNAT_HOOK_EGRESS, reason, TC_ACT_UNSPEC);
}

SEC("tc")
int xdnat_egress(struct __sk_buff *skb)
{
	return handle_egress(skb);
}

/* Tools: end this flow, if it has expired or by force. */
SEC("syscall")
int xdnat_flow_end(struct xdnat_flow_end *request)
{
	request->ended = flow_end_requested(request);
	return 0;
}

/* Tools: put this half as it is into the table. Never two at a time. */
SEC("syscall")
int xdnat_flow_put(struct xdnat_flow_put *request)
{
	request->result = flow_put(request);
	return 0;
}
