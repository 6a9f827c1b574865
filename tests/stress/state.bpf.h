/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What lanes share, with each other and with the stress test.
 */
#ifndef STRESS_STATE_BPF_H
#define STRESS_STATE_BPF_H

#include "stress_abi.h"

#define CLAIM_UNCLEAR 0xffffffffULL

/* Written by the stress test while no lane runs. */
struct stress_flow stress_flows[STRESS_FLOWS];
struct stress_lane stress_lanes[STRESS_LANES];
struct stress_plan stress_plan;
/* Whose a group's port is: upper half flow + 1, or CLAIM_UNCLEAR; lower half since when. */
__u64 stress_claims[STRESS_GROUPS * STRESS_PORTS];
__u32 stress_sequence; /* numbers the events of both lanes */
__u32 stress_found;
struct stress_finding stress_findings[STRESS_FINDINGS];

static __always_inline struct stress_flow *flow_at(__u32 flow)
{
	return &stress_flows[flow & (STRESS_FLOWS - 1)];
}

static __always_inline __u64 *claim_at(__u32 group, __be16 port)
{
	__u32 slot = (bpf_ntohs(port) - STRESS_FIRST_PORT) & (STRESS_PORTS - 1);
	__u32 claim = group * STRESS_PORTS + slot;

	barrier_var(claim); /* Linux 6.1 would lose the bounds of two that are joined */
	return &stress_claims[claim & (STRESS_GROUPS * STRESS_PORTS - 1)];
}

#endif
