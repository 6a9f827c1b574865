/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Was a packet translated as its own flow's? Where flows contend for ports, a reply is
 * the flow's that last left with the port, or that is about to. What the other lane did
 * meanwhile can leave that open: such packets are counted, not judged.
 */
#ifndef STRESS_JUDGE_BPF_H
#define STRESS_JUDGE_BPF_H

#include "build.bpf.h"
#include "choose.bpf.h"

static __always_inline void find(struct stress_lane *lane, __u32 number, __u32 wrong,
				 const struct stress_tuple *got, const void *macs)
{
	struct stress_finding *finding;
	__u32 at;

	lane->wrong[wrong]++;
	at = __sync_fetch_and_add(&stress_found, 1);
	if (at >= STRESS_FINDINGS)
		return;
	finding = &stress_findings[at & (STRESS_FINDINGS - 1)];
	finding->wrong = wrong;
	finding->lane = number;
	finding->flow = lane->flow;
	finding->direction = lane->direction;
	tuple_arriving(flow_at(lane->flow), lane->direction, lane->source_port, &finding->sent);
	finding->got = *got;
	__builtin_memcpy(finding->macs, macs, sizeof(finding->macs));
}

static __always_inline bool is_same(const struct stress_tuple *left,
				    const struct stress_tuple *right)
{
	for (int i = 0; i < 4; i++)
		if (left->src[i] != right->src[i] || left->dst[i] != right->dst[i])
			return false;
	return left->sport == right->sport && left->dport == right->dport;
}

/* A whole address of that hop, and ours. */
static __always_inline bool is_hop(const __u8 *macs, __u8 hop)
{
	const __u8 *mine = stress_plan.mac;

	if (macs[0] != 2 || macs[1] != hop ||
	    (macs[2] != STRESS_MAC_ONE && macs[2] != STRESS_MAC_OTHER))
		return false;
	for (int i = 3; i < 6; i++)
		if (macs[i] != macs[2])
			return false;
	for (int i = 0; i < 6; i++)
		if (macs[6 + i] != mine[i])
			return false;
	return true;
}

/* The flow left with the port: it is the port's owner now. If somebody else became that
 * while this packet was under way, it is open who was the last. */
static __always_inline void claim_take(const struct stress_lane *lane, __u64 *claim)
{
	__u64 old = READ_ONCE(*claim), owner = lane->flow + 1;

	if ((__s32)((__u32)old - lane->start) >= 0 && old >> 32 != owner)
		owner = CLAIM_UNCLEAR;
	if (__sync_val_compare_and_swap(claim, old, owner << 32 | sequence_next()) != old)
		__sync_lock_test_and_set(claim, CLAIM_UNCLEAR << 32 | sequence_next());
}

/* The client's port, or one that was given. Where no other flow contends for the client's, it
 * may still be its own flow's that the other lane is just ending. */
static __always_inline bool is_port_of(const struct stress_flow *flow, __be16 port)
{
	if (flow->is_kept && flow->source_port && flow->source_port != port)
		return false;
	return (flow->group == STRESS_NO_GROUP && port == flow->client_port) ||
	       (__u16)(bpf_ntohs(port) - STRESS_FIRST_PORT) < STRESS_PORTS;
}

static __always_inline bool judge_original(const struct stress_lane *lane,
					   const struct stress_tuple *got)
{
	struct stress_flow *flow = flow_at(lane->flow);
	struct stress_tuple want;
	__be16 port = got->sport;

	tuple_leaving(flow, XDNAT_ORIGINAL, port, &want);
	if (!is_port_of(flow, port) || !is_same(&want, got))
		return false;
	flow->source_port = port;
	if (flow->group != STRESS_NO_GROUP)
		claim_take(lane, claim_at(flow->group, port));
	flow->is_unsure = 0;
	return true;
}

/* The flow whose client got this. */
static __always_inline __u32 flow_of_client(const struct stress_tuple *got)
{
	return (bpf_ntohl(got->dst[3]) & 0xffff) + (bpf_ntohs(got->sport) & 3);
}

static __always_inline bool judge_reply(struct stress_lane *lane, const struct stress_lane *other,
					const struct stress_tuple *got)
{
	const struct stress_flow *flow = flow_at(lane->flow), *owner = flow;
	__u64 *claim = claim_at(flow->group, lane->source_port), after;
	struct stress_tuple want;
	__u32 number = lane->flow, under_way;

	if (flow->group != STRESS_NO_GROUP)
		number = flow_of_client(got);
	owner = flow_at(number);
	tuple_leaving(owner, XDNAT_REPLY, lane->source_port, &want);
	if (owner->group != flow->group || !is_same(&want, got))
		return false;
	if (flow->group == STRESS_NO_GROUP)
		return true;
	/* In this order: who is no longer under way has taken its claim. */
	under_way = __sync_fetch_and_add((__u32 *)&other->current, 0);
	after = __sync_fetch_and_add(claim, 0);
	if (lane->claim >> 32 == number + 1 || after >> 32 == number + 1)
		return true;
	if (under_way == number + 1 || owner->is_unsure || lane->claim >> 32 == CLAIM_UNCLEAR ||
	    after >> 32 == CLAIM_UNCLEAR || READ_ONCE(other->packets) - lane->other_packets > 1) {
		lane->unclear++;
		return true;
	}
	return false;
}

static __always_inline void judge_forwarded(const struct ethhdr *eth, struct stress_lane *lane,
					    __u32 number)
{
	struct stress_lane *other = &stress_lanes[!number];
	struct stress_flow *flow = flow_at(lane->flow);
	bool is_original = lane->direction == XDNAT_ORIGINAL;
	struct stress_tuple got = {};

	lane->forwarded[lane->direction & 1]++;
	flow->has_passed = 1;
	if (!(flow->is_v6 ? ip6_read(eth + 1, flow->is_tcp, &got)
			  : ip4_read(eth + 1, flow->is_tcp, &got)))
		find(lane, number, STRESS_WRONG_BYTES, &got, eth);
	if (!is_hop(eth->h_dest, is_original ? flow->target_hop : stress_plan.gateway_hop))
		find(lane, number, STRESS_WRONG_HOP, &got, eth);
	if (!(is_original ? judge_original(lane, &got) : judge_reply(lane, other, &got)))
		find(lane, number, STRESS_WRONG_FLOW, &got, eth);
}

/* A table that is full, a busy one, an end: all may cost a packet, but of kept flows
 * only the second. */
static __always_inline void judge_stopped(const struct ethhdr *eth, struct stress_lane *lane,
					  __u32 number, int verdict)
{
	struct stress_flow *flow = flow_at(lane->flow);
	bool is_busy = busy_count() != lane->busy;
	struct stress_tuple nothing = {};

	flow->has_passed = 0;
	if (verdict == XDP_PASS)
		lane->passed++;
	else
		lane->dropped++;
	if (lane->direction == XDNAT_ORIGINAL && is_busy)
		flow->is_unsure = 1;
	if (flow->is_kept && is_busy)
		lane->kept_busy++;
	else if (flow->is_kept && lane->order != STRESS_OPEN)
		find(lane, number, STRESS_LOST_KEPT, &nothing, eth);
	else if (lane->direction == XDNAT_ORIGINAL && verdict == XDP_PASS)
		find(lane, number, STRESS_LEFT_ALONE, &nothing, eth);
}

static __always_inline void lane_judge(const void *data, __u32 number, int verdict)
{
	struct stress_lane *lane = &stress_lanes[number & (STRESS_LANES - 1)];

	if (verdict == XDP_TX)
		judge_forwarded(data, lane, number);
	else
		judge_stopped(data, lane, number, verdict);
	__sync_lock_test_and_set(&lane->current, 0);
	lane->packets++;
}

#endif
