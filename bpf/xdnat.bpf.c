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

/* Parse once, whose packet is it, what becomes of it. */
static __always_inline int handle_packet(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct packet pkt = {};
	enum xdnat_reason reason = packet_parse(data, end, &pkt);

	if (reason == XDNAT_FORWARDED)
		reason = pkt.ip4 ? forward4(ctx, &pkt) : forward6(ctx, &pkt);
	else if (pkt.has_ports)
		reason = forward_refuse(ctx, &pkt, reason);
	stats_count(reason, end - data);
	return verdict(ctx, reason, pkt.out_ifindex);
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
	struct xdnat_half *partner;
	struct tuple tuple = {};
	struct stored stored;
	__u32 tick;

	flow_requested(request, &tuple);
	tick = life_tick(tuple.sport, tuple.dport);
	request->ended = 1;
	if (!flow_find(&tuple, &stored))
		return 0;
	partner = flow_find_partner(&stored, &tuple);
	if (!request->force && !life_is_expired(stored.half, partner, tick, SWEEP_SLACK_TICKS))
		request->ended = 0;
	else
		request->ended = flow_end(&tuple, &stored, partner);
	return 0;
}
