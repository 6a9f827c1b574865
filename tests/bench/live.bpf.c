// SPDX-License-Identifier: GPL-2.0-only
/*
 * Live frames: what sends them, what counts and answers them, and Floor-R. All
 * of it runs on one processor, so plain counters are enough.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bench_abi.h"

char LICENSE[] SEC("license") = "GPL";

/* Written by the benchmark between bursts; sent, received, stamps_ns and seen by
 * the programs. */
struct live_frame frames[LIVE_FRESH];
__u32 frames_mask; /* one less than how many of them are sent in turns */
struct live_frame answers[LIVE_FLOWS];
struct live_frame seen[LIVE_SIDES][LIVE_FLOWS];
struct live_frame floor_macs;  /* its first twelve bytes */
__u64 stamps_ns[BENCH_STAMPS]; /* at the arrival of each chunk's first frame */
__u32 received[LIVE_SIDES];
__u32 sent;
__u32 task;
__u32 is_v6;
__u32 client_ifindex;
__u32 lan_ifindex;
__be16 relay_port; /* live_both: answers come from it */

/* Eight bytes at a time: left to itself, Clang copies a packet by bytes. */
static __always_inline void words_copy(__u64 *to, const __u64 *from, __u32 bytes)
{
	for (__u32 i = 0; i < bytes / 8; i++)
		to[i] = from[i];
}

/* Puts the whole frame in place: one that was sent before comes back as its
 * receiver left it. */
static __always_inline bool frame_write(const struct xdp_md *ctx, const struct live_frame *frame)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (is_v6) {
		if (data + BENCH_FRAME6_BYTES > end)
			return false;
		words_copy(data, frame->word, BENCH_FRAME6_BYTES);
		return true;
	}
	if (data + BENCH_FRAME4_BYTES > end)
		return false;
	words_copy(data, frame->word, BENCH_FRAME4_BYTES);
	return true;
}

static __always_inline void frame_keep(const struct xdp_md *ctx, struct live_frame *frame)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (is_v6 && data + BENCH_FRAME6_BYTES <= end)
		words_copy(frame->word, data, BENCH_FRAME6_BYTES);
	else if (!is_v6 && data + BENCH_FRAME4_BYTES <= end)
		words_copy(frame->word, data, BENCH_FRAME4_BYTES);
}

/* Whose frame is it? False: nobody's, the kernel itself talks at times. */
static __always_inline bool flow_of(const struct xdp_md *ctx, __u32 *flow)
{
	const void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const struct ethhdr *eth = data;
	const struct ipv6hdr *ip6 = (const void *)(eth + 1);

	if (is_v6) {
		if (data + BENCH_FRAME6_BYTES > end)
			return false;
		*flow = *(const __u8 *)(data + BENCH_FRAME6_BYTES - 1) % LIVE_FLOWS;
		return eth->h_proto == bpf_htons(ETH_P_IPV6) && ip6->nexthdr != IPPROTO_ICMPV6 &&
		       ip6->nexthdr != IPPROTO_HOPOPTS;
	}
	if (data + BENCH_FRAME4_BYTES > end)
		return false;
	*flow = *(const __u8 *)(data + BENCH_FRAME4_BYTES - 1) % LIVE_FLOWS;
	return eth->h_proto == bpf_htons(ETH_P_IP);
}

/* True: the frame has become the answer. */
static __always_inline bool arrive(const struct xdp_md *ctx, __u32 side)
{
	__u32 at, flow;

	if (!flow_of(ctx, &flow))
		return false;
	at = received[side]++;
	if (at % LIVE_CHUNK == 0)
		stamps_ns[at / LIVE_CHUNK % BENCH_STAMPS] = bpf_ktime_get_ns();
	if (task == LIVE_COUNT)
		return false;
	frame_keep(ctx, &seen[side][flow]);
	return task == LIVE_ANSWER && side == LIVE_SERVER && frame_write(ctx, &answers[flow]);
}

SEC("xdp")
int live_generate(struct xdp_md *ctx)
{
	if (!frame_write(ctx, &frames[sent++ & frames_mask & (LIVE_FRESH - 1)]))
		return XDP_ABORTED;
	return bpf_redirect(client_ifindex, 0);
}

SEC("xdp")
int live_server(struct xdp_md *ctx)
{
	/* XDP_TX wakes only a receiver that has an XDP program, and nft's has none. */
	return arrive(ctx, LIVE_SERVER) ? bpf_redirect(ctx->ingress_ifindex, 0) : XDP_DROP;
}

SEC("xdp")
int live_client(struct xdp_md *ctx)
{
	arrive(ctx, LIVE_CLIENT);
	return XDP_DROP;
}

static __always_inline __u32 side_of(const struct xdp_md *ctx)
{
	const void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const __be16 *sport = data + sizeof(struct ethhdr) +
			      (is_v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));

	if ((const void *)(sport + 1) > end)
		return LIVE_CLIENT;
	return *sport == relay_port ? LIVE_CLIENT : LIVE_SERVER;
}

/* Clients and target at one interface. */
SEC("xdp")
int live_both(struct xdp_md *ctx)
{
	return arrive(ctx, side_of(ctx)) ? bpf_redirect(ctx->ingress_ifindex, 0) : XDP_DROP;
}

/* What nobody who sends back where frames come from can do without. */
SEC("xdp")
int live_back(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_TX;
}

/* Floor-R: what nobody who redirects from one interface to another can do without. */
SEC("xdp")
int live_floor(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (data + sizeof(struct ethhdr) > end)
		return XDP_ABORTED;
	*(__u64 *)data = floor_macs.word[0];
	*(__u32 *)(data + 8) = floor_macs.word[1];
	return bpf_redirect(lan_ifindex, 0);
}
