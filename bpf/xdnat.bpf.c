// SPDX-License-Identifier: GPL-2.0-only
/*
 * The story of one packet, and the program by which tools end a flow.
 */
#include "forward.bpf.h"
#include "stats.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/* The one place where a reason becomes a verdict. */
static __always_inline int verdict(const struct xdp_md *ctx, enum xdnat_reason reason,
				   __u32 out_ifindex)
{
	if (reason >= XDNAT_FIRST_DROP)
		return XDP_DROP;
	if (reason >= XDNAT_FIRST_PASS)
		return XDP_PASS;
	if (out_ifindex == ctx->ingress_ifindex)
		return XDP_TX;
	return bpf_redirect(out_ifindex, 0);
}

/* An established packet is forwarded at once; all else takes the slow path. */
static __always_inline int handle_packet(struct xdp_md *ctx)
{
	__u64 frame_bytes = ctx->data_end - ctx->data;
	enum xdnat_reason reason;
	__u32 out_ifindex = 0;

	reason = forward_fast(ctx, &out_ifindex);
	if (reason == FORWARD_SLOW)
		reason = forward_slow(ctx, &out_ifindex);
	stats_count(reason, frame_bytes);
	return verdict(ctx, reason, out_ifindex);
}

SEC("xdp")
int xdnat_xdp(struct xdp_md *ctx)
{
	return handle_packet(ctx);
}

/* Tools: end this flow, if it has expired or by force. */
SEC("syscall")
int xdnat_flow_end(struct xdnat_flow_end *request)
{
	struct partner partner = {};
	struct tuple tuple = {};
	struct stored stored, other;
	struct xdnat_half *reply;

	flow_requested(request, &tuple);

	request->ended = 1;
	if (!flow_find(&tuple, &stored))
		return 0;
	/* Whoever ended it could not delete it: the kernel's hash was busy. */
	if (READ_ONCE(stored.half->state) & XDNAT_DEAD) {
		if (life_idle(stored.half, life_now()) > SWEEP_SLACK_TICKS * tick_jiffies)
			flow_delete(&tuple);
		return 0;
	}
	request->ended = 0;
	reply = flow_find_partner(&stored, &tuple, &partner, &other);
	if (request->force ||
	    life_is_expired(stored.half, reply, tuple.proto == IPPROTO_TCP, SWEEP_SLACK_TICKS))
		request->ended = flow_end(&tuple, &stored, &partner, &other);
	return 0;
}
