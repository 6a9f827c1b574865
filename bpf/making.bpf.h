/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A flow in the making: its source port is claimed, both halves are inserted or
 * neither. Knows no routes; who calls has found them.
 */
#ifndef XDNAT_MAKING_BPF_H
#define XDNAT_MAKING_BPF_H

#include "flow.bpf.h"
#include "port.bpf.h"

/* A packet that something is decided about and, perhaps, a flow in the making, in the
 * scratch memory. */
struct making {
	struct traits traits;
	struct tuple original; /* as the client's packets arrive */
	struct tuple leaving;  /* as they leave */
	struct tuple reply;    /* as the target's arrive: leaving, reversed */
	struct tuple reply_leaving;
	struct hop hop;	      /* towards the target */
	struct hop reply_hop; /* towards the client */
	struct translation to;
	__u32 rule;
	__u32 set; /* of rules, that the packet is judged by */
	__u32 now;
	__u32 in_ifindex;	/* at XDNAT_HOOK_EGRESS: where it leaves */
	__u32 hook;		/* XDNAT_HOOK_… */
	__u32 claimed;		/* enum xdnat_reason: how the last claim went */
	__u32 ports;		/* that may be given out; not 0 */
	__u32 port_hash;	/* says in which order */
	__u32 mss_host;		/* largest that this SYN may announce; 0: any */
	struct tuple owner;	/* of the place that we want */
	struct partner partner; /* of the flow found or ended */
	union {
		struct xdnat_half4 half4;
		struct xdnat_half6 half6;
	};
};
_Static_assert(sizeof(struct making) <= SCRATCH_BYTES, "making");

static __always_inline void half_prepare(const struct making *making, struct xdnat_half *half,
					 __u8 direction)
{
	bool is_original = direction == XDNAT_ORIGINAL;
	__u32 in_ifindex = is_original ? making->in_ifindex : making->hop.ifindex;
	const struct xdnat_interface *interface = interface_get(in_ifindex);

	half->rule = making->rule;
	half->direction = direction;
	half->until = making->now;
	if (interface)
		half_set_ingress(half, in_ifindex, interface);
	if (is_original) {
		half->until += tick_jiffies;
		half_set_hop(half, &making->hop);
		half_set_rewrite(half, &making->original, &making->leaving);
	} else {
		half_set_hop(half, &making->reply_hop);
		half_set_rewrite(half, &making->reply, &making->reply_leaving);
	}
}

static __noinline int half_insert4(struct making *making, const struct tuple *tuple,
				   const struct tuple *leaving, __u8 direction)
{
	struct xdnat_half4 *half4 = &making->half4;

	__builtin_memset(half4, 0, sizeof(*half4));
	half_prepare(making, &half4->half, direction);
	return flow_insert4(tuple, leaving, half4);
}

static __noinline int half_insert6(struct making *making, const struct tuple *tuple,
				   const struct tuple *leaving, __u8 direction)
{
	struct xdnat_half6 *half6 = &making->half6;

	__builtin_memset(half6, 0, sizeof(*half6));
	half_prepare(making, &half6->half, direction);
	return flow_insert6(tuple, leaving, half6);
}

/* Inserts one half: 0, -EEXIST, or what else the kernel's hash says (full). */
static __always_inline int half_insert(struct making *making, __u8 direction)
{
	const struct tuple *tuple = &making->original, *leaving = &making->leaving;

	if (direction == XDNAT_REPLY) {
		tuple = &making->reply;
		leaving = &making->reply_leaving;
	}
	if (tuple->is_v6)
		return half_insert6(making, tuple, leaving, direction);
	return half_insert4(making, tuple, leaving, direction);
}

/* A reply half that rests gives up its place when it has rested, and at once to the
 * client that it was. True for who may try it. */
static __always_inline bool claim_ends_rest(const struct making *making, const struct stored *taken)
{
	if (!life_tick_is_over(READ_ONCE(taken->half->until), making->now) &&
	    !tuple_is_same(&making->owner, &making->original))
		return false;
	if (!stored_is(taken, &making->reply) || !life_end_rest(taken->half))
		return false;
	flow_delete(&making->reply);
	return true;
}

/* Our reply's place is taken. XDNAT_FORWARDED: by this flow itself; XDNAT_DROP_BUSY: not
 * any more, it may be tried again; else by another one, whose original is in owner. */
static __noinline enum xdnat_reason claim_judge(struct making *making)
{
	struct stored taken;
	__u32 state;

	if (!flow_find(&making->reply, &taken))
		return XDNAT_DROP_BUSY;
	flow_leaving(&taken, &making->reply, &making->partner.back); /* the stack is short */
	tuple_reverse(&making->partner.back, &making->owner);
	state = READ_ONCE(taken.half->state);
	if (state & XDNAT_RESTING)
		return claim_ends_rest(making, &taken) ? XDNAT_DROP_BUSY : XDNAT_DROP_TUPLE_TAKEN;
	if ((state & XDNAT_DEAD) || !tuple_is_same(&making->owner, &making->original))
		return XDNAT_DROP_TUPLE_TAKEN;
	return XDNAT_FORWARDED;
}

/* Puts the reply half in its place, which says who has the tuple. A global function,
 * verified once and not anew for every way to it. It finds struct making by itself:
 * Linux 6.1 does not take an argument of a global function for a map's key or value. */
__noinline enum xdnat_reason flow_make_reply(void)
{
	struct making *making = scratch_get();
	int err;

	if (!making)
		return XDNAT_DROP_BUSY;
	err = half_insert(making, XDNAT_REPLY);
	if (err == -EEXIST) {
		enum xdnat_reason reason = claim_judge(making);

		if (reason != XDNAT_DROP_BUSY)
			return reason;
		err = half_insert(making, XDNAT_REPLY);
	}
	if (err == -EEXIST || err == -EBUSY)
		return XDNAT_DROP_BUSY;
	return err ? XDNAT_DROP_TABLE_FULL : XDNAT_FORWARDED;
}

/* After XDNAT_DROP_TUPLE_TAKEN: true if the flow that has the place has ended, and
 * with it its claim. */
static __noinline bool making_takes_over(struct making *making)
{
	struct stored owner, other;
	struct xdnat_half *reply;

	if (!flow_find(&making->owner, &owner))
		return false;
	reply = flow_find_partner(&owner, &making->owner, &making->partner, &other);
	return life_is_expired(owner.half, reply, making->owner.proto == IPPROTO_TCP,
			       SWEEP_SLACK_TICKS) &&
	       flow_end(&making->owner, &owner, &making->partner, &other, false);
}

/* One turn of bpf_loop(), whose context must be on the stack: not 0 ends it. */
static long claim_next_port(__u32 tried, struct making **context)
{
	struct making *making = *context;
	__u32 key = port_candidate(making->port_hash, tried, making->ports);
	const struct xdnat_snat_port *entry = bpf_map_lookup_elem(&xdnat_snat_ports, &key);

	if (!entry)
		return 0;
	making->leaving.ports.sport = entry->port;
	making->reply.ports.dport = entry->port;
	making->claimed = flow_make_reply();
	return making->claimed != XDNAT_DROP_TUPLE_TAKEN;
}

/* May the flow keep the client's port? With the client's own address it may. */
static __always_inline bool making_keeps_port(const struct making *making)
{
	__u32 port_host = bpf_ntohs(making->original.ports.sport);
	const struct xdnat_snat_port *entry;

	if (addr_is_same(&making->leaving.src, &making->original.src))
		return true;
	entry = bpf_map_lookup_elem(&xdnat_snat_ports, &port_host);
	return entry && entry->is_free_to_use;
}

/* Puts the reply half in a place of its own, under the client's port or another. */
static __always_inline enum xdnat_reason flow_claim(struct making *making)
{
	const struct xdnat_config *config = config_get();

	making->claimed = XDNAT_DROP_TUPLE_TAKEN;
	if (making_keeps_port(making)) {
		making->claimed = flow_make_reply();
		if (making->claimed == XDNAT_DROP_TUPLE_TAKEN && making_takes_over(making))
			making->claimed = flow_make_reply();
	}
	if (making->claimed != XDNAT_DROP_TUPLE_TAKEN)
		return making->claimed;
	if (!config || !config->snat_ports)
		return XDNAT_DROP_NO_PORT;
	making->ports = config->snat_ports;
	making->port_hash = port_hash((const __u32 *)&making->original,
				      sizeof(making->original) / sizeof(__u32), config->seed);
	bpf_loop(port_candidates(making->ports), claim_next_port, &making, 0);
	return making->claimed == XDNAT_DROP_TUPLE_TAKEN ? XDNAT_DROP_NO_PORT : making->claimed;
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

/* The original half could not be inserted. If it is there, another processor was
 * faster, perhaps with another port: a reply half that is not its own goes. */
static __noinline enum xdnat_reason making_yields(struct making *making, int err)
{
	struct stored original;

	if (!flow_find(&making->original, &original)) {
		flow_delete(&making->reply);
		return err == -EBUSY ? XDNAT_DROP_BUSY : XDNAT_DROP_TABLE_FULL;
	}
	flow_partner_tuple(&original, &making->original, &making->owner);
	if (!tuple_is_same(&making->owner, &making->reply))
		flow_delete(&making->reply);
	return XDNAT_FORWARDED;
}

/* Makes both halves or neither, the reply half first. One that is there already
 * and is this flow's own is as good. Global as flow_make_reply() is. */
__noinline enum xdnat_reason flow_make(void)
{
	struct making *making = scratch_get();
	enum xdnat_reason reason;
	struct xdnat_rule *rule;
	int err;

	if (!making)
		return XDNAT_DROP_BUSY;
	reason = flow_claim(making);
	if (reason)
		return reason;
	err = half_insert(making, XDNAT_ORIGINAL);
	if (err)
		return making_yields(making, err);
	rule = bpf_map_lookup_elem(&xdnat_rules, &making->rule);
	if (rule)
		__sync_fetch_and_add(&rule->flows_made, 1);
	return XDNAT_FORWARDED;
}

#endif
