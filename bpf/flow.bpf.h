/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Flow halves: find, create both or neither, answer, tick, expire, end. The only
 * room that knows how flows are stored: here, two kernel hashes, one a family.
 *
 * Readers. The kernel recycles an element of a preallocated hash at once, under
 * whoever still reads it. So a reader copies the translation, then compares the
 * element's key, which an insert writes first, and only then touches the packet.
 *
 * Writers. Packets of a half's own direction write it, best effort where nothing
 * is decided by it. State bits change by atomic operations. Who moves `tick` by
 * compare-and-swap looks up the next hop for everybody and writes it with
 * `version` odd. An end is a compare-and-swap of the state to XDNAT_DEAD; only
 * who did that deletes, and nobody brings a dead half back.
 *
 * Lifetimes: RFC 4787 REQ-5, RFC 5382 REQ-5, RFC 7857 section 2.
 */
#ifndef XDNAT_FLOW_BPF_H
#define XDNAT_FLOW_BPF_H

#include <linux/errno.h>

#include "maps.bpf.h"
#include "packet.bpf.h"
#include "rewrite.bpf.h"
#include "route.bpf.h"

#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile __typeof__(x) *)&(x) = (value))

/* Ticks beyond its lifetime after which the sweep may free a flow: no packet
 * that still found it alive is under way then. */
#define SWEEP_SLACK_TICKS 2

/* Seconds or so since boot, for this packet's flow. Flows change ticks at times
 * of their own, taken from the ports, so that they do not all look up at once. */
static __always_inline __u32 flow_tick(__be16 sport, __be16 dport)
{
	__u64 phase = (__u16)(sport ^ dport);

	return (bpf_jiffies64() + (phase & ((1ULL << tick_shift) - 1))) >> tick_shift;
}

static __always_inline void key4_from(const struct tuple *tuple, struct xdnat_key4 *key)
{
	*key = (struct xdnat_key4){
		.src = tuple->src.word[3],
		.dst = tuple->dst.word[3],
		.sport = tuple->sport,
		.dport = tuple->dport,
		.proto = tuple->proto,
	};
}

static __always_inline void key6_from(const struct tuple *tuple, struct xdnat_key6 *key)
{
	__builtin_memcpy(key->src, &tuple->src, sizeof(key->src));
	__builtin_memcpy(key->dst, &tuple->dst, sizeof(key->dst));
	key->sport = tuple->sport;
	key->dport = tuple->dport;
	key->proto = tuple->proto;
	__builtin_memset(key->pad, 0, sizeof(key->pad));
}

static __always_inline void packet_key4(const struct packet *pkt, struct xdnat_key4 *key)
{
	*key = (struct xdnat_key4){
		.src = pkt->ip4->saddr,
		.dst = pkt->ip4->daddr,
		.sport = pkt->sport,
		.dport = pkt->dport,
		.proto = pkt->proto,
	};
}

static __always_inline void packet_key6(const struct packet *pkt, struct xdnat_key6 *key)
{
	__builtin_memcpy(key->src, &pkt->ip6->saddr, sizeof(key->src));
	__builtin_memcpy(key->dst, &pkt->ip6->daddr, sizeof(key->dst));
	key->sport = pkt->sport;
	key->dport = pkt->dport;
	key->proto = pkt->proto;
	__builtin_memset(key->pad, 0, sizeof(key->pad));
}

/* Is the element still this key's? Asked last, see above. */
static __always_inline bool half4_is(const struct xdnat_half4 *half4, const struct xdnat_key4 *key)
{
	const volatile __u64 *have = (const volatile __u64 *)&half4->key;
	const __u64 *want = (const __u64 *)key;

	return have[0] == want[0] && have[1] == want[1];
}

static __always_inline bool half6_is(const struct xdnat_half6 *half6, const struct xdnat_key6 *key)
{
	const volatile __u64 *have = (const volatile __u64 *)&half6->key;
	const __u64 *want = (const __u64 *)key;

	return have[0] == want[0] && have[1] == want[1] && have[2] == want[2] &&
	       have[3] == want[3] && have[4] == want[4];
}

/* A half as it is stored: half is NULL or part of the one of half4 and half6 that
 * is not NULL. (From a flag the verifier cannot tell which map it came from.) */
struct stored {
	struct xdnat_half *half;
	struct xdnat_half4 *half4;
	struct xdnat_half6 *half6;
};

/* The half whose packets look like tuple. */
static __noinline struct xdnat_half *flow_find(const struct tuple *tuple, struct stored *stored)
{
	stored->half = NULL;
	stored->half4 = NULL;
	stored->half6 = NULL;
	if (tuple->is_v6) {
		struct xdnat_key6 key;

		key6_from(tuple, &key);
		stored->half6 = bpf_map_lookup_elem(&xdnat_flows6, &key);
		if (stored->half6)
			stored->half = &stored->half6->half;
	} else {
		struct xdnat_key4 key;

		key4_from(tuple, &key);
		stored->half4 = bpf_map_lookup_elem(&xdnat_flows4, &key);
		if (stored->half4)
			stored->half = &stored->half4->half;
	}
	return stored->half;
}

/* How the packets of a half, that look like tuple, leave. */
static __always_inline void flow_leaving(const struct stored *stored, const struct tuple *tuple,
					 struct tuple *leaving)
{
	*leaving = *tuple;
	if (stored->half6) {
		__builtin_memcpy(&leaving->src, stored->half6->src, sizeof(leaving->src));
		__builtin_memcpy(&leaving->dst, stored->half6->dst, sizeof(leaving->dst));
	} else if (stored->half4) {
		leaving->src.word[3] = stored->half4->src;
		leaving->dst.word[3] = stored->half4->dst;
	}
	leaving->sport = stored->half->sport;
	leaving->dport = stored->half->dport;
}

/* What the packets of the other direction look like. */
static __always_inline void flow_partner_tuple(const struct stored *stored,
					       const struct tuple *tuple, struct tuple *partner)
{
	struct tuple leaving;

	flow_leaving(stored, tuple, &leaving);
	tuple_reverse(&leaving, partner);
}

/* The other half of the flow, NULL if it is missing. */
static __noinline struct xdnat_half *flow_find_partner(const struct stored *stored,
						       const struct tuple *tuple)
{
	struct stored partner;
	struct tuple reversed;

	flow_partner_tuple(stored, tuple, &reversed);
	return flow_find(&reversed, &partner);
}

static __always_inline void flow_delete(const struct tuple *tuple)
{
	if (tuple->is_v6) {
		struct xdnat_key6 key;

		key6_from(tuple, &key);
		bpf_map_delete_elem(&xdnat_flows6, &key);
	} else {
		struct xdnat_key4 key;

		key4_from(tuple, &key);
		bpf_map_delete_elem(&xdnat_flows4, &key);
	}
}

/* Lifetime -------------------------------------------------------------- */

/* Ticks since the half's last packet. The halves' clocks differ by a fraction of
 * a tick, so "in the future" means now. */
static __always_inline __u32 half_idle(const struct xdnat_half *half, __u32 tick)
{
	__u32 idle = tick - READ_ONCE(half->tick);

	return (__s32)idle < 0 ? 0 : idle;
}

/* partner may be NULL. slack: ticks of grace. */
static __always_inline bool flow_is_expired(const struct xdnat_half *half,
					    const struct xdnat_half *partner, __u32 tick,
					    __u32 slack)
{
	const struct xdnat_config *config = config_get();
	__u32 idle = half_idle(half, tick), state = READ_ONCE(half->state), life;

	if (partner) {
		__u32 partner_idle = half_idle(partner, tick);

		idle = partner_idle < idle ? partner_idle : idle;
		state |= READ_ONCE(partner->state);
	}
	life = xdnat_life(half->proto == IPPROTO_TCP, state);
	return config && life < XDNAT_LIFE_MAX && idle > config->life_ticks[life] + slack;
}

static __always_inline void half_add_totals(const struct xdnat_half *half, struct xdnat_rule *rule)
{
	__u32 direction = half->direction & 1;

	__sync_fetch_and_add(&rule->ended_packets[direction], half->packets);
	__sync_fetch_and_add(&rule->ended_bytes[direction], half->bytes);
}

/* Ends the flow of a half whose packets look like tuple; partner may be NULL.
 * False: somebody else is ending it. */
static __noinline bool flow_end(const struct tuple *tuple, const struct stored *stored,
				struct xdnat_half *partner)
{
	struct xdnat_half *half = stored->half;
	__u32 state = READ_ONCE(half->state), rule_id = half->rule;
	struct xdnat_rule *rule = bpf_map_lookup_elem(&xdnat_rules, &rule_id);
	struct tuple reversed;

	if ((state & XDNAT_DEAD) ||
	    __sync_val_compare_and_swap(&half->state, state, XDNAT_DEAD) != state)
		return false;
	if (partner)
		__sync_fetch_and_or(&partner->state, XDNAT_DEAD);
	if (rule) {
		__sync_fetch_and_add(&rule->flows_ended, 1);
		half_add_totals(half, rule);
		if (partner)
			half_add_totals(partner, rule);
	}
	flow_partner_tuple(stored, tuple, &reversed);
	flow_delete(tuple);
	if (partner)
		flow_delete(&reversed);
	return true;
}

/* The tuple that a tool's request names. */
static __always_inline void flow_requested(const struct xdnat_flow_end *request, struct tuple *tuple)
{
	const struct xdnat_key6 *key = &request->key;

	tuple->is_v6 = request->is_v6 != 0;
	if (tuple->is_v6) {
		__builtin_memcpy(&tuple->src, key->src, sizeof(tuple->src));
		__builtin_memcpy(&tuple->dst, key->dst, sizeof(tuple->dst));
	} else {
		tuple->src = addr_mapped(key->src[0]);
		tuple->dst = addr_mapped(key->dst[0]);
	}
	tuple->sport = key->sport;
	tuple->dport = key->dport;
	tuple->proto = key->proto;
}

/* Creation --------------------------------------------------------------- */

/* A flow in the making, in the scratch memory. */
struct making {
	struct tuple original; /* as the client's packets arrive */
	struct tuple leaving;  /* as they leave */
	struct tuple reply;    /* as the target's arrive: leaving, reversed */
	struct tuple reply_leaving;
	struct hop hop;        /* towards the target */
	struct hop reply_hop;  /* towards the client; ifindex 0: not known yet */
	__u32 rule;
	__u32 tick;
	__u32 in_ifindex;
	__u32 pad;
	union {
		struct xdnat_half4 half4;
		struct xdnat_half6 half6;
	};
};
_Static_assert(sizeof(struct making) <= SCRATCH_BYTES, "making");

static __always_inline void half_set_ingress(struct xdnat_half *half, __u32 ifindex)
{
	const struct xdnat_interface *interface = interface_get(ifindex);

	half->in_ifindex = ifindex;
	if (interface)
		__builtin_memcpy(half->in_mac, interface->mac, sizeof(half->in_mac));
}

static __always_inline void half_set_hop(struct xdnat_half *half, const struct hop *hop)
{
	half->out_ifindex = hop->ifindex;
	half->mtu = hop->mtu;
	half->eth[0] = hop->eth[0];
	half->eth[1] = hop->eth[1];
	half->eth[2] = hop->eth[2];
}

static __always_inline void half_set_rewrite(struct xdnat_half *half, const struct tuple *tuple,
					     const struct tuple *leaving)
{
	__u32 addr_delta = rewrite_addr_delta(tuple, leaving);

	half->l3_delta = csum_fold(addr_delta + rewrite_ttl_delta());
	half->addr_delta = addr_delta;
	half->port_delta = rewrite_port_delta(tuple, leaving);
	half->sport = leaving->sport;
	half->dport = leaving->dport;
	half->proto = tuple->proto;
}

static __always_inline void half_prepare(const struct making *making, struct xdnat_half *half,
					 __u8 direction)
{
	half->rule = making->rule;
	half->direction = direction;
	if (direction == XDNAT_ORIGINAL) {
		half->tick = making->tick;
		half_set_ingress(half, making->in_ifindex);
		half_set_hop(half, &making->hop);
		half_set_rewrite(half, &making->original, &making->leaving);
	} else {
		half_set_ingress(half, making->hop.ifindex);
		half_set_hop(half, &making->reply_hop);
		half_set_rewrite(half, &making->reply, &making->reply_leaving);
	}
}

static __noinline long half_insert4(struct making *making, const struct tuple *tuple,
				    const struct tuple *leaving, __u8 direction)
{
	struct xdnat_half4 *half4 = &making->half4;

	__builtin_memset(half4, 0, sizeof(*half4));
	half_prepare(making, &half4->half, direction);
	key4_from(tuple, &half4->key);
	half4->src = leaving->src.word[3];
	half4->dst = leaving->dst.word[3];
	return bpf_map_update_elem(&xdnat_flows4, &half4->key, half4, BPF_NOEXIST);
}

static __noinline long half_insert6(struct making *making, const struct tuple *tuple,
				    const struct tuple *leaving, __u8 direction)
{
	struct xdnat_half6 *half6 = &making->half6;

	__builtin_memset(half6, 0, sizeof(*half6));
	half_prepare(making, &half6->half, direction);
	key6_from(tuple, &half6->key);
	__builtin_memcpy(half6->src, &leaving->src, sizeof(half6->src));
	__builtin_memcpy(half6->dst, &leaving->dst, sizeof(half6->dst));
	return bpf_map_update_elem(&xdnat_flows6, &half6->key, half6, BPF_NOEXIST);
}

/* Inserts one half: 0, -EEXIST, or what else the kernel's hash says (full). */
static __always_inline long half_insert(struct making *making, __u8 direction)
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

/* True if the reply half that is in our place is our own flow's: its packets
 * leave as the answer to the same original ones. */
static __noinline bool making_is_there(const struct making *making)
{
	struct stored taken;
	struct tuple answered;

	if (!flow_find(&making->reply, &taken))
		return false;
	flow_partner_tuple(&taken, &making->reply, &answered);
	return answered.sport == making->original.sport &&
	       answered.dport == making->original.dport &&
	       addr_is_same(&answered.src, &making->original.src) &&
	       addr_is_same(&answered.dst, &making->original.dst);
}

/* Makes both halves or neither: the reply half first, it decides who has the
 * tuple; one that is there already and is this flow's own is as good. */
static __always_inline enum xdnat_reason flow_make(struct making *making)
{
	long err = half_insert(making, XDNAT_REPLY);
	bool is_ours = !err;

	if (err == -EEXIST && !making_is_there(making))
		return XDNAT_DROP_TUPLE_TAKEN;
	if (err && err != -EEXIST)
		return XDNAT_DROP_TABLE_FULL;
	err = half_insert(making, XDNAT_ORIGINAL);
	if (!err || err == -EEXIST) /* another processor was faster */
		return XDNAT_FORWARDED;
	if (is_ours)
		flow_delete(&making->reply);
	return XDNAT_DROP_TABLE_FULL;
}

/* Per packet -------------------------------------------------------------- */

/* Copies what rewriting needs, without the addresses. */
static __always_inline void half_copy(const struct xdnat_half *half, struct translation *to)
{
	to->sport = half->sport;
	to->dport = half->dport;
	to->l3_delta = half->l3_delta;
	to->addr_delta = half->addr_delta;
	to->port_delta = half->port_delta;
	to->out_ifindex = half->out_ifindex;
	to->eth[0] = half->eth[0];
	to->eth[1] = half->eth[1];
	to->eth[2] = half->eth[2];
}

/* Is the element still this tuple's? Asked last, see above. */
static __always_inline bool stored_is(const struct stored *stored, const struct tuple *tuple)
{
	const volatile struct xdnat_key6 *key6;
	const volatile struct xdnat_key4 *key4;

	if (stored->half6) {
		key6 = &stored->half6->key;
		for (int i = 0; i < 4; i++)
			if (key6->src[i] != tuple->src.word[i] || key6->dst[i] != tuple->dst.word[i])
				return false;
		return key6->sport == tuple->sport && key6->dport == tuple->dport &&
		       key6->proto == tuple->proto;
	}
	if (!stored->half4)
		return false;
	key4 = &stored->half4->key;
	return key4->src == tuple->src.word[3] && key4->dst == tuple->dst.word[3] &&
	       key4->sport == tuple->sport && key4->dport == tuple->dport &&
	       key4->proto == tuple->proto;
}

/* A whole copy with the next hop given. False: the element is another's by now. */
static __noinline bool stored_copy(const struct stored *stored, const struct tuple *tuple,
				   const struct hop *hop, struct translation *to)
{
	__builtin_memset(to, 0, sizeof(*to));
	half_copy(stored->half, to);
	to->out_ifindex = hop->ifindex;
	to->eth[0] = hop->eth[0];
	to->eth[1] = hop->eth[1];
	to->eth[2] = hop->eth[2];
	if (stored->half6) {
		__builtin_memcpy(to->src, stored->half6->src, sizeof(to->src));
		__builtin_memcpy(to->dst, stored->half6->dst, sizeof(to->dst));
	} else if (stored->half4) {
		to->src[0] = stored->half4->src;
		to->dst[0] = stored->half4->dst;
	}
	barrier();
	return stored_is(stored, tuple);
}

static __always_inline void half_count(struct xdnat_half *half, const struct packet *pkt)
{
	half->packets++;
	half->bytes += pkt->bytes;
}

static __always_inline bool is_same_mac(const __u8 *left, const __u8 *right)
{
	const __u16 *l = (const __u16 *)left, *r = (const __u16 *)right;

	return l[0] == r[0] && l[1] == r[1] && l[2] == r[2];
}

/* An established packet of this tick, from where the last one came: nothing to
 * decide. */
static __always_inline bool half_is_current(const struct xdnat_half *half,
					    const struct packet *pkt, __u32 ingress)
{
	return half->tick == flow_tick(pkt->sport, pkt->dport) && half->state == XDNAT_SETTLED &&
	       half->in_ifindex == ingress && is_same_mac(pkt->eth->h_dest, half->in_mac) &&
	       pkt->bytes <= half->mtu && half->out_ifindex &&
	       !(pkt->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST));
}

static __always_inline void half_set_state(struct xdnat_half *half, __u32 bits)
{
	if (half && (READ_ONCE(half->state) & bits) != bits)
		__sync_fetch_and_or(&half->state, bits);
}

static __always_inline void half_clear_state(struct xdnat_half *half, __u32 bits)
{
	if (half && READ_ONCE(half->state) & bits)
		__sync_fetch_and_and(&half->state, ~bits);
}

/* The target answers. The original half is marked first. */
static __always_inline void flow_answer(const struct packet *pkt, struct xdnat_half *half,
					struct xdnat_half *original)
{
	__u32 bits = pkt->proto == IPPROTO_TCP ? XDNAT_ANSWERED : XDNAT_SETTLED;

	if (pkt->tcp_flags & TCP_RST) /* a refusal is no answer (RFC 7857 section 7) */
		return;
	half_set_state(original, bits);
	half_set_state(half, bits);
}

/* What this packet means for the flow's state. FIN and RST only shorten its life,
 * data or a new SYN revives it (RFC 7857 section 2.2). */
static __always_inline void flow_advance(const struct packet *pkt, struct xdnat_half *half,
					 struct xdnat_half *partner)
{
	if (half->direction == XDNAT_REPLY)
		flow_answer(pkt, half, partner);
	if (pkt->proto != IPPROTO_TCP)
		return;
	if (pkt->tcp_flags & (TCP_FIN | TCP_RST)) {
		half_set_state(half, XDNAT_CLOSING);
	} else if (pkt->payload_bytes || pkt->tcp_flags & TCP_SYN) {
		half_clear_state(half, XDNAT_CLOSING);
		half_clear_state(partner, XDNAT_CLOSING);
	}
	if (half->direction == XDNAT_ORIGINAL && READ_ONCE(half->state) & XDNAT_ANSWERED &&
	    !(pkt->tcp_flags & (TCP_SYN | TCP_RST))) {
		half_set_state(half, XDNAT_CONFIRMED);
		half_set_state(partner, XDNAT_CONFIRMED);
	}
}

/* Writes the next hop if nobody else is at it. hop->ifindex 0: unknown. */
static __always_inline void half_store_hop(struct xdnat_half *half, const struct hop *hop)
{
	__u32 version = READ_ONCE(half->version);

	if ((version & 1) ||
	    __sync_val_compare_and_swap(&half->version, version, version + 1) != version)
		return;
	half_set_hop(half, hop);
	__sync_fetch_and_add(&half->version, 1);
}

/* True if the half's next hop could be copied whole. */
static __always_inline bool half_load_hop(const struct xdnat_half *half, struct hop *hop)
{
	__u32 version = READ_ONCE(half->version);

	hop->ifindex = READ_ONCE(half->out_ifindex);
	hop->mtu = READ_ONCE(half->mtu);
	hop->eth[0] = READ_ONCE(half->eth[0]);
	hop->eth[1] = READ_ONCE(half->eth[1]);
	hop->eth[2] = READ_ONCE(half->eth[2]);
	return hop->ifindex && !(version & 1) && READ_ONCE(half->version) == version;
}

/*
 * The next hop for a packet that is not on the fast path: the first packet of a
 * tick looks it up and writes it down for the others; the rest copy it, or look
 * it up for themselves while it is being written.
 */
static __noinline enum xdnat_reason flow_next_hop(struct xdp_md *ctx, const struct stored *stored,
						  const struct tuple *tuple, __u32 tick,
						  struct hop *hop)
{
	struct xdnat_half *half = stored->half;
	struct tuple leaving;
	__u32 seen = READ_ONCE(half->tick);
	bool is_first = seen != tick &&
			__sync_val_compare_and_swap(&half->tick, seen, tick) == seen;
	enum xdnat_reason reason;

	if (!is_first && half_load_hop(half, hop))
		return XDNAT_FORWARDED;
	flow_leaving(stored, tuple, &leaving);
	reason = route_lookup(ctx, &leaving, ctx->ingress_ifindex, hop);
	if (reason)
		hop->ifindex = 0;
	half_store_hop(half, hop);
	return reason;
}

static __always_inline void half_remember_ingress(struct xdnat_half *half, __u32 ingress,
						  const struct xdnat_interface *interface)
{
	if (half->in_ifindex == ingress && is_same_mac(half->in_mac, interface->mac))
		return;
	half->in_ifindex = ingress;
	__builtin_memcpy(half->in_mac, interface->mac, sizeof(half->in_mac));
}

#endif
