/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A packet without a flow: whose rule it falls under, whether it may make a flow by that,
 * and where to and as whose the packets of both directions would leave. Makes nothing.
 */
#ifndef XDNAT_ADMISSION_BPF_H
#define XDNAT_ADMISSION_BPF_H

#include "making.bpf.h"
#include "source.bpf.h"

/* Is it this hook that sends by making->hop? */
static __always_inline enum xdnat_reason forward_way(const struct making *making)
{
	if (making->hook != XDNAT_HOOK_XDP || making->hop.way == WAY_XDP)
		return XDNAT_FORWARDED;
	return making->hop.way == WAY_NEIGHBOUR ? XDNAT_HAND_ON_NEIGHBOUR : XDNAT_HAND_ON_WAY_OUT;
}

/* This host itself is the target: the kernel delivers, and routes the answer. */
static __always_inline void forward_local(struct making *making)
{
	making->hop = (struct hop){
		.ifindex = LOCAL_IFINDEX,
		.mtu = LOCAL_MTU,
		.way = WAY_TC,
	};
	making->reply_hop = making->hop;
}

/* One turn of bpf_loop(): not 0 ends it. */
static long forward_try_below(__u32 tried, struct making **context)
{
	struct making *making = *context;
	__u32 id = rule_find_below(&making->original, making->set, tried + 1);
	const struct xdnat_rule *rule = id ? rule_get(id) : NULL;

	if (!rule)
		return 1;
	if (!source_is_admitted(&making->original, rule))
		return 0;
	making->rule = id;
	return 1;
}

/* The rule that goes first does not admit the source: the next that does. */
static __always_inline struct xdnat_rule *forward_rule_below(struct making *making)
{
	making->rule = 0;
	bpf_loop(XDNAT_LEVELS - 1, forward_try_below, &making, 0);
	return making->rule ? rule_get(making->rule) : NULL;
}

/* The rule that makes flows of making->original; NULL: it is nobody's. */
static __noinline struct xdnat_rule *forward_rule(struct making *making)
{
	__u32 id = rule_find(&making->original, &making->set);
	struct xdnat_rule *rule = id ? rule_get(id) : NULL;

	if (!rule || source_is_admitted(&making->original, rule))
		return rule;
	return forward_rule_below(making);
}

/* The packet is to leave with our address instead of the client's. */
static __noinline enum xdnat_reason making_masquerade(struct making *making)
{
	const struct xdnat_snat *snat = bpf_map_lookup_elem(&xdnat_snat, &making->rule);

	if (!snat)
		return XDNAT_DROP_NO_SOURCE;
	making->leaving.src = snat->addr;
	making->reply.dst = snat->addr;
	return XDNAT_FORWARDED;
}

/* Does the client live where the target does? Then its answers would go there
 * straight, as nobody's (RFC 4787 REQ-9). After forward_routes(). */
static __always_inline bool making_is_hairpin(const struct making *making,
					      const struct xdnat_rule *rule)
{
	return (rule->flags & XDNAT_RULE_HAIRPIN) && making->hop.ifindex == making->in_ifindex;
}

/* Both next hops of a new flow, and whether the client can be where the packet
 * came from. */
static __noinline enum xdnat_reason forward_routes(void *ctx, struct making *making)
{
	struct hop *hop = &making->hop, *reply_hop = &making->reply_hop;
	enum xdnat_reason reason;

	making_preload(); /* the kernel looks up routes meanwhile */
	reason = route_lookup(ctx, &making->leaving, making->in_ifindex, hop);
	if (reason)
		return reason;
	reason = route_lookup(ctx, &making->reply_leaving, hop->ifindex, reply_hop);
	/* Our own address, or one that lives where the target does (RFC 6092 REC-5). */
	if (reply_hop->is_local ||
	    (reply_hop->ifindex == hop->ifindex && hop->ifindex != making->in_ifindex))
		return XDNAT_DROP_BAD_SOURCE;
	return reason;
}

/* A packet that matched a rule, may it make a flow? */
static __always_inline enum xdnat_reason forward_admit(const struct making *making,
						       const struct xdnat_rule *rule)
{
	if (making->traits.is_bad_header)
		return XDNAT_DROP_HEADER_CHECKSUM;
	if (making->traits.is_last_hop && !(rule->flags & XDNAT_RULE_LOCAL))
		return XDNAT_DROP_TTL;
	if (is_bad_source(&making->original, rule))
		return XDNAT_DROP_BAD_SOURCE;
	return making->traits.is_tcp ? rule_admit_tcp(making->traits.tcp_flags) : XDNAT_FORWARDED;
}

static __always_inline void making_start(struct making *making, const struct xdnat_rule *rule)
{
	making->rule_mss_host = rule->mss_host;
	making->leaving = making->original;
	if (!(rule->flags & XDNAT_RULE_LOCAL))
		making->leaving.dst = rule->target;
	making->leaving.ports.dport = rule_target_port(rule, making->original.ports.dport);
	tuple_reverse(&making->leaving, &making->reply);
	tuple_reverse(&making->original, &making->reply_leaving);
	making->now = life_now();
}

/* Where the new flow's packets go, and as whose. */
static __always_inline enum xdnat_reason forward_hops(void *ctx, struct making *making,
						      const struct xdnat_rule *rule)
{
	enum xdnat_reason reason = XDNAT_FORWARDED;

	if (rule->flags & XDNAT_RULE_LOCAL) {
		forward_local(making);
		return XDNAT_FORWARDED;
	}
	if (rule->flags & XDNAT_RULE_MASQUERADE)
		reason = making_masquerade(making);
	if (!reason)
		reason = forward_routes(ctx, making);
	if (!reason && making_is_hairpin(making, rule))
		reason = making_masquerade(making);
	return reason;
}

/* A packet without a flow; making->original is its tuple, which falls under the rule. May
 * it make one, and how? */
static __noinline enum xdnat_reason forward_new(void *ctx, struct making *making,
						const struct xdnat_rule *rule)
{
	enum xdnat_reason reason;

	making->rule = rule->id;
	if (!making->traits.is_to_us)
		return XDNAT_PASS_OTHER_MAC;
	reason = forward_admit(making, rule);
	if (reason)
		return reason;
	making_start(making, rule);
	reason = forward_hops(ctx, making, rule);
	if (!reason)
		reason = forward_way(making);
	if (reason)
		return reason;
	return making->traits.wire_bytes > making->hop.mtu ? XDNAT_DROP_TOO_BIG : XDNAT_FORWARDED;
}

#endif
