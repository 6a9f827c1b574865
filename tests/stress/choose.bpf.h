/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which packet a lane sends next, and what must be known before it is sent, to judge it
 * after.
 */
#ifndef STRESS_CHOOSE_BPF_H
#define STRESS_CHOOSE_BPF_H

#include "state.bpf.h"

/* xorshift64 (G. Marsaglia, "Xorshift RNGs") */
static __always_inline __u32 random_next(struct stress_lane *lane)
{
	__u64 random = lane->random;

	random ^= random << 13;
	random ^= random >> 7;
	random ^= random << 17;
	lane->random = random;
	return random >> 32;
}

static __always_inline __u32 sequence_next(void)
{
	return __sync_fetch_and_add(&stress_sequence, 1);
}

/* Packets that were dropped here as XDNAT_DROP_BUSY. */
static __always_inline __u64 busy_count(void)
{
	__u32 key = XDNAT_HOOK_XDP * XDNAT_REASON_MAX + XDNAT_DROP_BUSY;
	const struct xdnat_counter *counter = bpf_map_lookup_elem(&xdnat_stats, &key);

	return counter ? counter->packets : 0;
}

/* Most go on; some begin, some end. Who is kept never ends. */
static __always_inline __u32 flags_choose(__u32 random, bool is_kept, __u32 direction)
{
	if (is_kept || random % 16 > 6)
		return TCP_ACK;
	if (random % 16 < 4)
		return direction == XDNAT_ORIGINAL ? TCP_SYN : TCP_SYN | TCP_ACK;
	return random % 16 < 6 ? TCP_FIN | TCP_ACK : TCP_RST | TCP_ACK;
}

static __always_inline void choose_at_random(struct stress_lane *lane)
{
	const struct stress_plan *plan = &stress_plan;
	__u32 random = random_next(lane), base;

	lane->direction = random & 1;
	if (plan->kept && (random >> 1) % 8 == 0) {
		lane->flow = plan->first_kept + (random >> 4) % plan->kept;
		lane->tcp_flags = flags_choose(0, true, lane->direction);
		return;
	}
	base = (__u32)(bpf_jiffies64() >> (plan->shift & 31)) * (plan->window / 2);
	if (lane->count && plan->window)
		lane->flow = lane->first + (base + (random >> 4) % plan->window) % lane->count;
	lane->tcp_flags = flags_choose(random_next(lane), false, lane->direction);
}

static __always_inline void choose_in_order(struct stress_lane *lane)
{
	if (lane->count)
		lane->flow = lane->first + lane->position++ % lane->count;
	lane->direction = lane->order == STRESS_ANSWER ? XDNAT_REPLY : XDNAT_ORIGINAL;
	lane->tcp_flags = lane->order == STRESS_GO_ON ? TCP_ACK : TCP_SYN;
	if (lane->order == STRESS_ANSWER)
		lane->tcp_flags |= TCP_ACK;
}

static __always_inline void lane_choose(struct stress_lane *lane, const struct stress_lane *other)
{
	const struct stress_flow *flow;

	if (lane->order == STRESS_AT_RANDOM)
		choose_at_random(lane);
	else
		choose_in_order(lane);
	flow = flow_at(lane->flow);
	lane->source_port = flow->source_port ?: flow->client_port;
	lane->busy = busy_count();
	lane->other_packets = READ_ONCE(other->packets);
	if (lane->direction == XDNAT_ORIGINAL)
		__sync_lock_test_and_set(&lane->current, lane->flow + 1);
	lane->start = sequence_next();
	lane->claim = READ_ONCE(*claim_at(flow->group, lane->source_port));
}

#endif
