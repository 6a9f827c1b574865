/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which rule a packet without a flow belongs to, and whether it may make one.
 */
#ifndef XDNAT_RULE_BPF_H
#define XDNAT_RULE_BPF_H

#include "maps.bpf.h"
#include "packet.bpf.h"

/* Mid-stream segments in a window of tick_jiffies that may make a flow: state that
 * was lost comes back, a flood of stray segments does not fill the table. */
#define PICKUPS_PER_TICK 4096

/* A listener of IPv4 is none of IPv6. */
static __always_inline bool is_mapped(const struct xdnat_addr *addr)
{
	return !addr->word[0] && !addr->word[1] && addr->word[2] == bpf_htonl(0xffff);
}

/* The id of the level's rule in whose range the listener's port is; 0: none, also where a
 * rule excepts the port. */
static __noinline __u32 rule_in_ranges(const struct xdnat_listener *listener, __u8 level)
{
	struct xdnat_range range = {
		.prefix_bits = XDNAT_RANGE_BITS + 8 * sizeof(range.port),
		.set = listener->set,
		.proto = listener->proto,
		.level = level,
		.addr = listener->addr,
		.port = listener->port,
	};
	const __u32 *id = bpf_map_lookup_elem(&xdnat_ranges, &range);

	return id ? *id : 0;
}

/* The id of the listener's rule in the active set; 0: none. */
static __always_inline __u32 rule_at(struct xdnat_listener *listener)
{
	const struct xdnat_config *config = config_get();
	const __u32 *id;

	if (!config)
		return 0;
	listener->set = config->active_set;
	id = bpf_map_lookup_elem(&xdnat_listeners, listener);
	if (id)
		return *id;
	/* Written before the set comes into force: it is of this set. */
	return config->has_ranges >> (listener->set & 1) & 1 ? rule_in_ranges(listener, 0) : 0;
}

/* The id of the rule whose listener is tuple's destination, and the set that it is of;
 * 0: none. */
static __noinline __u32 rule_find(const struct tuple *tuple, __u32 *set)
{
	struct xdnat_listener listener = {
		.addr = tuple->dst,
		.port = tuple->ports.dport,
		.proto = tuple->proto,
	};
	__u32 id = tuple->is_v6 && is_mapped(&tuple->dst) ? 0 : rule_at(&listener);

	*set = listener.set;
	return id;
}

/* The id of the set's rule of a level from 1 on; 0: none. */
static __always_inline __u32 rule_find_below(const struct tuple *tuple, __u32 set, __u32 level)
{
	struct xdnat_listener listener = {
		.addr = tuple->dst,
		.port = tuple->ports.dport,
		.proto = tuple->proto,
		.set = set,
	};

	return rule_in_ranges(&listener, level);
}

/* The same for one packet, without a tuple: what is foreign is told at once. dst
 * points at the packet's IPv6 destination. */
static __noinline __u32 rule_find4(__be32 dst, __be16 port, __u8 proto)
{
	struct xdnat_listener listener = {
		.addr = addr_mapped(dst),
		.port = port,
		.proto = proto,
	};

	return rule_at(&listener);
}

static __noinline __u32 rule_find6(const struct in6_addr *dst, __be16 port, __u8 proto)
{
	struct xdnat_listener listener = {
		.port = port,
		.proto = proto,
	};

	__builtin_memcpy(&listener.addr, dst, sizeof(listener.addr));
	return is_mapped(&listener.addr) ? 0 : rule_at(&listener);
}

/* The rule, unless it went while it was looked up. */
static __always_inline struct xdnat_rule *rule_get(__u32 id)
{
	struct xdnat_rule *rule = bpf_map_lookup_elem(&xdnat_rules, &id);

	return rule && rule->id == id ? rule : NULL;
}

/* The port that the rule sends a packet for dport to. */
static __always_inline __be16 rule_target_port(const struct xdnat_rule *rule, __be16 dport)
{
	if (rule->target_port)
		return rule->target_port;
	return bpf_htons((__u16)(bpf_ntohs(dport) + rule->port_offset_host));
}

static __always_inline bool is_martian4(__be32 ip4)
{
	const __u8 *octet = (const __u8 *)&ip4;

	return octet[0] == 0 || octet[0] == 127 || octet[0] >= 224 ||
	       (octet[0] == 169 && octet[1] == 254);
}

static __always_inline bool is_martian6(const struct xdnat_addr *addr)
{
	const __u8 *octet = (const __u8 *)addr->word;

	if (octet[0] == 0xff || (octet[0] == 0xfe && (octet[1] & 0xc0) == 0x80))
		return true;
	/* ::, ::1 and all that embeds IPv4 in ::/80 */
	return !addr->word[0] && !addr->word[1] && !(addr->word[2] & bpf_htonl(0xffff0000));
}

/* No host on the far side can have this source (RFC 1812 section 5.3.7, RFC 6092
 * REC-1 to REC-3). Sources that a route shows to be false: forward_routes(). A target
 * may be its own client, but not with its own address (RFC 4787 REQ-9). */
static __always_inline bool is_bad_source(const struct tuple *tuple, const struct xdnat_rule *rule)
{
	if (!tuple->ports.sport)
		return true;
	if (addr_is_same(&tuple->src, &rule->target) &&
	    !(rule->flags & (XDNAT_RULE_MASQUERADE | XDNAT_RULE_HAIRPIN)))
		return true;
	return tuple->is_v6 ? is_martian6(&tuple->src) : is_martian4(tuple->src.word[3]);
}

static __always_inline bool pickup_is_allowed(void)
{
	__u32 zero = 0, now = bpf_jiffies64();
	struct pickups *pickups = bpf_map_lookup_elem(&xdnat_pickups, &zero);

	if (!pickups)
		return false;
	if (now - pickups->start >= tick_jiffies) { /* unsigned: 0 is long ago */
		pickups->start = now;
		pickups->count = 0;
	}
	return pickups->count++ < PICKUPS_PER_TICK;
}

/* A connection starts with a SYN; one whose state was lost goes on with an ACK
 * from the client (RFC 6092 REC-32: no window is known then, none is checked). */
static __always_inline enum xdnat_reason rule_admit_tcp(__u8 tcp_flags)
{
	__u8 kind = tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN);

	if (kind == TCP_SYN)
		return XDNAT_FORWARDED;
	if (!(kind & TCP_ACK) || (kind & (TCP_SYN | TCP_RST)))
		return XDNAT_DROP_TCP_FLAGS;
	return pickup_is_allowed() ? XDNAT_FORWARDED : XDNAT_DROP_PICKUP_RATE;
}

#endif
