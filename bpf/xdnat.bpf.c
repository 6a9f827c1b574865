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

	if (!forward_fast(ctx, &reason, &out_ifindex))
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
	request->ended = flow_end_requested(request);
	return 0;
}
