// SPDX-License-Identifier: GPL-2.0-only
/*
 * One packet of a stress test: chosen, built, given to the datapath, judged. A test run
 * repeats that as often as it likes; nothing of a packet is left for the next one but
 * the lane's number.
 */
#include "../../bpf/xdnat.bpf.c"

#include "judge.bpf.h"

static __always_inline __u32 lane_of(const struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const __u32 *last = data + STRESS_FRAME_BYTES - sizeof(*last);

	return (void *)(last + 1) > end ? STRESS_LANES : *last;
}

/* Global functions: each is verified once, by itself. */
__noinline int stress_build(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 number = lane_of(ctx);

	if (number >= STRESS_LANES || data + STRESS_FRAME_BYTES > end)
		return -1;
	lane_choose(&stress_lanes[number], &stress_lanes[!number]);
	frame_build(data, &stress_lanes[number]);
	return 0;
}

__noinline int stress_judge(struct xdp_md *ctx, int verdict)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 number = lane_of(ctx);

	if (number >= STRESS_LANES || data + STRESS_FRAME_BYTES > end)
		return -1;
	lane_judge(data, number, verdict);
	return 0;
}

SEC("xdp")
int stress_packet(struct xdp_md *ctx)
{
	int verdict;

	if (stress_build(ctx))
		return XDP_DROP;
	verdict = handle_frame(ctx);
	stress_judge(ctx, verdict);
	return verdict;
}

/* Holds up whatever runs on the processor, wherever it is: windows of a few instructions
 * become wide enough for the other processor to do something in them. */
SEC("perf_event")
int stress_stall(void *ctx)
{
	__u32 turns = bpf_get_prandom_u32() % STRESS_STALL_MAX;

	(void)ctx;
	/* Upwards: Linux 6.1 sees no end of the other way. */
	for (__u32 i = 0; i < STRESS_STALL_MAX && i < turns; i++)
		bpf_ktime_get_ns();
	return 0;
}
